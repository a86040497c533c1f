//! What the instances stand behind: one Redis, and between each of them and it a network of its own;
//! or a cluster, over TLS.

use std::net::SocketAddr;

use super::world::{INSTANCES, ROOMS};
use crate::support::{Certs, Nodes, Program, Proxy, Redis};

/// The cluster's password.
const PASSWORD: &str = "s3cret";

/// Where the instances' messages go.
pub enum Home {
    /// To one Redis, through these.
    One(Redis, Vec<Proxy>),
    /// To a cluster with these certificates.
    Cluster(Nodes, Certs),
}

impl Home {
    /// One Redis.
    pub fn one() -> Home {
        let redis = Redis::on_tcp();
        let proxies = (0..INSTANCES).map(|_| Proxy::to(redis.port())).collect();
        Home::One(redis, proxies)
    }

    /// A cluster in which every room is on another node.
    pub fn cluster() -> Home {
        let certs = Certs::for_host("localhost");
        let nodes = Nodes::with_tls(&certs, PASSWORD);
        for (node, room) in ROOMS.iter().enumerate() {
            let key = counter(room);
            if nodes.node_of_key(&key) != node {
                nodes.move_slot_of_key(&key, node);
            }
        }
        Home::Cluster(nodes, certs)
    }

    /// Starts an instance there.
    pub fn start(&self, instance: usize, addr: SocketAddr) -> Program {
        let mut flags: Vec<String> = Vec::new();
        let mut set = |flag: &str, value: &str| flags.extend([flag.into(), value.into()]);
        for (flag, value) in [
            ("--rate", "0"),
            ("--history", "100000"),
            ("--ping", "5"),
            ("--threads", "2"),
        ] {
            set(flag, value);
        }
        match self {
            Home::One(_, proxies) => {
                let port = proxies[instance].port();
                set("--redis", &format!("redis://127.0.0.1:{port}"));
            }
            Home::Cluster(nodes, certs) => {
                let url = nodes
                    .url(instance)
                    .replace("//", &format!("//:{PASSWORD}@"));
                set("--redis", &url);
                set("--redis-ca", &certs.path("ca.pem").display().to_string());
            }
        }
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        Program::start_on(addr.port(), &flags)
    }

    /// Asks for something to be done, of every node.
    pub fn order(&self, command: &[&str]) {
        match self {
            Home::One(redis, _) => drop(redis.ask(command)),
            Home::Cluster(nodes, _) => nodes.order(command),
        }
    }

    /// The names that are online.
    pub fn online(&self) -> Vec<String> {
        let members = ["SMEMBERS", "chat-users"];
        match self {
            Home::One(redis, _) => redis.list(&members),
            Home::Cluster(nodes, _) => nodes.list("chat-users", &members),
        }
    }

    /// The one Redis.
    pub fn redis(&mut self) -> &mut Redis {
        match self {
            Home::One(redis, _) => redis,
            Home::Cluster(..) => panic!("there is more than one"),
        }
    }

    /// The way of an instance to the one Redis.
    pub fn way(&self, instance: usize) -> &Proxy {
        match self {
            Home::One(_, proxies) => &proxies[instance],
            Home::Cluster(..) => panic!("there are more than one"),
        }
    }

    /// The nodes of the cluster.
    pub fn nodes(&mut self) -> &mut Nodes {
        match self {
            Home::One(..) => panic!("there is no cluster"),
            Home::Cluster(nodes, _) => nodes,
        }
    }
}

/// The key by which a room's node is known.
fn counter(room: &str) -> String {
    format!("{{chat:{room}}}:counter")
}

/// What is in one slot of a cluster: the names, or a room.
pub fn key_of(part: usize) -> String {
    match ROOMS.get(part) {
        Some(room) => counter(room),
        None => "chat-users".into(),
    }
}
