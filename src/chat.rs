//! The chat: names, messages, dialects, peers and their outboxes.
//!
//! It knows neither the bus nor the network. Nothing in here names a runtime, a socket or Redis: a
//! socket is only something that can [try to write](outbox::TryWrite), and events come from outside
//! as [`Event`](event::Event)s.

pub mod address;
pub mod close_reason;
pub mod dialect;
pub mod event;
pub mod frame;
pub mod id;
pub mod moderation;
pub mod name;
pub mod outbox;
pub mod peer;
pub mod peers;
pub mod rate;
pub mod replay;
mod sanitize;
pub mod stats;
