//! Bad input costs its sender something, and nobody else anything.

use std::io::{Read, Write};
use std::time::Duration;

use tungstenite::Message;

use crate::support::{
    Client, DEADLINE, Proxy, Raw, Redis, TestServer, eventually, frame, on_both_buses,
};

/// Somebody misbehaves while two others talk; they notice nothing but its coming and going.
#[track_caller]
fn misbehaves(bytes: &[u8], code: u16) {
    let server = TestServer::start();
    let mut ann = server.join("ann");
    let mut bad = Raw::join(server.addr(), "bad");
    ann.hears("bad: has joined the chat!");
    let mut bar = server.join("bar");
    ann.hears("bar: has joined the chat!");
    bad.send(bytes);
    assert_eq!(bad.close_code(), code);
    ann.hears("bad: has left the chat!");
    ann.say("did you notice anything?");
    bar.hears_at_last("ann: did you notice anything?");
    bar.say("no");
    ann.hears("bar: no");
}

#[test]
fn a_binary_frame_is_closed_with_1003() {
    misbehaves(&frame(0x82, b"\x00\x01\x02"), 1003);
}

#[test]
fn text_that_is_not_utf8_is_closed_with_1007() {
    misbehaves(&frame(0x81, b"\xff\xfe"), 1007);
    // A surrogate, and the first half of a character.
    misbehaves(&frame(0x81, b"\xed\xa0\x80"), 1007);
    misbehaves(&frame(0x81, b"ok \xe2\x82"), 1007);
}

#[test]
fn a_frame_over_the_limit_is_closed_with_1009() {
    misbehaves(&frame(0x81, &[b'x'; 16 * 1024 + 1]), 1009);
    // Announced is enough: nobody waits for four exabytes.
    misbehaves(&[0x81, 0xff, 0x3f, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4], 1009);
    // In pieces, too.
    let pieces: Vec<u8> = [
        frame(0x01, &[b'x'; 10_000]),
        frame(0x00, &[b'x'; 5_000]),
        frame(0x80, &[b'x'; 5_000]),
    ]
    .concat();
    misbehaves(&pieces, 1009);
}

#[test]
fn broken_frames_are_closed_with_1002() {
    for (what, bytes) in [
        ("a reserved bit", frame(0xc1, b"x")),
        ("a reserved opcode", frame(0x83, b"x")),
        ("an unmasked frame", vec![0x81, 0x01, b'x']),
        ("a control frame in pieces", frame(0x09, b"x")),
        ("a control frame too long", frame(0x89, &[0; 126])),
        ("a piece of nothing", frame(0x80, b"x")),
        (
            "a new message within a message",
            [frame(0x01, b"x"), frame(0x81, b"y")].concat(),
        ),
        (
            "a length in more bytes than it needs",
            [&[0x81, 0xfe, 0x00, 0x01][..], b"mask", b"x"].concat(),
        ),
        (
            "a length in eight bytes where two do",
            [&[0x81, 0xff, 0, 0, 0, 0, 0, 0, 0, 1][..], b"mask", b"x"].concat(),
        ),
        ("noise", vec![0xff; 100]),
    ] {
        println!("{what}");
        misbehaves(&bytes, 1002);
    }
}

#[test]
fn every_close_code_is_answered_in_kind() {
    let server = TestServer::start();
    for (code, answer) in [
        (1000_u16, 1000),
        (1001, 1001),
        (1012, 1012),
        (1013, 1013),
        (1014, 1014),
        (3000, 3000),
        (4999, 4999),
        (1004, 1002),
        (1005, 1002),
        (1015, 1002),
        (2999, 1002),
    ] {
        let mut foo = Raw::join(server.addr(), "foo");
        foo.send(&frame(0x88, &code.to_be_bytes()));
        assert_eq!(foo.close_code(), answer, "{code}");
    }
}

#[test]
fn bytes_behind_a_close_frame_do_not_turn_its_answer_into_a_reset() {
    let server = TestServer::start();
    for behind in [frame(0x89, b"still there?"), vec![b'x'; 16 * 1024]] {
        for _ in 0..20 {
            let mut foo = Raw::join(server.addr(), "foo");
            foo.send(&[frame(0x88, &1000_u16.to_be_bytes()), behind.clone()].concat());
            let mut answer = Vec::new();
            let read = foo.stream().read_to_end(&mut answer);
            read.unwrap_or_else(|error| panic!("{error} after {answer:?}"));
            assert_eq!(answer, [0x88, 2, 0x03, 0xe8]);
        }
    }
}

