//! Redis goes back in time: it has lost its last seconds, with or without a disconnect.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::conversations::tell;
use crate::support::{Client, Proxy, Redis, TestServer, eventually};

/// Says `count` messages with refs of their own, and returns the ids that they are acknowledged with.
#[track_caller]
pub fn say(client: &mut Client, count: usize) -> Vec<String> {
    static SAID: AtomicUsize = AtomicUsize::new(0);
    let ids = (0..count).map(|_| {
        let n = SAID.fetch_add(1, Ordering::Relaxed);
        client.put(json!({"type": "chat", "room": "attic", "text": "hello", "ref": n.to_string()}));
        let ack = client.gets_at_last(json!({"type": "ack", "ref": n.to_string(), "id": null}));
        ack["id"].as_str().unwrap().to_string()
    });
    ids.collect()
}

/// What somebody gets who comes back with `since`: whether it is complete, and the ids.
#[track_caller]
pub fn come_back(server: &TestServer, name: &str, since: &str, last: &str) -> (Value, Vec<String>) {
    let mut client = server.typed(name);
    client.put(json!({"type": "join", "room": "attic", "since": since}));
    let joined = client.gets_at_last(json!({"type": "joined", "room": "attic"}));
    let mut ids = Vec::new();
    while ids.last().is_none_or(|id| id != last) {
        let chat = client.gets_at_last(json!({"type": "chat", "room": "attic"}));
        ids.push(chat["id"].as_str().unwrap().to_string());
    }
    client.leave();
    (joined["complete"].clone(), ids)
}

#[test]
fn a_lost_tail_that_nobody_heard_is_not_taken_for_what_comes_after_it() {
    let mut redis = Redis::start();
    let server = TestServer::on(&redis);
    let kept = say(&mut server.typed_in("ann", "attic"), 5);
    let saved = redis.save();
    let lost = say(&mut server.typed_in("bob", "attic"), 5);
    server.stop();
    redis.go_back_to(&saved);

    let server = TestServer::on(&redis);
    let after = say(&mut server.typed_in("cat", "attic"), 15);
    let last = after.last().unwrap();
    assert!(
        lost.iter().all(|id| !after.contains(id)),
        "{lost:?} {after:?}"
    );
    // Nothing is missing after the third message but what Redis has lost.
    let expected: Vec<String> = kept[3..].iter().chain(&after).cloned().collect();
    assert_eq!(
        come_back(&server, "dan", &kept[2], last),
        (true.into(), expected)
    );
    // Who has seen a lost message is told, and gets what there is.
    for since in &lost {
        assert_eq!(
            come_back(&server, "eve", since, last),
            (false.into(), after.clone())
        );
    }
}

#[test]
fn a_restart_that_loses_nothing_stays_complete() {
    let mut redis = Redis::start();
    let server = TestServer::on(&redis);
    let before = say(&mut server.typed_in("ann", "attic"), 5);
    server.stop();
    redis.kill();
    redis.restart();

    let server = TestServer::on(&redis);
    let after = say(&mut server.typed_in("bob", "attic"), 3);
    let last = after.last().unwrap();
    let expected: Vec<String> = before[2..].iter().chain(&after).cloned().collect();
    assert_eq!(
        come_back(&server, "cat", &before[1], last),
        (true.into(), expected)
    );
    assert_eq!(
        come_back(&server, "cat", &before[4], last),
        (true.into(), after.clone())
    );
}

