//! One room, three dialects: what one says, all hear, each in its own words.

use serde_json::{Value, json};

use crate::support::{Client, Redis, TellsOver, TestServer, here_and_there, on_both_buses};

#[test]
fn the_simple_dialect_is_three_keys_both_ways() {
    on_both_buses(|server| {
        let mut ann = server.json();
        let mut bob = server.json();
        let said = json!({"email": "ann@example.org", "username": "ann", "message": "hello"});
        ann.put(said.clone());
        // Everybody hears it as it was said, the sender included.
        ann.gets_just(said.clone());
        bob.gets_just(said);
        // The e-mail may be empty or missing.
        bob.put(json!({"email": "", "username": "bob", "message": ":robot: hi"}));
        bob.put(json!({"username": "bob", "message": "there"}));
        for client in [&mut ann, &mut bob] {
            for message in [":robot: hi", "there"] {
                client.gets_just(json!({"email": "", "username": "bob", "message": message}));
            }
        }
    });
}

#[test]
fn a_simple_name_is_claimed_by_the_first_message_and_can_change() {
    on_both_buses(|server| {
        let mut foo = server.join("foo");
        let mut ann = server.json();
        let mut pi = server.typed_in("pi", "lobby");
        foo.hears("pi: has joined the chat!");
        // A silent simple connection is nobody.
        foo.say("/who");
        foo.hears("in lobby: foo, pi");
        ann.put(json!({"username": "ann", "message": "hello"}));
        foo.hears_in_order(&["ann: has joined the chat!", "ann: hello"]);
        pi.gets_just(
            json!({"type": "presence", "room": "lobby", "userId": "ann", "status": "online"}),
        );
        pi.gets(json!({"type": "chat", "userId": "ann", "text": "hello"}));
        ann.gets(json!({"message": "hello"}));
        // A taken name: an error, and the message is not delivered.
        ann.is_refused(
            json!({"username": "foo", "message": "I am foo"}),
            "name_taken",
        );
        // Another name: for the others, one has gone and one has come.
        ann.put(json!({"username": "anna", "message": "it is me"}));
        foo.hears_in_order(&[
            "ann: has left the chat!",
            "anna: has joined the chat!",
            "anna: it is me",
        ]);
        pi.gets(json!({"type": "presence", "userId": "ann", "status": "offline"}));
        pi.gets(json!({"type": "presence", "userId": "anna", "status": "online"}));
        pi.gets(json!({"type": "chat", "userId": "anna"}));
        foo.say("/who");
        foo.hears("in lobby: anna, foo, pi");
        // The old name is free.
        let other = server.join("ann");
        foo.hears("ann: has joined the chat!");
        other.leave();
        foo.hears("ann: has left the chat!");
        ann.gets(json!({"username": "anna"}));
        ann.leave();
        foo.hears("anna: has left the chat!");
    });
}

