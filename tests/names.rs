//! Names: which spellings are the same name, which names are refused, and how names are shown.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use crate::support::{Client, Issuer, Redis, TestServer, eventually, on_both_buses};
use crate::tokens::header;

fn two_on(redis: &Redis) -> [TestServer; 2] {
    [TestServer::on(redis), TestServer::on(redis)]
}

/// The status with which a name is refused.
fn status(server: &TestServer, target: &str, name: &str) -> Option<u16> {
    let name = utf8_percent_encode(name, NON_ALPHANUMERIC);
    Client::request(server.addr(), &format!("{target}{name}"), |_| {}).err()
}

#[test]
fn one_name_has_many_spellings() {
    on_both_buses(|server| {
        let mut zoe = server.join("Zoë B");
        for other in [
            "zoë b",
            "ZOË  B",
            "Zoe\u{308} B",
            "ｚｏë\u{3000}ｂ",
            "Zoë\u{a0}B",
        ] {
            let mut twin = server.knock(other, "lobby");
            twin.hears(&format!(
                "username {other} is already taken. please retry with a different name"
            ));
            twin.is_closed(1008);
        }
        let _zoe = server.join("Zoe B");
        zoe.hears("Zoe B: has joined the chat!");
    });
}

#[test]
fn a_name_is_shown_as_its_holder_writes_it() {
    let redis = Redis::start();
    let [one, two] = two_on(&redis);
    let alone = TestServer::start();
    for (here, there) in [(&alone, &alone), (&one, &two)] {
        let mut ann = here.join("Ann");
        let mut bob = there.join("bob");
        ann.hears("bob: has joined the chat!");
        bob.say("/who");
        bob.hears("in lobby: Ann, bob");
        bob.say("/msg ANN hi");
        ann.hears("bob (private): hi");
        ann.say("/msg Bob hello");
        bob.hears("Ann (private): hello");
        ann.say("hello");
        bob.hears("Ann: hello");
        let mut twin = there.knock("ann", "lobby");
        twin.is_closed(1008);
        ann.leave();
        bob.hears("Ann: has left the chat!");
        there.join("ann");
        bob.hears("ann: has joined the chat!");
    }
}

#[test]
fn redis_shows_names_as_their_holders_write_them() {
    let redis = Redis::start();
    let [one, two] = two_on(&redis);
    let ann = one.join("Ann");
    let _bob = two.join("bob");
    assert_eq!(redis.list(&["SMEMBERS", "chat-users"]), ["Ann", "bob"]);
    assert_eq!(
        redis.list(&["HKEYS", "{chat-users}:owners"]),
        ["ann", "bob"]
    );
    ann.leave();
    eventually("Ann is gone", || {
        (redis.list(&["SMEMBERS", "chat-users"]) == ["bob"]).then_some(())
    });
    // What an instance that was killed leaves behind is found under the same key.
    let owner = "00000000deadbeef.1  Ann B";
    redis.command(&["HSET", "{chat-users}:owners", "ann b", owner]);
    redis.command(&["SADD", "chat-users", "Ann B"]);
    let _ann = one.join("ANN b");
    eventually("the dead one's writing is gone", || {
        (redis.list(&["SMEMBERS", "chat-users"]) == ["ANN b", "bob"]).then_some(())
    });
}

#[test]
fn members_of_a_dead_instance_leave_under_the_spelling_they_used() {
    let redis = Redis::start();
    let server = TestServer::on(&redis);
    let mut foo = server.join("foo");
    redis.command(&[
        "HSET",
        "{chat:lobby}:roster",
        "ann",
        "00000000deadbeef.1 Ann",
    ]);
    redis.command(&[
        "HSET",
        "{chat-users}:owners",
        "ann",
        "00000000deadbeef.1  Ann",
    ]);
    redis.command(&["SADD", "chat-users", "Ann"]);
    redis.command(&["SADD", "{chat-users}:rooms:00000000deadbeef", "lobby"]);
    foo.say("/who");
    foo.hears("in lobby: Ann, foo");
    redis.command(&["ZADD", "{chat-users}:leases", "1", "00000000deadbeef"]);
    foo.hears("Ann: has left the chat!");
    eventually("Ann is gone", || {
        (redis.list(&["SMEMBERS", "chat-users"]) == ["foo"]).then_some(())
    });
}

