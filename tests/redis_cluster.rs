//! A Redis Cluster: rooms live on different nodes, and these come, go and change places.

use serde_json::json;

use crate::support::{Certs, Client, Nodes, TestServer, eventually, is_before_7};

/// Rooms whose keys are on each of the three primaries, in their order.
const ROOMS: [&str; 3] = ["kitchen", "attic", "pond"];

/// The key by which a room's node is known.
fn counter(room: &str) -> String {
    format!("{{chat:{room}}}:counter")
}

/// One instance at each of two nodes.
fn servers(nodes: &Nodes) -> [TestServer; 2] {
    [0, 4].map(|i| TestServer::on_with(nodes.address(i), |_| {}))
}

/// The same, with somebody in the lobby of each.
#[track_caller]
fn foo_and_bar(nodes: &Nodes) -> ([TestServer; 2], Client, Client) {
    let servers = servers(nodes);
    let mut one = servers[0].join("foo");
    let other = servers[1].join("bar");
    one.hears("bar: has joined the chat!");
    (servers, one, other)
}

/// They say it to each other.
#[track_caller]
fn talk(one: &mut Client, other: &mut Client, words: &str) {
    one.say(words);
    other.hears(&format!("foo: {words}"));
    other.say(words);
    one.hears(&format!("bar: {words}"));
}

#[test]
fn rooms_live_on_all_nodes_and_are_one_chat() {
    let nodes = Nodes::start();
    let servers = servers(&nodes);
    let mut used: Vec<usize> = vec![nodes.node_of_key("chat-users")];
    for room in ROOMS {
        let mut foo = servers[0].join_room("foo", room);
        let mut bar = servers[1].join_room("bar", room);
        foo.hears("bar: has joined the chat!");
        talk(&mut foo, &mut bar, "hello");
        foo.say("/who");
        foo.hears(&format!("in {room}: bar, foo"));
        foo.say("/msg bar psst");
        bar.hears("foo (private): psst");
        bar.leave();
        foo.hears("bar: has left the chat!");
        foo.leave();
        // Names are on another node than rooms, so they may be free a moment later.
        eventually("nobody is left", || {
            nodes
                .list("chat-users", &["SMEMBERS", "chat-users"])
                .is_empty()
                .then_some(())
        });
        used.push(nodes.node_of_key(&counter(room)));
    }
    used.sort_unstable();
    used.dedup();
    assert_eq!(used, [0, 1, 2], "the rooms of this test are on all nodes");
}

/// The channels on this node that belong to its slots.
fn shard_channels(nodes: &Nodes, i: usize) -> Vec<String> {
    nodes.node(i).list(&["PUBSUB", "SHARDCHANNELS"])
}

/// How many messages a node has sent to its replica alone, because they belong to its slots.
fn sent_to_replica(nodes: &Nodes, i: usize) -> u64 {
    let info = nodes.command(i, &["CLUSTER", "INFO"]);
    let mut fields = info.lines().filter_map(|line| line.split_once(':'));
    let sent = fields.find(|(name, _)| *name == "cluster_stats_messages_publishshard_sent");
    sent.map_or(0, |(_, sent)| sent.parse().unwrap())
}

#[test]
fn what_is_said_in_a_room_stays_on_its_node() {
    if is_before_7() {
        return println!("skipped: this needs Redis 7");
    }
    let nodes = Nodes::start();
    let servers = servers(&nodes);
    for room in ROOMS {
        let mut foo = servers[0].join_room("foo", room);
        let mut bar = servers[1].join_room("bar", room);
        foo.hears("bar: has joined the chat!");
        let home = nodes.node_of_key(&counter(room));
        let channel = format!("chat:@{{chat:{room}}}");
        assert_eq!(shard_channels(&nodes, home), [channel]);
        let before = sent_to_replica(&nodes, home);
        for n in 0..5 {
            talk(&mut foo, &mut bar, &format!("{n}"));
        }
        assert!(sent_to_replica(&nodes, home) >= before + 10);
        foo.leave();
        bar.hears("foo: has left the chat!");
        bar.leave();
        eventually("the channel is given up", || {
            shard_channels(&nodes, home).is_empty().then_some(())
        });
        eventually("the names are free", || {
            let names = nodes.list("chat-users", &["SMEMBERS", "chat-users"]);
            names.is_empty().then_some(())
        });
    }
}

#[test]
fn a_rooms_channels_follow_its_slot() {
    if is_before_7() {
        return println!("skipped: this needs Redis 7");
    }
    let nodes = Nodes::start();
    let (servers, mut foo, mut bar) = foo_and_bar(&nodes);
    let key = counter("lobby");
    for _ in 0..3 {
        let from = nodes.node_of_key(&key);
        let to = (from + 1) % 3;
        nodes.move_slot_of_key(&key, to);
        talk(&mut foo, &mut bar, "moved");
        eventually("the channels are where the room is", || {
            let shards = |i| shard_channels(&nodes, i);
            let plain = |i, count| {
                let counts = nodes.command(i, &["PUBSUB", "NUMSUB", "chat"]);
                counts.ends_with(&format!(":{count}\r\n"))
            };
            let moved = shards(to) == ["chat:@{chat:lobby}"] && plain(to, 2);
            (moved && shards(from).is_empty() && plain(from, 0)).then_some(())
        });
        let pip = servers[1].join("pip");
        foo.hears("pip: has joined the chat!");
        bar.hears("pip: has joined the chat!");
        pip.leave();
        foo.hears("pip: has left the chat!");
        bar.hears("pip: has left the chat!");
    }
}

