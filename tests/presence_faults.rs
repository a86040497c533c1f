//! Faults between instances and Redis. Soon after each, the rosters, the names and who is really
//! connected are the same.

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use natterjack::config::RedisAddress;
use serde_json::json;

use crate::support::{Client, Proxy, Redis, Saved, TestServer, eventually};

/// Waits until Redis has exactly these names, and exactly these in the attic.
#[track_caller]
fn are_here(redis: &Redis, names: &[&str]) {
    eventually(&format!("{names:?} are online, and in the attic"), || {
        let online = redis.list(&["SMEMBERS", "chat-users"]);
        let owners = redis.list(&["HKEYS", "{chat-users}:owners"]);
        let roster = redis.list(&["HKEYS", "{chat:attic}:roster"]);
        (online == names && owners == names && roster == names).then_some(())
    });
}

/// Two people join in a partition and leave after it. The commands that say so arrive in the wrong
/// order: those of the old connection last.
fn held_commands_come_late(redis: &Redis, proxy: &Proxy, address: RedisAddress) {
    let server = TestServer::on_with(address, |_| {});
    let mut ann = server.typed_in("ann", "attic");
    let mut bob = server.typed("bob");
    let mut eve = server.json();
    let old: BTreeSet<_> = redis.chatters().into_iter().collect();
    proxy.hold();
    bob.put(json!({"type": "join", "room": "attic"}));
    eve.put(json!({"type": "join", "room": "attic", "user": "eve"}));
    proxy.holds("bob");
    proxy.holds("eve");
    proxy.give_up_held();
    // What was held is sent again on a new connection.
    bob.gets_at_last(json!({"type": "joined", "room": "attic"}));
    eve.gets_at_last(json!({"type": "joined", "room": "attic"}));
    bob.leave();
    eve.leave();
    are_here(redis, &["ann"]);
    proxy.let_go();
    eventually("the old connections end, with what was held", || {
        let now: BTreeSet<_> = redis.chatters().into_iter().collect();
        now.is_disjoint(&old).then_some(())
    });
    are_here(redis, &["ann"]);
    ann.put(json!({"type": "who", "room": "attic"}));
    ann.gets_at_last(json!({"type": "who", "users": ["ann"]}));
}

#[test]
fn commands_that_a_partition_held_back_come_late() {
    let redis = Redis::on_tcp();
    let proxy = Proxy::to(redis.port());
    // A user who may not end the old connections.
    redis.allow("chat", "on >x ~* &* +@all -client +client|setname");
    let mut address = proxy.address();
    address.username = Some("chat".into());
    address.password = Some("x".into());
    held_commands_come_late(&redis, &proxy, address);
}

#[test]
fn the_connections_of_before_are_ended_at_redis() {
    let redis = Redis::on_tcp();
    let proxy = Proxy::to(redis.port());
    let server = TestServer::on_with(proxy.address(), |_| {});
    let _ann = server.typed_in("ann", "attic");
    let commands = || redis.command(&["CLIENT", "LIST", "TYPE", "normal"]);
    let ours = |list: String| -> Vec<String> {
        let ours = list.lines().filter(|line| line.contains("natterjack-"));
        let ids = ours.filter_map(|line| line.split(' ').next());
        ids.map(ToString::to_string).collect()
    };
    let old = ours(commands());
    assert_eq!(old.len(), 1, "{old:?}");
    proxy.hold();
    proxy.give_up_held();
    eventually("there is another connection, and only that", || {
        let new = ours(commands());
        (new.len() == 1 && new != old).then_some(())
    });
    proxy.let_go();
    server.becomes(200);
    are_here(&redis, &["ann"]);
}

/// People on two instances. Since a saved moment, some have come and others have left. One of those
/// who came has the name of somebody who left the other instance.
struct People {
    saved: Saved,
    ann: Client,
    new: [Client; 2],
    _servers: [TestServer; 2],
}

impl People {
    fn before_and_after(redis: &Redis) -> People {
        let servers = [TestServer::on(redis), TestServer::on(redis)];
        let ann = servers[0].typed_in("ann", "attic");
        let old = [0, 1].map(|n| servers[n].join_room(&format!("old{n}"), "attic"));
        let saved = redis.save();
        old.into_iter().for_each(Client::leave);
        let new = ["new", "old0"];
        let new = [0, 1].map(|n| servers[n].typed_in(new[n], "attic"));
        are_here(redis, &["ann", "new", "old0"]);
        People {
            saved,
            ann,
            new,
            _servers: servers,
        }
    }

    fn are_all_there_is(mut self, redis: &Redis) {
        are_here(redis, &["ann", "new", "old0"]);
        self.ann.put(json!({"type": "who", "room": "attic"}));
        self.ann
            .gets_at_last(json!({"type": "who", "users": ["ann", "new", "old0"]}));
        for new in &mut self.new {
            let here = json!({"type": "chat", "room": "attic", "text": "here"});
            new.put(here.clone());
            new.gets_at_last(here);
        }
        self.ann
            .put(json!({"type": "chat", "to": "old1", "text": "still there?"}));
        self.ann
            .gets_at_last(json!({"type": "error", "code": "no_such_user"}));
    }
}

