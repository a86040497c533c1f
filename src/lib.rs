//! A small chat server that any WebSocket client can talk to: alone on a Raspberry Pi, or many
//! instances behind one Redis that act as one chat.
//!
//! The rooms of this house, from the ground up. Each imports only from those before it, and
//! `make check` proves it.
//!
//! * [`count`], [`mutex`], [`reactor`], [`time`], [`logger`], [`report`], [`limits`], [`certificate`]:
//!   counters, a lock, waiting for sockets and timers, deadlines, the log, results of checks, limits
//!   of the machine, what a certificate says.
//! * [`config`]: the settings, from one table of flags.
//! * [`chat`]: what a chat is. Names, events, dialects, peers, outboxes.
//! * [`redis`]: a client for Redis that knows no chat.
//! * [`bus`]: how it spreads, inside this process or over Redis.
//! * [`net`]: how sockets reach it. Admission, HTTP, one connection's life, the page.
//! * [`metrics`], [`systemd`], [`probe`]: for Prometheus, the service manager, health checks.
//! * [`server`] starts all this, accepts connections and shuts down in order. [`check`] only looks.
//!
//! A message comes in through `accept_loop` ([`server`]), admission ([`net::admission`]) and the
//! `read_loop` of its connection ([`net::peer`]). The connection's session ([`net::session`]) has the
//! [dialect](chat::dialect) parse it and gives it to the [`Bus`](bus::Bus), which numbers it, keeps
//! it and hands it to one subscriber task on each instance. That task ([`bus::fanout`]) renders it
//! once for each room and dialect. The registry ([`Peers`](chat::peers::Peers)) puts the bytes into
//! each peer's [outbox](chat::outbox), which writes them to the socket.

#![forbid(unsafe_code)]
#![warn(missing_docs, missing_debug_implementations, rust_2018_idioms)]

pub mod bus;
#[cfg(feature = "full")]
pub mod certificate;
pub mod chat;
pub mod check;
pub mod config;
pub mod count;
pub mod limits;
pub mod logger;
#[cfg(feature = "full")]
pub mod metrics;
pub mod mutex;
pub mod net;
pub mod probe;
pub mod reactor;
#[cfg(feature = "full")]
pub mod redis;
pub mod report;
pub mod server;
#[cfg_attr(not(feature = "full"), path = "systemd/without.rs")]
pub mod systemd;
pub mod time;
