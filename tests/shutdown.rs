//! Stopping in good order.

use std::io::ErrorKind;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{Client, Program, Raw, Redis, TestServer, upgrade};

#[test]
fn every_peer_is_closed_with_1001() {
    let redis = Redis::start();
    for mut server in [TestServer::start(), TestServer::on(&redis)] {
        let mut foo = server.join("foo");
        let mut bar = server.join_room("bar", "attic");
        let mut pi = server.join("pi");
        foo.hears("pi: has joined the chat!");
        pi.say("last words");
        foo.hears("pi: last words");
        server.begin_to_stop();
        foo.is_closed(1001);
        bar.is_closed(1001);
        pi.is_closed(1001);
        let addr = server.addr();
        server.stop();
        assert_eq!(
            TcpStream::connect(addr).unwrap_err().kind(),
            ErrorKind::ConnectionRefused
        );
    }
}

#[test]
fn a_request_in_progress_is_answered_before_the_server_stops() {
    let redis = Redis::start();
    // On one thread, connections get their places in the order in which they ask.
    let mut server = TestServer::on_with(redis.address(), |config| {
        config.max_peers = 1;
        config.threads = 1;
    });
    // Its name can't be claimed now, so it stays on its way in.
    redis.freeze();
    let mut foo = Raw::connect(server.addr());
    foo.send(upgrade("foo").as_bytes());
    assert_eq!(Raw::get(server.addr(), "/healthz").0, 200);
    let (status, why) = Raw::request(server.addr(), upgrade("bar").as_bytes());
    assert_eq!((status, why.contains("too many peers")), (503, true));
    server.begin_to_stop();
    let all = foo.rest();
    redis.thaw();
    let text = String::from_utf8_lossy(&all);
    assert!(text.starts_with("HTTP/1.1 101 "), "{text:?}");
    assert!(
        all.windows(4)
            .any(|frame| frame[0] == 0x88 && frame[2..] == 1001_u16.to_be_bytes())
    );
}

#[test]
fn names_are_given_back_and_others_hear_of_it() {
    let redis = Redis::start();
    let (one, two) = (TestServer::on(&redis), TestServer::on(&redis));
    let mut foo = one.join("foo");
    let _bar = two.join("bar");
    let _pi = two.join_room("pi", "attic");
    foo.hears("bar: has joined the chat!");
    two.stop();
    foo.hears("bar: has left the chat!");
    assert_eq!(redis.list(&["SMEMBERS", "chat-users"]), ["foo"]);
    assert_eq!(redis.command(&["HLEN", "{chat:attic}:roster"]), ":0\r\n");
    assert_eq!(redis.command(&["ZCARD", "{chat-users}:leases"]), ":1\r\n");
    foo.say("/who");
    foo.hears("in lobby: foo");
}

#[test]
fn a_rolling_restart_loses_nothing() {
    let redis = Redis::start();
    let start = || TestServer::on_with(redis.address(), |config| config.rate = 0);
    let mut servers = vec![start(), start()];
    // A peer that keeps sending.
    let speakers = TestServer::on_with(redis.address(), |config| config.rate = 0);
    let mut ann = speakers.typed_in("ann", "attic");
    let mut said = 0;
    let mut talk = || {
        for _ in 0..20 {
            said += 1;
            let message = json!({"type": "chat", "room": "attic", "text": said.to_string(), "ref": said.to_string()});
            ann.put(message);
        }
        ann.put(json!({"type": "chat", "room": "cellar", "text": "x", "ref": "fence"}));
        ann.hears_of("error");
    };
    let mut since = json!("0-0");
    let mut heard = 0;
    let mut listen = |server: &mut TestServer, talk: &mut dyn FnMut()| {
        let mut bob = server.typed("bob");
        bob.put(json!({"type": "join", "room": "attic", "since": since}));
        bob.gets(json!({"type": "joined", "complete": true}));
        talk();
        server.begin_to_stop();
        // Hears on until it is closed, and remembers how far it came.
        while let Some(object) = bob.object_or_close(1001) {
            if object["type"] == "chat" {
                heard += 1;
                assert_eq!(object["text"], heard.to_string());
                since = object["id"].clone();
            }
        }
        talk();
    };
    for n in 0..4 {
        let mut old = servers.remove(0);
        listen(&mut old, &mut talk);
        old.stop();
        servers.push(start());
        assert_eq!(servers.len(), 2, "restart {n}");
    }
    let mut bob = servers[0].typed("bob");
    bob.put(json!({"type": "join", "room": "attic", "since": since}));
    bob.gets(json!({"type": "joined", "complete": true}));
    while heard < said {
        let object = bob.object();
        if object["type"] == "chat" {
            heard += 1;
            assert_eq!(object["text"], heard.to_string());
        }
    }
}

