//! Writing from right to left on the page, in a real browser: it turns nothing else around.

use serde_json::json;

use crate::support::{Page, TestServer};

/// Where parts of the page's text are, from left to right: the parts in the order in which they are seen.
fn as_seen(page: &Page, within: &str, parts: &[&str]) -> Vec<String> {
    let script = format!(
        r#"((within, parts) => {{
            const walker = document.createTreeWalker(document.querySelector(within), NodeFilter.SHOW_TEXT);
            const nodes = [];
            while (walker.nextNode()) nodes.push(walker.currentNode);
            const left = (part) => {{
                const node = nodes.findLast((node) => node.data.includes(part));
                const range = document.createRange();
                range.setStart(node, node.data.lastIndexOf(part));
                range.setEnd(node, node.data.lastIndexOf(part) + part.length);
                return range.getBoundingClientRect().left;
            }};
            return parts.map((part) => [left(part), part]).sort(([a], [b]) => a - b).map(([, part]) => part);
        }})({}, {})"#,
        json!(within),
        json!(parts)
    );
    serde_json::from_value(page.value(&script)).unwrap()
}

#[test]
fn names_do_not_turn_sentences_around() {
    let server = TestServer::start();
    reads_names_of_both_directions(&server, &Page::join(&server, "ann"));
}

pub fn reads_names_of_both_directions(server: &TestServer, ann: &Page) {
    let (alef, bet) = ("אבא", "בן 1");
    let mut one = server.join(alef);
    let _two = server.join(bet);
    let _three = server.join("foo");
    one.hears(&format!("{bet}: has joined the chat!"));
    one.hears("foo: has joined the chat!");
    ann.shows(&format!("{alef}, {bet} and foo joined"));
    let sentence = [alef, ", ", bet, " and ", "foo", " joined"];
    assert_eq!(as_seen(ann, ".notice", &sentence), sentence);
    ann.says(&format!("foo, {alef} and {bet} are here."));
    let sentence = ["foo", ", ", alef, " and ", bet, " are here."];
    assert_eq!(as_seen(ann, "#empty-text", &sentence), sentence);
    ann.say(&format!("/msg \"{bet}\""));
    // The number in the name is to the left of its letters, as its owner reads it.
    ann.says(&format!("Only {bet} and you will see"));
    let sentence = ["Only ", "1", "בן", " and you"];
    assert_eq!(as_seen(ann, "#empty-text", &sentence), sentence);
    assert_eq!(as_seen(ann, "h1", &["בן", "1"]), ["1", "בן"]);
}

#[test]
fn texts_go_their_own_way_and_what_is_in_them_its_own() {
    let server = TestServer::start();
    reads_texts_of_both_directions(&server, &Page::join(&server, "ann"));
}

pub fn reads_texts_of_both_directions(server: &TestServer, ann: &Page) {
    let mut peer = server.join("foo");
    peer.say("ראה https://a.example/x/ או `b! c?` שלום");
    ann.shows("https://a.example/x/");
    // An address ends with its slash, code with its mark, and the time of day is no part of the text.
    assert_eq!(
        as_seen(ann, ".text a", &["https", "/x", "/"]),
        ["https", "/x", "/"]
    );
    assert_eq!(
        as_seen(ann, ".text code", &["b!", "c", "?"]),
        ["b!", "c", "?"]
    );
    assert_eq!(
        as_seen(ann, ".text", &["שלום", "או", "ראה"]),
        ["שלום", "או", "ראה"]
    );
    let time = ann.value("document.querySelector('.message time').innerText");
    let time: Vec<_> = time
        .as_str()
        .unwrap()
        .split([':', ' ', '\u{202f}'])
        .collect();
    assert_eq!(time.len(), 3, "hours, minutes, half of the day: {time:?}");
    assert_eq!(as_seen(ann, ".message time", &time), time);
    // Each line of a text, and of what is being written, too.
    peer.say("one\nשתיים!");
    ann.shows("שתיים!");
    assert_eq!(
        as_seen(ann, ".message:last-child .text", &["!", "שתיים"]),
        ["!", "שתיים"]
    );
    ann.fill("Message", "שלום");
    ann.until("getComputedStyle(find('Message')).direction === 'rtl'");
    ann.fill("Message", "hello");
    ann.until("getComputedStyle(find('Message')).direction === 'ltr'");
}

#[test]
fn names_are_counted_as_the_server_counts() {
    let server = TestServer::start();
    counts_names_as_the_server(&Page::open(&server, "/"));
}

pub fn counts_names_as_the_server(page: &Page) {
    page.fill("Name", &"名".repeat(22));
    page.press("Join");
    page.says("it has 66 bytes of at most 64");
    page.fill("Name", &"x".repeat(33));
    page.press("Join");
    page.says("it is longer than 32 characters");
    page.fill("Name", &"名".repeat(21));
    page.press("Join");
    page.has("Message");
    // A room's name is composed first.
    page.fill("Join another room", &"e\u{301}".repeat(22));
    page.press("Go");
    page.until("document.querySelector('h1').innerText.length === 22");
}
