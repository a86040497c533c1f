//! Earlier messages on the page: from before the user came, from an interruption, and further up.

use serde_json::{Value, json};

use crate::support::{Client, Page, Proxy, Redis, TestServer};

pub const LOG: &str = "document.querySelector('[role=log]')";

/// Whether the conversation is scrolled to its end.
pub const AT_END: &str = "((log) => log.scrollHeight - log.scrollTop - log.clientHeight < 2)(document.querySelector('[role=log]'))";

/// The texts of the conversation, in order, the page's own words left out.
fn texts(page: &Page) -> Vec<String> {
    let texts = format!(
        "JSON.stringify([...{LOG}.querySelectorAll('.text')].map((e) => e.firstChild.textContent))"
    );
    serde_json::from_str(page.value(&texts).as_str().unwrap()).unwrap()
}

/// Waits until the first message, 0, or the last, -1, is this one. Among a thousand messages the
/// browser finds it faster than what is visible.
#[track_caller]
pub fn until_text(page: &Page, at: i32, text: &str) {
    let message = format!("[...{LOG}.querySelectorAll('.text')].at({at})");
    page.until(&format!("{message}?.firstChild.textContent === {text:?}"));
}

fn lines(numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(|n| format!("line {n:04}")).collect()
}

pub fn says_lines(client: &mut Client, numbers: std::ops::Range<usize>) {
    for line in lines(numbers) {
        client.say(&line);
    }
    client.is_taken();
}

/// A newcomer counts how often something has been said.
fn said(server: &TestServer, text: &str) -> usize {
    let mut counter = server.typed("counter");
    counter.put(json!({"type": "join", "room": "lobby", "history": 100}));
    counter.put(json!({"type": "history", "room": "lobby", "limit": 100}));
    loop {
        let heard: Value = serde_json::from_str(&counter.next()).unwrap();
        if heard["type"] == "history" {
            let messages = heard["messages"].as_array().unwrap();
            let same = messages.iter().filter(|message| message["text"] == text);
            return same.count();
        }
    }
}

fn loses_its_connection(page: &Page, proxy: &Proxy) {
    proxy.cut();
    page.says("No connection");
}

fn comes_back(page: &Page, proxy: &Proxy) {
    proxy.heal();
    // It may have come back by itself.
    page.value("(find('Try now')?.click(), 0)");
    page.until("!document.body.innerText.includes('No connection')");
}

#[test]
fn a_newcomer_sees_earlier_messages_also_after_a_reload() {
    let server = TestServer::with(|config| config.rate = 0);
    let mut foo = server.join("foo");
    says_lines(&mut foo, 0..60);
    let ann = Page::join(&server, "ann");
    ann.shows("line 0059");
    assert_eq!(texts(&ann), lines(10..60));
    // It is not new to her.
    assert!(!ann.value("document.title").to_string().contains('('));
    assert_eq!(ann.value("document.querySelectorAll('.new').length"), 0);
    ann.say("I see");
    foo.hears_in_order(&["ann: has joined the chat!", "ann: I see"]);
    ann.fill("Join another room", "attic");
    ann.press("Go");
    ann.says("only you");
    ann.say("quiet up here");
    ann.press_containing("lobby");
    ann.shows("I see");
    ann.reload();
    ann.shows("I see");
    let mut expected = lines(11..60);
    expected.push("I see".into());
    assert_eq!(texts(&ann), expected);
    ann.press_containing("attic");
    ann.shows("quiet up here");
    assert_eq!(texts(&ann), ["quiet up here"]);
}

#[test]
fn after_an_interruption_no_message_is_missing_or_shown_twice() {
    let server = TestServer::start();
    let proxy = Proxy::to(server.addr().port());
    let mut foo = server.join("foo");
    let ann = Page::join_at(proxy.addr(), "ann");
    foo.hears("ann: has joined the chat!");
    // A room in which nothing was said yet has a past, too, once somebody has spoken.
    ann.fill("Join another room", "attic");
    ann.press("Go");
    ann.says("only you");
    ann.press_containing("lobby");
    ann.say("one");
    foo.hears("ann: one");
    foo.say("two");
    ann.shows("two");
    loses_its_connection(&ann, &proxy);
    foo.say("three");
    foo.say("four");
    let mut bar = server.join_room("bar", "attic");
    bar.say("up here");
    ann.say("five");
    ann.say("six");
    comes_back(&ann, &proxy);
    foo.hears_at_last("ann: five");
    foo.hears("ann: six");
    foo.say("seven");
    ann.shows("seven");
    ann.until("!document.querySelector('.pending')");
    let expected = ["one", "two", "three", "four", "five", "six", "seven"];
    assert_eq!(texts(&ann), expected);
    // What was said in the other room is unread.
    ann.until("/attic\\s*1/.test(document.querySelector('nav').innerText)");
    ann.press_containing("attic");
    ann.shows("up here");
    assert_eq!(texts(&ann), ["up here"]);
}