#[test]
fn messages_that_can_not_be_published_any_more_are_refused() {
    let mut redis = Redis::start();
    let mut server = TestServer::on(&redis);
    let mut ann = server.typed_in("ann", "attic");
    let mut foo = server.join_room("foo", "attic");
    ann.gets(json!({"type": "presence"}));
    redis.kill();
    server.becomes(503);
    ann.gets(json!({"type": "status", "bus": "waiting"}));
    ann.put(json!({"type": "chat", "room": "attic", "text": "hello?", "ref": "r1"}));
    foo.say("is there anybody?");
    ann.put(json!({"type": "chat", "room": "attic", "text": " ", "ref": "fence"}));
    ann.gets(json!({"type": "error", "code": "empty"}));
    server.begin_to_stop();
    ann.gets(json!({"type": "error", "code": "unavailable", "ref": "r1"}));
    ann.is_closed(1001);
    foo.hears("error: this can't be done right now, please try again later");
    foo.is_closed(1001);
}

#[test]
fn a_signal_ends_the_program_in_time_although_a_peer_does_not_read() {
    let redis = Redis::start();
    for (signal, flags) in [
        ("TERM", vec![]),
        ("INT", vec!["--redis".to_string(), redis.url()]),
    ] {
        let mut flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        flags.extend(["--rate", "0"]);
        let mut program = Program::start(&flags);
        let addr = program.addr();
        let mut foo = Client::connect(addr, "/chat/foo");
        foo.hears("Welcome foo!");
        // Reads nothing, and has much to read.
        let deaf = Raw::join(addr, "deaf");
        foo.hears("deaf: has joined the chat!");
        let text = "x".repeat(4000);
        for _ in 0..200 {
            foo.say(&text);
        }
        // Says nothing, not even a request.
        let silent = Raw::connect(addr);
        foo.say("/who");
        foo.hears("in lobby: deaf, foo");
        let started = Instant::now();
        program.signal(signal);
        foo.is_closed(1001);
        assert!(program.wait().success());
        assert!(
            started.elapsed() < Duration::from_secs(10),
            "ten seconds are promised"
        );
        drop((deaf, silent));
    }
    assert_eq!(redis.list(&["SMEMBERS", "chat-users"]), [""; 0]);
}

#[test]
fn a_second_signal_ends_at_once() {
    let mut program = Program::start(&[]);
    let addr = program.addr();
    // Keeps the first stop busy: it never answers the close.
    let mut deaf = Raw::join(addr, "deaf");
    program.signal("TERM");
    program.logs("stopping");
    deaf.takes_until(&[0x88]);
    program.signal("TERM");
    assert!(program.wait().success());
}

#[test]
fn an_unreachable_redis_does_not_keep_it_from_stopping() {
    let mut redis = Redis::start();
    let mut program = Program::start(&["--redis", &redis.url()]);
    let addr = program.addr();
    let mut foo = Client::connect(addr, "/chat/foo");
    foo.hears("Welcome foo!");
    redis.kill();
    program.logs("warn: redis");
    let started = Instant::now();
    program.signal("TERM");
    foo.is_closed(1001);
    assert!(program.wait().success());
    assert!(
        started.elapsed() < Duration::from_secs(10),
        "ten seconds are promised"
    );
}