#[test]
fn nodes_that_have_no_channels_of_slots_carry_the_chat_too() {
    let nodes = Nodes::without_shards();
    let (_servers, mut foo, mut bar) = foo_and_bar(&nodes);
    talk(&mut foo, &mut bar, "hello");
    let key = counter("lobby");
    nodes.move_slot_of_key(&key, (nodes.node_of_key(&key) + 1) % 3);
    talk(&mut foo, &mut bar, "moved");
}

#[test]
fn nodes_that_go_by_addresses_are_trusted_by_the_name_of_the_cluster() {
    let certs = Certs::for_host("localhost");
    let nodes = Nodes::with_tls(&certs, "s3cret");
    let mut address = nodes.address(1);
    address.ca = Some(certs.path("ca.pem"));
    let servers = [(); 2].map(|()| TestServer::on_with(address.clone(), |_| {}));
    let mut foo = servers[0].join("foo");
    let mut bar = servers[1].join("bar");
    foo.hears("bar: has joined the chat!");
    talk(&mut foo, &mut bar, "hello");
}

#[test]
fn a_room_and_the_names_move_to_another_node_and_nobody_notices() {
    let nodes = Nodes::start();
    let (servers, mut foo, mut bar) = foo_and_bar(&nodes);
    let mut ann = servers[1].typed_in("ann", "lobby");
    foo.hears("ann: has joined the chat!");
    bar.hears("ann: has joined the chat!");
    for key in [counter("lobby"), "chat-users".into()] {
        for _ in 0..2 {
            let to = (nodes.node_of_key(&key) + 1) % 3;
            nodes.move_slot_of_key(&key, to);
            talk(&mut foo, &mut bar, "moved");
            foo.say("/msg bar psst");
            bar.hears("foo (private): psst");
        }
    }
    // Not even the typed ones: they would have been told that messages wait.
    let mut last = (0, 0);
    for _ in 0..8 {
        let chat = ann.gets(json!({"type": "chat", "text": "moved"}));
        let (epoch, n) = chat["id"].as_str().unwrap().split_once('-').unwrap();
        let id: (u64, u64) = (epoch.parse().unwrap(), n.parse().unwrap());
        // On another node, a new epoch begins.
        let follows = id == (last.0, last.1 + 1) || id.0 > last.0 && id.1 == 1;
        assert!(follows, "{id:?} after {last:?}");
        last = id;
    }
}

#[test]
fn a_migrating_room_waits_and_the_others_continue() {
    let nodes = Nodes::start();
    let servers = servers(&nodes);
    let mut foo = servers[0].join_room("foo", ROOMS[0]);
    let mut bar = servers[1].join_room("bar", ROOMS[0]);
    foo.hears("bar: has joined the chat!");
    talk(&mut foo, &mut bar, "before");
    let mut ida = servers[0].join_room("ida", ROOMS[1]);
    let mut pip = servers[1].join_room("pip", ROOMS[1]);
    ida.hears("pip: has joined the chat!");

    // One of the room's keys is there, the others are here: nobody can publish.
    let key = counter(ROOMS[0]);
    let to = nodes.node_of_key(&counter(ROOMS[1]));
    let from = nodes.begin_move(&key, to);
    nodes.move_these(&[&key], from, to);
    for n in 0..10 {
        foo.say(&format!("on the way {n}"));
    }
    ida.say("here all is well");
    pip.hears("ida: here all is well");

    // All of its keys are there, but it is still said to be here.
    nodes.move_keys(&key, from, to);
    for n in 0..10 {
        bar.hears(&format!("foo: on the way {n}"));
    }
    for n in 0..10 {
        foo.say(&format!("half way {n}"));
        bar.hears(&format!("foo: half way {n}"));
    }
    nodes.finish_move(&key, from, to);
    talk(&mut foo, &mut bar, "after");
}

#[test]
fn a_primary_dies_and_its_replica_carries_on() {
    let mut nodes = Nodes::start();
    let (servers, mut foo, mut bar) = foo_and_bar(&nodes);
    talk(&mut foo, &mut bar, "before");
    for key in [counter("lobby"), "chat-users".into()] {
        nodes.wait_until_ready();
        let dead = nodes.node_of_key(&key);
        nodes.kill(dead);
        foo.say("meanwhile");
        bar.hears("foo: meanwhile");
        nodes.has_failed_over(&key, dead);
        talk(&mut foo, &mut bar, "after");
        foo.say("/msg bar psst");
        bar.hears("foo (private): psst");
        for server in &servers {
            server.becomes(200);
        }
        nodes.restart(dead);
    }
    assert_eq!(
        nodes.list("chat-users", &["SMEMBERS", "chat-users"]),
        ["bar", "foo"]
    );
}

