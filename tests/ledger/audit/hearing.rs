//! What people hear.

use std::collections::{BTreeSet, HashMap};

use super::{Order, losses, name, tell};
use crate::ledger::book::{Book, Dialect, Heard, Id, Page, Visit};

/// A peer that sees ids hears everything once and in order, from its join to the end.
pub fn typed(book: &Book, page: &Page, room: &str, order: &Order<'_>, wrong: &mut Vec<String>) {
    let visits: Vec<&Visit> = page.visits.iter().filter(|v| v.room == room).collect();
    let Some(first) = visits.first() else { return };
    for (place, visit) in visits.iter().enumerate().skip(1) {
        if !visit.complete && !losses::known(book, visit, &visits[..place]) {
            wrong.push(format!(
                "{}: was told that {room}'s log does not reach back, though nothing was lost: {}",
                page.name,
                tell(visit)
            ));
        }
    }
    for pair in visits.windows(2) {
        if losses::told_again(book, pair[0], pair[1]) {
            wrong.push(format!(
                "{}: was told once more that something of {room} is missing: {}",
                page.name,
                tell(pair[1])
            ));
        }
    }
    let mut before: Option<(&Visit, &Heard)> = None;
    let heard = visits
        .iter()
        .flat_map(|visit| visit.heard.iter().map(move |heard| (*visit, heard)));
    for (visit, heard) in heard.clone() {
        if let Some((earlier, last)) = before.filter(|(_, last)| last.id >= heard.id) {
            let what = match heard.id == last.id {
                true => "twice",
                false => "out of order",
            };
            wrong.push(format!(
                "{}: heard {} of {room} {what}: after {} on {}, on {}",
                page.name,
                name(heard),
                name(last),
                tell(earlier),
                tell(visit)
            ));
        }
        before = Some((visit, heard));
    }
    let ids: BTreeSet<Id> = heard.clone().filter_map(|(_, heard)| heard.id).collect();
    let expected = order.iter().filter(|(id, _)| Some(**id) > first.last);
    let missed: Vec<(Id, &str)> = expected
        .map(|(id, text)| (*id, *text))
        .filter(|(id, text)| !ids.contains(id) && !losses::excuse(book, page, &visits, *id, text))
        .collect();
    let together = |a: &(Id, &str), b: &(Id, &str)| ids.range(a.0..b.0).next().is_none();
    for run in missed.chunk_by(together) {
        let (from, to) = (run[0], run[run.len() - 1]);
        let around = |found: Option<(&Visit, &Heard)>| match found {
            Some((visit, heard)) => format!("{} on {}", name(heard), tell(visit)),
            None => "nothing".into(),
        };
        wrong.push(format!(
            "{}: missed {} of {room}: {} {:?} to {} {:?}; before: {}; after: {}",
            page.name,
            run.len(),
            from.0,
            from.1,
            to.0,
            to.1,
            around(heard.clone().rfind(|(_, h)| h.id < Some(from.0))),
            around(heard.clone().find(|(_, h)| h.id > Some(to.0))),
        ));
    }
}

/// A peer without ids hears, on one connection, a part of the room's order without a gap. In the plain
/// dialect nobody hears itself.
pub fn untyped(book: &Book, page: &Page, room: &str, order: &Order<'_>, wrong: &mut Vec<String>) {
    let deaf = page.dialect == Dialect::Plain;
    let own: BTreeSet<&str> = match deaf {
        true => page.said.iter().map(|said| said.text.as_str()).collect(),
        false => BTreeSet::new(),
    };
    let order: Vec<(Id, &str)> = order
        .iter()
        .map(|(id, text)| (*id, *text))
        .filter(|(_, text)| !own.contains(text))
        .collect();
    let mut places: HashMap<&str, Vec<usize>> = HashMap::new();
    for (place, (_, text)) in order.iter().enumerate() {
        places.entry(text).or_default().push(place);
    }
    let sequence = Sequence { order, places };
    for visit in page.visits.iter().filter(|visit| visit.room == room) {
        let heard = visit.heard.iter();
        let heard = heard.filter(|heard| !own.contains(heard.text.as_str()));
        let heard: Vec<&Heard> = heard.collect();
        let first = heard.first();
        let first = first.and_then(|first| sequence.places.get(&*first.text));
        // What was published twice may be heard twice, so it may have begun at several places.
        let starts = first.map_or(&[0][..], |places| places);
        let follow = |start: &usize| follow(book, page, visit, &heard, &sequence, *start);
        let found = starts.iter().map(follow).min_by_key(Vec::len);
        wrong.extend(found.unwrap_or_default());
    }
}

/// A room's messages that somebody without ids can hear, and where each text is among them.
struct Sequence<'a> {
    order: Vec<(Id, &'a str)>,
    places: HashMap<&'a str, Vec<usize>>,
}

/// What is wrong in a visit that began at this place of the order, or after it.
fn follow(
    book: &Book,
    page: &Page,
    visit: &Visit,
    heard: &[&Heard],
    sequence: &Sequence<'_>,
    start: usize,
) -> Vec<String> {
    let mut wrong = Vec::new();
    let room = &visit.room;
    let mut before: Option<(usize, &Heard)> = None;
    for heard in heard {
        let next = before.map_or(start, |(last, _)| last + 1);
        let known = sequence.places.get(heard.text.as_str());
        let place = known.map(|known| known.iter().find(|at| **at >= next).unwrap_or(&known[0]));
        let Some(&place) = place else {
            if losses::just_before(book, room, heard.at)
                || losses::may_be_taken_back(book, heard.at)
            {
                continue;
            }
            wrong.push(format!(
                "{}: heard {} in {room}, which nobody with ids heard, on {}",
                page.name,
                name(heard),
                tell(visit)
            ));
            continue;
        };
        if let Some((last, earlier)) = before.filter(|(last, _)| place != last + 1) {
            if place > last && losses::may_be_later(book, room, heard) {
                continue;
            }
            let missed = sequence.order.get(last + 1..place).unwrap_or_default();
            // Of what is there twice, either copy may be the one that was heard.
            let others = missed.iter().filter(|(_, text)| *text != earlier.text);
            let missed: Vec<&str> = others
                .filter(|(id, text)| losses::hears(book, page, visit, *id, text))
                .map(|(_, text)| *text)
                .collect();
            let what = match place > last {
                true => format!("missed {missed:?} of {room}"),
                false => format!("heard something of {room} twice or out of order"),
            };
            if place <= last || !missed.is_empty() {
                wrong.push(format!(
                    "{}: {what}: {} came after {} on {}",
                    page.name,
                    name(heard),
                    name(earlier),
                    tell(visit)
                ));
            }
        }
        before = Some((place, heard));
    }
    wrong
}
