//! What was said, kept in memory: a ring of messages per room, and which references are known.
//!
//! Bounded twice: each room keeps as many messages as the settings say, and all of them together
//! no more than [`LOG_BYTES`]; beyond that, the rooms that have been silent longest are forgotten
//! first, so that nobody can fill the memory by making up rooms. A room that was forgotten begins
//! a new epoch.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::{Duration, Instant};

use crate::bus::now;
use crate::chat::event::Event;
use crate::chat::id::Id;
use crate::chat::name::{Room, User};
use crate::chat::replay::Stretch;

/// About how many bytes all logs together may take.
const LOG_BYTES: usize = 16 * 1024 * 1024;
/// About what a room takes before its first message.
const ROOM_BYTES: usize = 256;
/// About what a message takes beside its words.
const MESSAGE_BYTES: usize = 128;
/// For how long a message sent again is recognised …
const REFERENCE_LIFE: Duration = Duration::from_secs(15 * 60);
/// … as long as no more than so many have come after it.
const REFERENCES: usize = 10_000;

/// All rooms' logs.
#[derive(Debug)]
pub(super) struct Log {
    /// Messages a room keeps.
    history: usize,
    rooms: HashMap<Room, Ring>,
    /// The rooms by when they were last spoken in.
    silent: BTreeMap<u64, Room>,
    turn: u64,
    bytes: usize,
    newest_epoch: u64,
    /// The last private message.
    letter: Option<Id>,
    references: References,
}

/// One room's last messages.
#[derive(Debug)]
struct Ring {
    last: Id,
    events: VecDeque<Event>,
    turn: u64,
}

impl Log {
    /// Empty logs that keep `history` messages each.
    pub(super) fn new(history: usize) -> Log {
        Log {
            history,
            rooms: HashMap::new(),
            silent: BTreeMap::new(),
            turn: 0,
            bytes: 0,
            newest_epoch: 0,
            letter: None,
            references: References::default(),
        }
    }

    /// The room's last message.
    pub(super) fn last(&self, room: &Room) -> Option<Id> {
        self.rooms.get(room).map(|ring| ring.last)
    }

    /// The id of the room's next message.
    pub(super) fn next(&mut self, room: &Room) -> Id {
        if let Some(last) = self.last(room) {
            return last.next();
        }
        self.newest_epoch = now().max(self.newest_epoch + 1);
        Id::first(self.newest_epoch)
    }

    /// The id of the next private message.
    pub(super) fn next_letter(&mut self) -> Id {
        let id = self.letter.map_or_else(|| Id::first(now()), Id::next);
        self.letter = Some(id);
        id
    }

    /// Keeps a message that has the [next](Self::next) id.
    pub(super) fn keep(&mut self, event: Event, id: Id) {
        let turn = self.turn + 1;
        let ring = self.rooms.entry(event.room.clone()).or_insert_with(|| {
            self.bytes += ROOM_BYTES;
            Ring {
                last: id,
                events: VecDeque::new(),
                turn,
            }
        });
        // The room that was spoken in last has its place already.
        if ring.turn != self.turn {
            self.silent.remove(&ring.turn);
            self.silent.insert(turn, event.room.clone());
            (ring.turn, self.turn) = (turn, turn);
        }
        ring.last = id;
        self.bytes += size(&event);
        ring.events.push_back(event);
        if ring.events.len() > self.history {
            self.bytes -= ring.events.pop_front().as_ref().map_or(0, size);
        }
        while self.bytes > LOG_BYTES && self.forget_one() {}
    }

    /// Forgets the room that has been silent longest or, when it is the last one, its oldest
    /// message.
    fn forget_one(&mut self) -> bool {
        let Some(oldest) = self.silent.first_entry() else {
            return false;
        };
        let Some(ring) = self.rooms.get_mut(oldest.get()) else {
            return false;
        };
        if self.turn == ring.turn {
            self.bytes -= ring.events.pop_front().as_ref().map_or(0, size);
            return !ring.events.is_empty();
        }
        self.bytes -= ROOM_BYTES + ring.events.iter().map(size).sum::<usize>();
        self.rooms.remove(&oldest.remove());
        true
    }

    /// The first messages of a stretch that are still there, up to `most`.
    pub(super) fn read(&self, room: &Room, stretch: Stretch, most: usize) -> Vec<Event> {
        let wanted = |event: &&Event| {
            event
                .id()
                .is_some_and(|id| stretch.after < id && id <= stretch.until)
        };
        self.events(room)
            .skip_while(|event| !wanted(event))
            .take_while(wanted)
            .take(most)
            .cloned()
            .collect()
    }

    /// The last messages before one, or before now; up to `most`, in order.
    pub(super) fn before(&self, room: &Room, before: Option<Id>, most: usize) -> Vec<Event> {
        let older = |event: &&Event| before.is_none_or(|before| event.id() < Some(before));
        let mut found: Vec<Event> = self
            .events(room)
            .rev()
            .skip_while(|event| !older(event))
            .take(most)
            .cloned()
            .collect();
        found.reverse();
        found
    }

