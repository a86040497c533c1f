//! Limits for all connections together.

use serde_json::json;
use tungstenite::Message;

use crate::support::{Client, Program, Raw, TestServer, connect_from, eventually, upgrade};

const MIB: usize = 1024 * 1024;

/// Four thousand characters, and what a room hears when foo says them.
fn long() -> (String, String) {
    let text = "x".repeat(4000);
    let heard = format!("foo: {text}");
    (text, heard)
}

#[test]
fn when_all_queues_exceed_the_limit_the_slowest_reader_is_closed_first() {
    let server = TestServer::with(|config| {
        (config.rate, config.outbox, config.max_queued) = (0, 1024 * MIB, 16 * MIB);
    });
    let (text, heard) = long();
    let mut ann = server.join_room("ann", "quiet");
    let mut near = server.join_room("near", "quiet");
    near.keeps_little();
    ann.hears("near: has joined the chat!");
    // More than the kernel keeps for a reader that reads nothing, less than half of what may wait.
    ann.flood(1800, &text);

    let mut foo = server.join("foo");
    let mut bar = server.join("bar");
    let mut far = server.join("far");
    far.keeps_little();
    foo.hears_in_order(&["bar: has joined the chat!", "far: has joined the chat!"]);
    bar.hears("far: has joined the chat!");
    let mut floods = 0;
    let mut gone = false;
    while !gone {
        assert!(floods < 400, "no connection is closed");
        floods += 1;
        foo.flood(50, &text);
        for _ in 0..50 {
            let next = bar.next();
            if next == "far: has left the chat!" {
                gone = true;
                bar.hears(&heard);
            } else {
                assert!(next == heard, "{next:?}");
            }
        }
    }
    far.is_closed(1013);
    foo.hears("far: has left the chat!");
    // Nobody else had to go, and nothing was lost.
    for _ in 0..1800 {
        assert!(near.next() == heard.replace("foo: ", "ann: "));
    }
    ann.say("still here?");
    near.hears("ann: still here?");
}

#[test]
fn memory_queued_for_closed_peers_is_freed() {
    let server = TestServer::with(|config| {
        (config.rate, config.outbox, config.max_queued) = (0, 1024 * MIB, 16 * MIB);
    });
    let (text, heard) = long();
    let mut foo = server.join("foo");
    let mut bar = server.join("bar");
    foo.hears("bar: has joined the chat!");
    for _ in 0..5 {
        let slow = server.join("slow");
        slow.keeps_little();
        foo.hears("slow: has joined the chat!");
        bar.hears("slow: has joined the chat!");
        // It goes by itself, with about half of what the ceiling allows still to be sent.
        foo.flood(2000, &text);
        (0..2000).for_each(|_| bar.hears(&heard));
        drop(slow);
        foo.hears("slow: has left the chat!");
        bar.hears("slow: has left the chat!");
    }
    // A reader that is behind, but within what is left, stays.
    let mut late = server.join("late");
    foo.hears("late: has joined the chat!");
    foo.flood(2000, &text);
    (0..2000).for_each(|_| late.hears(&heard));
}

#[test]
fn a_peer_that_never_reads_its_answers_is_closed() {
    let server = TestServer::with(|config| {
        (config.rate, config.outbox, config.max_queued) = (0, 1024 * MIB, MIB);
        // No sweep comes by.
        config.ping = 3600;
    });
    let mut bar = server.join("bar");
    let mut deaf = server.typed("deaf");
    deaf.keeps_little();
    deaf.put(json!({"type": "join", "room": "lobby"}));
    bar.hears("deaf: has joined the chat!");
    let nonsense = json!({"type": "nonsense", "ref": "r".repeat(250)});
    deaf.flood(30_000, &nonsense.to_string());
    bar.hears("deaf: has left the chat!");
}

#[test]
fn connections_per_address_are_limited() {
    let server = TestServer::with(|config| config.max_peers_per_ip = Some(2));
    let knock = |from: [u8; 4], name: &str| {
        let stream = connect_from(from, server.addr());
        Client::over(stream, &format!("/chat/{name}"), |_| {})
    };
    let (here, there) = ([127, 0, 0, 1], [127, 0, 0, 2]);
    let mut one = knock(here, "one").unwrap();
    let two = knock(here, "two").unwrap();
    one.hears_in_order(&["Welcome one!", "two: has joined the chat!"]);
    assert_eq!(knock(here, "three").err(), Some(429));
    let mut raw = Raw::connect(server.addr());
    raw.send(upgrade("three").as_bytes());
    raw.takes_until(b"Retry-After: ");
    raw.takes_until(b"\r\n\r\ntoo many peers from your address, please try again later\n");
    // Connections that do not chat are not counted, and neither are those from other addresses.
    assert_eq!(server.ready().0, 200);
    let _other = knock(there, "other").unwrap();
    one.hears("other: has joined the chat!");

    // Every end of a connection frees its slot: a close frame, a reset, a taken name, an error.
    two.leave();
    for n in 0..4 {
        let mut next = eventually("there is room again", || knock(here, "next").ok());
        next.hears("Welcome next!");
        if n == 1 {
            next.send(Message::binary(vec![0]));
            next.is_closed(1003);
        }
        drop(next);
        let mut taken = eventually("there is room again", || knock(here, "one").ok());
        taken.hears("username one is already taken. please retry with a different name");
    }
    let _last = eventually("there is room again", || knock(here, "last").ok());
    assert_eq!(knock(here, "three").err(), Some(429));
}

#[test]
fn large_messages_leave_no_large_buffers_behind() {
    /// Bytes of memory that a process has.
    fn resident(id: u32) -> usize {
        let pages = std::fs::read_to_string(format!("/proc/{id}/statm")).unwrap();
        let pages: usize = pages.split(' ').nth(1).unwrap().parse().unwrap();
        pages * rustix::param::page_size()
    }
    let mut program = Program::start(&[]);
    let addr = program.addr();
    let mut people: Vec<Client> = (0..400)
        .map(|_| Client::connect(addr, "/ws?room=attic"))
        .collect();
    let text = "x".repeat(16 * 1024);
    people[0].say(&text);
    people[0].gets(json!({"type": "error"}));
    let before = resident(program.id());
    for one in &mut people[1..] {
        one.say(&text);
        one.gets(json!({"type": "error"}));
    }
    let grown = resident(program.id()).saturating_sub(before);
    assert!(grown < 3 * MIB, "{} bytes for each", grown / people.len());
}
