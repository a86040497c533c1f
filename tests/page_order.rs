//! What moderators do and what is taken back, as the page shows it and as its client hands it on.

use serde_json::{Value, json};

use crate::support::{Client, Issuer, Page, TestServer, open_to_guests, say};

/// A server for guests, and a moderator in its lobby.
fn server_and_moderator() -> (TestServer, Client) {
    let issuer = Issuer::hs256();
    let server = TestServer::with(|config| open_to_guests(config, &issuer));
    let token = issuer.sign(json!({"sub": "mod", "mod": true}));
    let target = format!("/ws?user=mod&room=lobby&token={token}");
    let mut moderator = Client::connect(server.addr(), &target);
    moderator.gets(json!({"type": "welcome"}));
    moderator.gets(json!({"type": "joined"}));
    (server, moderator)
}

fn delete(id: &str) -> Value {
    json!({"type": "delete", "room": "lobby", "id": id})
}

#[test]
fn words_that_were_taken_back_are_no_longer_shown() {
    let (server, mut moderator) = server_and_moderator();
    let ann = Page::join(&server, "ann");
    let mut foo = server.typed_in("foo", "lobby");
    let oops = say(&mut foo, "oops");
    let spam = say(&mut foo, "spam");
    say(&mut foo, "fine");
    ann.shows("fine");
    foo.put(delete(&oops));
    moderator.put(delete(&spam));
    ann.shows("taken back by mod");
    assert_eq!((ann.count("oops"), ann.count("spam")), (0, 0));
    assert_eq!(ann.count("taken back"), 2);
    // Nor by somebody who comes later, also if these words were the last.
    let last = say(&mut foo, "the last word");
    foo.put(delete(&last));
    foo.gets_at_last(json!({"type": "deleted", "id": last}));
    let bob = Page::join(&server, "bob");
    bob.shows("fine");
    assert_eq!(bob.count("word") + bob.count("oops"), 0);
    foo.put(json!({"type": "chat", "room": "lobby", "text": "hello bob"}));
    bob.shows("hello bob");
}

#[test]
fn older_messages_are_found_behind_many_that_were_taken_back() {
    let (server, _) = server_and_moderator();
    let mut foo = server.typed_in("foo", "lobby");
    say(&mut foo, "the first word");
    for n in 0..120 {
        let id = say(&mut foo, &format!("spam {n}"));
        foo.put(delete(&id));
    }
    say(&mut foo, "the last word");
    let ann = Page::join(&server, "ann");
    ann.shows("the last word");
    ann.until("!!find('Show older messages')");
    ann.press("Show older messages");
    ann.shows("the first word");
    assert_eq!(ann.count("spam"), 0);
}

#[test]
fn the_client_hands_on_what_moderators_do_and_leaves_the_room_that_it_is_put_out_of() {
    let (server, mut moderator) = server_and_moderator();
    let page = Page::open(&server, "/");
    page.runs(
        "const { connect } = await import('/client.js');
         globalThis.heard = [];
         globalThis.chat = connect(new URL('/ws', location), { user: 'ann' });
         globalThis.lobby = await chat.join('lobby');
         await chat.join('attic');
         lobby.on('moderation', ({ action, user, by }) => heard.push(`${action} ${user} by ${by}`));
         lobby.on('deleted', ({ by }) => heard.push(`deleted by ${by}`));
         lobby.on('left', ({ code }) => heard.push(`left: ${code}`));
         globalThis.id = await lobby.say('spam');",
    );
    let id = page.value("id");
    moderator.put(delete(id.as_str().unwrap()));
    page.until("heard.length === 1");
    let mute = json!({"type": "mute", "room": "lobby", "user": "ann", "seconds": 600});
    moderator.put(mute);
    page.until("heard.length === 2");
    assert_eq!(page.runs("return lobby.say('may I?')"), json!("muted"));
    moderator.put(json!({"type": "kick", "room": "lobby", "user": "ann"}));
    page.until("heard.length === 4");
    let heard = page.value("heard.join(', ')");
    let expected = "deleted by mod, mute ann by mod, kick ann by mod, left: banned";
    assert_eq!(heard, json!(expected));
    assert_eq!(page.runs("return lobby.say('hello?')"), json!("closed"));
    assert_eq!(page.runs("return chat.join('lobby')"), json!("banned"));
    // It is in the other room all the same.
    let said = page.runs("return (await chat.join('attic')).say('up here')");
    assert!(said.as_str().unwrap().ends_with("-1"), "{said}");
}
