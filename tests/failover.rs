//! One Redis takes over from another, behind the same address or as sentinels have it: what people
//! see, what `/readyz` says, how it heals.

use natterjack::config::RedisAddress;
use std::collections::BTreeSet;

use serde_json::json;

use crate::support::{Client, NearAndFar, Proxy, Redis, Sentinels, TestServer, eventually};

/// A primary and its replica, two instances that find the one of them that counts in this way, and
/// people on both.
struct World<Way> {
    primary: Redis,
    replica: Redis,
    way: Way,
    servers: [TestServer; 2],
    pip: Client,
    ida: Client,
    ann: Client,
}

impl World<Proxy> {
    /// All go to one address, and what is there changes.
    fn behind_an_address() -> World<Proxy> {
        World::begin(|primary| Proxy::to(primary.port()), Proxy::address)
    }
}

impl World<Sentinels> {
    /// All ask sentinels.
    fn behind_sentinels() -> World<Sentinels> {
        World::begin(|primary| Sentinels::over(primary, 1), Sentinels::address)
    }
}

impl<Way> World<Way> {
    fn begin(to: impl Fn(&Redis) -> Way, address: impl Fn(&Way) -> RedisAddress) -> World<Way> {
        let (primary, replica) = (Redis::on_tcp(), Redis::on_tcp());
        // Or else it waits five seconds for more replicas.
        primary.command(&["CONFIG", "SET", "repl-diskless-sync-delay", "0"]);
        follow(&replica, &primary);
        let way = to(&primary);
        let servers = [1, 2].map(|_| TestServer::on_with(address(&way), |_| {}));
        let mut pip = servers[0].join("pip");
        let mut ida = servers[1].join("ida");
        pip.hears("ida: has joined the chat!");
        let mut ann = servers[1].typed_in("ann", "lobby");
        pip.hears("ann: has joined the chat!");
        ida.hears("ann: has joined the chat!");
        pip.say("before");
        ida.hears("pip: before");
        ann.gets(json!({"type": "chat", "text": "before"}));
        // What is not replicated yet when the primary dies is lost; that is Redis' promise, and
        // not ours.
        eventually("the replica has it all", || {
            let log = ["XLEN", "{chat:lobby}:log"];
            (replica.command(&log) == primary.command(&log)).then_some(())
        });
        World {
            primary,
            replica,
            way,
            servers,
            pip,
            ida,
            ann,
        }
    }

    /// Everybody talks into the void; typed peers are told that it is one.
    fn talk_meanwhile(&mut self) {
        for server in &self.servers {
            server.becomes(503);
        }
        self.ann
            .gets_at_last(json!({"type": "status", "bus": "waiting"}));
        for n in 0..10 {
            self.pip.say(&format!("pip's {n}"));
            self.ida.say(&format!("ida's {n}"));
            let (text, reference) = (format!("ann's {n}"), n.to_string());
            let room = "lobby";
            self.ann
                .put(json!({"type": "chat", "room": room, "text": text, "ref": reference}));
        }
    }

    /// What was said is heard, once and in order, on the connections that were there all along;
    /// and who is there is registered with the new Redis.
    fn heals(mut self) {
        for server in &self.servers {
            server.becomes(200);
        }
        self.pip.say("the end");
        let mut of_ida = Vec::new();
        let mut of_ann = Vec::new();
        // The two instances do not come back in the same moment, so their messages may mix.
        while of_ida.len() + of_ann.len() < 20 {
            let heard = self.pip.next();
            match heard.split_once(": ") {
                Some(("ida", text)) => of_ida.push(text.to_string()),
                Some(("ann", text)) => of_ann.push(text.to_string()),
                other => panic!("pip hears {other:?}"),
            }
        }
        assert_eq!(of_ida, ten_of("ida"));
        assert_eq!(of_ann, ten_of("ann"));
        let mut of_pip = Vec::new();
        while of_pip.last().is_none_or(|last| last != "the end") {
            let heard = self.ida.next();
            match heard.split_once(": ") {
                Some(("pip", text)) => of_pip.push(text.to_string()),
                Some(("ann", _)) => {}
                other => panic!("ida hears {other:?}"),
            }
        }
        assert_eq!(of_pip.pop().as_deref(), Some("the end"));
        assert_eq!(of_pip, ten_of("pip"));
        // Typed peers see the ids: thirty more and the end, without a gap. The other node begins a new
        // epoch, and the first message was the only one of the old epoch.
        let mut acks = 0;
        let (mut numbers, mut epochs) = (Vec::new(), BTreeSet::new());
        let mut told = false;
        while acks < 10 || numbers.len() < 31 || !told {
            let heard: serde_json::Value = serde_json::from_str(&self.ann.next()).unwrap();
            match heard["type"].as_str().unwrap() {
                "ack" => {
                    assert_eq!(heard["ref"], acks.to_string());
                    acks += 1;
                }
                "chat" => {
                    let (epoch, n) = heard["id"].as_str().unwrap().split_once('-').unwrap();
                    numbers.push(n.parse::<usize>().unwrap());
                    epochs.insert(epoch.to_string());
                }
                "status" => told = heard["bus"] == "ok",
                "joined" => panic!("nothing is lost: {heard}"),
                _ => {}
            }
        }
        assert_eq!(numbers, (1..32).collect::<Vec<_>>());
        assert_eq!(epochs.len(), 1);
        let everybody = ["ann", "ida", "pip"];
        assert_eq!(self.replica.list(&["SMEMBERS", "chat-users"]), everybody);
        self.pip.say("/who");
        self.pip.hears("in lobby: ann, ida, pip");
    }
}

