//! Handshakes that go wrong, and garbage after them, cost nobody else anything.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ClientConfig;

use super::Secured;
use crate::support::{Raw, TestServer, eventually, free_port, upgrade};

#[test]
fn garbage_after_the_handshake_ends_its_sender_alone() {
    let secured = Secured::start();
    let mut ann = secured.join("ann");
    for garbage in [
        &b"\x17\x03\x03\x00\x20garbage that nobody has encrypted"[..],
        b"\0\0\0\0\0",
    ] {
        let bar = secured.join("bar");
        ann.hears("bar: has joined the chat!");
        bar.stream().write_all(garbage).unwrap();
        ann.hears("bar: has left the chat!");
    }
    // A record that is longer than any may be.
    let bar = secured.join("bar");
    ann.hears("bar: has joined the chat!");
    bar.stream().write_all(b"\x17\x03\x03\xff\xff").unwrap();
    ann.hears("bar: has left the chat!");
    ann.say("still here");
    secured.join("foo");
    ann.hears("foo: has joined the chat!");
}

#[test]
fn tls_and_plain_clients_on_the_wrong_port_are_told_so() {
    let secured = Secured::start();
    let (status, line) = Raw::request(secured.server.addr(), upgrade("foo").as_bytes());
    assert_eq!(
        (status, line.as_str()),
        (400, "this port speaks TLS: use https:// or wss://\n")
    );

    let plain = TestServer::start();
    let mut raw = Raw::connect(plain.addr());
    raw.send(&hello(&secured.config));
    let told = (
        400,
        "this port does not speak TLS: use http:// or ws://\n".into(),
    );
    assert_eq!(raw.answer(), told);
}

/// How a client begins.
fn hello(config: &Arc<ClientConfig>) -> Vec<u8> {
    let name = "localhost".try_into().unwrap();
    let mut hello = Vec::new();
    let mut client = rustls::ClientConnection::new(config.clone(), name).unwrap();
    client.write_tls(&mut hello).unwrap();
    hello
}

#[test]
fn an_unfinished_handshake_delays_nobody() {
    let metrics = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let secured = Secured::with(|config| config.metrics = Some(metrics));
    let hello = hello(&secured.config);
    let mut silent: Vec<_> = [0, 1, 5, hello.len() / 2, hello.len()]
        .map(|bytes| {
            let mut raw = Raw::connect(secured.server.addr());
            raw.send(&hello[..bytes]);
            raw
        })
        .into();
    let mut ann = secured.join("ann");
    let mut bar = secured.join("bar");
    ann.hears("bar: has joined the chat!");
    bar.say("hello");
    ann.hears("bar: hello");
    let answered = silent.pop().expect("the last");
    for mut raw in silent {
        assert_eq!(raw.rest(), b"", "nothing could be said");
    }
    let mut answered = answered;
    assert!(answered.rest().starts_with(b"\x16\x03\x03"), "our hello");
    // A message that would never be complete is not waited for at all.
    let mut endless = Raw::connect(secured.server.addr());
    let part = [
        &b"\x16\x03\x01\x40\x00\x01\x00\xff\xff"[..],
        &[0; 16 * 1024 - 4],
    ]
    .concat();
    endless.send(&part);
    endless.send(&part);
    endless.rest();
    // It hung up in the middle.
    let mut brief = Raw::connect(secured.server.addr());
    brief.send(&hello[..7]);
    drop(brief);
    let failed = |why: &str, count: usize| {
        let line = format!("natterjack_tls_failures_total{{reason=\"{why}\"}} {count}\n");
        eventually(&line, || {
            let page = Raw::get(metrics, "/metrics").1;
            page.contains(&line).then_some(())
        });
    };
    failed("it hung up", 1);
    failed("broken TLS", 1);
    failed("not done within 10 seconds", 4);
    let old = secured.openssl(&["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"]);
    let rsa = secured.openssl(&["-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256"]);
    assert!(!old.0 && !rsa.0);
    failed("no TLS version in common", 1);
    failed("no cipher in common", 1);
    secured.join("foo");
    ann.hears("foo: has joined the chat!");
}