#[test]
fn new_messages_are_marked_until_the_user_writes() {
    let server = TestServer::start();
    let proxy = Proxy::to(server.addr().port());
    let mut foo = server.join("foo");
    let ann = Page::join_at(proxy.addr(), "ann");
    foo.say("before");
    ann.shows("before");
    loses_its_connection(&ann, &proxy);
    foo.say("meanwhile");
    comes_back(&ann, &proxy);
    ann.shows("meanwhile");
    let text = ann.value(&format!("{LOG}.innerText")).to_string();
    let places: Vec<_> = ["before", "New", "meanwhile"]
        .map(|part| text.find(part))
        .into();
    assert!(places[0].is_some() && places.is_sorted(), "{text}");
    ann.say("I am back");
    ann.until(&format!("!{LOG}.querySelector('.new')"));
}

#[test]
fn a_message_whose_acknowledgement_is_lost_appears_once() {
    let server = TestServer::start();
    let proxy = Proxy::to(server.addr().port());
    let mut foo = server.join("foo");
    let ann = Page::join_at(proxy.addr(), "ann");
    foo.hears("ann: has joined the chat!");
    // The same words may be said twice; these have been, and are not meant.
    ann.say("hello");
    foo.hears("ann: hello");
    // After these, she hears nothing more: not of the room, not in answer, nor files to be kept.
    foo.say("well?");
    ann.shows("well?");
    ann.say("/banned");
    ann.until("document.querySelector('[role=status]').innerText !== ''");
    ann.runs("await navigator.serviceWorker.ready");
    for again_by in ["a new connection", "a reload"] {
        // The first thing she would hear is kept from her, and all that follows.
        proxy.stall_after(0);
        ann.say("hello");
        foo.hears_at_last("ann: hello");
        assert_eq!(
            ann.value("document.querySelectorAll('.pending').length"),
            json!(1)
        );
        if again_by == "a reload" {
            proxy.heal();
            proxy.cut();
            proxy.heal();
            ann.reload();
            ann.has("Message");
        } else {
            loses_its_connection(&ann, &proxy);
            comes_back(&ann, &proxy);
        }
        foo.say(again_by);
        ann.shows(again_by);
        ann.until("!document.querySelector('.pending')");
    }
    let expected = [
        "hello",
        "well?",
        "hello",
        "a new connection",
        "hello",
        "a reload",
    ];
    assert_eq!(texts(&ann), expected);
    assert_eq!(said(&server, "hello"), 3);
}

#[test]
fn scrolling_up_loads_older_messages_and_keeps_the_position() {
    let server = TestServer::with(|config| config.rate = 0);
    let mut foo = server.join("foo");
    says_lines(&mut foo, 0..130);
    let ann = Page::join(&server, "ann");
    ann.shows("line 0129");
    ann.until(AT_END);
    assert_eq!(texts(&ann), lines(80..130));
    // Nobody has the past read out to them: while it comes, the log is not live.
    ann.until(&format!("{LOG}.getAttribute('aria-live') === 'polite'"));
    ann.value(&format!(
        "(globalThis.live = [], new MutationObserver(() => live.push({LOG}.getAttribute('aria-live'))).observe({LOG}, {{ childList: true }}), 0)"
    ));
    let first = format!(
        "[...{LOG}.querySelectorAll('.text')].find((e) => e.firstChild.textContent === 'line 0080').getBoundingClientRect().top"
    );
    let top = |page: &Page| page.value(&first).as_f64().unwrap();
    ann.value(&format!("({LOG}.scrollTop = 0, 0)"));
    let before = top(&ann);
    until_text(&ann, 0, "line 0030");
    assert_eq!(texts(&ann), lines(30..130));
    // Once more a frame later, when the browser has had its say.
    draws(&ann);
    let after = top(&ann);
    assert!((before - after).abs() < 2.0, "{before} has become {after}");
    assert_eq!(
        ann.value("live.length > 0 && live.every((live) => live === 'off')"),
        json!(true)
    );
    ann.until(&format!("{LOG}.getAttribute('aria-live') === 'polite'"));
    // The keyboard does it as well, and there is an end to it.
    ann.value("(find('Show older messages').focus(), 0)");
    ann.key("Enter");
    until_text(&ann, 0, "line 0000");
    ann.shows("The conversation begins here.");
    assert_eq!(texts(&ann), lines(0..130));
    ann.until("!find('Show older messages')");
    ann.until(&format!("{LOG}.contains(document.activeElement)"));
    foo.say("news");
    ann.shows("news");
    ann.press("1 new message");
    ann.until(AT_END);
}

/// Waits for a whole frame, so that the page has heard of a change of the scroll position.
#[track_caller]
pub fn draws(page: &Page) {
    page.value("(globalThis.drawn = false, requestAnimationFrame(() => requestAnimationFrame(() => drawn = true)), 0)");
    page.until("drawn");
}

