//! Many instances behind one Redis are one chat.

use serde_json::json;

use crate::support::{NearAndFar, Proxy, Redis, TestServer, eventually};

#[test]
fn people_on_two_instances_talk() {
    let redis = Redis::start();
    let (one, two) = (TestServer::on(&redis), TestServer::on(&redis));
    let mut foo = one.join("foo");
    let mut bar = two.join("bar");
    foo.hears("bar: has joined the chat!");
    let mut pi = two.join("pi");
    foo.hears("pi: has joined the chat!");
    bar.hears("pi: has joined the chat!");
    foo.say("hello");
    bar.hears("foo: hello");
    pi.hears("foo: hello");
    pi.say("/who");
    pi.hears("in lobby: bar, foo, pi");
    foo.say("/msg bar hi");
    bar.hears("foo (private): hi");
    bar.leave();
    foo.hears("bar: has left the chat!");
    pi.hears("bar: has left the chat!");
    let mut taken = two.knock("foo", "lobby");
    taken.hears("username foo is already taken. please retry with a different name");
    taken.is_closed(1008);
}

#[test]
fn redis_shows_who_is_here_and_where() {
    let redis = Redis::start();
    let server = TestServer::on(&redis);
    let foo = server.join("foo");
    let bar = server.join_room("bar", "attic");
    assert_eq!(redis.list(&["SMEMBERS", "chat-users"]), ["bar", "foo"]);
    let rooms = || {
        let channels = redis.list(&["PUBSUB", "CHANNELS", "*"]);
        channels
            .into_iter()
            .filter(|channel| !channel.contains('@'))
            .collect::<Vec<_>>()
    };
    assert_eq!(rooms(), ["chat", "chat:attic"]);
    bar.leave();
    eventually("the attic's channel is given up", || {
        (rooms() == ["chat"]).then_some(())
    });
    eventually("bar's name is given back", || {
        (redis.list(&["SMEMBERS", "chat-users"]) == ["foo"]).then_some(())
    });
    foo.leave();
}

#[test]
fn the_prefix_names_everything() {
    let redis = Redis::start();
    let other = TestServer::on_with(redis.address(), |config| config.prefix = "other".into());
    let server = TestServer::on(&redis);
    // Two chats on one Redis do not meet.
    let mut foo = server.join("foo");
    let mut twin = other.join("foo");
    foo.say("hello");
    assert_eq!(redis.list(&["SMEMBERS", "other-users"]), ["foo"]);
    assert_eq!(
        redis.command(&["PUBLISH", "other", "ops: over there"]),
        ":1\r\n"
    );
    twin.hears("ops: over there");
    for key in redis.list(&["KEYS", "*"]) {
        let known = [
            "chat-users",
            "{chat-users}:",
            "{chat:",
            "other-users",
            "{other-users}:",
            "{other:",
        ];
        assert!(known.iter().any(|known| key.starts_with(known)), "{key}");
    }
}

#[test]
fn messages_are_numbered_without_a_gap_and_logged() {
    let redis = Redis::start();
    let servers = [1, 2].map(|_| TestServer::on_with(redis.address(), |config| config.history = 3));
    let mut foo = servers[0].join("foo");
    let mut bar = servers[1].join("bar");
    foo.hears("bar: has joined the chat!");
    for n in 0..5 {
        foo.say(&format!("f{n}"));
        bar.hears(&format!("foo: f{n}"));
        bar.say(&format!("b{n}"));
        foo.hears(&format!("bar: b{n}"));
    }
    let log = redis.command(&["XRANGE", "{chat:lobby}:log", "-", "+"]);
    let ids: Vec<&str> = log
        .split("\r\n")
        .filter(|line| line.contains('-') && !line.contains('{'))
        .collect();
    let numbers: Vec<&str> = ids.iter().map(|id| id.split_once('-').unwrap().1).collect();
    assert_eq!(
        numbers,
        ["8", "9", "10"],
        "the log keeps as many as it is told to: {log}"
    );
    assert!(log.contains("\"text\":\"b4\""));
}

#[test]
fn messages_that_other_programs_publish_to_redis_arrive() {
    let redis = Redis::start();
    let (one, two) = (TestServer::on(&redis), TestServer::on(&redis));
    let mut foo = one.join("foo");
    let mut bar = two.join_room("bar", "attic");
    redis.command(&["PUBLISH", "chat", "ops: hello"]);
    foo.hears("ops: hello");
    redis.command(&["PUBLISH", "chat", "back at five"]);
    foo.hears("redis: back at five");
    // Even under the name of a connected user.
    redis.command(&["PUBLISH", "chat", "foo: I am not foo"]);
    foo.hears("foo: I am not foo");
    redis.command(&["PUBLISH", "chat:attic", "ops: \u{1b}[2Jmind the step"]);
    bar.hears("ops: \u{fffd}[2Jmind the step");
    // Nonsense on any of our channels harms nobody.
    let own = redis.list(&["PUBSUB", "CHANNELS", "chat:@*"]);
    for channel in own.iter().map(String::as_str).chain(["chat", "chat:attic"]) {
        for nonsense in [
            "",
            " ",
            "\0",
            "{\"natterjack\":",
            "{\"natterjack\":\"said\"}",
            "\u{fffd}: x",
        ] {
            redis.command(&["PUBLISH", channel, nonsense]);
        }
    }
    redis.command(&["PUBLISH", "chat", "ops: the end"]);
    foo.hears_at_last("ops: the end");
}