/// Everybody is connected, to two instances, and stays so.
#[test]
fn data_that_go_back_without_a_disconnect_are_noticed() {
    let redis = Redis::start();
    let servers = [TestServer::on(&redis), TestServer::on(&redis)];
    let mut pip = servers[0].typed_in("pip", "attic");
    let mut ida = servers[1].typed_in("ida", "attic");
    pip.gets(json!({"type": "presence", "userId": "ida", "status": "online"}));
    let mut heard = Vec::new();
    let mut hear = |ida: &mut Client, until: &str| {
        while heard.last().is_none_or(|id| id != until) {
            let object = ida.object();
            match object["type"].as_str() {
                Some("chat") => heard.push(object["id"].as_str().unwrap().to_string()),
                Some("joined") => assert_eq!(object["complete"], false),
                _ => {}
            }
        }
    };
    let kept = say(&mut pip, 5);
    let saved = redis.save();
    let lost = say(&mut pip, 20);
    hear(&mut ida, lost.last().unwrap());
    redis.reload(&saved);
    let after = say(&mut pip, 10);
    hear(&mut ida, after.last().unwrap());
    assert_eq!(heard, [kept.clone(), lost.clone(), after.clone()].concat());

    let last = after.last().unwrap();
    assert_eq!(
        come_back(&servers[1], "cat", &lost[19], last),
        (false.into(), after.clone())
    );
    let expected: Vec<String> = kept[4..].iter().skip(1).chain(&after).cloned().collect();
    assert_eq!(
        come_back(&servers[0], "cat", &kept[4], last),
        (true.into(), expected)
    );
}

#[test]
fn a_redis_that_lost_its_last_messages_never_reuses_a_number() {
    let redis = Redis::start();
    let servers = [TestServer::on(&redis), TestServer::on(&redis)];
    let mut ann = servers[0].typed_in("ann", "attic");
    let mut bob = servers[1].typed_in("bob", "attic");
    ann.gets(json!({"type": "presence"}));
    let mut last = String::new();
    for text in ["one", "two", "three"] {
        ann.put(json!({"type": "chat", "room": "attic", "text": text}));
        for peer in [&mut ann, &mut bob] {
            let heard = peer.gets(json!({"type": "chat", "text": text}));
            last = heard["id"].as_str().unwrap().into();
        }
    }
    // As after a failover to a replica that was behind.
    let first = last.replace("-3", "-1");
    redis.command(&["SET", "{chat:attic}:counter", &first]);
    redis.command(&["XTRIM", "{chat:attic}:log", "MAXLEN", "0"]);
    redis.command(&["CLIENT", "KILL", "TYPE", "pubsub"]);
    for peer in [&mut ann, &mut bob] {
        peer.gets(json!({"type": "status", "bus": "waiting"}));
        let mut told = [peer.object(), peer.object(), peer.object()];
        told.sort_by_key(|told| told["type"].as_str().map(str::to_string));
        let types = told.each_ref().map(|told| told["type"].as_str().unwrap());
        assert_eq!(types, ["joined", "status", "who"]);
        assert_eq!(told[0]["complete"], false);
        assert_eq!(told[0]["users"], json!(["ann", "bob"]));
        assert_eq!(told[1]["bus"], "ok");
    }
    assert!(servers.iter().all(|server| server.ready().0 == 200));
    for text in ["four", "five", "six"] {
        bob.put(json!({"type": "chat", "room": "attic", "text": text}));
        let heard = ann.gets(json!({"type": "chat", "text": text}));
        assert!(heard["id"].as_str().unwrap() > last.as_str());
        bob.gets(json!({"type": "chat", "id": heard["id"]}));
    }
}

