//! The page on a server that asks for tokens, in a real browser.

use serde_json::json;

use crate::support::{Client, Issuer, Page, TestServer, soon};

#[test]
fn a_token_in_the_address_says_who_it_is_and_is_hidden_at_once() {
    let issuer = Issuer::es256();
    let server = issuer.serve();
    let token = issuer.token("Ann Ö");
    let page = Page::open(&server, &format!("/#token={token}&room=attic"));
    page.has("Join");
    assert_eq!(page.value("location.hash"), json!("#attic"));
    assert_eq!(page.value("find('Name').value"), json!("Ann Ö"));
    assert_eq!(page.value("find('Name').readOnly"), json!(true));
    page.says("Your token says who you are.");
    page.value("(document.querySelector('summary').click(), 0)");
    page.fill("E-mail", "ann@example.org");
    page.press("Join");
    page.say("hello");
    page.shows("hello");
    page.until("document.title.includes('attic')");
    let kept = page.value("JSON.stringify(localStorage)");
    assert!(
        !kept.as_str().unwrap().contains(&token),
        "only for this tab"
    );
    // A reload leads back, and another window takes over.
    page.reload();
    page.has("Message");
    page.shows("hello");
    let other = Page::open(&server, &format!("/#token={token}&room=attic"));
    other.press("Join");
    other.has("Message");
    page.says("another window");
    // What is said shows the picture of the address that was given.
    let target = format!("/ws?user=bob&room=attic&token={}", issuer.token("bob"));
    let mut bob = Client::connect(server.addr(), &format!("{target}&history=1"));
    bob.gets(json!({"type": "welcome"}));
    bob.gets(json!({"type": "joined"}));
    bob.gets(json!({"type": "chat", "userId": "Ann Ö", "avatar": null}));
}

#[test]
fn the_page_finds_the_name_in_the_claim_that_the_server_is_set_to() {
    let issuer = Issuer::rs256();
    let server = TestServer::with(|config| {
        config.jwt_key = Some(issuer.file());
        config.jwt_name = Some("preferred_username".into());
    });
    let sub = "f81d4fae-7dec-11d0-a765-00a0c91e6bf6";
    let token = issuer.sign(json!({"sub": sub, "preferred_username": "Ann Ö"}));
    let page = Page::open(&server, &format!("/#token={token}"));
    page.has("Join");
    assert_eq!(page.value("find('Name').value"), json!("Ann Ö"));
    page.press("Join");
    page.say("hello");
    page.shows("hello");
    page.reload();
    page.has("Message");
    page.shows("hello");
}

#[test]
fn without_a_token_the_page_says_that_one_is_needed() {
    let issuer = Issuer::hs256();
    let server = issuer.serve();
    let page = Page::open(&server, "/");
    page.fill("Name", "ann");
    page.press("Join");
    page.says("This chat needs a token");
    let old = issuer.sign(json!({"sub": "ann", "exp": soon(-60)}));
    let page = Page::open(&server, &format!("/#token={old}"));
    page.press("Join");
    page.says("Your token has expired");
    let bad = format!("{}x", issuer.token("ann"));
    let page = Page::open(&server, &format!("/#token={bad}"));
    page.press("Join");
    page.says("does not accept your token");
    // The address that one is given then is enough, in the same tab.
    let good = issuer.token("ann");
    page.value(&format!("(location.hash = '#token={good}', 0)"));
    page.until("!location.hash.includes('token')");
    page.press("Join");
    page.has("Message");
}

#[test]
fn when_the_token_expires_the_page_says_so_and_keeps_the_conversation() {
    let issuer = Issuer::hs256();
    let server = issuer.serve();
    let token = issuer.sign(json!({"sub": "ann", "exp": soon(15 - 30)}));
    let page = Page::open(&server, &format!("/#token={token}"));
    page.press("Join");
    page.say("before the end");
    page.says("Your token has expired");
    page.shows("before the end");
}

#[test]
fn the_rooms_that_the_token_names_are_offered() {
    let issuer = Issuer::hs256();
    let server = issuer.serve();
    let token = issuer.sign(json!({"sub": "ann", "rooms": ["attic", "cellar"]}));
    let page = Page::open(&server, &format!("/#token={token}"));
    page.press("Join");
    page.say("hello");
    page.shows("hello");
    page.until("document.title.includes('attic')");
    let offered =
        page.value("[...find('Join another room').list.options].map(({ value }) => value)");
    assert_eq!(offered, json!(["attic", "cellar"]));
    page.fill("Join another room", "cellar");
    page.press("Go");
    page.until("document.title.includes('cellar')");
    page.say("hello here, too");
    page.shows("hello here, too");
}

#[test]
fn a_room_that_the_token_excludes_is_reported_at_its_field() {
    let issuer = Issuer::hs256();
    let server = issuer.serve();
    let token = issuer.sign(json!({"sub": "ann", "rooms": ["attic"]}));
    let page = Page::open(&server, &format!("/#token={token}&room=lobby"));
    page.press("Join");
    page.says("lobby: your token is not for this room.");
    page.fill("Room", "attic");
    page.press("Join");
    page.say("hello");
    page.shows("hello");
    page.fill("Join another room", "cellar");
    page.press("Go");
    page.says("cellar: your token is not for this room");
    page.until("document.title.includes('attic')");
    page.say("still here");
    page.shows("still here");
}