#[test]
fn a_typed_connection_is_welcomed_and_joins() {
    on_both_buses(|server| {
        let mut ann = server.json();
        ann.put(
            json!({"type": "join", "room": "attic", "user": "ann", "email": " Ann@Example.org "}),
        );
        let welcome = ann.gets(json!({"type": "welcome", "userId": "ann", "lobby": "lobby"}));
        assert!(
            welcome["session"]
                .as_str()
                .is_some_and(|key| key.len() >= 16),
            "{welcome}"
        );
        ann.gets_just(
            json!({"type": "joined", "room": "attic", "users": ["ann"], "count": 1, "last": null, "complete": true}),
        );
        let mut bob = server.typed("bob");
        bob.put(json!({"type": "join", "room": "attic", "unknown": {"keys": ["are", "ignored"]}}));
        bob.gets(json!({"type": "joined", "room": "attic", "users": ["ann", "bob"], "count": 2}));
        ann.gets_just(
            json!({"type": "presence", "room": "attic", "userId": "bob", "status": "online"}),
        );

        // A message has its place in the room, and a picture instead of an e-mail.
        ann.put(json!({"type": "chat", "room": "attic", "text": "hello", "ref": "r1"}));
        let heard = bob.gets(json!({
            "type": "chat", "room": "attic", "userId": "ann", "text": "hello", "id": null, "ts": null,
            "avatar": null,
        }));
        assert!(
            !heard.to_string().to_lowercase().contains("example.org"),
            "{heard}"
        );
        assert_eq!(heard["avatar"].as_str().map(str::len), Some(64));
        assert!(heard["ts"].as_u64().unwrap() > 1_700_000_000_000);
        // The sender hears it as all others do, and that it is on the bus.
        let mut own = [ann.gets(json!({})), ann.gets(json!({}))];
        own.sort_by_key(|object| object["type"] == "chat");
        assert_eq!(
            own[0],
            json!({"type": "ack", "ref": "r1", "id": heard["id"]})
        );
        assert_eq!(own[1], heard);
        // Ids of one room count up by one.
        bob.put(json!({"type": "chat", "room": "attic", "text": "hello yourself"}));
        let next = ann.gets(json!({"type": "chat", "userId": "bob"}));
        let n = |object: &Value| -> u64 {
            let id = object["id"].as_str().unwrap().to_string();
            id.split_once('-').unwrap().1.parse().unwrap()
        };
        assert_eq!(n(&next), n(&heard) + 1);
        bob.gets(json!({"type": "chat", "userId": "bob"}));

        // A peer that joins later, or again, gets the id of the last message.
        ann.put(json!({"type": "join", "room": "attic"}));
        ann.gets(json!({"type": "joined", "users": ["ann", "bob"], "last": next["id"]}));
        let mut pi = server.typed("pi");
        pi.put(json!({"type": "join", "room": "attic"}));
        pi.gets(json!({"type": "joined", "users": ["ann", "bob", "pi"], "last": next["id"]}));
        pi.put(json!({"type": "leave", "room": "attic"}));
        for client in [&mut ann, &mut bob] {
            client.gets(json!({"type": "presence", "userId": "pi", "status": "online"}));
            client.gets(json!({"type": "presence", "userId": "pi", "status": "offline"}));
        }
    });
}

#[test]
fn one_connection_may_be_in_several_rooms() {
    on_both_buses(|server| {
        let mut ann = server.typed("ann");
        for room in ["one", "two"] {
            ann.put(json!({"type": "join", "room": room}));
            ann.gets(json!({"type": "joined", "room": room}));
        }
        let mut bob = server.typed_in("bob", "two");
        ann.gets(json!({"type": "presence", "room": "two", "userId": "bob"}));
        // Joining twice is answered again and announced once.
        ann.put(json!({"type": "join", "room": "two"}));
        ann.gets(json!({"type": "joined", "room": "two", "users": ["ann", "bob"], "count": 2}));
        ann.put(json!({"type": "chat", "room": "one", "text": "first"}));
        ann.gets(json!({"type": "chat", "room": "one"}));
        ann.put(json!({"type": "chat", "room": "two", "text": "second"}));
        bob.gets(json!({"type": "chat", "room": "two", "text": "second"}));
        ann.gets(json!({"type": "chat", "room": "two"}));
        ann.put(json!({"type": "leave", "room": "two"}));
        bob.gets(json!({"type": "presence", "room": "two", "userId": "ann", "status": "offline"}));
        ann.is_refused(
            json!({"type": "chat", "room": "two", "text": "gone"}),
            "not_in_room",
        );
        bob.put(json!({"type": "who", "room": "one"}));
        bob.gets(json!({"type": "who", "room": "one", "users": ["ann"]}));
        bob.put(json!({"type": "who", "room": "two"}));
        bob.gets(json!({"type": "who", "room": "two", "users": ["bob"]}));
    });
}

#[test]
fn a_peer_without_a_name_gets_one() {
    on_both_buses(|server| {
        let mut guest = server.json();
        guest.put(json!({"type": "join", "room": "lobby"}));
        let name = guest.gets(json!({"type": "welcome"}))["userId"].clone();
        let letters = name
            .as_str()
            .and_then(|name| name.strip_prefix("guest-"))
            .unwrap();
        assert!(
            letters.len() == 6 && letters.bytes().all(|b| b.is_ascii_alphanumeric()),
            "{name}"
        );
        guest.gets(json!({"type": "joined", "users": [name]}));
    });
}

