//! A real Redis Cluster of one's own: three primaries, each with a replica.

mod slots;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use natterjack::config::{RedisAddress, RedisHost};

use super::{Certs, Redis, eventually, free_pair};

/// The slots of each primary at the start.
const SLOTS: [RangeInclusive<u16>; 3] = [0..=5460, 5461..=10922, 10923..=16383];
/// A node that is silent for so long, in milliseconds, is given up by the others. Short while they
/// meet, and once one of them is dead, so that tests need not wait.
const TIMEOUT: &str = "1500";
/// The same while all is well: a busy machine must not look like a dead node.
const CALM_TIMEOUT: &str = "10000";

/// Where nodes speak with each other: at their port and this.
const BUS: u16 = 10_000;

/// Nodes 0 to 2 begin as primaries, 3 to 5 as their replicas; who is what later on is to be asked.
/// They run until they are dropped.
pub struct Nodes {
    nodes: Vec<Redis>,
    ports: Vec<u16>,
    /// Killed or frozen: these are not asked.
    away: BTreeSet<usize>,
    tls: bool,
    password: Option<String>,
}

/// What a node says of itself.
struct Myself {
    id: String,
    primary: bool,
    /// The id of the primary that a replica follows.
    follows: String,
    epoch: u64,
    slots: Vec<RangeInclusive<u16>>,
}

impl Nodes {
    /// Without TLS and passwords.
    pub fn start() -> Nodes {
        Nodes::launch(&[], false, None)
    }

    /// Older ones, which do not have sharded PUBSUB.
    pub fn without_shards() -> Nodes {
        let options = ["--rename-command", "PUBSUB", ""];
        Nodes::launch(&options.map(String::from), false, None)
    }

    /// With TLS on every port, between the nodes too, and a password. The nodes name each other by
    /// address, so a certificate for `localhost` fits only the name that clients are given.
    pub fn with_tls(certs: &Certs, password: &str) -> Nodes {
        let path = |name: &str| certs.path(name).display().to_string();
        let options = [
            ("tls-cert-file", path("cert.pem")),
            ("tls-key-file", path("key.pem")),
            ("tls-ca-cert-file", path("ca.pem")),
            ("tls-auth-clients", "no".into()),
            ("tls-cluster", "yes".into()),
            ("tls-replication", "yes".into()),
            ("requirepass", password.into()),
            ("masterauth", password.into()),
        ];
        let options = options.map(|(name, value)| [format!("--{name}"), value]);
        Nodes::launch(options.as_flattened(), true, Some(password.into()))
    }

    fn launch(options: &[String], tls: bool, password: Option<String>) -> Nodes {
        let ports: Vec<u16> = (0..6).map(|_| free_pair(BUS)).collect();
        let nodes = ports.iter().map(|port| {
            let port = port.to_string();
            let ports = match tls {
                true => ["--port", "0", "--tls-port", &port],
                false => ["--port", &port, "--tls-port", "0"],
            };
            let mut all = Vec::from(ports);
            all.extend(["--cluster-enabled", "yes"]);
            all.extend(["--cluster-node-timeout", TIMEOUT]);
            // A replica takes over however old its data is, and stays with its primary.
            all.extend(["--cluster-replica-validity-factor", "0"]);
            all.extend(["--cluster-migration-barrier", "6"]);
            // Or else a primary waits five seconds for more replicas.
            all.extend(["--repl-diskless-sync-delay", "0"]);
            all.extend(options.iter().map(String::as_str));
            Redis::launch(&all, None, password.clone())
        });
        let nodes = Nodes {
            nodes: nodes.collect(),
            ports,
            away: BTreeSet::new(),
            tls,
            password,
        };
        nodes.meet();
        nodes.give_up_after(CALM_TIMEOUT);
        nodes
    }

    fn meet(&self) {
        for i in 0..6 {
            // Or else they quarrel about who is whose elder.
            self.does(i, &["CLUSTER", "SET-CONFIG-EPOCH", &(i + 1).to_string()]);
        }
        for (i, slots) in SLOTS.iter().enumerate() {
            let slots: String = slots.clone().map(|slot| format!(" {slot}")).collect();
            let add = format!("CLUSTER ADDSLOTS{slots}");
            self.does(i, &add.split(' ').collect::<Vec<_>>());
        }
        // The others hear of each other from the first.
        eventually("the first node knows the others", || {
            let view = self.command(0, &["CLUSTER", "NODES"]);
            let known = |i: &usize| {
                let address = format!(":{}@", self.ports[*i]);
                let of = |line: &str| line.contains(&address) && !line.contains("handshake");
                view.lines().any(of)
            };
            let strangers: Vec<usize> = (1..6).filter(|i| !known(i)).collect();
            // What takes too long is forgotten. While it is under way, this has no effect.
            strangers.iter().for_each(|i| self.introduce(*i, 0));
            strangers.is_empty().then_some(())
        });
        for replica in 3..6 {
            let primary = self.id(replica - 3);
            eventually("a replica has heard of its primary", || {
                self.introduce(replica - 3, replica);
                let answer = self.command(replica, &["CLUSTER", "REPLICATE", &primary]);
                (answer == "+OK\r\n").then_some(())
            });
        }
        self.wait_until_ready();
    }

