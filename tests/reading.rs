//! Reading a room by plain HTTP: `curl …/rooms/lobby`.

use natterjack::config::Origin;
use serde_json::{Value, json};

use crate::support::{Client, Issuer, Raw, Redis, TestServer, on_both_buses, on_both_buses_with};

/// What is read with this query, as JSON.
#[track_caller]
fn read(server: &TestServer, query: &str) -> Value {
    let (status, body) = Raw::get(server.addr(), &format!("/rooms/attic{query}"));
    assert_eq!(status, 200, "{query}: {body}");
    serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error} in {body:?}"))
}

/// The texts that are read with this query, and whether the log has all of them.
#[track_caller]
fn texts(server: &TestServer, query: &str) -> (String, bool) {
    let read = read(server, query);
    let messages = read["messages"].as_array().unwrap().iter();
    let texts: Vec<&str> = messages.map(|one| one["text"].as_str().unwrap()).collect();
    (texts.join(" "), read["complete"].as_bool().unwrap())
}

/// Says these texts in the attic, and returns their ids.
#[track_caller]
fn say(ann: &mut Client, texts: impl IntoIterator<Item = usize>) -> Vec<String> {
    let said = texts.into_iter().map(|n| {
        ann.put(json!({"type": "chat", "room": "attic", "text": n.to_string()}));
        let heard = ann.gets(json!({"type": "chat", "id": null}));
        heard["id"].as_str().unwrap().to_string()
    });
    said.collect()
}

/// The head of an answer, in lines, and its body.
fn ask(server: &TestServer, line: &str, headers: &str) -> (Vec<String>, String) {
    let mut raw = Raw::connect(server.addr());
    raw.send(format!("{line} HTTP/1.1\r\nHost: x\r\n{headers}\r\n").as_bytes());
    let all = String::from_utf8(raw.rest()).unwrap();
    let (head, body) = all.split_once("\r\n\r\n").unwrap();
    (head.lines().map(String::from).collect(), body.to_string())
}

fn header<'a>(head: &'a [String], name: &str) -> Option<&'a str> {
    let mut values = head.iter().filter_map(|line| line.split_once(": "));
    values
        .find(|(found, _)| *found == name)
        .map(|(_, value)| value)
}

#[test]
fn messages_are_read_from_either_end_of_the_log() {
    on_both_buses(|server| {
        let mut ann = server.typed_in("ann", "attic");
        let ids = say(&mut ann, 1..=5);
        let all = read(server, "");
        assert_eq!(all["room"], "attic");
        assert_eq!(all["last"], *ids[4]);
        let first = &all["messages"][0];
        let (id, ts) = (&ids[0], first["ts"].as_u64().unwrap());
        assert_eq!(
            *first,
            json!({"type": "chat", "room": "attic", "id": id, "ts": ts, "userId": "ann", "text": "1"})
        );
        let other_epoch = "since=1700000000000-3";
        let future = format!("since={}", ids[4].replace("-5", "-6"));
        let above = format!("before={}9", ids[4]);
        for (query, heard, complete) in [
            ("", "1 2 3 4 5", true),
            ("limit=100", "1 2 3 4 5", true),
            ("limit=2", "4 5", false),
            ("since=0-0&limit=2", "1 2", true),
            (&format!("since={}", ids[2]), "4 5", true),
            (&format!("since={}&limit=1", ids[2]), "4", true),
            (&format!("since={}", ids[4]), "", true),
            (&format!("before={}&limit=2", ids[3]), "2 3", false),
            (&format!("before={}", ids[3]), "1 2 3", true),
            (&format!("before={}", ids[0]), "", true),
            ("before=0-0", "", true),
            (&above, "1 2 3 4 5", true),
            (other_epoch, "1 2 3 4 5", false),
            (&future, "", false),
        ] {
            let query = format!("?{query}");
            assert_eq!(texts(server, &query), (heard.into(), complete), "{query}");
        }
        // Nobody has come or gone by that.
        ann.put(json!({"type": "who", "room": "attic"}));
        ann.gets(json!({"type": "who", "users": ["ann"]}));
    });
}

