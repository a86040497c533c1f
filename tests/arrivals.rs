//! Many connections at once: clients that send a request are accepted beside any number of silent
//! ones.

use std::net::{Ipv6Addr, SocketAddr};
use std::process::{Command, Stdio};

use rustls::version::TLS13;

use crate::support::{Certs, Client, Issuer, Program, Raw, Redis, secure};

/// Starts it where there are files for 64 connections on their way in, with these flags.
fn with_few_files(flags: &[&str]) -> Program {
    let mut command = Command::new("sh");
    command
        .args(["-c", r#"ulimit -n 256; exec "$0" "$@""#])
        .args(Program::command())
        .args(flags)
        .env_clear()
        .stdin(Stdio::null());
    Program::of(command)
}

const HEALTH: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";

#[test]
fn a_client_that_sends_a_request_is_accepted_beside_many_silent_ones() {
    let mut program = with_few_files(&["--listen", "127.0.0.1:0"]);
    let addr = program.addr();
    let mut slow = Raw::connect(addr);
    slow.send(&HEALTH[..20]);
    let mut silent: Vec<_> = (0..1000).map(|_| Raw::connect(addr)).collect();
    let mut foo = Client::connect(addr, "/chat/foo");
    foo.hears("Welcome foo!");
    // The last connections have slots, and their requests are answered.
    silent[999].send(HEALTH);
    assert_eq!(silent[999].answer().0, 200);
    // The first connections were closed without an answer, except for the slow one.
    slow.send(&HEALTH[20..]);
    assert_eq!(slow.answer().0, 200);
    assert_eq!(silent[0].rest(), b"");
    assert_eq!(silent[500].rest(), b"");
    let line = program.logs("was turned away");
    let says = "127.0.0.1 was turned away: it said nothing, and others came";
    assert!(line.contains(says), "{line}");
}

#[test]
fn a_silent_connection_is_closed_without_an_answer() {
    let certs = Certs::for_host("localhost");
    let config = secure::trusting(&certs, &[&TLS13]);
    let [cert, key] = ["cert.pem", "key.pem"].map(|name| certs.path(name).display().to_string());
    let mut plain = Program::start_anywhere(&[]);
    let mut tls = Program::start_anywhere(&["--tls-cert", &cert, "--tls-key", &key]);
    let ports = [&mut plain, &mut tls].map(|program| program.addr().port());
    let [ipv4, ipv4_tls] = ports.map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    let [ipv6, ipv6_tls] = ports.map(|port| SocketAddr::from((Ipv6Addr::LOCALHOST, port)));
    // Browsers open such in advance; over TLS they shake hands, too.
    let mut silent = [Raw::connect(ipv4), Raw::connect(ipv4_tls)];
    let mut shaken = secure::connect(ipv4_tls, &config).unwrap();
    // Its time is over after that of the others.
    let mut half = [Raw::connect(ipv6), Raw::connect(ipv6_tls)];
    half[0].send(b"GET / HTTP/1.1\r\n");
    half[1].send(&[22]);
    let mut said = Vec::new();
    std::io::Read::read_to_end(&mut shaken, &mut said).unwrap();
    assert_eq!(said, b"");
    for raw in &mut silent {
        assert_eq!(raw.rest(), b"");
    }
    assert_eq!(half[0].answer().0, 408);
    half[1].rest();
    for mut program in [plain, tls] {
        let line = program.logs("was turned away");
        assert!(line.contains("info: ::1 was turned away: "), "{line}");
    }
}

#[test]
fn messages_that_wait_for_redis_do_not_block_new_connections() {
    let issuer = Issuer::hs256();
    let redis = Redis::start();
    let (url, key) = (redis.url(), issuer.file().display().to_string());
    let flags = [
        "--listen",
        "127.0.0.1:0",
        "--rate",
        "0",
        "--redis",
        &url,
        "--jwt-key",
        &key,
    ];
    let mut program = with_few_files(&flags);
    let addr = program.addr();
    let request = format!(
        "POST /rooms/lobby HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\
         Content-Length: 2\r\n\r\nhi",
        issuer.token("door")
    );
    let (status, id) = Raw::request(addr, request.as_bytes());
    assert_eq!(status, 200, "{id}");
    redis.freeze();
    // All places are taken, and somebody has to make room.
    let post = |_| {
        let mut raw = Raw::connect(addr);
        raw.send(request.as_bytes());
        raw
    };
    let mut posts: Vec<_> = (0..100).map(post).collect();
    assert_eq!(Raw::get(addr, "/healthz").0, 200);
    let (status, line) = posts[0].answer();
    assert_eq!(status, 503);
    assert!(
        line.starts_with("others are waiting: it may still be published"),
        "{line}"
    );
    redis.thaw();
    assert_eq!(posts[99].answer().0, 200);
}