#[test]
fn a_dead_instance_keeps_its_names_only_while_it_has_a_lease() {
    let redis = Redis::start();
    let server = TestServer::on(&redis);
    // What an instance that was killed leaves behind.
    redis.command(&["HSET", "{chat-users}:owners", "ghost", "00000000deadbeef.1"]);
    redis.command(&["SADD", "chat-users", "ghost"]);
    redis.command(&["ZADD", "{chat-users}:leases", "1", "00000000deadbeef"]);
    let mut foo = server.join("foo");
    let mut ghost = server.knock("ghost", "lobby");
    ghost.hears("username ghost is already taken. please retry with a different name");
    redis.command(&["ZREM", "{chat-users}:leases", "00000000deadbeef"]);
    foo.say("/msg ghost are you there?");
    foo.hears("error: no such user: ghost");
    server.join("ghost");
    foo.hears("ghost: has joined the chat!");
}

/// The instance of the older connection hears nothing of it, and is the first to register its names again.
#[test]
fn a_name_that_is_taken_over_in_the_moment_of_being_given_is_lost() {
    let both = NearAndFar::start();
    let NearAndFar { near, far, way, .. } = &both;
    let mut ann = near.typed_in("ann", "lobby");
    let mut pip = far.typed_in("pip", "lobby");
    let mut all_hear = |text: &str| {
        ann.put(json!({"type": "chat", "room": "lobby", "text": text}));
        pip.gets_at_last(json!({"type": "chat", "text": text}));
    };
    all_hear("where is hal?");
    let join = json!({"type": "join", "room": "lobby", "user": "hal", "session": "key of hal"});
    let mut first = both.comes("hal", join);
    // The far instance hears of the takeover before the answer.
    let mut last = near.typed_in("hal", "lobby");
    all_hear("there");
    way.let_go();
    first.is_closed(4001);
    ann.put(json!({"type": "chat", "to": "hal", "text": "welcome"}));
    last.gets_at_last(json!({"type": "chat", "text": "welcome"}));
    // The room hears that one of them has come, and nothing of the other one.
    pip.put(json!({"type": "chat", "room": "lobby", "text": "here"}));
    assert_eq!(ann.is_told_until("here", "hal"), ["online"]);
}

/// The far connection's join is on its way when the near one takes its name over and joins.
#[test]
fn who_has_taken_a_name_over_stays_in_the_room_although_the_older_connection_joins_later() {
    let both = NearAndFar::start();
    let NearAndFar {
        near,
        far,
        way,
        redis,
    } = &both;
    let mut ann = near.typed_in("ann", "attic");
    let mut pip = far.typed_in("pip", "attic");
    let mut first = far.json();
    first.put(json!({"type": "join", "room": "lobby", "user": "hal"}));
    let key = first.gets(json!({"type": "welcome"}))["session"].clone();
    first.gets(json!({"type": "joined"}));
    way.stall();
    first.put(json!({"type": "join", "room": "attic"}));
    let mut last = near.json();
    last.put(json!({"type": "join", "room": "attic", "user": "hal", "session": key}));
    last.gets_at_last(json!({"type": "joined", "room": "attic"}));
    way.heal();
    first.is_closed(4001);
    pip.put(json!({"type": "chat", "room": "attic", "text": "gone"}));
    pip.gets_at_last(json!({"type": "chat", "text": "gone"}));
    eventually("the roster has the newer connection", || {
        let owner = redis.list(&["HMGET", "{chat-users}:owners", "hal"]);
        let place = redis.list(&["HMGET", "{chat:attic}:roster", "hal"]);
        owner[0]
            .starts_with(&(place[0].clone() + " "))
            .then_some(())
    });
    last.put(json!({"type": "chat", "room": "attic", "text": "still here"}));
    let told = ann.is_told_until("still here", "hal");
    assert_eq!(told.last().map(String::as_str), Some("online"), "{told:?}");
}

#[test]
fn a_name_that_was_taken_over_unheard_stays_with_its_newer_connection() {
    let redis = Redis::on_tcp();
    let ways = [Proxy::to(redis.port()), Proxy::to(redis.port())];
    let [there, here] = [0, 1].map(|at: usize| TestServer::on_with(ways[at].address(), |_| {}));
    let mut old = there.json();
    old.put(json!({"type": "join", "room": "attic", "user": "ann"}));
    let key = old.gets(json!({"type": "welcome"}))["session"].clone();
    old.gets(json!({"type": "joined"}));
    ways[0].cut();
    there.becomes(503);
    let mut new = here.json();
    new.put(json!({"type": "join", "room": "attic", "user": "ann", "session": key}));
    new.gets(json!({"type": "welcome"}));
    new.gets(json!({"type": "joined"}));
    ways[1].cut();
    here.becomes(503);
    ways[0].heal();
    there.becomes(200);
    let mut bob = there.typed_in("bob", "attic");
    redis.command(&["FLUSHALL"]);
    eventually("the names are registered again", || {
        let owners = redis.list(&["HKEYS", "{chat-users}:owners"]);
        owners.contains(&"bob".into()).then_some(())
    });
    ways[1].heal();
    here.becomes(200);
    bob.put(json!({"type": "chat", "to": "ann", "text": "psst"}));
    new.gets_at_last(json!({"type": "chat", "to": "ann", "text": "psst"}));
}
