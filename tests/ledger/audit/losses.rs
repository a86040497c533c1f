//! What may be missing because Redis has lost it. Who was connected all the time has heard a message
//! even so, once its sender was told that it is there. Who has heard a part of what is lost, or of a
//! room of which all is lost, is told that something is missing before anything that follows.

use std::time::Duration;

use crate::ledger::book::{Book, Id, Page, Visit};

/// An acknowledgement this long before the loss: others have heard the message before it.
const HEARD: Duration = Duration::from_secs(1);

/// Whether somebody with these visits of a room may not have heard this message.
pub fn excuse(book: &Book, page: &Page, visits: &[&Visit], id: Id, text: &str) -> bool {
    let room = &visits[0].room;
    let Some(loss) = book.lost(room, id) else {
        return false;
    };
    if visits
        .iter()
        .any(|visit| hears(book, page, visit, id, text))
    {
        return false;
    }
    let later = |visit: &&Visit| visit.heard.iter().any(|heard| heard.id > Some(id));
    let Some(next) = visits.iter().position(later) else {
        return true;
    };
    let all = visits[..=next].iter().flat_map(|visit| &visit.heard);
    let before = all
        .filter_map(|heard| heard.id)
        .filter(|heard| *heard < id)
        .max();
    let told = visits[..=next]
        .iter()
        .any(|visit| !visit.complete && visit.since < Some(id));
    // Who has heard nothing that is lost can't know that there was more.
    told || before.is_none_or(|before| !loss.surely_has(room, before))
}

/// Whether somebody hears this message in this visit, though it may be lost later on.
pub fn hears(book: &Book, page: &Page, visit: &Visit, id: Id, text: &str) -> bool {
    let Some(loss) = book.lost(&visit.room, id) else {
        return true;
    };
    let said = book.pages.iter().flat_map(|page| &page.said);
    let mut said = said.filter(|said| said.text == text && said.acks.contains(&id));
    let Some((said, told)) = said.next().and_then(|said| Some((said, said.answered()?))) else {
        return false;
    };
    let ended = page.stays.get(visit.stay).and_then(|stay| stay.ended);
    let there = visit.at < said.at && ended.is_none_or(|end| told + HEARD < end);
    there && told + HEARD < loss.to
}
