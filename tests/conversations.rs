//! Private conversations: each is numbered and kept like a room, for the two whose it is.

use std::collections::BTreeMap;
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use crate::support::{
    Client, Raw, Redis, TestServer, eventually, on_both_buses, on_both_buses_with,
};

/// Tells somebody something, and returns the id.
#[track_caller]
pub fn tell(from: &mut Client, to: &str, text: &str) -> String {
    from.put(json!({"type": "chat", "to": to, "text": text, "ref": text}));
    let ack = from.gets_at_last(json!({"type": "ack", "ref": text, "id": null}));
    ack["id"].as_str().unwrap().to_string()
}

/// Somebody with a session key, who names the last private messages that were seen.
#[track_caller]
fn comes(server: &TestServer, name: &str, key: &str, seen: &Value) -> Client {
    let mut client = server.json();
    let join =
        json!({"type": "join", "room": "lobby", "user": name, "session": key, "private": seen});
    client.put(join);
    client.gets(json!({"type": "welcome", "userId": name, "session": key}));
    client
}

/// Conversations are ordered by when they went on.
fn next_millisecond() {
    let now = || {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_millis()
    };
    let before = now();
    while now() == before {
        thread::yield_now();
    }
}

#[test]
fn both_ends_hear_a_private_message_with_the_id_of_their_conversation() {
    let alone = TestServer::start();
    both_ends_hear_it(&alone, &alone);
    let redis = Redis::start();
    both_ends_hear_it(&TestServer::on(&redis), &TestServer::on(&redis));
}

