//! Names that wait for their holders.

use serde_json::json;

use crate::conversations::tell;
use crate::support::{Alone, Client, Redis, TestServer, eventually, on_both_buses};

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

#[test]
fn kept_names_and_what_waits_for_them_survive_a_power_cut() {
    let folder = tempfile::tempdir().unwrap();
    let mut alone = Alone::start_with(folder, &["--keep-names", "2"], &[]);
    let taken = |alone: &Alone, name: &str| {
        let mut eve = Client::connect(alone.addr, "/ws");
        let join = json!({"type": "join", "room": "lobby", "user": name, "session": "another"});
        eve.is_refused(join, "name_taken");
    };
    let bob = alone.typed("bob");
    let mut ann = alone.typed("ann");
    tell(&mut ann, "bob", "one");
    bob.leave();
    eventually("bob is away", || {
        taken(&alone, "bob");
        Some(())
    });
    // Ann is here when the power goes.
    alone.cut_and_start_again();
    taken(&alone, "ann");
    taken(&alone, "bob");
    let mut cat = alone.typed("cat");
    tell(&mut cat, "ann", "two");
    tell(&mut cat, "bob", "three");
    alone.cut_and_start_again();
    let mut ann = alone.typed("ann");
    ann.gets(json!({"type": "chat", "to": "ann", "userId": "cat", "text": "two"}));
    tell(&mut ann, "bob", "four");
    alone.stop_and_start_again();
    taken(&alone, "ann");
    let mut bob = alone.typed("bob");
    for (from, text) in [("cat", "three"), ("ann", "four")] {
        bob.gets(json!({"type": "chat", "to": "bob", "userId": from, "text": text}));
    }
    bob.put(json!({"type": "forget"}));
    bob.put(json!({"type": "history", "to": "ann"}));
    bob.gets(json!({"type": "history", "to": "ann", "messages": []}));
    bob.leave();
    alone.stop_and_start_again();
    let mut other = Client::connect(alone.addr, "/ws?user=bob&session=another&private=%7B%7D");
    other.gets(json!({"type": "welcome", "userId": "bob"}));
    other.put(json!({"type": "history", "to": "ann"}));
    other.gets(json!({"type": "history", "to": "ann", "messages": []}));
}

#[test]
fn names_are_kept_in_redis_for_so_many_days() {
    const DAY: u64 = 24 * 3600;
    let redis = Redis::start();
    let server = TestServer::on_with(redis.address(), |config| config.keep_names = 30);
    let mut ann = server.typed_in("ann", "lobby");
    let bob = server.typed_in("bob", "lobby");
    tell(&mut ann, "bob", "one");
    bob.leave();
    let life = |key: &str| {
        let left = redis.command(&["TTL", key]);
        let left = left.trim_start_matches(':').trim().parse::<i64>().unwrap();
        u64::try_from(left).unwrap_or(0).div_ceil(DAY)
    };
    eventually("bob is away", || {
        (life("{chat-users}:away:bob") == 30).then_some(())
    });
    tell(&mut ann, "bob", "two");
    for key in [
        "{chat:@ann@bob}:log",
        "{chat:@ann@bob}:counter",
        "{chat-users}:away:bob",
        "{chat-users}:conversations:ann",
        "{chat-users}:conversations:bob",
    ] {
        assert_eq!(life(key), 30, "{key}");
    }
    assert_eq!(life("{chat:lobby}:log"), 0);
    ann.put(json!({"type": "chat", "room": "lobby", "text": "hi", "ref": "hi"}));
    ann.gets_at_last(json!({"type": "ack", "ref": "hi"}));
    assert_eq!(life("{chat:lobby}:log"), 7);
}
