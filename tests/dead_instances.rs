//! Instances that die, freeze and come back: rosters and names stay correct.

use serde_json::json;

use crate::support::{Client, Program, Raw, Redis, TestServer, eventually};

fn start(redis: &Redis) -> (Program, std::net::SocketAddr) {
    let mut program = Program::start(&["--redis", &redis.url()]);
    let addr = program.addr();
    (program, addr)
}

fn join(addr: std::net::SocketAddr, user: &str, room: &str) -> Client {
    let mut client = Client::connect(addr, &format!("/chat/{user}?room={room}"));
    client.hears(&format!("Welcome {user}!"));
    client
}

#[test]
fn members_on_a_dead_instance_leave() {
    let redis = Redis::start();
    let servers = [TestServer::on(&redis), TestServer::on(&redis)];
    let mut watchers: Vec<Client> = servers
        .iter()
        .enumerate()
        .map(|(n, server)| server.join_room(&format!("watcher{n}"), "attic"))
        .collect();
    watchers[0].hears("watcher1: has joined the chat!");
    let (mut dying, addr) = start(&redis);
    let _ghosts = ["foo", "bar", "o\"brien"].map(|ghost| {
        let path = ghost.replace('"', "%22");
        let mut client = Client::connect(addr, &format!("/chat/{path}?room=attic"));
        client.hears(&format!("Welcome {ghost}!"));
        for watcher in &mut watchers {
            watcher.hears(&format!("{ghost}: has joined the chat!"));
        }
        client
    });
    let _elsewhere = join(addr, "pi", "cellar");
    dying.signal("KILL");
    dying.wait();
    // Whoever lives on notices nothing but this: each departure is announced once, by whichever
    // instance.
    for watcher in &mut watchers {
        let mut left: Vec<String> = (0..3).map(|_| watcher.next()).collect();
        left.sort();
        assert_eq!(
            left,
            ["bar", "foo", "o\"brien"].map(|ghost| format!("{ghost}: has left the chat!"))
        );
    }
    eventually("only the living are online", || {
        let online = redis.list(&["SMEMBERS", "chat-users"]);
        (online == ["watcher0", "watcher1"]).then_some(())
    });
    watchers[0].say("/who");
    watchers[0].hears("in attic: watcher0, watcher1");
    assert!(servers.iter().all(|server| server.ready().0 == 200));
    // What is left in Redis is about the living.
    eventually("nothing is left of the dead", || {
        let leases = redis.list(&["ZRANGE", "{chat-users}:leases", "0", "-1"]);
        let rooms = redis.list(&["KEYS", "{chat-users}:rooms:*"]);
        let cellar = redis.list(&["HKEYS", "{chat:cellar}:roster"]);
        (leases.len() == 2 && rooms.len() == 2 && cellar.is_empty()).then_some(())
    });
    let _foo = servers[1].join_room("foo", "attic");
    watchers[0].hears("foo: has joined the chat!");
}

#[test]
fn members_on_a_frozen_instance_come_back() {
    let redis = Redis::start();
    let server = TestServer::on(&redis);
    let mut watcher = server.join("watcher");
    let (frozen, addr) = start(&redis);
    let mut foo = join(addr, "foo", "lobby");
    let mut bar = join(addr, "bar", "lobby");
    watcher.hears_in_order(&["foo: has joined the chat!", "bar: has joined the chat!"]);
    foo.hears("bar: has joined the chat!");
    frozen.signal("STOP");
    let mut left = [watcher.next(), watcher.next()];
    left.sort();
    assert_eq!(left, ["bar: has left the chat!", "foo: has left the chat!"]);
    // Somebody takes one of the names meanwhile.
    let mut other = eventually("bar's name is free", || {
        let mut other = server.knock("bar", "lobby");
        (other.next() == "Welcome bar!").then_some(other)
    });
    watcher.hears("bar: has joined the chat!");
    watcher.say("where are you?");
    frozen.signal("CONT");
    // One is back and has missed nothing; the other one's name is gone.
    bar.is_closed(4001);
    foo.hears_at_last("watcher: where are you?");
    watcher.hears("foo: has joined the chat!");
    foo.say("here");
    watcher.hears("foo: here");
    other.hears_at_last("foo: here");
    watcher.say("/who");
    watcher.hears("in lobby: bar, foo, watcher");
    eventually("it is ready again", || {
        (Raw::get(addr, "/readyz").0 == 200).then_some(())
    });
}

