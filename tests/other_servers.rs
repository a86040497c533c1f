//! Another chat server beside ours on the same Redis, as the tutorial makes it. Who goes over from it
//! replaces it instance by instance.

use serde_json::json;

use crate::support::{Nodes, OtherServer, Redis, TestServer, eventually};

#[test]
fn people_of_both_servers_talk_and_see_each_other_come_and_go() {
    let redis = Redis::start();
    let mut other = OtherServer::on(&redis);
    let servers = [1, 2].map(|_| TestServer::on(&redis));
    let mut foo = servers[0].join("foo");
    other.hears("foo: has joined the chat!");
    let mut bar = servers[1].join("bar");
    other.hears("bar: has joined the chat!");
    foo.hears("bar: has joined the chat!");
    assert!(other.join("pi"));
    other.hears("pi: has joined the chat!");
    foo.hears("pi: has joined the chat!");
    bar.hears("pi: has joined the chat!");

    // Everybody hears everything once.
    for text in ["hello", "hello", "\"{quoted}\" \u{1f438}"] {
        foo.say(text);
        other.hears(&format!("foo: {text}"));
        bar.hears(&format!("foo: {text}"));
        other.say("pi", text);
        other.hears(&format!("pi: {text}"));
        foo.hears(&format!("pi: {text}"));
        bar.hears(&format!("pi: {text}"));
    }
    // No line looks like another user's.
    foo.say("one\nbar: two");
    other.hears("foo: one\n  bar: two");
    bar.hears("foo: one\n  bar: two");
    // Under the name of somebody who is elsewhere, and a moment after the same words.
    other.say("foo", "one");
    other.hears("foo: one");
    foo.hears("foo: one");
    bar.hears("foo: one");

    foo.say("/msg bar psst");
    bar.hears("foo (private): psst");
    bar.leave();
    other.hears("bar: has left the chat!");
    foo.hears("bar: has left the chat!");
    other.leave("pi");
    other.hears("pi: has left the chat!");
    foo.hears("pi: has left the chat!");
    let dan = servers[1].join_room("dan", "attic");
    dan.leave();
    foo.leave();
    other.hears("foo: has left the chat!");
}

#[test]
fn a_burst_reaches_the_other_server_in_order_and_each_message_once() {
    let redis = Redis::start();
    let servers = [1, 2].map(|_| TestServer::on_with(redis.address(), |config| config.rate = 0));
    let mut foo = servers[0].join("foo");
    let mut bar = servers[1].join("bar");
    foo.hears("bar: has joined the chat!");
    let mut other = OtherServer::on(&redis);
    for n in 0..200 {
        foo.say(&format!("f{n}"));
    }
    other.say("pi", "hello");
    for n in 0..200 {
        let line = format!("foo: f{n}");
        let mut next = bar.next();
        if next == "pi: hello" {
            next = bar.next();
        }
        assert_eq!(next, line);
        other.hears_at_last(&line);
    }
}

#[test]
fn names_belong_to_one_person_of_both_servers() {
    let redis = Redis::start();
    let other = OtherServer::on(&redis);
    let server = TestServer::on(&redis);
    let foo = server.join("foo");
    assert!(!other.join("foo"));
    for name in ["pi", "Ida"] {
        assert!(other.join(name));
        let mut taken = server.knock(name, "lobby");
        taken.hears(&format!(
            "username {name} is already taken. please retry with a different name"
        ));
        taken.is_closed(1008);
    }
    let _eve = server.typed("eve");
    let mut dan = server.json();
    dan.put(json!({"type": "join", "room": "attic", "user": "pi"}));
    dan.gets(json!({"type": "error", "code": "name_taken"}));
    foo.leave();
    eventually(
        "our names are given back, and those of others are not",
        || {
            let names = redis.list(&["SMEMBERS", "chat-users"]);
            (names == ["Ida", "eve", "pi"]).then_some(())
        },
    );
    other.leave("pi");
    server.join("pi");
}

#[test]
fn who_is_here_keeps_a_name_of_which_redis_has_lost_the_owner() {
    let redis = Redis::start();
    let server = TestServer::on(&redis);
    let mut foo = server.join("foo");
    redis.command(&["DEL", "{chat-users}:owners"]);
    redis.command(&["CLIENT", "KILL", "TYPE", "pubsub"]);
    eventually("the name is registered again", || {
        let owner = redis.command(&["HEXISTS", "{chat-users}:owners", "foo"]);
        (owner == ":1\r\n").then_some(())
    });
    server.becomes(200);
    foo.say("/who");
    foo.hears("in lobby: foo");
}

#[test]
fn nobody_can_forge_what_instances_tell_one_another_on_a_rooms_channel() {
    let redis = Redis::start();
    let servers = [1, 2].map(|_| TestServer::on(&redis));
    let mut foo = servers[0].join("foo");
    let mut bar = servers[1].join("bar");
    foo.hears("bar: has joined the chat!");
    let owner = redis.command(&["HGET", "{chat-users}:owners", "bar"]);
    let origin = owner.lines().nth(1).unwrap().split(' ').next().unwrap();
    let left = format!("{{\"natterjack\":\"left\",\"from\":\"{origin}\",\"user\":\"bar\"}}");
    let ahead = format!(
        "{{\"natterjack\":\"said\",\"id\":\"99999999999999-10\",\"at\":1,\"from\":\"{origin}\",\"user\":\"bar\",\"text\":\"x\"}}"
    );
    for forged in [left, ahead] {
        redis.command(&["PUBLISH", "chat", &forged]);
        foo.hears(&format!("redis: {forged}"));
        bar.hears(&format!("redis: {forged}"));
    }
    for n in 0..12 {
        bar.say(&format!("{n}"));
        foo.hears(&format!("bar: {n}"));
    }
}

#[test]
fn a_program_that_is_subscribed_by_a_pattern_reads_lines() {
    let redis = Redis::start();
    let server = TestServer::on_with(redis.address(), |config| config.rate = 0);
    let mut other = OtherServer::by_pattern(&redis, "chat:*");
    let mut bar = server.join_room("bar", "attic");
    eventually("the program is found", || {
        bar.say("hello?");
        let mut next = other.next();
        while !next.contains("hello?") {
            next = other.next();
        }
        // Until then it hears only what instances tell one another.
        next.ends_with(",\"plain\":true}").then_some(())
    });
    other.hears("bar: hello?");
}

#[test]
fn the_other_server_may_be_on_any_node_of_a_cluster() {
    let nodes = Nodes::start();
    let mut others = [0, 1, 2].map(|i| OtherServer::on(nodes.node(i)));
    let servers = [0, 4].map(|i| TestServer::on_with(nodes.address(i), |config| config.rate = 0));
    let mut foo = servers[0].join("foo");
    let mut bar = servers[1].join("bar");
    foo.hears("bar: has joined the chat!");
    eventually("all are found", || {
        foo.say("hello?");
        bar.hears("foo: hello?");
        others.iter_mut().all(OtherServer::has_heard).then_some(())
    });
    foo.say("hello");
    bar.hears("foo: hello");
    for other in &mut others {
        other.hears_at_last("foo: hello");
    }
    for n in 0..3 {
        others[n].say("pi", "hi");
        foo.hears("pi: hi");
        bar.hears("pi: hi");
        for other in &mut others {
            other.hears("pi: hi");
        }
        bar.say("bye");
        foo.hears("bar: bye");
        for other in &mut others {
            other.hears("bar: bye");
        }
    }
}