    fn give_up_after(&self, timeout: &str) {
        self.command_all(&["CONFIG", "SET", "cluster-node-timeout", timeout]);
    }

    fn introduce(&self, i: usize, to: usize) {
        let port = self.ports[i].to_string();
        self.does(to, &["CLUSTER", "MEET", "127.0.0.1", &port]);
    }

    /// Makes a replica a new primary, which has no slots yet. No answer of `CLUSTER SLOTS` names it.
    pub fn begin_anew(&self, i: usize) {
        let before = self.id(i);
        self.does(i, &["CLUSTER", "RESET", "HARD"]);
        for other in (0..6).filter(|other| *other != i) {
            self.does(other, &["CLUSTER", "FORGET", &before]);
        }
        self.introduce(i, 0);
        eventually("everybody knows the new primary", || {
            let known = |i: usize| {
                self.command(i, &["CLUSTER", "NODES"])
                    .matches("master")
                    .count()
            };
            let well = |i: usize| {
                self.command(i, &["CLUSTER", "INFO"])
                    .contains("cluster_state:ok")
            };
            (0..6).all(|i| known(i) == 4 && well(i)).then_some(())
        });
    }

    /// Waits until all nodes that run agree that everything is well, and each replica has all that
    /// its primary has.
    pub fn wait_until_ready(&self) {
        eventually("the cluster is well", || {
            let running = || (0..6).filter(|i| !self.away.contains(i));
            let well = |i: usize| {
                let info = self.command(i, &["CLUSTER", "INFO"]);
                let view = self.command(i, &["CLUSTER", "NODES"]);
                let replication = self.command(i, &["INFO", "replication"]);
                info.contains("cluster_state:ok")
                    && info.contains("cluster_known_nodes:6")
                    && view.matches("slave").count() + self.away.len() >= 3
                    && !view.contains("handshake")
                    && !replication.contains("master_link_status:down")
            };
            running().all(well).then_some(())
        });
    }

    /// How to reach this node, which can tell where the others are.
    pub fn address(&self, i: usize) -> RedisAddress {
        // The certificate is for this name.
        let host = if self.tls { "localhost" } else { "127.0.0.1" };
        RedisAddress {
            host: RedisHost::Tcp {
                host: host.into(),
                port: self.ports[i],
                tls: self.tls,
            },
            username: None,
            password: self.password.clone(),
            ca: None,
            auth_command: None,
        }
    }

    /// The URL of this node, without the password.
    pub fn url(&self, i: usize) -> String {
        match self.tls {
            true => format!("rediss://localhost:{}", self.ports[i]),
            false => format!("redis://127.0.0.1:{}", self.ports[i]),
        }
    }

    /// This node.
    pub fn node(&self, i: usize) -> &Redis {
        &self.nodes[i]
    }

    /// The port of this node.
    pub fn port(&self, i: usize) -> u16 {
        self.ports[i]
    }

    /// Sends a command to this node and returns the answer as it is on the wire: perhaps `-MOVED`.
    #[track_caller]
    pub fn command(&self, i: usize, command: &[&str]) -> String {
        self.nodes[i].command(command)
    }

    /// The members of a set, the fields of a list, sorted; from the primary that has the key.
    #[track_caller]
    pub fn list(&self, key: &str, command: &[&str]) -> Vec<String> {
        self.nodes[self.node_of_key(key)].list(command)
    }

    /// Sends a command that must succeed.
    #[track_caller]
    fn does(&self, i: usize, command: &[&str]) {
        let answer = self.command(i, command);
        assert_eq!(answer, "+OK\r\n", "node {i}: {command:?}");
    }

    /// The slot of a key.
    pub fn slot(&self, key: &str) -> u16 {
        let running = (0..6).find(|i| !self.away.contains(i)).expect("one runs");
        let answer = self.command(running, &["CLUSTER", "KEYSLOT", key]);
        let slot = answer.trim_end().strip_prefix(':').expect("a number");
        slot.parse().unwrap()
    }

    /// The primary that has this key now. Waits while there is none, as in the middle of a
    /// failover.
    pub fn node_of_key(&self, key: &str) -> usize {
        let slot = self.slot(key);
        eventually("a node has the slot", || self.node_of_slot(slot))
    }

    /// A primary that does not have this key, and always the same one as long as nothing changes.
    pub fn next_primary(&self, key: &str) -> usize {
        let from = self.node_of_key(key);
        let others = (1..6).map(|step| (from + step) % 6);
        let mut primaries = others.filter(|i| !self.away.contains(i) && self.myself(*i).primary);
        primaries.next().expect("there are three")
    }

    /// Sends a command to every running node.
    pub fn command_all(&self, command: &[&str]) {
        for i in (0..6).filter(|i| !self.away.contains(i)) {
            self.command(i, command);
        }
    }

