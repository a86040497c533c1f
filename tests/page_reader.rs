//! Where a reader is in a conversation on the page, and stays.

use serde_json::{Value, json};

use crate::page_history::{AT_END, LOG, draws, says_lines, until_text};
use crate::support::{Client, Page, TestServer};

#[test]
fn what_a_reader_looks_at_stays_while_the_oldest_messages_are_dropped() {
    let server = TestServer::with(|config| (config.rate, config.history) = (0, 3000));
    keeps_the_place_while_old_messages_are_dropped(&server, &Page::join(&server, "ann"));
}

pub fn keeps_the_place_while_old_messages_are_dropped(server: &TestServer, ann: &Page) {
    let mut peer = server.join("foo");
    says_lines(&mut peer, 0..900);
    until_text(ann, -1, "line 0899");
    ann.value(&format!("({LOG}.scrollTop -= 500, 0)"));
    draws(ann);
    // As many as are kept for a reader further up.
    says_lines(&mut peer, 900..2000);
    until_text(ann, -1, "line 1999");
    let top = "[...document.querySelectorAll('.text')].find((e) => e.firstChild.textContent === 'line 0895').getBoundingClientRect().top";
    let top = |page: &Page| page.value(top).as_f64().unwrap();
    let before = top(ann);
    says_lines(&mut peer, 2000..2300);
    until_text(ann, -1, "line 2299");
    until_text(ann, 0, "line 0300");
    draws(ann);
    let after = top(ann);
    assert!((before - after).abs() < 2.0, "{before} has become {after}");
}

/// The first message in view: its text, and how far below the top it begins.
const IN_VIEW: &str = "((log) => [...log.querySelectorAll('.message')]
    .map((e) => [e.querySelector('.text').firstChild.data, e.getBoundingClientRect().bottom, e.getBoundingClientRect().top])
    .filter(([, bottom]) => bottom > log.getBoundingClientRect().top)
    .map(([text, , top]) => [text, top - log.getBoundingClientRect().top])[0])(document.querySelector('.log'))";

fn in_view(page: &Page) -> (Value, f64) {
    let [text, top] = serde_json::from_value(page.value(IN_VIEW)).expect("a text and a place");
    let top: Value = top;
    (text, top.as_f64().unwrap())
}

/// The browser draws what has come into view, and knows then how high it is.
fn scrolls_up(page: &Page, pixels: u32) {
    page.value(&format!("({LOG}.scrollTop -= {pixels}, 0)"));
    draws(page);
    draws(page);
}

/// Ann comes to the end of 300 messages of any height, most of which were never in view.
fn comes_to_the_end_of_many(server: &TestServer, ann: &Page) -> Client {
    let mut peer = server.join("foo");
    ann.fill("Join another room", "attic");
    ann.press("Go");
    ann.until("location.hash === '#attic'");
    for n in 0..300 {
        peer.say(&format!("line {n:04} {}", "and more ".repeat(n % 7 * 6)));
    }
    ann.until("document.title.startsWith('(300)')");
    ann.press_containing("lobby");
    ann.press("300 new messages");
    ann.until("!find('300 new messages')");
    draws(ann);
    peer
}

#[test]
fn a_reader_further_up_is_at_the_same_place_after_another_room() {
    let server = TestServer::with(|config| config.rate = 0);
    finds_the_place_again(&server, &Page::join(&server, "ann"));
}

pub fn finds_the_place_again(server: &TestServer, ann: &Page) {
    let _foo = comes_to_the_end_of_many(server, ann);
    scrolls_up(ann, 5000);
    let (text, top) = in_view(ann);
    ann.press_containing("attic");
    ann.until("location.hash === '#attic'");
    ann.press_containing("lobby");
    ann.until("location.hash === '#lobby'");
    draws(ann);
    draws(ann);
    let (again, now) = in_view(ann);
    assert_eq!(again, text);
    assert!((now - top).abs() < 2.0, "{top} has become {now}");
}

#[test]
fn what_comes_into_view_above_moves_nothing_else() {
    let server = TestServer::with(|config| config.rate = 0);
    scrolls_by_what_was_asked_for(&server, &Page::join(&server, "ann"));
}

