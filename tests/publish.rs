//! Publishing a message by plain HTTP: `curl -d "The door is open" …/rooms/lobby`.

use std::net::Shutdown;

use serde_json::json;

use crate::support::{Client, Issuer, Raw, Redis, TestServer, on_both_buses_with};

/// A request to publish, and its answer: status and body.
#[track_caller]
fn post(server: &TestServer, target: &str, token: &str, text: &[u8]) -> (u16, String) {
    let mut request = head(
        target,
        token,
        &format!("Content-Length: {}\r\n", text.len()),
    );
    request.extend_from_slice(text);
    Raw::request(server.addr(), &request)
}

fn head(target: &str, token: &str, more: &str) -> Vec<u8> {
    format!("POST {target} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n{more}\r\n")
        .into_bytes()
}

/// A listener who speaks the typed dialect, in this room.
#[track_caller]
fn listener(server: &TestServer, issuer: &Issuer, room: &str) -> Client {
    let token = issuer.token("listener");
    let target = format!("/ws?user=listener&room={room}&token={token}");
    let mut listener = Client::connect(server.addr(), &target);
    listener.gets(json!({"type": "welcome"}));
    listener.gets(json!({"type": "joined", "room": room}));
    listener
}

#[test]
fn a_posted_message_is_sent_to_the_room_and_logged() {
    let issuer = Issuer::es256();
    on_both_buses_with(
        |config| config.jwt_key = Some(issuer.file()),
        |server| {
            let door = issuer.token("door");
            let (status, first) = post(server, "/rooms/hall", &door, b"nobody is here yet");
            assert_eq!(status, 200, "{first}");
            let mut listener = listener(server, &issuer, "hall");
            let target = format!("/chat/ann?room=hall&token={}", issuer.token("ann"));
            let mut ann = Client::connect(server.addr(), &target);
            ann.hears("Welcome ann!");
            listener.gets(json!({"type": "presence", "userId": "ann"}));
            let (status, second) = post(server, "/rooms/hall?user=door", &door, b"I am open\r\n");
            assert_eq!(status, 200, "{second}");
            ann.hears("door: I am open");
            let heard = listener.gets(json!({
                "type": "chat", "room": "hall", "userId": "door", "text": "I am open"
            }));
            assert_eq!(format!("{}\n", heard["id"].as_str().unwrap()), second);
            // No name is claimed, nobody has come or gone, and the first one is in the log.
            listener.put(json!({"type": "who", "room": "hall"}));
            listener.gets(json!({"type": "who", "users": ["ann", "listener"]}));
            listener.put(json!({"type": "history", "room": "hall", "limit": 10}));
            let history = listener.gets(json!({"type": "history", "room": "hall"}));
            let logged = &history["messages"];
            assert_eq!(logged[0]["text"], "nobody is here yet");
            assert_eq!(logged[0]["id"], first.trim_end());
            assert_eq!(logged[1]["id"], second.trim_end());
            assert_eq!(logged[1]["userId"], "door");
        },
    );
}

#[test]
fn a_message_with_a_ref_may_be_sent_again() {
    let issuer = Issuer::hs256();
    on_both_buses_with(
        |config| config.jwt_key = Some(issuer.file()),
        |server| {
            let mut listener = listener(server, &issuer, "lobby");
            let door = issuer.token("door");
            let first = post(server, "/rooms/lobby?ref=a%201", &door, b"open");
            assert_eq!(first.0, 200);
            assert_eq!(post(server, "/rooms/lobby?ref=a+1", &door, b"open"), first);
            let second = post(server, "/rooms/lobby?ref=2", &door, b"closed");
            listener.gets(json!({"type": "chat", "text": "open"}));
            listener.gets(json!({"type": "chat", "text": "closed"}));
            assert_ne!(first, second);
            // On whichever connection: the token says whose it is.
            let target = format!("/ws?user=door&room=lobby&token={door}");
            let mut connected = Client::connect(server.addr(), &target);
            let chat = |text: &str, name: &str| json!({"type": "chat", "room": "lobby", "text": text, "ref": name});
            connected.put(chat("open", "a 1"));
            let ack = connected.hears_of("ack");
            assert_eq!(format!("{}\n", ack["id"].as_str().unwrap()), first.1);
            connected.leave();
            listener.gets(json!({"type": "presence", "userId": "door", "status": "online"}));
            listener.gets(json!({"type": "presence", "userId": "door", "status": "offline"}));
        },
    );
}

