//! The audit: what the pages say together. A violation is a text that names the message, who
//! missed or doubled it, and what was heard around it.
//!
//! Only a loss of all data is forgiven anything, and that narrowly: who came back, was told that
//! the log no longer reaches back, and had not heard a message from before, may have missed it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::book::{Book, Dialect, Heard, Id, Page, Said, Visit};

/// A room's messages in their order, as all typed people together heard them.
type Order<'a> = BTreeMap<Id, &'a str>;

/// Everything that is not as it should be.
pub fn audit(book: &Book) -> Vec<String> {
    let mut wrong = Vec::new();
    for page in &book.pages {
        let odd = |odd: &String| format!("{}: {odd}", page.name);
        wrong.extend(page.oddities.iter().map(odd));
    }
    let rooms: BTreeSet<&String> = book.pages.iter().flat_map(|page| &page.rooms).collect();
    for room in rooms {
        let order = order(book, room, &mut wrong);
        numbers(book, room, &order, &mut wrong);
        promises(book, room, &order, &mut wrong);
        for page in &book.pages {
            match page.dialect {
                Dialect::Typed => typed(book, page, room, &order, &mut wrong),
                Dialect::Plain | Dialect::Simple => untyped(page, room, &order, &mut wrong),
            }
        }
    }
    wrong
}

/// All peers that see ids agree on the message of each id.
fn order<'a>(book: &'a Book, room: &str, wrong: &mut Vec<String>) -> Order<'a> {
    let mut order = Order::new();
    for page in &book.pages {
        for heard in page.hearings(room) {
            let Some(id) = heard.id else { continue };
            let known = *order.entry(id).or_insert(heard.text.as_str());
            if known != heard.text {
                wrong.push(format!(
                    "{room}: {id} is {known:?} for others and {:?} for {}",
                    heard.text, page.name
                ));
            }
        }
    }
    order
}

/// A room's numbers leave no gap, and each message has one.
fn numbers(book: &Book, room: &str, order: &Order<'_>, wrong: &mut Vec<String>) {
    let ids: Vec<Id> = order.keys().copied().collect();
    for pair in ids.windows(2) {
        let [before, id] = [pair[0], pair[1]];
        let follows = match before.epoch == id.epoch {
            true => before.n + 1,
            false => 1,
        };
        if id.n != follows {
            wrong.push(format!(
                "{room}: nobody heard what is between {before} {:?} and {id} {:?}",
                order[&before], order[&id]
            ));
        }
    }
    let epochs: BTreeSet<u64> = ids.iter().map(|id| id.epoch).collect();
    if epochs.len() > 1 + book.losses {
        wrong.push(format!(
            "{room}: began {} times, though its data was lost only {} times: {epochs:?}",
            epochs.len(),
            book.losses
        ));
    }
    let mut numbers: HashMap<&str, Id> = HashMap::new();
    for (&id, text) in order {
        if let Some(first) = numbers.insert(text, id) {
            wrong.push(format!("{room}: {text:?} is both {first} and {id}"));
        }
    }
}

