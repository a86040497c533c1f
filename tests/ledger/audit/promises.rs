//! What becomes of what is said.

use std::collections::{BTreeSet, HashMap};

use super::{DELIVERY, Order, utter};
use crate::ledger::book::{Book, Dialect, Id, Page, Said};

/// What was said is heard if it was acknowledged, and not if it was refused, and nothing else is.
pub fn typed(book: &Book, room: &str, order: &Order<'_>, wrong: &mut Vec<String>) {
    let all = book.pages.iter().flat_map(|page| &page.said);
    let known: BTreeSet<&str> = all.map(|said| said.text.as_str()).collect();
    let mut heard: HashMap<&str, Vec<Id>> = HashMap::new();
    for (&id, &text) in order {
        if !known.contains(text) {
            wrong.push(format!("{room}: nobody said {id} {text:?}"));
        }
        heard.entry(text).or_default().push(id);
    }
    for page in book
        .pages
        .iter()
        .filter(|page| page.dialect == Dialect::Typed)
    {
        let mut open: Vec<&Said> = Vec::new();
        let mut before: Option<(&Said, Id)> = None;
        for said in page.said.iter().filter(|said| said.room == room) {
            let what = utter(page, said);
            let acks: BTreeSet<Id> = said.acks.iter().copied().collect();
            let list: Vec<String> = acks.iter().map(Id::to_string).collect();
            let heard = heard.get(said.text.as_str()).map_or(&[][..], |ids| ids);
            answered_once(page, said, wrong);
            match (&said.refused, acks.first()) {
                (None, None) => open.push(said),
                (Some(code), Some(_)) => {
                    wrong.push(format!(
                        "{what}: refused ({code}) and acknowledged {list:?}"
                    ));
                }
                (Some(code), None) => {
                    // What is lost can't be known again when it is sent again.
                    let again = book.may_be_written_again(said);
                    let kept = |id: &&Id| {
                        let gone = book.is_gone(room, **id) && again;
                        !gone && book.taken_back(room, **id).is_none()
                    };
                    let found = heard.iter().find(kept);
                    let found =
                        found.map(|id| format!("{what}: refused ({code}) and heard as {id}"));
                    wrong.extend(found);
                }
                (None, Some(&id)) => {
                    if acks.len() > 1 {
                        wrong.push(format!("{what}: acknowledged more than once, {list:?}"));
                    }
                    let unheard = !order.contains_key(&id) && book.is_gone(room, id);
                    if !heard.contains(&id) && !unheard {
                        let other = order.get(&id).unwrap_or(&"heard by nobody");
                        wrong.push(format!("{what}: acknowledged as {id}, which is {other}"));
                    }
                    if book.may_be_put_off(said) {
                        continue;
                    }
                    if let Some((earlier, first)) = before.filter(|&(_, first)| first > id) {
                        let earlier = utter(page, earlier);
                        wrong.push(format!(
                            "{what}: is {id}, and before it, {earlier}: {first}"
                        ));
                    }
                    before = Some((said, id));
                }
            }
        }
        if let (Some(first), Some(last)) = (open.first(), open.last()) {
            wrong.push(format!(
                "{room}: {} neither acknowledged nor refused: {} to {}",
                open.len(),
                utter(page, first),
                utter(page, last)
            ));
        }
    }
}

/// Private messages, too, are answered once.
pub fn answered_once(page: &Page, said: &Said, wrong: &mut Vec<String>) {
    for (place, (stay, at)) in said.answers.iter().enumerate() {
        if said.answers[..place].iter().any(|(other, _)| other == stay) {
            let what = utter(page, said);
            wrong.push(format!("{what}: answered once more at {at:.2?}"));
        }
    }
}

/// What somebody without ids says is heard, or it is told an error, unless its connection ends.
pub fn untyped(book: &Book, page: &Page, room: &str, order: &Order<'_>, wrong: &mut Vec<String>) {
    let heard: BTreeSet<&str> = order.values().copied().collect();
    for (number, stay) in page.stays.iter().enumerate() {
        let open: Vec<&Said> = page
            .said
            .iter()
            .filter(|said| said.stay == number && said.room == room)
            .filter(|said| stay.ended.is_none_or(|end| said.at + DELIVERY <= end))
            .filter(|said| !heard.contains(said.text.as_str()) && !book.may_be_lost(said))
            .collect();
        if let (Some(first), true) = (open.first(), open.len() > stay.errors) {
            wrong.push(format!(
                "{room}: {} neither heard nor refused, with {} errors: {} and others",
                open.len(),
                stay.errors,
                utter(page, first)
            ));
        }
    }
}
