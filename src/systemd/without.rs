//! systemd in the smallest build: the server runs as if there were no service manager.

use std::sync::Arc;

use crate::net::context::ServerContext;
use crate::net::listener::Listener;

/// Always empty.
pub fn credential(_: &str) -> Option<String> {
    None
}

/// Always `false`.
pub fn is_journal() -> bool {
    false
}

/// Always empty.
///
/// # Errors
/// Never.
pub fn listeners() -> Result<Vec<Listener>, String> {
    Ok(Vec::new())
}

/// Always `false`.
pub fn is_watched() -> bool {
    false
}

/// Does nothing.
pub async fn notify_loop(_: Arc<ServerContext>) {}

/// Does nothing.
pub fn stopping() {}
