//! Many abusive clients: the resources they can take are bounded, and others chat on.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};

use rustix::net::sockopt::set_socket_linger;
use serde_json::json;

use crate::support::{Client, Program, TestServer, eventually, free_port, upgrade};

/// The kernel gives the server so little memory, in KiB, that a fraction of what these ask for would
/// be its end.
const MEMORY: &str = "24576";
/// How many there are.
const DEAF: usize = 50;

#[test]
fn large_requests_from_peers_that_never_read_do_not_fill_the_memory() {
    let port = free_port();
    let mut command = Command::new("sh");
    command
        .args(["-c", &format!(r#"ulimit -d {MEMORY}; exec "$0" "$@""#)])
        .args(Program::command())
        .args(["--listen", &format!("127.0.0.1:{port}"), "--rate", "0"])
        .stdin(Stdio::null());
    let mut program = Program::of(command);
    program.logs("there is little memory: no more than 6 MiB may wait for slow readers");
    let addr = program.addr();
    let typed = |user: &str| {
        let mut client = Client::connect(addr, &format!("/ws?user={user}&room=lobby"));
        client.gets(json!({"type": "welcome"}));
        client
    };
    let mut ann = typed("ann");
    for n in 0..100 {
        let text = format!("{n} {}", "x".repeat(2400));
        ann.put(json!({"type": "chat", "room": "lobby", "text": text, "ref": n.to_string()}));
        ann.gets_at_last(json!({"type": "ack"}));
    }
    // Each of them asks for six megabytes, 64 KiB at a time; the kernel keeps some of it. One may be
    // closed before it has asked for all.
    let history = json!({"type": "history", "room": "lobby", "limit": 100}).to_string();
    let deaf = (0..DEAF).map(|n| {
        let mut client = typed(&format!("deaf{n}"));
        client.keeps_little();
        client.flood(100, &history);
        client
    });
    let deaf: Vec<_> = deaf.collect();
    let mut bob = typed("bob");
    ann.gets_at_last(json!({"type": "presence", "userId": "bob", "status": "online"}));
    ann.put(json!({"type": "chat", "room": "lobby", "text": "still here"}));
    bob.gets_at_last(json!({"type": "chat", "text": "still here"}));
    drop(deaf);
    eventually("they are gone", || {
        bob.put(json!({"type": "who", "room": "lobby"}));
        let who = bob.gets_at_last(json!({"type": "who"}));
        (who["users"] == json!(["ann", "bob"])).then_some(())
    });
}

#[test]
fn a_thousand_aborted_connections_disturb_nobody() {
    let server = TestServer::start();
    let mut foo = server.join("foo");
    let mut bar = server.join("bar");
    foo.hears("bar: has joined the chat!");
    for n in 0..1000 {
        connect_and_abort(server.addr(), n);
        if n % 100 == 0 {
            foo.say("who is it?");
            bar.hears_at_last("foo: who is it?");
        }
    }
    // None of them had begun to chat, or each of them has left.
    eventually("nobody is left behind", || {
        bar.say("/who");
        let who = loop {
            if let Some(who) = bar.next().strip_prefix("in lobby: ") {
                break who.to_string();
            }
        };
        (who == "bar, foo").then_some(())
    });
}

/// Sends a head or some of it, perhaps a frame, and resets the connection.
fn connect_and_abort(addr: SocketAddr, n: usize) {
    let mut stream = TcpStream::connect(addr).unwrap();
    set_socket_linger(&stream, Some(std::time::Duration::ZERO)).unwrap();
    let request = [upgrade(&format!("run{n}")).as_bytes(), b"\x81\x85aaaahello"].concat();
    let length = [
        0,
        1,
        40,
        request.len() - 11,
        request.len() - 3,
        request.len(),
    ][n % 6];
    let _ = stream.write_all(&request[..length]);
}
