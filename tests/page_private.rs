//! Private conversations on the page: a row, a badge and a past of their own.

use serde_json::json;

use crate::support::{Page, Proxy, TestServer};

const ROWS: &str = "document.querySelector('#talk-list').innerText.split(/\\s+/).join(' ').trim()";

/// Waits until the list of conversations reads like this: initials, a name, what is unread.
#[track_caller]
fn lists(page: &Page, rows: &str) {
    page.until(&format!("{ROWS} === {rows:?}"));
}

#[test]
fn a_private_message_waits_in_a_conversation_of_its_own() {
    let server = TestServer::start();
    has_a_conversation_for_each(&server, &Page::join(&server, "ann"));
}

pub fn has_a_conversation_for_each(server: &TestServer, ann: &Page) {
    let mut bob = server.join("bob");
    ann.shows("bob joined");
    bob.say("/msg ann psst");
    bob.say("/msg ann hey");
    lists(ann, "B bob 2 unread \u{d7}");
    ann.until("document.title.startsWith('(2)')");
    assert_eq!(ann.count("psst"), 0, "the room does not show it");
    ann.press_containing("bob");
    ann.shows("hey");
    lists(ann, "B bob \u{d7}");
    ann.says("only the two of you see this");
    // What is written there goes to bob alone, and what he answers appears there.
    let mut eve = server.join("eve");
    bob.hears("eve: has joined the chat!");
    ann.say("yes?");
    bob.hears("ann (private): yes?");
    bob.say("/msg ann just saying");
    ann.shows("just saying");
    bob.say("fence");
    eve.hears("bob: fence");
    // Closed, it comes back with the next message, and says nothing twice.
    ann.press("Close the conversation with bob");
    ann.until("location.hash === '#lobby'");
    lists(ann, "");
    bob.say("/msg ann one more thing");
    lists(ann, "B bob 1 unread \u{d7}");
    ann.press_containing("bob");
    ann.shows("one more thing");
    ann.shows("psst");
    assert_eq!(ann.count("psst") + ann.count("one more thing"), 2);
}

#[test]
fn a_name_in_a_message_or_in_the_list_opens_the_conversation() {
    let server = TestServer::start();
    opens_conversations(&server, &Page::join(&server, "ann"));
}

pub fn opens_conversations(server: &TestServer, ann: &Page) {
    let mut bob = server.join("Bob");
    bob.say("hello");
    ann.shows("hello");
    ann.value("(document.querySelector('.message .name').click(), 0)");
    ann.until("document.activeElement === find('Message')");
    ann.say("from the message");
    bob.hears("ann (private): from the message");
    ann.press_containing("lobby");
    ann.until("document.querySelector('aside').innerText.includes('Bob')");
    ann.value("(document.querySelector('aside li:last-child button').click(), 0)");
    ann.say("from the list");
    bob.hears("ann (private): from the list");
    ann.press_containing("lobby");
    ann.fill("Join another room", "@bob");
    ann.press("Go");
    ann.shows("from the list");
    lists(ann, "B Bob \u{d7}");
    // Also from a link, as it is written where he is seen.
    ann.press("Close the conversation with Bob");
    ann.value("(location.hash = '#@bob', 0)");
    lists(ann, "B Bob \u{d7}");
    ann.shows("from the list");
}

#[test]
fn a_conversation_has_its_past_after_a_reload_and_only_what_is_new_is_unread() {
    let server = TestServer::with(|config| config.rate = 0);
    has_a_past_after_a_reload(&server, &Page::join(&server, "ann"));
}

pub fn has_a_past_after_a_reload(server: &TestServer, ann: &Page) {
    let mut bob = server.join("bob");
    ann.shows("bob joined");
    for n in 0..60 {
        bob.say(&format!("/msg ann line {n}"));
    }
    lists(ann, "B bob 60 unread \u{d7}");
    ann.press_containing("bob");
    ann.shows("line 59");
    ann.say("I see");
    bob.hears("ann (private): I see");
    ann.until("!document.querySelector('.pending')");
    ann.press_containing("lobby");
    ann.value("(location.href = 'about:blank', 0)");
    ann.until("location.href === 'about:blank'");
    bob.say("/msg ann are you back?");
    ann.value("(history.back(), 0)");
    lists(ann, "B bob 1 unread \u{d7}");
    ann.press_containing("bob");
    ann.shows("are you back?");
    ann.shows("I see");
    // The last messages are all there, and have come a few at a time.
    ann.until("!document.querySelector('.older').textContent.includes('Loading')");
    ann.value("(document.querySelector('.log').scrollTop = 0, 0)");
    ann.shows("The conversation begins here.");
    let last =
        "[...document.querySelectorAll('.text')].slice(-2).map((e) => e.firstChild.textContent)";
    assert_eq!(ann.value(last), json!(["I see", "are you back?"]));
    // A reload within the conversation leads back to it.
    ann.reload();
    ann.shows("are you back?");
    lists(ann, "B bob \u{d7}");
    ann.say("yes");
    bob.hears_at_last("ann (private): yes");
}

