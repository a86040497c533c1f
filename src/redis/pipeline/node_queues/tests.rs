use super::*;
use crate::redis::resp;
use crate::redis::slot::SLOTS;

const MOVED: &str = "-MOVED 1 b:1\r\n";
const ASK: &str = "-ASK 1 b:1\r\n";
const TRY_AGAIN: &str = "-TRYAGAIN later\r\n";

/// A message in a room.
#[derive(Debug)]
struct Message(&'static str, &'static str);

impl Part for Message {
    type Group = &'static str;

    fn slot(&self) -> u16 {
        1
    }

    fn size(&self) -> usize {
        1
    }

    fn group(&self) -> &&'static str {
        &self.0
    }
}

fn address(host: &str) -> Address {
    let host = host.to_string();
    Address { host, port: 1 }
}

/// Two nodes; the first has all slots.
fn cluster() -> NodeQueues<Message> {
    let mut queues = NodeQueues::default();
    let nodes = vec![address("a"), address("b")];
    let route = vec![0; SLOTS.into()];
    queues.connect(Some(&Map { nodes, route }));
    queues.open();
    queues
}

fn push(queues: &mut NodeQueues<Message>, slot: u16, words: &str) {
    let packed = format!("{words} ").into();
    let command = Payload::Command(Command { slot, packed });
    queues.push(Request::new(command, Box::new(|_| ())), false);
}

/// Queues a reserved message.
fn say(queues: &mut NodeQueues<Message>, room: &'static str, text: &'static str) {
    let message = Payload::Part(Message(room, text));
    let mut request = Request::new(message, Box::new(|_| ()));
    request.reserved = Some((1, Instant::now()));
    queues.push(request, false);
}

/// What is said on a queue now.
fn sent(queues: &mut NodeQueues<Message>, queue: usize) -> String {
    let mut out = Vec::new();
    let merge = |before, first: &Message, more: &[&Message]| {
        let texts = more.iter().map(|message| format!("+{}", message.1));
        let texts = texts.collect::<String>();
        let packed = format!("{}:{before}:{}{texts} ", first.0, first.1).into();
        Command { slot: 1, packed }
    };
    while queues.write_next(queue, &mut out, &merge) {}
    let asking = redis::cmd("ASKING").get_packed_command();
    let out = String::from_utf8(out).unwrap();
    out.replace(&String::from_utf8(asking).unwrap(), "ASKING ")
        .trim_end()
        .to_string()
}

/// The connections are gone, and there is one to a single Redis.
fn reconnect(queues: &mut NodeQueues<Message>) {
    queues.disconnect();
    queues.connect(None);
    queues.open();
}

/// How many commands that answers.
fn reply(queues: &mut NodeQueues<Message>, queue: usize, reply: &str) -> usize {
    let value = resp::parsed(reply);
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
        let value = resp::parsed(reply);
        let broken = queues.on_reply(0, &value).err();
        assert_eq!(broken, Some(Error::NewNode(address(host))));
    }
    // The same host by no name, another port.
    let value = resp::parsed("-MOVED 1 :2\r\n");
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

#[test]
fn parts_name_the_one_before_them_that_is_still_on_its_way() {
    let mut queues = NodeQueues::default();
    reconnect(&mut queues);
    say(&mut queues, "attic", "one");
    say(&mut queues, "cellar", "two");
    assert_eq!(sent(&mut queues, 0), "attic:0:one cellar:0:two");
    say(&mut queues, "attic", "three");
    say(&mut queues, "attic", "four");
    assert_eq!(sent(&mut queues, 0), "attic:1:three+four");
    say(&mut queues, "attic", "five");
    assert_eq!(sent(&mut queues, 0), "attic:4:five");
    for count in [1, 1, 2, 1] {
        let ids = format!("*{count}\r\n{}", "$1\r\na\r\n".repeat(count));
        assert_eq!(reply(&mut queues, 0, &ids), count);
    }
    assert!(queues.is_empty());
    say(&mut queues, "attic", "six");
    assert_eq!(sent(&mut queues, 0), "attic:0:six");
}

#[test]
fn parts_behind_one_that_fails_are_sent_again_in_order() {
    let mut queues = NodeQueues::default();
    reconnect(&mut queues);
    for (room, text) in [("attic", "one"), ("cellar", "two"), ("attic", "three")] {
        say(&mut queues, room, text);
    }
    push(&mut queues, 0, "else");
    say(&mut queues, "attic", "four");
    let first = "attic:0:one cellar:0:two attic:1:three else attic:3:four";
    assert_eq!(sent(&mut queues, 0), first);
    assert_eq!(reply(&mut queues, 0, "-OOM no\r\n"), 1);
    assert_eq!(reply(&mut queues, 0, "*1\r\n$1\r\na\r\n"), 1);
    assert_eq!(reply(&mut queues, 0, ":0\r\n"), 0);
    say(&mut queues, "attic", "five");
    assert_eq!(sent(&mut queues, 0), "", "some are still on their way");
    assert_eq!(reply(&mut queues, 0, "+OK\r\n"), 1, "to something else");
    assert_eq!(reply(&mut queues, 0, ":0\r\n"), 0);
    assert_eq!(sent(&mut queues, 0), "attic:0:three+four+five");
    assert_eq!(reply(&mut queues, 0, "-OOM no\r\n"), 3);
    assert!(queues.is_empty());
}

#[test]
fn parts_of_a_slot_that_moves_are_sent_again_in_order() {
    let mut queues = cluster();
    say(&mut queues, "attic", "one");
    assert_eq!(sent(&mut queues, 0), "attic:0:one");
    say(&mut queues, "attic", "two");
    assert_eq!(sent(&mut queues, 0), "attic:1:two");
    assert_eq!(reply(&mut queues, 0, ASK), 0);
    // The slot has come back meanwhile, but the first one has not been here.
    assert_eq!(reply(&mut queues, 0, ":0\r\n"), 0);
    assert_eq!(sent(&mut queues, 0), "");
    assert_eq!(sent(&mut queues, 1), "ASKING attic:0:one+two");
    say(&mut queues, "attic", "three");
    assert_eq!(sent(&mut queues, 0) + &sent(&mut queues, 1), "");
    reply(&mut queues, 1, "+OK\r\n");
    assert_eq!(reply(&mut queues, 1, "*2\r\n$1\r\na\r\n$1\r\nb\r\n"), 2);
    assert_eq!(sent(&mut queues, 0), "attic:0:three");
}

#[test]
fn what_has_waited_too_long_is_given_up() {
    let mut queues = NodeQueues::default();
    reconnect(&mut queues);
    say(&mut queues, "attic", "sent");
    assert_eq!(sent(&mut queues, 0), "attic:0:sent");
    push(&mut queues, 0, "duty");
    queues.disconnect();
    say(&mut queues, "attic", "unsent");
    let between = Instant::now();
    say(&mut queues, "attic", "later");
    assert_eq!(queues.take_older(between).len(), 2);
    assert_eq!(queues.take_older(between).len(), 0);
    reconnect(&mut queues);
    assert_eq!(sent(&mut queues, 0), "duty attic:0:later");
}
