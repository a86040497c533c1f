//! Names of users and rooms. A name that exists is valid: the constructors check it.

mod fold;
mod invisible;
mod normal;
mod rules;

use std::array;
use std::borrow::Cow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Range;
use std::sync::{Arc, LazyLock};

use sha2::{Digest, Sha256};

use super::sanitize::is_unsafe_on_terminal;

/// The room of a connection that names none.
pub const LOBBY: &str = "lobby";

/// A user's name: unique over all instances while its connection lasts.
///
/// It is shown as its owner writes it, and compared by its [key](Self::key): `Ann` and `ann` are
/// the same name.
#[derive(Clone, Debug)]
pub struct User(
    /// The key. If the shown name differs from it, a NUL and the shown name follow.
    Arc<str>,
);

/// A room's name, in Unicode's composed form (NFC).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Room(Arc<str>);

impl User {
    /// Checks a user name.
    ///
    /// # Errors
    /// A sentence that says which rule of names is broken.
    pub fn new(name: &str) -> Result<User, String> {
        let key = rules::user(name).map_err(|rule| format!("bad user name: it {rule}"))?;
        Ok(User(match key == name {
            true => name.into(),
            false => format!("{key}\0{name}").into(),
        }))
    }

    /// The name that the server gives to the owner of this session key.
    pub fn guest(session: &str) -> User {
        let hash = Sha256::digest(session.as_bytes());
        // Bytes that are no part of [`SessionKeyHash`], which others may see.
        let mut number = u64::from_be_bytes(array::from_fn(|at| hash[16 + at]));
        let mut name = String::from(rules::GUEST);
        for _ in 0..GUEST_LETTERS {
            let letter = char::from_digit((number % 36) as u32, 36);
            name.push(letter.expect("it is below 36"));
            number /= 36;
        }
        User(name.into())
    }

    /// Whether a client with this session key may choose this name. The key is empty if the client
    /// has none. Only the server gives names of guests, and a guest who comes back gets the same
    /// one.
    ///
    /// # Errors
    /// If it is the name of another guest.
    pub fn may_be_chosen(&self, session: &str) -> Result<(), String> {
        if self.is_guest() && (session.is_empty() || *self != User::guest(session)) {
            let rule = "begins with guest-, as only the server's names do";
            return Err(format!("bad user name: it {rule}"));
        }
        Ok(())
    }

    /// Whether the server has given this name to somebody who chose none.
    pub fn is_guest(&self) -> bool {
        self.key().starts_with(rules::GUEST)
    }

    /// The name as its owner writes it.
    pub fn as_str(&self) -> &str {
        self.0.split_once('\0').map_or(&self.0, |(_, shown)| shown)
    }

    /// The form in which names are compared. All spellings of a name have the same key.
    pub fn key(&self) -> &str {
        self.0.split_once('\0').map_or(&self.0, |(key, _)| key)
    }
}

impl PartialEq for User {
    fn eq(&self, other: &User) -> bool {
        self.key() == other.key()
    }
}

impl Eq for User {}

impl Hash for User {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

impl Room {
    /// Checks a room name. The rules are those of user names, except that no words are reserved for
    /// the server.
    ///
    /// # Errors
    /// A sentence that says which rule of names is broken.
    pub fn new(name: &str) -> Result<Room, String> {
        let name: Cow<'_, str> = match name.is_ascii() || name.len() > MAX_NFC_BYTES {
            true => name.into(),
            false => normal::nfc(name).into(),
        };
        rules::check(&name).map_err(|rule| format!("bad room name: it {rule}"))?;
        Ok(Room(name.as_ref().into()))
    }

    /// The private conversation of two users, which is a room of its own. Nobody can enter it: no name
    /// has an `@`.
    pub fn conversation(one: &User, other: &User) -> Room {
        let (first, second) = (one.key().min(other.key()), one.key().max(other.key()));
        Room(format!("@{first}@{second}").into())
    }

    /// A name as this server has written it, also that of a private conversation.
    ///
    /// # Errors
    /// A sentence that says which rule of names is broken.
    pub fn read(name: &str) -> Result<Room, String> {
        match name.strip_prefix('@').and_then(|ends| ends.split_once('@')) {
            Some((one, other)) => Ok(Room::conversation(&User::new(one)?, &User::new(other)?)),
            None => Room::new(name),
        }
    }

