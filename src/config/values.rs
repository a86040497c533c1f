//! How the values of flags are read.
//!
//! An error begins with [`NAME`], which stands for the flag or variable that the value is of.

use std::fmt::Display;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::thread::available_parallelism;

use log::LevelFilter;

use super::{Authority, Network, Origin};

/// Stands for the name of the setting. No argument and no variable can contain it.
pub const NAME: char = '\0';

pub const MILLION: u32 = 1_000_000;
/// Bytes of the longest frame that `--max-message` may allow.
pub const MOST_MESSAGE: u32 = 16 * 1024 * 1024;
/// Days.
#[cfg(feature = "full")]
pub const CENTURY: u32 = 36_525;
/// Ten years in days, the longest that names are kept.
pub const DECADE: u32 = 3650;

fn bad(value: &str, allowed: impl Display) -> String {
    format!("{NAME} \"{value}\" is not allowed: {allowed}")
}

pub fn number<T: TryFrom<u32>, const LEAST: u32, const MOST: u32>(
    value: &str,
) -> Result<T, String> {
    let number = value.parse().ok();
    let number = number.filter(|number| (LEAST..=MOST).contains(number));
    let number = number.and_then(|number| T::try_from(number).ok());
    number.ok_or_else(|| bad(value, format!("a whole number from {LEAST} to {MOST}")))
}

pub fn kib(value: &str) -> Result<usize, String> {
    number::<usize, 1, { 1024 * 1024 }>(value).map(|kib| kib * 1024)
}

pub fn mib(value: &str) -> Result<usize, String> {
    // Saturates on 32-bit machines.
    number::<usize, 1, { 1024 * 1024 }>(value).map(|mib| mib.saturating_mul(1024 * 1024))
}

/// The default of `--threads`.
pub fn cores() -> usize {
    available_parallelism().map_or(1, |cores| cores.get().min(4))
}

/// For a name, takes its first address.
pub fn address(value: &str) -> Result<SocketAddr, String> {
    // Many other servers accept `:8080`.
    let found = match value.strip_prefix(':') {
        Some(port) => format!("[::]:{port}").to_socket_addrs(),
        None => value.to_socket_addrs(),
    };
    let found = found.ok().and_then(|mut found| found.next());
    found.ok_or_else(|| bad(value, "ADDRESS:PORT, such as 127.0.0.1:8080"))
}

pub fn folder(value: &str) -> Result<PathBuf, String> {
    match cfg!(feature = "full") {
        true => Ok(value.into()),
        false => Err(format!("{NAME}: this build has no journal")),
    }
}

pub fn metrics(value: &str) -> Result<SocketAddr, String> {
    match cfg!(feature = "full") {
        true => address(value),
        false => Err(format!("{NAME}: this build has no metrics")),
    }
}

#[cfg(feature = "full")]
pub fn command(value: &str) -> Result<String, String> {
    match value.trim() {
        "" => Err(format!("{NAME} is empty")),
        _ => Ok(value.into()),
    }
}

pub fn prefix(value: &str) -> Result<String, String> {
    let odd = |c: char| c.is_control() || c.is_whitespace() || "{}:".contains(c);
    match value.len() {
        1..=64 if !value.contains(odd) => Ok(value.into()),
        _ => Err(bad(
            value,
            "1 to 64 bytes without white space, colons and braces",
        )),
    }
}

#[cfg(feature = "full")]
pub fn text(value: &str) -> Result<String, String> {
    match value.is_empty() || value.contains(char::is_control) {
        true => Err(bad(value, "some text")),
        false => Ok(value.into()),
    }
}

pub fn level(value: &str) -> Result<LevelFilter, String> {
    let level = value.parse().ok();
    let level = level.filter(|level| *level != LevelFilter::Off);
    level.ok_or_else(|| bad(value, "error, warn, info, debug or trace"))
}

pub fn origin(value: &str) -> Result<Origin, String> {
    let allowed = "*, null, file:// or scheme://host[:port]";
    Origin::parse(value).ok_or_else(|| bad(value, allowed))
}

/// An origin of pages that a browser loads from a server.
#[cfg(feature = "full")]
pub fn site(value: &str) -> Result<Origin, String> {
    let origin = Origin::parse(value).filter(|origin| match origin {
        Origin::Any => true,
        Origin::Site { scheme, .. } => matches!(scheme.as_str(), "http" | "https"),
        _ => false,
    });
    origin.ok_or_else(|| bad(value, "* or http[s]://host[:port]"))
}

pub fn host(value: &str) -> Result<Authority, String> {
    Authority::parse(value).ok_or_else(|| bad(value, "NAME or NAME:PORT"))
}

pub fn network(value: &str) -> Result<Network, String> {
    let allowed = "an address, or ADDRESS/BITS such as 10.0.0.0/8";
    Network::parse(value).ok_or_else(|| bad(value, allowed))
}

/// The files of a certificate and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The server's certificate, then its intermediate certificates, in PEM.
    pub cert: PathBuf,
    /// Its key in PEM, not encrypted.
    pub key: PathBuf,
}
