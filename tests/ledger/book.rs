//! The ledger: what everybody said, what became of it, and what everybody heard. Each person keeps
//! a page; nobody judges here, that is the [audit](super::audit)'s.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A message's number in its room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Id {
    /// When the epoch began, in milliseconds since 1970.
    pub epoch: u64,
    /// Counts by one.
    pub n: u64,
}

impl FromStr for Id {
    type Err = String;

    fn from_str(text: &str) -> Result<Id, String> {
        let parts = text.split_once('-');
        let parse = |part: &str| part.parse().ok();
        parts
            .and_then(|(epoch, n)| Some((parse(epoch)?, parse(n)?)))
            .map(|(epoch, n)| Id { epoch, n })
            .ok_or_else(|| format!("{text:?} is no id"))
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.epoch, self.n)
    }
}

/// What somebody speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Lines of text; does not hear itself.
    Plain,
    /// The simple JSON dialect.
    Simple,
    /// The typed one: the only one with ids and acknowledgements.
    Typed,
}

/// Everything that is known about one person.
#[derive(Clone, Debug)]
pub struct Page {
    /// Unique.
    pub name: String,
    pub dialect: Dialect,
    pub rooms: Vec<String>,
    pub said: Vec<Said>,
    pub visits: Vec<Visit>,
    /// The private messages to it that it has heard.
    pub private_messages: Vec<Heard>,
    /// The last message that it has heard of its private conversation with each other person.
    pub read: BTreeMap<String, Id>,
    /// The private messages that it was told are taken back: with whom, and which.
    pub private_taken_back: BTreeSet<(String, Id)>,
    /// Violations that no fault excuses.
    pub oddities: Vec<String>,
    /// Its connections so far.
    pub stays: Vec<Stay>,
    /// In all its rooms, under its name, right now.
    pub here: bool,
    /// Why it was last not.
    pub trouble: String,
}

/// One connection.
#[derive(Clone, Debug, Default)]
pub struct Stay {
    /// When it was in all its rooms, under its name.
    pub here: Option<Duration>,
    /// When it ended; `None`: only with the world.
    pub ended: Option<Duration>,
    /// How many errors it was told that name no message.
    pub errors: usize,
}

/// A message, from its sender's side.
#[derive(Clone, Debug)]
pub struct Said {
    /// Its room; if it is a private message, an @ and the name of its recipient.
    pub room: String,
    /// Unique, as is the text. Only the typed dialect sends it.
    pub reference: String,
    pub text: String,
    pub at: Duration,
    /// The connection on which it was first sent.
    pub stay: usize,
    /// How often it was sent: once on each connection, until it is settled.
    pub copies: usize,
    /// On which connections it was answered, and when.
    pub answers: Vec<(usize, Duration)>,
    pub acks: Vec<Id>,
    /// The code it was refused with.
    pub refused: Option<String>,
    /// A later copy was refused while nobody knew what became of the first, so it was sent once
    /// more, and may come after what was said after it.
    pub put_off: bool,
}

/// One connection's stay in one room.
#[derive(Clone, Debug)]
pub struct Visit {
    pub room: String,
    /// The place, for the report.
    pub instance: usize,
    /// The connection.
    pub stay: usize,
    pub at: Duration,
    /// The last message it knew.
    pub since: Option<Id>,
    /// What it was told on entering.
    pub last: Option<Id>,
    pub complete: bool,
    pub heard: Vec<Heard>,
    /// The messages that it was told are taken back, and when.
    pub taken_back: Vec<(Id, Duration)>,
}

/// A message, as it was heard.
#[derive(Clone, Debug)]
pub struct Heard {
    pub id: Option<Id>,
    pub text: String,
    pub at: Duration,
}

impl Page {
    /// Blank.
    pub fn new(name: &str, dialect: Dialect, rooms: &[&str]) -> Page {
        Page {
            name: name.into(),
            dialect,
            rooms: rooms.iter().map(ToString::to_string).collect(),
            said: Vec::new(),
            visits: Vec::new(),
            private_messages: Vec::new(),
            read: BTreeMap::new(),
            private_taken_back: BTreeSet::new(),
            oddities: Vec::new(),
            stays: Vec::new(),
            here: false,
            trouble: "not connected yet".into(),
        }
    }

    /// The last message heard in a room.
    pub fn last(&self, room: &str) -> Option<Id> {
        self.hearings(room).filter_map(|heard| heard.id).max()
    }

    /// What was heard in a room, over all connections.
    pub fn hearings(&self, room: &str) -> impl Iterator<Item = &Heard> {
        let visits = self.visits.iter().filter(move |visit| visit.room == room);
        visits.flat_map(|visit| &visit.heard)
    }

    /// The connection that it has now.
    pub fn stay(&mut self) -> &mut Stay {
        self.stays.last_mut().expect("it is connected")
    }

    /// It is in all its rooms now, under its name.
    pub fn arrives(&mut self, at: Duration) {
        self.here = true;
        self.stay().here.get_or_insert(at);
    }

    /// Its connection is over, if it had one.
    pub fn leaves(&mut self, at: Duration, trouble: String) {
        (self.here, self.trouble) = (false, trouble);
        if let Some(stay) = self.stays.last_mut() {
            stay.ended.get_or_insert(at);
        }
    }

    /// The messages that are neither acknowledged nor refused; in other dialects than the typed
    /// one, nobody is promised either.
    pub fn unsettled(&self) -> impl Iterator<Item = &Said> {
        let typed = self.dialect == Dialect::Typed;
        self.said
            .iter()
            .filter(move |said| typed && !said.settled())
    }
}

