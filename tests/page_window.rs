//! The page in its window, in a real browser: Back, zoom, a dropped file, closing, the end of a day.

use serde_json::json;

use crate::support::{Page, TestServer, eventually};

#[test]
fn back_closes_a_drawer_and_then_leaves_the_page() {
    let server = TestServer::start();
    goes_back(&Page::open(&server, "/healthz"));
}

/// Another page was there before.
pub fn goes_back(ann: &Page) {
    ann.phone(390, 844);
    ann.value("(location.href = '/', 0)");
    ann.fill("Name", "ann");
    ann.press("Join");
    ann.has("Message");
    let before = ann.value("history.length");
    let is_open = "document.querySelector('.side.open') !== null";
    ann.press("People");
    ann.until(is_open);
    ann.value("(history.back(), 0)");
    ann.until(&format!("!({is_open})"));
    // A drawer that is closed otherwise takes its place in the history with it.
    ann.press("Rooms");
    ann.fill("Join another room", "attic");
    ann.press("Go");
    ann.until(&format!("location.hash === '#attic' && !({is_open})"));
    ann.say("up here");
    ann.shows("up here");
    ann.press("Rooms");
    ann.until(is_open);
    ann.key("Escape");
    ann.until(&format!("!({is_open})"));
    assert_eq!(ann.value("location.hash"), json!("#attic"));
    // There was one place more, once.
    assert_eq!(
        ann.value("history.length"),
        json!(before.as_u64().unwrap() + 1)
    );
    ann.value("(history.back(), 0)");
    ann.until("location.pathname === '/healthz'");
}

#[test]
fn zooming_with_two_fingers_leaves_the_page_as_high_as_it_is() {
    let server = TestServer::start();
    stays_as_high(&server, &Page::open(&server, "/"));
}

pub fn stays_as_high(_: &TestServer, ann: &Page) {
    ann.phone(390, 844);
    ann.fill("Name", "ann");
    ann.press("Join");
    ann.has("Message");
    ann.value(
        "(globalThis.resized = 0, visualViewport.addEventListener('resize', () => resized++), 0)",
    );
    if !ann.zooms(2) {
        return;
    }
    ann.until("visualViewport.scale === 2 && resized > 0");
    ann.until("Math.abs(document.body.offsetHeight - 844) <= 1");
    ann.zooms(1);
    ann.until("visualViewport.scale === 1 && document.body.offsetHeight === 844");
    // A keyboard leaves less room.
    ann.phone(390, 500);
    ann.until("document.body.offsetHeight === 500");
}

#[test]
fn a_dropped_file_does_not_replace_the_chat() {
    let server = TestServer::start();
    let ann = Page::join(&server, "ann");
    let file = tempfile::NamedTempFile::new().unwrap();
    let data = json!({"items": [], "files": [file.path()], "dragOperationsMask": 1});
    for kind in ["dragEnter", "dragOver", "drop"] {
        if kind == "drop" {
            // The page changes under it meanwhile.
            ann.value("(document.elementFromPoint(600, 400).remove(), 0)");
        }
        let params = json!({"type": kind, "x": 600, "y": 400, "data": data});
        ann.does("Input.dispatchDragEvent", params);
    }
    ann.says("Files can\u{2019}t be sent here.");
    takes_words_but_no_files(&server, &ann);
}

pub fn takes_words_but_no_files(_: &TestServer, ann: &Page) {
    let is_taken = |add: &str| {
        let drop = format!(
            "((drag) => {{ drag.{add}; return ['dragenter', 'dragover', 'drop'].map((type) => !dispatchEvent(new DragEvent(type, {{ dataTransfer: drag, cancelable: true }}))); }})(new DataTransfer())"
        );
        ann.value(&drop)
    };
    let file = "items.add(new File(['words'], 'words.txt'))";
    assert_eq!(is_taken(file), json!([true, true, true]));
    ann.says("Files can\u{2019}t be sent here.");
    // Words can be dropped into the field.
    let words = "setData('text/plain', 'words')";
    assert_eq!(is_taken(words), json!([false, false, false]));
    ann.say("still here");
    ann.shows("still here");
}

#[test]
fn closing_the_tab_with_unsent_words_asks_first() {
    let server = TestServer::start();
    asks_before_words_are_lost(&server, &Page::join(&server, "ann"));
}

pub fn asks_before_words_are_lost(_: &TestServer, ann: &Page) {
    let asks = "!dispatchEvent(new Event('beforeunload', { cancelable: true }))";
    assert_eq!(ann.value(asks), json!(false));
    ann.fill("Message", "half a word");
    assert_eq!(ann.value(asks), json!(true));
    // In another room, too.
    ann.fill("Join another room", "attic");
    ann.press("Go");
    ann.until("location.hash === '#attic' && find('Message').value === ''");
    assert_eq!(ann.value(asks), json!(true));
    ann.press_containing("lobby");
    ann.until("find('Message').value === 'half a word'");
    ann.key("Enter");
    ann.until("!document.querySelector('.pending')");
    ann.until(&format!("!({asks})"));
}

/// The clock of the page goes differently: this long before midnight, from when it was loaded. Also where a browser
/// runs the script twice, or for once too late for the page. False if the browser can't be told.
fn before_midnight(page: &Page, seconds: u32) -> bool {
    let script = format!(
        "globalThis.inTime ??= !document.body;
         globalThis.Real ??= Date;
         globalThis.skew ??= new Real().setHours(24, 0, 0, 0) - Real.now() - {seconds} * 1000;
         globalThis.Date = class extends Real {{
             constructor(...parts) {{ parts.length ? super(...parts) : super(Real.now() + skew); }}
             static now() {{ return Real.now() + skew; }}
         }};"
    );
    let is_told = page.prepares(&script);
    if is_told {
        eventually("its clock goes differently from its beginning", || {
            page.reload();
            (page.value("globalThis.inTime") == json!(true)).then_some(())
        });
    }
    is_told
}

#[test]
fn today_is_yesterday_after_midnight() {
    let server = TestServer::start();
    sees_midnight(&server, &Page::open(&server, "/"));
}

pub fn sees_midnight(server: &TestServer, ann: &Page) {
    let mut peer = server.join("foo");
    if !before_midnight(ann, 6) {
        return;
    }
    peer.say("good night");
    ann.fill("Name", "ann");
    ann.press("Join");
    ann.shows("good night");
    ann.until("/Today|Yesterday/.test(document.querySelector('.day').innerText)");
    ann.until("document.querySelector('.day').innerText === 'Yesterday'");
}
