//! How the page looks, in a real browser: contrast, small screens, long and strange texts, paper.

use serde_json::json;

use crate::support::{Client, Page, TestServer};

/// Texts that are hard to read: those with less than 4.5:1 against what is behind them (WCAG 1.4.3).
const PALE: &str = r#"(() => {
    const context = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    // Layers on each other, and what comes out: its luminance.
    const luminance = (layers) => {
        context.fillStyle = "white";
        for (const layer of ["white", ...layers]) {
            context.fillStyle = layer;
            context.fillRect(0, 0, 1, 1);
        }
        const [r, g, b] = [...context.getImageData(0, 0, 1, 1).data].map((value) =>
            value / 255 <= 0.04045 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const pale = [];
    for (const element of document.querySelectorAll("body *")) {
        const words = [...element.childNodes].filter((node) => node.nodeType === 3).map((node) => node.data.trim()).join("");
        if (!/[\p{L}\p{N}]/u.test(words) || !element.checkVisibility({ opacityProperty: true })) continue;
        const behind = [];
        for (let at = element; at; at = at.parentElement) behind.unshift(getComputedStyle(at).backgroundColor);
        const [a, b] = [luminance(behind), luminance([...behind, getComputedStyle(element).color])];
        const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        if (contrast < 4.5) pale.push(`${contrast.toFixed(2)}: ${words.slice(0, 40)}`);
    }
    return pale;
})()"#;

fn theme(page: &Page, scheme: &str) {
    let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
    page.does("Emulation.setEmulatedMedia", json!({"features": features}));
}

#[test]
fn every_text_can_be_read_in_both_themes() {
    let server = TestServer::with(|config| config.rate = 5);
    let ann = Page::join(&server, "ann");
    let mut foo = server.join("foo");
    ann.shows("foo joined");
    foo.say("see `code` at https://example.org");
    ann.say("my own, with https://example.org");
    foo.say("/msg ann psst, https://example.org");
    ann.until("!!document.querySelector('#talk-list .badge')?.checkVisibility()");
    // Some of these are too fast.
    let many = r#"(() => { const field = find("Message"); for (let n = 0; n < 40; n++) {
        field.value = `message ${n}`;
        field.dispatchEvent(new Event("input", { bubbles: true }));
        field.form.requestSubmit(); } return 0; })()"#;
    ann.value(many);
    ann.shows("too fast");
    ann.until("!document.querySelector('.pending')");
    ann.say("/nothing");
    ann.says("Send it as it is?");
    let can_be_read = || {
        for scheme in ["light", "dark"] {
            theme(&ann, scheme);
            assert_eq!(ann.value(PALE), json!([]), "{scheme}");
        }
    };
    can_be_read();
    ann.say("/msg foo for you");
    ann.shows("for you");
    can_be_read();
    let door = Page::open(&server, "/");
    door.press("Join");
    door.says("Please choose a name.");
    for scheme in ["light", "dark"] {
        theme(&door, scheme);
        assert_eq!(door.value(PALE), json!([]), "{scheme}");
    }
}

#[test]
fn send_can_be_reached_on_a_low_screen() {
    let server = TestServer::start();
    reaches_send(&server, &Page::join(&server, "ann"));
}

pub fn reaches_send(_: &TestServer, ann: &Page) {
    // 1280 by 1024 with 400 % zoom.
    ann.phone(320, 256);
    ann.fill("Message", "/nothing\n2\n3\n4\n5\n6\n7");
    ann.key("Enter");
    ann.says("Send it as it is?");
    for part in [
        "find('Send')",
        "find('Message')",
        "document.getElementById('message-hint')",
    ] {
        let place = format!("(({part}).getBoundingClientRect())");
        ann.until(&format!(
            "{place}.top >= 0 && {place}.bottom <= 256 && {place}.right <= document.documentElement.clientWidth"
        ));
    }
}

#[test]
fn a_long_message_is_folded_until_somebody_wants_to_read_it() {
    let server = TestServer::start();
    folds_long_messages(&server, &Page::join(&server, "ann"));
}

pub fn folds_long_messages(server: &TestServer, ann: &Page) {
    let mut peer = server.join("foo");
    let long: Vec<_> = (0..400).map(|n| format!("line {n}")).collect();
    peer.say(&long.join("\n"));
    ann.shows("line 399");
    let height = |page: &Page| {
        page.value("document.querySelector('.message').offsetHeight")
            .as_u64()
            .unwrap()
    };
    assert!(height(ann) < 400, "{}", height(ann));
    ann.press("Show all");
    assert!(height(ann) > 5000, "{}", height(ann));
    // Its reader is not taken to the end by what comes next.
    let top = "document.querySelector('.message').getBoundingClientRect().top";
    let before = ann.value(top);
    peer.say("news");
    ann.shows("news");
    ann.has("1 new message");
    assert_eq!(ann.value(top), before);
    ann.press("Show less");
    assert!(height(ann) < 400, "{}", height(ann));
    // Thirty lines are not many.
    peer.say(&long[..30].join("\n"));
    peer.say("the end");
    ann.shows("the end");
    ann.has("Show all");
    assert_eq!(ann.count("Show all"), 1);
}

#[test]
fn marks_that_are_piled_up_do_not_cover_other_messages() {
    let server = TestServer::start();
    keeps_marks_in_their_message(&server, &Page::join(&server, "ann"));
}

