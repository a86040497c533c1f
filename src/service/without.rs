//! In a build without the feature `systemd`: there is no service manager.

use std::net::TcpListener;
use std::sync::Arc;

use crate::net::Hub;

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
pub fn listener() -> Result<Option<TcpListener>, String> {
    Ok(None)
}

/// No.
pub fn is_listening() -> bool {
    false
}

/// No.
pub fn is_watched() -> bool {
    false
}

/// Tells nobody.
pub async fn report(_: Arc<Hub>) {}

/// Tells nobody.
pub fn stopping() {}
