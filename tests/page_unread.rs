//! Where the new begins on the page, and when it counts as seen.

use serde_json::json;

use crate::support::{Client, Page, TestServer};

const LOG: &str = "document.querySelector('[role=log]')";

/// The text of the first message below the line, or null without a line.
const FIRST_BELOW: &str = "(document.querySelector('.new')?.nextElementSibling.querySelector('.text').firstChild.textContent ?? null)";

/// Whether the end is in view.
const AT_END: &str = "((log) => log.scrollHeight - log.scrollTop - log.clientHeight < 40)(document.querySelector('[role=log]'))";

/// How much is unread, as the title says.
#[track_caller]
fn counts(page: &Page, unread: u32) {
    let count = match unread {
        0 => "!document.title.startsWith('(')".to_string(),
        _ => format!("document.title.startsWith('({unread})')"),
    };
    page.until(&count);
}

fn says_lines(client: &mut Client, count: u32) {
    for n in 0..count {
        client.say(&format!("line {n}"));
    }
    client.is_taken();
}

/// The window is there, and another one has the keyboard.
fn focus(page: &Page, has_focus: bool) {
    page.has_focus(has_focus);
    let event = if has_focus { "focus" } else { "blur" };
    page.value(&format!("(Object.defineProperty(document, 'hasFocus', {{ configurable: true, value: () => {has_focus} }}), dispatchEvent(new Event({event:?})), 0)"));
}

/// Another tab is in front of it.
fn hide(page: &Page, is_hidden: bool) {
    page.value(&format!("(Object.defineProperty(document, 'hidden', {{ configurable: true, value: {is_hidden} }}), document.dispatchEvent(new Event('visibilitychange')), 0)"));
}

#[test]
fn a_room_opens_where_the_new_begins() {
    let server = TestServer::with(|config| config.rate = 0);
    opens_a_room_with_news(&server, &Page::join(&server, "ann"));
}

pub fn opens_a_room_with_news(server: &TestServer, ann: &Page) {
    let mut bob = server.join("bob");
    bob.say("old");
    ann.shows("old");
    assert_eq!(ann.value(FIRST_BELOW), json!(null));
    ann.fill("Join another room", "attic");
    ann.press("Go");
    ann.until("location.hash === '#attic'");
    says_lines(&mut bob, 60);
    counts(ann, 60);
    ann.press_containing("lobby");
    ann.until(&format!("{FIRST_BELOW} === 'line 0'"));
    let top = format!(
        "document.querySelector('.new').getBoundingClientRect().top - {LOG}.getBoundingClientRect().top"
    );
    ann.until(&format!("Math.abs({top}) < 30"));
    // There is more than a screen of it, so it is not all seen yet.
    counts(ann, 60);
    ann.press("60 new messages");
    ann.until(AT_END);
    counts(ann, 0);
    ann.until("!document.getElementById('newer').checkVisibility()");
    // The line stays until something else is new, or somebody has answered.
    assert_eq!(ann.value(FIRST_BELOW), json!("line 0"));
    ann.say("I see");
    ann.until(&format!("{FIRST_BELOW} === null"));
}

#[test]
fn what_a_window_without_focus_shows_is_not_seen_yet() {
    let server = TestServer::start();
    waits_for_the_focus(&server, &Page::join(&server, "ann"));
}

pub fn waits_for_the_focus(server: &TestServer, ann: &Page) {
    let mut peer = server.join("foo");
    peer.say("seen");
    ann.shows("seen");
    counts(ann, 0);
    focus(ann, false);
    peer.say("first");
    peer.say("second");
    ann.shows("second");
    counts(ann, 2);
    assert_eq!(ann.value(FIRST_BELOW), json!("first"));
    focus(ann, true);
    counts(ann, 0);
    assert_eq!(ann.value(FIRST_BELOW), json!("first"));
    // The next time it begins further down.
    focus(ann, false);
    peer.say("third");
    counts(ann, 1);
    ann.until(&format!("{FIRST_BELOW} === 'third'"));
    assert_eq!(
        ann.value("document.querySelectorAll('.new').length"),
        json!(1)
    );
}

#[test]
fn who_comes_back_to_a_hidden_tab_begins_with_what_is_new() {
    let server = TestServer::with(|config| config.rate = 0);
    begins_with_news_after_a_hidden_tab(&server, &Page::join(&server, "ann"));
}

pub fn begins_with_news_after_a_hidden_tab(server: &TestServer, ann: &Page) {
    let mut peer = server.join("foo");
    says_lines(&mut peer, 30);
    ann.shows("line 29");
    hide(ann, true);
    says_lines(&mut peer, 60);
    counts(ann, 60);
    hide(ann, false);
    let line = format!(
        "document.querySelector('.new').getBoundingClientRect().top - {LOG}.getBoundingClientRect().top"
    );
    ann.until(&format!("Math.abs({line}) < 30"));
    counts(ann, 60);
    ann.value(&format!("({LOG}.scrollTop = {LOG}.scrollHeight, 0)"));
    counts(ann, 0);
}

#[test]
fn there_is_a_way_to_the_end_from_further_up() {
    let server = TestServer::with(|config| config.rate = 0);
    goes_to_the_end(&server, &Page::join(&server, "ann"));
}

pub fn goes_to_the_end(server: &TestServer, ann: &Page) {
    let mut peer = server.join("foo");
    says_lines(&mut peer, 60);
    ann.shows("line 59");
    ann.until(AT_END);
    ann.until("!document.getElementById('newer').checkVisibility()");
    ann.value(&format!("({LOG}.scrollTop = 100, 0)"));
    ann.has("To the end");
    peer.say("news");
    ann.has("1 new message");
    counts(ann, 1);
    ann.press("1 new message");
    ann.until(AT_END);
    counts(ann, 0);
    ann.until("!document.getElementById('newer').checkVisibility()");
    ann.until("document.activeElement === find('Message')");
}

#[test]
fn what_was_not_seen_is_new_after_a_reload_too() {
    let server = TestServer::start();
    keeps_news_over_a_reload(&server, &Page::join(&server, "ann"));
}

pub fn keeps_news_over_a_reload(server: &TestServer, ann: &Page) {
    let mut peer = server.join("foo");
    peer.say("seen");
    ann.shows("seen");
    ann.fill("Join another room", "attic");
    ann.press("Go");
    ann.until("location.hash === '#attic'");
    peer.say("one");
    peer.say("two");
    counts(ann, 2);
    ann.reload();
    ann.has("Message");
    counts(ann, 2);
    ann.press_containing("lobby");
    ann.until(&format!("{FIRST_BELOW} === 'one'"));
    counts(ann, 0);
}
