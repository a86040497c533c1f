//! The page calls its reader: names with an @, notifications, what is muted.

use serde_json::json;

use crate::support::{Page, TestServer};

/// The names that stand out in the conversation, our own with a star.
fn called(page: &Page) -> String {
    let all = "[...document.querySelectorAll('.mention')].map((e) => e.innerText + (e.matches('.me') ? '*' : '')).join(' ')";
    page.value(all).as_str().unwrap().to_string()
}

#[test]
fn a_name_is_completed_and_stands_out() {
    let server = TestServer::start();
    completes_names(&server, &Page::join(&server, "ann"));
}

pub fn completes_names(server: &TestServer, ann: &Page) {
    let mut bob = server.join("bob of Bath");
    ann.shows("bob of Bath joined");
    ann.fill("Message", "");
    ann.types("so @ba");
    ann.until("document.querySelector('[role=option]')?.innerText.includes('bob of Bath')");
    ann.key("Tab");
    ann.types("and @bo");
    ann.until("!!document.querySelector('[role=option]')");
    ann.key("ArrowDown");
    ann.key("Enter");
    assert_eq!(
        ann.value("find('Message').value"),
        json!("so @bob of Bath and @bob of Bath ")
    );
    ann.key("Enter");
    bob.hears("ann: so @bob of Bath and @bob of Bath");
    ann.shows("so @bob");
    assert_eq!(called(ann), "@bob of Bath @bob of Bath");
    // Neither addresses nor people who are not here.
    bob.say("x@ann.example https://example.org/@ann @annabel @carl, but @ANN!");
    ann.shows("@carl");
    assert_eq!(called(ann), "@bob of Bath @bob of Bath @ANN*");
}

/// Somebody whose browser allows notifications, and who has switched them on, and looks elsewhere.
fn looks_elsewhere(server: &TestServer, name: &str) -> Page {
    let page = Page::join(server, name);
    switches_on(&page);
    page
}

/// False if this browser can't be told to allow notifications.
pub fn switches_on(page: &Page) -> bool {
    if !page.grants("notifications") {
        return false;
    }
    page.runs("await navigator.serviceWorker.ready");
    page.press("Notifications, off");
    page.press("On this device");
    page.has("Notifications, on");
    page.value("(notify.hidePopover(), 0)");
    // They are really shown. But Chromium without a window forgets some that it shows, and Firefox takes its time
    // to say that it shows one, so they are noted.
    page.value(
        "(() => {
            const { prototype } = ServiceWorkerRegistration;
            const { showNotification } = prototype;
            globalThis.shownNow = new Map();
            prototype.showNotification = async function (title, options) {
                const { tag, body, data } = options;
                const close = () => shownNow.delete(tag);
                shownNow.set(tag, { title, body, data, close });
                await showNotification.call(this, title, options).catch(close);
            };
            prototype.getNotifications = async ({ tag }) => shownNow.has(tag) ? [shownNow.get(tag)] : [];
            return 0;
        })()",
    );
    looks(page, false);
    true
}

/// Whether the page can be seen. Other windows of the same browser may have the focus.
fn looks(page: &Page, here: bool) {
    page.value(&format!(
        "(Object.defineProperty(document, 'hidden', {{ value: {}, configurable: true }}),
          document.hasFocus = () => {here},
          document.dispatchEvent(new Event('visibilitychange', {{ bubbles: true }})), 0)",
        !here
    ));
}

/// Chooses of what we are told in the room that is shown.
fn choose(page: &Page, choice: &str) {
    page.value("(notify.showPopover(), 0)");
    page.press(choice);
    page.value("(notify.hidePopover(), 0)");
}

/// Waits for these notifications, each a title and a text, the oldest room first, and for no others.
fn is_told(page: &Page, expected: &[&str]) {
    let told = "[...shownNow.values()].map(({ title, body }) => `${title}: ${body}`)";
    page.becomes(told, &json!(expected));
}

#[test]
fn nothing_is_asked_before_somebody_switches_notifications_on() {
    let server = TestServer::start();
    asks_nothing_before(&server, &Page::join(&server, "ann"));
}

pub fn asks_nothing_before(server: &TestServer, ann: &Page) {
    let mut bob = server.join("bob");
    ann.value(
        "(globalThis.asked = 0, Notification.requestPermission = async () => { asked++; return 'denied'; }, 0)",
    );
    bob.say("hello @ann");
    bob.say("/msg ann psst");
    ann.until("document.querySelector('nav').innerText.includes('bob')");
    ann.press("Notifications, off");
    ann.press("With a sound");
    assert_eq!(ann.value("asked"), json!(0));
    ann.press("On this device");
    ann.says("Your browser allows none for this page.");
    assert_eq!(ann.value("asked"), json!(1));
    assert_eq!(ann.value("find('On this device').checked"), json!(false));
}

#[test]
fn who_looks_elsewhere_is_told_of_private_messages_and_of_the_own_name() {
    let server = TestServer::start();
    is_told_what_concerns_them(&server, &looks_elsewhere(&server, "ann"));
}

