//! The audit finds what is planted in a good ledger, and nothing else.

mod alone;
mod losses;
mod private_messages;

use std::time::Duration;

use super::audit::audit;
use super::book::{Book, Dialect, Heard, Id, Loss, Page, Said, Stay, Visit};

const ANN: usize = 0;
const BEA: usize = 1;
const PIP: usize = 2;
const SECOND: Duration = Duration::from_secs(1);

fn id(n: u64) -> Id {
    Id { epoch: 1, n }
}

fn said(page: &mut Page, text: &str, id: Id) {
    page.said.push(Said {
        room: "attic".into(),
        reference: text.into(),
        text: text.into(),
        at: Duration::ZERO,
        stay: 0,
        copies: 1,
        answers: vec![(0, Duration::ZERO)],
        acks: vec![id],
        refused: None,
        put_off: false,
    });
}

fn visited(page: &mut Page, since: Option<Id>, heard: &[(u64, &str)]) {
    let typed = page.dialect == Dialect::Typed;
    page.visits.push(Visit {
        room: "attic".into(),
        instance: 0,
        stay: page.stays.len(),
        at: Duration::ZERO,
        since,
        last: since,
        complete: true,
        heard: Vec::new(),
        taken_back: Vec::new(),
    });
    page.stays.push(Stay {
        here: Some(Duration::ZERO),
        ended: None,
        errors: 0,
    });
    for (n, text) in heard {
        hears(page, typed.then_some(id(*n)), text);
    }
}

fn hears(page: &mut Page, id: Option<Id>, text: &str) {
    let at = Duration::ZERO;
    let text = text.into();
    let visit = page.visits.last_mut().unwrap();
    visit.heard.push(Heard { id, text, at });
}

/// Ann and Pip talk; Bea comes back in the middle; Kim hears a part.
fn good() -> Book {
    let mut ann = Page::new("ann", Dialect::Typed, &["attic"]);
    said(&mut ann, "one", id(1));
    said(&mut ann, "two", id(2));
    said(&mut ann, "four", id(4));
    let all = [(1, "one"), (2, "two"), (3, "three"), (4, "four")];
    visited(&mut ann, None, &all);
    let mut bea = Page::new("bea", Dialect::Typed, &["attic"]);
    visited(&mut bea, None, &all[..2]);
    visited(&mut bea, Some(id(2)), &all[2..]);
    let mut pip = Page::new("pip", Dialect::Plain, &["attic"]);
    said(&mut pip, "three", id(0));
    pip.said[0].acks.clear();
    visited(&mut pip, None, &[all[0], all[1], all[3]]);
    let mut kim = Page::new("kim", Dialect::Simple, &["attic"]);
    visited(&mut kim, None, &all[1..3]);
    Book {
        pages: vec![ann, bea, pip, kim],
        ..Book::default()
    }
}

/// Everything is lost while Bea is away, who misses what was said before.
fn lost() -> Book {
    let mut book = good();
    book.turns = 1;
    book.losses.push(Loss {
        from: SECOND,
        to: SECOND,
        date: 1,
        kept: [("attic".to_string(), [None; 2])].into(),
    });
    let [ann, bea, ..] = &mut book.pages[..] else {
        unreachable!()
    };
    let new = |n| Id { epoch: 2, n };
    for (n, text) in [(1, "anew"), (2, "again")] {
        said(ann, text, new(n));
        hears(ann, Some(new(n)), text);
    }
    let back = bea.visits.last_mut().unwrap();
    back.heard.clear();
    (back.last, back.complete) = (Some(new(2)), false);
    hears(bea, Some(new(1)), "anew");
    hears(bea, Some(new(2)), "again");
    book
}

#[track_caller]
fn finds(mut book: Book, plant: impl FnOnce(&mut Book), expected: &[&str]) {
    plant(&mut book);
    let wrong = audit(&book);
    let found = wrong
        .iter()
        .zip(expected)
        .all(|(one, text)| one.contains(text));
    assert!(
        found && wrong.len() == expected.len(),
        "{expected:#?} was planted, {wrong:#?} was found"
    );
}

#[test]
fn a_good_ledger_balances() {
    finds(good(), |_| {}, &[]);
    finds(lost(), |_| {}, &[]);
}

#[test]
fn a_message_that_one_person_misses_is_found() {
    let miss = |book: &mut Book| drop(book.pages[BEA].visits[1].heard.remove(0));
    finds(good(), miss, &["bea: missed 1 of attic: 1-3 \"three\""]);
    let miss = |book: &mut Book| drop(book.pages[BEA].visits.pop());
    finds(
        good(),
        miss,
        &["bea: missed 2 of attic: 1-3 \"three\" to 1-4 \"four\""],
    );
    let miss = |book: &mut Book| drop(book.pages[PIP].visits[0].heard.remove(1));
    finds(good(), miss, &["pip: missed [\"two\"] of attic"]);
}

