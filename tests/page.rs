//! The page that people open, in a real browser.

use serde_json::json;

use crate::page_history::draws;
use crate::support::{Page, Raw, Redis, TestServer};

#[test]
fn two_people_talk_over_two_instances() {
    let redis = Redis::start();
    let (one, two) = (TestServer::on(&redis), TestServer::on(&redis));
    let ann = Page::join(&one, "ann");
    let bob = Page::join(&two, "bob");
    ann.shows("bob joined");
    ann.say("hello bob");
    bob.shows("hello bob");
    ann.shows("hello bob");
    bob.say("hello ann :robot: :+1: :no_such_emoji:");
    ann.shows("hello ann \u{1f916} \u{1f44d} :no_such_emoji:");
    // The terminal is in the same room.
    let mut foo = two.join("foo");
    foo.say("from a terminal");
    ann.shows("from a terminal");
    assert_eq!(
        ann.count("hello bob"),
        1,
        "it is shown once, pending or settled"
    );
    assert_eq!(
        ann.foreign_urls(),
        [""; 0],
        "nothing is asked of any other host"
    );
}

#[test]
fn messages_are_shown_as_plain_text() {
    let server = TestServer::start();
    let ann = Page::join(&server, "ann");
    let mut eve = server.join("<img src=x onerror=alert(1)>");
    for text in [
        "<script>document.title = 'gone'</script>",
        "<img src=x onerror=\"document.title = 'gone'\">",
        "javascript:alert(1) http://example.org/\"onmouseover=\"alert(1)",
        "&lt;b&gt; </textarea><b>",
    ] {
        eve.say(text);
        ann.shows(text);
    }
    ann.shows("<img src=x onerror=alert(1)>");
    assert_ne!(ann.value("document.title"), json!("gone"));
    let log = "document.querySelector('[role=log]')";
    assert_eq!(
        ann.value(&format!(
            "{log}.querySelectorAll('script, [onerror], [onmouseover]').length"
        )),
        json!(0)
    );
    let links = format!(
        "[...{log}.querySelectorAll('a')].every((a) => /^https?:/.test(a.href) && a.rel.includes('noopener'))"
    );
    ann.until(&links);
}

#[test]
fn a_taken_or_bad_name_is_reported_at_its_field() {
    let server = TestServer::start();
    let mut foo = server.join("foo");
    let page = Page::open(&server, "/");
    let at_the_field = |text: &str| {
        let described = "document.getElementById(find('Name').getAttribute('aria-describedby'))";
        page.until(&format!("{described}.innerText.includes({text:?})"));
    };
    page.fill("Name", "foo");
    page.press("Join");
    at_the_field("foo");
    page.fill("Name", "a:b");
    page.press("Join");
    at_the_field(":");
    page.fill("Name", "bob");
    page.press("Join");
    page.has("Message");
    foo.hears("bob: has joined the chat!");
}

#[test]
fn the_door_asks_for_a_name_and_offers_the_rest() {
    let server = TestServer::start();
    let page = Page::open(&server, "/#attic");
    let fields = "[...document.querySelectorAll('input')].filter((field) => field.checkVisibility()).map((field) => field.id).join()";
    assert_eq!(page.value(fields), json!("name"));
    page.says("Room: attic");
    page.value("(document.querySelectorAll('summary').forEach((summary) => summary.click()), 0)");
    page.until(&format!("{fields} === 'name,email,room'"));
    page.fill("Room", "cellar");
    page.says("Room: cellar");
    // What is wrong with a room is said where it can be changed.
    page.fill("Room", "a/b");
    page.value("(document.querySelectorAll('summary').forEach((summary) => summary.click()), 0)");
    page.until(&format!("{fields} === 'name'"));
    page.fill("Name", "ann");
    page.press("Join");
    page.says("it contains one of : / @ #");
    page.until("document.activeElement === find('Room')");
}

#[test]
fn the_room_may_be_in_the_address_and_the_name_is_remembered() {
    let server = TestServer::start();
    let mut foo = server.join_room("foo", "attic");
    let page = Page::open(&server, "/#attic");
    page.fill("Name", "ann");
    page.press("Join");
    page.say("is this the attic?");
    foo.hears_in_order(&["ann: has joined the chat!", "ann: is this the attic?"]);
    foo.say("it is");
    page.shows("it is");
    // A reload keeps the name, by its session key.
    page.reload();
    page.until("!!find('Message') || find('Name')?.value === 'ann'");
    if page.value("!find('Message')") == json!(true) {
        page.press("Join");
    }
    page.say("still me");
    foo.hears_at_last("ann: still me");
}

