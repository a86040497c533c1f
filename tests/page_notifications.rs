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
    let ann = Page::join(&server, "ann");
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
    assert_eq!(called(&ann), "@bob of Bath @bob of Bath");
    // Neither addresses nor people who are not here.
    bob.say("x@ann.example https://example.org/@ann @annabel @carl, but @ANN!");
    ann.shows("@carl");
    assert_eq!(called(&ann), "@bob of Bath @bob of Bath @ANN*");
}
