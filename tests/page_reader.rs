//! Where a reader is in a conversation on the page, and stays.

use crate::page_history::{LOG, draws, says_lines, until_text};
use crate::support::{Page, TestServer};

#[test]
fn what_a_reader_looks_at_stays_while_the_oldest_messages_are_dropped() {
    let server = TestServer::with(|config| (config.rate, config.history) = (0, 3000));
    let ann = Page::join(&server, "ann");
    let mut foo = server.join("foo");
    says_lines(&mut foo, 0..900);
    until_text(&ann, -1, "line 0899");
    ann.value(&format!("({LOG}.scrollTop -= 500, 0)"));
    draws(&ann);
    // As many as are kept for a reader further up.
    says_lines(&mut foo, 900..2000);
    until_text(&ann, -1, "line 1999");
    let top = "[...document.querySelectorAll('.text')].find((e) => e.firstChild.textContent === 'line 0895').getBoundingClientRect().top";
    let top = |page: &Page| page.value(top).as_f64().unwrap();
    let before = top(&ann);
    says_lines(&mut foo, 2000..2300);
    until_text(&ann, -1, "line 2299");
    until_text(&ann, 0, "line 0300");
    draws(&ann);
    let after = top(&ann);
    assert!((before - after).abs() < 2.0, "{before} has become {after}");
}
