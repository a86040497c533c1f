//! Writing on the page, in a real browser: commands, completion, what is too long.

use serde_json::json;

use crate::support::{Page, TestServer};

#[test]
fn a_command_is_obeyed_and_never_said_to_the_room() {
    let server = TestServer::start();
    obeys_commands(&server, &Page::join(&server, "ann"));
}

pub fn obeys_commands(server: &TestServer, ann: &Page) {
    let mut bob = server.join("bob");
    let mut eve = server.join("Eve O");
    ann.shows("bob and Eve O joined");
    bob.hears("Eve O: has joined the chat!");
    ann.say("/msg bob just for you");
    bob.hears("ann (private): just for you");
    ann.shows("just for you");
    // Phones begin with a capital and turn quotation marks.
    ann.say("/Msg \u{201c}Eve O\u{201d} two\nlines");
    eve.hears("ann (private): two\n  lines");
    // Without a text it waits for one.
    ann.say("/msg bob");
    ann.shows("just for you");
    ann.say("and another");
    bob.hears("ann (private): and another");
    ann.say("/who");
    ann.says("That can be asked in a room.");
    ann.press_containing("lobby");
    ann.say("/who");
    ann.shows("In lobby: ann, bob, Eve O");
    ann.say("/help");
    ann.shows("/msg NAME TEXT");
    ann.say("fence");
    bob.hears("ann: fence");
    eve.hears("ann: fence");
}

#[test]
fn what_only_looks_like_a_command_is_held_back_once() {
    let server = TestServer::start();
    holds_back_what_looks_like_a_command(&server, &Page::join(&server, "ann"));
}

pub fn holds_back_what_looks_like_a_command(server: &TestServer, ann: &Page) {
    let mut bob = server.join("bob");
    ann.shows("bob joined");
    for text in ["/mgs bob psst", "/msg"] {
        ann.say(text);
        ann.says("end it as it is?");
        assert_eq!(ann.value("find('Message').value"), json!(text));
        // What has been changed is looked at again.
        ann.types(" ");
        ann.until("!document.body.innerText.includes('end it as it is?')");
        ann.key("Enter");
        ann.says("end it as it is?");
        ann.key("Enter");
        bob.hears(&format!("ann: {text}"));
        assert_eq!(ann.value("find('Message').value"), json!(""));
    }
    // Paths and lines are no commands.
    ann.say("/usr/bin is a folder");
    bob.hears("ann: /usr/bin is a folder");
    ann.say("/ or \\");
    bob.hears("ann: / or \\");
}

#[test]
fn enter_takes_a_completion_only_if_it_is_meant() {
    let server = TestServer::start();
    takes_completions_that_are_meant(&server, &Page::join(&server, "ann"));
}

pub fn takes_completions_that_are_meant(server: &TestServer, ann: &Page) {
    let mut bob = server.join("bob");
    let opens = "!!document.querySelector('[role=option]')?.checkVisibility()";
    ann.shows("bob joined");
    bob.say("the names of emoji are loaded: :duck:");
    ann.shows("\u{1f986}");
    let chosen = "document.querySelectorAll('[aria-selected=true]').length";
    // Two letters may end a sentence.
    ann.types("so :so");
    ann.until(opens);
    assert_eq!(ann.value(chosen), json!(0));
    ann.key("Enter");
    bob.hears("ann: so :so");
    // With an arrow key, or three letters, it is meant.
    for (text, key) in [(":so", "ArrowDown"), (":so", "ArrowUp"), (":sob", "")] {
        ann.types(text);
        ann.until(opens);
        if !key.is_empty() {
            ann.key(key);
        }
        assert_eq!(ann.value(chosen), json!(1));
        ann.key("Enter");
        ann.until("/^[^:]+ $/.test(find('Message').value)");
        ann.key("Enter");
        ann.until("find('Message').value === ''");
        bob.next();
    }
    ann.types(":so");
    ann.until(opens);
    ann.key("Tab");
    ann.until("/^[^:]+ $/.test(find('Message').value)");
}

