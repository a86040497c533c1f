//! `--probe`: asks the server that runs with these settings whether it is ready, for health checks
//! of containers, service managers and Kubernetes that have no other program to ask with.
//!
//! It requests `/readyz` at the first address of `--listen`, over TLS if the settings have a
//! certificate, and under the first name of `--host`. It knows only its own settings, not the flags
//! of the running server or the sockets of a service manager.

#[cfg(feature = "full")]
mod tls;

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::config::Config;

/// How long the answer may take. Docker and others wait for five seconds.
const ANSWER_TIME: Duration = Duration::from_secs(4);
/// The most bytes that are read of an answer.
const ANSWER_BYTES: u64 = 16 * 1024;

/// Returns once the server has answered that it is ready. Blocks for four seconds at most.
///
/// # Errors
/// One line: why it is not ready, or can't be asked.
pub fn probe(config: &Config) -> Result<(), String> {
    let first = config.listen.first();
    let addrs = addresses(*first.ok_or("there is no address to listen on")?)?;
    let asked = names(&addrs);
    let (sender, receiver) = mpsc::channel();
    let config = config.clone();
    // Ends with its answer, or with the process, which does not wait longer for it than
    // [`ANSWER_TIME`].
    thread::spawn(move || sender.send(request(&config, &addrs)));
    let slow = |_| Err(format!("no answer within {ANSWER_TIME:?}"));
    let answer = receiver.recv_timeout(ANSWER_TIME).unwrap_or_else(slow);
    let ready = answer.and_then(|answer| verdict(&answer));
    ready.map_err(|why| format!("{asked}: {why}"))
}

/// The addresses of this machine at which such a server is reached, the likeliest first.
fn addresses(listen: SocketAddr) -> Result<Vec<SocketAddr>, String> {
    let port = listen.port();
    if port == 0 {
        return Err("--listen has port 0: nobody knows where the server listens".into());
    }
    let v4 = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port);
    let v6 = SocketAddr::new(Ipv6Addr::LOCALHOST.into(), port);
    Ok(match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => vec![v4],
        // It serves IPv4 as well, and only IPv4 where there is no IPv6.
        IpAddr::V6(ip) if ip.is_unspecified() => vec![v6, v4],
        _ => vec![listen],
    })
}

fn names(addrs: &[SocketAddr]) -> String {
    let names: Vec<_> = addrs.iter().map(SocketAddr::to_string).collect();
    names.join(" or ")
}

fn request(config: &Config, addrs: &[SocketAddr]) -> Result<Vec<u8>, String> {
    let stream = TcpStream::connect(addrs).map_err(|error| format!("can't connect: {error}"))?;
    exchange(config, stream).map_err(|error| error.to_string())
}

/// Sends the request, over TLS if the server speaks that, and reads the answer.
fn exchange(config: &Config, stream: TcpStream) -> io::Result<Vec<u8>> {
    let addr = stream.peer_addr()?;
    let host = config.hosts.first();
    let host = host.map_or_else(|| addr.to_string(), ToString::to_string);
    let request = format!("GET /readyz HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    #[cfg(feature = "full")]
    if config.tls_cert.is_some() {
        return answer(tls::client(stream, addr.ip())?, &request);
    }
    answer(stream, &request)
}

fn answer(mut stream: impl Read + Write, request: &str) -> io::Result<Vec<u8>> {
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    match stream.take(ANSWER_BYTES).read_to_end(&mut answer) {
        // An answer counts even if the connection broke after it.
        Err(error) if answer.is_empty() => Err(error),
        _ => Ok(answer),
    }
}

/// Reads the answer's status and line.
fn verdict(answer: &[u8]) -> Result<(), String> {
    let answer = String::from_utf8_lossy(answer);
    let status = answer.strip_prefix("HTTP/1.");
    let status = status.and_then(|rest| rest.get(2..5)?.parse().ok());
    let status: u16 = status.ok_or("the answer is not HTTP")?;
    if status == 200 {
        return Ok(());
    }
    // One line, also from another server.
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let why: String = body
        .lines()
        .next()
        .unwrap_or("")
        .chars()
        .take(500)
        .collect();
    let why = why.replace(char::is_control, "\u{fffd}");
    Err(format!("not ready, {status}: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_on_every_address_is_asked_on_the_loopback() {
        let at = |listen: &str| addresses(listen.parse().unwrap()).map(|addrs| names(&addrs));
        assert_eq!(at("0.0.0.0:81").unwrap(), "127.0.0.1:81");
        assert_eq!(at("[::]:81").unwrap(), "[::1]:81 or 127.0.0.1:81");
        assert_eq!(at("10.0.0.1:81").unwrap(), "10.0.0.1:81");
        assert_eq!(at("[fd00::1]:81").unwrap(), "[fd00::1]:81");
        assert!(at("127.0.0.1:0").is_err());
    }

    #[test]
    fn only_200_is_ready_and_all_else_is_one_line() {
        assert_eq!(verdict(b"HTTP/1.1 200 OK\r\nA: b\r\n\r\nok\n"), Ok(()));
        let no = |answer: &[u8]| verdict(answer).unwrap_err();
        let full = b"HTTP/1.1 503 Service Unavailable\r\nA: b\r\n\r\nredis is away\nmore\x1b";
        assert_eq!(no(full), "not ready, 503: redis is away");
        assert_eq!(
            no(b"HTTP/1.0 400 Bad Request\r\n\r\na\x1bb"),
            "not ready, 400: a\u{fffd}b"
        );
        assert_eq!(no(b"HTTP/1.1 302 Found"), "not ready, 302: ");
        for odd in [
            "",
            "SSH-2.0",
            "HTTP/1.1 ",
            "HTTP/1.1 ok\r\n\r\n",
            "\u{fffd}",
        ] {
            assert_eq!(no(odd.as_bytes()), "the answer is not HTTP", "{odd:?}");
        }
    }
}
