//! The audit: what the pages say together. A violation is a text that names the message, who
//! missed or doubled it, and what was heard around it.
//!
//! Only a loss of data is forgiven anything, and that [narrowly](losses).

mod hearing;
mod losses;
mod private_messages;
mod promises;
mod taken_back;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use super::book::{Book, Dialect, Heard, Id, Page, Said, Visit};

/// A room's messages in their order, as all typed people together heard them.
type Order<'a> = BTreeMap<Id, &'a str>;

/// How long a message may be under way to somebody who is connected, through any fault.
pub const DELIVERY: Duration = Duration::from_secs(20);

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
        promises::typed(book, room, &order, &mut wrong);
        taken_back::audit(book, room, &mut wrong);
        for page in &book.pages {
            match page.dialect {
                Dialect::Typed => hearing::typed(book, page, room, &order, &mut wrong),
                Dialect::Plain | Dialect::Simple => {
                    hearing::untyped(book, page, room, &order, &mut wrong);
                    promises::untyped(book, page, room, &order, &mut wrong);
                }
            }
        }
    }
    private_messages::audit(book, &mut wrong);
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
        let mut damaged = book.damaged.iter().filter(|one| one.room == room);
        if id.n != follows && !damaged.any(|one| before < one.id && one.id < id) {
            wrong.push(format!(
                "{room}: nobody heard what is between {before} {:?} and {id} {:?}",
                order[&before], order[&id]
            ));
        }
    }
    let epochs: BTreeSet<u64> = ids.iter().map(|id| id.epoch).collect();
    if epochs.len() > 1 + book.turns {
        wrong.push(format!(
            "{room}: began {} times, though it had reason to only {} times: {epochs:?}",
            epochs.len(),
            book.turns
        ));
    }
    let mut numbers: HashMap<&str, Id> = HashMap::new();
    for (&id, text) in order {
        let forgotten = |first| {
            let said = book.pages.iter().flat_map(|page| &page.said);
            let again = said.filter(|said| said.text == *text);
            let mut again = again
                .filter(|said| book.may_be_written_again(said) || book.may_be_refused_unseen(said));
            book.is_gone(room, first) && again.next().is_some()
        };
        if let Some(first) = numbers.insert(text, id).filter(|first| !forgotten(*first)) {
            wrong.push(format!("{room}: {text:?} is both {first} and {id}"));
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
