//! How long a busy conversation keeps a slow phone from doing anything else. Run by `make bench-page`, on an
//! idle machine.

use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{Page, TestServer};

const ROOMS: [&str; 3] = ["lobby", "attic", "cellar"];
/// Messages in a minute, in all rooms together.
const MESSAGES: u32 = 1000;
/// So many in each room before: the page has begun to drop the oldest ones.
const BEFORE: u32 = 1100;
/// How much slower than this machine the phone is.
const SLOWER: u32 = 4;

fn text(n: u32) -> String {
    match n % 4 {
        0 => format!("{n}: yes 👍"),
        1 => format!("{n}: it is at https://example.com/a/page?of={n}, as you said"),
        2 => format!(
            "{n}: {}",
            "what somebody says at length, over some lines; ".repeat(5)
        ),
        _ => format!("{n}: then let us meet at the door at nine"),
    }
}

#[test]
#[ignore = "a benchmark"]
fn a_busy_conversation_on_a_slow_phone() {
    let server = TestServer::with(|config| config.rate = 0);
    let ann = Page::join(&server, "ann");
    for room in &ROOMS[1..] {
        ann.fill("Join another room", room);
        ann.press("Go");
        ann.is_in();
    }
    let mut people = ROOMS.map(|room| server.typed_in(&format!("foo-{room}"), room));
    for n in 0..BEFORE * 3 {
        let at = n as usize % ROOMS.len();
        people[at].says_in(ROOMS[at], &text(n));
    }
    ann.shows(&format!("{}: ", BEFORE * 3 - 1));
    let tasks = "globalThis.tasks = [], new PerformanceObserver((list) => tasks.push(...list.getEntries().map((task) => task.duration)))
        .observe({ type: 'longtask' }), 0";
    ann.value(&format!("({tasks})"));
    ann.does("Emulation.setCPUThrottlingRate", json!({"rate": SLOWER}));
    let began = Instant::now();
    for n in 0..MESSAGES {
        let due = began + Duration::from_secs(60) * n / MESSAGES;
        sleep(due.saturating_duration_since(Instant::now()));
        let at = n as usize % ROOMS.len();
        people[at].says_in(ROOMS[at], &text(BEFORE * 3 + n));
    }
    // The last but one is in the room that is shown.
    ann.shows(&format!("{}: ", BEFORE * 3 + MESSAGES - 2));
    ann.does("Emulation.setCPUThrottlingRate", json!({"rate": 1}));
    let [count, longest] = ["tasks.length", "Math.max(0, ...tasks)"].map(|it| ann.value(it));
    println!(
        "{MESSAGES} messages a minute in {} rooms, {SLOWER} x slower: {count} tasks of more than 50 ms, the longest took {longest} ms",
        ROOMS.len()
    );
}