    fn events(&self, room: &Room) -> impl DoubleEndedIterator<Item = &Event> {
        self.rooms
            .get(room)
            .into_iter()
            .flat_map(|ring| &ring.events)
    }

    /// The messages that have been accepted under a name of their client's.
    pub(super) fn references(&mut self) -> &mut References {
        &mut self.references
    }
}

fn size(event: &Event) -> usize {
    event.weight() + MESSAGE_BYTES
}

/// Whose message it is, in which room (none for a private one), and what the client calls it.
type Reference = (User, Option<Room>, String);

/// The messages that have been accepted under a name of their client's.
#[derive(Debug, Default)]
pub(super) struct References {
    known: HashMap<Reference, Id>,
    order: VecDeque<(Instant, Reference)>,
}

impl References {
    /// The id under which the message was accepted, if it was.
    pub(super) fn find(&self, reference: &Reference) -> Option<Id> {
        self.known.get(reference).copied()
    }

    /// Keeps a message's name and id for some minutes.
    pub(super) fn keep(&mut self, reference: Reference, id: Id) {
        let now = Instant::now();
        while let Some((since, oldest)) = self.order.front()
            && (self.order.len() >= REFERENCES || now.duration_since(*since) > REFERENCE_LIFE)
        {
            self.known.remove(oldest);
            self.order.pop_front();
        }
        self.known.insert(reference.clone(), id);
        self.order.push_back((now, reference));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::event::{Text, What};

    fn say(log: &mut Log, room: &str, text: &str) -> Id {
        let room = Room::new(room).unwrap();
        let id = log.next(&room);
        let what = What::Said {
            text: Text::new(text).unwrap(),
            email: None,
            id: Some(id),
            at: 0,
        };
        let event = Event {
            room,
            user: User::new("foo").ok(),
            origin: None,
            what,
        };
        log.keep(event, id);
        id
    }

    fn numbers(events: &[Event]) -> Vec<u64> {
        events.iter().map(|event| event.id().unwrap().n).collect()
    }

    #[test]
    fn a_room_keeps_its_last_messages() {
        let mut log = Log::new(3);
        let attic = Room::new("attic").unwrap();
        let ids: Vec<Id> = (0..5).map(|_| say(&mut log, "attic", "hello")).collect();
        say(&mut log, "cellar", "hello");
        let stretch = |after: usize, until: usize| Stretch {
            after: ids[after],
            until: ids[until],
        };
        assert_eq!(numbers(&log.read(&attic, stretch(2, 4), 10)), [4, 5]);
        assert_eq!(numbers(&log.read(&attic, stretch(0, 4), 10)), [3, 4, 5]);
        assert_eq!(numbers(&log.read(&attic, stretch(0, 4), 2)), [3, 4]);
        assert_eq!(numbers(&log.before(&attic, None, 2)), [4, 5]);
        assert_eq!(numbers(&log.before(&attic, Some(ids[4]), 9)), [3, 4]);
        assert_eq!(numbers(&log.before(&attic, Some(ids[0]), 9)), [0; 0]);
        assert_eq!(log.last(&attic), Some(ids[4]));
    }

    #[test]
    fn without_a_history_only_the_count_is_kept() {
        let mut log = Log::new(0);
        let first = say(&mut log, "attic", "hello");
        assert_eq!(say(&mut log, "attic", "hello"), first.next());
        assert!(log.before(&Room::new("attic").unwrap(), None, 9).is_empty());
    }

    #[test]
    fn rooms_that_are_silent_longest_are_forgotten_first() {
        let mut log = Log::new(1_000_000);
        let text = "x".repeat(4000);
        let first = say(&mut log, "first", &text);
        for n in 0..LOG_BYTES / 4000 {
            say(&mut log, &n.to_string(), &text);
            say(&mut log, "busy", &text);
        }
        assert!(log.bytes <= LOG_BYTES);
        let left: usize = log
            .rooms
            .values()
            .flat_map(|ring| &ring.events)
            .map(size)
            .sum();
        assert_eq!(log.bytes, left + log.rooms.len() * ROOM_BYTES);
        assert_eq!(log.silent.len(), log.rooms.len());
        assert_eq!(log.last(&Room::new("first").unwrap()), None);
        assert!(say(&mut log, "first", "again").epoch > first.epoch);
        // One room alone may not take more, either.
        for _ in 0..2 * LOG_BYTES / 4000 {
            say(&mut log, "busy", &text);
        }
        assert!(log.bytes <= LOG_BYTES);
        assert_eq!(log.rooms.len(), 1);
    }

    #[test]
    fn a_reference_is_known_until_many_others_have_come() {
        let mut log = Log::new(0);
        let id = Id::first(7);
        let name = |n: usize| (User::new("foo").unwrap(), None, n.to_string());
        log.references().keep(name(0), id);
        assert_eq!(log.references().find(&name(0)), Some(id));
        assert_eq!(log.references().find(&name(1)), None);
        for n in 1..=REFERENCES {
            log.references().keep(name(n), id.next());
        }
        assert_eq!(log.references().find(&name(0)), None);
        assert_eq!(log.references().find(&name(REFERENCES)), Some(id.next()));
        assert_eq!(log.references.known.len(), log.references.order.len());
    }
}
