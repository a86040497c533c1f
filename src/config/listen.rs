//! The addresses and ports to listen on.

use std::net::{Ipv6Addr, SocketAddr, ToSocketAddrs};

use super::Config;
use super::setting::{Env, Setting, number, repeated};

/// The addresses of `--listen`. Without it, the port of `PORT` on every address.
///
/// # Errors
/// Says what is allowed.
pub fn listen_addresses(given: Vec<String>, env: Env<'_>) -> Result<Vec<SocketAddr>, String> {
    let listen = repeated("listen", given, env);
    if !listen.is_empty() {
        return listen.iter().map(address).collect();
    }
    let port = env("PORT").map(|value| Setting {
        name: "PORT".into(),
        value,
    });
    let port = number(port, 0..=usize::from(u16::MAX))?;
    Ok(match port {
        Some(port) => vec![(Ipv6Addr::UNSPECIFIED, port as u16).into()],
        None => Config::default().listen,
    })
}

/// Reads an address and a port. For a name, takes its first address.
///
/// # Errors
/// Says what is allowed.
pub fn address(setting: &Setting) -> Result<SocketAddr, String> {
    // Many other servers accept `:8080`.
    let value = match setting.value.strip_prefix(':') {
        Some(port) => format!("[::]:{port}"),
        None => setting.value.clone(),
    };
    let found = value.to_socket_addrs().ok();
    let found = found.and_then(|mut found| found.next());
    found.map_or_else(|| setting.bad("ADDRESS:PORT, such as 127.0.0.1:8080"), Ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_come_one_by_one_or_as_a_list() {
        let read = |given: &[&str], variable: &str, value: &str| {
            let env = |name: &str| (name == variable).then(|| value.to_string());
            let given = given.iter().map(ToString::to_string).collect();
            let addrs = listen_addresses(given, &env)?;
            let addrs = addrs.iter().map(ToString::to_string);
            Ok::<_, String>(addrs.collect::<Vec<_>>())
        };
        assert_eq!(read(&[], "", "").unwrap(), ["[::]:8080"]);
        assert_eq!(read(&[], "PORT", "1").unwrap(), ["[::]:1"]);
        let list = ("NATTERJACK_LISTEN", ":1, 127.0.0.1:2,[::1]:3");
        let listed = read(&[], list.0, list.1).unwrap();
        assert_eq!(listed, ["[::]:1", "127.0.0.1:2", "[::1]:3"]);
        let flags = read(&[":4", "0.0.0.0:5"], list.0, list.1).unwrap();
        assert_eq!(flags, ["[::]:4", "0.0.0.0:5"]);
        let line = read(&[], list.0, ":1,,:2").unwrap_err();
        assert!(
            line.starts_with("NATTERJACK_LISTEN \"\" is not allowed: "),
            "{line}"
        );
    }
}
