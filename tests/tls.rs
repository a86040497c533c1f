//! `wss://` and `https://` without a proxy in front: everything works as it does without.

mod handshakes;

use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::sync::Arc;

use natterjack::config::Config;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, HandshakeKind};
use serde_json::json;
use tungstenite::Message;

use crate::support::{Certs, Client, Page, TestServer, frame, secure};

/// A server that speaks TLS, and what its clients share.
struct Secured {
    server: TestServer,
    certs: Certs,
    config: Arc<ClientConfig>,
}

impl Secured {
    fn start() -> Secured {
        Secured::with(|_| {})
    }

    fn with(set: impl FnOnce(&mut Config)) -> Secured {
        let certs = Certs::for_host("localhost");
        let server = TestServer::with(|config| {
            (config.tls_cert, config.tls_key) = certs.files();
            set(config);
        });
        let config = secure::trusting(&certs, &[&TLS13, &TLS12]);
        Secured {
            server,
            certs,
            config,
        }
    }

    #[track_caller]
    fn connect(&self, target: &str) -> Client {
        Client::secure(self.server.addr(), target, &self.config)
    }

    #[track_caller]
    fn join(&self, user: &str) -> Client {
        let mut client = self.connect(&format!("/chat/{user}"));
        client.hears(&format!("Welcome {user}!"));
        client
    }

    fn get(&self, target: &str) -> (u16, String) {
        let mut stream = secure::connect(self.server.addr(), &self.config).unwrap();
        secure::get(&mut stream, target)
    }

    /// Runs `openssl s_client` with these words; whether there was a handshake, and what was said.
    fn openssl(&self, words: &[&str]) -> (bool, String) {
        let output = Command::new("openssl")
            .args(["s_client", "-connect", &self.server.addr().to_string()])
            .args(words)
            .stdin(Stdio::null())
            .output()
            .expect("openssl must be installed: apt-get install openssl");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.success(), said)
    }
}

#[test]
fn every_dialect_and_every_page_is_served() {
    let secured = Secured::start();
    let mut foo = secured.join("foo");
    let mut ann = secured.connect("/ws?user=ann");
    ann.gets(json!({"type": "welcome", "userId": "ann"}));
    ann.put(json!({"type": "join", "room": "lobby"}));
    ann.gets(json!({"type": "joined", "users": ["ann", "foo"]}));
    foo.hears("ann: has joined the chat!");
    let mut pi = secured.connect("/ws");
    pi.put(json!({"username": "pi", "message": "anybody?"}));
    foo.hears("pi: has joined the chat!");
    foo.hears("pi: anybody?");
    ann.gets_at_last(json!({"type": "chat", "userId": "pi", "text": "anybody?"}));
    foo.say("hello");
    ann.gets(json!({"type": "chat", "userId": "foo", "text": "hello"}));
    pi.gets(json!({"username": "pi"}));
    pi.gets(json!({"username": "foo", "message": "hello"}));
    foo.leave();
    ann.gets(json!({"type": "presence", "userId": "foo", "status": "offline"}));

    assert_eq!(secured.get("/healthz"), (200, "ok\n".into()));
    assert_eq!(secured.get("/nowhere").0, 404);
    let (status, page) = secured.get("/");
    assert!(status == 200 && page.contains("<title>natterjack</title>"));
}

#[test]
fn clients_that_offer_only_http_1_0_are_served_too() {
    let secured = Secured::start();
    for (offered, chosen) in [
        (&["http/1.0"][..], Some("http/1.0")),
        (&["http/1.0", "http/1.1"], Some("http/1.1")),
        (&["h2", "http/1.1"], Some("http/1.1")),
        (&[], None),
    ] {
        let mut config = (*secured.config).clone();
        config.alpn_protocols = offered
            .iter()
            .map(|name| name.as_bytes().to_vec())
            .collect();
        let mut stream = secure::connect(secured.server.addr(), &Arc::new(config)).unwrap();
        assert_eq!(stream.conn.alpn_protocol(), chosen.map(str::as_bytes));
        assert_eq!(secure::get(&mut stream, "/healthz").0, 200, "{offered:?}");
    }
}

