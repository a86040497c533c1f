//! Following a room by plain HTTP: `curl -N -H 'Accept: text/event-stream' …/rooms/lobby`.

use natterjack::config::Origin;
use serde_json::json;

use crate::support::{
    Follower, Issuer, Raw, Redis, TestServer, on_both_buses, on_both_buses_with, soon,
};

const STREAM: &str = "Accept: text/event-stream\r\n";

/// Follows the attic with this query.
#[track_caller]
fn follow(server: &TestServer, query: &str) -> Follower {
    Follower::open(server.addr(), &format!("/rooms/attic{query}"), "")
}

/// What a request to follow is refused with.
#[track_caller]
fn refused(server: &TestServer, target: &str, headers: &str) -> (u16, String) {
    let request = format!("GET {target} HTTP/1.1\r\nHost: x\r\n{STREAM}{headers}\r\n");
    Raw::request(server.addr(), request.as_bytes())
}

#[test]
fn a_follower_hears_what_is_said_and_who_comes_and_goes() {
    on_both_buses(|server| {
        let mut ann = server.typed_in("ann", "attic");
        let mut follower = follow(server, "");
        for line in [
            "Content-Type: text/event-stream",
            "Cache-Control: no-store",
            "X-Accel-Buffering: no",
            "Connection: close",
        ] {
            let head = &follower.head;
            assert!(head.iter().any(|one| one == line), "{line}: {head:?}");
        }
        let joined = follower.hears("joined");
        let empty = json!({"room": "attic", "last": null, "complete": true});
        assert_eq!(joined.data, empty);
        ann.put(json!({"type": "chat", "room": "attic", "text": "one\ntwo"}));
        let heard = ann.gets(json!({"type": "chat"}));
        let chat = follower.hears("chat");
        assert_eq!(chat.data, heard);
        assert_eq!(chat.id.as_deref(), heard["id"].as_str());
        // Text and simple peers are heard alike, private messages by nobody else.
        let mut bob = server.join_room("bob", "attic");
        ann.gets(json!({"type": "presence", "userId": "bob"}));
        bob.say("/msg ann psst");
        ann.gets(json!({"type": "chat", "to": "ann"}));
        bob.say("three");
        ann.gets(json!({"type": "chat", "text": "three"}));
        drop(bob);
        ann.gets(json!({"type": "presence", "status": "offline"}));
        let came =
            json!({"type": "presence", "room": "attic", "userId": "bob", "status": "online"});
        let presence = follower.hears("presence");
        assert_eq!((presence.data, presence.id), (came, None));
        follower.hears_texts(&["three"]);
        assert_eq!(follower.hears("presence").data["status"], "offline");
        // Nobody has seen the follower come, and it is on no list.
        let mut second = follow(server, "");
        assert_eq!(
            second.hears("joined").data["last"]
                .as_str()
                .map(|id| id.ends_with("-2")),
            Some(true)
        );
        ann.put(json!({"type": "who", "room": "attic"}));
        ann.gets(json!({"type": "who", "users": ["ann"], "count": 1}));
        ann.put(json!({"type": "chat", "room": "attic", "text": "four"}));
        second.hears_texts(&["four"]);
        follower.hears_texts(&["four"]);
    });
}

