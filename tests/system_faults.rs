//! Faults of the system: signals, closed files, a full disk, few files, floods, a clock that jumps. Each
//! is logged as one line at most, and the server keeps running.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use serde_json::json;

use crate::support::{Client, Program, Raw, eventually, free_port};

/// Two people can talk.
#[track_caller]
fn works(addr: SocketAddr) {
    let mut ann = Client::connect(addr, "/chat/ann");
    ann.hears("Welcome ann!");
    let mut bob = Client::connect(addr, "/chat/bob");
    bob.hears("Welcome bob!");
    ann.hears("bob: has joined the chat!");
    bob.say("hello");
    ann.hears("bob: hello");
    bob.leave();
    ann.hears("bob: has left the chat!");
    ann.leave();
}

/// Started by a shell that runs this first, on a port of its own.
fn under(shell: &str, flags: &[&str]) -> (Command, SocketAddr) {
    let port = free_port();
    let mut command = Command::new("sh");
    command
        .args(["-c", &format!(r#"{shell} exec "$0" "$@""#)])
        .args(Program::command())
        .args(["--listen", &format!("127.0.0.1:{port}")])
        .args(flags)
        .stdin(Stdio::null());
    (command, SocketAddr::from(([127, 0, 0, 1], port)))
}

#[track_caller]
fn listens(addr: SocketAddr) {
    eventually("it listens", || std::net::TcpStream::connect(addr).ok());
}

#[test]
fn sighup_does_not_end_the_server() {
    let mut program = Program::start(&[]);
    let addr = program.addr();
    program.signal("HUP");
    program.logs("info: SIGHUP: settings are read at the start only");
    program.signal("PIPE");
    works(addr);
    program.signal("TERM");
    assert!(program.wait().success());
}

#[test]
fn the_server_runs_when_nobody_reads_its_log() {
    let (mut command, addr) = under("", &["--log", "debug"]);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    command.stderr(writer);
    let _program = Program::unheard(command);
    listens(addr);
    works(addr);
}

#[test]
fn standard_streams_may_be_closed() {
    let (command, addr) = under("exec <&- >&- 2>&-;", &["--log", "debug"]);
    let _program = Program::of(command);
    listens(addr);
    works(addr);
}

#[test]
fn a_full_disk_costs_log_lines_only() {
    let (mut command, addr) = under("", &["--log", "debug"]);
    let full = File::options().write(true).open("/dev/full").unwrap();
    command.stderr(full);
    let _program = Program::unheard(command);
    listens(addr);
    works(addr);
}

#[test]
fn a_low_file_limit_means_few_peers_and_one_log_line() {
    let (command, addr) = under("ulimit -n 64;", &[]);
    let mut program = Program::of(command);
    let line = program.logs("warn: the file limit allows ");
    assert!(line.contains(" 16 peers only"), "{line}");
    listens(addr);
    works(addr);
    // Those who come and say nothing don't take all of them.
    let silent: Vec<_> = (0..64).map(|_| Raw::connect(addr)).collect();
    works(addr);
    assert!(program.log().iter().all(|line| !line.contains("accept")));
    drop(silent);
    let mut peers = Vec::new();
    while let Ok(peer) = Client::request(addr, &format!("/chat/{}", peers.len()), |_| {}) {
        peers.push(peer);
    }
    assert_eq!(peers.len(), 16);
    assert_eq!(Raw::get(addr, "/readyz").0, 200);
}

#[test]
fn a_clock_that_jumps_changes_nothing_but_the_time_of_day() {
    let folder = tempfile::tempdir().unwrap();
    let clock = folder.path().join("clock");
    let jump = |to: &str| fs::write(&clock, to).unwrap();
    jump("+0");
    let preload = format!(
        "export LD_PRELOAD=$(echo /usr/lib/*/faketime/libfaketime.so.1) FAKETIME_NO_CACHE=1 \
         FAKETIME_DONT_FAKE_MONOTONIC=1 FAKETIME_TIMESTAMP_FILE={};",
        clock.display()
    );
    let (command, addr) = under(&preload, &["--ping", "1"]);
    let _program = Program::of(command);
    listens(addr);
    let mut eve = Client::connect(addr, "/ws?user=eve&room=attic");
    eve.gets_at_last(json!({"type": "joined"}));
    let mut last = (0, 0);
    for (place, to) in ["+0", "-20y", "+20y", "+0"].into_iter().enumerate() {
        jump(to);
        eve.put(json!({"type": "chat", "room": "attic", "text": to}));
        let heard = eve.gets(json!({"type": "chat", "text": to}));
        let (epoch, n) = heard["id"].as_str().unwrap().split_once('-').unwrap();
        let id: (u64, u64) = (epoch.parse().unwrap(), n.parse().unwrap());
        assert!(id.1 == place as u64 + 1 && id > last, "{heard}");
        last = id;
        let year = 1970 + heard["ts"].as_u64().unwrap() / (1000 * 86_400 * 365);
        let jumped = [0, -20, 20, 0][place];
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let expected = 1970 + now.as_secs() / (86_400 * 365);
        assert!(
            year.abs_diff(expected.saturating_add_signed(jumped)) <= 1,
            "{heard}"
        );
        // Nobody is taken for silent, or forgotten.
        works(addr);
        eve.is_taken();
    }
    let mut pi = Client::connect(addr, "/ws?user=pi");
    pi.put(json!({"type": "join", "room": "attic", "since": "0-0"}));
    pi.gets_at_last(json!({"type": "joined", "complete": true}));
    for to in ["+0", "-20y", "+20y", "+0"] {
        pi.gets(json!({"type": "chat", "text": to}));
    }
}

#[test]
fn a_flood_of_refused_connections_logs_one_line_a_second() {
    let mut program = Program::start(&[]);
    let addr = program.addr();
    let began = Instant::now();
    for _ in 0..300 {
        assert_eq!(
            Raw::request(addr, b"SSH-2.0-\x1b[31mOpenSSH_9.2\r\n\r\n").0,
            400
        );
    }
    // Each is counted in one of the lines.
    let (mut lines, mut counted) = (0, 0);
    while counted < 300 {
        let line = program.logs("127.0.0.1 was turned away: 400 bad request");
        assert!(!line.contains('\x1b'), "{line:?}");
        lines += 1;
        let more = line.split_once(", and ").map_or("0", |(_, more)| more);
        let more = more.split(' ').next().unwrap();
        counted += 1 + more.parse::<usize>().unwrap();
    }
    assert_eq!(counted, 300);
    let seconds = began.elapsed().as_secs();
    assert!(lines <= seconds + 2, "{lines} lines in {seconds} s");
}
