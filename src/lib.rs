//! A small chat server that any WebSocket client can talk to: alone on a Raspberry Pi, or many
//! instances behind one Redis acting as one chat.
//!
//! The house has three rooms in a line, and imports go one way:
//!
//! * [`chat`]: what a chat is. Names, messages, dialects, peers, outboxes, fan-out.
//! * [`bus`]: how it spreads. In this process, or over Redis.
//! * [`net`]: how sockets reach it. HTTP, upgrade, one connection's life.
//!
//! Above them stands [`server`], which opens and closes, and [`service`], which speaks with systemd;
//! beside them [`config`], the settings, and [`logger`]. `make check` proves the direction.

#![forbid(unsafe_code)]
#![warn(missing_docs, missing_debug_implementations, rust_2018_idioms)]

pub mod bus;
pub mod chat;
pub mod config;
pub mod logger;
pub mod net;
pub mod server;
pub mod service;