#[test]
fn megabytes_are_not_taken_into_the_field() {
    let server = TestServer::start();
    takes_no_megabytes(&server, &Page::join(&server, "ann"));
}

/// Pastes the value of an expression.
fn pastes(page: &Page, text: &str) {
    page.value(&format!(
        "(addEventListener('copy', (event) => {{
            event.clipboardData.setData('text/plain', {text});
            event.preventDefault();
        }}, {{ once: true }}), 0)"
    ));
    page.copies();
    page.pastes();
}

pub fn takes_no_megabytes(_: &TestServer, ann: &Page) {
    ann.fill("Message", "half a word");
    pastes(ann, "'5 MB '.repeat(1e6)");
    ann.says("too long for a message, which has at most 4,096 characters");
    assert_eq!(ann.value("find('Message').value"), json!("half a word"));
    // What is a little too long can be shortened.
    ann.fill("Message", "");
    pastes(ann, "'x'.repeat(5000)");
    ann.says("904 characters too long");
}

#[test]
fn an_emoji_is_chosen_from_a_grid() {
    let server = TestServer::start();
    offers_a_grid_of_emoji(&server, &Page::join(&server, "ann"));
}

pub fn offers_a_grid_of_emoji(server: &TestServer, ann: &Page) {
    let mut bob = server.join("bob");
    ann.shows("bob joined");
    bob.say("the names of emoji are loaded: :duck:");
    ann.shows("\u{1f986}");
    ann.types("look ");
    ann.press("Emoji");
    ann.press("frog");
    ann.until(
        "find('Message').value === 'look \u{1f438}' && document.activeElement === find('Message')",
    );
    // One that is not shown is found by its name.
    ann.press("Emoji");
    ann.until("document.activeElement === find('Find an emoji')");
    ann.types("octopus");
    ann.key("Enter");
    ann.until("document.activeElement === find('Message')");
    ann.key("Enter");
    bob.hears("ann: look \u{1f438}\u{1f419}");
    // Nothing chosen, nothing written, and the focus is back.
    ann.value("(find('Emoji').focus(), 0)");
    ann.press("Emoji");
    ann.key("Escape");
    ann.until("document.activeElement === find('Emoji') && find('Message').value === ''");
}

#[test]
fn on_a_phone_enter_breaks_the_line_unless_it_is_set_to_send() {
    let server = TestServer::start();
    let mut bob = server.join("bob");
    let ann = Page::open(&server, "/");
    ann.phone(390, 844);
    ann.does(
        "Emulation.setTouchEmulationEnabled",
        json!({"enabled": true}),
    );
    ann.reload();
    ann.fill("Name", "ann");
    ann.press("Join");
    bob.hears("ann: has joined the chat!");
    ann.fill("Message", "one");
    ann.key("Enter");
    ann.types("two");
    ann.until("find('Message').value === 'one\\ntwo' && find('Message').enterKeyHint === 'enter'");
    ann.press("Send");
    bob.hears("ann: one\n  two");
    ann.press("Rooms");
    ann.value("(find('Enter sends').click(), 0)");
    ann.reload();
    ann.fill("Message", "three");
    ann.key("Enter");
    bob.hears_at_last("ann: three");
}

#[test]
fn completions_leave_a_small_screen_room_for_the_conversation() {
    let server = TestServer::start();
    leaves_room_above_completions(&server, &Page::join(&server, "ann"));
}

pub fn leaves_room_above_completions(server: &TestServer, ann: &Page) {
    let mut bob = server.join("bob");
    bob.say("the names of emoji are loaded: :duck:");
    ann.shows("\u{1f986}");
    // A phone with its keyboard.
    ann.phone(390, 450);
    ann.types(":smi");
    ann.until("document.querySelectorAll('[role=option]').length === 8");
    ann.until("document.getElementById('completions').offsetHeight <= 150");
}
