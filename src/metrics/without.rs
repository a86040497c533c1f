//! In a build without the feature `metrics`: nobody asks.

use std::sync::Arc;

use smol::future;

use crate::net::context::ServerContext;
use crate::net::handshake::Runtime;
use crate::net::listener::Listener;

/// Never answers. The settings refuse such a listener, so there is none.
pub async fn serve(_: &Runtime, _: &Listener, _: &Arc<ServerContext>) {
    future::pending().await
}