#[test]
fn a_redis_that_lost_its_last_seconds_in_a_restart_knows_who_is_here() {
    let mut redis = Redis::start();
    let people = People::before_and_after(&redis);
    redis.go_back_to(&people.saved);
    people.are_all_there_is(&redis);
}

#[test]
fn a_redis_that_goes_back_in_time_without_a_word_knows_who_is_here() {
    let redis = Redis::start();
    let people = People::before_and_after(&redis);
    redis.reload(&people.saved);
    people.are_all_there_is(&redis);
}

#[test]
fn a_replica_that_lags_behind_takes_over_and_knows_who_is_here() {
    let (primary, replica) = (Redis::on_tcp(), Redis::on_tcp());
    let proxy = Proxy::to(primary.port());
    let server = TestServer::on_with(proxy.address(), |_| {});
    let _ann = server.typed_in("ann", "attic");
    let old = server.typed_in("old", "attic");
    replica.follow(&primary);
    replica.lead();
    old.leave();
    let _new = server.typed_in("new", "attic");
    are_here(&primary, &["ann", "new"]);
    proxy.cut();
    proxy.lead_to(replica.port());
    proxy.heal();
    are_here(&replica, &["ann", "new"]);
}

/// People leave while Redis refuses everything.
fn leaving_while_redis_refuses(refuse: impl Fn(&Redis), accept: impl Fn(&Redis)) {
    let redis = Redis::start();
    let server = TestServer::on(&redis);
    let _ann = server.typed_in("ann", "attic");
    let leavers = ["bob", "eve", "flo"].map(|name| server.typed_in(name, "attic"));
    are_here(&redis, &["ann", "bob", "eve", "flo"]);
    refuse(&redis);
    leavers.into_iter().for_each(Client::leave);
    server.ready();
    accept(&redis);
    are_here(&redis, &["ann"]);
}

#[test]
fn people_leave_while_redis_can_not_write_to_its_disk() {
    leaving_while_redis_refuses(Redis::fail_to_save, Redis::save_again);
}

#[test]
fn people_leave_while_a_script_keeps_redis_busy() {
    leaving_while_redis_refuses(Redis::run_endless_script, Redis::end_script);
}

#[test]
fn people_leave_while_redis_permits_nothing() {
    let acl = |rule: &str| {
        let command = ["ACL", "SETUSER", "default", rule].map(ToString::to_string);
        move |redis: &Redis| drop(redis.command(&command.each_ref().map(String::as_str)))
    };
    leaving_while_redis_refuses(acl("-evalsha"), acl("+@all"));
}

#[test]
fn people_come_and_go_while_redis_loses_its_data() {
    let redis = Redis::on_tcp();
    let proxy = Proxy::to(redis.port());
    let servers = [1, 2].map(|_| TestServer::on_with(proxy.address(), |config| config.rate = 0));
    let _ann = servers[0].typed_in("ann", "attic");
    let _bob = servers[1].typed_in("bob", "attic");
    proxy.delay(Duration::from_millis(20));
    thread::scope(|scope| {
        for (n, server) in servers.iter().enumerate() {
            for k in 0..4 {
                scope.spawn(move || {
                    for round in 0..10 {
                        let name = format!("p{n}{k}{round}");
                        let mut client = server.knock(&name, "attic");
                        client.next();
                        client.leave();
                    }
                });
            }
        }
        for _ in 0..5 {
            redis.command(&["FLUSHALL"]);
            servers[0].join_room(&format!("x{}", fastrand::u32(..)), "attic");
        }
    });
    are_here(&redis, &["ann", "bob"]);
}

#[test]
fn what_an_instance_without_a_lease_has_left_behind_is_found() {
    let redis = Redis::start();
    let server = TestServer::on(&redis);
    let mut ann = server.join_room("ann", "attic");
    // An instance was killed between two commands, or the node with its lease has lost it.
    let (ghost, instance) = ("00000000deadbeef.1", "00000000deadbeef");
    redis.command(&["HSET", "{chat:attic}:roster", "ghost", ghost]);
    redis.command(&["HSET", "{chat:attic}:sums", instance, "5000000000"]);
    redis.command(&["HSET", "{chat-users}:owners", "shade", ghost]);
    redis.command(&["HSET", "{chat-users}:sums", instance, "5000000000"]);
    redis.command(&["SADD", "chat-users", "shade"]);
    // Everything is compared then.
    redis.command(&["CLIENT", "KILL", "TYPE", "pubsub"]);
    eventually("the lost are found", || {
        (redis.list(&["HKEYS", "{chat-users}:owners"]) == ["ann"]).then_some(())
    });
    ann.hears("ghost: has left the chat!");
    are_here(&redis, &["ann"]);
}

