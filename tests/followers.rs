//! Followers by plain HTTP: limits, pings and a stop; `curl` and a browser.

use std::process::{Child, Command, Stdio};

use rustix::net::sockopt::set_socket_recv_buffer_size;
use serde_json::json;

use crate::support::{
    Follower, Page, Raw, Redis, TestServer, eventually, free_port, in_own_network, ip,
};

const STREAM: &str = "Accept: text/event-stream\r\n";

/// Follows the attic.
#[track_caller]
fn follow(server: &TestServer) -> Follower {
    let mut follower = Follower::open(server.addr(), "/rooms/attic", "");
    follower.hears("joined");
    follower
}

/// From here on its system keeps little of what it has not read yet.
fn keeps_little(follower: &Follower) {
    set_socket_recv_buffer_size(follower.stream(), 64 * 1024).unwrap();
}

#[test]
fn followers_count_as_peers() {
    let server = TestServer::with(|config| config.max_peers = 2);
    let first = follow(&server);
    let mut ann = server.join("ann");
    for headers in ["", STREAM] {
        let request = format!("GET /rooms/attic HTTP/1.1\r\nHost: x\r\n{headers}\r\n");
        let mut raw = Raw::connect(server.addr());
        raw.send(request.as_bytes());
        let answer = String::from_utf8(raw.rest()).unwrap();
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
        assert!(answer.contains("\r\nRetry-After: "), "{answer}");
    }
    // It has no name, so nobody is told that it has gone; its place is free.
    drop(first);
    eventually("its place is free", || {
        (Raw::get(server.addr(), "/rooms/attic").0 == 200).then_some(())
    });
    ann.say("/who");
    ann.hears("in lobby: ann");
    let server = TestServer::with(|config| config.max_peers_per_ip = Some(1));
    let _only = follow(&server);
    let request = format!("GET /rooms/attic HTTP/1.1\r\nHost: x\r\n{STREAM}\r\n");
    assert_eq!(Raw::request(server.addr(), request.as_bytes()).0, 429);
}

#[test]
fn a_follower_sees_a_comment_while_nothing_is_said() {
    let server = TestServer::with(|config| config.ping = 1);
    let mut follower = follow(&server);
    for _ in 0..2 {
        assert_eq!(follower.lines(), [":"]);
    }
    server.join_room("ann", "attic");
    assert_eq!(follower.hears("presence").data["status"], "online");
}

#[test]
fn a_follower_behind_a_dead_network_is_closed() {
    in_own_network(
        "followers::a_follower_behind_a_dead_network_is_closed",
        || {
            ip("link set lo up");
            ip("address add 10.99.3.1/32 dev lo");
            let server = TestServer::with(|config| {
                config.listen = vec![([0, 0, 0, 0], 0).into()];
                (config.max_peers, config.ping) = (1, 1);
            });
            let port = server.addr().port();
            let far = ([10, 99, 3, 1], port).into();
            let mut follower = Follower::open(far, "/rooms/attic", "");
            follower.hears("joined");
            // What it is sent is lost from here on. It never sends anything itself.
            ip("address del 10.99.3.1/32 dev lo");
            eventually("its place is free", || {
                let near = ([127, 0, 0, 1], port).into();
                (Raw::get(near, "/rooms/attic").0 == 200).then_some(())
            });
        },
    );
}

#[test]
fn a_follower_that_stops_reading_is_closed_and_delays_nobody() {
    let server = TestServer::with(|config| (config.rate, config.outbox) = (0, 128 * 1024));
    let mut ann = server.typed_in("ann", "attic");
    let mut slow = follow(&server);
    keeps_little(&slow);
    let mut reader = follow(&server);
    let text = "x".repeat(4000);
    let one = json!({"type": "chat", "room": "attic", "text": text});
    // More than the kernel keeps for it.
    for _ in 0..2000 {
        ann.put(one.clone());
        ann.gets(json!({"type": "chat"}));
        reader.hears_texts(&[&text]);
    }
    slow.is_closed("too slow, try again later");
    ann.put(json!({"type": "chat", "room": "attic", "text": "end"}));
    reader.hears_texts(&["end"]);
}

#[test]
fn a_stop_ends_streams_between_two_events_and_says_when_to_come_back() {
    let redis = Redis::start();
    for mut server in [TestServer::start(), TestServer::on(&redis)] {
        let mut idle = follow(&server);
        // This one is stopped within an event: it has not read what waits for it.
        let mut behind = follow(&server);
        keeps_little(&behind);
        let mut ann = server.typed_in("ann", "attic");
        let text = "x".repeat(4000);
        for _ in 0..50 {
            ann.put(json!({"type": "chat", "room": "attic", "text": text}));
            ann.gets(json!({"type": "chat"}));
        }
        server.begin_to_stop();
        ann.is_closed(1001);
        behind.hears("presence");
        behind.hears_texts(&[&*text; 50]);
        behind.is_closed("the server shuts down");
        idle.is_closed("the server shuts down");
        server.stop();
    }
}

