//! Numbers and references: what is refused is not heard, and no log is lost for it.

use serde_json::{Value, json};

use crate::rollback::{come_back, say};
use crate::support::{Client, Redis, TestServer, eventually};

/// Says something that is refused.
#[track_caller]
fn is_refused(client: &mut Client) {
    client.put(json!({"type": "chat", "room": "attic", "text": "refused", "ref": "refused"}));
    client.gets_at_last(json!({"type": "error", "code": "unavailable", "ref": "refused"}));
}

/// What is refused is not heard, and the next number is that of the next message.
#[track_caller]
fn go_on(ann: &mut Client, bob: &mut Client, last: &str) -> Vec<String> {
    let after = say(ann, 2);
    for id in &after {
        let heard = bob.gets_at_last(json!({"type": "chat", "room": "attic"}));
        assert_eq!(heard["id"], *id, "after {last}");
        assert_eq!(heard["text"], "hello");
    }
    after
}

#[test]
fn a_full_redis_refuses_what_nobody_hears_also_without_a_history() {
    for history in [0, 100] {
        let redis = Redis::start();
        let servers =
            [1, 2].map(|_| TestServer::on_with(redis.address(), |config| config.history = history));
        let mut ann = servers[0].typed_in("ann", "attic");
        let mut bob = servers[1].typed_in("bob", "attic");
        let before = say(&mut ann, 2);
        bob.gets_at_last(json!({"type": "chat", "id": before[1]}));
        redis.command(&["CONFIG", "SET", "maxmemory", "1"]);
        is_refused(&mut ann);
        redis.command(&["CONFIG", "SET", "maxmemory", "0"]);
        let after = go_on(&mut ann, &mut bob, &before[1]);
        let id = |id: &str| id.split_once('-').map(|(_, n)| n.parse::<u64>().unwrap());
        assert_eq!([id(&after[0]), id(&after[1])], [Some(3), Some(4)]);
    }
}

#[test]
fn a_moment_without_the_right_to_log_or_to_publish_loses_nothing() {
    for (right, history) in [("xadd", 100), ("publish", 100), ("publish", 0)] {
        let redis = Redis::start();
        redis.allow("chat", "on >x ~* &* +@all");
        let mut address = redis.address();
        (address.username, address.password) = (Some("chat".into()), Some("x".into()));
        let servers =
            [1, 2].map(|_| TestServer::on_with(address.clone(), |config| config.history = history));
        let mut ann = servers[0].typed_in("ann", "attic");
        let mut bob = servers[1].typed_in("bob", "attic");
        let before = say(&mut ann, 50);
        bob.gets_at_last(json!({"type": "chat", "id": before[49]}));
        redis.allow("chat", &format!("-{right}"));
        is_refused(&mut ann);
        redis.allow("chat", &format!("+{right}"));
        let after = go_on(&mut ann, &mut bob, &before[49]);
        if history > 0 {
            let whole = [&before[1..], &after].concat();
            let back = come_back(&servers[1], "cat", &before[0], &after[1]);
            assert_eq!(back, (Value::from(true), whole), "{right}");
        }
    }
}

#[test]
fn a_log_whose_counter_is_gone_goes_on() {
    let redis = Redis::start();
    let server = TestServer::on(&redis);
    let before = say(&mut server.typed_in("ann", "attic"), 20);
    assert_eq!(redis.command(&["DEL", "{chat:attic}:counter"]), ":1\r\n");
    let after = say(&mut server.typed_in("bob", "attic"), 1);
    let whole = [&before[1..], &after].concat();
    let back = come_back(&server, "cat", &before[0], &after[0]);
    assert_eq!(back, (true.into(), whole));
}

#[test]
fn a_forged_number_swallows_no_message_and_begins_no_epoch() {
    let redis = Redis::start();
    let servers = [1, 2].map(|_| TestServer::on(&redis));
    let mut ann = servers[0].typed_in("ann", "attic");
    let mut bob = servers[1].typed_in("bob", "attic");
    let mut said = say(&mut ann, 2);
    for id in &said {
        bob.gets_at_last(json!({"type": "chat", "id": id}));
    }
    let end = u64::MAX / 1000;
    // Far ahead, of another epoch, and known: long ago or just now.
    for (ahead, at) in [("-11", 1), ("0-1", 1), ("-1", end), ("-2", end)] {
        let id = said[1].replace("-2", ahead);
        let forged = format!(
            r#"{{"natterjack":"said","id":"{id}","at":{at},"from":"0.1","user":"eve","text":"x"}}"#
        );
        redis.command(&["PUBLISH", "chat:@{chat:attic}", &forged]);
        for id in say(&mut ann, 12) {
            bob.gets(json!({"type": "chat", "id": id}));
            said.push(id);
        }
    }
    let last = said.last().unwrap();
    assert!(last.ends_with("-50"), "another epoch: {last}");
    let back = come_back(&servers[1], "cat", &said[0], last);
    assert_eq!(back, (true.into(), said[1..].to_vec()));
}

#[test]
fn a_reference_takes_little_memory_and_is_known_for_its_life() {
    const COUNT: usize = 2000;
    let redis = Redis::start();
    let server = TestServer::on_with(redis.address(), |config| config.rate = 0);
    let mut ann = server.typed_in("ann", "attic");
    let say = |ann: &mut Client, reference: usize| {
        let reference = format!("a reference of usual length, {reference:08}");
        ann.put(json!({"type": "chat", "room": "attic", "text": "hello", "ref": reference}));
        ann.gets_at_last(json!({"type": "ack", "ref": reference}))["id"].clone()
    };
    let first = say(&mut ann, 0);
    (1..COUNT).for_each(|n| drop(say(&mut ann, n)));
    let key = "{chat:attic}:refs";
    let size = redis.command(&["MEMORY", "USAGE", key, "SAMPLES", "0"]);
    let size: usize = size.trim()[1..].parse().unwrap();
    println!("{} bytes each", size / COUNT);
    assert!(size / COUNT <= 128, "{size} bytes");
    // The hash has become old: what comes now goes into another one, and both are known.
    redis.command(&["EXPIRE", key, "800"]);
    let second = say(&mut ann, COUNT);
    assert_eq!(
        redis.command(&["EXISTS", key, "{chat:attic}:older-refs"]),
        ":1\r\n"
    );
    let third = say(&mut ann, COUNT + 1);
    for (reference, id) in [(0, first), (COUNT, second), (COUNT + 1, third)] {
        assert_eq!(say(&mut ann, reference), id);
    }
    eventually("the new hash goes by itself", || {
        let life = redis.command(&["TTL", key]);
        (life != ":-1\r\n").then_some(())
    });
}
