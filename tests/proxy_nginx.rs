//! Behind nginx, as deploy/nginx.conf sets it up: TLS, the page, and who may connect from where.

use std::io::{Read, Write};
use std::net::SocketAddr;

use natterjack::config::Network;
use serde_json::json;
use tungstenite::{Message, WebSocket};

use crate::support::{Client, Follower, Issuer, Nginx, Raw, TestServer, Tls};

const NAME: &str = "chat.example.org";

#[test]
fn followers_hear_at_once_through_nginx_even_where_it_buffers() {
    let server = TestServer::start();
    let as_it_is = Nginx::before(server.addr());
    let buffering = Nginx::without(server.addr(), "proxy_buffering off;");
    for nginx in [as_it_is, buffering] {
        // Of HTTP/1.0, since to others nginx sends it in chunks.
        let request = format!(
            "GET /rooms/attic HTTP/1.0\r\nHost: {NAME}\r\nAccept: text/event-stream\r\n\r\n"
        );
        let mut follower = Follower::over(nginx.connect(), &request);
        assert_eq!(follower.head[0], "HTTP/1.1 200 OK");
        follower.hears("joined");
        let mut ann = server.typed_in("ann", "attic");
        follower.hears("presence");
        for text in ["one", "two"] {
            ann.put(json!({"type": "chat", "room": "attic", "text": text}));
            ann.gets(json!({"type": "chat"}));
            follower.hears_texts(&[text]);
        }
        ann.leave();
    }
}

fn hears(socket: &mut WebSocket<Tls>, text: &str) {
    let heard = socket.read().unwrap();
    assert_eq!(heard, Message::text(text));
}

#[test]
fn people_chat_through_nginx() {
    let server = TestServer::start();
    let nginx = Nginx::before(server.addr());
    let mut bar = server.join("bar");
    let mut foo = nginx.join(NAME, &format!("https://{NAME}")).unwrap();
    hears(&mut foo, "Welcome foo!");
    bar.hears("foo: has joined the chat!");
    // Nothing is held back on the way.
    for round in 0..10 {
        foo.send(Message::text(format!("{round}"))).unwrap();
        bar.hears(&format!("foo: {round}"));
        bar.say("heard");
        hears(&mut foo, "bar: heard");
    }
    foo.close(None).unwrap();
    while foo.read().is_ok() {}
    bar.hears("foo: has left the chat!");
}

#[test]
fn clients_are_told_apart_by_the_address_that_nginx_sees() {
    let server = TestServer::with(|config| {
        config.max_peers_per_ip = Some(1);
        config.trust_proxy = vec![Network::parse("127.0.0.1").unwrap()];
    });
    let nginx = Nginx::before(server.addr());
    let (one, two) = ([127, 0, 0, 2], [127, 0, 0, 3]);
    let mut foo = nginx.join_from(one, "foo", "198.51.100.1").unwrap();
    hears(&mut foo, "Welcome foo!");
    let mut bar = nginx.join_from(two, "bar", "198.51.100.1").unwrap();
    hears(&mut bar, "Welcome bar!");
    // What they claim themselves does not count.
    let again = nginx.join_from(one, "pi", "198.51.100.2");
    assert_eq!(again.err(), Some(429));
}

#[test]
fn a_page_may_connect_only_to_its_own_host() {
    let server = TestServer::start();
    let nginx = Nginx::before(server.addr());
    let port = format!("{NAME}:{}", nginx.tls);
    for (host, origin, refused) in [
        (NAME, format!("https://{NAME}"), None),
        (&port, format!("https://{port}"), None),
        (NAME, format!("https://{port}"), Some(403)),
        (NAME, "https://evil.example".into(), Some(403)),
        (NAME, format!("http://{}", server.addr()), Some(403)),
    ] {
        let joined = nginx.join(host, &origin);
        assert_eq!(joined.as_ref().err(), refused.as_ref(), "{host} {origin}");
        if let Ok(mut socket) = joined {
            // The name is free again for the next one.
            socket.close(None).unwrap();
            while socket.read().is_ok() {}
        }
    }
}

#[test]
fn the_page_is_served_over_tls_and_request_bodies_are_refused() {
    let server = TestServer::start();
    let nginx = Nginx::before(server.addr());
    let ask = |target: &str| {
        nginx.request(&format!(
            "GET {target} HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n\r\n"
        ))
    };
    let page = ask("/");
    assert!(page.starts_with("HTTP/1.1 200"), "{page}");
    assert!(page.contains("<title>natterjack</title>"), "{page}");
    assert!(ask("/readyz").starts_with("HTTP/1.1 200"));
    assert!(ask("/chat/foo").starts_with("HTTP/1.1 426"));
    let mut tls = nginx.connect();
    let post = format!("POST / HTTP/1.1\r\nHost: {NAME}\r\nContent-Length: 100000\r\n\r\n");
    tls.write_all(post.as_bytes()).unwrap();
    let mut status = [0; 12];
    tls.read_exact(&mut status).unwrap();
    assert_eq!(&status, b"HTTP/1.1 413");
    let plain: SocketAddr = ([127, 0, 0, 1], nginx.plain).into();
    let request = format!("GET /x HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n\r\n");
    let mut raw = Raw::connect(plain);
    raw.send(request.as_bytes());
    raw.takes_until(format!("Location: https://{NAME}/x\r\n").as_bytes());
}

/// What somebody posts to the lobby through nginx, and the answer.
fn post(nginx: &Nginx, token: &str, text: &str) -> String {
    nginx.request(&format!(
        "POST /rooms/lobby HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n\
         Authorization: Bearer {token}\r\nContent-Length: {}\r\n\r\n{text}",
        text.len()
    ))
}

#[test]
fn the_longest_text_is_published_through_nginx() {
    let issuer = Issuer::hs256();
    let server = TestServer::with(|config| config.jwt_key = Some(issuer.file()));
    let nginx = Nginx::before(server.addr());
    let token = issuer.token("listener");
    let target = format!("/ws?user=listener&room=lobby&token={token}");
    let mut listener = Client::connect(server.addr(), &target);
    let door = issuer.token("door");
    // One byte, two, three and four for each character; tools such as curl add the line end.
    for letter in ["x", "\u{e9}", "\u{20ac}", "\u{1f98e}"] {
        let text = letter.repeat(4096);
        for end in ["", "\r\n"] {
            let answer = post(&nginx, &door, &format!("{text}{end}"));
            assert!(answer.starts_with("HTTP/1.1 200"), "{letter:?}: {answer}");
            listener.gets_at_last(json!({"type": "chat", "userId": "door", "text": text}));
        }
    }
    // What is longer is the server's to refuse: it says why.
    let answer = post(&nginx, &door, &"x".repeat(4097));
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    assert!(answer.contains("longer than 4096 characters"), "{answer}");
}

#[test]
fn nginx_and_the_server_have_the_same_limit_for_request_heads() {
    let server = TestServer::start();
    let nginx = Nginx::before(server.addr());
    // A browser sends the cookies of every port of a host, in one line.
    let cookie = "c".repeat(9 * 1024);
    let answer = nginx.request(&format!(
        "GET /readyz HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\nCookie: c={cookie}\r\n\r\n"
    ));
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}
