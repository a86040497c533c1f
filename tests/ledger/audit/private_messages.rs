//! Private messages: each is answered once, and one that is acknowledged is heard once, by its recipient
//! alone.

use std::collections::HashMap;
use std::time::Duration;

use super::promises::answered_once;
use super::{DELIVERY, utter};
use crate::ledger::book::{Book, Dialect, Heard, Loss, Page, Said};

/// In a cluster one node after the other loses its data.
const MOMENT: Duration = Duration::from_secs(1);

/// An instance that can reach Redis again has its names back after this time.
const BACK: Duration = Duration::from_secs(5);

/// All of them.
pub fn audit(book: &Book, wrong: &mut Vec<String>) {
    let mut heard: HashMap<(&str, &str), Vec<&Heard>> = HashMap::new();
    for page in &book.pages {
        for message in &page.private_messages {
            let heard = heard.entry((&page.name, &message.text));
            heard.or_default().push(message);
        }
    }
    for page in book
        .pages
        .iter()
        .filter(|page| page.dialect == Dialect::Typed)
    {
        for said in &page.said {
            let Some(to) = said.recipient() else { continue };
            let heard = heard.remove(&(to, said.text.as_str())).unwrap_or_default();
            let recipient = book.pages.iter().find(|page| page.name == to);
            audit_one(
                book,
                page,
                said,
                recipient.expect("it is somebody"),
                &heard,
                wrong,
            );
        }
    }
    for (to, text) in heard.keys() {
        wrong.push(format!("{to}: heard {text:?}, which nobody told it"));
    }
}

fn audit_one(
    book: &Book,
    page: &Page,
    said: &Said,
    to: &Page,
    heard: &[&Heard],
    wrong: &mut Vec<String>,
) {
    let what = utter(page, said);
    answered_once(page, said, wrong);
    let Some(told) = said.answered() else {
        return wrong.push(format!("{what}: neither acknowledged nor refused"));
    };
    // Without ids nobody is told so but the sender, and not which one it was.
    let taken_back = |heard: &&&Heard| match heard.id {
        Some(id) => to.private_taken_back.contains(&(page.name.clone(), id)),
        None => {
            let mut all = page.private_taken_back.iter();
            said.acks.is_empty() && all.any(|(with, _)| *with == to.name)
        }
    };
    // Who is cut off after that may not be told.
    let cut_off = |heard: &&&Heard| {
        let mut ends = to.stays.iter().filter_map(|stay| stay.ended);
        let after = heard.at..told + DELIVERY;
        said.refused.is_some() && ends.any(|end| after.contains(&end))
    };
    let kept = heard.iter();
    let kept = kept.filter(|heard| !taken_back(heard) && !cut_off(heard));
    let count = kept.count();
    let again = book.may_be_written_again(said) || book.may_be_refused_unseen(said);
    if count > 1 && !again {
        let times = heard.iter().map(|heard| heard.at);
        let came = to.stays.iter().filter_map(|stay| stay.here);
        wrong.push(format!(
            "{what}: {} heard it {count} times, at {:?}, and came at {:?}",
            to.name,
            times.collect::<Vec<_>>(),
            came.collect::<Vec<_>>(),
        ));
    }
    // On one connection from before it was said.
    let there = |until| {
        to.stays.iter().any(|stay| {
            let here = stay.here.is_some_and(|here| here < said.at);
            here && stay.ended.is_none_or(|end| until < end)
        })
    };
    // Those with ids ask for what they have missed. Others hear it if they are there.
    let comes = |told| match to.dialect {
        Dialect::Typed => to.stays.last().is_some_and(|stay| {
            stay.here.is_some() && stay.ended.is_none_or(|end| told + DELIVERY < end)
        }),
        _ => there(told + DELIVERY),
    };
    // Until it was heard for certain: Redis may lose what is still under way.
    let back = to.stays.iter().filter_map(|stay| stay.here);
    let back = back.filter(|here| *here > told).min().unwrap_or(told);
    let during = |loss: &Loss| said.at <= loss.to && back + DELIVERY >= loss.from;
    let lost = book.losses.iter().any(during);
    match &said.refused {
        Some(code) if !said.acks.is_empty() => {
            wrong.push(format!("{what}: refused ({code}) and acknowledged"));
        }
        // Of several copies, the last may be refused.
        Some(code) if count > 0 && said.copies == 1 && !book.may_be_written_again(said) => {
            wrong.push(format!("{what}: refused ({code}) and heard by {}", to.name));
        }
        Some(code) if code == "no_such_user" => {
            // The names are registered again.
            let lost = |to| said.at < to + DELIVERY && to <= told + MOMENT;
            let lost = book.losses.iter().any(|loss| lost(loss.to));
            let taken_for_dead =
                |(from, to): &(Duration, Duration)| said.at < *to + BACK && told > *from;
            if there(told) && !lost && !book.cut_off.iter().any(taken_for_dead) {
                wrong.push(format!(
                    "{what}: refused ({code}), though {} was there",
                    to.name
                ));
            }
        }
        None if count == 0 && comes(told) && !lost => {
            wrong.push(format!(
                "{what}: acknowledged, and not heard by {}",
                to.name
            ));
        }
        _ => {}
    }
}