#[test]
fn the_url_may_name_user_and_room() {
    on_both_buses(|server| {
        let mut ann = Client::connect(server.addr(), "/ws?user=ann&room=attic");
        ann.gets(json!({"type": "welcome", "userId": "ann"}));
        ann.gets(json!({"type": "joined", "room": "attic", "users": ["ann"]}));
        let mut bob = Client::connect(server.addr(), "/ws?room=attic");
        bob.put(json!({"username": "bob", "message": "hi"}));
        ann.gets(json!({"type": "presence", "userId": "bob", "status": "online"}));
        ann.gets(json!({"type": "chat", "room": "attic", "userId": "bob", "text": "hi"}));
        // A taken name is an error, and another one may be tried on the same connection.
        let mut twin = Client::connect(server.addr(), "/ws?user=ann&room=attic");
        twin.gets(json!({"type": "error", "code": "name_taken"}));
        twin.is_refused(
            json!({"type": "join", "room": "attic", "user": "ann"}),
            "name_taken",
        );
        twin.put(json!({"type": "join", "room": "attic", "user": "anna"}));
        twin.gets(json!({"type": "welcome", "userId": "anna"}));
        twin.gets(json!({"type": "joined", "users": ["ann", "anna", "bob"]}));
    });
}

#[test]
fn the_holder_of_the_session_key_takes_the_name_over() {
    here_and_there(|first, second| {
        let mut bob = second.typed_in("bob", "attic");
        let mut ann = first.json();
        ann.put(json!({"type": "join", "room": "attic", "user": "ann"}));
        let key = ann.gets(json!({"type": "welcome"}))["session"].clone();
        ann.gets(json!({"type": "joined"}));
        bob.gets(json!({"type": "presence", "userId": "ann", "status": "online"}));

        let mut thief = second.json();
        let theft = json!({"type": "join", "room": "attic", "user": "ann", "session": "guessed"});
        thief.is_refused(theft, "name_taken");

        let mut again = second.json();
        again.put(json!({"type": "join", "room": "attic", "user": "ann", "session": key}));
        // The key stays the same.
        again.gets(json!({"type": "welcome", "userId": "ann", "session": key}));
        again.gets(json!({"type": "joined", "users": ["ann", "bob"]}));
        ann.is_closed(4001);
        again.put(json!({"type": "chat", "room": "attic", "text": "here again"}));
        loop {
            let heard = bob.gets(json!({"userId": "ann"}));
            if heard["type"] == "chat" {
                break;
            }
        }
        bob.put(json!({"type": "who", "room": "attic"}));
        bob.gets(json!({"type": "who", "users": ["ann", "bob"]}));
        again.leave();
        bob.gets(json!({"type": "presence", "userId": "ann", "status": "offline"}));
        bob.leave();
    });
}

#[test]
fn three_dialects_on_two_instances_hold_a_conversation() {
    let redis = Redis::start();
    let (one, two) = (TestServer::on(&redis), TestServer::on(&redis));
    let mut foo = one.join_room("foo", "attic");
    let mut ann = Client::connect(two.addr(), "/ws?room=attic");
    let mut pi = two.typed_in("pi", "attic");
    foo.hears("pi: has joined the chat!");

    foo.say("plain words");
    ann.gets_just(json!({"email": "", "username": "foo", "message": "plain words"}));
    pi.gets(json!({"type": "chat", "room": "attic", "userId": "foo", "text": "plain words"}));

    ann.put(json!({"email": "ann@example.org", "username": "ann", "message": "simple words"}));
    foo.hears_in_order(&["ann: has joined the chat!", "ann: simple words"]);
    ann.gets(json!({"username": "ann", "message": "simple words", "email": "ann@example.org"}));
    pi.gets(json!({"type": "presence", "userId": "ann", "status": "online"}));
    pi.gets(json!({"type": "chat", "userId": "ann", "text": "simple words", "avatar": null}));

    pi.put(json!({"type": "chat", "room": "attic", "text": "typed words"}));
    foo.hears("pi: typed words");
    ann.gets_just(json!({"email": "", "username": "pi", "message": "typed words"}));
    pi.gets(json!({"type": "chat", "userId": "pi", "text": "typed words"}));

    // Private messages reach the holder of the name in any dialect and room.
    foo.say("/msg pi psst");
    let heard = pi.gets(json!({"type": "chat", "to": "pi", "userId": "foo", "text": "psst"}));
    assert!(
        heard["id"].is_string() && heard["ts"].is_u64() && heard["room"].is_null(),
        "{heard}"
    );
    foo.say("/msg ann psst");
    ann.gets_just(json!({"email": "", "username": "foo", "message": "(private) psst"}));
    pi.put(json!({"type": "chat", "to": "foo", "text": "psst yourself", "ref": "p1"}));
    foo.hears("pi (private): psst yourself");
    // Both ends see it, and the sender that it went out.
    let mut both = [pi.object(), pi.object()];
    both.sort_by_key(|object| object["type"] == "chat");
    let [ack, own] = both;
    assert_eq!(ack, json!({"type": "ack", "ref": "p1", "id": own["id"]}));
    assert_eq!(own["text"], "psst yourself");
    assert_eq!((&own["to"], &own["userId"]), (&json!("foo"), &json!("pi")));

    foo.say("/who");
    foo.hears("in attic: ann, foo, pi");
    ann.leave();
    foo.hears("ann: has left the chat!");
    pi.gets(json!({"type": "presence", "room": "attic", "userId": "ann", "status": "offline"}));
    foo.leave();
    pi.gets(json!({"type": "presence", "room": "attic", "userId": "foo", "status": "offline"}));
}