#[test]
fn a_room_where_nothing_was_said_is_empty() {
    on_both_buses(|server| {
        for query in ["", "?since=0-0", "?before=1700000000000-1", "?limit=1"] {
            let empty = json!({"room": "attic", "messages": [], "last": null, "complete": true});
            assert_eq!(read(server, query), empty, "{query}");
        }
        // Somebody who had heard something there has missed it.
        assert_eq!(texts(server, "?since=1700000000000-1"), ("".into(), false));
    });
}

#[test]
fn a_log_that_no_longer_reaches_back_is_not_complete() {
    on_both_buses_with(
        |config| config.history = 3,
        |server| {
            let mut ann = server.typed_in("ann", "attic");
            let ids = say(&mut ann, 1..=5);
            for (query, heard, complete) in [
                ("".to_string(), "3 4 5", false),
                (format!("since={}", ids[1]), "3 4 5", true),
                (format!("since={}", ids[0]), "3 4 5", false),
                ("since=0-0&limit=1".to_string(), "3", false),
                (format!("before={}", ids[2]), "", false),
            ] {
                let query = format!("?{query}");
                assert_eq!(texts(server, &query), (heard.into(), complete), "{query}");
            }
        },
    );
}

#[test]
fn an_answer_has_a_hundred_messages_or_64_kib() {
    on_both_buses_with(
        |config| config.rate = 0,
        |server| {
            let mut ann = server.typed_in("ann", "attic");
            let ids = say(&mut ann, 1..=120);
            let all = |query: &str| texts(server, query).0.split(' ').count();
            assert_eq!((all(""), all("?limit=100")), (50, 100));
            assert_eq!(all("?since=0-0"), 50);
            let long = "x".repeat(4000);
            for _ in 0..30 {
                ann.put(json!({"type": "chat", "room": "attic", "text": long}));
                ann.gets(json!({"type": "chat"}));
            }
            let (since, newest) = (format!("?since={}", ids[119]), all("?limit=30"));
            assert!((10..20).contains(&newest), "{newest}");
            assert!((10..20).contains(&all(&since)));
        },
    );
}

#[test]
fn a_bad_request_to_read_is_refused_with_a_reason() {
    let server = TestServer::start();
    for (target, why) in [
        ("/rooms/attic?since=x", "bad since"),
        ("/rooms/attic?since=", "bad since"),
        ("/rooms/attic?since=17", "bad since"),
        ("/rooms/attic?before=-1", "bad before"),
        ("/rooms/attic?since=1-1&before=1-2", "not both"),
        ("/rooms/attic?limit=0", "bad limit"),
        ("/rooms/attic?limit=101", "bad limit"),
        ("/rooms/attic?limit=-1", "bad limit"),
        ("/rooms/attic?limit=x", "bad limit"),
        ("/rooms/attic?limit=", "bad limit"),
        ("/rooms/attic?limit=99999999999999999999", "bad limit"),
        ("/rooms/a%2Fb", "bad room name"),
        ("/rooms/%40ann%40bar", "bad room name"),
        ("/rooms/", "bad room name"),
        ("/rooms/%FF", "not UTF-8"),
    ] {
        let (status, line) = Raw::get(server.addr(), target);
        assert_eq!(status, 400, "{target}: {line}");
        assert!(line.contains(why) && line.lines().count() == 1, "{line}");
    }
}

