//! How fast somebody may speak: by name, over connections, renames and plain HTTP.

use std::time::Instant;

use serde_json::json;

use crate::support::{Client, Issuer, Raw, TestServer, eventually};

/// What one rate of a message a second, with bursts of three, lets through until now.
struct Allowed(Instant);

impl Allowed {
    fn from_now() -> Allowed {
        Allowed(Instant::now())
    }

    /// However slow the machine is, no more than this has passed.
    #[track_caller]
    fn covers(&self, passed: usize) {
        let most = 3.0 + self.0.elapsed().as_secs_f64();
        assert!(passed >= 1, "nothing passed");
        assert!(passed as f64 <= most, "{passed} passed, of {most} allowed");
    }
}

fn slow() -> TestServer {
    TestServer::with(|config| config.rate = 1)
}

#[test]
fn a_name_has_one_rate_however_often_it_reconnects() {
    let server = slow();
    let mut ann = server.join("ann");
    let allowed = Allowed::from_now();
    let mut passed = 0;
    for _ in 0..20 {
        let mut foo = eventually("the name is free", || {
            let mut foo = server.knock("foo", "lobby");
            (foo.next() == "Welcome foo!").then_some(foo)
        });
        ann.hears("foo: has joined the chat!");
        foo.say("one");
        foo.say("two");
        foo.leave();
        while ann.next() != "foo: has left the chat!" {
            passed += 1;
        }
    }
    allowed.covers(passed);
}

#[test]
fn a_new_name_in_each_message_gives_no_new_burst() {
    let server = slow();
    let (mut ann, mut bar) = (server.join("ann"), server.join("bar"));
    ann.hears("bar: has joined the chat!");
    let allowed = Allowed::from_now();
    let mut foo = server.json();
    for n in 0..40 {
        foo.put(json!({"username": format!("foo {n}"), "message": "hello"}));
    }
    // Refused for one reason or another, after all the rest has been judged.
    foo.put(json!({"type": "nonsense", "ref": "fence"}));
    foo.gets_at_last(json!({"type": "error", "ref": "fence"}));
    bar.say("fence");
    let mut passed = 0;
    loop {
        let heard = ann.next();
        if heard == "bar: fence" {
            break;
        }
        passed += usize::from(heard.ends_with(": hello"));
    }
    allowed.covers(passed);
}

#[test]
fn the_message_that_brings_a_name_counts_for_it() {
    let server = slow();
    let mut ann = server.join("ann");
    let allowed = Allowed::from_now();
    let mut passed = 0;
    for _ in 0..20 {
        let mut foo = server.json();
        foo.put(json!({"username": "foo", "message": "hello"}));
        ann.hears("foo: has joined the chat!");
        foo.leave();
        while ann.next() != "foo: has left the chat!" {
            passed += 1;
        }
    }
    allowed.covers(passed);
}

#[test]
fn without_a_name_the_address_has_one_rate() {
    let server = slow();
    let allowed = Allowed::from_now();
    let mut passed = 0;
    for _ in 0..10 {
        let mut nobody = server.json();
        for n in 0..5 {
            nobody.put(json!({"type": "nonsense", "ref": n}));
            nobody.put(json!({"type": "nonsense", "ref": n.to_string()}));
        }
        loop {
            let answer = nobody.object();
            passed += usize::from(answer["code"] != "rate_limited");
            if answer["ref"] == "4" {
                break;
            }
        }
        // The first message of a connection is heard in any case, since it may bring a name.
        passed -= 1;
    }
    allowed.covers(passed);
    // So others behind the same router come in, and have rates of their own.
    let mut foo = server.json();
    foo.put(json!({"type": "join", "room": "lobby", "user": "foo"}));
    foo.gets(json!({"type": "welcome"}));
    foo.gets(json!({"type": "joined"}));
    foo.put(json!({"type": "chat", "room": "lobby", "text": "hello"}));
    foo.gets(json!({"type": "chat", "text": "hello"}));
}

#[test]
fn messages_and_posts_of_a_name_share_one_rate() {
    let issuer = Issuer::hs256();
    let server = TestServer::with(|config| {
        config.jwt_key = Some(issuer.file());
        config.rate = 1;
    });
    let token = issuer.token("door");
    let target = format!("/ws?user=door&room=lobby&token={token}");
    let mut door = Client::connect(server.addr(), &target);
    door.gets(json!({"type": "welcome"}));
    door.gets(json!({"type": "joined"}));
    let allowed = Allowed::from_now();
    for _ in 0..3 {
        door.put(json!({"type": "chat", "room": "lobby", "text": "x"}));
        door.gets(json!({"type": "chat", "text": "x"}));
    }
    let request = format!(
        "POST /rooms/lobby HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\
         Content-Length: 1\r\n\r\nx"
    );
    let mut passed = 3;
    while Raw::request(server.addr(), request.as_bytes()).0 == 200 {
        passed += 1;
    }
    allowed.covers(passed);
}
