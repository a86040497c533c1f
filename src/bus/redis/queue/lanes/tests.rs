use super::*;
use crate::bus::redis::slot::SLOTS;

const MOVED: &str = "-MOVED 1 b:1\r\n";
const ASK: &str = "-ASK 1 b:1\r\n";
const TRY_AGAIN: &str = "-TRYAGAIN later\r\n";

fn address(host: &str) -> Address {
    let host = host.to_string();
    Address { host, port: 1 }
}

/// Two nodes; the first has all slots.
fn cluster() -> Lanes {
    let mut lanes = Lanes::default();
    let nodes = vec![address("a"), address("b")];
    let route = vec![0; SLOTS.into()];
    lanes.spread(Some(&Map { nodes, route }));
    lanes
}

fn push(lanes: &mut Lanes, slot: u16, words: &str) {
    let packed = format!("{words} ").into();
    let command = What::Command(Command { slot, packed });
    lanes.push(Op::new(command, Then::Nothing, None));
}

/// What is said on a lane now.
fn said(lanes: &mut Lanes, lane: usize) -> String {
    let mut out = Vec::new();
    let publish = |_: &Publication, _: &[&Publication]| unreachable!("nothing is published here");
    while lanes.say_next(lane, &mut out, &publish) {}
    let asking = redis::cmd("ASKING").get_packed_command();
    let out = String::from_utf8(out).unwrap();
    out.replace(&String::from_utf8(asking).unwrap(), "ASKING ")
        .trim_end()
        .to_string()
}

/// How many commands that answers.
fn answer(lanes: &mut Lanes, lane: usize, reply: &str) -> usize {
    let value = redis::parse_redis_value(reply.as_bytes()).unwrap();
    lanes.answered(lane, &value).unwrap().len()
}

#[test]
fn what_has_moved_is_said_again_there_in_order_and_nothing_overtakes_it() {
    let mut lanes = cluster();
    for words in ["one", "two", "three"] {
        push(&mut lanes, 1, words);
    }
    push(&mut lanes, 2, "else");
    assert_eq!(said(&mut lanes, 0), "one two three else");
    assert_eq!(answer(&mut lanes, 0, MOVED), 0);
    push(&mut lanes, 1, "four");
    assert_eq!(
        said(&mut lanes, 0) + &said(&mut lanes, 1),
        "",
        "the others are still out there"
    );
    assert_eq!(answer(&mut lanes, 0, MOVED), 0);
    // The slot may have come back meanwhile. What was done out of turn is done again.
    assert_eq!(answer(&mut lanes, 0, "+OK\r\n"), 0);
    push(&mut lanes, 1, "five");
    assert_eq!(said(&mut lanes, 1), "one two three four five");
    assert_eq!(answer(&mut lanes, 0, "+OK\r\n"), 1);
    for _ in 0..5 {
        assert_eq!(answer(&mut lanes, 1, "+OK\r\n"), 1);
    }
    assert!(lanes.is_empty());
}

#[test]
fn who_is_asked_for_one_command_gets_one() {
    let mut lanes = cluster();
    push(&mut lanes, 1, "one");
    push(&mut lanes, 1, "two");
    assert_eq!(said(&mut lanes, 0), "one two");
    answer(&mut lanes, 0, ASK);
    answer(&mut lanes, 0, ASK);
    assert_eq!(said(&mut lanes, 0), "");
    assert_eq!(said(&mut lanes, 1), "ASKING one");
    assert_eq!(answer(&mut lanes, 1, "+OK\r\n"), 0, "to ASKING");
    assert_eq!(answer(&mut lanes, 1, ":1\r\n"), 1);
    assert_eq!(said(&mut lanes, 0), "two", "the slot is still here");
    answer(&mut lanes, 0, "+OK\r\n");
    assert!(lanes.is_empty());
}

#[test]
fn a_slot_on_its_way_is_tried_again_later() {
    let mut lanes = cluster();
    push(&mut lanes, 1, "one");
    assert_eq!(said(&mut lanes, 0), "one");
    answer(&mut lanes, 0, TRY_AGAIN);
    push(&mut lanes, 1, "two");
    push(&mut lanes, 2, "else");
    assert!(lanes.to_be_tried_again());
    assert_eq!(said(&mut lanes, 0), "else");
    lanes.try_again();
    assert!(!lanes.to_be_tried_again());
    assert_eq!(said(&mut lanes, 0), "one two");
}

#[test]
fn a_node_that_nobody_knows_is_named_and_nothing_is_lost() {
    let mut lanes = cluster();
    push(&mut lanes, 1, "one");
    assert_eq!(said(&mut lanes, 0), "one");
    for (reply, host) in [("-MOVED 1 c:1\r\n", "c"), ("-ASK 1 c:1\r\n", "c")] {
        let value = redis::parse_redis_value(reply.as_bytes()).unwrap();
        let broken = lanes.answered(0, &value).unwrap_err();
        assert_eq!(broken, Broken::NewNode(address(host)));
    }
    // The same host by no name, another port.
    let value = redis::parse_redis_value(b"-MOVED 1 :2\r\n").unwrap();
    let other = Address {
        port: 2,
        ..address("a")
    };
    assert_eq!(
        lanes.answered(0, &value).unwrap_err(),
        Broken::NewNode(other)
    );
    lanes.gather();
    assert_eq!(said(&mut lanes, 0), "one");
}

#[test]
fn whatever_happens_everything_waits_in_order_when_the_connections_go() {
    let mut lanes = cluster();
    for (slot, words) in [(1, "one"), (2, "two"), (1, "three"), (2, "four")] {
        push(&mut lanes, slot, words);
    }
    said(&mut lanes, 0);
    answer(&mut lanes, 0, ASK);
    answer(&mut lanes, 0, TRY_AGAIN);
    answer(&mut lanes, 0, ASK);
    assert_eq!(said(&mut lanes, 1), "ASKING one");
    push(&mut lanes, 1, "five");
    lanes.ask_everywhere(b"ping", &smol::channel::bounded(2).0);
    lanes.gather();
    assert_eq!(said(&mut lanes, 0), "one two three four five");
}