#[test]
fn a_follower_that_comes_back_hears_what_it_missed_once() {
    on_both_buses_with(
        |config| config.history = 3,
        |server| {
            let mut ann = server.typed_in("ann", "attic");
            let mut say = |text: &str| ann.says_in("attic", text);
            // Cut off before the first message: what it has got is an id all the same.
            let before = follow(server, "").hears("joined").id.unwrap();
            let ids = ["1", "2", "3"].map(&mut say);
            let came_back = |query: &str, last: Option<&str>| {
                let last = last.map(|id| format!("Last-Event-ID: {id}\r\n"));
                let target = format!("/rooms/attic{query}");
                let mut follower =
                    Follower::open(server.addr(), &target, &last.unwrap_or_default());
                let joined = follower.hears("joined").data;
                (follower, joined["complete"].as_bool().unwrap())
            };
            let since = |id: &str| format!("?since={id}");
            let future = ids[2].replace("-3", "-4");
            let mut all = Vec::new();
            for (query, last, missed, complete) in [
                (String::new(), None, &[][..], true),
                (String::new(), Some(&*before), &["1", "2", "3"], true),
                (since(&ids[0]), None, &["2", "3"], true),
                (since("0-0"), None, &["1", "2", "3"], true),
                // A browser repeats the address and adds what it has heard.
                (since(&ids[0]), Some(&*ids[1]), &["3"], true),
                (since(&ids[0]), Some(""), &["2", "3"], true),
                (since(&ids[2]), None, &[], true),
                // Of another epoch, and of the future.
                (since("1700000000000-3"), None, &["1", "2", "3"], false),
                (since(&future), None, &[], false),
            ] {
                let (mut follower, whole) = came_back(&query, last);
                assert_eq!(whole, complete, "{query} {last:?}");
                follower.hears_texts(missed);
                all.push(follower);
            }
            say("4");
            for follower in &mut all {
                follower.hears_texts(&["4"]);
            }
            // The log keeps three.
            let (mut late, whole) = came_back(&since("0-0"), None);
            assert!(!whole);
            late.hears_texts(&["2", "3", "4"]);
        },
    );
}

#[test]
fn a_long_history_comes_whole_and_in_order() {
    on_both_buses_with(
        |config| (config.rate, config.history) = (0, 3000),
        |server| {
            let mut ann = server.typed_in("ann", "attic");
            let text = |n: usize| format!("{n} {}", "x".repeat(300));
            for n in 0..2500 {
                ann.put(json!({"type": "chat", "room": "attic", "text": text(n)}));
                ann.gets(json!({"type": "chat"}));
            }
            let mut follower = follow(server, "?since=0-0");
            assert_eq!(follower.hears("joined").data["complete"], true);
            for n in 0..2500 {
                follower.hears_texts(&[&text(n)]);
            }
            ann.put(json!({"type": "chat", "room": "attic", "text": "end"}));
            follower.hears_texts(&["end"]);
        },
    );
}

#[test]
fn a_bad_request_to_follow_is_refused_before_the_stream_begins() {
    let server = TestServer::start();
    for (query, headers, why) in [
        ("?since=x", "", "bad since"),
        ("", "Last-Event-ID: x\r\n", "bad Last-Event-ID"),
        ("?before=1700000000000-1", "", "no before"),
        ("?since=1-1&before=1-1", "", "not both"),
        ("?limit=0", "", "bad limit"),
        ("?limit=101", "", "bad limit"),
        ("?limit=-1", "", "bad limit"),
        ("?limit=x", "", "bad limit"),
    ] {
        let (status, line) = refused(&server, &format!("/rooms/attic{query}"), headers);
        assert_eq!(status, 400, "{query}: {line}");
        assert!(line.contains(why), "{line}");
    }
    let (status, _) = refused(&server, "/rooms/%40ann%40bar", "");
    assert_eq!(status, 400);
    let (status, _) = refused(&server, "/rooms/attic", "Origin: https://evil.example\r\n");
    assert_eq!(status, 403);
}

#[test]
fn the_client_says_whether_it_wants_json_or_a_stream() {
    let server = TestServer::start();
    for (accept, stream) in [
        ("text/event-stream", true),
        ("text/event-stream;q=0.9, application/json;q=0.5", true),
        ("Text/Event-Stream, */*", true),
        ("application/json, text/event-stream", false),
        ("text/event-stream;q=0", false),
        ("*/*", false),
        ("text/html", false),
    ] {
        let request = format!("HEAD /rooms/attic HTTP/1.1\r\nHost: x\r\nAccept: {accept}\r\n\r\n");
        let mut raw = Raw::connect(server.addr());
        raw.send(request.as_bytes());
        let answer = String::from_utf8(raw.rest()).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.ends_with("\r\n\r\n") && answer.contains("\r\nVary: Accept\r\n"));
        let kind = if stream {
            "text/event-stream"
        } else {
            "application/json"
        };
        assert!(
            answer.contains(&format!("\r\nContent-Type: {kind}\r\n")),
            "{accept}: {answer}"
        );
        assert_eq!(answer.contains("\r\nContent-Length: "), !stream);
    }
}