fn ten_of(name: &str) -> Vec<String> {
    (0..10).map(|n| format!("{name}'s {n}")).collect()
}

/// Makes the one a replica of the other, and waits until it is.
fn follow(replica: &Redis, primary: &Redis) {
    replica.command(&["REPLICAOF", "127.0.0.1", &primary.port().to_string()]);
    eventually("the replica follows", || {
        let info = replica.command(&["INFO", "replication"]);
        info.contains("master_link_status:up").then_some(())
    });
}

#[test]
fn a_replica_takes_over_from_a_dead_primary_and_nobody_reconnects() {
    let mut world = World::behind_an_address();
    world.primary.kill();
    world.talk_meanwhile();
    world.replica.command(&["REPLICAOF", "NO", "ONE"]);
    world.way.lead_to(world.replica.port());
    world.heals();
}

#[test]
fn a_primary_that_becomes_a_replica_is_noticed_and_abandoned() {
    let mut world = World::behind_an_address();
    world.replica.command(&["REPLICAOF", "NO", "ONE"]);
    world
        .primary
        .command(&["REPLICAOF", "127.0.0.1", &world.replica.port().to_string()]);
    // The connections are as they were, and what is published on the new primary even arrives; but
    // nothing can be written any more.
    world.talk_meanwhile();
    world.way.lead_to(world.replica.port());
    world.heals();
}

#[test]
fn sentinels_replace_a_dead_primary_and_nobody_reconnects() {
    let mut world = World::behind_sentinels();
    world.primary.kill();
    world.talk_meanwhile();
    world.heals();
}

#[test]
fn a_primary_that_sentinels_have_replaced_is_abandoned() {
    let mut world = World::behind_sentinels();
    // Once sentinels make the old primary a replica, all its connections end, and everybody who
    // asks again goes over. It refuses: an instance that leaves it has found out before.
    let refuses = ["ACL", "SETUSER", "default", "-replicaof", "-slaveof"];
    world.primary.command(&refuses);
    world.way.fail_over();
    // The old one is as it was, connections and all, and would take every message.
    eventually("everybody has gone over", || {
        // Besides these there is the channel of the sentinels.
        let channels = world.replica.list(&["PUBSUB", "CHANNELS", "chat*"]);
        let instances = |name: &&String| name.starts_with("chat:@") && !name.contains('{');
        let own = channels.iter().filter(instances);
        (own.count() == 2 && channels.contains(&"chat".to_string())).then_some(())
    });
    assert!(world.primary.command(&["ROLE"]).contains("master"));
    world
        .ann
        .gets_at_last(json!({"type": "status", "bus": "ok"}));
    for n in 0..10 {
        world.pip.say(&format!("still here {n}"));
        world.ida.hears(&format!("pip: still here {n}"));
    }
    let log = ["XLEN", "{chat:lobby}:log"];
    assert_eq!(world.replica.command(&log), ":11\r\n");
}

#[test]
fn a_private_message_after_lost_ones_is_heard() {
    let NearAndFar {
        redis,
        way,
        near,
        far,
    } = NearAndFar::start();
    let mut bob = far.typed("bob");
    let mut ann = near.typed("ann");
    let mut tell = |text: &str| {
        ann.put(json!({"type": "chat", "to": "bob", "text": text, "ref": text}));
        ann.gets_at_last(json!({"type": "ack", "ref": text}));
    };
    tell("one");
    bob.gets(json!({"type": "chat", "to": "bob", "text": "one"}));
    let counter = redis.command(&["GET", "{chat:@ann@bob}:counter"]);
    let counter = counter.lines().nth(1).unwrap().to_string();
    tell("two");
    bob.gets(json!({"type": "chat", "to": "bob", "text": "two"}));
    // While bob's instance is cut off, Redis loses the second message, and a third one comes.
    way.cut();
    far.becomes(503);
    let log = "{chat:@ann@bob}:log";
    let newest = redis.command(&["XREVRANGE", log, "+", "-", "COUNT", "1"]);
    let two = newest
        .lines()
        .find(|line| line.contains('-') && !line.starts_with('{'))
        .unwrap();
    redis.command(&["XDEL", log, two]);
    redis.command(&["SET", "{chat:@ann@bob}:counter", &counter]);
    tell("three");
    way.heal();
    bob.gets_at_last(json!({"type": "chat", "to": "bob", "text": "three"}));
}
