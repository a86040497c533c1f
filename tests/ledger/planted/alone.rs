//! What a lone server's disk excuses, and what it does not.

use std::time::Duration;

use super::{ANN, BEA, PIP, SECOND, finds, good, hears, id, lost};
use crate::ledger::book::{Book, Damaged, Id, Loss};

/// The third message can't be kept. Ann, Pip and Kim have heard it, and a new epoch begins.
fn taken_back() -> Book {
    let mut book = good();
    book.turns = 1;
    let new = Id { epoch: 2, n: 1 };
    let pip = &mut book.pages[2];
    pip.stays[0].errors = 1;
    for page in &mut book.pages[..2] {
        let visit = page.visits.last_mut().unwrap();
        visit.heard.pop();
        visit.at = 3 * SECOND;
        hears(page, Some(new), "four");
    }
    let ann = &mut book.pages[ANN];
    ann.visits[0].at = SECOND;
    ann.visits[0].taken_back = vec![(id(3), 2 * SECOND)];
    ann.said[2].acks = vec![new];
    book.pages[BEA].visits[1].heard.remove(0);
    book
}

/// The third message is damaged while Bea is away.
fn damaged() -> Book {
    let mut book = good();
    book.damaged.push(Damaged {
        room: "attic".into(),
        id: id(3),
        at: SECOND,
        vague: false,
    });
    let back = &mut book.pages[BEA].visits[1];
    back.at = 2 * SECOND;
    back.heard.remove(0);
    back.complete = false;
    book
}

#[test]
fn a_message_may_be_taken_back_if_all_who_have_heard_it_are_told() {
    finds(taken_back(), |_| {}, &[]);
    // Bea hears it later.
    let later = |book: &mut Book| {
        let mut again = book.pages[ANN].visits[0].heard[2].clone();
        again.at = 4 * SECOND;
        book.pages[BEA].visits[1].heard.insert(0, again);
    };
    let expected = ["bea: heard 1-3 \"three\" (at 4.00s), which had been taken back"];
    finds(taken_back(), later, &expected);
    // She has heard it, and is not told.
    let silent = |book: &mut Book| {
        let heard = book.pages[ANN].visits[0].heard[2].clone();
        book.pages[BEA].visits[1].at = SECOND;
        book.pages[BEA].visits[1].heard.insert(0, heard);
    };
    let expected = ["bea: was not told that 1-3 \"three\" (at 0.00ns) was taken back"];
    finds(taken_back(), silent, &expected);
    // It was acknowledged.
    let promised = |book: &mut Book| {
        let mut said = book.pages[ANN].said[1].clone();
        (said.text, said.acks) = ("three".into(), vec![id(3)]);
        book.pages[ANN].said.insert(2, said);
    };
    let expected = ["\"three\" by ann was acknowledged as 1-3 and taken back"];
    finds(taken_back(), promised, &expected);
}

#[test]
fn what_was_taken_back_while_its_author_was_away_may_be_said_again() {
    let again = |copies, told: Duration| {
        move |book: &mut Book| {
            let new = Id { epoch: 2, n: 2 };
            book.refusals = vec![(SECOND, 2 * SECOND)];
            let mut said = book.pages[ANN].said[1].clone();
            (said.text, said.acks, said.copies) = ("three".into(), vec![new], copies);
            said.answers = vec![(0, told)];
            book.pages[ANN].said.push(said);
            for page in &mut book.pages[..2] {
                hears(page, Some(new), "three");
            }
        }
    };
    finds(taken_back(), again(2, 3 * SECOND), &[]);
    let expected = ["attic: \"three\" is both 1-3 and 2-2"];
    finds(taken_back(), again(1, 3 * SECOND), &expected);
    finds(taken_back(), again(2, SECOND / 2), &expected);
}

#[test]
fn what_only_people_without_ids_have_heard_may_be_taken_back_while_the_disk_fails() {
    let heard = |at: Duration| {
        move |book: &mut Book| {
            book.refusals = vec![(2 * SECOND, 3 * SECOND)];
            hears(&mut book.pages[PIP], None, "never kept");
            book.pages[PIP].visits[0].heard[3].at = at;
        }
    };
    finds(good(), heard(2 * SECOND), &[]);
    let expected = ["pip: heard \"never kept\" (at 4.00s) in attic, which nobody with ids heard"];
    finds(good(), heard(4 * SECOND), &expected);
}

#[test]
fn a_damaged_message_may_be_missing_if_that_is_told() {
    finds(damaged(), |_| {}, &[]);
    let silent = |book: &mut Book| book.pages[BEA].visits[1].complete = true;
    let expected = ["bea: missed 1 of attic: 1-3 \"three\""];
    finds(damaged(), silent, &expected);
    // Nothing else is excused.
    let more = |book: &mut Book| drop(book.pages[BEA].visits[1].heard.pop());
    let expected = ["bea: missed 1 of attic: 1-4 \"four\""];
    finds(damaged(), more, &expected);
    let before = |book: &mut Book| book.damaged[0].at = 3 * SECOND;
    let expected = ["bea: was told that attic's log does not reach back"];
    finds(damaged(), before, &expected);
}

#[test]
fn what_only_people_without_ids_have_heard_may_be_said_again_later() {
    let heard_before = |copies| {
        move |book: &mut Book| {
            hears(&mut book.pages[PIP], None, "again");
            book.pages[PIP].visits[0].heard[3].at = SECOND;
            let said = &mut book.pages[ANN].said;
            said.last_mut().unwrap().copies = copies;
            // It took a while to start again.
            book.losses[0].to = 4 * SECOND;
        }
    };
    finds(lost(), heard_before(2), &[]);
    let expected = ["pip: missed [\"anew\"] of attic"];
    finds(lost(), heard_before(1), &expected);
}

#[test]
fn what_is_torn_off_the_end_may_be_missing_without_a_word() {
    let torn_off = |vague| {
        move |book: &mut Book| {
            book.damaged[0].vague = vague;
            book.turns = 1;
            book.losses.push(Loss {
                from: SECOND,
                to: SECOND,
                date: 1,
                kept: [("attic".to_string(), [Some(id(2)); 2])].into(),
            });
            // After that a new epoch begins.
            let new = Id { epoch: 2, n: 1 };
            for page in &mut book.pages[..2] {
                page.visits.last_mut().unwrap().heard.pop();
                hears(page, Some(new), "four");
            }
            book.pages[ANN].said[2].acks = vec![new];
            book.pages[BEA].visits[1].complete = true;
        }
    };
    finds(damaged(), torn_off(true), &[]);
    let expected = ["bea: missed 1 of attic: 1-3 \"three\""];
    finds(damaged(), torn_off(false), &expected);
}
