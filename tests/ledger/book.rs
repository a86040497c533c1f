//! The ledger: what everybody said, what became of it, and what everybody heard. Each person keeps
//! a page; nobody judges here, that is the [audit](super::audit)'s.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A message's number in its room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Id {
    /// When the room's log began.
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
    /// Violations that no fault excuses.
    pub oddities: Vec<String>,
    /// Connections so far.
    pub connections: usize,
    /// In all its rooms, under its name, right now.
    pub here: bool,
    /// Why it was last not.
    pub trouble: String,
}

/// A message, from its sender's side.
#[derive(Clone, Debug)]
pub struct Said {
    pub room: String,
    /// Unique, as is the text. Only the typed dialect sends it.
    pub reference: String,
    pub text: String,
    pub at: Duration,
    /// How often it was sent: once on each connection, until it is settled.
    pub copies: usize,
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
    pub at: Duration,
    /// The last message it knew.
    pub since: Option<Id>,
    /// What it was told on entering.
    pub last: Option<Id>,
    pub complete: bool,
    pub heard: Vec<Heard>,
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
            oddities: Vec::new(),
            connections: 0,
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
}

/// All pages, and what befell everybody.
#[derive(Clone, Debug, Default)]
pub struct Book {
    pub pages: Vec<Page>,
    /// How often all data was lost: so many times a room may begin a new epoch.
    pub losses: usize,
}