#[test]
fn a_primary_hangs_and_its_replica_carries_on() {
    let mut nodes = Nodes::start();
    let (servers, mut foo, mut bar) = foo_and_bar(&nodes);
    let hung = nodes.node_of_key(&counter("lobby"));
    nodes.freeze(hung);
    foo.say("meanwhile");
    nodes.has_failed_over(&counter("lobby"), hung);
    bar.hears("foo: meanwhile");
    talk(&mut foo, &mut bar, "after");
    // It still does what it was sent while it hung, until it hears that another has its slots; and
    // in a log of its own, since nothing had been said in the room before.
    nodes.thaw(hung);
    nodes.wait_until_ready();
    for n in 0..5 {
        talk(&mut foo, &mut bar, &format!("{n}"));
    }
    for server in &servers {
        server.becomes(200);
    }
}

#[test]
fn the_node_of_the_subscription_dies_and_another_takes_its_place() {
    let mut nodes = Nodes::start();
    let (servers, mut foo, mut bar) = foo_and_bar(&nodes);
    // A replica, so no slot is nobody's: only what bar's instance hears is cut off.
    nodes.kill(4);
    talk(&mut foo, &mut bar, "still here");
    servers[1].becomes(200);
    talk(&mut foo, &mut bar, "and again");
}

#[test]
fn a_new_node_is_found_by_a_redirection() {
    let nodes = Nodes::start();
    let (_servers, mut foo, mut bar) = foo_and_bar(&nodes);
    talk(&mut foo, &mut bar, "before");
    nodes.begin_anew(5);
    let key = counter("lobby");
    let from = nodes.begin_move(&key, 5);
    nodes.move_keys(&key, from, 5);
    talk(&mut foo, &mut bar, "half way");
    nodes.finish_move(&key, from, 5);
    talk(&mut foo, &mut bar, "after");
}

#[test]
fn an_unreachable_node_is_named() {
    if is_before_7() {
        return println!("skipped: this needs Redis 7");
    }
    let nodes = Nodes::start();
    nodes.announce_unreachable(2);
    let server = TestServer::on_with(nodes.address(0), |_| {});
    let (status, line) = server.ready();
    assert_eq!(status, 503);
    let node = format!(
        "redis 127.0.0.1:{}: node 192.0.2.1:{}: ",
        nodes.port(0),
        nodes.port(2)
    );
    assert!(line.starts_with(&node), "{line}");
    assert!(
        line.trim_end()
            .ends_with("its nodes' addresses must be reachable from here"),
        "{line}"
    );
    server
        .knock("foo", "lobby")
        .hears("failed to connect. please try again");
}

/// Says something more after the last message of a log, `words`; but nobody hears of it.
fn swallow(nodes: &Nodes, counter: &str, log: &str, words: &str) {
    let node = nodes.node_of_key(counter);
    let newest = nodes.command(node, &["XREVRANGE", log, "+", "-", "COUNT", "1"]);
    let line = newest.lines().find(|line| line.starts_with('{')).unwrap();
    let message: serde_json::Value = serde_json::from_str(line).unwrap();
    let id = message["id"].as_str().unwrap();
    let (epoch, n) = id.split_once('-').unwrap();
    let next = format!("{epoch}-{}", n.parse::<u64>().unwrap() + 1);
    let message = line.replace(id, &next).replace(words, "swallowed");
    nodes.command(node, &["XADD", log, &next, "message", &message]);
    nodes.command(node, &["SET", counter, &next]);
}

/// What one node publishes comes to another over a connection of theirs. Should that break, nobody
/// is told; here it is as if it had.
#[test]
fn messages_that_the_cluster_drops_are_read_from_the_log() {
    let nodes = Nodes::start();
    let (_servers, mut foo, mut bar) = foo_and_bar(&nodes);
    talk(&mut foo, &mut bar, "before");
    foo.say("/msg bar psst");
    bar.hears("foo (private): psst");
    for (room, words) in [("lobby", "before"), ("@bar@foo", "psst")] {
        let log = format!("{{chat:{room}}}:log");
        swallow(&nodes, &counter(room), &log, words);
    }
    foo.hears("bar: swallowed");
    bar.hears("foo (private): swallowed");
    talk(&mut foo, &mut bar, "after");
}

#[test]
fn a_room_on_an_unreachable_node_waits_until_it_can_be_reached() {
    if is_before_7() {
        return println!("skipped: this needs Redis 7");
    }
    let nodes = Nodes::start();
    let (servers, mut foo, mut bar) = foo_and_bar(&nodes);
    nodes.announce_unreachable(5);
    nodes.begin_anew(5);
    let key = counter("lobby");
    let home = nodes.node_of_key(&key);
    nodes.move_slot_of_key(&key, 5);
    foo.say("is it far?");
    let node = format!("node 192.0.2.1:{}", nodes.port(5));
    eventually("/readyz names the node", || {
        let (status, line) = servers[0].ready();
        (status == 503 && line.contains(&node)).then_some(())
    });
    nodes.move_slot_of_key(&key, home);
    bar.hears("foo: is it far?");
    talk(&mut foo, &mut bar, "here we are");
}
