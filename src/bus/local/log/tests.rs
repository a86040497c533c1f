use super::*;
use crate::chat::event::Text;
use crate::chat::name::User;

fn say(log: &mut Log, room: &str, text: &str) -> Id {
    let room = Room::new(room).unwrap();
    let id = log.next(&room);
    let kind = EventKind::Said {
        text: Text::new(text).unwrap(),
        email: None,
        id: Some(id),
        at: 0,
        to: None,
        holder: None,
        author: None,
    };
    let event = Event {
        room,
        user: User::new("foo").ok(),
        origin: None,
        kind,
    };
    log.keep(event, id);
    id
}

fn numbers(events: &[Event]) -> Vec<u64> {
    events.iter().map(|event| event.id().unwrap().n).collect()
}

#[test]
fn a_room_keeps_its_last_messages() {
    let mut log = Log::new(3, None);
    let attic = Room::new("attic").unwrap();
    let ids: Vec<Id> = (0..5).map(|_| say(&mut log, "attic", "hello")).collect();
    say(&mut log, "cellar", "hello");
    let stretch = |after: usize, until: usize| Stretch {
        after: ids[after],
        until: ids[until],
    };
    assert_eq!(numbers(&log.read(&attic, stretch(2, 4), 10)), [4, 5]);
    assert_eq!(numbers(&log.read(&attic, stretch(0, 4), 10)), [3, 4, 5]);
    assert_eq!(numbers(&log.read(&attic, stretch(0, 4), 2)), [3, 4]);
    assert_eq!(numbers(&log.history_before(&attic, None, 2)), [4, 5]);
    assert_eq!(
        numbers(&log.history_before(&attic, Some(ids[4]), 9)),
        [3, 4]
    );
    assert_eq!(
        numbers(&log.history_before(&attic, Some(ids[0]), 9)),
        [0; 0]
    );
    assert_eq!(log.last(&attic), Some(ids[4]));
}

#[test]
fn without_a_history_only_the_count_is_kept() {
    let mut log = Log::new(0, None);
    let first = say(&mut log, "attic", "hello");
    assert_eq!(say(&mut log, "attic", "hello"), first.next());
    assert!(
        log.history_before(&Room::new("attic").unwrap(), None, 9)
            .is_empty()
    );
}

#[test]
fn rooms_that_are_silent_longest_are_forgotten_first() {
    const MOST: usize = 2 * 1024 * 1024;
    let mut log = Log::new(1_000_000, Some(MOST));
    let text = "x".repeat(4000);
    let first = say(&mut log, "first", &text);
    for n in 0..MOST / 4000 {
        say(&mut log, &n.to_string(), &text);
        say(&mut log, "busy", &text);
    }
    assert!(log.bytes <= MOST);
    let rooms = log.rooms.iter();
    let left = rooms.map(|(room, ring)| room_bytes(room) + ring.bytes());
    assert_eq!(log.bytes, left.sum::<usize>());
    assert_eq!(log.silent.len(), log.rooms.len());
    assert_eq!(log.last(&Room::new("first").unwrap()), None);
    assert!(say(&mut log, "first", "again").epoch > first.epoch);
    // One room alone may not take more, either.
    for _ in 0..2 * MOST / 4000 {
        say(&mut log, "busy", &text);
    }
    assert!(log.bytes <= MOST);
    assert_eq!(log.rooms.len(), 1);
}

#[test]
fn the_settings_may_bound_all_logs_differently() {
    const MIB: usize = 1024 * 1024;
    let mut log = Log::new(1_000_000, Some(MIB));
    for n in 0..1000 {
        say(&mut log, &n.to_string(), &"x".repeat(4000));
    }
    assert!((MIB / 2..=MIB).contains(&log.bytes));
}

/// What a log is filled with, about twice what it may take, and how much more than that its
/// memory may be, in percent.
type Shape = (&'static str, usize, fn(&mut Log));

const SHAPES: [Shape; 6] = [
    ("rooms of one short message", 10, |log| {
        (0..100_000).for_each(|n| keep(log, n, "hi"));
    }),
    ("rooms with long names, in no order", 10, |log| {
        let mixed = |n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let names = (0..100_000).map(|n| format!("{:032x}", mixed(n)));
        names.for_each(|name| keep(log, name, "hello there"));
    }),
    ("rooms of ten messages", 10, |log| {
        let rooms = (0..250_000).map(|n| n / 10_000 * 1000 + n % 1000);
        rooms.for_each(|room| keep(log, room, "hello there, how are you?"));
    }),
    ("one room of short messages", 10, |log| {
        (0..250_000).for_each(|_| keep(log, "lobby", "hi"));
    }),
    ("some rooms of long messages", 10, |log| {
        (0..10_000).for_each(|n| keep(log, n % 50, &"x".repeat(4000)));
    }),
    ("short messages, then long ones", 50, |log| {
        (0..150_000).for_each(|n| keep(log, n % 777, "hi"));
        (0..30_000).for_each(|n| keep(log, 1000 + n % 77, &"x".repeat(1000)));
    }),
];

fn keep(log: &mut Log, room: impl ToString, text: &str) {
    say(log, &room.to_string(), text);
}

/// What this process has in memory, in bytes.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = line.unwrap().trim().trim_end_matches(" kB");
    kib.parse::<usize>().unwrap() * 1024
}

#[test]
fn full_logs_take_as_much_memory_as_they_say() {
    const SHAPE: &str = "NATTERJACK_TEST_SHAPE";
    if let Ok(shape) = std::env::var(SHAPE) {
        let before = resident();
        let mut log = Log::new(1_000_000, None);
        SHAPES[shape.parse::<usize>().unwrap()].2(&mut log);
        println!("\ngrew by {} bytes", resident() - before);
        return;
    }
    // Each in a process of its own, in which nothing else takes memory.
    let processes = [0, 1, 2, 3, 4, 5].map(|n: usize| {
        std::process::Command::new(std::env::current_exe().unwrap())
            .args(["full_logs_take_as_much_memory_as_they_say", "--nocapture"])
            .env(SHAPE, n.to_string())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap()
    });
    for ((what, more, _), process) in SHAPES.iter().zip(processes) {
        let output = process.wait_with_output().unwrap();
        let output = String::from_utf8(output.stdout).unwrap();
        let bytes = output.lines().find_map(|line| {
            let bytes = line.strip_prefix("grew by ")?.strip_suffix(" bytes")?;
            bytes.parse::<usize>().ok()
        });
        let bytes = bytes.unwrap_or_else(|| panic!("{what}: {output}"));
        println!("{what}: {bytes}");
        let most = LOG_BYTES / 100 * (100 + more);
        assert!(
            (LOG_BYTES / 10 * 7..most).contains(&bytes),
            "{what}: {bytes}"
        );
    }
}
