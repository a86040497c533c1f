//! Redis goes away and comes back: what people see, what `/readyz` says, how it heals.

use serde_json::json;

use crate::support::{Client, NearAndFar, Proxy, Redis, TestServer, eventually};

#[test]
fn the_server_waits_for_a_redis_that_is_not_there_yet() {
    let mut redis = Redis::on_tcp();
    redis.kill();
    let proxy = Proxy::to(redis.port());
    let server = TestServer::on_with(proxy.address(), |_| {});
    let (status, why) = server.ready();
    assert_eq!(status, 503);
    assert!(why.starts_with("redis 127.0.0.1:"), "{why}");
    let mut foo = server.knock("foo", "lobby");
    foo.hears("failed to connect. please try again");
    foo.is_closed(1013);
    redis.restart();
    server.becomes(200);
    server.join("foo");
}

#[test]
fn redis_restarts_and_nobody_reconnects() {
    let mut redis = Redis::start();
    let (one, two) = (TestServer::on(&redis), TestServer::on(&redis));
    let mut foo = one.join("foo");
    let mut bar = two.join_room("bar", "lobby");
    foo.hears("bar: has joined the chat!");
    redis.kill();
    one.becomes(503);
    let mut late = one.knock("late", "lobby");
    late.hears("failed to connect. please try again");
    late.is_closed(1013);
    foo.say("said while redis was away");
    redis.restart();
    one.becomes(200);
    two.becomes(200);
    foo.say("and after");
    // Whichever instance is back first: nothing is missing.
    bar.hears_in_order(&["foo: said while redis was away", "foo: and after"]);
    foo.say("/who");
    foo.hears("in lobby: bar, foo");
    assert_eq!(redis.list(&["SMEMBERS", "chat-users"]), ["bar", "foo"]);
}

#[test]
fn messages_missed_by_a_broken_subscription_are_read_from_the_log() {
    let redis = Redis::on_tcp();
    let proxy = Proxy::to(redis.port());
    let (here, there) = (
        TestServer::on(&redis),
        TestServer::on_with(proxy.address(), |_| {}),
    );
    let mut foo = here.join("foo");
    let mut typed = here.typed_in("typed", "attic");
    let mut bar = there.join("bar");
    foo.hears("bar: has joined the chat!");
    let mut deaf = there.typed_in("deaf", "attic");
    typed.gets(json!({"type": "presence"}));
    proxy.cut();
    there.becomes(503);
    deaf.gets(json!({"type": "status", "bus": "waiting"}));
    // More than one page of the log.
    for n in 0..50 {
        foo.say(&n.to_string());
    }
    typed.put(json!({"type": "chat", "room": "attic", "text": "can you hear me?"}));
    typed.gets(json!({"type": "chat", "text": "can you hear me?"}));
    typed.put(json!({"type": "chat", "to": "deaf", "text": "psst"}));
    typed.gets(json!({"type": "chat", "text": "psst"}));
    proxy.heal();
    there.becomes(200);
    for n in 0..50 {
        bar.hears(&format!("foo: {n}"));
    }
    let mut heard: Vec<String> = Vec::new();
    while heard.len() < 2 {
        let object = deaf.object();
        if object["type"] == "chat" {
            heard.push(object["text"].as_str().unwrap().into());
        }
    }
    heard.sort();
    assert_eq!(heard, ["can you hear me?", "psst"]);
    // Live again, without doubles.
    foo.say("and on");
    bar.hears("foo: and on");
}

#[test]
fn a_connection_that_breaks_while_missed_messages_are_read_repeats_none() {
    let NearAndFar {
        redis: _redis,
        way,
        near,
        far,
    } = NearAndFar::start();
    let mut ann = near.typed_in("ann", "attic");
    let mut bob = far.typed_in("bob", "attic");
    way.cut();
    bob.gets_at_last(json!({"type": "status", "bus": "waiting"}));
    // Several pages of the log, each of about 64 KiB.
    let texts: Vec<String> = (0..60)
        .map(|n| format!("{n} {}", "x".repeat(3000)))
        .collect();
    for text in &texts {
        ann.put(json!({"type": "chat", "room": "attic", "text": text}));
        ann.gets_at_last(json!({"type": "chat", "text": text}));
    }
    way.heal();
    way.stall_after(100_000);
    let mut hears = || bob.gets_at_last(json!({"type": "chat", "room": "attic"}))["text"].clone();
    assert_eq!(hears(), texts[0]);
    way.cut();
    way.heal();
    for text in &texts[1..] {
        assert_eq!(hears(), *text);
    }
}

