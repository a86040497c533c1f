//! What a loss of data excuses, and what it does not.

use super::{ANN, BEA, PIP, SECOND, finds, good, hears, id, lost, said};
use crate::ledger::book::{Book, Heard, Id, Loss};

fn new(n: u64) -> Id {
    Id { epoch: 2, n }
}

/// Redis goes back to the second message while Bea is away. Ann, Pip and Kim have heard the third and
/// the fourth.
fn gone_back() -> Book {
    let mut book = good();
    book.turns = 1;
    book.losses.push(Loss {
        from: SECOND,
        to: 4 * SECOND,
        date: 1,
        kept: [("attic".to_string(), [Some(id(2)); 2])].into(),
    });
    let page = &mut book.pages[ANN];
    (page.said[2].at, page.said[2].answers) = (2 * SECOND, vec![(0, 2 * SECOND)]);
    said(page, "anew", new(1));
    (page.said[3].at, page.said[3].answers) = (5 * SECOND, vec![(0, 5 * SECOND)]);
    for page in &mut book.pages[..2] {
        hears(page, Some(new(1)), "anew");
    }
    let bea = &mut book.pages[BEA];
    bea.stays[0].ended = Some(SECOND);
    let back = &mut bea.visits[1];
    back.at = 5 * SECOND;
    back.heard.drain(..2);
    book
}

#[test]
fn what_only_a_terminal_hears_is_forgiven_in_the_moment_of_a_loss() {
    let hear = |at| {
        move |book: &mut Book| {
            let (id, text) = (None, "unheard".to_string());
            book.pages[PIP].visits[0].heard.push(Heard { id, text, at });
        }
    };
    finds(gone_back(), hear(4 * SECOND), &[]);
    // What arrived before the loss may be read a little later.
    finds(gone_back(), hear(9 * SECOND / 2), &[]);
    let expected = ["pip: heard \"unheard\" (at"];
    finds(gone_back(), hear(3 * SECOND), &expected);
    finds(gone_back(), hear(5 * SECOND), &expected);
    finds(good(), hear(4 * SECOND), &expected);
}

#[test]
fn what_was_said_after_a_loss_may_be_part_of_the_next() {
    let one_before = |book: &mut Book| {
        let mut before = book.losses[0].clone();
        (before.from, before.to) = (SECOND, SECOND);
        before.kept = [("attic".to_string(), [Some(id(1)); 2])].into();
        book.losses.insert(0, before);
    };
    finds(gone_back(), one_before, &[]);
}

#[test]
fn only_what_is_announced_is_forgiven() {
    finds(gone_back(), |_| {}, &[]);
    // Not announced.
    let silent = |book: &mut Book| book.pages[BEA].visits[1].complete = true;
    let expected = ["bea: missed 2 of attic: 1-3 \"three\" to 1-4 \"four\""];
    finds(lost(), silent, &expected);
    // Announced after what follows.
    let late = |book: &mut Book| {
        silent(book);
        let mut again = book.pages[BEA].visits[1].clone();
        again.since = Some(new(1));
        (again.complete, again.heard) = (false, again.heard.split_off(1));
        book.pages[BEA].visits[1].heard.truncate(1);
        book.pages[BEA].visits.push(again);
    };
    let expected = [
        "bea: was told that attic's log does not reach back",
        expected[0],
    ];
    finds(lost(), late, &expected);
    // Not lost.
    let deaf = |book: &mut Book| drop(book.pages[BEA].visits[1].heard.pop());
    finds(lost(), deaf, &["bea: missed 1 of attic: 2-2 \"again\""]);
    // Announced, but nothing was lost that she knew of.
    let lie = |book: &mut Book| book.pages[BEA].visits[1].complete = false;
    let expected = ["bea: was told that attic's log does not reach back"];
    finds(good(), lie, &expected);
    finds(gone_back(), lie, &expected);
    let never = |book: &mut Book| {
        book.losses.clear();
        book.turns = 0;
    };
    let expected = [
        "attic: began 2 times, though it had reason to only 0 times: {1, 2}",
        expected[0],
        "bea: missed 2 of attic: 1-3 \"three\" to 1-4 \"four\"",
    ];
    finds(lost(), never, &expected);
}

#[test]
fn who_is_connected_hears_what_is_lost_later() {
    let stays = |book: &mut Book| {
        let bea = &mut book.pages[BEA];
        bea.stays[0].ended = None;
        let back = bea.visits.pop().unwrap();
        bea.visits[0].heard.extend(back.heard);
    };
    // The third is Pip's, who is promised nothing.
    let expected = ["bea: missed 1 of attic: 1-4 \"four\" to 1-4 \"four\""];
    finds(gone_back(), stays, &expected);
    let late = |book: &mut Book| {
        stays(book);
        book.pages[ANN].said[2].answers = vec![(0, 4 * SECOND)];
    };
    finds(gone_back(), late, &[]);
    let miss = |book: &mut Book| {
        let heard = &mut book.pages[PIP].visits[0].heard;
        heard.remove(2);
        hears(&mut book.pages[PIP], None, "anew");
    };
    finds(gone_back(), miss, &["pip: missed [\"four\"] of attic"]);
}

