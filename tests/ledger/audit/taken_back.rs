//! What is taken back: a lone server could not keep a message that others have heard already. They are
//! told, and nobody hears it afterwards.

use super::{DELIVERY, name, tell};
use crate::ledger::book::{Book, Page};

/// All of a room.
pub fn audit(book: &Book, room: &str, wrong: &mut Vec<String>) {
    for page in &book.pages {
        for visit in page.visits.iter().filter(|visit| visit.room == room) {
            let ended = page.stays.get(visit.stay).and_then(|stay| stay.ended);
            for heard in &visit.heard {
                let Some(id) = heard.id else { continue };
                let Some(at) = book.taken_back(room, id) else {
                    continue;
                };
                let told = visit.taken_back.iter().any(|(one, _)| *one == id);
                if visit.at > at {
                    wrong.push(format!(
                        "{}: heard {}, which had been taken back, on {}",
                        page.name,
                        name(heard),
                        tell(visit)
                    ));
                } else if !told && ended.is_none_or(|end| at + DELIVERY < end) {
                    wrong.push(format!(
                        "{}: was not told that {} was taken back, on {}",
                        page.name,
                        name(heard),
                        tell(visit)
                    ));
                }
            }
        }
        acknowledged(book, page, room, wrong);
    }
}

fn acknowledged(book: &Book, page: &Page, room: &str, wrong: &mut Vec<String>) {
    for said in page.said.iter().filter(|said| said.room == room) {
        for id in &said.acks {
            if book.taken_back(room, *id).is_some() {
                wrong.push(format!(
                    "{:?} by {} was acknowledged as {id} and taken back",
                    said.text, page.name
                ));
            }
        }
    }
}