#[test]
fn many_people_in_many_rooms_far_away_are_restored() {
    let redis = Redis::on_tcp();
    let proxy = Proxy::to(redis.port());
    let server = TestServer::on_with(proxy.address(), |config| config.rate = 0);
    let rooms: Vec<String> = (0..30).map(|n| format!("room{n}")).collect();
    let mut people: Vec<Client> = (0..30).map(|n| server.typed(&format!("p{n}"))).collect();
    for person in &mut people {
        for room in &rooms {
            person.put(json!({"type": "join", "room": room}));
        }
    }
    for person in &mut people {
        for room in &rooms {
            person.gets_at_last(json!({"type": "joined", "room": room}));
        }
    }
    proxy.delay(Duration::from_millis(200));
    redis.command(&["FLUSHALL"]);
    proxy.cut();
    proxy.heal();
    server.becomes(503);
    server.becomes(200);
    eventually("everybody is where they were", || {
        let count = |key: String| redis.command(&["HLEN", &key]);
        let full = |room: &String| count(format!("{{chat:{room}}}:roster")) == ":30\r\n";
        (count("{chat-users}:owners".into()) == ":30\r\n" && rooms.iter().all(full)).then_some(())
    });
    for person in &mut people {
        for _ in &rooms {
            let who = person.gets_at_last(json!({"type": "who", "count": 30}));
            assert_eq!(who["users"].as_array().map(Vec::len), Some(30), "{who}");
        }
    }
}

#[test]
fn who_leaves_when_redis_has_lost_the_owners_of_names_leaves_none_behind() {
    let redis = Redis::start();
    let server = TestServer::on(&redis);
    let _ann = server.typed_in("ann", "attic");
    let bob = server.typed_in("Bob", "attic");
    redis.command(&["DEL", "{chat-users}:owners"]);
    bob.leave();
    are_here(&redis, &["ann"]);
}

/// Measures only: how long it takes until many people in many rooms, far away, are restored.
#[test]
#[ignore = "measures only, and takes a minute"]
fn how_long_it_takes_to_restore_768_people_in_60_rooms_far_away() {
    const PEOPLE: usize = 768;
    const ROOMS: usize = 60;
    let mut redis = Redis::on_tcp();
    let nothing = redis.save();
    let proxy = Proxy::to(redis.port());
    let server = TestServer::on_with(proxy.address(), |config| {
        (config.rate, config.notices, config.ping) = (0, 0, 3600);
    });
    let rooms: Vec<String> = (0..ROOMS).map(|n| format!("room{n}")).collect();
    let mut people = Vec::new();
    for n in 0..PEOPLE {
        let mut person = server.typed(&format!("p{n}"));
        for room in &rooms {
            person.put(json!({"type": "join", "room": room}));
        }
        for room in &rooms {
            person.gets_at_last(json!({"type": "joined", "room": room}));
        }
        people.push(person);
    }
    proxy.delay(Duration::from_millis(200));
    for loses_all in [false, true] {
        match loses_all {
            true => redis.go_back_to(&nothing),
            false => {
                redis.kill();
                redis.restart();
            }
        }
        let begun = Instant::now();
        server.becomes(503);
        let within = |what: &str, done: &dyn Fn() -> bool| {
            while !done() {
                assert!(begun.elapsed() < Duration::from_secs(120), "{what}");
                thread::sleep(Duration::from_millis(10));
            }
            println!("{what} after {:?}; all lost: {loses_all}", begun.elapsed());
        };
        within("ready", &|| server.ready().0 == 200);
        let full = |key: String| redis.command(&["HLEN", &key]) == format!(":{PEOPLE}\r\n");
        within("all are there", &|| {
            full("{chat-users}:owners".into())
                && rooms
                    .iter()
                    .all(|room| full(format!("{{chat:{room}}}:roster")))
        });
    }
    for person in &mut people {
        let told = json!({"type": "who", "room": rooms[ROOMS - 1], "count": PEOPLE});
        person.gets_at_last(told);
    }
}

#[test]
fn sums_that_are_wrong_are_set_right() {
    let redis = Redis::start();
    let server = TestServer::on(&redis);
    let _ann = server.typed_in("ann", "attic");
    let instance = &redis.list(&["ZRANGE", "{chat-users}:leases", "0", "-1"])[0];
    let keys = ["{chat-users}:sums", "{chat:attic}:sums"];
    let sums = || keys.map(|key| redis.command(&["HGET", key, instance]));
    let right = sums();
    // Names and people that nobody has, and sums that have been lost and were changed since.
    let ghost = format!("{instance}.77");
    for (key, wrong) in keys.into_iter().zip(["-5000000000", "7"]) {
        redis.command(&["HSET", key, instance, wrong]);
    }
    redis.command(&["HSET", "{chat-users}:owners", "ghost", &ghost]);
    redis.command(&["SADD", "chat-users", "ghost"]);
    redis.command(&["HSET", "{chat:attic}:roster", "ghost", &ghost]);
    are_here(&redis, &["ann"]);
    eventually("the sums are right", || (sums() == right).then_some(()));
}