#[test]
fn who_has_heard_a_part_of_what_is_lost_is_told() {
    let part = |book: &mut Book| {
        let bea = &mut book.pages[BEA];
        bea.visits[1].since = Some(id(3));
        hears(bea, Some(id(4)), "four");
        let four = bea.visits[1].heard.pop().unwrap();
        bea.visits[0].heard.push(crate::ledger::book::Heard {
            id: Some(id(3)),
            text: "three".into(),
            ..four
        });
    };
    let expected = ["bea: missed 1 of attic: 1-4 \"four\" to 1-4 \"four\""];
    finds(gone_back(), part, &expected);
    let told = |book: &mut Book| {
        part(book);
        book.pages[BEA].visits[1].complete = false;
    };
    finds(gone_back(), told, &[]);
    // Perhaps the part is not lost.
    let perhaps = |book: &mut Book| {
        part(book);
        let kept = book.losses[0].kept.get_mut("attic").unwrap();
        kept[1] = Some(id(3));
    };
    finds(gone_back(), perhaps, &[]);
}

#[test]
fn who_is_told_of_a_last_message_that_is_lost_is_told_of_the_loss() {
    // Bea comes back before the loss, and is told of it before she has heard anything.
    let promised = |last: Id, stay: usize| {
        move |book: &mut Book| {
            let visits = &mut book.pages[BEA].visits;
            let mut before = visits[1].clone();
            (before.last, before.stay) = (Some(last), stay);
            before.heard.clear();
            visits[1].complete = false;
            visits.insert(1, before);
        }
    };
    finds(gone_back(), promised(id(4), 1), &[]);
    let expected = ["bea: was told that attic's log does not reach back"];
    // What she was told of is not lost.
    finds(gone_back(), promised(id(2), 1), &expected);
    // She was told so on another connection, and has not asked for it since.
    finds(gone_back(), promised(id(4), 0), &expected);
    // The first answer that says so is as wrong as before.
    let stale = |book: &mut Book| {
        promised(id(4), 1)(book);
        book.pages[BEA].visits[1].complete = false;
    };
    let again = "bea: was told once more that something of attic is missing";
    finds(gone_back(), stale, &[expected[0], again]);
}

#[test]
fn who_is_told_twice_of_one_loss_is_found() {
    let twice = |book: &mut Book| {
        let visits = &mut book.pages[BEA].visits;
        let mut before = visits[1].clone();
        before.heard.clear();
        (before.complete, visits[1].complete) = (false, false);
        visits.insert(1, before);
    };
    let known = |book: &mut Book| {
        twice(book);
        for visit in &mut book.pages[BEA].visits[1..] {
            visit.since = Some(id(3));
        }
    };
    let expected = ["bea: was told once more that something of attic is missing"];
    finds(gone_back(), known, &expected);
    // Redis has gone back once more in between.
    let again = |book: &mut Book| {
        known(book);
        let at = book.pages[BEA].visits[1].at;
        let mut loss = book.losses[0].clone();
        (loss.from, loss.to) = (at, at);
        book.losses.push(loss);
    };
    finds(gone_back(), again, &[]);
}

#[test]
fn a_number_that_is_given_twice_is_found() {
    let twice = |book: &mut Book| {
        let bea = &mut book.pages[BEA];
        let heard = bea.visits[1].heard.last_mut().unwrap();
        heard.id = Some(id(3));
    };
    let expected = [
        "attic: 1-3 is \"three\" for others and \"anew\" for bea",
        "bea: missed 1 of attic: 2-1 \"anew\"",
    ];
    finds(gone_back(), twice, &expected);
}

#[test]
fn a_message_may_be_written_again_only_if_its_sender_knew_nothing() {
    let again = |book: &mut Book| {
        for page in &mut book.pages[..2] {
            hears(page, Some(new(2)), "four");
        }
    };
    finds(gone_back(), again, &["attic: \"four\" is both 1-4 and 2-2"]);
    let unknown = |book: &mut Book| {
        again(book);
        let said = &mut book.pages[ANN].said[2];
        (said.acks, said.answers) = (vec![new(2)], vec![(0, 5 * SECOND)]);
    };
    finds(gone_back(), unknown, &[]);
}

#[test]
fn a_terminal_may_have_heard_either_copy_of_a_message_that_is_written_again() {
    let again = |book: &mut Book| {
        let said = &mut book.pages[ANN].said;
        (said[2].acks, said[2].answers) = (vec![new(1)], vec![(0, 5 * SECOND)]);
        said[3].acks = vec![new(2)];
        for page in &mut book.pages[..2] {
            let heard = &mut page.visits.last_mut().unwrap().heard;
            heard.last_mut().unwrap().text = "four".into();
            hears(page, Some(new(2)), "anew");
        }
        hears(&mut book.pages[PIP], None, "anew");
    };
    finds(gone_back(), again, &[]);
    let missed = |book: &mut Book| {
        again(book);
        book.pages[PIP].visits[0].heard.remove(2);
    };
    finds(gone_back(), missed, &["pip: missed [\"four\"] of attic"]);
}
