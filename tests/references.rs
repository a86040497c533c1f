//! A message with a `ref` may be sent again: it is acknowledged again and said once.

use serde_json::json;

use crate::support::{Redis, TestServer, on_both_buses};

#[test]
fn a_message_sent_again_is_acknowledged_again_and_said_once() {
    let redis = Redis::start();
    let (one, two) = (TestServer::on(&redis), TestServer::on(&redis));
    let alone = TestServer::start();
    for [first, second] in [[&alone, &alone], [&one, &two]] {
        let mut bob = second.typed_in("bob", "attic");
        let mut join = json!({"type": "join", "room": "attic", "user": "ann"});
        let mut ann = first.json();
        ann.put(join.clone());
        join["session"] = ann.gets(json!({"type": "welcome"}))["session"].clone();
        bob.gets(json!({"type": "presence"}));
        let hello = json!({"type": "chat", "room": "attic", "text": "hello", "ref": "r1"});
        let psst = json!({"type": "chat", "to": "bob", "text": "psst", "ref": "r2"});
        ann.put(hello.clone());
        let mut acks = vec![ann.hears_of("ack")["id"].clone()];
        ann.put(psst.clone());
        acks.push(ann.hears_of("ack")["id"].clone());
        ann.leave();
        // Between a room and private messages there is no order.
        let mut heard = [(); 3].map(|()| bob.object());
        heard.sort_by_key(|heard| !heard["to"].is_null());
        let texts = heard.each_ref().map(|heard| heard["text"].as_str());
        assert_eq!(texts, [Some("hello"), None, Some("psst")]);
        assert_eq!(heard[1]["status"], "offline");
        // The answers may have got lost, so the client says it all again, elsewhere.
        let mut ann = second.json();
        ann.put(join);
        for (message, id) in [(&hello, &acks[0]), (&psst, &acks[1])] {
            for _ in 0..2 {
                ann.put(message.clone());
                assert_eq!(&ann.hears_of("ack")["id"], id);
            }
        }
        ann.put(json!({"type": "chat", "room": "attic", "text": "anything new?", "ref": "r3"}));
        bob.gets(json!({"type": "presence", "status": "online"}));
        bob.gets(json!({"type": "chat", "text": "anything new?"}));
        // What was refused was not said, so it may be said later.
        let later = json!({"type": "chat", "to": "late", "text": "hi", "ref": "r4"});
        ann.put(later.clone());
        assert_eq!(ann.hears_of("error")["code"], "no_such_user");
        let mut late = second.typed("late");
        ann.put(later);
        ann.hears_of("ack");
        late.gets(json!({"type": "chat", "text": "hi"}));
    }
}

#[test]
fn a_ref_belongs_to_a_client_and_not_to_its_name() {
    on_both_buses(|server| {
        let mut pi = server.typed_in("pi", "lobby");
        for hello in ["hello", "another hello"] {
            // Another client each time, which happens to use the same ref.
            let mut bob = server.json();
            bob.put(json!({"username": "bob", "message": hello, "ref": "r1"}));
            pi.gets(json!({"type": "presence", "status": "online"}));
            pi.gets(json!({"type": "chat", "room": "lobby", "text": hello}));
            bob.leave();
            pi.gets(json!({"type": "presence", "status": "offline"}));
        }
        for (name, psst) in [("ann", "psst"), ("eve", "another psst")] {
            let mut client = server.typed(name);
            client.put(json!({"type": "chat", "to": "pi", "text": psst, "ref": "r2"}));
            client.gets_at_last(json!({"type": "ack", "ref": "r2"}));
            pi.gets(json!({"type": "chat", "to": "pi", "text": psst}));
        }
        let mut bob = server.json();
        for (name, text) in [("bob", "a third hello"), ("rob", "a fourth hello")] {
            // One client under two names, and it uses no ref twice.
            for _ in 0..2 {
                bob.put(json!({"username": name, "message": text, "ref": text}));
            }
            pi.gets_at_last(json!({"type": "presence", "userId": name, "status": "online"}));
            pi.gets(json!({"type": "chat", "text": text, "userId": name}));
        }
        bob.put(json!({"username": "bob", "message": "a third hello", "ref": "a third hello"}));
        bob.put(json!({"username": "bob", "message": "the end"}));
        pi.gets_at_last(json!({"type": "presence", "userId": "bob", "status": "online"}));
        pi.gets(json!({"type": "chat", "text": "the end"}));
    });
}

#[test]
fn a_ref_is_known_however_many_others_come_after_it() {
    let server = TestServer::with(|config| config.rate = 0);
    let mut ann = server.typed_in("ann", "attic");
    let say =
        |n: usize| json!({"type": "chat", "room": "attic", "text": "hello", "ref": n.to_string()});
    ann.put(say(0));
    let first = ann.hears_of("ack")["id"].clone();
    for n in 1..=100 {
        for m in 0..110 {
            ann.put(say(110 * n + m));
        }
        ann.gets_at_last(json!({"type": "ack", "ref": (110 * n + 109).to_string()}));
    }
    ann.put(say(0));
    assert_eq!(ann.hears_of("ack")["id"], first);
}