#[test]
fn it_reaches_the_peers_of_other_instances() {
    let issuer = Issuer::eddsa();
    let redis = Redis::start();
    let on = || {
        TestServer::on_with(redis.address(), |config| {
            config.jwt_key = Some(issuer.file())
        })
    };
    let (one, two) = (on(), on());
    let mut listener = listener(&one, &issuer, "hall");
    // The second instance has nobody in that room.
    let door = issuer.token("door");
    assert_eq!(post(&two, "/rooms/hall", &door, b"open").0, 200);
    listener.gets(json!({"type": "chat", "userId": "door", "text": "open"}));
    // Also when the poster has a connection of that name, which hears it as all others do.
    let target = format!("/chat/door?room=hall&token={door}");
    let mut connected = Client::connect(two.addr(), &target);
    connected.hears("Welcome door!");
    assert_eq!(post(&two, "/rooms/hall", &door, b"closed").0, 200);
    connected.hears("door: closed");
}

#[test]
fn an_invalid_post_is_refused_with_a_reason() {
    let issuer = Issuer::hs256();
    let server = issuer.serve();
    let mut listener = listener(&server, &issuer, "lobby");
    let door = issuer.token("door");
    let hall = issuer.sign(json!({"sub": "door", "rooms": ["hall"]}));
    let long = "x".repeat(4097);
    let wide = "日".repeat(5500);
    for (target, token, text, status, why) in [
        ("/rooms/lobby", "", "x", 401, "a token is needed"),
        ("/rooms/lobby", "a.b.c", "x", 401, "bad token"),
        ("/rooms/lobby", &hall, "x", 403, "room"),
        ("/rooms/lobby?user=ann", &door, "x", 403, "name"),
        ("/rooms/a%2Fb", &door, "x", 400, "bad room name"),
        ("/rooms/", &door, "x", 400, "bad room name"),
        ("/rooms/lobby?user=a:b", &door, "x", 400, "bad user name"),
        ("/rooms/lobby", &door, "", 400, "empty"),
        ("/rooms/lobby", &door, " \r\n", 400, "empty"),
        ("/rooms/lobby", &door, &long, 413, "4096 characters"),
        ("/rooms/lobby", &door, &wide, 413, "bytes"),
    ] {
        let (said, line) = post(&server, target, token, text.as_bytes());
        assert_eq!(said, status, "{target}: {line}");
        assert!(line.contains(why) && line.lines().count() == 1, "{line}");
    }
    assert_eq!(post(&server, "/rooms/lobby", &door, b"\xff").0, 400);
    let reference = format!("/rooms/lobby?ref={}", "x".repeat(257));
    assert_eq!(post(&server, &reference, &door, b"x").0, 400);
    for (more, status) in [
        ("", 411),
        ("Transfer-Encoding: chunked\r\n", 411),
        ("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", 411),
        ("Content-Length: x\r\n", 400),
        ("Content-Length: +1\r\n", 400),
        ("Content-Length: 1\r\nContent-Length: 2\r\n", 400),
        ("Content-Length: 99999999999999999999999\r\n", 413),
        ("Content-Length: 16387\r\nExpect: 100-continue\r\n", 413),
        ("Origin: http://evil.example\r\nContent-Length: 1\r\n", 403),
    ] {
        let (said, line) = Raw::request(server.addr(), &head("/rooms/lobby", &door, more));
        assert_eq!(said, status, "{more}: {line}");
    }
    for method in ["PUT", "DELETE", "PATCH"] {
        let mut raw = Raw::connect(server.addr());
        raw.send(format!("{method} /rooms/lobby HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes());
        let answer = String::from_utf8(raw.rest()).unwrap();
        assert!(
            answer.starts_with("HTTP/1.1 405 ")
                && answer.contains("\r\nAllow: GET, HEAD, POST, OPTIONS\r\n")
        );
    }
    assert_eq!(post(&server, "/rooms/lobby", &door, b"fence").0, 200);
    listener.gets(json!({"type": "chat", "text": "fence"}));
}

#[test]
fn without_a_key_nobody_may_post() {
    let server = TestServer::start();
    let (status, line) = post(&server, "/rooms/lobby", "x", b"x");
    assert_eq!(status, 401);
    assert!(line.contains("--jwt-key"), "{line}");
}

#[test]
fn a_body_may_come_late_in_pieces_or_not_at_all() {
    let issuer = Issuer::hs256();
    let server = issuer.serve();
    let mut listener = listener(&server, &issuer, "lobby");
    let door = issuer.token("door");
    let head = |more: &str| {
        head(
            "/rooms/lobby",
            &door,
            &format!("Content-Length: 5\r\n{more}"),
        )
    };

    let mut patient = Raw::connect(server.addr());
    patient.send(&head("Expect: 100-continue\r\n"));
    patient.takes_until(b"HTTP/1.1 100 Continue\r\n\r\n");
    patient.send(b"he");
    let mut cut = Raw::connect(server.addr());
    cut.send(&head(""));
    cut.send(b"shor");
    cut.stream().shutdown(Shutdown::Write).unwrap();
    assert_eq!(cut.answer().0, 400);
    patient.send(b"llo, and what is no part of it");
    assert_eq!(patient.answer().0, 200);
    listener.gets(json!({"type": "chat", "text": "hello"}));

    // Nobody waits for ever.
    let mut never = Raw::connect(server.addr());
    never.send(&head(""));
    assert_eq!(never.answer().0, 408);
}

#[test]
fn posts_without_a_body_do_not_block_peers() {
    let issuer = Issuer::hs256();
    let server = TestServer::with(|config| {
        config.jwt_key = Some(issuer.file());
        config.max_peers = 1;
    });
    let door = issuer.token("door");
    let waiting = head(
        "/rooms/lobby",
        &door,
        "Content-Length: 5\r\nExpect: 100-continue\r\n",
    );
    let waiting: Vec<Raw> = (0..20)
        .map(|_| {
            let mut raw = Raw::connect(server.addr());
            raw.send(&waiting);
            raw.takes_until(b"100 Continue\r\n\r\n");
            raw
        })
        .collect();
    let mut listener = listener(&server, &issuer, "lobby");
    assert_eq!(post(&server, "/rooms/lobby", &door, b"hello").0, 200);
    listener.gets(json!({"type": "chat", "text": "hello"}));
    drop(waiting);
}

#[test]
fn each_name_has_the_rate_of_a_peer() {
    let issuer = Issuer::hs256();
    let server = TestServer::with(|config| {
        config.jwt_key = Some(issuer.file());
        config.rate = 1;
    });
    let (door, bell) = (issuer.token("door"), issuer.token("bell"));
    let statuses = (0..20).map(|_| post(&server, "/rooms/lobby", &door, b"x").0);
    let statuses: Vec<u16> = statuses.collect();
    assert_eq!(statuses[..3], [200; 3]);
    assert!(statuses.contains(&429), "{statuses:?}");
    assert_eq!(post(&server, "/rooms/lobby", &bell, b"x").0, 200);
    let mut raw = Raw::connect(server.addr());
    let refused = loop {
        raw.send(&head("/rooms/lobby", &door, "Content-Length: 1\r\n"));
        raw.send(b"x");
        let answer = String::from_utf8(raw.rest()).unwrap();
        if answer.starts_with("HTTP/1.1 429") {
            break answer;
        }
        raw = Raw::connect(server.addr());
    };
    assert!(refused.contains("\r\nRetry-After: 1\r\n"), "{refused}");
}

#[test]
fn while_redis_is_away_a_post_gets_503_and_may_be_repeated() {
    let issuer = Issuer::hs256();
    let mut redis = Redis::start();
    let server = TestServer::on_with(redis.address(), |config| {
        config.jwt_key = Some(issuer.file());
        config.rate = 0;
    });
    let door = issuer.token("door");
    redis.kill();
    server.becomes(503);
    let mut waits = Raw::connect(server.addr());
    waits.send(&head("/rooms/lobby?ref=1", &door, "Content-Length: 4\r\n"));
    waits.send(b"open");
    let answer = waits.answer();
    assert_eq!(answer.0, 503, "{answer:?}");
    redis.restart();
    server.becomes(200);
    // It was published when Redis came back; that it is said again changes nothing.
    let again = post(&server, "/rooms/lobby?ref=1", &door, b"open");
    assert_eq!(again.0, 200);
    let mut listener = listener(&server, &issuer, "lobby");
    listener.put(json!({"type": "history", "room": "lobby", "limit": 10}));
    let history = listener.gets(json!({"type": "history"}));
    let logged = history["messages"].as_array().unwrap();
    assert_eq!(logged.len(), 1, "{history}");
    assert_eq!(logged[0]["id"], again.1.trim_end());
}
