//! A client for Redis that knows nothing of a chat: one server, a cluster, or a primary that
//! sentinels name.

pub(crate) mod auth;
pub(crate) mod cluster;
pub(crate) mod connection;
pub(crate) mod connector;
pub(crate) mod endpoint;
pub(crate) mod error;
pub(crate) mod known_nodes;
pub(crate) mod node_connections;
pub(crate) mod pipeline;
pub(crate) mod reply;
pub mod resp;
pub(crate) mod sentinel;
pub(crate) mod slot;
