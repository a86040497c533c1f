//! What else may happen to a program: signals, closed files, a full disk, few files, floods, a clock
//! that jumps. Each is one line at most, and nothing falls over.

use std::fs::File;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::Instant;

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
fn a_hangup_is_survived() {
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
fn nobody_has_to_read_what_it_logs() {
    let (mut command, addr) = under("", &["--log", "debug"]);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    command.stderr(writer);
    let _program = Program::unheard(command);
    listens(addr);
    works(addr);
}

#[test]
fn files_may_be_closed() {
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
fn few_files_mean_few_peers_and_one_line() {
    let (command, addr) = under("ulimit -n 100;", &[]);
    let mut program = Program::of(command);
    let line = program.logs("warn: the file limit allows ");
    assert!(line.contains(" 11 peers only"), "{line}");
    listens(addr);
    works(addr);
    let mut peers = Vec::new();
    while let Ok(peer) = Client::request(addr, &format!("/chat/{}", peers.len()), |_| {}) {
        peers.push(peer);
    }
    assert_eq!(peers.len(), 11);
    assert_eq!(Raw::get(addr, "/readyz").0, 200);
}

#[test]
fn a_flood_at_the_door_is_a_line_a_second() {
    let mut program = Program::start(&[]);
    let addr = program.addr();
    let began = Instant::now();
    for _ in 0..300 {
        assert_eq!(
            Raw::ask(addr, b"SSH-2.0-\x1b[31mOpenSSH_9.2\r\n\r\n").0,
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
