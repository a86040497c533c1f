//! Partitions of a real network: the kernel keeps what an instance has sent to Redis on connections that
//! the instance has given up, and delivers it when the line is there again.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::process::Command;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Client, Program, Raw, Redis, TestServer, eventually, in_own_network, ip};

/// Where Redis is reached.
const REDIS: &str = "10.99.1.1";
/// Where the far instance listens.
const FAR: &str = "10.99.2.2:8080";
/// What the far instance does first: it waits for its lines.
const SET_UP: &str = r#"
until ip link show redis1 && ip link show people1; do sleep 0.01; done >/dev/null 2>&1
ip address add 10.99.1.2/24 dev redis1 && ip link set redis1 up
ip address add 10.99.2.2/24 dev people1 && ip link set people1 up
exec "$0" "$@""#;
/// Partitions of so many seconds. In the shortest one the instance does not notice it.
const PARTITIONS: [u64; 3] = [7, 9, 11];

#[test]
fn an_instance_is_cut_off_from_redis_by_the_kernel() {
    in_own_network(
        "partition::an_instance_is_cut_off_from_redis_by_the_kernel",
        partitions,
    );
}

/// The far instance and Redis are joined by one line, the people and the far instance by another.
fn partitions() {
    ip("link set lo up");
    let redis = Redis::for_others();
    let near = TestServer::on(&redis);
    let mut ann = near.typed_in("ann", "attic");
    let ours: BTreeSet<_> = redis.chatters().into_iter().collect();
    let far = far_instance(&redis);
    let far_addr: SocketAddr = FAR.parse().unwrap();
    let becomes_ready = || {
        eventually("the far instance is ready", || {
            (Raw::get(far_addr, "/readyz").0 == 200).then_some(())
        });
    };
    becomes_ready();
    let typed = |user: &str| {
        let mut client = Client::connect(far_addr, "/ws");
        client.put(json!({"type": "join", "room": "attic", "user": user, "session": user}));
        client.gets_at_last(json!({"type": "joined", "room": "attic"}));
        client
    };
    let mut pip = typed("pip");
    for seconds in PARTITIONS {
        are_here(&redis, &["ann", "pip"]);
        let (mut leave, mut come) = (Vec::new(), Vec::new());
        for n in 0..2 * seconds {
            leave.push(typed(&format!("left{n}")));
            come.push(Client::connect(far_addr, "/ws"));
        }
        let all: BTreeSet<_> = redis.chatters().into_iter().collect();
        let old: BTreeSet<_> = all.difference(&ours).collect();

        ip("link set redis0 down");
        let references: Vec<String> = (0..10).map(|n| format!("{seconds}-{n}")).collect();
        for text in &references {
            pip.put(json!({"type": "chat", "room": "attic", "text": text, "ref": text}));
        }
        // Some come and go just before the instance gives its connections up.
        for (n, (left, came)) in leave.into_iter().zip(&mut come).enumerate() {
            let user = format!("came{n}");
            came.put(json!({"type": "join", "room": "attic", "user": user, "session": user}));
            left.leave();
            thread::sleep(Duration::from_millis(500));
        }
        ip("link set redis0 up");
        come.into_iter().for_each(Client::leave);

        becomes_ready();
        are_here(&redis, &["ann", "pip"]);
        // What got an ack is heard once and in order, and nothing is without an answer.
        let acked = acked(&mut pip, &references);
        pip.put(json!({"type": "chat", "room": "attic", "text": "done"}));
        let mut heard = Vec::new();
        loop {
            let chat = ann.gets_at_last(json!({"type": "chat", "room": "attic"}));
            if chat["text"] == "done" {
                break;
            }
            heard.push(chat["id"].clone());
        }
        assert_eq!(heard, acked);
        if seconds > PARTITIONS[0] {
            eventually("the old connections end, with what was held", || {
                let now: BTreeSet<_> = redis.chatters().into_iter().collect();
                old.iter().all(|old| !now.contains(old)).then_some(())
            });
        }
        are_here(&redis, &["ann", "pip"]);
        ann.put(json!({"type": "who", "room": "attic"}));
        ann.gets_at_last(json!({"type": "who", "users": ["ann", "pip"]}));
    }
    drop(far);
}

fn far_instance(redis: &Redis) -> Program {
    let mut command = Command::new("unshare");
    command.args(["--net", "sh", "-c", SET_UP]);
    command.args(Program::command()).args(["--listen", FAR]);
    let url = format!("redis://{REDIS}:{}", redis.port());
    command.args(["--rate", "0", "--redis", &url]);
    let far = Program::of(command);
    let network = |process: &str| fs::read_link(format!("/proc/{process}/ns/net")).unwrap();
    let id = far.id().to_string();
    eventually("the far instance has a network", || {
        (network(&id) != network("self")).then_some(())
    });
    for (line, address) in [("redis", "10.99.1.1/24"), ("people", "10.99.2.1/24")] {
        ip(&format!(
            "link add {line}0 type veth peer name {line}1 netns {id}"
        ));
        ip(&format!("address add {address} dev {line}0"));
        ip(&format!("link set {line}0 up"));
    }
    far
}

/// Waits until Redis has exactly these names, and exactly these in the attic.
#[track_caller]
fn are_here(redis: &Redis, names: &[&str]) {
    eventually(&format!("{names:?} are online, and in the attic"), || {
        let keys = ["{chat-users}:owners", "{chat:attic}:roster"];
        let there = |key| redis.list(&["HKEYS", key]) == names;
        (redis.list(&["SMEMBERS", "chat-users"]) == names && keys.into_iter().all(there))
            .then_some(())
    });
}

/// The ids of those of these messages that got one. All others are refused.
#[track_caller]
fn acked(client: &mut Client, references: &[String]) -> Vec<Value> {
    let mut ids = Vec::new();
    for reference in references {
        loop {
            let answer = client.object();
            if answer["ref"] == **reference && answer["type"] != "chat" {
                ids.extend((answer["type"] == "ack").then(|| answer["id"].clone()));
                break;
            }
        }
    }
    ids
}
