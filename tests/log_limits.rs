//! How much the logs of all rooms may take: new rooms of one name, and all logs together.

use serde_json::json;

use crate::support::{Client, Issuer, Raw, Redis, TestServer, eventually, on_both_buses_with};

/// Joins a room, says something there, and leaves it. Returns the error's code, if there was one.
fn speak_in(client: &mut Client, room: &str) -> Option<String> {
    client.put(json!({"type": "join", "room": room}));
    client.gets_at_last(json!({"type": "joined", "room": room}));
    client.put(json!({"type": "chat", "room": room, "text": "hello", "ref": room}));
    let code = loop {
        let answer = client.object();
        if answer["ref"] == room {
            break answer["code"].as_str().map(str::to_string);
        }
    };
    client.put(json!({"type": "leave", "room": room}));
    code
}

#[test]
fn a_name_can_speak_in_100_new_rooms_and_then_in_one_more_every_ten_seconds() {
    let fast = |config: &mut natterjack::config::Config| config.rate = 100_000;
    on_both_buses_with(fast, |server| {
        let mut ann = server.typed("ann");
        let mut begun = 0;
        while speak_in(&mut ann, &format!("room {begun}")).is_none() {
            begun += 1;
        }
        // It takes some time, in which more rooms are allowed.
        assert!((100..200).contains(&begun), "{begun}");
        // Also after a reconnect, but not in rooms with messages, and not under other names.
        ann.leave();
        let mut ann = server.typed("ann");
        assert_eq!(speak_in(&mut ann, "room 0"), None);
        let refused = (0..20).filter(|n| {
            let code = speak_in(&mut ann, &format!("another {n}"));
            code.as_deref() == Some("rate_limited")
        });
        assert!(refused.count() > 0);
        assert_eq!(speak_in(&mut server.typed("bob"), "new"), None);
    });
}

#[test]
fn rooms_that_are_begun_by_http_count_too() {
    let issuer = Issuer::hs256();
    let with_tokens = |config: &mut natterjack::config::Config| {
        (config.rate, config.jwt_key) = (100_000, Some(issuer.file()));
    };
    on_both_buses_with(with_tokens, |server| {
        let token = issuer.token("door");
        let post = |room: &str| {
            let request = format!(
                "POST /rooms/{room} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\
                 Content-Length: 5\r\n\r\nhello"
            );
            let mut connection = Raw::connect(server.addr());
            connection.send(request.as_bytes());
            String::from_utf8(connection.rest()).unwrap()
        };
        let begun = |n: &usize| post(&format!("room{n}")).starts_with("HTTP/1.1 200");
        let begun = (0..200).take_while(begun).count();
        assert!((100..200).contains(&begun), "{begun}");
        // In a room with messages it may go on.
        assert!(post("room0").starts_with("HTTP/1.1 200"));
        let refused = (0..20).map(|n| post(&format!("another{n}")));
        let refused = refused.filter(|answer| answer.starts_with("HTTP/1.1 429"));
        let refused: Vec<_> = refused.collect();
        assert!(
            refused[0].contains("\r\nRetry-After: 10\r\n"),
            "{refused:?}"
        );
        assert!(refused[0].contains("too many new rooms"), "{refused:?}");
    });
}

#[test]
fn the_logs_that_were_silent_longest_are_deleted_when_all_take_too_much() {
    let redis = Redis::start();
    let server = TestServer::on_with(redis.address(), |config| {
        config.max_history = Some(256 * 1024);
        config.rate = 0;
    });
    let mut ann = server.typed("ann");
    let (mut first, mut last) = (String::new(), String::new());
    let text = "x".repeat(4000);
    for room in ["old", "new"] {
        ann.put(json!({"type": "join", "room": room}));
        ann.gets_at_last(json!({"type": "joined", "room": room}));
        for n in 0..40 {
            let n = n.to_string();
            ann.put(json!({"type": "chat", "room": room, "text": text, "ref": n}));
            let ack = ann.gets_at_last(json!({"type": "ack", "ref": n}));
            last = ack["id"].as_str().unwrap().to_string();
            if first.is_empty() {
                first = last.clone();
            }
        }
        let log = format!("{{chat:{room}}}:log");
        if room == "old" {
            // It is within the bound, and has been measured.
            eventually("the first log is measured", || {
                let sizes = redis.command(&["HGET", "{chat-users}:log-sizes", room]);
                (!sizes.starts_with("$-1")).then_some(())
            });
            assert_eq!(redis.command(&["EXISTS", &log]), ":1\r\n");
        }
    }
    eventually("the old log is deleted", || {
        let exists = redis.command(&["EXISTS", "{chat:old}:log"]);
        exists.starts_with(":0").then_some(())
    });
    assert_eq!(redis.command(&["EXISTS", "{chat:new}:log"]), ":1\r\n");
    // Who comes back is told, and ids go on.
    let mut bob = server.typed("bob");
    bob.put(json!({"type": "join", "room": "old", "since": first}));
    let joined = bob.gets(json!({"type": "joined", "room": "old", "complete": false}));
    let next = joined["last"].as_str().unwrap().replace("-40", "-41");
    bob.put(json!({"type": "chat", "room": "old", "text": "hello"}));
    bob.gets(json!({"type": "chat", "room": "old", "id": next}));
    // In the other room nothing is missing.
    bob.put(json!({"type": "join", "room": "new", "since": last}));
    bob.gets_at_last(json!({"type": "joined", "room": "new", "complete": true}));
}
