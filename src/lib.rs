//! A small chat server that any WebSocket client can talk to: alone on a Raspberry Pi, or many
//! instances behind one Redis acting as one chat.
//!
//! The house has three rooms in a line, and imports go one way:
//!
//! * [`chat`]: what a chat is. Names, messages, dialects, peers, outboxes, fan-out.
//! * [`bus`]: how it spreads. In this process, or over Redis.
//! * [`net`]: how sockets reach it. HTTP, upgrade, one connection's life.
//!
//! Above them stand [`server`], which opens and closes, [`metrics`] for who watches, [`systemd`], which
//! speaks with systemd, [`check`], which only looks, and [`probe`], which asks a server that runs; beside them [`config`], the settings,
//! [`logger`], [`count`], [`report`], [`limits`] and what a certificate says. `make check` proves the
//! direction.

#![forbid(unsafe_code)]
#![warn(missing_docs, missing_debug_implementations, rust_2018_idioms)]

pub mod bus;
#[cfg(any(feature = "redis", feature = "tls"))]
pub mod certificate;
pub mod chat;
pub mod check;
pub mod config;
pub mod count;
pub mod limits;
pub mod logger;
#[cfg_attr(not(feature = "metrics"), path = "metrics/without.rs")]
pub mod metrics;
pub mod net;
pub mod probe;
#[cfg(feature = "redis")]
pub mod redis;
pub mod report;
pub mod server;
#[cfg_attr(not(feature = "systemd"), path = "systemd/without.rs")]
pub mod systemd;
pub mod time;