#[test]
fn the_address_may_fill_in_the_room_and_the_name() {
    let server = TestServer::start();
    let page = Page::open(&server, "/?room=the%20attic&name=Ann%20%C3%96");
    page.has("Join");
    assert_eq!(page.value("find('Name').value"), json!("Ann \u{d6}"));
    page.says("Room: the attic");
    let mut foo = server.join_room("foo", "the attic");
    page.press("Join");
    page.say("hello");
    foo.hears_at_last("Ann \u{d6}: hello");
    foo.leave();
    // What the page offers to share invites to the room, under no name.
    let alone = Page::open(&server, "/?room=cellar&name=bob");
    alone.press("Join");
    alone.says("only you");
    let address = alone.value("document.querySelector('#share a').href");
    assert_eq!(address, json!(format!("http://{}/#cellar", server.addr())));
    // Other names and rooms that were chosen count more after a reload.
    alone.fill("Join another room", "loft");
    alone.press("Go");
    alone.until("location.hash === '#loft'");
    alone.reload();
    alone.has("Message");
    alone.until("document.title.includes('loft')");
}

#[test]
fn a_restart_of_the_server_loses_nothing_that_was_typed() {
    let server = TestServer::start();
    let addr = server.addr();
    let ann = Page::join(&server, "ann");
    ann.say("before");
    ann.shows("before");
    server.stop();
    ann.until("!!document.querySelector('[role=status]')?.innerText.trim()");
    ann.say("while it was away");
    ann.fill("Message", "half a wor");
    let server = TestServer::with(|config| config.listen = vec![addr]);
    let mut foo = server.join("foo");
    foo.hears_at_last("ann: while it was away");
    ann.shows("while it was away");
    assert_eq!(ann.value("find('Message').value"), json!("half a wor"));
    ann.fill("Message", "half a word");
    ann.key("Enter");
    foo.hears("ann: half a word");
    assert_eq!(ann.count("while it was away"), 1);
}

#[test]
fn what_can_not_be_sent_stays_in_the_field() {
    let server = TestServer::start();
    let ann = Page::join(&server, "ann");
    let mut foo = server.join("foo");
    ann.shows("foo joined");
    ann.say(&"x".repeat(4097));
    ann.says("too long");
    assert_eq!(ann.value("find('Message').value.length"), json!(4097));
    foo.say("fine");
    ann.shows("fine");
}

#[test]
fn the_keyboard_is_enough() {
    let server = TestServer::start();
    let mut foo = server.join("foo");
    let page = Page::open(&server, "/");
    // The first field has the focus, and Enter joins.
    page.until("document.activeElement === find('Name')");
    page.types("ann");
    page.key("Enter");
    page.until("!!find('Message') && document.activeElement === find('Message')");
    foo.hears("ann: has joined the chat!");
    // Once the names of emoji are loaded, those in earlier messages are drawn as well.
    foo.say(":duck:");
    page.shows("\u{1f986}");
    // An emoji is completed while typing: the arrows choose, Enter takes, and nothing is sent yet.
    page.types("look: :robo");
    page.until("!!document.querySelector('[role=option]')?.checkVisibility()");
    page.key("Enter");
    page.until("find('Message').value.includes('\u{1f916}')");
    page.key("Enter");
    assert!(foo.next().starts_with("ann: look: \u{1f916}"));
    // Escape closes the list, and the text stays.
    page.types(":rob");
    page.until("!!document.querySelector('[role=option]')?.checkVisibility()");
    page.key("Escape");
    page.until("!document.querySelector('[role=option]')?.checkVisibility()");
    page.key("Enter");
    foo.hears("ann: :rob");
}

#[test]
fn several_rooms_count_what_is_unread() {
    let server = TestServer::start();
    let ann = Page::join(&server, "ann");
    ann.fill("Join another room", "attic");
    ann.press("Go");
    ann.until("location.hash === '#attic'");
    let mut lobby = server.join("foo");
    let mut attic = server.join_room("bar", "attic");
    ann.shows("bar joined");
    lobby.say("one");
    lobby.say("two");
    ann.until("document.title.includes('2')");
    let rooms = "document.querySelector('nav').innerText";
    ann.until(&format!("/lobby\\s*2/.test({rooms})"));
    attic.say("up here");
    ann.shows("up here");
    assert_eq!(ann.count("two"), 0, "rooms do not mix");
    ann.press_containing("lobby");
    ann.shows("two");
    ann.until("!/\\d/.test(document.title)");
    ann.say("I am back");
    lobby.hears_at_last("ann: I am back");
    // And leave one again.
    ann.press("Leave attic");
    attic.hears_at_last("ann: has left the chat!");
}

/// Presses the mouse on the button that says this, lets go after `meanwhile`.
fn slow_click(page: &Page, text: &str, meanwhile: impl FnOnce()) {
    let button = format!(
        "[...document.querySelectorAll('.side button')].find((b) => b.innerText.includes({text:?}))"
    );
    page.until(&format!("!!{button}"));
    let place = format!(
        "(({{ x, y }}) => ({{ x: Math.round(x) + 20, y: Math.round(y) + 10 }}))({button}.getBoundingClientRect())"
    );
    let place = page.value(&place);
    page.mouse("pointerDown", &place);
    meanwhile();
    page.mouse("pointerUp", &place);
}

#[test]
fn a_click_is_not_lost_while_messages_arrive() {
    let server = TestServer::start();
    clicks_while_messages_arrive(&server, &Page::join(&server, "ann"));
}

