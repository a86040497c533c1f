//! The one port as a browser, a health check and a confused client see it.

use std::io::Write;
use std::time::Duration;

use natterjack::config::{Authority, Origin};

use crate::support::{Client, Raw, TestServer, connect_from, eventually};

const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

fn status(server: &TestServer, request: &str) -> u16 {
    let (status, body) = Raw::request(server.addr(), request.as_bytes());
    assert!(
        status == 200 || body.lines().count() == 1,
        "{status} with {body:?}"
    );
    status
}

#[test]
fn pages_and_probes_answer() {
    let server = TestServer::start();
    assert_eq!(Raw::get(server.addr(), "/").0, 200);
    assert_eq!(Raw::get(server.addr(), "/healthz"), (200, "ok\n".into()));
    assert_eq!(server.ready(), (200, "ok\n".into()));
    assert_eq!(
        Raw::request(server.addr(), b"HEAD /healthz HTTP/1.1\r\nHost: x\r\n\r\n"),
        (200, "".into())
    );
}

#[test]
fn everything_else_is_refused_with_a_reason() {
    let server = TestServer::start();
    for (request, expected) in [
        ("GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        (
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
            405,
        ),
        ("DELETE /chat/foo HTTP/1.1\r\nHost: x\r\n\r\n", 405),
        ("GET /chat/foo HTTP/1.1\r\nHost: x\r\n\r\n", 426),
        ("nonsense\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
        ("GET / HTTP/9.9\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: x, y\r\n\r\n", 400),
        ("GET ftp://x/ HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        ("CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (
            "GET / HTTP/1.1\r\nHost: x\r\nAccept-Encoding: *;q=0\r\n\r\n",
            406,
        ),
        ("\u{16}\u{3}\u{1}\0\0", 400),
    ] {
        assert_eq!(status(&server, request), expected, "{request:?}");
    }
    let upgrade = |target: &str, more: &str| {
        status(
            &server,
            &format!("GET {target} HTTP/1.1\r\nHost: chat.example\r\n{UPGRADE}{more}\r\n"),
        )
    };
    for target in [
        "/chat/a:b",
        "/chat/",
        "/chat/%20a",
        "/chat/%FF",
        "/chat/a?room=%23",
    ] {
        assert_eq!(upgrade(target, ""), 400, "{target}");
    }
    assert_eq!(upgrade("/chat/a", "Origin: https://evil.example\r\n"), 403);
}

#[test]
fn a_head_may_come_a_byte_at_a_time_but_not_without_end() {
    let server = TestServer::start();
    let mut slow = Raw::connect(server.addr());
    for byte in b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" {
        slow.send(&[*byte]);
    }
    assert_eq!(slow.answer().0, 200);

    let long = format!(
        "GET / HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n",
        "x".repeat(16 * 1024)
    );
    assert_eq!(status(&server, &long), 431);
    let endless = format!("GET /{}", "x".repeat(100_000));
    assert_eq!(status(&server, &endless), 431);
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(101));
    assert_eq!(status(&server, &many), 431);
    let enough = format!(
        "GET /healthz HTTP/1.1\r\nHost: x\r\n{}Cookie: {}\r\n\r\n",
        "A: b\r\n".repeat(98),
        "x".repeat(9 * 1024)
    );
    assert_eq!(status(&server, &enough), 200);
}

