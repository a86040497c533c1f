//! Private messages.

use std::time::Duration;

use super::{ANN, BEA, PIP, SECOND, finds, good, id, said};
use crate::ledger::book::{Book, Heard, Loss, Stay};

fn heard(book: &mut Book, who: usize, text: &str) {
    book.pages[who].private_messages.push(Heard {
        id: None,
        text: text.into(),
        at: 3 * SECOND,
    });
}

/// Ann tells Bea a secret, who is there all the time.
fn told() -> Book {
    let mut book = good();
    said(&mut book.pages[ANN], "secret", id(9));
    let message = book.pages[ANN].said.last_mut().unwrap();
    message.room = "@bea".into();
    (message.at, message.answers) = (2 * SECOND, vec![(0, 3 * SECOND)]);
    heard(&mut book, BEA, "secret");
    book
}

#[test]
fn a_private_message_is_heard_once_and_by_its_recipient() {
    finds(told(), |_| {}, &[]);
    let miss = |book: &mut Book| book.pages[BEA].private_messages.clear();
    let what = "\"secret\" (by ann at 2.00s, sent 1 times)";
    let missed = format!("{what}: acknowledged, and not heard by bea");
    finds(told(), miss, &[&missed]);
    let twice = |book: &mut Book| heard(book, BEA, "secret");
    finds(told(), twice, &[&format!("{what}: bea heard it 2 times")]);
    let stray = |book: &mut Book| heard(book, PIP, "secret");
    finds(
        told(),
        stray,
        &["pip: heard \"secret\", which nobody told it"],
    );
    // Bea was away.
    let away = |book: &mut Book| {
        miss(book);
        for stay in &mut book.pages[BEA].stays {
            stay.ended = Some(4 * SECOND);
        }
    };
    finds(told(), away, &[]);
    // She has come back, and was to hear it then.
    let back = |book: &mut Book| {
        away(book);
        let here = Some(5 * SECOND);
        let (ended, errors) = (None, 0);
        let stays = &mut book.pages[BEA].stays;
        stays.push(Stay {
            here,
            ended,
            errors,
        });
    };
    finds(told(), back, &[&missed]);
}

#[test]
fn a_private_message_is_answered_once_and_truly() {
    let what = "\"secret\" (by ann at 2.00s, sent 1 times)";
    let silence = |book: &mut Book| {
        let message = book.pages[ANN].said.last_mut().unwrap();
        message.acks.clear();
        message.answers.clear();
    };
    let expected = format!("{what}: neither acknowledged nor refused");
    finds(told(), silence, &[&expected]);
    let twice = |book: &mut Book| {
        let message = book.pages[ANN].said.last_mut().unwrap();
        message.answers.push((0, 4 * SECOND));
    };
    finds(
        told(),
        twice,
        &[&format!("{what}: answered once more at 4.00s")],
    );
    let refuse = |book: &mut Book, code: &str| {
        let message = book.pages[ANN].said.last_mut().unwrap();
        message.acks.clear();
        message.refused = Some(code.into());
    };
    let lie = |book: &mut Book| refuse(book, "unavailable");
    let expected = format!("{what}: refused (unavailable) and heard by bea");
    finds(told(), lie, &[&expected]);
    // The disk was full.
    let taken_back = |book: &mut Book| {
        lie(book);
        book.pages[BEA].private_messages[0].id = Some(id(9));
        let one = ("ann".to_string(), id(9));
        book.pages[BEA].private_taken_back.insert(one);
    };
    finds(told(), taken_back, &[]);
    // Another one was taken back that a terminal had heard, which is not told so.
    let another = |book: &mut Book| {
        heard(book, PIP, "secret");
        book.pages[BEA].private_messages.clear();
        let ann = &mut book.pages[ANN];
        ann.said.last_mut().unwrap().room = "@pip".into();
        ann.private_taken_back.insert(("pip".to_string(), id(8)));
    };
    finds(told(), another, &[]);
    // Bea was cut off soon after, and may not have been told.
    let cut_off = |book: &mut Book| {
        lie(book);
        book.pages[BEA].stays[0].ended = Some(4 * SECOND);
    };
    finds(told(), cut_off, &[]);
    let unknown = |book: &mut Book| {
        refuse(book, "no_such_user");
        book.pages[BEA].private_messages.clear();
    };
    let expected = format!("{what}: refused (no_such_user), though bea was there");
    finds(told(), unknown, &[&expected]);
    let away = |book: &mut Book| {
        unknown(book);
        book.pages[BEA].stays.clear();
    };
    finds(told(), away, &[]);
}

/// Redis loses its data.
fn lose(book: &mut Book, from: Duration, to: Duration) {
    let kept = [].into();
    book.losses.push(Loss {
        from,
        to,
        date: 0,
        kept,
    });
}

#[test]
fn a_private_message_may_be_written_again_after_its_reference_was_lost() {
    let twice = |from: Duration, to: Duration| {
        move |book: &mut Book| {
            lose(book, from, to);
            heard(book, BEA, "secret");
        }
    };
    let tenth = SECOND / 10;
    finds(told(), twice(SECOND, 2 * SECOND), &[]);
    // One node has lost it, and another not yet.
    finds(told(), twice(3 * SECOND - tenth, 3 * SECOND + tenth), &[]);
    let expected = ["\"secret\" (by ann at 2.00s, sent 1 times): bea heard it 2 times"];
    finds(told(), twice(3 * SECOND + tenth, 4 * SECOND), &expected);
}

#[test]
fn a_private_message_may_be_lost_with_the_data() {
    let lost = |from: Duration, to: Duration| {
        move |book: &mut Book| {
            book.pages[BEA].private_messages.clear();
            lose(book, from, to);
        }
    };
    finds(told(), lost(SECOND, 4 * SECOND), &[]);
    let before = lost(30 * SECOND, 31 * SECOND);
    let expected =
        ["\"secret\" (by ann at 2.00s, sent 1 times): acknowledged, and not heard by bea"];
    finds(told(), before, &expected);
}