pub fn keeps_marks_in_their_message(server: &TestServer, ann: &Page) {
    let marks: String = ('\u{300}'..='\u{36f}').collect();
    let mut peer = server.join("foo");
    peer.say("above");
    peer.say(&format!("a{marks}{marks}").repeat(5));
    peer.say("below");
    ann.shows("below");
    let picture_with = |others: &str| {
        let all = "[...document.querySelectorAll('.message')]";
        ann.value(&format!(
            "{all}.slice(1).forEach((one) => one.style.visibility = '{others}')"
        ));
        ann.picture_of(&format!("{all}[0]"))
    };
    if let (Some(one), Some(other)) = (picture_with("hidden"), picture_with("visible")) {
        assert_eq!(ann.pixels_that_differ(&one, &other), 0, "it is covered");
    }
}

#[test]
fn a_conversation_is_printed_on_as_many_sheets_as_it_needs() {
    let server = TestServer::with(|config| config.rate = 0);
    prints_all(&server, &Page::join(&server, "ann"));
}

pub fn prints_all(server: &TestServer, ann: &Page) {
    let mut peer = server.join("foo");
    for n in 0..100 {
        peer.say(&format!("line {n}"));
    }
    ann.shows("line 99");
    let Some(paper) = ann.paper() else { return };
    let sheets = paper.split("/Type /Page").skip(1);
    let sheets = sheets.filter(|rest| !rest.starts_with('s')).count();
    assert!((3..=6).contains(&sheets), "{sheets} sheets");
}

#[test]
fn the_chosen_completion_is_marked_in_forced_colours() {
    let server = TestServer::start();
    let ann = Page::join(&server, "ann");
    let mut foo = server.join("foo");
    foo.say(":duck:");
    ann.shows("\u{1f986}");
    let forced = json!({"features": [{"name": "forced-colors", "value": "active"}]});
    ann.does("Emulation.setEmulatedMedia", forced);
    ann.types(":dog");
    ann.until("document.querySelectorAll('[role=option]').length > 1");
    let outlines = "[...document.querySelectorAll('[role=option]')].slice(0, 2).map((e) => getComputedStyle(e).outlineStyle)";
    assert_eq!(ann.value(outlines), json!(["solid", "none"]));
}

#[test]
fn messages_are_copied_without_initials_and_times() {
    let server = TestServer::start();
    copies_words_alone(&server, &Page::join(&server, "ann"));
}

pub fn copies_words_alone(server: &TestServer, ann: &Page) {
    let mut peer = server.join("foo");
    let say = |peer: &mut Client, text: &str| {
        peer.say(text);
        ann.shows(text);
    };
    say(&mut peer, "first");
    say(&mut peer, "second");
    ann.say("third");
    ann.until(
        "document.querySelectorAll('.message').length === 3 && !document.querySelector('.pending')",
    );
    ann.value("(document.activeElement.blur(), getSelection().setBaseAndExtent(document.querySelector('.message'), 0, document.querySelector('.message:last-child'), 1), 0)");
    ann.copies();
    ann.fill("Message", "");
    ann.pastes();
    ann.until("find('Message').value.includes('third')");
    let copied = ann.value("find('Message').value.split(/\\s*\\n\\s*/)");
    assert_eq!(
        copied,
        json!(["Today", "foo", "first", "foo", "second", "You", "third"])
    );
}

#[test]
fn a_time_is_shown_once_a_minute_and_in_full_beside_the_menu() {
    let server = TestServer::start();
    shows_a_time_once_a_minute(&server, &Page::join(&server, "ann"));
}

pub fn shows_a_time_once_a_minute(server: &TestServer, ann: &Page) {
    let mut peer = server.join("foo");
    for n in 0..20 {
        peer.say(&format!("line {n}"));
    }
    ann.shows("line 19");
    let is_once = "[...document.querySelectorAll('.message time')].every((time, at, all) =>
        time.checkVisibility() === (!at || time.dateTime.slice(0, 16) !== all[at - 1].dateTime.slice(0, 16)))";
    assert_eq!(ann.value(is_once), json!(true));
    ann.value("(document.querySelector('.log').focus(), 0)");
    let in_full = "/20\\d\\d.* \\d+:\\d\\d:\\d\\d/.test(document.querySelector('.message:last-child .more').dataset.at)";
    assert_eq!(ann.value(in_full), json!(true));
    // Also where others speak in between.
    ann.say("my own");
    ann.until("!document.querySelector('.pending')");
    peer.say("after that");
    ann.shows("after that");
    assert_eq!(ann.value(is_once), json!(true));
}

#[test]
fn a_room_is_not_left_by_a_slip_of_the_finger() {
    let server = TestServer::start();
    asks_before_a_room_is_left(&server, &Page::join(&server, "ann"));
}

pub fn asks_before_a_room_is_left(_: &TestServer, ann: &Page) {
    ann.fill("Join another room", "attic");
    ann.press("Go");
    ann.until("location.hash === '#attic'");
    ann.fill("Message", "half a word");
    ann.value("(globalThis.confirm = (asked) => { globalThis.asked = asked; return false; }, 0)");
    ann.press("Leave attic");
    ann.until("asked.includes('has not been sent')");
    assert_eq!(ann.value("location.hash"), json!("#attic"));
    // On a phone there is room around it.
    ann.phone(390, 844);
    ann.press("Rooms");
    ann.has("Leave attic");
    let size = "(({ width, height }) => Math.min(width, height))(find('Leave attic').getBoundingClientRect())";
    assert_eq!(ann.value(size), json!(44));
}
