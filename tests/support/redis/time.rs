//! A Redis that goes back in time: it loses its last data, or a replica that lags behind takes its
//! place.

use std::fs;
use std::process::Command;
use std::sync::OnceLock;

use super::super::eventually;
use super::{Redis, program};

/// All data of one moment.
pub struct Saved(Vec<u8>);

/// Whether it is so old that it has no channels of slots, and that the nodes of a cluster have no names.
pub fn is_before_7() -> bool {
    static OLD: OnceLock<bool> = OnceLock::new();
    *OLD.get_or_init(|| {
        let output = Command::new(program()).arg("--version").output();
        let version = String::from_utf8(output.unwrap().stdout).unwrap();
        version.contains(" v=6")
    })
}

/// What must be set so that it can go back.
pub(super) fn options() -> &'static [&'static str] {
    // Before 7, Redis knows no such setting, and allows it always.
    match is_before_7() {
        true => &[],
        false => &["--enable-debug-command", "local"],
    }
}

impl Redis {
    /// A copy of the data as they are now.
    pub fn save(&self) -> Saved {
        assert_eq!(self.command(&["SAVE"]), "+OK\r\n");
        Saved(fs::read(self.dump()).unwrap())
    }

    /// Ends as in a power cut, if it runs, and starts with the data of then. What has been written since is
    /// lost.
    pub fn go_back_to(&mut self, saved: &Saved) {
        if self.child.is_some() {
            self.kill();
        }
        fs::write(self.dump(), &saved.0).unwrap();
        // Who has a log reads nothing else.
        self.run("no");
        assert_eq!(
            self.command(&["CONFIG", "SET", "appendonly", "yes"]),
            "+OK\r\n"
        );
        self.wait_until_logged();
    }

    /// Has the data of then again, in the middle of its work: no connection ends.
    pub fn reload(&self, saved: &Saved) {
        fs::write(self.dump(), &saved.0).unwrap();
        assert_eq!(self.command(&["DEBUG", "RELOAD", "NOSAVE"]), "+OK\r\n");
        // A restart must not bring back what is lost.
        let answer = self.command(&["BGREWRITEAOF"]);
        assert!(answer.starts_with('+'), "{answer}");
        self.wait_until_logged();
    }

    /// The same, and is another node from then on: a proxy in front of it leads to a replica, and does not
    /// end the connections.
    pub fn become_another(&self, saved: &Saved) {
        fs::write(self.dump(), &saved.0).unwrap();
        let answers = self.try_all(&[
            &["MULTI"],
            &["DEBUG", "RELOAD", "NOSAVE"],
            &["DEBUG", "CHANGE-REPL-ID"],
            &["EXEC"],
            &["BGREWRITEAOF"],
        ]);
        let answers = answers.expect("redis-server answers");
        assert!(answers.contains("*2\r\n+OK\r\n+OK\r\n+"), "{answers}");
        self.wait_until_logged();
    }

    /// Becomes a replica of this one, and has all that it has.
    pub fn follow(&self, primary: &Redis) {
        // Or else it waits five seconds for more replicas.
        primary.command(&["CONFIG", "SET", "repl-diskless-sync-delay", "0"]);
        let port = primary.port().to_string();
        assert_eq!(self.command(&["REPLICAOF", "127.0.0.1", &port]), "+OK\r\n");
        eventually("the replica has all that the primary has", || {
            let info = |redis: &Redis| redis.command(&["INFO", "replication"]);
            let (mine, theirs) = (info(self), info(primary));
            let offset = |info: &str| {
                let line = info
                    .lines()
                    .find(|line| line.starts_with("master_repl_offset:"));
                line.map(ToString::to_string)
            };
            let up = mine.contains("master_link_status:up");
            (up && offset(&mine) == offset(&theirs)).then_some(())
        });
        self.wait_until_logged();
    }

    /// Follows nobody any more: it has the data of this moment, and can be written to.
    pub fn lead(&self) {
        assert_eq!(self.command(&["REPLICAOF", "NO", "ONE"]), "+OK\r\n");
    }

    pub(super) fn dump(&self) -> std::path::PathBuf {
        self.folder.path().join("dump.rdb")
    }

    /// The log of what is written reaches back to the beginning.
    fn wait_until_logged(&self) {
        eventually("the log is rewritten", || {
            let info = self.command(&["INFO", "persistence"]);
            let all = [
                "aof_enabled:1",
                "aof_rewrite_in_progress:0",
                "aof_rewrite_scheduled:0",
                "aof_last_bgrewrite_status:ok",
            ];
            all.iter().all(|line| info.contains(line)).then_some(())
        });
    }
}

#[test]
fn data_go_back_with_a_restart_and_without() {
    let mut redis = Redis::start();
    let set = |redis: &Redis, value| drop(redis.command(&["SET", "key", value]));
    let get = |redis: &Redis| redis.command(&["GET", "key"]);
    set(&redis, "old");
    let saved = redis.save();
    set(&redis, "new");
    redis.reload(&saved);
    assert_eq!(get(&redis), "$3\r\nold\r\n");
    redis.kill();
    redis.restart();
    assert_eq!(get(&redis), "$3\r\nold\r\n");
    set(&redis, "newer");
    redis.go_back_to(&saved);
    assert_eq!(get(&redis), "$3\r\nold\r\n");
    set(&redis, "newest");
    redis.kill();
    redis.restart();
    assert_eq!(get(&redis), "$6\r\nnewest\r\n");
}

#[test]
fn a_replica_that_leads_has_the_data_of_that_moment() {
    let (primary, replica) = (Redis::on_tcp(), Redis::on_tcp());
    primary.command(&["SET", "key", "old"]);
    replica.follow(&primary);
    replica.lead();
    primary.command(&["SET", "key", "new"]);
    assert_eq!(replica.command(&["GET", "key"]), "$3\r\nold\r\n");
    assert_eq!(replica.command(&["SET", "key", "other"]), "+OK\r\n");
}