#[test]
fn a_thousand_followers_hear_everything() {
    let server = TestServer::start();
    let mut ann = server.typed_in("ann", "attic");
    let mut followers: Vec<Follower> = (0..1000).map(|_| follow(&server)).collect();
    for text in ["1", "2", "3"] {
        ann.put(json!({"type": "chat", "room": "attic", "text": text}));
        ann.gets(json!({"type": "chat"}));
    }
    let first = followers[0].hears_texts(&["1", "2", "3"]);
    for follower in &mut followers[1..] {
        assert_eq!(follower.hears_texts(&["1", "2", "3"]), first);
    }
}

/// `curl` with these arguments; it ends when this is dropped.
struct Curl(Child);

impl Curl {
    fn start(args: &[&str]) -> Curl {
        let mut curl = Command::new("curl");
        curl.args(args).stdout(Stdio::piped());
        Curl(curl.spawn().expect("curl is installed: make tools"))
    }
}

impl Drop for Curl {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_lines_of_the_readme_run_as_written() {
    let server = TestServer::start();
    let readme = include_str!("../README.md");
    let lines = readme
        .lines()
        .map(str::trim)
        .filter(|line| line.starts_with("curl "));
    let lines: Vec<&str> = lines.filter(|line| line.contains("/rooms/")).collect();
    let here = |line: &str| line.replace("localhost:8080", &server.addr().to_string());
    let [read, follow] = lines[..] else {
        panic!("{lines:?}");
    };
    let mut ann = server.typed_in("ann", "lobby");
    ann.put(json!({"type": "chat", "room": "lobby", "text": "hello"}));
    ann.gets(json!({"type": "chat"}));
    let shell = |line: &str| {
        let mut shell = Command::new("sh");
        // In place of the shell, so that it ends with it.
        shell.args(["-c", &format!("exec {line}")]);
        shell.stdout(Stdio::piped());
        shell
    };
    // Without jq, which shows no more than is asserted here.
    let (curl, jq) = read.split_once(" | ").unwrap();
    assert_eq!(jq, r#"jq -r '.messages[] | .userId + ": " + .text'"#);
    let read = shell(&here(curl)).output().unwrap();
    let read: serde_json::Value = serde_json::from_slice(&read.stdout).unwrap();
    assert_eq!(read["messages"][0]["userId"], "ann");
    assert_eq!(read["messages"][0]["text"], "hello");
    let mut curl = Curl(shell(&here(follow)).spawn().unwrap());
    let mut heard = Follower::body(curl.0.stdout.take().unwrap());
    heard.hears("joined");
    ann.put(json!({"type": "chat", "room": "lobby", "text": "again"}));
    heard.hears_texts(&["again"]);
}

#[test]
fn curl_follows_by_http_1_0_and_ends_with_the_server() {
    let mut server = TestServer::start();
    let url = format!("http://{}/rooms/attic", server.addr());
    let mut curl = Curl::start(&["-sN0", "-H", "Accept: text/event-stream", &url]);
    let mut heard = Follower::body(curl.0.stdout.take().unwrap());
    heard.hears("joined");
    server.begin_to_stop();
    heard.is_closed("the server shuts down");
    assert!(curl.0.wait().unwrap().success());
}

#[test]
fn a_browser_that_follows_comes_back_after_a_restart_without_loss() {
    let redis = Redis::start();
    let port = free_port();
    let serve = || {
        TestServer::on_with(redis.address(), |config| {
            config.listen = vec![([127, 0, 0, 1], port).into()];
        })
    };
    let server = serve();
    let page = Page::open_at(server.addr(), "/healthz");
    page.value(
        "(globalThis.heard = [], globalThis.joined = 0, \
          globalThis.source = new EventSource('/rooms/attic'), \
          source.addEventListener('joined', () => { joined += 1; }), \
          source.addEventListener('chat', (e) => heard.push(JSON.parse(e.data).text)), 0)",
    );
    page.until("joined === 1");
    let say = |server: &TestServer, text: &str| {
        let mut ann = server.typed_in("ann", "attic");
        ann.put(json!({"type": "chat", "room": "attic", "text": text}));
        ann.gets(json!({"type": "chat", "text": text}));
        ann.leave();
    };
    say(&server, "1");
    page.until("heard.length === 1");
    // It misses this one: another instance is still there.
    let other = TestServer::on(&redis);
    server.stop();
    say(&other, "2");
    let server = serve();
    page.until("joined === 2");
    say(&server, "3");
    page.until("heard.length === 3");
    assert_eq!(page.value("heard.join()"), json!("1,2,3"));
}
