//! Redis goes away and comes back: what people see, what `/readyz` says, how it heals.

use natterjack::config::{RedisAddress, RedisHost};

use serde_json::json;

use crate::support::{Client, Proxy, Redis, TestServer, eventually};

fn through(proxy: &Proxy) -> RedisAddress {
    let host = RedisHost::Tcp {
        host: "127.0.0.1".into(),
        port: proxy.port(),
        tls: false,
    };
    RedisAddress {
        host,
        username: None,
        password: None,
        ca: None,
    }
}

#[test]
fn a_redis_that_is_not_there_yet_is_waited_for() {
    let mut redis = Redis::on_tcp();
    redis.kill();
    let proxy = Proxy::to(redis.port());
    let server = TestServer::on_with(through(&proxy), |_| {});
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
    // What was said meanwhile waited. Whether bar's instance was back in time to hear it live is
    // not promised here; the order is.
    bar.hears_at_last("foo: and after");
    foo.say("/who");
    foo.hears("in lobby: bar, foo");
    assert_eq!(redis.list(&["SMEMBERS", "chat-users"]), ["bar", "foo"]);
}

#[test]
fn json_peers_are_told_what_can_not_be_done() {
    let mut redis = Redis::start();
    let server = TestServer::on(&redis);
    let mut ann = server.typed_in("ann", "attic");
    redis.kill();
    server.becomes(503);
    for object in [
        json!({"type": "join", "room": "cellar"}),
        json!({"type": "join", "room": "attic"}),
        json!({"type": "who", "room": "attic"}),
    ] {
        ann.is_refused(object, "unavailable");
    }
    // Who only arrives is asked to come back.
    for target in ["/ws", "/ws?user=bob", "/ws?user=bob&room=attic"] {
        let mut late = Client::connect(server.addr(), target);
        late.gets(json!({"type": "error", "code": "unavailable"}));
        late.is_closed(1013);
    }
    redis.restart();
    server.becomes(200);
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
    assert_eq!(redis.ask(&["XLEN", "{chat:lobby}:log"]), ":1000\r\n");
    assert!(
        redis
            .ask(&["GET", "{chat:lobby}:counter"])
            .contains("-1001\r\n")
    );
}

#[test]
fn names_are_registered_again_when_redis_has_forgotten_them() {
    let redis = Redis::start();
    let server = TestServer::on(&redis);
    let mut foo = server.join_room("foo", "attic");
    redis.ask(&["FLUSHALL"]);
    redis.ask(&["SCRIPT", "FLUSH"]);
    redis.ask(&["CLIENT", "KILL", "TYPE", "normal"]);
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
                .ask(&["CLIENT", "LIST"])
                .matches("name=natterjack-")
                .count()
        };
        let id = redis.ask(&["CLIENT", "LIST", "TYPE", kind]);
        redis.ask(&["CLIENT", "KILL", "TYPE", kind]);
        eventually("both connections are new", || {
            let now = redis.ask(&["CLIENT", "LIST", "TYPE", kind]);
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
    redis.ask(&["SCRIPT", "FLUSH"]);
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
    let server = TestServer::on_with(through(&proxy), |_| {});
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
