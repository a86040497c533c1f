//! What may be missing because Redis has lost it, or because it was not on the disk of a lone server,
//! or is damaged there. Who was connected all the time has heard a message
//! even so, once its sender was told that it is there. Who has heard a part of what is lost, or of a
//! room of which all is lost, is told that something is missing before anything that follows.

use std::time::Duration;

use crate::ledger::book::{Book, Heard, Id, Loss, Page, Visit};

/// An acknowledgement this long before the loss: others have heard the message before it.
const HEARD: Duration = Duration::from_secs(1);
/// What was on its way already may be heard so much later, on a busy machine.
const LATE: Duration = Duration::from_millis(500);

/// Whether somebody may be told in this visit, after these, that it misses something: it has heard a part of
/// what is lost, or was told on this connection that it would.
pub fn known(book: &Book, visit: &Visit, earlier: &[&Visit]) -> bool {
    let room = &visit.room;
    let since = visit.since.unwrap_or(Id { epoch: 0, n: 0 });
    let here = earlier.iter().filter(|one| one.stay == visit.stay);
    let mut promised = here.filter_map(|one| one.last);
    let before = book.damaged.iter().filter(|one| one.at < visit.at);
    let mut damaged = before.filter(|one| one.vague || one.room == *room && since <= one.id);
    book.lost(room, since).is_some()
        || promised.any(|last| book.lost(room, last).is_some())
        || book.taken_back(room, since).is_some()
        || damaged.next().is_some()
}

/// Whether somebody is told once more on one connection that something is missing, though nothing has been
/// heard or lost in between.
pub fn told_again(book: &Book, first: &Visit, again: &Visit) -> bool {
    let between = |loss: &Loss| (first.at..=again.at).contains(&loss.to);
    let twice = !first.complete && !again.complete && first.stay == again.stay;
    twice && first.heard.is_empty() && !book.losses.iter().any(between)
}

/// Whether a message that was heard then is lost, and perhaps nobody else has heard it. A lone server ended
/// when its loss began.
pub fn just_before(book: &Book, room: &str, at: Duration) -> bool {
    let mut losses = book
        .losses
        .iter()
        .filter(|loss| loss.kept.contains_key(room));
    let ended = |loss: &Loss| at < loss.from + HEARD && loss.from < at + HEARD;
    losses.any(|loss| at <= loss.to + LATE && loss.to < at + HEARD || ended(loss))
}

/// Whether a message that was heard then may have been taken back, and perhaps nobody else has heard it: the
/// disk of a lone server fails.
pub fn may_be_taken_back(book: &Book, at: Duration) -> bool {
    let mut refusals = book.refusals.iter();
    refusals.any(|(from, to)| *from < at + HEARD && at <= *to + LATE)
}

/// Whether a message that was heard just before such a loss may have been said again, so that its place is
/// after what was said later.
pub fn may_be_later(book: &Book, room: &str, heard: &Heard) -> bool {
    let mut said = book.pages.iter().flat_map(|page| &page.said);
    let again = said.any(|said| said.text == heard.text && said.copies > 1);
    again && just_before(book, room, heard.at)
}

/// Whether somebody with these visits of a room may not have heard this message.
pub fn excuse(book: &Book, page: &Page, visits: &[&Visit], id: Id, text: &str) -> bool {
    let room = &visits[0].room;
    if book.taken_back(room, id).is_some() {
        return true;
    }
    if let Some(one) = book.damaged.iter().find(|one| one.is(room, id)) {
        if damage_is_told(visits, id) {
            return true;
        }
        // What is missing at the end of a file may have left nothing that could be seen.
        if !one.vague {
            return false;
        }
    }
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

/// Whether who has not heard a damaged message was told that something is missing, before it heard a
/// later one or with the first.
fn damage_is_told(visits: &[&Visit], id: Id) -> bool {
    let later = |visit: &&Visit| visit.heard.iter().any(|heard| heard.id > Some(id));
    let next = visits.iter().position(later);
    next.is_none_or(|next| {
        let mut until = visits[..=next].iter();
        until.any(|visit| !visit.complete && visit.since < Some(id))
    })
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
