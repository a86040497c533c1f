//! Redis goes back in time in the middle of a join: an instance has let somebody in, and has not read yet
//! what they have missed.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use crate::conversations::tell;
use crate::rollback::say;
use crate::support::{Client, DEADLINE, Follower, NearAndFar, Saved, TestServer};

impl NearAndFar {
    /// Lets somebody join a room over the instance that is far. Redis goes back when it has told the instances
    /// of it, before it is asked for the messages.
    fn goes_back_under<T>(&self, room: &str, saved: &Saved, join: impl FnOnce() -> T) -> T {
        let mut channels = TcpStream::connect(("127.0.0.1", self.redis.port())).unwrap();
        channels.set_read_timeout(Some(DEADLINE)).unwrap();
        let subscribe = format!("SUBSCRIBE chat:@{{chat:{room}}}\r\n");
        channels.write_all(subscribe.as_bytes()).unwrap();
        let mut lines = BufReader::new(channels).lines();
        // Until the word of the join has come to the instance, there is time.
        self.way.delay(Duration::from_secs(1));
        let joins = join();
        let joined = |line: &String| line.starts_with(r#"{"natterjack":"joined"#);
        lines.by_ref().map(Result::unwrap).find(joined).unwrap();
        self.way.hold();
        self.redis.reload(saved);
        self.way.delay(Duration::ZERO);
        self.way.let_go();
        joins
    }
}

/// Everything about the attic that a client is told up to this message: the objects `joined`, with whether
/// they are complete, and the ids of messages.
#[track_caller]
fn told(client: &mut Client, last: &str) -> Vec<Value> {
    let mut told = Vec::new();
    while told.last().is_none_or(|told| told != last) {
        let object = client.object();
        match object["type"].as_str() {
            Some("joined") => told.push(json!([object["last"], object["complete"]])),
            Some("chat") => told.push(object["id"].clone()),
            _ => {}
        }
    }
    told
}

fn joins(server: &TestServer, since: &str) -> Client {
    let mut client = server.typed("bob");
    client.put(json!({"type": "join", "room": "attic", "since": since}));
    client
}

#[test]
fn who_knows_nothing_that_is_lost_is_told_of_no_loss() {
    for is_first in [false, true] {
        let world = NearAndFar::start();
        let mut pip = world.near.typed_in("pip", "attic");
        let mut ida = (!is_first).then(|| world.far.typed_in("ida", "attic"));
        let kept = say(&mut pip, 5);
        let saved = world.redis.save();
        let lost = say(&mut pip, 5);
        if let Some(ida) = &mut ida {
            ida.gets_at_last(json!({"type": "chat", "id": lost[4]}));
        }
        let mut bob = world.goes_back_under("attic", &saved, || joins(&world.far, &kept[4]));
        bob.gets_at_last(json!({"type": "joined", "last": kept[4], "complete": true}));
        let after = say(&mut pip, 3);
        assert_eq!(told(&mut bob, &after[2]), after);
    }
}

#[test]
fn who_knows_a_lost_message_is_told_once_before_what_follows() {
    let world = NearAndFar::start();
    let mut pip = world.near.typed_in("pip", "attic");
    let kept = say(&mut pip, 5);
    let saved = world.redis.save();
    let lost = say(&mut pip, 5);
    let mut bob = world.goes_back_under("attic", &saved, || joins(&world.far, &lost[1]));
    bob.gets_at_last(json!({"type": "joined", "last": kept[4], "complete": false}));
    let after = say(&mut pip, 3);
    assert_eq!(told(&mut bob, &after[2]), after);
}

#[test]
fn who_was_promised_a_lost_message_is_told_once_before_what_follows() {
    let world = NearAndFar::start();
    let mut pip = world.near.typed_in("pip", "attic");
    let kept = say(&mut pip, 5);
    let saved = world.redis.save();
    let lost = say(&mut pip, 5);
    let mut bob = world.goes_back_under("attic", &saved, || joins(&world.far, &kept[2]));
    // The first of what is missing is there, and then nothing.
    bob.gets_at_last(json!({"type": "joined", "last": lost[4], "complete": true}));
    for id in &kept[3..] {
        bob.gets(json!({"type": "chat", "id": id}));
    }
    bob.gets(json!({"type": "joined", "last": kept[4], "complete": false}));
    let after = say(&mut pip, 3);
    assert_eq!(told(&mut bob, &after[2]), after);
}

#[test]
fn a_follower_that_knows_nothing_that_is_lost_is_told_of_no_loss() {
    let world = NearAndFar::start();
    let mut pip = world.near.typed_in("pip", "attic");
    let kept = say(&mut pip, 5);
    let saved = world.redis.save();
    say(&mut pip, 5);
    let stream = world.goes_back_under("attic", &saved, || {
        let mut stream = TcpStream::connect(world.far.addr()).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let request = format!(
            "GET /rooms/attic HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\nLast-Event-ID: {}\r\n\r\n",
            kept[4]
        );
        stream.write_all(request.as_bytes()).unwrap();
        stream
    });
    let mut follower = Follower::read(stream);
    let joined = follower.hears("joined");
    let expected = json!({"room": "attic", "last": kept[4], "complete": true});
    assert_eq!(joined.data, expected);
    for id in say(&mut pip, 3) {
        let next = follower.event().unwrap();
        assert_eq!((next.kind.as_str(), &next.id), ("chat", &Some(id)));
    }
}

#[test]
fn who_knows_nothing_that_is_lost_of_a_private_conversation_is_told_of_no_loss() {
    let world = NearAndFar::start();
    let bob = |server: &TestServer, target: &str| {
        let target = format!("/ws?user=bob&session=key{target}");
        Client::connect(server.addr(), &target)
    };
    let (mut ann, mut before) = (world.near.typed("ann"), bob(&world.near, ""));
    before.gets(json!({"type": "welcome"}));
    let kept = tell(&mut ann, "bob", "one");
    before.gets(json!({"type": "chat", "to": "bob", "id": kept}));
    before.leave();
    let saved = world.redis.save();
    tell(&mut ann, "bob", "two");
    let mut bob = world.goes_back_under("@ann@bob", &saved, || {
        let seen = json!({"ann": kept}).to_string();
        let seen = utf8_percent_encode(&seen, NON_ALPHANUMERIC);
        bob(&world.far, &format!("&private={seen}"))
    });
    bob.gets(json!({"type": "welcome"}));
    tell(&mut ann, "bob", "three");
    bob.gets(json!({"type": "chat", "to": "bob", "text": "three"}));
}
