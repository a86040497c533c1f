//! A network of the kernel's that a test has to itself, where it may be changed.

use std::env;
use std::io;
use std::process::{Command, Output};

/// Tells the test that it is in a network of its own.
const OWN_NETWORK: &str = "NATTERJACK_OWN_NETWORK";

/// Changes the network.
pub fn ip(words: &str) {
    let done = Command::new("ip").args(words.split(' ')).status();
    assert!(done.unwrap().success(), "ip {words}");
}

/// Runs a test in a network that nothing else is in, and that is gone with its last process. `this` is the
/// name of the calling test, which is started once more there.
pub fn in_own_network(this: &str, test: impl FnOnce()) {
    if env::var_os(OWN_NETWORK).is_some() {
        return test();
    }
    let ways: [&[&str]; 2] = [&["--net"], &["--map-root-user", "--net"]];
    let try_it = "ip link add one type veth peer name two && unshare --net true";
    let allowed = |way: &&[&str]| {
        let tried = start(way, &["sh", "-c", try_it]);
        tried.is_ok_and(|tried| tried.status.success())
    };
    let Some(way) = ways.into_iter().find(allowed) else {
        return println!("skipped: no network of one's own is allowed here");
    };
    let tests = env::current_exe().unwrap();
    let program = [tests.to_str().unwrap(), "--exact", this, "--nocapture"];
    let done = start(way, &program).unwrap();
    let said = [done.stdout, done.stderr].map(|said| String::from_utf8_lossy(&said).into_owned());
    assert!(done.status.success(), "{}", said.concat());
}

fn start(way: &[&str], program: &[&str]) -> io::Result<Output> {
    let mut command = Command::new("unshare");
    command.args(way).args(program).env(OWN_NETWORK, "1");
    command.output()
}
