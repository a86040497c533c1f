//! Private conversations: each is numbered and kept like a room, for the two whose it is.

use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::support::{Client, Redis, TestServer, eventually, on_both_buses, on_both_buses_with};

/// Tells somebody something, and returns the id.
#[track_caller]
fn tell(from: &mut Client, to: &str, text: &str) -> String {
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
fn a_name_that_its_holder_forgets_is_free_at_once() {
    on_both_buses(|server| {
        let mut ann = server.typed_in("ann", "lobby");
        let mut bob = server.typed_in("bob", "lobby");
        bob.put(json!({"type": "forget"}));
        // It is his as long as he is here.
        let mut eve = server.json();
        let join = json!({"type": "join", "room": "lobby", "user": "bob", "session": "another"});
        eve.is_refused(join.clone(), "name_taken");
        bob.leave();
        ann.gets_at_last(json!({"type": "presence", "userId": "bob", "status": "offline"}));
        ann.put(json!({"type": "chat", "to": "bob", "text": "still there?"}));
        ann.gets(json!({"type": "error", "code": "no_such_user"}));
        eve.put(join);
        eve.gets(json!({"type": "welcome", "userId": "bob"}));
    });
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
fn a_terminal_keeps_its_name_with_a_session_key() {
    on_both_buses(|server| {
        let comes = |key: &str| Client::connect(server.addr(), &format!("/chat/bob?session={key}"));
        let mut ann = server.typed_in("ann", "lobby");
        let mut bob = comes("secret");
        bob.hears("Welcome bob!");
        tell(&mut ann, "bob", "one");
        bob.hears("ann (private): one");
        // It takes its name over.
        let mut again = comes("secret");
        again.hears("Welcome bob!");
        bob.is_closed(4001);
        again.leave();
        eventually("bob is away", || {
            ann.put(json!({"type": "who", "room": "lobby"}));
            let who = ann.gets_at_last(json!({"type": "who"}));
            (who["users"] == json!(["ann"])).then_some(())
        });
        tell(&mut ann, "bob", "two");
        let mut eve = comes("another");
        eve.hears("username bob is already taken. please retry with a different name");
        eve.is_closed(1008);
        let mut bob = comes("secret");
        bob.hears_in_order(&["Welcome bob!", "ann (private): two"]);
        tell(&mut ann, "bob", "three");
        bob.hears("ann (private): three");
    });
}
