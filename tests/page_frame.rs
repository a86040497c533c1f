//! The page in a frame of another site's page, and in browsers where it can keep nothing.

use natterjack::config::Origin;
use serde_json::json;

use crate::support::{Page, TestServer, free_port, site};

/// A site with the chat in a frame of 320 x 440 pixels, and a server that lets it. The site collects
/// what the frame tells it.
fn site_with_frame(query: &str) -> (Page, TestServer) {
    let port = free_port();
    let html = format!(
        "<!doctype html><input id='field'><div id='fold'><iframe src='http://127.0.0.1:{port}/{query}' \
           width='320' height='440' id='frame'></iframe></div>
         <script>
           const told = [];
           addEventListener('message', ({{ origin, data }}) => told.push([origin, data]));
           field.focus();
         </script>"
    );
    let site = site(&html);
    let server = TestServer::with(|config| {
        config.listen = vec![([127, 0, 0, 1], port).into()];
        config.embed = vec![Origin::parse(&format!("http://{site}")).unwrap()];
    });
    (Page::open_at(site, "/"), server)
}

/// Waits in the frame until it is folded or scrolled away.
const IS_OUT_OF_SIGHT: &str = "return new Promise((gone) => {
    if (!innerHeight) return gone();
    const look = (changes) => changes.at(-1).isIntersecting || gone();
    new IntersectionObserver(look).observe(document.documentElement);
})";

#[test]
fn the_page_around_a_frame_learns_how_much_is_unread_and_nothing_else() {
    let (mut page, server) = site_with_frame("?room=help&name=Ann%20%C3%96");
    let mut foo = server.join_room("foo", "help");
    // She is in, under the name that the page around has given, and that page keeps the keyboard.
    page.enter_frame();
    page.says("2 people");
    page.leave_frame();
    assert_eq!(page.value("document.activeElement.id"), json!("field"));
    // What she sees is not unread. What she can't see is, however it is hidden.
    foo.say("hello");
    page.enter_frame();
    page.shows("hello");
    page.leave_frame();
    for (count, hide, show) in [
        (1, "fold.style.display = 'none'", "fold.style.display = ''"),
        (
            3,
            "frame.style.marginLeft = '-5000px'",
            "frame.style.marginLeft = ''",
        ),
    ] {
        page.value(&format!("({hide}, 0)"));
        page.enter_frame();
        page.runs(IS_OUT_OF_SIGHT);
        page.leave_frame();
        foo.say("this is secret");
        page.until(&format!("told.length === {count}"));
        page.value(&format!("({show}, 0)"));
        page.until(&format!("told.length === {}", count + 1));
    }
    let from = format!("http://{}", server.addr());
    let told = |count: u32| json!([from, {"natterjack": {"unread": count}}]);
    let all = json!([told(1), told(0), told(1), told(0)]).to_string();
    assert_eq!(page.value("JSON.stringify(told)").as_str().unwrap(), all);
}

#[test]
fn in_a_narrow_frame_there_is_the_room_alone() {
    let (mut page, server) = site_with_frame("?room=help");
    let mut foo = server.join_room("foo", "help");
    foo.say("hello there");
    page.runs("await new Promise((loaded) => { frame.onload = loaded; frame.src += '&again'; })");
    page.enter_frame();
    page.has("Join");
    // The room is known, so only the name is asked for.
    assert_eq!(
        page.value("!find('Room') && !document.querySelector('summary').checkVisibility()"),
        json!(true)
    );
    page.fill("Name", "ann");
    page.press("Join");
    page.shows("hello there");
    page.say("hello, foo");
    foo.hears_at_last("ann: hello, foo");
    for label in ["Rooms", "People", "Leave chat", "Go"] {
        assert_eq!(
            page.value(&format!("!find({label:?})")),
            json!(true),
            "{label}"
        );
    }
    page.until("document.documentElement.scrollWidth <= 320");
    page.until("find('Send').getBoundingClientRect().bottom <= innerHeight");
    page.until("parseFloat(getComputedStyle(find('Message')).fontSize) >= 16");
    page.leave_frame();
    assert!(page.picture().len() > 1000);
}

#[test]
fn a_private_conversation_in_a_frame_has_lists_to_come_back() {
    let (mut page, server) = site_with_frame("?room=help&name=ann");
    let mut foo = server.join_room("foo", "help");
    page.enter_frame();
    page.says("2 people");
    foo.say("/msg ann psst");
    page.press("Rooms, 1 unread");
    page.press_containing("foo");
    page.shows("psst");
    page.press("Rooms");
    page.press("Close the conversation with foo");
    page.until("document.title.includes('help') && !find('Rooms')");
    page.say("back here");
    foo.hears_at_last("ann: back here");
}

#[test]
fn where_nothing_can_be_kept_one_can_chat_all_the_same() {
    let server = TestServer::start();
    let mut foo = server.join("foo");
    let page = Page::open_without_storage(server.addr(), "/");
    // A SecurityError.
    assert_eq!(page.runs("return localStorage"), json!(18));
    page.fill("Name", "ann");
    page.press("Join");
    page.say("hello");
    foo.hears_in_order(&["ann: has joined the chat!", "ann: hello"]);
    page.reload();
    page.has("Join");
}