pub fn clicks_while_messages_arrive(server: &TestServer, ann: &Page) {
    let mut bob = server.join("bob");
    ann.shows("bob joined");
    ann.fill("Join another room", "attic");
    ann.press("Go");
    ann.until("location.hash === '#attic'");
    let mut bar = server.join_room("bar", "attic");
    ann.shows("bar joined");
    slow_click(ann, "lobby", || {
        bob.say("news");
        ann.until("/lobby\\s*1/.test(document.querySelector('nav').innerText)");
    });
    ann.until("location.hash === '#lobby'");
    ann.press_containing("attic");
    // Nor is one on a person, while others come.
    slow_click(ann, "bar", || {
        let _baz = server.join_room("baz", "attic");
        bar.hears("baz: has joined the chat!");
        ann.until("document.querySelector('aside').innerText.includes('baz')");
    });
    ann.until("location.hash === '#%40bar'");
}

#[test]
fn a_reader_of_older_messages_is_not_scrolled_to_the_end() {
    let server = TestServer::with(|config| config.rate = 0);
    let ann = Page::join(&server, "ann");
    let mut foo = server.join("foo");
    for n in 0..60 {
        foo.say(&format!("line {n}"));
    }
    ann.shows("line 59");
    let log = "document.querySelector('[role=log]')";
    let at_end = format!("{log}.scrollHeight - {log}.scrollTop - {log}.clientHeight < 40");
    ann.until(&at_end);
    // What was never in view may be higher than the browser believed: then it is further down.
    ann.value(&format!("({log}.scrollTop = 100, 0)"));
    draws(&ann);
    foo.say("news");
    ann.shows("news");
    ann.until("!!find('1 new message')");
    draws(&ann);
    assert_eq!(ann.value(&at_end), json!(false));
    ann.press("1 new message");
    ann.until(&at_end);
    ann.until("!find('1 new message')");
}

#[test]
fn it_fits_a_phone() {
    let server = TestServer::start();
    let page = Page::open(&server, "/");
    page.phone(390, 844);
    let fits = "document.documentElement.scrollWidth <= 390";
    page.until(fits);
    page.fill("Name", "ann");
    page.press("Join");
    page.has("Message");
    let mut foo = server.join("foo");
    for n in 0..40 {
        foo.say(&format!(
            "{n} a message that is long enough to wrap on a phone {}",
            "wide".repeat(30)
        ));
    }
    page.shows("39 a message");
    page.until(fits);
    // The field is on the screen, above the keyboard's edge, and so is the last message.
    let inside = |what: &str| format!("(({what}).getBoundingClientRect().bottom <= innerHeight)");
    page.until(&inside("find('Message')"));
    page.until(&inside("[...document.querySelectorAll('[role=log] *')].findLast((e) => e.innerText?.includes('39 a message'))"));
    // Inputs of 16 pixels are not zoomed into.
    page.until("parseFloat(getComputedStyle(find('Message')).fontSize) >= 16");
    assert!(page.picture().len() > 1000);
}

#[test]
fn its_files_are_small_safe_and_kept_by_browsers() {
    let server = TestServer::start();
    let ask = |target: &str, more: &str| {
        let mut raw = Raw::connect(server.addr());
        raw.send(format!("GET {target} HTTP/1.1\r\nHost: x\r\n{more}\r\n").as_bytes());
        String::from_utf8_lossy(&raw.rest()).into_owned()
    };
    let header = |answer: &str, name: &str| {
        let line = answer
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{name}: ")));
        line.map(str::to_string)
    };
    let mut transferred = 0;
    for path in [
        "/",
        "/style.css",
        "/app.js",
        "/client.js",
        "/icon.svg",
        "/emoji.json",
        "/sw.js",
        "/app.webmanifest",
        "/icon-192.png",
        "/icon-512.png",
        "/icon-maskable.png",
        "/favicon.ico",
    ] {
        let plain = ask(path, "");
        assert!(plain.starts_with("HTTP/1.1 200"), "{path}: {plain}");
        let policy = header(&plain, "Content-Security-Policy").expect("a policy");
        assert!(
            policy.contains("default-src 'none'") && !policy.contains("unsafe"),
            "{policy}"
        );
        assert_eq!(
            header(&plain, "X-Content-Type-Options").as_deref(),
            Some("nosniff")
        );
        let small = ask(path, "Accept-Encoding: br, gzip\r\n");
        assert_eq!(header(&small, "Content-Encoding").as_deref(), Some("gzip"));
        transferred += header(&small, "Content-Length")
            .unwrap()
            .parse::<usize>()
            .unwrap();
        let tag = header(&small, "ETag").unwrap();
        let known = ask(path, &format!("If-None-Match: \"other\", {tag}\r\n"));
        assert!(
            known.starts_with("HTTP/1.1 304") && known.ends_with("\r\n\r\n"),
            "{known}"
        );
        assert!(ask(path, "If-None-Match: \"other\"\r\n").starts_with("HTTP/1.1 200"));
    }
    assert!(transferred <= 70 * 1024, "{transferred} bytes");
}
