//! A client for Redis that knows nothing of a chat: one server, a cluster, or a primary that
//! sentinels name.
//!
//! From below: `error` and [`resp`]; `auth`, the credentials; `endpoint`, which asks sentinels, opens
//! a `connection` with TLS and signs it in; `node_connections`, to all nodes of a `cluster`, behind
//! a `fence` against those of before; and
//! `pipeline`, which sends requests in order and hands the replies back.
//!
//! The crate `redis` makes commands and parses replies here. Its own asynchronous connections are
//! not used (version 1.8), for these reasons:
//!
//! * Order. In a cluster it retries each command on its own after `MOVED`, `ASK` or `TRYAGAIN`, so
//!   of two commands for one slot the second can overtake the first, and messages of a room would
//!   change places. The pipeline pauses the slot instead.
//! * Bounds. Its cluster connection keeps commands to retry, and its subscriptions keep what is
//!   published, in channels without a bound. Here a fast sender is slowed down, and what a slow
//!   reader does not take waits at Redis.
//! * Batches. Messages of a room that wait share one command, chosen at the moment of the write.
//! * After a disconnect, commands without a reply are sent again in order, and the state at Redis is
//!   restored first. There, each caller gets an error and sends again.
//! * Deadlines for every step, and errors that tell apart what trying again can mend.
//! * Sign-in again in place, also of the subscribed connection, and by a new connection for a Redis
//!   without RESP3.
//! * Size. With smol, too, its asynchronous part brings tokio and tokio-util into the binary.

pub(crate) mod auth;
pub(crate) mod cluster;
pub(crate) mod connection;
pub(crate) mod endpoint;
pub(crate) mod error;
pub(crate) mod fence;
pub(crate) mod known_nodes;
pub(crate) mod node_connections;
pub(crate) mod pipeline;
pub(crate) mod reply;
pub mod resp;
pub(crate) mod slot;