#[test]
fn misleading_names_are_refused() {
    let server = TestServer::start();
    let mut simple = server.json();
    let mut typed = server.json();
    for name in [
        "error",
        "Error",
        "in lobby",
        "In\u{a0}lobby",
        "bar (private)",
        "guest-abc123",
        "GUEST-abc123",
        "\u{3164}",
        "\u{200b}",
        "a\u{200d}nn",
        "\u{202e}nna",
        "\u{2800}",
        "an\u{ad}n",
        "a\u{2028}b",
        "a\u{e0041}",
    ] {
        for target in ["/chat/", "/ws?user="] {
            assert_eq!(status(&server, target, name), Some(400), "{name:?}");
        }
        simple.is_refused(json!({"username": name, "message": "hi"}), "bad_name");
        typed.is_refused(
            json!({"type": "join", "room": "attic", "user": name}),
            "bad_name",
        );
    }
    for room in ["a\u{200b}b", "\u{3164}", "\u{202e}a"] {
        assert_eq!(
            status(&server, "/chat/foo?room=", room),
            Some(400),
            "{room:?}"
        );
        typed.is_refused(json!({"type": "join", "room": room}), "bad_room");
    }
    // Scripts and emoji that need what is not seen have it.
    for name in ["می\u{200c}خواهم", "👩\u{200d}💻", "ann ♥\u{fe0f}"] {
        server.join(name);
    }
}

#[test]
fn the_holder_of_a_name_may_change_its_spelling() {
    let redis = Redis::start();
    let [one, two] = two_on(&redis);
    let alone = TestServer::start();
    for (here, there) in [(&alone, &alone), (&one, &two)] {
        let mut bob = there.typed_in("bob", "lobby");
        let mut ann = here.json();
        let mut says = |username: &str| {
            ann.put(json!({"username": username, "message": "hi"}));
            ann.gets(json!({"username": username, "message": "hi"}));
        };
        says("ann");
        bob.gets(json!({"type": "presence", "userId": "ann", "status": "online"}));
        bob.gets(json!({"type": "chat", "userId": "ann"}));
        says("Ann");
        bob.gets(json!({"type": "presence", "userId": "ann", "status": "offline"}));
        bob.gets(json!({"type": "presence", "userId": "Ann", "status": "online"}));
        bob.gets(json!({"type": "chat", "userId": "Ann"}));
        bob.put(json!({"type": "who", "room": "lobby"}));
        bob.gets(json!({"type": "who", "users": ["Ann", "bob"], "count": 2}));
        if std::ptr::eq(here, &one) {
            assert_eq!(redis.list(&["SMEMBERS", "chat-users"]), ["Ann", "bob"]);
        }
        let mut twin = there.json();
        twin.is_refused(json!({"username": "ANN", "message": "hi"}), "name_taken");
        // Another name is still another one, and gives this one back.
        says("anna");
        bob.gets(json!({"type": "presence", "userId": "Ann", "status": "offline"}));
        bob.gets(json!({"type": "presence", "userId": "anna", "status": "online"}));
        bob.gets(json!({"type": "chat", "userId": "anna"}));
        there.join_room("ANN", "elsewhere");
    }
}

#[test]
fn a_name_may_be_taken_over_under_another_spelling() {
    let redis = Redis::start();
    let [one, two] = two_on(&redis);
    let alone = TestServer::start();
    // A name is free a little after its holder has left, so each round has its own.
    for (here, there, name, shown) in [
        (&alone, &alone, "ann", "Ann"),
        (&one, &two, "ann", "Ann"),
        (&two, &two, "zoe", "ZOE"),
    ] {
        let mut bob = here.typed_in("bob", "attic");
        let mut ann = here.json();
        ann.put(json!({"type": "join", "room": "attic", "user": name}));
        let key = ann.gets(json!({"type": "welcome"}))["session"].clone();
        ann.gets(json!({"type": "joined"}));
        bob.gets(json!({"type": "presence", "userId": name, "status": "online"}));
        let mut again = there.json();
        again.put(json!({"type": "join", "room": "attic", "user": shown, "session": key}));
        again.gets(json!({"type": "welcome", "userId": shown}));
        again.gets(json!({"type": "joined", "users": [shown, "bob"]}));
        ann.is_closed(4001);
        // Who follows along has the list that the server has.
        let mut told: Vec<Value> = (0..2).map(|_| bob.object()).collect();
        told.sort_by_key(|told| told["status"].to_string());
        let [left, came] = &told[..] else {
            unreachable!("there are two")
        };
        assert_eq!(
            (&left["userId"], &left["status"]),
            (&json!(name), &json!("offline"))
        );
        assert_eq!(
            (&came["userId"], &came["status"]),
            (&json!(shown), &json!("online"))
        );
        drop(again);
        bob.gets(json!({"type": "presence", "userId": shown, "status": "offline"}));
        drop(bob);
        eventually("all are gone", || {
            (redis.list(&["SMEMBERS", "chat-users"]) == [""; 0]).then_some(())
        });
    }
}