    fn node_of_slot(&self, slot: u16) -> Option<usize> {
        let running = (0..6).filter(|i| !self.away.contains(i));
        let claims = running.filter_map(|i| {
            let myself = self.myself(i);
            let claimed = myself.primary && myself.slots.iter().any(|some| some.contains(&slot));
            claimed.then_some((myself.epoch, i))
        });
        // One that was away may not know yet that it has been replaced.
        claims.max().map(|(_, i)| i)
    }

    /// A replica of this primary that runs, as it sees itself.
    pub fn replica_of(&self, primary: usize) -> usize {
        let id = self.id(primary);
        eventually("the primary has a replica", || {
            let mut running = (0..6).filter(|i| !self.away.contains(i));
            running.find(|i| self.myself(*i).follows == id)
        })
    }

    /// Ends it at once, as a power cut would.
    pub fn kill(&mut self, i: usize) {
        self.give_up_after(TIMEOUT);
        self.nodes[i].kill();
        self.away.insert(i);
    }

    /// Starts it again, with the data it had.
    pub fn restart(&mut self, i: usize) {
        self.nodes[i].restart();
        self.away.remove(&i);
    }

    /// Makes it hang: connections stay open, nothing is answered.
    pub fn freeze(&mut self, i: usize) {
        self.give_up_after(TIMEOUT);
        self.nodes[i].freeze();
        self.away.insert(i);
    }

    /// Ends the hanging.
    pub fn thaw(&mut self, i: usize) {
        self.nodes[i].thaw();
        self.away.remove(&i);
    }

    /// Waits until another node has the key than this one, and all that run know it; says which.
    pub fn has_failed_over(&self, key: &str, from: usize) -> usize {
        let slot = self.slot(key);
        let to = eventually("a replica takes over", || {
            self.node_of_slot(slot).filter(|to| *to != from)
        });
        self.wait_until_ready();
        to
    }

    /// The replica takes over from its primary, which lives and hands over all it has. Waits for
    /// it.
    pub fn fail_over_to(&self, replica: usize) {
        // Nobody votes on the same primary again before twice this time.
        self.give_up_after(TIMEOUT);
        self.does(replica, &["CLUSTER", "FAILOVER"]);
        eventually("the replica takes over", || {
            self.myself(replica).primary.then_some(())
        });
        if self.away.is_empty() {
            self.give_up_after(CALM_TIMEOUT);
        }
        self.wait_until_ready();
    }

    /// From now on everybody says of this node that clients reach it at an address where nothing
    /// answers, as where it is behind a firewall. The nodes themselves still do reach it.
    pub fn announce_unreachable(&self, i: usize) {
        let set = |i: usize, name: &str, value: &str| self.does(i, &["CONFIG", "SET", name, value]);
        for node in 0..6 {
            let nowhere = node == i;
            let host = if nowhere { "192.0.2.1" } else { "127.0.0.1" };
            set(node, "cluster-announce-hostname", host);
            set(node, "cluster-preferred-endpoint-type", "hostname");
        }
        eventually("everybody has heard of the address", || {
            let heard = |i| self.command(i, &["CLUSTER", "SLOTS"]).contains("192.0.2.1");
            (0..6).all(heard).then_some(())
        });
    }

    fn id(&self, i: usize) -> String {
        if self.away.contains(&i) {
            let id = self.known_ids().remove(&self.ports[i]);
            return id.expect("the others know it");
        }
        self.myself(i).id
    }

    /// By port, as a node that runs knows them.
    fn known_ids(&self) -> BTreeMap<u16, String> {
        let running = (0..6).find(|i| !self.away.contains(i)).expect("one runs");
        let view = self.command(running, &["CLUSTER", "NODES"]);
        let nodes = view.lines().filter_map(|line| {
            let (id, rest) = line.split_once(' ')?;
            let (_, port) = rest.split_once('@')?.0.rsplit_once(':')?;
            Some((port.parse().ok()?, id.to_string()))
        });
        nodes.collect()
    }

    /// What this node says of itself: `<id> <address> <flags> <primary's id> <ping> <pong> <epoch>
    /// <link> <slots>…`
    fn myself(&self, i: usize) -> Myself {
        let view = self.command(i, &["CLUSTER", "NODES"]);
        let line = view.lines().find(|line| line.contains("myself"));
        let words: Vec<_> = line.expect("it knows itself").split(' ').collect();
        // Slots that are being moved are in brackets.
        let slots = words[8..].iter().filter(|slots| !slots.starts_with('['));
        let slots = slots.map(|slots| {
            let (first, last) = slots.split_once('-').unwrap_or((slots, slots));
            first.parse().unwrap()..=last.parse().unwrap()
        });
        Myself {
            id: words[0].into(),
            primary: words[2].contains("master"),
            follows: words[3].into(),
            epoch: words[6].parse().unwrap(),
            slots: slots.collect(),
        }
    }
}