#[test]
fn a_redis_without_its_data_begins_a_new_epoch() {
    let redis = Redis::start();
    let servers = [TestServer::on(&redis), TestServer::on(&redis)];
    let mut ann = servers[0].typed_in("ann", "attic");
    let mut bob = servers[1].typed_in("bob", "attic");
    ann.gets(json!({"type": "presence"}));
    let say = |who: &mut Client, text: &str| {
        who.put(json!({"type": "chat", "room": "attic", "text": text}));
    };
    say(&mut ann, "before");
    ann.gets(json!({"type": "chat", "text": "before"}));
    let before = bob.gets(json!({"type": "chat", "text": "before"}))["id"].clone();
    redis.command(&["FLUSHALL"]);
    // Names and rosters are registered again by themselves, while the connections stay.
    eventually("both names are registered again", || {
        (redis.list(&["SMEMBERS", "chat-users"]) == ["ann", "bob"]).then_some(())
    });
    assert!(servers.iter().all(|server| server.ready().0 == 200));
    eventually("both are on the roster again", || {
        (redis.list(&["HKEYS", "{chat:attic}:roster"]) == ["ann", "bob"]).then_some(())
    });
    say(&mut ann, "after");
    // Nobody knows how many messages the other epoch had in the end.
    for peer in [&mut ann, &mut bob] {
        peer.gets(json!({"type": "joined", "complete": false, "users": ["ann", "bob"]}));
    }
    let after = ann.gets(json!({"type": "chat", "text": "after"}))["id"].clone();
    bob.gets(json!({"type": "chat", "text": "after", "id": after}));
    let epoch = |id: &serde_json::Value| -> u64 {
        let (epoch, n) = id.as_str().unwrap().split_once('-').unwrap();
        assert_eq!(n, "1");
        epoch.parse().unwrap()
    };
    assert!(epoch(&after) > epoch(&before));
    // A peer that comes back with an id of the old epoch gets the messages that remain, with
    // `complete:false`.
    let mut pi = servers[1].typed("pi");
    pi.put(json!({"type": "join", "room": "attic", "since": before}));
    pi.gets(json!({"type": "joined", "complete": false, "users": ["ann", "bob", "pi"]}));
    pi.gets(json!({"type": "chat", "text": "after"}));
}

#[test]
fn json_peers_are_told_that_redis_is_unavailable() {
    let mut redis = Redis::start();
    let server = TestServer::on(&redis);
    let mut ann = server.typed_in("ann", "attic");
    redis.kill();
    server.becomes(503);
    ann.gets_just(json!({"type": "status", "bus": "waiting"}));
    for object in [
        json!({"type": "join", "room": "cellar"}),
        json!({"type": "join", "room": "attic"}),
        json!({"type": "who", "room": "attic"}),
    ] {
        ann.is_refused(object, "unavailable");
    }
    // A new peer is told to try again later.
    for target in ["/ws", "/ws?user=bob", "/ws?user=bob&room=attic"] {
        let mut late = Client::connect(server.addr(), target);
        late.gets(json!({"type": "error", "code": "unavailable"}));
        late.is_closed(1013);
    }
    redis.restart();
    ann.gets_just(json!({"type": "status", "bus": "ok"}));
    // Joins and leaves were missed meanwhile, so the list of members is sent again.
    ann.gets(json!({"type": "who", "room": "attic", "users": ["ann"]}));
    ann.put(json!({"type": "join", "room": "cellar"}));
    ann.gets(json!({"type": "joined", "room": "cellar", "users": ["ann"]}));
}