#[test]
fn an_unfinished_head_times_out() {
    let server = TestServer::start();
    let mut half = Raw::connect(server.addr());
    half.send(b"GET / HTTP/1.1\r\nHost:");
    let mut silent = Raw::connect(server.addr());
    // One more byte now and then does not help.
    let mut dripping = Raw::connect(server.addr());
    dripping.send(b"GET / HTTP/1.1\r\nX: ");
    let mut writer = dripping.stream().try_clone().unwrap();
    // Ends when the server has hung up.
    let drip = std::thread::spawn(move || {
        while writer.write_all(b"x").is_ok() {
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    assert_eq!(half.answer().0, 408);
    assert_eq!(silent.rest(), b"", "it asked for nothing");
    assert_eq!(dripping.answer().0, 408);
    drip.join().unwrap();
}

#[test]
fn pages_of_other_sites_are_refused_unless_allowed() {
    let knock = |server: &TestServer, origin: &str| {
        let result = Client::request(server.addr(), "/chat/foo", |request| {
            request
                .headers_mut()
                .insert("origin", origin.parse().unwrap());
        });
        result.map(Client::leave).err()
    };
    let server = TestServer::start();
    assert_eq!(knock(&server, &format!("http://{}", server.addr())), None);
    assert_eq!(knock(&server, "moz-extension://0123"), None);
    assert_eq!(knock(&server, "https://evil.example"), Some(403));
    assert_eq!(knock(&server, "null"), Some(403));

    let friend = Origin::parse("https://friend.example").unwrap();
    let server = TestServer::with(|config| config.origins = vec![friend]);
    assert_eq!(knock(&server, "https://friend.example"), None);
    assert_eq!(knock(&server, "https://evil.example"), Some(403));
}

/// The whole answer to a request, as text.
fn answer(server: &TestServer, request: &str) -> String {
    let mut raw = Raw::connect(server.addr());
    raw.send(request.as_bytes());
    String::from_utf8(raw.rest()).unwrap()
}

#[test]
fn an_absolute_target_is_served_like_the_short_one() {
    let server = TestServer::start();
    let health = "GET http://chat.example/healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    assert_eq!(status(&server, health), 200);
    // Its host counts, and not the Host line.
    let chat = |origin: &str| {
        let head = "GET http://chat.example/chat/foo HTTP/1.1\r\nHost: x";
        let mut raw = Raw::connect(server.addr());
        raw.send(format!("{head}\r\n{UPGRADE}Origin: {origin}\r\n\r\n").as_bytes());
        raw
    };
    chat("http://chat.example").takes_until(b"Welcome foo!");
    assert_eq!(chat("http://x").answer().0, 403);
}

#[test]
fn an_answer_has_the_headers_that_it_must_have() {
    let server = TestServer::start();
    for (request, has) in [
        (
            "GET /chat/foo HTTP/1.1\r\nHost: x\r\n\r\n",
            &["Connection: close, Upgrade", "Upgrade: websocket"][..],
        ),
        (
            "GET / HTTP/1.1\r\nHost: x\r\nIf-None-Match: *\r\n\r\n",
            &["Cache-Control: no-cache", "Vary: Accept-Encoding"],
        ),
        (
            "PUT /ws HTTP/1.1\r\nHost: x\r\n\r\n",
            &["Allow: GET", "Connection: close"],
        ),
        ("nonsense\r\n\r\n", &["Connection: close"]),
    ] {
        let answer = answer(&server, request);
        let (head, _) = answer.split_once("\r\n\r\n").unwrap();
        for line in has {
            assert!(head.lines().any(|one| one == *line), "{line}: {head}");
        }
        let date = head.lines().find_map(|line| line.strip_prefix("Date: "));
        assert!(
            date.is_some_and(|date| date.ends_with(" GMT") && date.len() == 29),
            "{head}"
        );
    }
    let plain = "GET / HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip;q=0\r\n\r\n";
    assert!(!answer(&server, plain).contains("Content-Encoding"));
}

#[test]
fn a_handshake_is_unambiguous() {
    let server = TestServer::start();
    let upgrade = |more: &str| {
        let head = "GET /chat/foo HTTP/1.1\r\nHost: x";
        status(&server, &format!("{head}\r\n{UPGRADE}{more}\r\n"))
    };
    for twice in [
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
        "Sec-WebSocket-Version: 13\r\n",
        "Origin: http://x\r\nOrigin: http://x\r\n",
    ] {
        assert_eq!(upgrade(twice), 400, "{twice}");
    }
    // A subprotocol that is none is not agreed to.
    for (offered, agreed) in [
        ("bearer.", None),
        ("bearer.a b", None),
        ("bearer.a(b)", None),
        ("bearer., bearer.a.b", Some("bearer.a.b")),
    ] {
        let mut raw = Raw::connect(server.addr());
        let head = "GET /chat/foo HTTP/1.1\r\nHost: x";
        let offer = format!("Sec-WebSocket-Protocol: {offered}\r\n");
        raw.send(format!("{head}\r\n{UPGRADE}{offer}\r\n").as_bytes());
        raw.send(&crate::support::frame(0x88, &1000u16.to_be_bytes()));
        let all = raw.rest();
        let all = String::from_utf8_lossy(&all);
        assert!(all.starts_with("HTTP/1.1 101 "), "{all}");
        let found = all
            .lines()
            .find_map(|line| line.strip_prefix("Sec-WebSocket-Protocol: "));
        assert_eq!(found, agreed, "{offered}");
    }
}

#[test]
fn a_refused_page_is_told_which_setting_would_allow_it() {
    let server = TestServer::start();
    for (origin, says) in [
        (
            "https://Evil.example:443",
            "origin not allowed: --origin https://evil.example would let it in\n",
        ),
        (
            "null",
            "origin not allowed: --origin null would let it in\n",
        ),
        ("http://a b\u{202e}", "origin not allowed\n"),
    ] {
        let head = "GET /chat/foo HTTP/1.1\r\nHost: x";
        let request = format!("{head}\r\n{UPGRADE}Origin: {origin}\r\n\r\n");
        let answer = Raw::request(server.addr(), request.as_bytes());
        assert_eq!(answer, (403, says.to_string()));
    }
}

#[test]
fn a_server_that_knows_its_names_answers_to_no_other() {
    let own = Authority::parse("chat.example").unwrap();
    let server = TestServer::with(|config| config.hosts = vec![own]);
    let ask = |line: &str, host: &str| status(&server, &format!("{line}\r\n{host}\r\n"));
    for (line, host, expected) in [
        ("GET /healthz HTTP/1.1", "Host: Chat.Example:8080\r\n", 200),
        ("GET /healthz HTTP/1.0", "", 200),
        ("GET http://chat.example/ HTTP/1.1", "Host: x\r\n", 200),
        ("GET http://x/ HTTP/1.1", "Host: chat.example\r\n", 421),
        ("GET /healthz HTTP/1.1", "Host: 127.0.0.1\r\n", 421),
        ("GET / HTTP/1.1", "Host: rebound.example\r\n", 421),
        ("POST /rooms/lobby HTTP/1.1", "Host: x\r\n", 421),
    ] {
        assert_eq!(ask(line, host), expected, "{line} {host}");
    }
    let rebound = "GET /chat/a HTTP/1.1\r\nHost: x\r\nOrigin: http://x";
    assert_eq!(ask(rebound, UPGRADE), 421);
}

#[test]
fn frames_may_follow_the_head_in_one_packet() {
    let server = TestServer::start();
    let mut bar = server.join("bar");
    let mut eager = Raw::connect(server.addr());
    let mut packet = format!("GET /chat/foo HTTP/1.1\r\nHost: x\r\n{UPGRADE}\r\n").into_bytes();
    packet.extend(crate::support::frame(0x81, b"in a hurry"));
    packet.extend(crate::support::frame(0x81, b"really"));
    eager.send(&packet);
    bar.hears_in_order(&[
        "foo: has joined the chat!",
        "foo: in a hurry",
        "foo: really",
    ]);
}

#[test]
fn one_peer_too_many_is_told_to_retry() {
    let server = TestServer::with(|config| config.max_peers = 2);
    let one = server.join("one");
    let two = server.join("two");
    let knock = || Client::request(server.addr(), "/chat/three", |_| {});
    assert_eq!(knock().err(), Some(503));
    let request = format!("GET /chat/three HTTP/1.1\r\nHost: x\r\n{UPGRADE}\r\n");
    let mut raw = Raw::connect(server.addr());
    raw.send(request.as_bytes());
    raw.takes_until(b"Retry-After: ");
    // Pages and probes still answer.
    assert_eq!(server.ready().0, 200);
    one.leave();
    eventually("there is room again", || knock().ok());
    two.leave();
}

#[test]
fn a_request_without_an_upgrade_is_told_why_a_websocket_would_be_refused() {
    let server = TestServer::with(|config| {
        (config.max_peers, config.max_peers_per_ip) = (2, Some(1));
        config.hosts = vec![Authority::parse("chat.example").unwrap()];
    });
    let ask = |method: &str, host: &str, origin: &str| {
        let request = format!("{method} /ws HTTP/1.1\r\nHost: {host}\r\nOrigin: {origin}\r\n\r\n");
        Raw::request(server.addr(), request.as_bytes())
    };
    let own = "https://chat.example";
    assert_eq!(ask("GET", "chat.example", own).0, 426);
    assert_eq!(ask("GET", "127.0.0.1", own).0, 421);
    // Browsers send the origin of a page with this method only.
    assert_eq!(ask("POST", "chat.example", own).0, 405);
    let (status, line) = ask("POST", "chat.example", "https://other.example");
    assert_eq!(status, 403);
    assert!(line.contains("--origin https://other.example"), "{line}");
    let join = |url: &str, from: [u8; 4]| {
        let stream = connect_from(from, server.addr());
        tungstenite::client(url, stream).unwrap().0
    };
    let one = join("ws://chat.example/chat/one", [127, 0, 0, 1]);
    assert_eq!(ask("GET", "chat.example", own).0, 429);
    let two = join("ws://chat.example/chat/two", [127, 0, 0, 2]);
    let (status, line) = ask("GET", "chat.example", own);
    assert_eq!(status, 503);
    assert!(line.starts_with("too many peers"), "{line}");
    drop((one, two));
    // A question takes nobody's place.
    eventually("there is room again", || {
        (ask("GET", "chat.example", own).0 == 426).then_some(())
    });
}