#[test]
fn a_simple_connection_may_become_a_typed_one() {
    on_both_buses(|server| {
        let mut foo = server.join("foo");
        let mut ann = server.json();
        ann.put(json!({"username": "ann", "message": "hello"}));
        foo.hears_in_order(&["ann: has joined the chat!", "ann: hello"]);
        ann.gets(json!({"username": "ann"}));
        // It keeps its name, and is in no room until it joins one.
        ann.put(json!({"type": "who", "room": "lobby"}));
        foo.hears("ann: has left the chat!");
        ann.gets(json!({"type": "welcome", "userId": "ann"}));
        ann.gets(json!({"type": "who", "users": ["foo"]}));
        ann.put(json!({"type": "join", "room": "lobby"}));
        ann.gets(json!({"type": "joined", "users": ["ann", "foo"]}));
        foo.hears("ann: has joined the chat!");
        // And it stays typed.
        ann.is_refused(
            json!({"username": "ann", "message": "hello"}),
            "unknown_type",
        );
    });
}

#[test]
fn large_rooms_do_not_list_their_members() {
    let script = |server: &TestServer| {
        let mut ann = server.typed_in("ann", "hall");
        let _bob = server.typed_in("bob", "hall");
        ann.gets(json!({"type": "presence", "userId": "bob"}));
        let mut pi = server.typed("pi");
        pi.put(json!({"type": "join", "room": "hall"}));
        pi.gets(json!({"type": "joined", "users": [], "count": 3}));
        pi.put(json!({"type": "chat", "room": "hall", "text": "nobody was told of me"}));
        ann.gets(json!({"type": "chat", "userId": "pi"}));
    };
    script(&TestServer::with(|config| config.notices = 2));
    let redis = Redis::start();
    script(&TestServer::on_with(redis.address(), |config| {
        config.notices = 2
    }));
}

#[test]
fn a_peer_that_changes_to_the_typed_dialect_leaves_the_lobby() {
    let server = TestServer::with(|config| config.rate = 0);
    let addr = server.addr();
    let over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let tells_over = TellsOver(&over);
        for name in ["foo", "bar"] {
            let over = &over;
            scope.spawn(move || {
                let mut speaker = Client::connect(addr, &format!("/chat/{name}"));
                speaker.hears(&format!("Welcome {name}!"));
                while !over.load(std::sync::atomic::Ordering::Relaxed) {
                    speaker.flood(50, "blah");
                    speaker.say("/who");
                    while !speaker.next().starts_with("in lobby") {}
                }
            });
        }
        let unasked = (0..60).find_map(|_| {
            let mut ann = server.json();
            ann.put(json!({"type": "join", "room": "attic"}));
            let mut heard = json!(null);
            while heard["type"] != "joined" && heard["type"] != "chat" {
                heard = ann.object();
            }
            (heard["type"] == "chat").then_some(heard)
        });
        drop(tells_over);
        assert_eq!(unasked, None, "it has not joined the lobby");
    });
}