#[test]
fn messages_wait_for_redis_and_are_published_once() {
    let mut redis = Redis::start();
    let server = TestServer::on_with(redis.address(), |config| config.rate = 0);
    let mut foo = server.join("foo");
    let mut bar = server.join("bar");
    foo.hears("bar: has joined the chat!");
    redis.kill();
    server.becomes(503);
    for n in 0..1001 {
        foo.say(&n.to_string());
    }
    // A thousand wait; what can't is refused, not dropped in silence.
    foo.hears("error: this can't be done right now, please try again later");
    redis.restart();
    for n in 0..1000 {
        bar.hears(&format!("foo: {n}"));
    }
    foo.say("done");
    bar.hears("foo: done");
    assert_eq!(redis.command(&["XLEN", "{chat:lobby}:log"]), ":1000\r\n");
    assert!(
        redis
            .command(&["GET", "{chat:lobby}:counter"])
            .contains("-1001 ")
    );
}

#[test]
fn messages_that_wait_for_several_rooms_and_people_stay_in_order() {
    let mut redis = Redis::start();
    let server = TestServer::on_with(redis.address(), |config| config.rate = 0);
    let mut ann = server.typed_in("ann", "attic");
    ann.put(json!({"type": "join", "room": "cellar"}));
    ann.gets(json!({"type": "joined"}));
    let mut bob = server.typed("bob");
    redis.kill();
    server.becomes(503);
    bob.gets(json!({"type": "status", "bus": "waiting"}));
    let mut sent = Vec::new();
    for n in 0..300 {
        let reference = format!("r{n}");
        let message = match n % 20 {
            7 => json!({"type": "chat", "room": "cellar", "text": n.to_string(), "ref": reference}),
            13 => json!({"type": "chat", "to": "bob", "text": n.to_string(), "ref": reference}),
            // Sent twice, and said once.
            _ if n % 50 == 0 => {
                ann.put(json!({"type": "chat", "room": "attic", "text": n.to_string(), "ref": reference}));
                sent.push(n);
                json!({"type": "chat", "room": "attic", "text": n.to_string(), "ref": reference})
            }
            _ => json!({"type": "chat", "room": "attic", "text": n.to_string(), "ref": reference}),
        };
        ann.put(message);
        sent.push(n);
    }
    redis.restart();
    let (mut acks, mut heard) = (Vec::new(), Vec::new());
    while acks.len() < sent.len() || heard.len() < 300 {
        let object = ann.object();
        match object["type"].as_str() {
            Some("ack") => acks.push(object),
            Some("chat") => heard.push(object),
            _ => {}
        }
    }
    // A private conversation has an order of its own.
    let is_private = |n: &u64| n % 20 == 13;
    let refs = acks
        .iter()
        .map(|ack| ack["ref"].as_str().unwrap()[1..].parse::<u64>().unwrap());
    let (private, public): (Vec<u64>, Vec<u64>) = refs.partition(is_private);
    let (sent_private, sent_public): (Vec<u64>, Vec<u64>) = sent.into_iter().partition(is_private);
    assert_eq!((private, public), (sent_private, sent_public));
    for room in ["attic", "cellar"] {
        let heard: Vec<_> = heard.iter().filter(|chat| chat["room"] == room).collect();
        for (place, chat) in heard.iter().enumerate() {
            let id = chat["id"].as_str().unwrap();
            assert!(id.ends_with(&format!("-{}", place + 1)), "{chat}");
            let reference = format!("r{}", chat["text"].as_str().unwrap());
            let mut same = acks.iter().filter(|ack| ack["ref"] == *reference);
            assert!(same.all(|ack| ack["id"] == id), "{chat}");
        }
        let texts = heard.iter().map(|chat| chat["text"].as_str().unwrap());
        let numbers: Vec<u32> = texts.map(|text| text.parse().unwrap()).collect();
        assert!(numbers.is_sorted(), "{room}: {numbers:?}");
    }
    bob.gets(json!({"type": "status", "bus": "ok"}));
    for n in (0..300).filter(|n| n % 20 == 13) {
        bob.gets(json!({"type": "chat", "to": "bob", "text": n.to_string()}));
    }
}

