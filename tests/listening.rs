//! Where the server listens: on IPv6 and IPv4, on as many addresses as are given, on as many sockets
//! as systemd hands over.

use std::net::{Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::{Command, Stdio};

use crate::support::{Client, Manager, Program, Raw, free_port};

/// Starts it with nothing but these flags and variables.
fn program(flags: &[&str], env: &[(&str, &str)]) -> Program {
    let mut command = Command::new("sh");
    command
        .args(["-c", r#"exec "$0" "$@""#])
        .args(Program::command())
        .args(flags)
        .env_clear()
        .envs(env.iter().copied())
        .stdin(Stdio::null());
    Program::of(command)
}

#[track_caller]
fn serves(addr: SocketAddr) {
    assert_eq!(Raw::get(addr, "/healthz").0, 200, "{addr}");
}

fn loopbacks(port: u16) -> [SocketAddr; 2] {
    [
        ([127, 0, 0, 1], port).into(),
        (Ipv6Addr::LOCALHOST, port).into(),
    ]
}

#[test]
fn an_address_that_is_a_port_alone_is_ipv6_and_ipv4() {
    let port = free_port();
    let flag = format!(":{port}");
    for (flags, env) in [
        (&["--listen", flag.as_str()][..], ["LANG", "C"]),
        (&[], ["PORT", &flag[1..]]),
    ] {
        let mut program = program(flags, &[(env[0], env[1])]);
        let line = program.logs("chatting alone on ");
        let says = format!("on [::]:{port}: open http://localhost:{port}/");
        assert!(line.ends_with(&says), "{line}");
        loopbacks(port).into_iter().for_each(serves);
    }
}

#[test]
fn ipv4_clients_keep_their_addresses_on_an_ipv6_socket() {
    let mut program = program(&["--listen", "[::]:0", "--max-peers-per-ip", "1"], &[]);
    let port = program.addr().port();
    let [ipv4, ipv6] = loopbacks(port);
    // Each is counted as one of its own.
    let (mut ann, mut bob) = (
        Client::connect(ipv4, "/chat/ann"),
        Client::connect(ipv6, "/chat/bob"),
    );
    ann.hears("Welcome ann!");
    bob.hears("Welcome bob!");
    assert_eq!(Client::request(ipv4, "/chat/eve", |_| {}).err(), Some(429));
    let line = program.logs("was turned away: 429");
    assert!(line.contains("info: 127.0.0.1 was"), "{line}");
}

#[test]
fn the_server_listens_on_every_given_address() {
    let flags = ["--listen", "127.0.0.1:0", "--listen", "[::1]:0"];
    let list = [("NATTERJACK_LISTEN", "127.0.0.1:0, [::1]:0")];
    for mut program in [program(&flags, &[]), program(&[], &list)] {
        let (first, second) = (program.addr(), program.addr());
        assert!(first.is_ipv4() && second.is_ipv6());
        let mut ann = Client::connect(first, "/chat/ann");
        ann.hears("Welcome ann!");
        let mut bob = Client::connect(second, "/chat/bob");
        bob.hears("Welcome bob!");
        ann.hears("bob: has joined the chat!");
        program.signal("TERM");
        assert!(program.wait().success());
        assert!(TcpStream::connect(first).is_err() && TcpStream::connect(second).is_err());
    }
}

#[test]
fn ipv4_may_have_addresses_of_its_own_at_the_same_port() {
    let port = free_port();
    let (ipv6, ipv4) = (format!("[::]:{port}"), format!("127.0.0.1:{port}"));
    let mut program = program(&["--listen", &ipv6, "--listen", &ipv4], &[]);
    program.logs(&format!("on {ipv4}: open"));
    loopbacks(port).into_iter().for_each(serves);
}

#[test]
fn an_address_that_can_not_be_bound_is_one_line() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let flags = [
        "--listen",
        "127.0.0.1:0",
        "--listen",
        &taken,
        "--log",
        "error",
    ];
    let output = Program::run(&flags, &[]);
    let line = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        (output.status.code(), line.lines().count()),
        (Some(1), 1),
        "{line}"
    );
    assert!(
        line.contains(&format!("can't listen on {taken}: ")),
        "{line}"
    );
}

#[test]
fn addresses_in_the_log_work_in_a_browser() {
    let flags = ["--listen", "[::1]:0", "--metrics", ":0"];
    let mut program = program(&flags, &[]);
    let line = program.logs("chatting alone on [::1]:");
    let (_, url) = line.split_once(": open ").unwrap();
    assert!(url.starts_with("http://[::1]:"), "{line}");
    let line = program.logs("metrics are at ");
    assert!(line.contains(" http://localhost:"), "{line}");
}

#[test]
fn every_socket_from_systemd_is_served() {
    let second = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = second.local_addr().unwrap();
    let manager = Manager::with_second(second.into());
    let mut natterjack = manager.start(&[], &[]);
    manager.receives("READY=1");
    natterjack.logs(&format!("on {}: open", manager.addr()));
    natterjack.logs(&format!("on {addr}: open"));
    let mut ann = Client::connect(manager.addr(), "/chat/ann");
    ann.hears("Welcome ann!");
    let mut bob = Client::connect(addr, "/chat/bob");
    bob.hears("Welcome bob!");
    ann.hears("bob: has joined the chat!");
}

#[test]
fn an_unusable_socket_from_systemd_is_one_line() {
    let datagrams = UdpSocket::bind("127.0.0.1:0").unwrap();
    // As systemd hands it over with Accept=yes.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let connection = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    for second in [datagrams.into(), connection.into()] {
        let manager = Manager::with_second(second);
        let names = [("LISTEN_FDNAMES", "natterjack.socket:other.socket")];
        let mut natterjack = manager.start(&["--log", "error"], &names);
        natterjack.logs("socket 2 of the service manager (other.socket) is no TCP port");
        assert_eq!(natterjack.wait().code(), Some(1));
        assert_eq!(natterjack.log().len(), 1, "{:#?}", natterjack.log());
    }
}

#[test]
fn the_check_names_every_address() {
    let (one, two) = (free_port(), free_port());
    let (one, two) = (format!("127.0.0.1:{one}"), format!("[::]:{two}"));
    let output = Program::run(&["--check", "--listen", &one, "--listen", &two], &[]);
    let said = String::from_utf8(output.stdout).unwrap();
    for addr in [&one, &two] {
        let line = format!("ok    listen {addr}: free\n");
        assert!(said.contains(&line), "{line:?} is not in:\n{said}");
    }
    let output = Program::run(&["--check", "--listen", &one, "--listen", &one], &[]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(
        said.contains(&format!("FAIL  listen {one}: Address already in use")),
        "{said}"
    );
}

#[test]
fn the_check_names_every_socket_from_systemd() {
    let second = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = second.local_addr().unwrap();
    let manager = Manager::with_second(second.into());
    let mut natterjack = manager.start_shown(&["--check"], &[]);
    for addr in [manager.addr(), addr] {
        natterjack.logs(&format!(
            "ok    listen {addr}: a socket of the service manager"
        ));
    }
}
