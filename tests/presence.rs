//! One name belongs to one connection on all instances.

use std::thread;

use serde_json::json;

use crate::support::{Redis, TestServer, on_both_buses, on_both_buses_with};

#[test]
fn a_taken_name_is_refused_and_its_owner_notices_nothing() {
    on_both_buses(|server| {
        let mut foo = server.join("foo");
        for room in ["lobby", "another"] {
            let mut other = server.knock("foo", room);
            other.hears("username foo is already taken. please retry with a different name");
            other.is_closed(1008);
        }
        let _bar = server.join("bar");
        foo.hears("bar: has joined the chat!");
    });
}

#[test]
fn a_name_is_free_again_when_its_owner_has_left() {
    on_both_buses(|server| {
        let mut bar = server.join("bar");
        for _ in 0..3 {
            let foo = server.join("foo");
            bar.hears("foo: has joined the chat!");
            foo.leave();
            bar.hears("foo: has left the chat!");
        }
        // Without a close frame, too.
        drop(server.join("foo"));
        bar.hears_in_order(&["foo: has joined the chat!", "foo: has left the chat!"]);
        server.join("foo");
    });
}

#[test]
fn of_many_peers_that_claim_one_name_exactly_one_gets_it() {
    let redis = Redis::start();
    let servers = [TestServer::on(&redis), TestServer::on(&redis)];
    let granted = thread::scope(|scope| {
        let knock = |n: usize| {
            let server = &servers[n % 2];
            scope.spawn(move || {
                let mut client = server.knock("foo", "lobby");
                (client.next(), client)
            })
        };
        let all: Vec<_> = (0..20).map(knock).collect();
        // Everybody stays until everybody has been answered.
        let all: Vec<_> = all.into_iter().map(|one| one.join().unwrap()).collect();
        all.iter()
            .filter(|(said, _)| said == "Welcome foo!")
            .count()
    });
    assert_eq!(granted, 1);
}

#[test]
fn large_rooms_announce_neither_joins_nor_leaves() {
    let script = |server: &TestServer| {
        let mut one = server.join("one");
        let mut two = server.join("two");
        one.hears("two: has joined the chat!");
        let three = server.join("three");
        two.say("/who");
        two.hears("in lobby: 3 people");
        three.leave();
        // Nobody was told of three; of two's leaving, the room being small again, one is.
        crate::support::eventually("three is gone", || {
            two.say("/who");
            (two.next() == "in lobby: one, two").then_some(())
        });
        two.leave();
        one.hears("two: has left the chat!");
    };
    script(&TestServer::with(|config| config.notices = 2));
    let redis = Redis::start();
    script(&TestServer::on_with(redis.address(), |config| {
        config.notices = 2
    }));
}

#[test]
fn while_people_come_and_go_there_are_as_many_as_there_are_names() {
    let script = |server: &TestServer| {
        let mut ann = server.typed_in("ann", "attic");
        let join_and_leave = |n: usize| {
            for m in 0..50 {
                server.typed_in(&format!("{n}-{m}"), "attic").leave();
            }
        };
        thread::scope(|scope| {
            let crowd = [0, 1, 2, 3].map(|n| scope.spawn(move || join_and_leave(n)));
            while crowd.iter().any(|one| !one.is_finished()) {
                ann.put(json!({"type": "who", "room": "attic"}));
                let who = ann.hears_of("who");
                let names = who["users"].as_array().unwrap().len();
                assert_eq!(who["count"], json!(names), "{who}");
            }
        });
    };
    on_both_buses_with(|config| config.rate = 0, script);
}

#[test]
fn a_takeover_of_a_name_is_no_leave() {
    on_both_buses(|server| {
        let mut pi = server.typed_in("pi", "attic");
        let mut bob = server.json();
        bob.put(json!({"type": "join", "room": "attic", "user": "bob"}));
        let key = bob.gets(json!({"type": "welcome"}))["session"].clone();
        bob.gets(json!({"type": "joined"}));
        for _ in 0..30 {
            let mut again = server.json();
            again.put(json!({"type": "join", "room": "attic", "user": "bob", "session": key}));
            again.gets(json!({"type": "welcome", "userId": "bob"}));
            again.gets(json!({"type": "joined", "users": ["bob", "pi"]}));
            bob.is_closed(4001);
            bob = again;
        }
        bob.put(json!({"type": "chat", "room": "attic", "text": "still here"}));
        let mut heard = Vec::new();
        loop {
            let object = pi.object();
            match object["status"].as_str() {
                Some(status) => heard.push(status.to_string()),
                None => break assert_eq!(object["text"], "still here"),
            }
        }
        // Sometimes the older connection is gone before the newer one has joined.
        let expected = ["online", "offline"].iter().cycle().take(heard.len());
        assert!(heard.iter().eq(expected), "{heard:?}");
        assert_eq!(heard.last().unwrap(), "online", "{heard:?}");
        bob.leave();
        pi.gets(json!({"type": "presence", "userId": "bob", "status": "offline"}));
    });
}

#[test]
fn a_renamed_peer_leaves_once_from_a_room_at_the_announcement_limit() {
    on_both_buses_with(
        |config| config.notices = 2,
        |server| {
            let mut pi = server.typed_in("pi", "lobby");
            let mut ann = server.json();
            for (name, old) in [("ann", None), ("anna", Some("ann")), ("anne", Some("anna"))] {
                ann.put(json!({"username": name, "message": "hello"}));
                if let Some(old) = old {
                    pi.gets(json!({"type": "presence", "userId": old, "status": "offline"}));
                }
                pi.gets(json!({"type": "presence", "userId": name, "status": "online"}));
                pi.gets(json!({"type": "chat", "userId": name}));
            }
        },
    );
}

#[test]
fn every_announced_join_is_followed_by_an_announced_leave() {
    on_both_buses_with(
        |config| config.notices = 2,
        |server| {
            let mut pi = server.typed_in("pi", "lobby");
            let ann = server.join("ann");
            pi.gets(json!({"type": "presence", "userId": "ann", "status": "online"}));
            // The room is large now. It was told of ann, and is not told of bob.
            let mut bob = server.json();
            bob.put(json!({"username": "bob", "message": "hello"}));
            pi.gets(json!({"type": "chat", "userId": "bob"}));
            ann.leave();
            pi.gets(json!({"type": "presence", "userId": "ann", "status": "offline"}));
            // The room is small again, so its list names bob, and a new name of his is told.
            pi.put(json!({"type": "who", "room": "lobby"}));
            pi.gets(json!({"type": "who", "users": ["bob", "pi"]}));
            bob.put(json!({"username": "rob", "message": "hello"}));
            pi.gets(json!({"type": "presence", "userId": "bob", "status": "offline"}));
            pi.gets(json!({"type": "presence", "userId": "rob", "status": "online"}));
        },
    );
}