#[test]
fn a_follower_may_speak_http_1_0() {
    let server = TestServer::start();
    let request = format!("GET /rooms/attic HTTP/1.0\r\n{STREAM}\r\n");
    let mut follower = Follower::request(server.addr(), &request);
    follower.hears("joined");
    server.join_room("ann", "attic").say("hello");
    follower.hears("presence");
    follower.hears_texts(&["hello"]);
}

#[test]
fn a_page_of_an_allowed_site_may_follow() {
    let server = TestServer::with(|config| {
        config.origins = vec![Origin::parse("https://friend.example").unwrap()];
    });
    let friend = "Origin: https://friend.example\r\n";
    let mut follower = Follower::open(server.addr(), "/rooms/attic", friend);
    let allowed = "Access-Control-Allow-Origin: https://friend.example";
    assert!(
        follower.head.iter().any(|line| line == allowed),
        "{:?}",
        follower.head
    );
    follower.hears("joined");
}

#[test]
fn a_follower_needs_a_token_for_the_room_and_is_closed_when_it_ends() {
    let issuer = Issuer::es256();
    let server = issuer.serve();
    assert_eq!(refused(&server, "/rooms/attic", "").0, 401);
    let hall = issuer.sign(json!({"sub": "door", "rooms": ["hall"]}));
    assert_eq!(
        refused(&server, &format!("/rooms/attic?token={hall}"), "").0,
        403
    );
    let mut follower = follow(&server, &format!("?token={}", issuer.token("door")));
    follower.hears("joined");
    let brief = issuer.sign(json!({"sub": "door", "exp": soon(-24)}));
    let mut brief = follow(&server, &format!("?token={brief}"));
    brief.hears("joined");
    brief.is_closed("token expired");
}

#[test]
fn guests_may_follow_where_they_are_let_in() {
    let issuer = Issuer::es256();
    let server = TestServer::with(|config| {
        config.jwt_key = Some(issuer.file());
        config.guests = true;
    });
    follow(&server, "").hears("joined");
    assert_eq!(Raw::get(server.addr(), "/rooms/attic").0, 200);
    assert_eq!(refused(&server, "/rooms/attic?token=a.b.c", "").0, 401);
}

#[test]
fn followers_are_told_that_redis_is_away_and_hear_what_waited() {
    let mut redis = Redis::start();
    let server = TestServer::on(&redis);
    let mut ann = server.typed_in("ann", "attic");
    let mut follower = follow(&server, "");
    follower.hears("joined");
    redis.kill();
    let waiting = follower.hears("status");
    let status = |bus: &str| json!({"type": "status", "bus": bus});
    assert_eq!((waiting.data, waiting.id), (status("waiting"), None));
    ann.gets_at_last(json!({"type": "status", "bus": "waiting"}));
    ann.put(json!({"type": "chat", "room": "attic", "text": "later"}));
    // A browser gives up where it is refused, and comes back where a stream ends.
    let mut early = Follower::open(server.addr(), "/rooms/hall", "");
    early.is_closed("try again later");
    redis.restart();
    assert_eq!(follower.hears("status").data, status("ok"));
    let mut heard = follower.event().unwrap();
    // Redis has forgotten everything, so the room begins again from nothing, perhaps after a word about that.
    while heard.kind != "chat" {
        assert!(["joined", "presence"].contains(&&*heard.kind), "{heard:?}");
        heard = follower.event().unwrap();
    }
    assert_eq!(heard.data["text"], "later");
}