#[test]
fn the_page_chats_over_it_in_a_browser() {
    let secured = Secured::start();
    let mut foo = secured.join("foo");
    let page = Page::open_as("https", secured.server.addr(), "/");
    page.fill("Name", "ann");
    page.press("Join");
    page.has("Message");
    foo.hears("ann: has joined the chat!");
    page.say("hello from a page");
    foo.hears("ann: hello from a page");
    foo.say("hello page");
    page.shows("hello page");
    assert_eq!(page.foreign_urls(), [""; 0]);
}

#[test]
fn only_safe_versions_and_ciphers_are_accepted() {
    let secured = Secured::start();
    let speaks = |words: &[&str]| secured.openssl(words).0;
    assert!(speaks(&["-tls1_3"]) && speaks(&["-tls1_2"]));
    for old in ["-tls1", "-tls1_1"] {
        // This openssl itself would speak it, if it were offered.
        let (spoken, said) = secured.openssl(&[old, "-cipher", "ALL:@SECLEVEL=0"]);
        assert!(!spoken && said.contains("CONNECTED"), "{old}: {said}");
    }
    let known = |words: &[&str]| {
        let all = Command::new("openssl").arg("ciphers").args(words).output();
        let all = String::from_utf8(all.unwrap().stdout).unwrap();
        let all = all.trim().split(':').map(String::from);
        all.collect::<Vec<_>>()
    };
    let spoken = |flags: [&str; 2], names: Vec<String>| {
        let spoken = |name: &String| speaks(&[flags[0], flags[1], name]);
        let mut names: Vec<_> = names.into_iter().filter(spoken).collect();
        names.sort();
        names
    };
    let all = known(&["-s", "-tls1_2", "ALL:COMPLEMENTOFALL:@SECLEVEL=0"]);
    assert!(all.len() > 20, "{all:?}");
    assert_eq!(
        spoken(["-tls1_2", "-cipher"], all),
        [
            "ECDHE-ECDSA-AES128-GCM-SHA256",
            "ECDHE-ECDSA-AES256-GCM-SHA384",
            "ECDHE-ECDSA-CHACHA20-POLY1305",
        ]
    );
    let all = [
        "TLS_AES_128_CCM_8_SHA256",
        "TLS_AES_128_CCM_SHA256",
        "TLS_AES_128_GCM_SHA256",
        "TLS_AES_256_GCM_SHA384",
        "TLS_CHACHA20_POLY1305_SHA256",
    ];
    let all = all.map(String::from).to_vec();
    assert_eq!(spoken(["-tls1_3", "-ciphersuites"], all.clone()), all[2..]);
}

#[test]
fn the_whole_chain_is_sent() {
    let certs = Certs::in_a_chain("localhost");
    let server = TestServer::with(|config| (config.tls_cert, config.tls_key) = certs.files());
    let config = secure::trusting(&certs, &[&TLS13]);
    // Only the CA is known here: without the certificate between there would be no trust.
    let stream = secure::connect(server.addr(), &config).unwrap();
    assert_eq!(secure::chain(&stream).len(), 2);
    assert_eq!(stream.conn.alpn_protocol(), Some(&b"http/1.1"[..]));
}

#[test]
fn clients_that_name_no_host_are_accepted() {
    let secured = Secured::start();
    let ca = secured.certs.path("ca.pem").display().to_string();
    let (spoken, said) =
        secured.openssl(&["-noservername", "-CAfile", &ca, "-verify_return_error"]);
    assert!(spoken && said.contains("Verify return code: 0"), "{said}");
}

#[test]
fn a_tls_session_is_resumed_by_a_ticket() {
    let secured = Secured::start();
    for version in [&TLS13, &TLS12] {
        let config = secure::trusting(&secured.certs, &[version]);
        for kind in [HandshakeKind::Full, HandshakeKind::Resumed] {
            let mut stream = secure::connect(secured.server.addr(), &config).unwrap();
            assert_eq!(secure::get(&mut stream, "/healthz").0, 200);
            assert_eq!(stream.conn.handshake_kind(), Some(kind), "{version:?}");
        }
    }
}