#[test]
fn a_replica_that_lags_behind_takes_over() {
    let (primary, replica) = (Redis::on_tcp(), Redis::on_tcp());
    replica.follow(&primary);
    let proxy = Proxy::to(primary.port());
    let servers = [1, 2].map(|_| TestServer::on_with(proxy.address(), |_| {}));
    let mut pip = servers[0].typed_in("pip", "attic");
    let mut ida = servers[1].typed_in("ida", "attic");
    let kept = say(&mut pip, 5);
    primary.command(&["SET", "up to here", ""]);
    eventually("the replica has it", || {
        (replica.command(&["EXISTS", "up to here"]) == ":1\r\n").then_some(())
    });
    replica.lead();
    let lost = say(&mut pip, 5);
    ida.gets_at_last(json!({"type": "chat", "id": lost[4]}));
    proxy.lead_to(replica.port());
    proxy.cut();
    proxy.heal();
    for peer in [&mut pip, &mut ida] {
        peer.gets_at_last(json!({"type": "joined", "complete": false}));
    }
    servers.iter().for_each(|server| server.becomes(200));
    let after = say(&mut pip, 5);
    for id in &after {
        ida.gets_at_last(json!({"type": "chat", "id": id}));
    }
    assert!(lost.iter().all(|id| !after.contains(id)));
    let last = after.last().unwrap();
    let whole = (true.into(), after.clone());
    assert_eq!(come_back(&servers[1], "cat", &kept[4], last), whole);
    let rest = (false.into(), after.clone());
    assert_eq!(come_back(&servers[0], "eve", &lost[0], last), rest);
}

#[test]
fn who_is_here_is_told_of_lost_messages_before_what_follows() {
    let redis = Redis::start();
    let servers = [1, 2].map(|_| TestServer::on(&redis));
    let mut pip = servers[0].typed_in("pip", "attic");
    let mut ida = servers[1].typed_in("ida", "attic");
    let heard = say(&mut pip, 1);
    ida.gets_at_last(json!({"type": "chat", "id": heard[0]}));
    let saved = redis.save();
    let lost = say(&mut pip, 1);
    ida.gets(json!({"type": "chat", "id": lost[0]}));
    redis.reload(&saved);
    let after = say(&mut pip, 3);
    ida.gets(
        json!({"type": "joined", "room": "attic", "complete": false, "users": ["ida", "pip"]}),
    );
    for id in after {
        ida.gets(json!({"type": "chat", "id": id}));
    }
}

#[test]
fn one_gap_of_lost_and_of_dropped_messages_is_told_once() {
    for history in [0, 2] {
        let redis = Redis::on_tcp();
        let proxy = Proxy::to(redis.port());
        let keep = |config: &mut natterjack::config::Config| config.history = history;
        let far = TestServer::on_with(proxy.address(), keep);
        let near = TestServer::on_with(redis.address(), keep);
        let mut pip = near.typed_in("pip", "attic");
        let mut ida = far.typed_in("ida", "attic");
        say(&mut pip, 2);
        let saved = redis.save();
        let lost = say(&mut pip, 3);
        ida.gets_at_last(json!({"type": "chat", "id": lost[2]}));
        // Of what is said now, the log keeps the last two messages or none.
        proxy.cut();
        redis.reload(&saved);
        let missed = say(&mut pip, 5);
        proxy.heal();
        ida.gets_at_last(json!({"type": "joined", "complete": false}));
        far.becomes(200);
        let after = say(&mut pip, 1);
        let mut told = Vec::new();
        while told.last() != after.last() {
            let object = ida.object();
            match object["type"].as_str() {
                Some("chat") => told.push(object["id"].as_str().unwrap().to_string()),
                Some("joined") => panic!("told once more: {object}"),
                _ => {}
            }
        }
        assert_eq!(told, [&missed[5 - history..], &after].concat());
    }
}

#[test]
fn both_ends_of_a_private_conversation_are_told_of_lost_messages_before_what_follows() {
    let redis = Redis::start();
    let servers = [1, 2].map(|_| TestServer::on(&redis));
    let (mut ann, mut bob) = (servers[0].typed("ann"), servers[1].typed("bob"));
    let told = |text: &str| json!({"type": "chat", "to": "bob", "text": text});
    tell(&mut ann, "bob", "one");
    bob.gets(told("one"));
    let saved = redis.save();
    tell(&mut ann, "bob", "two");
    bob.gets(told("two"));
    redis.reload(&saved);
    ann.put(told("three"));
    for (client, with) in [(&mut ann, "bob"), (&mut bob, "ann")] {
        let loss = json!({"type": "history", "to": with, "messages": [], "complete": false});
        assert_eq!(client.gets_at_last(json!({"type": "history"})), loss);
        client.gets(told("three"));
    }
}