#[test]
fn names_are_registered_again_when_redis_has_forgotten_them() {
    let redis = Redis::start();
    let server = TestServer::on(&redis);
    let mut foo = server.join_room("foo", "attic");
    redis.command(&["FLUSHALL"]);
    redis.command(&["SCRIPT", "FLUSH"]);
    redis.command(&["CLIENT", "KILL", "TYPE", "normal"]);
    eventually("foo is registered again", || {
        (redis.list(&["SMEMBERS", "chat-users"]) == ["foo"]).then_some(())
    });
    server.becomes(200);
    foo.say("/who");
    foo.hears("in attic: foo");
    let mut bar = server.join_room("bar", "attic");
    foo.hears("bar: has joined the chat!");
    foo.say("hello");
    bar.hears("foo: hello");
}

#[test]
fn either_connection_may_be_killed() {
    let redis = Redis::start();
    let server = TestServer::on(&redis);
    let mut foo = server.join("foo");
    let mut bar = server.join("bar");
    foo.hears("bar: has joined the chat!");
    for kind in ["normal", "pubsub"] {
        let clients = || {
            redis
                .command(&["CLIENT", "LIST"])
                .matches("name=natterjack-")
                .count()
        };
        let id = redis.command(&["CLIENT", "LIST", "TYPE", kind]);
        redis.command(&["CLIENT", "KILL", "TYPE", kind]);
        eventually("both connections are new", || {
            let now = redis.command(&["CLIENT", "LIST", "TYPE", kind]);
            (clients() == 2 && now != id).then_some(())
        });
        server.becomes(200);
        eventually("messages get through again", || {
            foo.say(kind);
            Some(())
        });
        bar.hears(&format!("foo: {kind}"));
    }
}

#[test]
fn forgotten_scripts_are_loaded_again() {
    let redis = Redis::start();
    let server = TestServer::on(&redis);
    let mut foo = server.join("foo");
    let mut bar = server.join("bar");
    foo.hears("bar: has joined the chat!");
    redis.command(&["SCRIPT", "FLUSH"]);
    foo.say("hello");
    bar.hears("foo: hello");
}

#[test]
fn a_hanging_redis_is_noticed_and_replaced_when_it_wakes() {
    let redis = Redis::start();
    let server = TestServer::on(&redis);
    let mut foo = server.join("foo");
    redis.freeze();
    server.becomes(503);
    redis.thaw();
    server.becomes(200);
    let _bar = server.join("bar");
    foo.hears("bar: has joined the chat!");
}

#[test]
fn a_network_that_swallows_everything_is_noticed() {
    let redis = Redis::on_tcp();
    let proxy = Proxy::to(redis.port());
    let server = TestServer::on_with(proxy.address(), |_| {});
    let mut foo = server.join("foo");
    proxy.stall();
    server.becomes(503);
    proxy.heal();
    server.becomes(200);
    proxy.cut();
    server.becomes(503);
    proxy.heal();
    server.becomes(200);
    let _bar = server.join("bar");
    foo.hears("bar: has joined the chat!");
}

#[test]
fn a_redis_that_is_full_refuses_and_nobody_is_cut_off() {
    let redis = Redis::start();
    let server = TestServer::on(&redis);
    let mut ann = server.typed_in("ann", "attic");
    ann.put(json!({"type": "chat", "room": "attic", "text": "before"}));
    ann.gets(json!({"type": "chat", "text": "before"}));
    redis.command(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    redis.command(&["CONFIG", "SET", "maxmemory", "1"]);
    let hello = json!({"type": "chat", "room": "attic", "text": "hello", "ref": "r1"});
    ann.is_refused(hello.clone(), "unavailable");
    server.becomes(503);
    assert!(server.ready().1.contains("OOM"), "{}", server.ready().1);
    redis.command(&["CONFIG", "SET", "maxmemory", "0"]);
    server.becomes(200);
    ann.gets(json!({"type": "status", "bus": "waiting"}));
    ann.gets(json!({"type": "status", "bus": "ok"}));
    ann.gets(json!({"type": "who"}));
    ann.put(hello);
    assert_eq!(ann.hears_of("ack")["ref"], "r1");
}
