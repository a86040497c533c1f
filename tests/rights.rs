//! A user of Redis with no more rights than `--check` asks for carries a whole chat.

use natterjack::config::RedisAddress;
use serde_json::json;

use crate::check::check;
use crate::support::{Client, Nodes, Program, Redis, TestServer};

/// What `--check` says that a user needs at this Redis, found out by one who may do next to nothing.
fn needed(url: &str, set: impl Fn(&[&str])) -> String {
    let poor = [
        "ACL",
        "SETUSER",
        "poor",
        "on",
        ">x",
        "+ping",
        "+cluster|slots",
    ];
    set(&poor);
    let env = [("REDIS_USERNAME", "poor"), ("REDIS_PASSWORD", "x")];
    let (_, said) = check(&["--redis", url], &env);
    let rest = said.split("; its user needs ").nth(1);
    let rest = rest.unwrap_or_else(|| panic!("{said}"));
    rest.lines().next().unwrap().to_string()
}

/// Gives these rights to a user, and lets him carry all there is to a chat: rooms, private messages,
/// the past, take-overs, what others publish, lost connections, dead instances.
fn whole_chat(url: &str, mut address: RedisAddress, needs: &str, send: impl Fn(&[&str])) {
    let user = ["ACL", "SETUSER", "chat", "on", ">x"];
    let user: Vec<_> = user.into_iter().chain(needs.split(' ')).collect();
    send(&user);
    let env = [("REDIS_USERNAME", "chat"), ("REDIS_PASSWORD", "x")];
    let (passed, said) = check(&["--redis", url], &env);
    assert!(passed, "{said}");

    address.username = Some("chat".into());
    address.password = Some("x".into());
    send(&["ACL", "LOG", "RESET"]);
    let [one, two] = [1, 2].map(|_| TestServer::on_with(address.clone(), |_| {}));
    let mut ann = one.json();
    ann.put(json!({"type": "join", "room": "attic", "user": "ann"}));
    let key = ann.gets(json!({"type": "welcome"}))["session"].clone();
    ann.gets(json!({"type": "joined"}));
    let mut flo = two.join_room("flo", "attic");
    ann.gets(json!({"type": "presence", "userId": "flo"}));
    flo.say("hello");
    let first = ann.gets(json!({"type": "chat", "text": "hello"}))["id"].clone();
    flo.say("/msg ann psst");
    ann.gets(json!({"type": "chat", "to": "ann", "text": "psst"}));
    ann.put(json!({"type": "chat", "room": "attic", "text": "yes?", "ref": "1"}));
    ann.gets_at_last(json!({"type": "ack", "ref": "1"}));
    flo.hears("ann: yes?");
    flo.say("/who");
    flo.hears("in attic: ann, flo");
    send(&["PUBLISH", "chat:attic", "ops: back at five"]);
    flo.hears("ops: back at five");

    let mut bob = two.json();
    bob.put(json!({"type": "join", "room": "attic", "user": "ann"}));
    bob.gets(json!({"type": "error", "code": "name_taken"}));
    bob.put(json!({
        "type": "join", "room": "attic", "user": "ann", "session": key, "since": first
    }));
    bob.gets(json!({"type": "welcome", "userId": "ann"}));
    bob.gets_at_last(json!({"type": "chat", "text": "yes?"}));
    ann.is_closed(4001);

    send(&["CLIENT", "KILL", "USER", "chat"]);
    bob.gets_at_last(json!({"type": "status", "bus": "ok"}));
    two.becomes(200);
    one.becomes(200);
    flo.say("still there?");
    bob.gets_at_last(json!({"type": "chat", "text": "still there?"}));

    let mut dying = Program::start_with(&["--redis", url], &env);
    let mut ghost = Client::connect(dying.addr(), "/chat/ghost?room=attic");
    ghost.hears("Welcome ghost!");
    flo.hears_at_last("ghost: has joined the chat!");
    dying.signal("KILL");
    dying.wait();
    flo.hears("ghost: has left the chat!");
    flo.leave();
    bob.gets_at_last(json!({"type": "presence", "userId": "flo", "status": "offline"}));
    for server in [one, two] {
        assert_eq!(server.ready().0, 200);
        server.stop();
    }
}

#[test]
fn the_rights_it_asks_for_are_enough() {
    let redis = Redis::start();
    let send = |command: &[&str]| {
        let answer = redis.command(command);
        assert!(!answer.starts_with('-'), "{command:?}: {answer}");
    };
    let needs = needed(&redis.url(), send);
    whole_chat(&redis.url(), redis.address(), &needs, send);
    // Nothing was tried and refused without anybody's noticing, but for the question whether it is
    // a cluster.
    let log = redis.command(&["ACL", "LOG"]);
    let mut words = log.split("\r\n");
    while words.any(|word| word == "object") {
        assert!(
            words.nth(1).is_some_and(|word| word.starts_with("cluster")),
            "{log}"
        );
    }
}

#[test]
fn the_rights_it_asks_for_in_a_cluster_are_enough() {
    let nodes = Nodes::start();
    let send = |command: &[&str]| match command[0] {
        // One node tells all others.
        "PUBLISH" => drop(nodes.command(0, command)),
        _ => nodes.command_all(command),
    };
    let needs = needed(&nodes.url(0), send);
    assert!(needs.contains("+asking") && needs.contains("+cluster|slots"));
    whole_chat(&nodes.url(0), nodes.address(0), &needs, send);
}