impl Said {
    /// Whether its sender knows what became of it.
    pub fn settled(&self) -> bool {
        !self.acks.is_empty() || self.refused.is_some()
    }

    /// Its recipient, if it is private.
    pub fn recipient(&self) -> Option<&str> {
        self.room.strip_prefix('@')
    }

    /// When its sender was first told what became of it. That a later copy was refused says nothing.
    pub fn answered(&self) -> Option<Duration> {
        let answers = self.answers.iter().map(|(_, at)| *at);
        match self.put_off {
            true => answers.max(),
            false => answers.min(),
        }
    }
}

/// Redis has lost data, or a lone server that was killed what was not yet on its disk.
#[derive(Clone, Debug)]
pub struct Loss {
    /// Since when what was written is lost …
    pub from: Duration,
    /// … and until when.
    pub to: Duration,
    /// The same, in milliseconds since 1970.
    pub date: u64,
    /// The rooms that have lost messages, and the last that each has kept: this one at least, and this
    /// one at most. It is not known more exactly.
    pub kept: BTreeMap<String, [Option<Id>; 2]>,
}

impl Loss {
    /// Whether this message may be lost.
    pub fn has(&self, room: &str, id: Id) -> bool {
        self.is_after(room, id, 0)
    }

    /// Whether this message is lost for certain.
    pub fn surely_has(&self, room: &str, id: Id) -> bool {
        self.is_after(room, id, 1)
    }

    fn is_after(&self, room: &str, id: Id, end: usize) -> bool {
        let kept = self.kept.get(room).map(|kept| kept[end]);
        kept.is_some_and(|kept| Some(id) > kept && id.epoch <= self.date)
    }
}

/// A message that is damaged in the files of a lone server.
#[derive(Clone, Debug)]
pub struct Damaged {
    pub room: String,
    pub id: Id,
    pub at: Duration,
    /// Nobody can see which message it was, so it may be one of any room.
    pub vague: bool,
}

impl Damaged {
    /// Whether it is this one.
    pub fn is(&self, room: &str, id: Id) -> bool {
        self.room == room && self.id == id
    }
}

/// All pages, and what befell everybody.
#[derive(Clone, Debug, Default)]
pub struct Book {
    pub pages: Vec<Page>,
    pub losses: Vec<Loss>,
    /// When Redis refused commands, or the disk of a lone server failed.
    pub refusals: Vec<(Duration, Duration)>,
    /// When an instance could not reach Redis for so long that others may have taken it for dead.
    pub cut_off: Vec<(Duration, Duration)>,
    /// What was damaged in the files of a lone server.
    pub damaged: Vec<Damaged>,
    /// How often a room may begin a new epoch: Redis has lost data, or it is another node.
    pub turns: usize,
}

impl Book {
    /// The loss that this message is part of: of several, the one that has kept most. It may have been said after
    /// the others.
    pub fn lost(&self, room: &str, id: Id) -> Option<&Loss> {
        let losses = self.losses.iter().filter(|loss| loss.has(room, id));
        losses.min_by_key(|loss| Reverse(loss.kept[room]))
    }

    /// When somebody was first told that this message is taken back.
    pub fn taken_back(&self, room: &str, id: Id) -> Option<Duration> {
        let visits = self.pages.iter().flat_map(|page| &page.visits);
        let visits = visits.filter(|visit| visit.room == room);
        let all = visits.flat_map(|visit| &visit.taken_back);
        all.filter(|(one, _)| *one == id).map(|(_, at)| *at).min()
    }

    /// Whether this message is not there any more.
    pub fn is_gone(&self, room: &str, id: Id) -> bool {
        let damaged = || self.damaged.iter().any(|one| one.is(room, id));
        self.lost(room, id).is_some() || damaged() || self.taken_back(room, id).is_some()
    }

    /// Whether something was lost while this message may have been written, and before its sender was told
    /// what became of it.
    pub fn may_be_lost(&self, said: &Said) -> bool {
        let told = said.answered().unwrap_or(Duration::MAX);
        let during = |loss: &Loss| said.at <= loss.to && told >= loss.from;
        self.losses.iter().any(during)
    }

    /// Whether this message may come after what was said after it: a copy may have been refused, or it is
    /// written again.
    pub fn may_be_put_off(&self, said: &Said) -> bool {
        said.put_off || self.may_be_refused_unseen(said) || self.may_be_written_again(said)
    }

    /// Whether a copy may have been refused, and perhaps taken back, without its sender's knowledge, whose
    /// connection had ended.
    pub fn may_be_refused_unseen(&self, said: &Said) -> bool {
        let told = said.answered().unwrap_or(Duration::MAX);
        let during = |&(from, to): &(Duration, Duration)| said.at <= to && told >= from;
        said.copies > 1 && self.refusals.iter().any(during)
    }

    /// Whether Redis has forgotten this message before its sender was told what became of it, so that
    /// it may be written once more. If nothing is kept, one node has forgotten everything after the other.
    pub fn may_be_written_again(&self, said: &Said) -> bool {
        let told = said.answered().unwrap_or(Duration::MAX);
        let during = |loss: &Loss| {
            let forgets = loss.kept.values().flatten().all(Option::is_none);
            let lost = if forgets { loss.from } else { loss.to };
            said.at <= loss.to && told >= lost
        };
        self.losses.iter().any(during)
    }
}
