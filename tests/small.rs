//! The smallest build, as `make small` makes it: a chat that runs alone. `NATTERJACK` names its
//! binary. Without it, the tests use the binary that Cargo built for them, except for `it_is_small`,
//! which fails.

#![cfg(not(feature = "full"))]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use tungstenite::{Message, WebSocket};

/// The largest size of the binary that `make small` makes, in bytes.
const MOST: u64 = 1_150_000;

fn binary() -> PathBuf {
    let named = std::env::var_os("NATTERJACK").map(PathBuf::from);
    named.unwrap_or_else(|| env!("CARGO_BIN_EXE_natterjack").into())
}

struct Server {
    process: Child,
    addr: String,
}

impl Server {
    fn start() -> Server {
        let mut process = Command::new(binary())
            .args(["--listen", "127.0.0.1:0"])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let log = process.stderr.as_mut().unwrap();
        BufReader::new(log).read_line(&mut line).unwrap();
        let addr = line.split_once("chatting alone on ").unwrap().1;
        let addr = addr.split(": ").next().unwrap().to_owned();
        Server { process, addr }
    }

    fn connect(&self, target: &str) -> WebSocket<TcpStream> {
        let stream = TcpStream::connect(&self.addr).unwrap();
        let address = format!("ws://{}{target}", self.addr);
        tungstenite::client(address, stream).unwrap().0
    }

    fn get(&self, target: &str) -> String {
        let mut stream = TcpStream::connect(&self.addr).unwrap();
        write!(stream, "GET {target} HTTP/1.1\r\nHost: small\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn hears(socket: &mut WebSocket<TcpStream>, text: &str) {
    assert_eq!(socket.read().unwrap(), Message::text(text));
}

#[test]
fn it_chats_in_plain_text_and_json() {
    let server = Server::start();
    let mut foo = server.connect("/chat/foo");
    hears(&mut foo, "Welcome foo!");
    let mut bar = server.connect("/chat/bar");
    hears(&mut bar, "Welcome bar!");
    hears(&mut foo, "bar: has joined the chat!");
    bar.send(Message::text("hello")).unwrap();
    hears(&mut foo, "bar: hello");
    let mut pi = server.connect("/ws");
    let said = r#"{"email":"","username":"pi","message":"3.14"}"#;
    pi.send(Message::text(said)).unwrap();
    hears(&mut foo, "pi: has joined the chat!");
    hears(&mut foo, "pi: 3.14");
    bar.close(None).unwrap();
    hears(&mut foo, "bar: has left the chat!");
    assert!(server.get("/readyz").starts_with("HTTP/1.1 200 "));
    assert!(server.get("/").starts_with("HTTP/1.1 404 "));
    let probe = Command::new(binary())
        .args(["--probe", "--listen", &server.addr])
        .output()
        .unwrap();
    assert!(probe.status.success(), "{probe:?}");
}

#[test]
fn it_says_what_it_was_built_without() {
    for (flag, value, part) in [
        ("--redis", "redis://localhost", "redis"),
        ("--metrics", "127.0.0.1:0", "metrics"),
        ("--data", "here", "journal"),
    ] {
        let refused = Command::new(binary()).args([flag, value]).output().unwrap();
        assert_eq!(refused.status.code(), Some(2));
        let line = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(
            line,
            format!("natterjack: {flag}: this build has no {part}\n")
        );
    }
}

#[test]
#[cfg_attr(not(target_arch = "x86_64"), ignore = "the limit is for x86-64")]
fn it_is_small() {
    let Some(binary) = std::env::var_os("NATTERJACK") else {
        panic!("run `make small`, then set NATTERJACK=target/small/natterjack");
    };
    let bytes = PathBuf::from(binary).metadata().unwrap().len();
    assert!(bytes <= MOST, "{bytes} bytes are more than {MOST}");
}