#[test]
fn numbers_that_are_given_again_are_noticed_by_those_who_have_heard_them() {
    let redis = Redis::on_tcp();
    let proxy = Proxy::to(redis.port());
    let far = TestServer::on_with(proxy.address(), |_| {});
    let [near, stopped] = [1, 2].map(|_| TestServer::on(&redis));
    let mut ida = far.typed_in("ida", "attic");
    let mut ann = stopped.typed_in("ann", "attic");
    say(&mut ann, 2);
    let saved = redis.save();
    let lost = say(&mut ann, 3);
    ida.gets_at_last(json!({"type": "chat", "id": lost[2]}));
    stopped.stop();
    // Before this instance hears of it, as many messages have come again.
    proxy.delay(Duration::from_millis(300));
    redis.reload(&saved);
    let after = say(&mut near.typed_in("pip", "attic"), 5);
    assert_eq!(after[..3], lost);
    ida.gets_at_last(json!({"type": "joined", "complete": false}));
    for id in after {
        ida.gets_at_last(json!({"type": "chat", "id": id}));
    }
}

#[test]
fn a_private_message_finds_its_recipient_when_redis_takes_him_for_where_he_was() {
    let redis = Redis::start();
    let (before, now) = (TestServer::on(&redis), TestServer::on(&redis));
    let mut ann = before.typed("ann");
    let mut bob = now.typed("bob");
    let key = ["HGET", "{chat-users}:owners", "ann"];
    let place = redis.command(&key).lines().last().unwrap().to_string();
    redis.command(&["HSET", "{chat-users}:owners", "bob", &place]);
    ann.put(json!({"type": "chat", "to": "bob", "text": "psst", "ref": "1"}));
    ann.gets_at_last(json!({"type": "ack", "ref": "1", "id": null}));
    bob.gets_at_last(json!({"type": "chat", "to": "bob", "userId": "ann", "text": "psst"}));
    ann.put(json!({"type": "chat", "to": "bob", "text": "again"}));
    bob.gets_at_last(json!({"type": "chat", "to": "bob", "text": "again"}));
}

#[test]
fn without_a_history_what_is_on_its_way_is_not_taken_for_lost() {
    let redis = Redis::on_tcp();
    let proxy = Proxy::to(redis.port());
    let without = |config: &mut natterjack::config::Config| config.history = 0;
    let far = TestServer::on_with(proxy.address(), without);
    let near = TestServer::on_with(redis.address(), without);
    let mut pip = near.typed_in("pip", "attic");
    let mut ida = far.typed_in("ida", "attic");
    let heard = say(&mut pip, 1);
    ida.gets_at_last(json!({"type": "chat", "id": heard[0]}));
    // This way, there is time between the subscription and the next commands.
    proxy.delay(Duration::from_millis(300));
    let listeners = |count: usize| {
        eventually("the instances listen", || {
            let channel = "chat:@{chat:attic}";
            let listeners = redis.command(&["PUBSUB", "NUMSUB", channel]);
            listeners.ends_with(&format!(":{count}\r\n")).then_some(())
        });
    };
    proxy.cut();
    listeners(1);
    proxy.heal();
    listeners(2);
    let on_its_way = say(&mut pip, 1);
    let follows = loop {
        let object = ida.object();
        match object["type"].as_str() {
            Some("chat") => break object,
            Some("joined") => panic!("nothing is lost: {object}"),
            _ => {}
        }
    };
    assert_eq!(follows["id"], on_its_way[0]);
    // What nobody here has been subscribed for is lost, and that is told before what follows.
    proxy.cut();
    listeners(1);
    say(&mut pip, 1);
    proxy.heal();
    ida.gets_at_last(json!({"type": "joined", "room": "attic", "complete": false}));
    far.becomes(200);
    let after = say(&mut pip, 1);
    ida.gets_at_last(json!({"type": "chat", "id": after[0]}));
}
