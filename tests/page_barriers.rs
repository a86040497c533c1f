//! What keeps people from using the page, as axe-core finds it: on each of its screens, in both themes.

use std::fs;
use std::sync::OnceLock;

use serde_json::json;

use crate::page_moderation::with_token;
use crate::support::{Client, Issuer, Nginx, Page, TestServer, soon};

/// axe-core, if it could be had.
fn axe() -> Option<&'static str> {
    static AXE: OnceLock<Option<String>> = OnceLock::new();
    let path = "target/tools/axe.min.js";
    AXE.get_or_init(|| fs::read_to_string(path).ok()).as_deref()
}

/// Looks at a screen in both themes.
#[track_caller]
fn has_no_barriers(page: &Page, screen: &str) {
    let Some(axe) = axe() else {
        eprintln!("there is no axe-core here: make tools");
        return;
    };
    if page.value("typeof axe") != "object" {
        page.does("Runtime.evaluate", json!({"expression": axe}));
    }
    for theme in ["light", "dark"] {
        let features = json!([
            {"name": "prefers-color-scheme", "value": theme},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]);
        page.does("Emulation.setEmulatedMedia", json!({"features": features}));
        let found = page.runs(
            "const { violations, passes } = await axe.run(document, { preload: false });
             if (!passes.length) return 'it has looked at nothing';
             // While the list is open, the field is what no textarea may be called, but what it is.
             const isKnown = ({ id }, { target }) => id === 'aria-allowed-role' && String(target) === '#message';
             return JSON.stringify(violations.flatMap((violation) => violation.nodes
                 .filter((node) => !isKnown(violation, node))
                 .map(({ target, failureSummary }) => `${violation.id}, ${violation.help}: ${target}: ${failureSummary}`)), null, 1)",
        );
        assert_eq!(found, json!("[]"), "{screen}, {theme}: {found}");
    }
}

/// A room where everything that can be said has been said.
fn busy(server: &TestServer) -> (Page, Client) {
    let page = Page::join(server, "ann");
    let mut bob = server.join("bob");
    bob.say("hello @ann, see `code`, https://example.org and :robot:");
    bob.say("```\na program\n```");
    bob.say(&"a long message ".repeat(200));
    bob.say(":+1:");
    page.say("my own, with https://example.org and @bob");
    page.say("to be taken back");
    page.shows("taken back");
    page.until("!document.querySelector('.pending')");
    page.say("/delete");
    page.until("!document.querySelector('[role=log]').innerText.includes('to be taken back')");
    bob.say("/msg ann psst");
    page.until("document.querySelector('nav').innerText.includes('bob')");
    page.fill("Join another room", "attic");
    page.press("Go");
    page.says("only you");
    bob.say("while you were in the attic");
    page.until("/lobby\\s*1/.test(document.querySelector('nav').innerText)");
    (page, bob)
}

#[test]
fn at_the_door() {
    let server = TestServer::start();
    let page = Page::open(&server, "/");
    page.has("Join");
    has_no_barriers(&page, "the door");
    page.fill("Name", "a:b");
    page.press("Join");
    page.says("can’t be a name");
    has_no_barriers(&page, "a bad name");
    page.phone(390, 844);
    has_no_barriers(&page, "the door on a phone");
}

#[test]
fn without_a_token() {
    let issuer = Issuer::hs256();
    let server = issuer.serve();
    let old = issuer.sign(json!({"sub": "ann", "exp": soon(-60)}));
    let page = Page::open(&server, &format!("/#token={old}"));
    page.press("Join");
    page.says("expired");
    has_no_barriers(&page, "an old token");
}

#[test]
fn in_a_room() {
    let server = TestServer::with(|config| config.rate = 0);
    let (page, _bob) = busy(&server);
    has_no_barriers(&page, "an empty room");
    page.press_containing("lobby");
    page.shows("while you were in the attic");
    has_no_barriers(&page, "a room");
    page.fill("Message", "");
    page.types("so @bo");
    page.until("!!document.querySelector('[role=option]')");
    has_no_barriers(&page, "a completion");
    page.fill("Message", &"x".repeat(5000));
    page.says("too long");
    has_no_barriers(&page, "too long");
    page.fill("Message", "");
    page.value("(notify.showPopover(), 0)");
    has_no_barriers(&page, "notifications");
    page.value("(notify.hidePopover(), 0)");
    // It comes with the focus.
    page.value("(document.querySelector('[role=log]').focus(), 0)");
    let menu = "document.querySelector('.message [aria-haspopup]')";
    page.value(&format!("({menu}.click(), 0)"));
    page.until("!!document.querySelector('[role=menu]')");
    has_no_barriers(&page, "the menu of a message");
    page.press("Ignore");
    page.says("You no longer see what bob writes.");
    has_no_barriers(&page, "somebody is ignored");
    page.press("Emoji");
    page.has("Find an emoji");
    has_no_barriers(&page, "the grid of emoji");
}

#[test]
fn in_a_moderator_s_form() {
    let issuer = Issuer::hs256();
    let server = issuer.serve();
    let page = with_token(&server, &issuer, &json!({"sub": "mo", "mod": true}));
    let _ann = with_token(&server, &issuer, &json!({"sub": "ann"}));
    page.press("More about ann");
    has_no_barriers(&page, "the menu of a person");
    page.press("Remove \u{2026}");
    page.has("Why (optional)");
    has_no_barriers(&page, "the form");
    page.phone(390, 844);
    has_no_barriers(&page, "the form on a phone");
}

#[test]
fn in_private() {
    let server = TestServer::start();
    let (page, _bob) = busy(&server);
    page.press_containing("bob");
    page.shows("psst");
    has_no_barriers(&page, "a private conversation");
}

#[test]
fn on_a_phone() {
    let server = TestServer::start();
    let (page, _bob) = busy(&server);
    page.phone(390, 844);
    let opens = |drawer: &str| {
        page.until(&format!(
            "document.querySelector('.open').id === {drawer:?}"
        ))
    };
    page.press("Rooms, 2 unread");
    opens("rooms");
    has_no_barriers(&page, "the drawer of rooms");
    page.press("Close the list of rooms");
    page.press("People");
    opens("people");
    has_no_barriers(&page, "the drawer of people");
}

#[test]
fn in_an_outage() {
    let server = TestServer::start();
    let nginx = Nginx::before(server.addr());
    let page = Page::open_as("https", ([127, 0, 0, 1], nginx.tls).into(), "/");
    page.fill("Name", "ann");
    page.press("Join");
    page.say("before");
    page.shows("before");
    server.stop();
    page.says("(502)");
    page.say("meanwhile");
    page.shows("waiting");
    has_no_barriers(&page, "an outage");
}
