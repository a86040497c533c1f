//! A Redis that refuses commands.

use std::fs;
use std::io::Write;
use std::os::unix::net::UnixStream;

use super::Redis;
use crate::support::eventually;

impl Redis {
    /// Can't save its data, and refuses every write with `-MISCONF`.
    pub fn fail_to_save(&self) {
        let _ = fs::remove_file(self.dump());
        // A folder with something in it can't be replaced by a file.
        fs::create_dir_all(self.dump().join("full")).unwrap();
        self.command(&["CONFIG", "SET", "save", "3600 1"]);
        self.command(&["BGSAVE"]);
        eventually("saving fails", || {
            let info = self.command(&["INFO", "persistence"]);
            info.contains("rdb_last_bgsave_status:err").then_some(())
        });
    }

    /// Does not try any more, and writes again.
    pub fn save_again(&self) {
        self.command(&["CONFIG", "SET", "save", ""]);
        fs::remove_dir_all(self.dump()).unwrap();
        assert_eq!(self.command(&["SAVE"]), "+OK\r\n");
    }

    /// Runs a script without an end, and answers everybody else with `-BUSY`.
    pub fn run_endless_script(&self) {
        self.command(&["CONFIG", "SET", "lua-time-limit", "50"]);
        let mut stream = UnixStream::connect(self.socket()).unwrap();
        stream.write_all(b"EVAL 'while true do end' 0\r\n").unwrap();
        eventually("the script runs", || {
            let answer = self.command(&["PING"]);
            answer.starts_with("-BUSY").then_some(())
        });
    }

    /// Ends the script.
    pub fn end_script(&self) {
        eventually("the script ends", || {
            self.command(&["SCRIPT", "KILL"]);
            (self.command(&["PING"]) == "+PONG\r\n").then_some(())
        });
    }
}

#[test]
fn a_redis_refuses_for_a_while() {
    let redis = Redis::start();
    let set = || redis.command(&["SET", "key", "value"]);
    redis.fail_to_save();
    assert!(set().starts_with("-MISCONF"));
    redis.save_again();
    assert_eq!(set(), "+OK\r\n");
    redis.run_endless_script();
    assert!(set().starts_with("-BUSY"));
    redis.end_script();
    assert_eq!(set(), "+OK\r\n");
}
