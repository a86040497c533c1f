//! Moves slots, and the keys in them, from one primary to another.

use super::Nodes;
use crate::support::eventually;

impl Nodes {
    /// Moves the slot of this key, and the keys in it, to another primary.
    pub fn move_slot_of_key(&self, key: &str, to: usize) {
        let from = self.begin_move(key, to);
        self.move_keys(key, from, to);
        self.finish_move(key, from, to);
    }

    /// Begins to move the slot of this key; says from where. Until the keys have been moved, the
    /// one node answers for those that it still has and sends everybody else on with `-ASK`.
    pub fn begin_move(&self, key: &str, to: usize) -> usize {
        let (from, slot) = (self.node_of_key(key), self.slot(key).to_string());
        assert_ne!(from, to, "the slot is there already");
        let (source, target) = (self.id(from), self.id(to));
        self.does(to, &["CLUSTER", "SETSLOT", &slot, "IMPORTING", &source]);
        self.does(from, &["CLUSTER", "SETSLOT", &slot, "MIGRATING", &target]);
        from
    }

    /// Moves the keys of the slot of this key, all that there are now.
    pub fn move_keys(&self, key: &str, from: usize, to: usize) {
        let slot = self.slot(key).to_string();
        loop {
            let keys = self.nodes[from].list(&["CLUSTER", "GETKEYSINSLOT", &slot, "100"]);
            if keys.is_empty() {
                return;
            }
            let keys: Vec<_> = keys.iter().map(String::as_str).collect();
            self.move_these(&keys, from, to);
        }
    }

    /// Moves these keys only: a command on some that have been moved and some that have not is
    /// answered with `-TRYAGAIN`.
    pub fn move_these(&self, keys: &[&str], from: usize, to: usize) {
        let port = self.ports[to].to_string();
        let mut migrate = vec!["MIGRATE", "127.0.0.1", &port, "", "0", "5000"];
        if let Some(password) = &self.password {
            migrate.extend(["AUTH", password]);
        }
        migrate.push("KEYS");
        migrate.extend(keys);
        // A node that is busy may take the cluster for down, for a moment.
        eventually("the keys are moved", || {
            let answer = self.command(from, &migrate);
            (answer == "+OK\r\n" || answer.starts_with("+NOKEY")).then_some(())
        });
    }

    /// Tells everybody that the slot of this key has moved: the node that has it now first, so that
    /// the slot is never nobody's.
    pub fn finish_move(&self, key: &str, from: usize, to: usize) {
        let (slot, target) = (self.slot(key).to_string(), self.id(to));
        let others = (0..6).filter(|i| ![from, to].contains(i) && !self.away.contains(i));
        for i in [to, from].into_iter().chain(others) {
            let told = self.command(i, &["CLUSTER", "SETSLOT", &slot, "NODE", &target]);
            // A replica learns it from its primary. Who is one may change at any time.
            let is_replica = told.contains("only with masters");
            assert!(told == "+OK\r\n" || is_replica, "node {i}: {told}");
        }
        let slot: u16 = slot.parse().unwrap();
        eventually("the slot has moved", || {
            (self.node_of_slot(slot) == Some(to)).then_some(())
        });
    }
}