#[test]
fn pieces_with_a_ping_between_are_one_message() {
    let server = TestServer::start();
    let mut foo = server.join("foo");
    let mut bar = Raw::join(server.addr(), "bar");
    foo.hears("bar: has joined the chat!");
    let parts = [
        frame(0x01, "half a \u{20ac}".as_bytes().split_at(8).0),
        frame(0x89, b"still there?"),
        frame(0x00, "half a \u{20ac}".as_bytes().split_at(8).1),
        frame(0x80, b" and more"),
    ];
    bar.send(&parts.concat());
    foo.hears("bar: half a \u{20ac} and more");
    bar.takes_until(b"\x8a\x0cstill there?");
}

#[test]
fn a_fast_speaker_is_refused_not_cut_off() {
    on_both_buses(|server| {
        let mut foo = server.join("foo");
        let mut bar = server.join("bar");
        foo.hears("bar: has joined the chat!");
        for n in 0..100 {
            foo.say(&n.to_string());
        }
        // The burst passes; how many more do depends on how long the hundred took.
        for n in 0..60 {
            bar.hears(&format!("foo: {n}"));
        }
        foo.hears("error: too many messages, at most 20 a second: this one was not sent");
        eventually("a word is let through again", || {
            foo.say("/who");
            (foo.next() == "in lobby: bar, foo").then_some(())
        });
    });
}

