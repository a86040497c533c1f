//! Where messages are kept. The Redis that the instances share: one server, which each instance reaches
//! through its own proxy; a cluster, over TLS; or a primary and its replica, with sentinels. Or the
//! folder of a server that is alone.

use std::net::SocketAddr;

use super::disk::Disk;
use super::world::{INSTANCES, ROOMS};
use crate::support::{Certs, Nodes, Program, Proxy, Redis, Sentinels, sentinels_have};

/// The cluster's password.
const PASSWORD: &str = "s3cret";

/// Where the instances' messages go.
pub enum Home {
    /// To one Redis, through these.
    One(Redis, Vec<Proxy>),
    /// To a cluster with these certificates.
    Cluster(Nodes, Box<Certs>),
    /// To one of these two, as the sentinels say.
    Watched(Sentinels, [Redis; 2]),
    /// To the disk of the only server.
    Alone(Disk),
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
        Home::Cluster(nodes, Box::new(certs))
    }

    /// A primary and a replica of it.
    pub fn watched() -> Home {
        let redis = [Redis::on_tcp(), Redis::on_tcp()];
        for one in &redis {
            // Or else it waits five seconds for more replicas.
            one.command(&["CONFIG", "SET", "repl-diskless-sync-delay", "0"]);
        }
        let port = redis[0].port().to_string();
        redis[1].command(&["REPLICAOF", "127.0.0.1", &port]);
        let home = Home::Watched(Sentinels::over(&redis[0], 1), redis);
        home.in_step();
        home
    }

    /// A folder, and no Redis.
    pub fn alone() -> Home {
        Home::Alone(Disk::new())
    }

    /// How many instances there are.
    pub fn instances(&self) -> usize {
        match self {
            Home::Alone(_) => 1,
            _ => INSTANCES,
        }
    }

    /// Starts an instance there.
    pub fn start(&self, instance: usize, addr: SocketAddr) -> Program {
        let mut flags: Vec<String> = Vec::new();
        let mut set = |flag: &str, value: &str| flags.extend([flag.into(), value.into()]);
        // Who was away for a while misses less than a lone server keeps. With less to keep, its files
        // are replaced more often.
        let history = match self {
            Home::Alone(_) => "1000",
            _ => "100000",
        };
        for (flag, value) in [
            ("--rate", "0"),
            ("--history", history),
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
            Home::Watched(sentinels, _) => set("--redis", &sentinels.url()),
            Home::Cluster(nodes, certs) => {
                let url = nodes
                    .url(instance)
                    .replace("//", &format!("//:{PASSWORD}@"));
                set("--redis", &url);
                set("--redis-ca", &certs.path("ca.pem").display().to_string());
            }
            Home::Alone(disk) => {
                set("--data", &disk.folder().display().to_string());
                set("--metrics", &disk.metrics.to_string());
            }
        }
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let environment = match self {
            Home::Alone(disk) => &disk.failing.environment()[..],
            _ => &[],
        };
        Program::start_on(addr.port(), &flags, environment)
    }

    /// Sends a command to every node.
    pub fn command_all(&self, command: &[&str]) {
        match self {
            Home::One(redis, _) => drop(redis.command(command)),
            Home::Cluster(nodes, _) => nodes.command_all(command),
            Home::Watched(_, redis) => {
                for one in redis {
                    one.command(command);
                }
            }
            Home::Alone(_) => panic!("there is no Redis"),
        }
    }

    /// The names that are online.
    pub fn online(&self) -> Vec<String> {
        self.list("chat-users", &["SMEMBERS", "chat-users"])
    }

    /// Asks the node of this key for a list.
    pub fn list(&self, key: &str, command: &[&str]) -> Vec<String> {
        match self {
            Home::One(redis, _) => redis.list(command),
            Home::Cluster(nodes, _) => nodes.list(key, command),
            Home::Watched(_, redis) => redis[self.primary()].list(command),
            Home::Alone(_) => panic!("there is no Redis"),
        }
    }

    /// The value of this key; empty if there is none.
    pub fn get(&self, key: &str) -> String {
        let command = ["GET", key];
        let answer = match self {
            Home::One(redis, _) => redis.command(&command),
            Home::Cluster(nodes, _) => nodes.command(nodes.node_of_key(key), &command),
            Home::Watched(_, redis) => redis[self.primary()].command(&command),
            Home::Alone(_) => panic!("there is no Redis"),
        };
        answer.lines().nth(1).unwrap_or_default().to_string()
    }

    /// The one Redis.
    pub fn redis(&mut self) -> &mut Redis {
        match self {
            Home::One(redis, _) => redis,
            _ => panic!("there is more than one"),
        }
    }

    /// The way of an instance to the one Redis.
    pub fn way(&self, instance: usize) -> &Proxy {
        match self {
            Home::One(_, proxies) => &proxies[instance],
            _ => panic!("there is more than one"),
        }
    }

    /// The ways of all instances to the one Redis, if there is one.
    pub fn ways(&self) -> &[Proxy] {
        match self {
            Home::One(_, proxies) => proxies,
            _ => &[],
        }
    }

    /// The replica of this primary is cut off from it, or is so no longer. Replicas sign in, and this one
    /// can't.
    pub fn lag(&self, primary: usize, lags: bool) {
        let user = if lags { "nobody" } else { "" };
        let set = ["CONFIG", "SET", "masteruser", user];
        let part = ["CLIENT", "KILL", "TYPE", "replica"];
        match self {
            Home::One(..) | Home::Alone(_) => panic!("there is no replica"),
            Home::Cluster(nodes, _) if lags => {
                nodes.command(nodes.replica_of(primary), &set);
                nodes.command(primary, &part);
            }
            Home::Cluster(..) => self.command_all(&set),
            Home::Watched(_, redis) => {
                redis[1 - primary].command(&set);
                let word = if lags { "wrong" } else { "" };
                redis[1 - primary].command(&["CONFIG", "SET", "masterauth", word]);
                if lags {
                    redis[primary].command(&part);
                }
            }
        }
    }

    /// The disk of the lone server.
    pub fn disk(&self) -> &Disk {
        match self {
            Home::Alone(disk) => disk,
            _ => panic!("nobody is alone"),
        }
    }

    /// The nodes of the cluster.
    pub fn nodes(&mut self) -> &mut Nodes {
        match self {
            Home::Cluster(nodes, _) => nodes,
            _ => panic!("there is no cluster"),
        }
    }

    /// The sentinels, and the two that they watch.
    pub fn watch(&mut self) -> (&mut Sentinels, &mut [Redis; 2]) {
        match self {
            Home::Watched(sentinels, redis) => (sentinels, redis),
            _ => panic!("nobody watches"),
        }
    }

    /// Which of the two is the primary.
    pub fn primary(&self) -> usize {
        let Home::Watched(sentinels, redis) = self else {
            panic!("nobody watches");
        };
        let port = sentinels.primary();
        let place = redis.iter().position(|one| one.port() == port);
        place.expect("one of the two")
    }

    /// Makes the other of the two a replica of the primary. The sentinels do that too, but let twenty
    /// seconds pass. When they do, they end all connections.
    pub fn follow(&self) {
        sentinels_have("the other one follows the primary", || self.try_follow());
    }

    /// The same, and waits until it has all that the primary has and the sentinels know it.
    pub fn in_step(&self) {
        let Home::Watched(sentinels, redis) = self else {
            panic!("nobody watches");
        };
        sentinels_have("the replica has all that the primary has", || {
            let primary = self.try_follow()?;
            let state = |i: usize| {
                let info = redis[i].try_command(&["INFO", "replication"])?;
                let line = |name| info.lines().find(|line| line.starts_with(name));
                Some((
                    line("role:")?.to_string(),
                    line("master_repl_offset:")?.to_string(),
                ))
            };
            let (mine, theirs) = (state(primary)?, state(1 - primary)?);
            let roles = mine.0 == "role:master" && theirs.0 == "role:slave";
            (roles && mine.1 == theirs.1).then_some(())
        });
        sentinels.wait_until_ready();
        sentinels.wait_until_followed(redis[self.primary()].port());
    }

    /// The primary, if the other one could be told to follow it.
    fn try_follow(&self) -> Option<usize> {
        let Home::Watched(_, redis) = self else {
            panic!("nobody watches");
        };
        let primary = self.primary();
        let port = redis[primary].port().to_string();
        redis[1 - primary].try_command(&["REPLICAOF", "127.0.0.1", &port])?;
        Some(primary)
    }
}

/// The key by which a room's node is known.
pub fn counter(room: &str) -> String {
    format!("{{chat:{room}}}:counter")
}

/// What is in one slot of a cluster: the names, or a room.
pub fn key_of(part: usize) -> String {
    match ROOMS.get(part) {
        Some(room) => counter(room),
        None => "chat-users".into(),
    }
}
