//! `/readyz`, for other reasons than whether Redis answers.

use crate::support::{Redis, TestServer};

#[test]
fn it_is_not_ready_while_nobody_can_join() {
    let redis = Redis::start();
    redis.allow("chat", "on >x ~* &* +@all");
    let mut address = redis.address();
    (address.username, address.password) = (Some("chat".into()), Some("x".into()));
    let server = TestServer::on_with(address, |_| {});
    let mut foo = server.join("foo");
    let mut bar = server.join("bar");
    foo.hears("bar: has joined the chat!");
    let mut broken = |spoil: &[&str], mend: &[&str], reason: &str| {
        assert!(!redis.command(spoil).starts_with('-'), "{spoil:?}");
        server.becomes(503);
        let (_, why) = server.ready();
        assert!(
            why.contains("nobody can join") && why.contains(reason),
            "{why}"
        );
        // Those who are in are not cut off.
        foo.say("still here");
        bar.hears("foo: still here");
        assert!(!redis.command(mend).starts_with('-'), "{mend:?}");
        server.becomes(200);
        server.join_room("pi", "attic").leave();
    };
    for key in ["chat-users", "{chat:lobby}:roster"] {
        let reason = format!("{key}: WRONGTYPE");
        broken(&["SET", key, "x"], &["DEL", key], &reason);
    }
    let rule = |rule| ["ACL", "SETUSER", "chat", rule];
    broken(&rule("-sadd"), &rule("+sadd"), "chat-users");
}