/// What was said is heard if it was acknowledged, and not if it was refused, and nothing else is.
fn promises(book: &Book, room: &str, order: &Order<'_>, wrong: &mut Vec<String>) {
    let all = book.pages.iter().flat_map(|page| &page.said);
    let known: BTreeSet<&str> = all.map(|said| said.text.as_str()).collect();
    let heard: HashMap<&str, Id> = order.iter().map(|(&id, &text)| (text, id)).collect();
    for (text, id) in &heard {
        if !known.contains(text) {
            wrong.push(format!("{room}: nobody said {id} {text:?}"));
        }
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
            let heard = heard.get(said.text.as_str()).copied();
            match (&said.refused, acks.first()) {
                (None, None) => open.push(said),
                (Some(code), Some(_)) => {
                    wrong.push(format!(
                        "{what}: refused ({code}) and acknowledged {list:?}"
                    ));
                }
                (Some(code), None) => {
                    let found =
                        heard.map(|id| format!("{what}: refused ({code}) and heard as {id}"));
                    wrong.extend(found);
                }
                (None, Some(&id)) => {
                    if acks.len() > 1 {
                        wrong.push(format!("{what}: acknowledged more than once, {list:?}"));
                    }
                    if heard != Some(id) {
                        let other = order.get(&id).unwrap_or(&"heard by nobody");
                        wrong.push(format!("{what}: acknowledged as {id}, which is {other}"));
                    }
                    if said.put_off {
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

/// A peer that sees ids hears everything once and in order, from its join to the end.
fn typed(book: &Book, page: &Page, room: &str, order: &Order<'_>, wrong: &mut Vec<String>) {
    let visits: Vec<&Visit> = page.visits.iter().filter(|v| v.room == room).collect();
    let Some(first) = visits.first() else { return };
    for visit in &visits[1..] {
        let known = |id: Option<Id>| id.map(|id| id.epoch);
        if !visit.complete && (book.losses == 0 || known(visit.last) == known(visit.since)) {
            wrong.push(format!(
                "{}: was told that {room}'s log does not reach back, though nothing was lost: {}",
                page.name,
                tell(visit)
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
    let excused = |id: Id| {
        visits[1..].iter().any(|visit| {
            let reaches = match (visit.last, visit.since) {
                (Some(last), _) => id <= last,
                (None, since) => since.is_some_and(|since| id.epoch == since.epoch),
            };
            !visit.complete && Some(id) > visit.since && reaches
        })
    };
    let missed: Vec<(Id, &str)> = expected
        .map(|(id, text)| (*id, *text))
        .filter(|(id, _)| !ids.contains(id) && !excused(*id))
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
fn untyped(page: &Page, room: &str, order: &Order<'_>, wrong: &mut Vec<String>) {
    let deaf = page.dialect == Dialect::Plain;
    let own: BTreeSet<&str> = match deaf {
        true => page.said.iter().map(|said| said.text.as_str()).collect(),
        false => BTreeSet::new(),
    };
    let order: Vec<&str> = order
        .values()
        .copied()
        .filter(|t| !own.contains(t))
        .collect();
    let mut places: HashMap<&str, Vec<usize>> = HashMap::new();
    for (place, text) in order.iter().enumerate() {
        places.entry(text).or_default().push(place);
    }
    for visit in page.visits.iter().filter(|visit| visit.room == room) {
        let mut before: Option<(usize, &Heard)> = None;
        for heard in visit
            .heard
            .iter()
            .filter(|h| !own.contains(h.text.as_str()))
        {
            // What was published twice may be heard twice.
            let next = before.map_or(0, |(last, _)| last + 1);
            let known = places.get(heard.text.as_str());
            let place =
                known.map(|known| known.iter().find(|at| **at == next).unwrap_or(&known[0]));
            let Some(&place) = place else {
                wrong.push(format!(
                    "{}: heard {} in {room}, which nobody with ids heard, on {}",
                    page.name,
                    name(heard),
                    tell(visit)
                ));
                continue;
            };
            if let Some((last, earlier)) = before.filter(|(last, _)| place != last + 1) {
                let what = match place > last {
                    true => format!("missed {:?} of {room}", &order[last + 1..place]),
                    false => format!("heard something of {room} twice or out of order"),
                };
                wrong.push(format!(
                    "{}: {what}: {} came after {} on {}",
                    page.name,
                    name(heard),
                    name(earlier),
                    tell(visit)
                ));
            }
            before = Some((place, heard));
        }
    }
}

fn utter(page: &Page, said: &Said) -> String {
    format!(
        "{:?} (by {} at {:.2?}, sent {} times)",
        said.text, page.name, said.at, said.copies
    )
}

fn name(heard: &Heard) -> String {
    let id = heard.id.map_or(String::new(), |id| format!("{id} "));
    format!("{id}{:?} (at {:.2?})", heard.text, heard.at)
}

fn tell(visit: &Visit) -> String {
    let id = |id: Option<Id>| id.map_or("none".into(), |id| id.to_string());
    format!(
        "the visit to instance {} from {:.2?} on (since {}, last {}, complete {})",
        visit.instance,
        visit.at,
        id(visit.since),
        id(visit.last),
        visit.complete
    )
}