    /// Between which names those of all private conversations are.
    pub fn conversations() -> Range<Room> {
        Room("@".into())..Room("A".into())
    }

    /// Whether this is a private conversation.
    pub fn is_conversation(&self) -> bool {
        self.0.starts_with('@')
    }

    /// Whether this is a private conversation of this user.
    pub fn is_of(&self, user: &User) -> bool {
        let ends = self
            .0
            .strip_prefix('@')
            .and_then(|ends| ends.split_once('@'));
        ends.is_some_and(|(one, other)| one == user.key() || other == user.key())
    }

    /// The two users whose private conversation this is, if it is one.
    pub fn ends(&self) -> Option<[User; 2]> {
        let (first, second) = self.0.strip_prefix('@')?.split_once('@')?;
        Some([first, second].map(|key| User(key.into())))
    }

    /// Of the two users whose private conversation this is, the other one.
    pub fn other_end(&self, user: &User) -> Option<User> {
        let [one, other] = self.ends()?;
        Some(if one == *user { other } else { one })
    }

    /// The room everybody starts in.
    pub fn lobby() -> Room {
        // Allocated once and shared: most peers are in the lobby.
        static NAME: LazyLock<Arc<str>> = LazyLock::new(|| LOBBY.into());
        Room(NAME.clone())
    }

    /// The name itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Letters and digits behind `guest-`.
const GUEST_LETTERS: usize = 6;
/// Longer text is not composed: it would not become a valid name.
const MAX_NFC_BYTES: usize = 1024;

/// An e-mail address. It is used only to show the user's picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Email(Arc<str>);

/// The longest address that RFC 5321 allows (erratum 1690).
const MAX_EMAIL_BYTES: usize = 254;

/// The e-mail address is too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LongEmail;

impl Email {
    /// Reads an address, if there is one. Characters that are unsafe on a terminal are dropped.
    ///
    /// # Errors
    /// [`LongEmail`] above 254 bytes.
    pub fn given(email: Option<&str>) -> Result<Option<Email>, LongEmail> {
        let email = email.unwrap_or_default().replace(is_unsafe_on_terminal, "");
        let email = email.trim();
        if email.len() > MAX_EMAIL_BYTES {
            return Err(LongEmail);
        }
        Ok((!email.is_empty()).then(|| Email(email.into())))
    }

    /// The address itself; shown to peers of the simple dialect only.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The address's hash for Gravatar: SHA-256 of the lower-case address, in hexadecimal.
    pub fn avatar(&self) -> String {
        let hash = Sha256::digest(self.0.to_lowercase().as_bytes());
        hex(&hash)
    }
}

/// The first half of the SHA-256 of a session key. It can be stored and compared, and does not
/// reveal the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionKeyHash([u8; 16]);

impl SessionKeyHash {
    /// The hash of this session key.
    pub fn of(secret: &str) -> SessionKeyHash {
        let digest = Sha256::digest(secret.as_bytes());
        SessionKeyHash(array::from_fn(|at| digest[at]))
    }

    /// What was written by [`Display`](fmt::Display).
    pub fn read(hash: &str) -> Option<SessionKeyHash> {
        let number = u128::from_str_radix(hash, 16).ok()?;
        (hash.len() == 32).then(|| SessionKeyHash(number.to_be_bytes()))
    }

    /// The first half of the hash.
    pub fn first_half(self) -> u64 {
        u64::from_be_bytes(array::from_fn(|at| self.0[at]))
    }

    /// The marker for names that a token (JWT) grants. Every connection with such a token may take
    /// the name over. No session key has this hash.
    pub const fn for_token() -> SessionKeyHash {
        SessionKeyHash(*b"holds a token...")
    }

    /// Whether its connection may take a name over from one with the hash `held`, or with none. A token
    /// says whose the name is.
    pub fn takes_over(self, held: Option<SessionKeyHash>) -> bool {
        self == SessionKeyHash::for_token() || held == Some(self)
    }
}

impl fmt::Display for SessionKeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

/// Bytes in hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
