//! The page in Firefox, and by `make page-test` in WebKit: what people do on it most.

use serde_json::json;

use crate::support::{Page, TestServer};

/// Somebody in the lobby, if there is such a browser.
fn join(server: &TestServer) -> Option<Page> {
    let page = Page::open_elsewhere(server, "/")?;
    page.fill("Name", "ann");
    page.key("Enter");
    page.has("Message");
    Some(page)
}

#[test]
fn people_talk_and_emoji_and_links_are_shown() {
    let server = TestServer::start();
    let Some(ann) = join(&server) else { return };
    let mut bob = server.join("bob");
    ann.shows("bob joined");
    ann.say("hello bob");
    bob.hears("ann: hello bob");
    bob.say("see https://example.org/a_(b), @ann :robot:");
    ann.shows("see https://example.org/a_(b), @ann \u{1f916}");
    let link = "document.querySelector('.text a')";
    assert_eq!(
        ann.value(&format!("{link}.href")),
        json!("https://example.org/a_(b)")
    );
    assert_eq!(
        ann.value("document.querySelector('.mention.me').innerText"),
        json!("@ann")
    );
    ann.fill("Message", "look: :robo");
    ann.until("!!document.querySelector('[role=option]')?.checkVisibility()");
    ann.key("Enter");
    ann.until("find('Message').value.includes('\u{1f916}')");
    ann.key("Enter");
    bob.hears("ann: look: \u{1f916}");
}

#[test]
fn a_private_conversation_has_a_row_and_a_past() {
    let server = TestServer::start();
    let Some(ann) = join(&server) else { return };
    let mut bob = server.join("bob");
    ann.shows("bob joined");
    bob.say("/msg ann psst");
    ann.until("/bob\\s*1/.test(document.querySelector('nav').innerText)");
    ann.press_containing("bob");
    ann.shows("psst");
    ann.say("just for you");
    bob.hears("ann (private): just for you");
    ann.press_containing("lobby");
    assert_eq!(ann.count("psst"), 0, "it is not said in the room");
}

#[test]
fn who_comes_back_misses_nothing_and_loses_nothing() {
    let server = TestServer::start();
    let Some(ann) = join(&server) else { return };
    ann.say("before");
    ann.shows("before");
    ann.reload();
    ann.has("Message");
    ann.shows("before");
    let addr = server.addr();
    server.stop();
    ann.says("No connection, trying again.");
    ann.say("while it was away");
    let server = TestServer::with(|config| config.listen = vec![addr]);
    let mut bob = server.join("bob");
    bob.hears_at_last("ann: while it was away");
    bob.say("welcome back");
    ann.shows("welcome back");
    assert_eq!(ann.count("while it was away"), 1);
}

#[test]
fn it_opens_without_a_connection() {
    let server = TestServer::start();
    let Some(ann) = join(&server) else { return };
    ann.runs("await navigator.serviceWorker.ready");
    ann.until("navigator.serviceWorker.ready.then(({ active }) => active.state === 'activated')");
    server.stop();
    ann.reload();
    ann.has("Message");
    ann.says("No connection, trying again. What you write is kept.");
}