#[test]
fn a_long_conversation_is_shortened() {
    let server = TestServer::with(|config| (config.rate, config.history) = (0, 2000));
    let ann = Page::join(&server, "ann");
    let mut foo = server.join("foo");
    says_lines(&mut foo, 0..1050);
    until_text(&ann, -1, "line 1049");
    ann.shows("line 1049");
    ann.until(&format!(
        "{LOG}.querySelectorAll('article').length === 1000"
    ));
    assert_eq!(texts(&ann), lines(50..1050));
    // Messages that were dropped can be loaded again.
    ann.value(&format!("({LOG}.scrollTop = 0, 0)"));
    until_text(&ann, 0, "line 0000");
    assert_eq!(texts(&ann), lines(0..1050));
    ann.value(&format!("({LOG}.scrollTop = {LOG}.scrollHeight, 0)"));
    draws(&ann);
    foo.say("line 1050");
    ann.until(&format!(
        "{LOG}.querySelectorAll('article').length === 1001"
    ));
    ann.shows("line 1050");
    assert_eq!(texts(&ann), lines(50..1051));
}

#[test]
fn the_page_says_when_older_messages_are_gone() {
    let server = TestServer::with(|config| config.history = 5);
    let proxy = Proxy::to(server.addr().port());
    let mut foo = server.join("foo");
    let ann = Page::join_at(proxy.addr(), "ann");
    foo.hears("ann: has joined the chat!");
    says_lines(&mut foo, 0..3);
    ann.shows("line 0002");
    loses_its_connection(&ann, &proxy);
    says_lines(&mut foo, 3..10);
    comes_back(&ann, &proxy);
    ann.shows("line 0009");
    let mut expected = lines(0..3);
    expected.extend(lines(5..10));
    assert_eq!(texts(&ann), expected);
    let text = ann.value(&format!("{LOG}.innerText")).to_string();
    let places: Vec<_> = [
        "line 0002",
        "Some messages may be missing here",
        "line 0005",
    ]
    .map(|part| text.find(part))
    .into();
    assert!(places[0].is_some() && places.is_sorted(), "{text}");
    assert_eq!(
        ann.value("document.querySelectorAll('.new').length"),
        0,
        "one line is enough"
    );
    // For who comes now, the end is higher up.
    let bob = Page::join(&server, "bob");
    bob.shows("line 0009");
    assert_eq!(texts(&bob), lines(5..10));
    assert_eq!(bob.count("missing"), 0);
    bob.press("Show older messages");
    bob.shows("Older messages are gone.");
    assert_eq!(texts(&bob), lines(5..10));
}

#[test]
fn while_redis_is_away_the_page_says_so_and_accepts_messages() {
    let mut redis = Redis::start();
    let server = TestServer::on(&redis);
    let ann = Page::join(&server, "ann");
    let mut foo = server.join("foo");
    let bar = server.join("bar");
    ann.until("document.querySelector('aside').innerText.includes('bar')");
    foo.hears("bar: has joined the chat!");
    let told =
        "document.querySelector('[role=status]').innerText.includes('Waiting for the server')";
    redis.kill();
    ann.until(told);
    bar.leave();
    ann.say("can anybody hear me?");
    ann.shows("waiting");
    redis.restart();
    ann.until(&format!("!{told}"));
    foo.hears_at_last("ann: can anybody hear me?");
    ann.until("!document.querySelector('.pending')");
    assert_eq!(texts(&ann), ["can anybody hear me?"]);
    // Who went meanwhile is no longer on the list.
    ann.until("!document.querySelector('aside').innerText.includes('bar')");
    assert_eq!(said(&server, "can anybody hear me?"), 1);
}

#[test]
fn messages_that_can_not_be_sent_do_not_wait_for_ever() {
    // Nothing is sent again by itself that the server has refused, not after a reload either.
    let server = TestServer::with(|config| config.rate = 1);
    let ann = Page::join(&server, "ann");
    // Someone's program cuts a text within a character.
    ann.fill("Message", "x");
    let half = r#"(() => { const field = find("Message"); field.value = "half \ud83d";
        field.dispatchEvent(new Event("input", { bubbles: true })); return 0; })()"#;
    ann.value(half);
    ann.key("Enter");
    ann.shows("half \u{fffd}");
    ann.until("!document.querySelector('.pending')");
    assert_eq!(said(&server, "half \u{fffd}"), 1);
    // All in one moment, however slow the machine is.
    let five = r#"(() => { const field = find("Message"); for (let n = 0; n < 5; n++) {
        field.value = `message ${n}`;
        field.dispatchEvent(new Event("input", { bubbles: true }));
        field.form.requestSubmit(); } return 0; })()"#;
    ann.value(five);
    ann.shows("too fast");
    ann.until("!document.querySelector('.pending')");
    let shown = texts(&ann);
    let refused = ann.count("too fast");
    ann.reload();
    ann.shows("message 0");
    ann.until("!document.querySelector('.pending')");
    assert_eq!(texts(&ann), shown);
    assert_eq!(ann.count("too fast"), refused);
}
