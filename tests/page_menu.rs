//! The menu of a message or a person on the page: for moderators, for one's own words, for peace and quiet.

use serde_json::json;

use crate::page_moderation::with_token;
use crate::support::{Issuer, Page, TestServer, open_to_guests};

/// What the menu offers.
const OFFERS: &str =
    "[...document.querySelectorAll('[role=menuitem]')].map((item) => item.innerText).join(', ')";

/// Opens the menu of the message with this text.
#[track_caller]
fn menu_of(page: &Page, text: &str) {
    page.shows(text);
    let message = format!(
        "[...document.querySelectorAll('.message')].find((e) => e.innerText.includes({text:?}))"
    );
    // It comes where the mouse is.
    let middle = format!(
        "(({{ x, y, height }}) => ({{ x: Math.round(x) + 60, y: Math.round(y + height) - 10 }}))({message}.getBoundingClientRect())"
    );
    page.mouse("pointerMove", &page.value(&middle));
    page.until(&format!(
        "{message}.contains(document.querySelector('.log .more'))"
    ));
    page.value("(document.querySelector('.log .more').click(), 0)");
    page.until("document.getElementById('menu').open");
}

/// Opens the menu of somebody in the list of people.
#[track_caller]
fn menu_of_person(page: &Page, name: &str) {
    page.press(&format!("More about {name}"));
    page.until("document.getElementById('menu').open");
}

#[test]
fn moderators_keep_order_from_a_menu() {
    let issuer = Issuer::hs256();
    let server = TestServer::with(|config| open_to_guests(config, &issuer));
    let moderator = with_token(&server, &issuer, &json!({"sub": "mo", "mod": ["lobby"]}));
    let ann = with_token(&server, &issuer, &json!({"sub": "ann"}));
    keeps_order(&server, &moderator, &ann);
    moderator.say("/banned");
    moderator.shows(": insults)");
    menu_of(&moderator, "another one");
    moderator.press("Ban \u{2026}");
    moderator.press("Let back in");
    ann.shows("bob is no longer banned, by mo");
    // Nobody else is offered that, nor is she elsewhere.
    menu_of(&ann, "another one");
    assert_eq!(ann.value(OFFERS), json!("Write privately, Ignore"));
    moderator.fill("Join another room", "attic");
    moderator.press("Go");
    let mut bar = server.join_room("bar", "attic");
    bar.say("up here");
    menu_of(&moderator, "up here");
    assert_eq!(moderator.value(OFFERS), json!("Write privately, Ignore"));
}

/// The moderator mo takes back words of bob, mutes and removes bob, and somebody sees it.
pub fn keeps_order(server: &TestServer, moderator: &Page, witness: &Page) {
    let mut bob = server.join("bob");
    bob.say("an insult");
    bob.say("another one");
    menu_of(moderator, "an insult");
    let all = "Write privately, Take back, Ignore, Mute \u{2026}, Remove \u{2026}, Ban \u{2026}";
    assert_eq!(moderator.value(OFFERS), json!(all));
    moderator.press("Take back");
    witness.shows("taken back by mo");
    menu_of(moderator, "another one");
    moderator.press("Mute \u{2026}");
    moderator.value("(document.querySelector('#menu select').value = '3600', 0)");
    moderator.press("Mute");
    witness.shows("bob was muted for an hour, by mo");
    menu_of(moderator, "another one");
    moderator.press("Mute \u{2026}");
    moderator.press("Unmute");
    witness.shows("bob may speak again, by mo");
    // From the list of people, too.
    menu_of_person(moderator, "bob");
    moderator.press("Remove \u{2026}");
    moderator.fill("Why (optional)", "insults");
    moderator.key("Enter");
    witness.shows("bob was removed for 10 minutes, by mo: insults");
    bob.is_closed(4003);
}

#[test]
fn words_of_one_s_own_are_taken_back_from_the_menu() {
    let server = TestServer::start();
    takes_own_words_back(&server, &Page::join(&server, "ann"));
}

pub fn takes_own_words_back(server: &TestServer, ann: &Page) {
    let bob = Page::join(server, "bob");
    ann.shows("bob joined");
    ann.say("oops");
    bob.shows("oops");
    ann.until("!document.querySelector('.pending')");
    menu_of(ann, "oops");
    assert_eq!(ann.value(OFFERS), json!("Take back"));
    ann.press("Take back");
    bob.shows("taken back");
    ann.shows("taken back");
    ann.say("/msg bob oops again");
    bob.press_containing("ann");
    bob.shows("oops again");
    ann.until("!document.querySelector('.pending')");
    menu_of(ann, "oops again");
    ann.press("Take back");
    bob.until("!document.querySelector('.log').innerText.includes('oops again')");
    ann.until("!document.querySelector('.log').innerText.includes('oops again')");
}

#[test]
fn who_is_ignored_is_not_seen_until_that_is_ended() {
    let server = TestServer::start();
    ignores_somebody(&server, &Page::join(&server, "ann"));
}

pub fn ignores_somebody(server: &TestServer, ann: &Page) {
    let mut eve = server.join("Eve");
    let mut peer = server.join("foo");
    eve.say("nonsense");
    menu_of(ann, "nonsense");
    ann.press("Ignore");
    ann.until("!document.querySelector('.log').innerText.includes('nonsense')");
    // Not elsewhere, in private or after a reload either.
    ann.fill("Join another room", "attic");
    ann.press("Go");
    ann.until("location.hash === '#attic'");
    eve.say("more nonsense");
    eve.say("/msg ann private nonsense");
    eve.is_taken();
    peer.say("the end");
    ann.until("document.title.startsWith('(1)')");
    ann.press_containing("lobby");
    ann.shows("the end");
    ann.reload();
    ann.shows("the end");
    assert_eq!(ann.count("nonsense"), 0);
    assert_eq!(
        ann.value("document.querySelectorAll('#talk-list li').length"),
        json!(0)
    );
    // She stays in the list when she has left, so that she is found again.
    eve.leave();
    ann.shows("Eve left");
    menu_of_person(ann, "Eve");
    ann.press("No longer ignore");
    ann.shows("more nonsense");
    ann.until("!find('More about Eve')");
}

#[test]
fn the_menu_is_used_with_the_keyboard_alone() {
    let server = TestServer::start();
    is_used_with_the_keyboard(&server, &Page::join(&server, "ann"));
}

pub fn is_used_with_the_keyboard(server: &TestServer, ann: &Page) {
    let mut peer = server.join("foo");
    for n in 0..3 {
        peer.say(&format!("line {n}"));
    }
    ann.shows("line 2");
    // It is at the last message when the conversation has the focus; the arrows lead to the others.
    ann.value("(document.querySelector('.log').focus(), 0)");
    ann.until("document.querySelector('.message:last-child').contains(document.querySelector('.log .more'))");
    ann.key("Tab");
    ann.until("document.activeElement.matches('.message:last-child .more')");
    ann.key("ArrowUp");
    let at = "document.activeElement.closest('.message')?.innerText.includes('line 1')";
    ann.until(at);
    ann.key("Enter");
    ann.until("document.activeElement.innerText === 'Write privately'");
    ann.key("ArrowDown");
    ann.until("document.activeElement.innerText === 'Ignore'");
    ann.key("Escape");
    ann.until("!document.getElementById('menu').open");
    ann.until(at);
    ann.key("Enter");
    ann.key("Enter");
    ann.until("document.activeElement === find('Message') && location.hash === '#%40foo'");
}