pub fn is_told_what_concerns_them(server: &TestServer, ann: &Page) {
    let mut bob = server.join("bob");
    bob.say("nothing to tell");
    bob.say("have you seen this, @ann? :robot:");
    is_told(ann, &["bob in lobby: have you seen this, @ann? \u{1f916}"]);
    bob.say("/msg ann psst");
    is_told(
        ann,
        &[
            "bob in lobby: have you seen this, @ann? \u{1f916}",
            "bob: psst",
        ],
    );
    // Who has come back has seen it, where it was said.
    looks(ann, true);
    is_told(ann, &["bob: psst"]);
    ann.press_containing("bob");
    is_told(ann, &[]);
    // Who looks at the page sees what comes.
    bob.say("@ann, still there?");
    ann.until("/lobby\\s*\\d/.test(document.querySelector('nav').innerText)");
    is_told(ann, &[]);
}

#[test]
fn each_room_may_tell_everything_or_nothing() {
    let server = TestServer::start();
    let ann = looks_elsewhere(&server, "ann");
    let mut bob = server.join("bob");
    choose(&ann, "Every message");
    bob.say("one");
    is_told(&ann, &["bob in lobby: one"]);
    bob.say("two");
    is_told(&ann, &["bob in lobby: two"]);
    choose(&ann, "Nothing");
    ann.has("Notifications, off");
    bob.say("@ann: a secret of this room");
    bob.say("/msg ann psst");
    is_told(&ann, &["bob in lobby: two", "bob: psst"]);
    // A conversation may be silent, too. All is remembered.
    ann.press_containing("bob");
    choose(&ann, "Nothing");
    bob.say("/msg ann shh");
    ann.shows("shh");
    ann.press_containing("lobby");
    ann.shows("a secret of this room");
    choose(&ann, "My name");
    bob.say("three");
    bob.say("@ann four");
    is_told(&ann, &["bob in lobby: @ann four", "bob: psst"]);
    ann.reload();
    ann.has("Notifications, on");
    ann.press_containing("bob");
    ann.has("Notifications, off");
}

#[test]
fn what_is_taken_back_is_told_no_longer() {
    let server = TestServer::start();
    let ann = looks_elsewhere(&server, "ann");
    let mut bob = server.typed_in("bob", "lobby");
    let mut say = |to: &str, name: &str, text: &str| {
        bob.put(json!({"type": "chat", to: name, "text": text, "ref": text}));
        bob.gets_at_last(json!({"type": "ack", "ref": text}))["id"].clone()
    };
    let id = say("room", "lobby", "@ann, a slip");
    // What is said in different places may come in another order.
    is_told(&ann, &["bob in lobby: @ann, a slip"]);
    let secret = say("to", "ann", "a secret");
    is_told(&ann, &["bob in lobby: @ann, a slip", "bob: a secret"]);
    bob.put(json!({"type": "delete", "room": "lobby", "id": id}));
    is_told(&ann, &["bob: a secret"]);
    bob.put(json!({"type": "delete", "to": "ann", "id": secret}));
    is_told(&ann, &[]);
}

#[test]
fn a_click_on_a_notification_opens_its_room() {
    let server = TestServer::start();
    let ann = looks_elsewhere(&server, "ann");
    let mut bob = server.join_room("bob", "attic");
    ann.fill("Join another room", "attic");
    ann.press("Go");
    bob.hears("ann: has joined the chat!");
    ann.press_containing("lobby");
    bob.say("come up, @ann");
    is_told(&ann, &["bob in attic: come up, @ann"]);
    let click = "dispatchEvent(Object.assign(new ExtendableEvent('notificationclick'),
        { notification: { data: { room: 'attic' }, close() {} } }))";
    ann.does_in_worker(click);
    ann.until("location.hash === '#attic'");
    looks(&ann, true);
    is_told(&ann, &[]);
}

#[test]
fn the_icon_of_the_app_says_how_much_is_unread() {
    let server = TestServer::start();
    let ann = Page::open(&server, "/");
    ann.value("(navigator.setAppBadge = async (count) => { localStorage.badge = count; }, 0)");
    ann.fill("Name", "ann");
    ann.press("Join");
    ann.is_in();
    let mut bob = server.join("bob");
    ann.shows("bob joined");
    looks(&ann, false);
    bob.say("one");
    bob.say("two");
    ann.until("localStorage.badge === '2'");
    looks(&ann, true);
    ann.until("localStorage.badge === '0'");
    // Nothing is unread for those who have left.
    looks(&ann, false);
    bob.say("three");
    ann.until("localStorage.badge === '1'");
    ann.press("Leave chat");
    ann.has("Join");
    ann.until("localStorage.badge === '0'");
}

#[test]
fn a_sound_is_heard_once_for_a_burst() {
    let server = TestServer::start();
    let ann = Page::join(&server, "ann");
    ann.value(
        "(globalThis.notes = 0,
          globalThis.OscillatorNode = class extends OscillatorNode { start(at) { notes++; super.start(at); } }, 0)",
    );
    // A click, without which no page may be heard, and a taste of it.
    ann.press("Notifications, off");
    ann.does("Runtime.evaluate", json!({"expression": "document.querySelector('#notify-sound').click()", "userGesture": true}));
    ann.until("notes === 2");
    looks(&ann, false);
    let mut bob = server.join("bob");
    for text in ["@ann one", "@ann two", "and @ann three"] {
        bob.say(text);
        ann.shows(text);
    }
    ann.until("notes === 4");
}
