//! Commands of moderators on the page, and what everybody sees of them.

use serde_json::json;

use crate::support::{Issuer, Page, TestServer, open_to_guests};

/// The page of somebody with a token.
pub fn with_token(server: &TestServer, issuer: &Issuer, claims: &serde_json::Value) -> Page {
    let page = Page::open(server, &format!("/#token={}", issuer.sign(claims.clone())));
    page.press("Join");
    page.is_in();
    page
}

#[test]
fn moderators_type_their_commands_and_everybody_reads_what_was_done() {
    let issuer = Issuer::hs256();
    let server = TestServer::with(|config| open_to_guests(config, &issuer));
    let moderator = with_token(&server, &issuer, &json!({"sub": "mo", "mod": true}));
    let ann = with_token(&server, &issuer, &json!({"sub": "ann"}));
    let mut foo = server.join("foo");
    ann.shows("foo joined");
    moderator.say("/banned");
    moderator.shows("Nobody is banned.");
    moderator.say("/mute foo 600 for good");
    moderator.says("It has to be /mute NAME [SECONDS].");
    moderator.say("/mute foo 600");
    ann.shows("foo was muted for 10 minutes, by mo");
    moderator.shows("foo was muted for 10 minutes, by mo");
    moderator.say("/mute foo 0");
    ann.shows("foo may speak again, by mo");
    moderator.say("/ban foo 9 times the same");
    ann.shows("foo was banned, by mo");
    foo.is_closed(4003);
    moderator.say("/banned");
    moderator.shows("Banned: foo (by mo: 9 times the same)");
    moderator.say("/Unban \u{201c}foo\u{201d}");
    ann.shows("foo is no longer banned, by mo");
    moderator.say("/kick ANN 60");
    ann.says("lobby: you were removed from this room.");
    moderator.shows("ANN was removed for a minute, by mo");
    moderator.say("/unban ann");
    moderator.shows("ann is no longer banned, by mo");
    ann.press("Join");
    ann.has("Message");
    // Nothing of this is a message, and nobody else may.
    ann.say("/kick mo 10 because");
    ann.until("document.querySelector('[role=status]').innerText !== ''");
    ann.say("fence");
    moderator.shows("fence");
    assert_eq!(
        moderator.value("[...document.querySelectorAll('.text')].map((e) => e.firstChild.data)"),
        json!(["fence"])
    );
}

#[test]
fn what_was_taken_back_is_no_longer_shown() {
    let issuer = Issuer::hs256();
    let server = TestServer::with(|config| open_to_guests(config, &issuer));
    let moderator = with_token(&server, &issuer, &json!({"sub": "mo", "mod": true}));
    let ann = with_token(&server, &issuer, &json!({"sub": "ann"}));
    let mut foo = server.join("foo");
    foo.say("an insult");
    ann.shows("an insult");
    moderator.shows("an insult");
    moderator.say("/delete Foo");
    ann.shows("taken back by mo");
    assert_eq!(ann.count("an insult"), 0);
    ann.say("/delete");
    ann.says("There is nothing to take back.");
    ann.say("my password");
    moderator.shows("my password");
    ann.until("!document.querySelector('.pending')");
    ann.say("/delete");
    moderator.until("!document.querySelector('[role=log]').innerText.includes('my password')");
    ann.until("!document.querySelector('[role=log]').innerText.includes('my password')");
    assert_eq!(moderator.count("taken back"), 2);
    assert_eq!(moderator.count("taken back by"), 1);
}

#[test]
fn who_is_removed_goes_to_another_room_and_is_asked_nothing() {
    let issuer = Issuer::hs256();
    let server = TestServer::with(|config| open_to_guests(config, &issuer));
    let moderator = with_token(&server, &issuer, &json!({"sub": "mo", "mod": true}));
    let ann = with_token(&server, &issuer, &json!({"sub": "ann"}));
    ann.fill("Join another room", "attic");
    ann.press("Go");
    ann.until("location.hash === '#attic'");
    ann.press_containing("lobby");
    ann.fill("Message", "half a word");
    ann.value("(globalThis.asked = 0, globalThis.confirm = () => { asked++; return false; }, 0)");
    moderator.shows("ann joined");
    moderator.say("/kick ann 7200");
    moderator.shows("ann was removed for 2 hours, by mo");
    ann.until("location.hash === '#attic' && find('Message').value === '' && asked === 0");
}