#[test]
fn a_peer_over_the_limit_for_ten_seconds_is_closed_with_1008() {
    let server = TestServer::with(|config| config.rate = 1);
    let mut foo = server.join("foo");
    let mut loud = server.join("loud");
    let mut stream = loud.stream().try_clone().unwrap();
    // Fifty a second, where one is allowed. Ends when the server has hung up, or never does.
    let flood = std::thread::spawn(move || {
        for _ in 0..1000 {
            if stream.write_all(&frame(0x81, b"me!")).is_err() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    loud.is_closed(1008);
    foo.hears_at_last("loud: has left the chat!");
    flood.join().unwrap();
}

#[test]
fn without_a_rate_nobody_is_refused() {
    let server = TestServer::with(|config| config.rate = 0);
    let mut foo = server.join("foo");
    let mut bar = server.join("bar");
    foo.hears("bar: has joined the chat!");
    foo.flood(5_000, "hello");
    for _ in 0..5_000 {
        bar.hears("foo: hello");
    }
}

#[test]
fn a_slow_reader_does_not_delay_the_room() {
    let server = TestServer::with(|config| (config.rate, config.outbox) = (0, 64 * 1024));
    let mut foo = server.join("foo");
    let mut slow = server.join("slow");
    let mut bar = server.join("bar");
    foo.hears_in_order(&["slow: has joined the chat!", "bar: has joined the chat!"]);
    let text = "x".repeat(4000);
    let said = format!("foo: {text}");
    // More than any kernel keeps for a reader that reads nothing.
    let mut heard = 0;
    let mut gone = false;
    while !gone {
        foo.flood(50, &text);
        for _ in 0..50 {
            let next = bar.next();
            if next == "slow: has left the chat!" {
                gone = true;
                bar.hears(&said);
            } else {
                assert!(next == said, "{next:?}");
            }
            heard += 1;
        }
        assert!(heard < 20_000, "the slow reader is never closed");
    }
    slow.is_closed(1013);
    foo.hears("slow: has left the chat!");
    // With its name free again, it can come back.
    let mut again = server.join("slow");
    foo.hears("slow: has joined the chat!");
    foo.say("welcome back");
    again.hears("foo: welcome back");
}

#[test]
fn five_hundred_silent_connections_disturb_nobody() {
    let server = TestServer::start();
    let mut foo = server.join("foo");
    let silent: Vec<_> = (0..500).map(|_| Raw::connect(server.addr())).collect();
    let mut half: Vec<_> = (0..100).map(|_| Raw::connect(server.addr())).collect();
    half.iter_mut().for_each(|raw| raw.send(b"GET /chat/x HTT"));
    let mut bar = server.join("bar");
    foo.hears("bar: has joined the chat!");
    foo.say("hello");
    bar.hears("foo: hello");
    drop((silent, half));
    bar.say("/who");
    bar.hears("in lobby: bar, foo");
}

#[test]
fn a_peer_that_does_not_answer_pings_is_closed() {
    let server = TestServer::with(|config| config.ping = 1);
    // Peers that read answer pings.
    let mut alive = server.join("alive");
    let mut dead = Raw::join(server.addr(), "dead");
    alive.hears_in_order(&["dead: has joined the chat!", "dead: has left the chat!"]);
    // It was asked, and then cut off.
    assert!(dead.rest().windows(2).any(|frame| frame == [0x89, 0]));
    alive.say("/who");
    alive.hears("in lobby: alive");
}

#[test]
fn a_peer_that_talks_but_never_reads_is_closed() {
    let server = TestServer::with(|config| {
        (config.ping, config.rate) = (1, 0);
        (config.outbox, config.max_queued) = (1 << 30, 1 << 30);
    });
    let mut foo = server.join("foo");
    let deaf = server.join("deaf");
    deaf.keeps_little();
    foo.hears("deaf: has joined the chat!");
    // More than any kernel keeps for it, but by far not too much.
    foo.flood(4_000, &"x".repeat(4000));
    let mut stream = deaf.stream().try_clone().unwrap();
    // Ends when the server has hung up.
    let talk = std::thread::spawn(move || {
        while stream.write_all(&frame(0x8a, b"")).is_ok() {
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    foo.hears("deaf: has left the chat!");
    drop(server);
    talk.join().unwrap();
}

#[test]
fn a_peer_behind_a_dead_network_is_closed() {
    let script = |server: TestServer| {
        let mut ann = server.join("ann");
        let network = Proxy::to(server.addr().port());
        let mut bar = Client::connect(network.addr(), "/chat/bar");
        bar.hears("Welcome bar!");
        ann.hears("bar: has joined the chat!");
        network.stall();
        bar.say("can you hear me?");
        ann.say("nobody hears this");
        ann.hears("bar: has left the chat!");
        // Its name is free.
        let mut again = server.join("bar");
        ann.hears("bar: has joined the chat!");
        ann.say("better?");
        again.hears("ann: better?");
    };
    script(TestServer::with(|config| config.ping = 1));
    let redis = Redis::start();
    script(TestServer::on_with(redis.address(), |config| {
        config.ping = 1
    }));
}

#[test]
fn a_peer_whose_connection_breaks_leaves() {
    let server = TestServer::start();
    let mut foo = server.join("foo");
    for _ in 0..3 {
        let mut bar = server.join("bar");
        foo.hears("bar: has joined the chat!");
        bar.send(Message::text("half a word"));
        foo.hears("bar: half a word");
        drop(bar);
        foo.hears("bar: has left the chat!");
    }
}

#[test]
fn the_close_reason_reaches_a_peer_that_keeps_sending() {
    let server = TestServer::start();
    let mut bad = Raw::join(server.addr(), "bad");
    // More behind the bad frame than is ever read: it must not cost the close frame.
    bad.send(&[frame(0x82, b"binary"), frame(0x81, &[b'x'; 10_000])].concat());
    assert_eq!(bad.close_code(), 1003);
}

#[test]
fn a_flood_starves_nobody() {
    let server = TestServer::start();
    let mut foo = server.join("foo");
    let mut bar = server.join("bar");
    foo.hears("bar: has joined the chat!");
    let mut loud = server.join_room("loud", "elsewhere");
    let stream = loud.stream().try_clone().unwrap();
    let flood = std::thread::spawn(move || loud.flood(200_000, "/who"));
    // It reads, so that it is not closed as a slow reader.
    let reader = std::thread::spawn(move || {
        let mut stream = stream;
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let mut chunk = vec![0; 1 << 16];
        while matches!(stream.read(&mut chunk), Ok(1..)) {}
    });
    for n in 0..20 {
        foo.say(&n.to_string());
        bar.hears(&format!("foo: {n}"));
    }
    flood.join().unwrap();
    drop(server);
    reader.join().unwrap();
}