#[test]
fn a_reader_that_has_the_last_message_is_told_that_nothing_is_new() {
    on_both_buses(|server| {
        let mut ann = server.typed_in("ann", "attic");
        let (head, _) = ask(server, "GET /rooms/attic", "");
        assert_eq!(header(&head, "ETag"), None, "nothing was said: {head:?}");
        let ids = say(&mut ann, 1..=2);
        let (head, body) = ask(server, "GET /rooms/attic", "");
        let tag = format!("\"{}\"", ids[1]);
        assert_eq!(header(&head, "ETag"), Some(&*tag));
        assert_eq!(header(&head, "Content-Type"), Some("application/json"));
        assert_eq!(header(&head, "Cache-Control"), Some("no-cache"));
        assert_eq!(header(&head, "Vary"), Some("Accept"));
        let (only_head, nothing) = ask(server, "HEAD /rooms/attic", "");
        assert_eq!(
            header(&only_head, "Content-Length"),
            Some(&*body.len().to_string())
        );
        assert_eq!(header(&only_head, "ETag"), Some(&*tag));
        assert_eq!(nothing, "");
        for (known, status) in [
            (tag.clone(), "304"),
            (format!("\"x\", W/{tag}"), "304"),
            ("*".to_string(), "304"),
            (format!("\"{}\"", ids[0]), "200"),
        ] {
            let headers = format!("If-None-Match: {known}\r\n");
            let (head, body) = ask(server, "GET /rooms/attic?limit=1", &headers);
            assert_eq!(head[0].split(' ').nth(1), Some(status), "{known}");
            assert_eq!(body.is_empty(), status == "304");
            assert_eq!(header(&head, "ETag"), Some(&*tag));
            assert_eq!(header(&head, "Cache-Control"), Some("no-cache"));
        }
        say(&mut ann, [3]);
        let (head, _) = ask(
            server,
            "GET /rooms/attic",
            &format!("If-None-Match: {tag}\r\n"),
        );
        assert!(head[0].ends_with(" 200 OK"), "{head:?}");
    });
}

#[test]
fn where_tokens_are_needed_only_the_rooms_of_the_token_are_read() {
    let issuer = Issuer::es256();
    let server = issuer.serve();
    let hall = issuer.sign(json!({"sub": "door", "rooms": ["hall"]}));
    for (room, token, status) in [
        ("hall", "", 401),
        ("hall", "?token=a.b.c", 401),
        ("attic", &*format!("?token={hall}"), 403),
        ("hall", &*format!("?token={hall}"), 200),
    ] {
        let (said, line) = Raw::get(server.addr(), &format!("/rooms/{room}{token}"));
        assert_eq!(said, status, "{line}");
    }
    let bearer = format!("Authorization: Bearer {}\r\n", issuer.token("ann"));
    let (head, _) = ask(&server, "GET /rooms/attic", &bearer);
    assert!(head[0].ends_with(" 200 OK"), "{head:?}");
}

#[test]
fn a_page_of_an_allowed_site_may_read() {
    let server = TestServer::with(|config| {
        config.origins = vec![Origin::parse("https://friend.example").unwrap()];
    });
    let friend = "Origin: https://friend.example\r\n";
    let (head, _) = ask(&server, "GET /rooms/attic", friend);
    let allowed = header(&head, "Access-Control-Allow-Origin");
    assert_eq!(allowed, Some("https://friend.example"));
    let exposed = header(&head, "Access-Control-Expose-Headers").unwrap();
    assert!(exposed.contains("ETag"), "{exposed}");
    let (head, _) = ask(
        &server,
        "GET /rooms/attic",
        "Origin: https://evil.example\r\n",
    );
    assert!(head[0].contains(" 403 "), "{head:?}");
    let (head, _) = ask(&server, "OPTIONS /rooms/attic", friend);
    assert!(
        header(&head, "Allow").unwrap().contains("GET, HEAD"),
        "{head:?}"
    );
    let methods = header(&head, "Access-Control-Allow-Methods").unwrap();
    assert!(methods.contains("GET"), "{methods}");
}

#[test]
fn while_redis_is_away_a_reader_is_told_to_come_back() {
    let mut redis = Redis::start();
    let server = TestServer::on(&redis);
    redis.kill();
    server.becomes(503);
    let (head, body) = ask(&server, "GET /rooms/attic", "");
    assert!(head[0].contains(" 503 ") && header(&head, "Retry-After").is_some());
    assert_eq!(body.lines().count(), 1);
    redis.restart();
    server.becomes(200);
    assert_eq!(texts(&server, ""), ("".into(), true));
}