#[track_caller]
fn both_ends_hear_it(here: &TestServer, there: &TestServer) {
    let (mut ann, mut bob) = (here.typed("ann"), there.typed("Bob"));
    let first = tell(&mut ann, "bob", "psst");
    let message =
        json!({"type": "chat", "to": "bob", "id": first, "userId": "ann", "text": "psst"});
    bob.gets(message);
    let second = tell(&mut bob, "ann", "yes?");
    let answer =
        json!({"type": "chat", "to": "ann", "id": second, "userId": "Bob", "text": "yes?"});
    ann.gets_at_last(answer.clone());
    bob.gets_at_last(answer);
    // The same message again is acknowledged again, and said once.
    assert_eq!(tell(&mut ann, "bob", "psst"), first);
    ann.put(json!({"type": "history", "to": "bob"}));
    let history = ann.gets_at_last(json!({"type": "history", "to": "bob"}));
    let texts: Vec<&Value> = history["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["text"])
        .collect();
    assert_eq!(texts, ["psst", "yes?"]);
    assert!(history.get("room").is_none(), "{history}");
    // Nobody else's.
    let mut eve = there.typed("eve");
    eve.put(json!({"type": "history", "to": "bob"}));
    eve.gets(json!({"type": "history", "to": "bob", "messages": []}));
}

#[test]
fn who_comes_back_hears_what_came_meanwhile_oldest_conversation_first() {
    let alone = TestServer::start();
    they_hear_what_came_meanwhile(&alone, &alone);
    let redis = Redis::start();
    they_hear_what_came_meanwhile(&TestServer::on(&redis), &TestServer::on(&redis));
}

#[track_caller]
fn they_hear_what_came_meanwhile(here: &TestServer, there: &TestServer) {
    let mut ann = comes(here, "ann", "key", &json!({}));
    let (mut bob, mut cat) = (here.typed("bob"), there.typed("cat"));
    let seen = tell(&mut bob, "ann", "one");
    ann.gets_at_last(json!({"type": "chat", "text": "one"}));
    tell(&mut cat, "ann", "two");
    next_millisecond();
    tell(&mut bob, "ann", "three");
    ann.gets_at_last(json!({"type": "chat", "text": "three"}));
    ann.leave();
    let mut ann = comes(there, "ann", "key", &json!({"bob": seen}));
    ann.gets(json!({"type": "chat", "to": "ann", "userId": "cat", "text": "two"}));
    ann.gets(json!({"type": "chat", "to": "ann", "userId": "bob", "text": "three"}));
    ann.gets(json!({"type": "joined", "room": "lobby"}));
    tell(&mut cat, "ann", "four");
    ann.gets_at_last(json!({"type": "chat", "to": "ann", "userId": "cat", "text": "four"}));
}

#[test]
fn private_messages_wait_for_who_was_cut_off() {
    let alone = TestServer::start();
    they_wait(&alone, &alone);
    let redis = Redis::start();
    they_wait(&TestServer::on(&redis), &TestServer::on(&redis));
}

#[track_caller]
fn they_wait(here: &TestServer, there: &TestServer) {
    let mut ann = here.typed_in("ann", "lobby");
    let mut bob = there.json();
    bob.put(json!({"type": "join", "room": "lobby", "user": "bob"}));
    let key = bob.gets(json!({"type": "welcome"}))["session"].clone();
    bob.gets(json!({"type": "joined"}));
    tell(&mut ann, "bob", "one");
    bob.gets_at_last(json!({"type": "chat", "to": "bob", "text": "one"}));
    bob.leave();
    ann.gets_at_last(json!({"type": "presence", "userId": "bob", "status": "offline"}));
    tell(&mut ann, "bob", "two");
    // The name is his.
    let mut eve = here.json();
    eve.put(json!({"type": "join", "room": "lobby", "user": "bob"}));
    eve.gets(json!({"type": "error", "code": "name_taken"}));
    let mut bob = here.json();
    bob.put(json!({"type": "join", "room": "lobby", "user": "bob", "session": key}));
    bob.gets(json!({"type": "welcome"}));
    bob.gets(json!({"type": "chat", "to": "bob", "userId": "ann", "text": "two"}));
    bob.gets(json!({"type": "joined"}));
    tell(&mut ann, "bob", "three");
    bob.gets_at_last(json!({"type": "chat", "to": "bob", "text": "three"}));
}

#[test]
fn so_many_messages_wait_for_somebody_and_no_more() {
    on_both_buses_with(
        |config| config.rate = 0,
        |server| {
            let mut ann = server.typed("ann");
            let mut bob = server.typed("bob");
            tell(&mut ann, "bob", "heard");
            bob.gets(json!({"type": "chat", "text": "heard"}));
            bob.leave();
            let wait = |ann: &mut Client| {
                for n in 1..=200 {
                    tell(ann, "bob", &n.to_string());
                }
                for text in ["one more", "and another"] {
                    ann.put(json!({"type": "chat", "to": "bob", "text": text, "ref": text}));
                    let refused = json!({"type": "error", "code": "unavailable", "ref": text});
                    ann.gets_at_last(refused);
                }
                // What was accepted before is known.
                tell(ann, "bob", "200");
            };
            eventually("bob is away", || {
                ann.put(json!({"type": "who", "room": "lobby"}));
                ann.gets_at_last(json!({"type": "who"}));
                let mut eve = server.json();
                let join = json!({"type": "join", "room": "attic", "user": "bob", "session": "x"});
                eve.is_refused(join, "name_taken");
                Some(())
            });
            wait(&mut ann);
            let mut bob = server.typed("bob");
            for n in 1..=200 {
                bob.gets(json!({"type": "chat", "to": "bob", "text": n.to_string()}));
            }
            tell(&mut ann, "bob", "again");
            bob.gets(json!({"type": "chat", "to": "bob", "text": "again"}));
        },
    );
}

#[test]
fn who_takes_a_free_name_gets_nothing_that_was_said_to_another() {
    on_both_buses(|server| {
        let mut ann = server.typed("ann");
        let mut bob = server.typed_in("bob", "lobby");
        let first = tell(&mut ann, "bob", "for bob");
        bob.gets(json!({"type": "chat", "text": "for bob"}));
        bob.put(json!({"type": "forget"}));
        bob.leave();
        let mut other = eventually("the name is free", || {
            let mut other = server.json();
            let join = json!({"type": "join", "room": "lobby", "user": "bob", "private": {}});
            other.put(join);
            (other.object()["type"] == "welcome").then_some(other)
        });
        other.gets(json!({"type": "joined"}));
        let history = json!({"type": "history", "to": "ann"});
        other.put(history.clone());
        other.gets(json!({"type": "history", "to": "ann", "messages": []}));
        let second = tell(&mut ann, "bob", "for the other");
        assert_ne!(first, second);
        other.gets(json!({"type": "chat", "text": "for the other"}));
        other.put(history);
        let heard = other.gets(json!({"type": "history", "to": "ann"}));
        assert_eq!(heard["messages"].as_array().unwrap().len(), 1, "{heard}");
        // Ann is who she was.
        ann.put(json!({"type": "history", "to": "bob"}));
        let heard = ann.gets_at_last(json!({"type": "history", "to": "bob"}));
        assert_eq!(heard["messages"].as_array().unwrap().len(), 2, "{heard}");
    });
}

#[test]
fn nobody_begins_conversations_without_end() {
    on_both_buses_with(
        |config| config.rate = 10_000,
        |server| {
            let mut ann = server.typed("ann");
            let mut tell = |n: usize, code: &str| {
                ann.put(json!({"type": "chat", "to": format!("nobody {n}"), "text": "psst"}));
                ann.gets(json!({"type": "error", "code": code}));
            };
            for n in 0..100 {
                tell(n, "no_such_user");
            }
            tell(100, "rate_limited");
        },
    );
}

#[test]
fn what_has_been_read_is_an_object_of_names_and_ids() {
    on_both_buses(|server| {
        let mut ann = server.typed("ann");
        let mut bob = server.typed("bob");
        let seen = tell(&mut ann, "bob", "one");
        bob.gets(json!({"type": "chat", "text": "one"}));
        tell(&mut ann, "bob", "two");
        bob.gets(json!({"type": "chat", "text": "two"}));
        let join = |private: Value| json!({"type": "join", "room": "lobby", "user": "eve", "private": private});
        let mut eve = server.json();
        for bad in [
            json!([]),
            json!("x"),
            json!({"bob": 7}),
            json!({"bob": "x"}),
        ] {
            eve.is_refused(join(bad), "bad_json");
        }
        eve.put(join(json!({"nobody": "7-7", "": "7-7"})));
        eve.gets(json!({"type": "welcome"}));
        for private in ["x", "%7B", "%7B%22bob%22:%22x%22%7D"] {
            let (status, line) =
                Raw::get(server.addr(), &format!("/ws?user=zoe&private={private}"));
            assert!(status == 400 && line.contains("private"), "{status} {line}");
        }
        // Names are compared as names.
        bob.leave();
        let private = format!("{{\"ANN\":\"{seen}\"}}");
        let private = utf8_percent_encode(&private, NON_ALPHANUMERIC);
        let target = format!("/ws?user=bob&session=key+of+bob&private={private}");
        let mut bob = Client::connect(server.addr(), &target);
        bob.gets(json!({"type": "welcome"}));
        bob.gets(json!({"type": "chat", "text": "two"}));
    });
}

#[test]
fn who_is_told_that_the_log_does_not_reach_back_gets_what_there_is() {
    on_both_buses_with(
        |config| config.rate = 0,
        |server| {
            let mut ann = server.typed("ann");
            let mut bob = server.typed("bob");
            let first = tell(&mut ann, "bob", "0");
            for n in 1..=202 {
                tell(&mut ann, "bob", &n.to_string());
            }
            bob.gets_at_last(json!({"type": "chat", "text": "202"}));
            bob.leave();
            let mut bob = comes(server, "bob", "key of bob", &json!({"ann": first}));
            let lost = json!({"type": "history", "to": "ann", "messages": [], "complete": false});
            bob.gets(lost);
            for n in 3..=202 {
                bob.gets(json!({"type": "chat", "to": "bob", "text": n.to_string()}));
            }
            bob.gets(json!({"type": "joined"}));
        },
    );
}

#[test]
fn messages_that_come_while_others_are_replayed_come_once_and_in_order() {
    let alone = TestServer::with(|config| config.rate = 0);
    they_come_once(&alone, &alone);
    let redis = Redis::start();
    let two = [0, 1].map(|_| TestServer::on_with(redis.address(), |config| config.rate = 0));
    they_come_once(&two[0], &two[1]);
}

#[track_caller]
fn they_come_once(here: &TestServer, there: &TestServer) {
    const EACH: usize = 150;
    let _bob = here.typed("bob");
    let speakers = ["ann", "cat", "dan"];
    std::thread::scope(|scope| {
        for name in speakers {
            scope.spawn(move || {
                let mut client = there.typed(name);
                for n in 0..EACH {
                    tell(&mut client, "bob", &format!("{name} {n}"));
                }
            });
        }
        let mut seen: BTreeMap<String, String> = BTreeMap::new();
        let mut heard: BTreeMap<String, Vec<String>> = BTreeMap::new();
        while heard.values().map(Vec::len).sum::<usize>() < speakers.len() * EACH {
            // He comes again and again, on one instance and on the other.
            let server = [here, there][fastrand::usize(..2)];
            let mut bob = comes(server, "bob", "key of bob", &json!(seen));
            for _ in 0..fastrand::usize(1..40) {
                let chat = bob.gets_at_last(json!({"type": "chat", "to": "bob"}));
                let [from, id, text] =
                    ["userId", "id", "text"].map(|key| chat[key].as_str().unwrap().to_string());
                heard.entry(from.clone()).or_default().push(text);
                seen.insert(from, id);
                if heard.values().map(Vec::len).sum::<usize>() == speakers.len() * EACH {
                    break;
                }
            }
        }
        for name in speakers {
            let expected: Vec<String> = (0..EACH).map(|n| format!("{name} {n}")).collect();
            assert_eq!(heard[name], expected);
        }
    });
}