#[test]
fn a_session_key_brings_the_name_back_at_once() {
    let redis = Redis::start();
    let server = TestServer::on(&redis);
    let (mut dying, addr) = start(&redis);
    let mut ann = Client::connect(addr, "/ws");
    ann.put(json!({"type": "join", "room": "attic", "user": "ann"}));
    let session = ann.gets(json!({"type": "welcome"}))["session"].clone();
    ann.gets(json!({"type": "joined"}));
    let mut bob = server.typed_in("bob", "attic");
    dying.signal("KILL");
    dying.wait();
    // Without the key, the name stays reserved for its last holder.
    let mut thief = server.json();
    thief.is_refused(
        json!({"type": "join", "room": "attic", "user": "ann"}),
        "name_taken",
    );
    let mut ann = server.json();
    ann.put(json!({"type": "join", "room": "attic", "user": "ann", "session": session}));
    ann.gets(json!({"type": "welcome", "userId": "ann", "session": session}));
    ann.gets(json!({"type": "joined", "users": ["ann", "bob"]}));
    // For the others she was never away; when the dead instance's lease runs out, she stays.
    eventually("the dead instance is forgotten", || {
        let leases = redis.list(&["ZRANGE", "{chat-users}:leases", "0", "-1"]);
        (leases.len() == 1).then_some(())
    });
    ann.put(json!({"type": "chat", "room": "attic", "text": "here I am"}));
    bob.gets(json!({"type": "chat", "text": "here I am"}));
    bob.put(json!({"type": "who", "room": "attic"}));
    bob.gets(json!({"type": "who", "users": ["ann", "bob"]}));
}

#[test]
fn of_two_peers_that_claim_a_name_one_gets_it() {
    let redis = Redis::start();
    let servers = [TestServer::on(&redis), TestServer::on(&redis)];
    for round in 0..20 {
        let name = format!("name{round}");
        let answers: Vec<String> = std::thread::scope(|scope| {
            let racers: Vec<_> = servers
                .iter()
                .map(|server| {
                    scope.spawn(|| {
                        let mut client = server.knock(&name, "lobby");
                        let answer = client.next();
                        (answer, client)
                    })
                })
                .collect();
            // Nobody leaves before both have been answered.
            let done: Vec<_> = racers
                .into_iter()
                .map(|racer| racer.join().unwrap())
                .collect();
            done.into_iter().map(|(answer, _)| answer).collect()
        });
        let won = answers
            .iter()
            .filter(|answer| answer.starts_with("Welcome"))
            .count();
        let lost = answers
            .iter()
            .filter(|answer| answer.contains("already taken"))
            .count();
        assert_eq!((won, lost), (1, 1), "{answers:?}");
    }
}

#[test]
fn clocks_that_jump_neither_kill_the_living_nor_keep_the_dead() {
    let redis = Redis::start();
    let _server = TestServer::on(&redis);
    let lease = |value: u64, instance: &str| {
        let value = value.to_string();
        redis.command(&["ZADD", "{chat-users}:leases", &value, instance]);
    };
    let claim = |instance: &str, name: &str| {
        let owner = format!("{instance}.1");
        redis.command(&["HSET", "{chat-users}:owners", name, &owner]);
        redis.command(&["SADD", "chat-users", name]);
    };
    let (living, dead) = ("000000000000cafe", "00000000deadbeef");
    // The dead instance renewed its lease when the clock was far ahead. The other one still renews
    // its own, with the time of a clock that goes backwards.
    lease(1 << 50, dead);
    claim(living, "ann");
    claim(dead, "ghost");
    let mut value = 1000;
    eventually("only the living are online", || {
        value -= 1;
        lease(value, living);
        std::thread::sleep(std::time::Duration::from_millis(100));
        (redis.list(&["SMEMBERS", "chat-users"]) == ["ann"]).then_some(())
    });
}

#[test]
fn a_private_message_reaches_an_instance_whose_lease_is_old() {
    let redis = Redis::start();
    let (one, two) = (TestServer::on(&redis), TestServer::on(&redis));
    let mut ann = one.typed("ann");
    let mut bob = two.typed("bob");
    // As after an outage in which nobody could renew a lease.
    for instance in redis.list(&["ZRANGE", "{chat-users}:leases", "0", "-1"]) {
        redis.command(&["ZADD", "{chat-users}:leases", "1", &instance]);
    }
    ann.put(json!({"type": "chat", "to": "bob", "text": "still there?"}));
    bob.gets(json!({"type": "chat", "to": "bob", "text": "still there?"}));
}
