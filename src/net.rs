//! How sockets reach the chat: one port, one HTTP request per connection, and for an upgraded
//! connection its life as a peer.
//!
//! It does not know how messages spread: it asks the [`Bus`](crate::bus::Bus).

pub mod admission;
pub mod context;
pub mod cors;
pub mod forwarded;
pub mod http;
pub mod listener;
pub mod page;
pub mod peer;
#[cfg(feature = "full")]
pub mod publish;
mod rate_limits;
#[cfg(feature = "full")]
mod read;
pub mod route;
pub mod session;
pub mod socket;
#[cfg(feature = "full")]
mod take_back;
#[cfg_attr(not(feature = "full"), path = "net/tls/without.rs")]
pub mod tls;
#[cfg_attr(not(feature = "full"), path = "net/token/without.rs")]
pub mod token;
