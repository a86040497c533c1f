//! What a chat is, without knowing how it spreads or how anyone reached it.
//!
//! Nothing in here names a runtime, a socket or Redis: a socket is only something that can
//! [try to write](outbox::TryWrite), a Redis only something that hands in [events](event::Event).

pub mod close_reason;
pub mod dialect;
pub mod event;
pub mod frame;
pub mod id;
pub mod name;
pub mod outbox;
pub mod peer;
pub mod peers;
pub mod rate;
mod registry;
pub mod replay;
mod sanitize;
pub mod stats;
