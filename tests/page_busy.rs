//! What the page does for each of many messages: little, and nothing that stays.

use serde_json::json;

use crate::page_history::AT_END;
use crate::support::{Client, Page, TestServer, say};

fn says_lines(client: &mut Client, numbers: std::ops::Range<usize>) {
    for n in numbers {
        client.say(&format!("line {n}"));
    }
    client.is_taken();
}

/// How many nodes and listeners there are, garbage left out.
fn size(page: &Page) -> [f64; 2] {
    page.does("HeapProfiler.collectGarbage", json!({}));
    let counters = page.does("Memory.getDOMCounters", json!({}));
    ["nodes", "jsEventListeners"].map(|name| counters[name].as_f64().unwrap())
}

#[test]
fn the_lists_are_drawn_once_for_messages_that_come_together() {
    let server = TestServer::with(|config| config.rate = 0);
    let ann = Page::join(&server, "ann");
    let mut foo = server.join("foo");
    ann.shows("foo joined");
    let count = "(name, node) => new MutationObserver(() => globalThis[name]++).observe(node, { childList: true, characterData: true, subtree: true })";
    ann.value(&format!("(globalThis.titles = globalThis.labels = 0, ({count})('titles', document.head), ({count})('labels', document.getElementById('newer')), 0)"));
    says_lines(&mut foo, 0..100);
    ann.shows("line 99");
    assert_eq!(
        ann.value("labels"),
        json!(0),
        "nobody needs a way to the end"
    );
    ann.fill("Join another room", "attic");
    ann.press("Go");
    ann.until("location.hash === '#attic' && titles > 0");
    ann.value("(titles = 0)");
    says_lines(&mut foo, 100..300);
    ann.until("document.title.startsWith('(200)')");
    let titles = ann.value("titles").as_u64().unwrap();
    assert!(titles < 200, "the title was written {titles} times");
}

#[test]
fn a_page_that_has_shown_thousands_of_messages_is_no_larger_than_before() {
    let server = TestServer::with(|config| config.rate = 0);
    let ann = Page::join(&server, "ann");
    let mut foo = server.join("foo");
    ann.shows("foo joined");
    let shown = |numbers: std::ops::Range<usize>, foo: &mut Client| {
        let last = format!("line {}", numbers.end - 1);
        says_lines(foo, numbers);
        ann.until(&format!(
            "[...document.querySelectorAll('.text')].at(-1)?.firstChild.data === {last:?}"
        ));
        size(&ann)
    };
    let [nodes, listeners] = shown(0..1500, &mut foo);
    let after = shown(1500..3700, &mut foo);
    assert!(
        after[0] < nodes * 1.05 && after[1] <= listeners,
        "{nodes} nodes and {listeners} listeners have become {after:?}"
    );
}

#[test]
fn who_is_at_the_end_stays_there_while_the_oldest_messages_are_dropped() {
    let server = TestServer::with(|config| config.rate = 0);
    stays_at_the_end(&server, &Page::join(&server, "ann"));
}

pub fn stays_at_the_end(server: &TestServer, ann: &Page) {
    let mut peer = server.typed_in("foo", "lobby");
    for n in 0..1300 {
        // Each is heard before the next one is said, so that a few come in each frame.
        say(&mut peer, &format!("line {n} {}", "and more ".repeat(20)));
    }
    ann.shows("line 1299");
    ann.until("document.querySelectorAll('.message').length < 1050");
    ann.until(AT_END);
}

#[test]
fn only_messages_near_the_view_are_laid_out() {
    let server = TestServer::with(|config| config.rate = 0);
    lays_out_what_is_near(&server, &Page::join(&server, "ann"));
}

pub fn lays_out_what_is_near(server: &TestServer, ann: &Page) {
    let mut peer = server.join("foo");
    ann.shows("foo joined");
    says_lines(&mut peer, 0..1000);
    ann.shows("line 999");
    let laid_out = "[...document.querySelectorAll('.message')].filter((e) => e.checkVisibility({ contentVisibilityAuto: true })).length";
    ann.until(&format!("{laid_out} < 300"));
    // What a reader goes to is.
    let first =
        "document.querySelector('.message').checkVisibility({ contentVisibilityAuto: true })";
    assert_eq!(ann.value(first), json!(false));
    ann.value("(document.querySelector('.log').scrollTop = 0, 0)");
    ann.until(first);
}

#[test]
fn older_messages_come_a_few_in_each_frame() {
    let server = TestServer::with(|config| config.rate = 0);
    let mut foo = server.join("foo");
    says_lines(&mut foo, 0..100);
    let ann = Page::join(&server, "ann");
    ann.shows("line 99");
    let count = "document.querySelectorAll('.message').length";
    ann.until(&format!("{count} === 50"));
    ann.value(&format!(
        "(globalThis.most = 0, function look(had) {{ const has = {count}; most = Math.max(most, has - had); requestAnimationFrame(() => look(has)); }}(50), 0)"
    ));
    ann.value("(document.querySelector('.log').scrollTop = 0, 0)");
    ann.until(&format!("{count} === 100"));
    let most = ann.value("most").as_u64().unwrap();
    assert!((1..=10).contains(&most), "{most} in one frame");
}