pub fn scrolls_by_what_was_asked_for(server: &TestServer, ann: &Page) {
    let _foo = comes_to_the_end_of_many(server, ann);
    for _ in 0..15 {
        let (text, top) = in_view(ann);
        let place = format!(
            "[...document.querySelectorAll('.message')].find((e) => e.querySelector('.text').firstChild.data === {text}).getBoundingClientRect().top - {LOG}.getBoundingClientRect().top"
        );
        scrolls_up(ann, 300);
        // On a busy machine it may take some frames until all heights are known.
        ann.until(&format!("Math.abs({place} - {top} - 300) < 2"));
    }
}

#[test]
fn words_out_of_view_are_copied_and_found() {
    let server = TestServer::with(|config| config.rate = 0);
    let ann = Page::join(&server, "ann");
    copies_words_out_of_view(&server, &ann);
    ann.value("(document.activeElement.blur(), getSelection().removeAllRanges(), 0)");
    assert_eq!(
        ann.value("window.find('line 0007', false, false, true)"),
        json!(true)
    );
    ann.until("getSelection().toString() === 'line 0007'");
}

pub fn copies_words_out_of_view(server: &TestServer, ann: &Page) {
    let _foo = comes_to_the_end_of_many(server, ann);
    assert_eq!(
        in_view(ann).0.as_str().map(|text| text > "line 0200"),
        Some(true)
    );
    ann.value(&format!("(getSelection().selectAllChildren({LOG}), 0)"));
    draws(ann);
    let copied = ann.value("getSelection().toString()");
    let copied = copied.as_str().unwrap();
    for n in [0, 100, 200, 299] {
        assert!(copied.contains(&format!("line {n:04} ")), "{n}");
    }
}

#[test]
fn who_goes_to_the_end_as_the_last_older_messages_come_stays_there() {
    let server = TestServer::with(|config| config.rate = 0);
    stays_at_the_end_that_is_gone_to(&server, &Page::join(&server, "ann"));
}

pub fn stays_at_the_end_that_is_gone_to(server: &TestServer, ann: &Page) {
    let mut peer = server.join("foo");
    says_lines(&mut peer, 0..100);
    until_text(ann, -1, "line 0099");
    ann.reload();
    until_text(ann, 0, "line 0050");
    // Each frame before the page does something in it.
    ann.value(&format!(
        "(function look() {{
            if (document.querySelector('.text').firstChild.data !== 'line 0000') return requestAnimationFrame(look);
            {LOG}.scrollTop = {LOG}.scrollHeight;
            globalThis.gone = true;
        }}(), {LOG}.scrollTop = 0)"
    ));
    ann.until(
        "globalThis.gone && document.body.innerText.includes('The conversation begins here.')",
    );
    draws(ann);
    peer.say("the end");
    ann.until(&format!("{LOG}.innerText.includes('the end') && {AT_END}"));
}

#[test]
fn what_becomes_shorter_further_up_takes_nobody_from_the_end() {
    let server = TestServer::with(|config| config.rate = 0);
    stays_at_the_end_below_changes(&server, &Page::join(&server, "ann"));
}

pub fn stays_at_the_end_below_changes(server: &TestServer, ann: &Page) {
    let mut peer = server.join("foo");
    says_lines(&mut peer, 0..100);
    until_text(ann, -1, "line 0099");
    ann.until("!find('To the end')?.checkVisibility()");
    // With each message, before it is drawn, and an earlier change is heard of only then.
    ann.value(&format!(
        "((chunk, height) => {{
            chunk.style.height = `${{height}}px`;
            new MutationObserver(() => {{
                chunk.style.height = `${{height -= 10}}px`;
                {LOG}.dispatchEvent(new Event('scroll'));
            }}).observe({LOG}, {{ childList: true, subtree: true }});
        }})({LOG}.querySelector('.chunk'), 1000)"
    ));
    draws(ann);
    for n in 100..120 {
        let text = format!("line {n:04}{}", " and more".repeat(30));
        peer.say(&text);
        until_text(ann, -1, &text);
        draws(ann);
        ann.until(AT_END);
    }
}
