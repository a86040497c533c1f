//! In a build without the feature `systemd`: there is no service manager.

use std::sync::Arc;

use crate::net::context::ServerContext;
use crate::net::listener::Listener;

/// None.
pub fn credential(_: &str) -> Option<String> {
    None
}

/// No.
pub fn is_journal() -> bool {
    false
}

/// None.
///
/// # Errors
/// Never.
pub fn listeners() -> Result<Vec<Listener>, String> {
    Ok(Vec::new())
}

/// No.
pub fn is_watched() -> bool {
    false
}

/// Tells nobody.
pub async fn notify_loop(_: Arc<ServerContext>) {}

/// Tells nobody.
pub fn stopping() {}
