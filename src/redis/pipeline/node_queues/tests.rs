use super::*;
use crate::redis::slot::SLOTS;

const MOVED: &str = "-MOVED 1 b:1\r\n";
const ASK: &str = "-ASK 1 b:1\r\n";
const TRY_AGAIN: &str = "-TRYAGAIN later\r\n";

/// No parts.
#[derive(Debug)]
enum Never {}

impl Part for Never {
    fn slot(&self) -> u16 {
        match *self {}
    }

    fn size(&self) -> usize {
        match *self {}
    }

    fn goes_with(&self, _: &Never) -> bool {
        match *self {}
    }
}

fn address(host: &str) -> Address {
    let host = host.to_string();
    Address { host, port: 1 }
}

/// Two nodes; the first has all slots.
fn cluster() -> NodeQueues<Never> {
    let mut queues = NodeQueues::default();
    let nodes = vec![address("a"), address("b")];
    let route = vec![0; SLOTS.into()];
    queues.connect(Some(&Map { nodes, route }));
    queues.open();
    queues
}

fn push(queues: &mut NodeQueues<Never>, slot: u16, words: &str) {
    let packed = format!("{words} ").into();
    let command = Payload::Command(Command { slot, packed });
    queues.push(Request::new(command, Box::new(|_| ())), false);
}

/// What is said on a queue now.
fn sent(queues: &mut NodeQueues<Never>, queue: usize) -> String {
    let mut out = Vec::new();
    let merge = |_: &Never, _: &[&Never]| unreachable!("there are no parts here");
    while queues.write_next(queue, &mut out, &merge) {}
    let asking = redis::cmd("ASKING").get_packed_command();
    let out = String::from_utf8(out).unwrap();
    out.replace(&String::from_utf8(asking).unwrap(), "ASKING ")
        .trim_end()
        .to_string()
}

/// The connections are gone, and there is one to a single Redis.
fn reconnect(queues: &mut NodeQueues<Never>) {
    queues.disconnect();
    queues.connect(None);
    queues.open();
}

/// How many commands that answers.
fn reply(queues: &mut NodeQueues<Never>, queue: usize, reply: &str) -> usize {
    let value = redis::parse_redis_value(reply.as_bytes()).unwrap();
    queues.on_reply(queue, &value).unwrap().len()
}

#[test]
fn what_has_moved_is_said_again_there_in_order_and_nothing_overtakes_it() {
    let mut queues = cluster();
    for words in ["one", "two", "three"] {
        push(&mut queues, 1, words);
    }
    push(&mut queues, 2, "else");
    assert_eq!(sent(&mut queues, 0), "one else two three");
    assert_eq!(reply(&mut queues, 0, MOVED), 0);
    assert_eq!(reply(&mut queues, 0, "+OK\r\n"), 1, "to the other slot");
    push(&mut queues, 1, "four");
    assert_eq!(
        sent(&mut queues, 0) + &sent(&mut queues, 1),
        "",
        "the others are still out there"
    );
    assert_eq!(reply(&mut queues, 0, MOVED), 0);
    // The slot may have come back meanwhile. What was done out of turn is done again.
    assert_eq!(reply(&mut queues, 0, "+OK\r\n"), 0);
    push(&mut queues, 1, "five");
    assert_eq!(sent(&mut queues, 1), "one two three four five");
    for _ in 0..5 {
        assert_eq!(reply(&mut queues, 1, "+OK\r\n"), 1);
    }
    assert!(queues.is_empty());
}

#[test]
fn who_is_asked_for_one_command_gets_one() {
    let mut queues = cluster();
    push(&mut queues, 1, "one");
    push(&mut queues, 1, "two");
    assert_eq!(sent(&mut queues, 0), "one two");
    reply(&mut queues, 0, ASK);
    reply(&mut queues, 0, ASK);
    assert_eq!(sent(&mut queues, 0), "");
    assert_eq!(sent(&mut queues, 1), "ASKING one");
    assert_eq!(reply(&mut queues, 1, "+OK\r\n"), 0, "to ASKING");
    assert_eq!(reply(&mut queues, 1, ":1\r\n"), 1);
    assert_eq!(sent(&mut queues, 0), "two", "the slot is still here");
    reply(&mut queues, 0, "+OK\r\n");
    assert!(queues.is_empty());
}

#[test]
fn a_slot_on_its_way_is_tried_again_later() {
    let mut queues = cluster();
    push(&mut queues, 1, "one");
    assert_eq!(sent(&mut queues, 0), "one");
    reply(&mut queues, 0, TRY_AGAIN);
    push(&mut queues, 1, "two");
    push(&mut queues, 2, "else");
    assert_eq!(queues.retries, [1]);
    assert_eq!(sent(&mut queues, 0), "else");
    queues.retry();
    assert!(queues.retries.is_empty());
    assert_eq!(sent(&mut queues, 0), "one two");
}

#[test]
fn a_node_that_nobody_knows_is_named_and_nothing_is_lost() {
    let mut queues = cluster();
    push(&mut queues, 1, "one");
    assert_eq!(sent(&mut queues, 0), "one");
    for (reply, host) in [("-MOVED 1 c:1\r\n", "c"), ("-ASK 1 c:1\r\n", "c")] {
        let value = redis::parse_redis_value(reply.as_bytes()).unwrap();
        let broken = queues.on_reply(0, &value).err();
        assert_eq!(broken, Some(Error::NewNode(address(host))));
    }
    // The same host by no name, another port.
    let value = redis::parse_redis_value(b"-MOVED 1 :2\r\n").unwrap();
    let other = Address {
        port: 2,
        ..address("a")
    };
    assert_eq!(
        queues.on_reply(0, &value).err(),
        Some(Error::NewNode(other))
    );
    reconnect(&mut queues);
    assert_eq!(sent(&mut queues, 0), "one");
}

#[test]
fn whatever_happens_everything_waits_in_order_when_the_connections_go() {
    let mut queues = cluster();
    for (slot, words) in [(1, "one"), (2, "two"), (1, "three"), (2, "four")] {
        push(&mut queues, slot, words);
    }
    sent(&mut queues, 0);
    reply(&mut queues, 0, ASK);
    reply(&mut queues, 0, TRY_AGAIN);
    reply(&mut queues, 0, ASK);
    assert_eq!(sent(&mut queues, 1), "ASKING one");
    push(&mut queues, 1, "five");
    queues.push_to_all(b"ping");
    reconnect(&mut queues);
    assert_eq!(sent(&mut queues, 0), "one two three four five");
}
