//! Messages in flight while Redis fails in passing, near and far away: none overtakes another, and each
//! is heard once or refused.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Client, Proxy, Redis, TestServer};

/// How many times the talkers wait for all their answers.
const ROUNDS: usize = 3;
/// How many messages each of them sends before that. Redis is asked something after each one, so the
/// first ones arrive there before the last ones are sent, also at the greatest distance.
const MESSAGES: usize = 300;
const REFUSED: &str = "error: this can't be done right now, please try again later";

/// Two people on two instances talk, again and again, while Redis at this distance fails and recovers.
fn talk_while(round_trip: u64, fail: &[&str], recover: impl Fn(&Redis)) {
    let redis = Redis::on_tcp();
    let proxy = Proxy::to(redis.port());
    let server = || TestServer::on_with(proxy.address(), |config| config.rate = 0);
    let (one, two, near) = (server(), server(), TestServer::on(&redis));
    let mut ann = one.typed_in("ann", "attic");
    let mut bob = two.join_room("bob", "attic");
    let mut eve = near.typed_in("eve", "attic");
    proxy.delay(Duration::from_millis(round_trip));
    let mut ids = BTreeMap::new();
    for round in 0..ROUNDS {
        for n in 0..MESSAGES {
            let text = format!("{round}-{n:03}");
            ann.put(json!({"type": "chat", "room": "attic", "text": text, "ref": text}));
            bob.say(&text);
            match n % 50 {
                20 => drop(redis.command(fail)),
                25 => recover(&redis),
                _ => drop(redis.command(&["PING"])),
            }
        }
        let mut answers = 0;
        while answers < MESSAGES {
            let heard = ann.object();
            let id = match heard["type"].as_str() {
                Some("ack") => Some(heard["id"].clone()),
                Some("error") => None,
                _ => continue,
            };
            let reference = heard["ref"].as_str().unwrap().to_string();
            assert_eq!(ids.insert(reference, id), None, "{heard}");
            answers += 1;
        }
    }
    bob.say("done");
    ann.put(json!({"type": "chat", "room": "attic", "text": "done"}));
    let heard = heard_until_both_are_done(&mut eve);
    let of = |user: &str| -> Vec<&Value> {
        let of = heard.iter().filter(|chat| chat["userId"] == user);
        of.filter(|chat| chat["text"] != "done").collect()
    };
    // What got an ack was heard, in order and once; what was refused was not.
    let acked = ids.into_iter().filter_map(|(text, id)| Some((text, id?)));
    let text = |chat: &Value| chat["text"].as_str().unwrap().to_string();
    let said = of("ann").into_iter();
    let said = said.map(|chat| (text(chat), chat["id"].clone()));
    assert_eq!(said.collect::<Vec<_>>(), acked.collect::<Vec<_>>());
    let said: Vec<_> = of("bob").into_iter().map(text).collect();
    assert!(said.is_sorted_by(|one, next| one < next), "{said:?}");
    bob.say("/who");
    let mut refused = 0;
    loop {
        match bob.next().as_str() {
            REFUSED => refused += 1,
            "in attic: ann, bob, eve" => break,
            _ => {}
        }
    }
    assert_eq!(said.len() + refused, ROUNDS * MESSAGES);
}

/// All messages that somebody hears until both talkers have said `done`.
fn heard_until_both_are_done(eve: &mut Client) -> Vec<Value> {
    let (mut heard, mut done) = (Vec::new(), 0);
    while done < 2 {
        let chat = eve.hears_of("chat");
        done += usize::from(chat["text"] == "done");
        heard.push(chat);
    }
    heard
}

#[test]
fn messages_stay_in_order_when_replicas_are_missing_for_a_moment() {
    let setting = ["CONFIG", "SET", "min-replicas-to-write"];
    let [one, none] = ["1", "0"].map(|count| [&setting[..], &[count]].concat());
    for round_trip in [20, 200] {
        talk_while(round_trip, &one, |redis| drop(redis.command(&none)));
    }
}

#[test]
fn messages_are_heard_or_refused_when_redis_is_full_for_a_moment() {
    let full = ["CONFIG", "SET", "maxmemory", "1"];
    let no_limit = ["CONFIG", "SET", "maxmemory", "0"];
    for round_trip in [20, 200] {
        talk_while(round_trip, &full, |redis| drop(redis.command(&no_limit)));
    }
}

#[test]
fn messages_stay_in_order_when_scripts_are_forgotten() {
    for round_trip in [20, 200] {
        // An instance that starts loads them.
        talk_while(round_trip, &["SCRIPT", "FLUSH"], |redis| {
            drop(TestServer::on(redis))
        });
    }
}

#[test]
fn messages_stay_in_order_when_redis_is_a_replica_for_a_moment() {
    for round_trip in [20, 200] {
        let nobody = ["REPLICAOF", "127.0.0.1", "1"];
        talk_while(round_trip, &nobody, |redis| {
            drop(redis.command(&["REPLICAOF", "NO", "ONE"]))
        });
    }
}
