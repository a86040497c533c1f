//! What moderators do, and whose a message is.

use std::array;
use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;

use sha2::{Digest, Sha256};

use super::id::Origin;
use super::name::{SessionKeyHash, User};
use super::sanitize::is_unsafe_on_terminal;

/// For how many seconds somebody is removed or muted, where the moderator does not say.
pub const SECONDS_USUAL: u64 = 600;
/// The most seconds: a year. A ban has no end.
pub const SECONDS_MOST: u64 = 366 * 24 * 3600;
/// For how long people may take back their own messages, in milliseconds.
pub const OWN_TIME: u64 = 3600 * 1000;
/// How many people may be banned or muted in one room.
pub const ENTRIES_MOST: usize = 1000;
/// How many addresses are noted of one banned name.
pub const ADDRESSES_MOST: usize = 8;
/// A reason has at most this many characters.
const REASON_CHARS: usize = 100;
/// So many characters of a message are shown when it is taken back.
const START_CHARS: usize = 40;

/// What a moderator does to a user of a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The user leaves the room, and can't enter it for a while.
    Kick,
    /// The same until it is ended.
    Ban,
    /// Ends a kick or a ban.
    Unban,
    /// The user hears, and can't speak for a while; 0 seconds end it.
    Mute,
}

impl Action {
    const ALL: [(Action, &str); 4] = [
        (Action::Kick, "kick"),
        (Action::Ban, "ban"),
        (Action::Unban, "unban"),
        (Action::Mute, "mute"),
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        Action::ALL[self as usize].1
    }

    /// The action with this name.
    pub fn named(name: &str) -> Option<Action> {
        let mut all = Action::ALL.into_iter();
        all.find(|(_, other)| *other == name).map(|(one, _)| one)
    }

    /// Whether the user leaves the room by it.
    pub fn removes(self) -> bool {
        matches!(self, Action::Kick | Action::Ban)
    }
}

/// Something that a moderator does to a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measure {
    /// What.
    pub action: Action,
    /// The user it is done to.
    pub user: User,
    /// The moderator.
    pub by: User,
    /// For how long; `None` where it has no end.
    pub seconds: Option<u64>,
    /// Why; may be empty.
    pub reason: String,
}

impl Measure {
    /// A reason of a moderator's, in one short line that is safe on a terminal.
    pub fn reason(text: &str) -> String {
        let line = text.trim().chars().take(REASON_CHARS);
        line.map(|c| match is_unsafe_on_terminal(c) {
            true => char::REPLACEMENT_CHARACTER,
            false => c,
        })
        .collect()
    }
}

/// A user who can't enter a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ban {
    /// The name.
    pub user: User,
    /// Until when, in milliseconds since 1970; `None` for ever.
    pub until: Option<u64>,
    /// How many seconds are left.
    pub seconds: Option<u64>,
    /// The moderator.
    pub by: User,
    /// Why; may be empty.
    pub reason: String,
}

/// Whose a message is: the same for all messages of a session key, or of a token for a name, or else of a
/// connection. It does not reveal the key, and nobody can choose it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Author(NonZeroU64);

impl Author {
    /// The author of what a connection says under a name that it holds with this hash, if it has one.
    pub fn new(user: &User, key_hash: Option<SessionKeyHash>, origin: Origin) -> Author {
        let number = match key_hash {
            Some(key_hash) if key_hash == SessionKeyHash::for_token() => {
                let hash = Sha256::digest(user.key().as_bytes());
                // Other bytes than those that a session key would have.
                u64::from_be_bytes(array::from_fn(|at| hash[24 + at]))
            }
            Some(key_hash) => key_hash.first_half(),
            // An odd factor, so that no two peers have the same.
            None => origin.instance.0 ^ origin.peer.wrapping_mul(0x9e37_79b9_7f4a_7c15),
        };
        Author(NonZeroU64::new(number).unwrap_or(NonZeroU64::MIN))
    }
}

impl fmt::Display for Author {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for Author {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Author, &'static str> {
        let number = u64::from_str_radix(text, 16).ok().and_then(NonZeroU64::new);
        number.map(Author).ok_or("not an author")
    }
}

/// How a text begins, in one line.
pub fn start(text: &str) -> String {
    let mut start: String = text.chars().take(START_CHARS).collect();
    if start.len() < text.len() {
        start.push('…');
    }
    start.replace(is_unsafe_on_terminal, " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::id::Instance;

    #[test]
    fn actions_have_names() {
        for (place, (action, name)) in Action::ALL.into_iter().enumerate() {
            assert_eq!((action as usize, action.name()), (place, name));
            assert_eq!(Action::named(name), Some(action));
        }
        assert_eq!(Action::named("shout"), None);
    }

    #[test]
    fn a_reason_is_one_short_line() {
        assert_eq!(
            Measure::reason(" too\nloud\u{1b}[1m "),
            "too\u{fffd}loud\u{fffd}[1m"
        );
        assert_eq!(Measure::reason(&"日".repeat(200)).chars().count(), 100);
    }

    #[test]
    fn a_text_begins_with_its_first_characters() {
        assert_eq!(start("hi\nthere"), "hi there");
        assert_eq!(start(&"日".repeat(40)), "日".repeat(40));
        assert_eq!(start(&"日".repeat(41)), "日".repeat(40) + "…");
    }

    #[test]
    fn authors_are_told_apart() {
        let origin = |peer| Origin {
            instance: Instance(5),
            peer,
        };
        let ann = User::new("ann").unwrap();
        let author = |key_hash, peer| Author::new(&ann, key_hash, origin(peer));
        let [key, token] = [SessionKeyHash::of("ann"), SessionKeyHash::for_token()];
        let all = [
            author(Some(key), 1),
            author(Some(token), 1),
            author(None, 1),
            author(None, 2),
        ];
        for (at, one) in all.iter().enumerate() {
            assert!(!all[..at].contains(one), "{one}");
            assert_eq!(one.to_string().parse(), Ok(*one));
        }
        assert_eq!(author(Some(key), 1), author(Some(key), 2));
        assert_eq!(author(Some(token), 1), author(Some(token), 2));
        assert!("".parse::<Author>().is_err() && "0".parse::<Author>().is_err());
    }
}
