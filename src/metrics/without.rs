//! Metrics in the smallest build.

use std::sync::Arc;

use smol::future;

use crate::net::admission::Runtime;
use crate::net::context::ServerContext;
use crate::net::listener::Listener;

/// Never answers. The settings refuse a listener for metrics, so there is none.
pub async fn serve(_: &Runtime, _: &Listener, _: &Arc<ServerContext>) {
    future::pending().await
}