#[test]
fn a_new_tab_lists_the_conversations_that_were_open() {
    let server = TestServer::start();
    let ann = Page::join(&server, "ann");
    let mut bob = server.join("Bob");
    let mut eve = server.join("eve");
    eve.say("/msg ann hi");
    bob.say("/msg ann psst");
    ann.press_containing("eve");
    ann.shows("hi");
    ann.press_containing("Bob");
    ann.shows("psst");
    ann.press("Close the conversation with eve");
    let goes_to = |path: &str| {
        let url = format!("http://{}{path}", server.addr());
        ann.does("Page.navigate", json!({"url": url}));
        ann.until(&format!(
            "location.href === {url:?} && document.readyState === 'complete'"
        ));
    };
    goes_to("/icon.svg");
    ann.value("(sessionStorage.clear(), 0)");
    goes_to("/");
    ann.press("Join");
    lists(&ann, "B Bob \u{d7}");
    ann.press_containing("Bob");
    ann.shows("psst");
}

#[test]
fn what_was_written_in_another_window_appears_here_too() {
    let server = TestServer::start();
    shows_what_another_window_wrote(&server, &Page::join(&server, "ann"));
}

pub fn shows_what_another_window_wrote(server: &TestServer, ann: &Page) {
    let mut bob = server.join("bob");
    ann.shows("bob joined");
    ann.say("/msg bob from here");
    bob.hears("ann (private): from here");
    let key = ann.value(
        "(dispatchEvent(new Event('pagehide')), JSON.parse(localStorage.natterjack).me.key)",
    );
    let mut phone = server.json();
    phone.put(json!({"type": "join", "room": "lobby", "user": "ann", "session": key}));
    ann.says("You are in this chat in another window now.");
    phone.put(json!({"type": "chat", "to": "bob", "text": "from the phone"}));
    bob.hears_at_last("ann (private): from the phone");
    ann.press("Use it here");
    ann.shows("from the phone");
    assert_eq!(
        (ann.count("from here"), ann.count("from the phone")),
        (1, 1)
    );
    lists(ann, "B bob \u{d7}");
}

#[test]
fn nothing_private_is_lost_or_shown_twice_while_the_connection_is_away() {
    let server = TestServer::start();
    let proxy = Proxy::to(server.addr().port());
    let ann = Page::join_at(proxy.addr(), "ann");
    let mut bob = server.join("bob");
    ann.shows("bob joined");
    ann.say("/msg bob one");
    bob.hears("ann (private): one");
    proxy.cut();
    ann.says("No connection");
    bob.say("/msg ann two");
    ann.say("three");
    proxy.heal();
    ann.value("(find('Try now')?.click(), 0)");
    bob.hears_at_last("ann (private): three");
    ann.shows("two");
    ann.until("!document.querySelector('.pending')");
    assert_eq!(
        ann.value("document.querySelectorAll('.message').length"),
        json!(3)
    );
}

#[test]
fn what_can_not_be_delivered_is_kept_with_the_reason() {
    let server = TestServer::start();
    keeps_what_is_not_delivered(&server, &Page::join(&server, "ann"));
}

pub fn keeps_what_is_not_delivered(_: &TestServer, ann: &Page) {
    ann.say("/msg nobody hello?");
    // Of what Firefox shows, invisible characters are no part.
    ann.until(
        "document.querySelector('.log').textContent.includes('nobody\u{2069} isn\u{2019}t here.')",
    );
    ann.shows("hello?");
    ann.press("Discard");
    ann.until("document.querySelectorAll('.message').length === 0");
}

#[test]
fn private_words_of_one_s_own_can_be_taken_back() {
    let server = TestServer::start();
    let ann = Page::join(&server, "ann");
    let bob = Page::join(&server, "bob");
    ann.shows("bob joined");
    ann.say("/msg bob my password");
    ann.until("!document.querySelector('.pending')");
    bob.press_containing("ann");
    bob.shows("my password");
    ann.say("/delete");
    bob.shows("taken back");
    ann.shows("taken back");
    assert_eq!(bob.count("my password") + ann.count("my password"), 0);
}
