//! Finding rooms and people on the page, and inviting others.

use serde_json::json;

use crate::support::{Page, TestServer};

#[test]
fn long_lists_have_a_field_to_find_somebody_in_them() {
    let server = TestServer::start();
    finds_people(&server, &Page::join(&server, "ann"));
}

pub fn finds_people(server: &TestServer, ann: &Page) {
    let names = [
        "bob", "Cleo", "Dan", "eve", "foo", "Gus", "Hal", "ida", "Jo", "Kim",
    ];
    let _others = names.map(|name| server.join(name));
    ann.until("document.querySelector('aside').innerText.includes('Kim')");
    // Ten are no long list.
    assert_eq!(ann.value("!find('Find somebody')"), json!(true));
    let _more = server.join("Éloise");
    ann.has("Find somebody");
    let listed = "[...document.querySelectorAll('#people-list li')].slice(1).map((row) => row.querySelector('bdi').innerText)";
    for (typed, found) in [
        ("LE", json!(["Cleo"])),
        ("é", json!(["Éloise"])),
        ("i", json!(["Éloise", "ida", "Kim"])),
    ] {
        ann.fill("Find somebody", typed);
        ann.until(&format!(
            "JSON.stringify({listed}) === {:?}",
            found.to_string()
        ));
    }
    ann.fill("Find somebody", "zoe");
    ann.says("Nobody here is called that.");
    ann.fill("Find somebody", "");
    ann.until(&format!("{listed}.length === 11"));
}

#[test]
fn many_rooms_and_conversations_can_be_searched() {
    let server = TestServer::start();
    finds_rooms(&server, &Page::join(&server, "ann"));
}

pub fn finds_rooms(_: &TestServer, ann: &Page) {
    for n in 1..10 {
        ann.fill("Join another room", &format!("room {n}"));
        ann.press("Go");
        ann.until(&format!("location.hash === '#room%20{n}'"));
    }
    assert_eq!(
        ann.value("!find('Find a room or a conversation')"),
        json!(true)
    );
    ann.fill("Join another room", "@Bob 7");
    ann.press("Go");
    ann.fill("Find a room or a conversation", "7");
    let listed =
        "[...document.querySelectorAll('nav li')].map((row) => row.querySelector('bdi').innerText)";
    ann.until(&format!(
        "JSON.stringify({listed}) === '[\"room 7\",\"Bob 7\"]'"
    ));
    ann.press_containing("room 7");
    ann.until("location.hash === '#room%207'");
}

#[test]
fn the_address_of_a_room_is_copied_to_invite_somebody() {
    let server = TestServer::start();
    let ann = Page::join(&server, "ann");
    copies_the_address(&server, &ann);
    shows_the_address(&server, &ann);
}

pub fn copies_the_address(_: &TestServer, ann: &Page) {
    ann.press("Invite: copy the address of this room");
    ann.says("The address of this room is copied.");
}

/// Where a browser lends no clipboard, it can be copied by hand.
pub fn shows_the_address(server: &TestServer, ann: &Page) {
    let _bob = server.join("bob");
    ann.shows("bob joined");
    ann.value("(Object.defineProperty(navigator, 'clipboard', { value: undefined }), globalThis.prompt = (...asked) => (globalThis.asked = asked.join(' ')), 0)");
    ann.press("Invite: copy the address of this room");
    ann.until("asked === `The address of this room: ${location.origin}/#lobby`");
    // Nobody else is invited to a private conversation.
    ann.say("/msg bob psst");
    ann.until("!find('Invite: copy the address of this room')");
}