#[test]
fn long_messages_reach_many_whole_and_in_order() {
    let secured = Secured::with(|config| config.rate = 0);
    let mut crowd: Vec<_> = (0..24)
        .map(|number| {
            // Half of them speak the older version.
            let version = if number % 2 == 0 { &TLS13 } else { &TLS12 };
            let config = secure::trusting(&secured.certs, &[version]);
            let target = format!("/chat/peer-{number}?room=hall");
            let mut client = Client::secure(secured.server.addr(), &target, &config);
            client.hears(&format!("Welcome peer-{number}!"));
            client
        })
        .collect();
    let mut author = secured.connect("/chat/author?room=hall");
    author.hears("Welcome author!");
    // Three bytes each: longer than what one read takes, and several to a record.
    let text = |number: usize| format!("{number:04}{}", "\u{1f438}".repeat(4000));
    const COUNT: usize = 40;
    std::thread::scope(|scope| {
        for client in &mut crowd {
            scope.spawn(move || {
                client.hears_at_last("author: has joined the chat!");
                for number in 0..COUNT {
                    client.hears(&format!("author: {}", text(number)));
                }
            });
        }
        for number in 0..COUNT {
            author.say(&text(number));
        }
    });
}

#[test]
fn a_slow_reader_is_closed_and_delays_nobody() {
    let secured = Secured::with(|config| {
        config.rate = 0;
        config.outbox = 64 * 1024;
    });
    let mut slow = secured.join("slow");
    slow.keeps_little();
    let mut author = secured.join("author");
    let mut ann = secured.join("ann");
    author.hears("ann: has joined the chat!");
    slow.hears("author: has joined the chat!");
    slow.hears("ann: has joined the chat!");
    let text = "x".repeat(4000);
    let said = format!("author: {text}");
    loop {
        author.say(&text);
        match ann.next() {
            heard if heard == said => {}
            heard => {
                assert_eq!(heard, "slow: has left the chat!");
                break ann.hears(&said);
            }
        }
    }
    slow.is_closed(1013);
}

#[test]
fn pings_and_close_frames_work_as_without_tls() {
    let mut secured = Secured::with(|config| config.ping = 1);
    let mut ann = secured.join("ann");
    assert!(matches!(ann.frame(), Message::Ping(_)));
    // What is sent by half a byte at a time arrives, too.
    let mut bar = secured.join("bar");
    ann.hears("bar: has joined the chat!");
    for byte in frame(0x81, b"piecemeal") {
        bar.tls().write_all(&[byte]).unwrap();
    }
    ann.hears("bar: piecemeal");
    bar.send(Message::binary(b"\0".to_vec()));
    bar.is_closed(1003);
    ann.hears("bar: has left the chat!");
    let mut bar = secured.join("bar");
    bar.flood(1, &"x".repeat(17 * 1024));
    bar.is_closed(1009);
    ann.hears("bar: has joined the chat!");
    ann.hears("bar: has left the chat!");
    secured.server.begin_to_stop();
    ann.is_closed(1001);
}

#[test]
fn the_end_of_a_connection_is_announced_by_close_notify() {
    let secured = Secured::start();
    // After an answer: `get` insists on it. After a chat:
    let mut foo = secured.join("foo");
    foo.tls().write_all(&frame(0x88, &[0x03, 0xe8])).unwrap();
    let mut rest = Vec::new();
    foo.tls()
        .read_to_end(&mut rest)
        .expect("a word that this is all");
    assert_eq!(rest, [0x88, 2, 0x03, 0xe8]);
    // A bare close_notify is an end as well.
    let mut ann = secured.join("ann");
    let mut bar = secured.join("bar");
    ann.hears("bar: has joined the chat!");
    bar.tls().conn.send_close_notify();
    bar.tls().flush().unwrap();
    ann.hears("bar: has left the chat!");
}

#[test]
fn keys_are_updated_during_a_connection() {
    let secured = Secured::start();
    let mut ann = secured.join("ann");
    let mut bar = secured.join("bar");
    ann.hears("bar: has joined the chat!");
    for text in ["one", "two", "three"] {
        bar.tls().conn.refresh_traffic_keys().unwrap();
        bar.say(text);
        ann.hears(&format!("bar: {text}"));
        ann.say(text);
        bar.hears(&format!("ann: {text}"));
    }
}