#[test]
fn a_message_that_nobody_hears_is_found() {
    let miss = |book: &mut Book| {
        for page in &mut book.pages {
            for visit in &mut page.visits {
                visit.heard.retain(|heard| heard.text != "two");
            }
        }
    };
    let expected = [
        "nobody heard what is between 1-1 \"one\" and 1-3 \"three\"",
        "\"two\" (by ann at 0.00ns, sent 1 times): acknowledged as 1-2, which is heard by nobody",
    ];
    finds(good(), miss, &expected);
}

#[test]
fn doubles_are_found() {
    let double = |book: &mut Book| hears(&mut book.pages[BEA], Some(id(4)), "four");
    finds(
        good(),
        double,
        &["bea: heard 1-4 \"four\" (at 0.00ns) of attic twice"],
    );
    let double = |book: &mut Book| hears(&mut book.pages[PIP], None, "four");
    finds(
        good(),
        double,
        &["pip: heard something of attic twice or out of order"],
    );
    // Published twice: everybody agrees, and it is wrong all the same.
    let double = |book: &mut Book| {
        for page in &mut book.pages[..2] {
            hears(page, Some(id(5)), "three");
        }
    };
    finds(good(), double, &["\"three\" is both 1-3 and 1-5"]);
}

#[test]
fn disorder_is_found() {
    let swap = |book: &mut Book| book.pages[BEA].visits[1].heard.swap(0, 1);
    finds(
        good(),
        swap,
        &["bea: heard 1-3 \"three\" (at 0.00ns) of attic out of order"],
    );
    let swap = |book: &mut Book| book.pages[PIP].visits[0].heard.swap(1, 2);
    finds(
        good(),
        swap,
        &[
            "pip: missed [\"two\"]",
            "pip: heard something of attic twice or out of order",
        ],
    );
    let swap = |book: &mut Book| book.pages[ANN].said.swap(0, 1);
    let refused = |book: &mut Book| {
        swap(book);
        book.pages[ANN].said[0].copies = 2;
        book.refusals.push((Duration::ZERO, SECOND));
    };
    finds(good(), refused, &[]);
    finds(good(), swap, &["is 1-1, and before it, \"two\" (by ann"]);
}

#[test]
fn disagreement_is_found() {
    let other = |book: &mut Book| book.pages[BEA].visits[0].heard[1].text = "too".into();
    finds(
        good(),
        other,
        &["1-2 is \"two\" for others and \"too\" for bea"],
    );
    let other = |book: &mut Book| hears(&mut book.pages[ANN], Some(id(5)), "five");
    let expected = ["nobody said 1-5 \"five\"", "bea: missed 1 of attic"];
    finds(good(), other, &expected);
}

#[test]
fn broken_promises_are_found() {
    let refuse = |book: &mut Book| {
        let said = &mut book.pages[ANN].said[2];
        said.acks.clear();
        said.refused = Some("unavailable".into());
    };
    finds(good(), refuse, &["refused (unavailable) and heard as 1-4"]);
    let refuse = |book: &mut Book| book.pages[ANN].said[2].refused = Some("unavailable".into());
    finds(
        good(),
        refuse,
        &["refused (unavailable) and acknowledged [\"1-4\"]"],
    );
    let again = |book: &mut Book| book.pages[ANN].said[2].answers.push((0, SECOND));
    finds(
        good(),
        again,
        &["\"four\" (by ann at 0.00ns, sent 1 times): answered once more at 1.00s"],
    );
    let twice = |book: &mut Book| book.pages[ANN].said[2].acks.push(id(5));
    finds(
        good(),
        twice,
        &["acknowledged more than once, [\"1-4\", \"1-5\"]"],
    );
    let never = |book: &mut Book| book.pages[ANN].said[2].acks.clear();
    finds(
        good(),
        never,
        &["attic: 1 neither acknowledged nor refused: \"four\""],
    );
}

#[test]
fn a_line_of_text_without_an_answer_is_found() {
    let lose = |book: &mut Book| {
        said(&mut book.pages[PIP], "five", id(0));
        book.pages[PIP].said[1].acks.clear();
    };
    let expected = ["attic: 1 neither heard nor refused, with 0 errors: \"five\" (by pip"];
    finds(good(), lose, &expected);
    let refuse = |book: &mut Book| {
        lose(book);
        book.pages[PIP].stays[0].errors = 1;
    };
    finds(good(), refuse, &[]);
    let ends = |book: &mut Book| {
        lose(book);
        book.pages[PIP].stays[0].ended = Some(SECOND);
    };
    finds(good(), ends, &[]);
}
