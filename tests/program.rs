//! The program as a process that serves people, on any architecture: `make arm64-test` and its
//! siblings run this and `cli` with the binaries they have built.

use serde_json::json;

use crate::support::{Certs, Client, Program, Raw, Redis, eventually};

#[test]
fn it_runs_alone_and_serves_the_page() {
    let mut program = Program::start(&[]);
    let addr = program.addr();
    let (status, page) = Raw::get(addr, "/");
    assert_eq!(status, 200);
    assert!(page.contains("<title>natterjack</title>"), "{page}");
    let mut foo = Client::connect(addr, "/chat/foo");
    foo.hears("Welcome foo!");
    let mut bar = Client::connect(addr, "/chat/bar?room=attic");
    bar.hears("Welcome bar!");
    bar.say("/msg foo psst");
    foo.hears("bar (private): psst");
    program.signal("TERM");
    foo.is_closed(1001);
    bar.is_closed(1001);
    assert_eq!(program.wait().code(), Some(0));
}

#[test]
fn two_people_chat_through_a_redis_over_tls() {
    let certs = Certs::for_host("localhost");
    let redis = Redis::with_tls(&certs, "sesame");
    let url = format!("rediss://localhost:{}", redis.port());
    let ca = certs.path("ca.pem").display().to_string();
    let flags = ["--redis", &url, "--redis-ca", &ca];
    let mut program = Program::start_with(&flags, &[("REDIS_PASSWORD", "sesame")]);
    let addr = program.addr();
    let mut foo = Client::connect(addr, "/chat/foo?room=attic");
    foo.hears("Welcome foo!");
    let mut ann = Client::connect(addr, "/ws?user=ann");
    ann.gets(json!({"type": "welcome", "userId": "ann"}));
    ann.put(json!({"type": "join", "room": "attic"}));
    ann.gets(json!({"type": "joined", "room": "attic", "users": ["ann", "foo"]}));
    foo.hears("ann: has joined the chat!");
    foo.say("hello");
    ann.gets_at_last(json!({"type": "chat", "room": "attic", "userId": "foo", "text": "hello"}));
    let long = "ä".repeat(4096);
    ann.put(json!({"type": "chat", "room": "attic", "text": long, "ref": "m1"}));
    ann.gets_at_last(json!({"type": "ack", "ref": "m1", "id": null}));
    foo.hears(&format!("ann: {long}"));
    assert_eq!(redis.list(&["SMEMBERS", "chat-users"]), ["ann", "foo"]);
    program.signal("TERM");
    foo.is_closed(1001);
    ann.is_closed(1001);
    assert_eq!(program.wait().code(), Some(0));
    assert_eq!(redis.list(&["SMEMBERS", "chat-users"]), [""; 0]);
    assert!(!program.log().iter().any(|line| line.contains("sesame")));
}

#[test]
fn a_redis_is_found_by_its_name() {
    let redis = Redis::on_tcp();
    let url = format!("redis://localhost:{}", redis.port());
    let mut program = Program::start(&["--redis", &url]);
    let addr = program.addr();
    eventually("it is ready", || {
        (Raw::get(addr, "/readyz").0 == 200).then_some(())
    });
    let mut foo = Client::connect(addr, "/chat/foo");
    foo.hears("Welcome foo!");
    assert_eq!(redis.list(&["SMEMBERS", "chat-users"]), ["foo"]);
}