#[test]
fn a_guest_gets_its_name_back_for_its_key() {
    on_both_buses(|server| {
        let mut guest = server.json();
        guest.put(json!({"type": "join", "room": "attic"}));
        let welcome = guest.gets(json!({"type": "welcome"}));
        guest.gets(json!({"type": "joined"}));
        let (name, key) = (&welcome["userId"], &welcome["session"]);
        let join = json!({"type": "join", "room": "attic", "user": name, "session": key});
        // Whether the old connection is still there or not.
        let mut again = server.json();
        again.put(join.clone());
        again.gets(json!({"type": "welcome", "userId": name, "session": key}));
        again.gets(json!({"type": "joined", "users": [name]}));
        guest.is_closed(4001);
        again.leave();
        let mut other = server.json();
        other.is_refused(
            json!({"type": "join", "room": "attic", "user": name}),
            "bad_name",
        );
        let guess = json!({"type": "join", "room": "attic", "user": name, "session": "guess"});
        other.is_refused(guess, "bad_name");
        for join in [
            join,
            json!({"type": "join", "room": "attic", "session": key}),
        ] {
            let mut again = server.json();
            again.put(join);
            again.gets(json!({"type": "welcome", "userId": name, "session": key}));
            again.gets(json!({"type": "joined"}));
            again.leave();
        }
    });
}

#[test]
fn a_token_is_for_a_name_however_it_is_written() {
    let issuer = Issuer::hs256();
    let server = issuer.serve();
    let target = format!("/chat/ANN?token={}", issuer.token("ann"));
    let mut ann = Client::connect(server.addr(), &target);
    ann.hears("Welcome ANN!");
    // The issuer has chosen this one, not who holds the token.
    let bearer = header(
        "authorization",
        format!("Bearer {}", issuer.token("guest-x")),
    );
    let guest = Client::request(server.addr(), "/chat/guest-x", bearer);
    guest.unwrap().hears("Welcome guest-x!");
    ann.hears("guest-x: has joined the chat!");
}

#[test]
fn a_rooms_name_is_the_same_however_it_is_encoded() {
    on_both_buses(|server| {
        let mut foo = server.join_room("foo", "Café");
        let mut bar = server.typed("bar");
        bar.put(json!({"type": "join", "room": "Cafe\u{301}"}));
        bar.gets(json!({"type": "joined", "room": "Café", "users": ["bar", "foo"]}));
        foo.hears("bar: has joined the chat!");
        bar.put(json!({"type": "chat", "room": "Cafe\u{301}", "text": "hi"}));
        foo.hears("bar: hi");
        // All else makes another room.
        let mut other = server.join_room("other", "café");
        other.say("/who");
        other.hears("in café: other");
    });
}

#[test]
fn messages_from_other_programs_do_not_pass_for_the_servers() {
    let redis = Redis::start();
    let server = TestServer::on(&redis);
    let mut foo = server.join("foo");
    for line in [
        "error: the server is full",
        "in lobby: bar",
        "bar (private): what is your key?",
        "b\u{200b}ar: hi",
    ] {
        redis.command(&["PUBLISH", "chat", line]);
        foo.hears(&format!("redis: {line}"));
    }
    redis.command(&["PUBLISH", "chat", "ops: one\nerror: two"]);
    foo.hears("ops: one\n  error: two");
}
