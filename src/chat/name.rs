//! What users and rooms are called. A name is valid from construction on.

mod fold;
mod normal;
mod rules;

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, LazyLock};

use sha2::{Digest, Sha256};

use super::sanitize::is_unsafe_on_terminal;

/// The room a connection is in when it names none.
pub const LOBBY: &str = "lobby";

/// A user's name: unique over all instances while its connection lasts.
///
/// It is shown as its holder writes it, and compared by its [key](Self::key): `Ann` and `ann` are one
/// name.
#[derive(Clone)]
pub struct User(
    /// The key, and behind a NUL the name as it is shown, if that is something else.
    Arc<str>,
);

/// A room's name, in Unicode's composed form (NFC).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Room(Arc<str>);

impl User {
    /// Checks a user name.
    ///
    /// # Errors
    /// Says which rule of names is broken.
    pub fn new(name: &str) -> Result<User, BadName> {
        let key = rules::user(name).map_err(BadName::of_user)?;
        Ok(User(match key == name {
            true => name.into(),
            false => format!("{key}\0{name}").into(),
        }))
    }

    /// The name that the server gives to the holder of this session key.
    pub fn guest(session: &str) -> User {
        let hash = Sha256::digest(session.as_bytes());
        // Not the part that [`SessionKeyHash`] shows.
        let mut number = hash[16..24]
            .iter()
            .fold(0, |n, byte| n << 8 | u64::from(*byte));
        let mut name = String::from(rules::GUEST);
        for _ in 0..GUEST_LETTERS {
            let letter = char::from_digit((number % 36) as u32, 36);
            name.push(letter.expect("it is below 36"));
            number /= 36;
        }
        User(name.into())
    }

    /// Whether a peer may choose this name that shows this session key; empty if it shows none. The
    /// names of guests are the server's to give, and a guest who comes back gets the same one again.
    ///
    /// # Errors
    /// Says so.
    pub fn may_be_chosen(&self, session: &str) -> Result<(), BadName> {
        let guest = self.key().starts_with(rules::GUEST);
        if guest && (session.is_empty() || *self != User::guest(session)) {
            return Err(BadName::of_user(
                "begins with guest-, as only the server's names do",
            ));
        }
        Ok(())
    }

    /// The name as its holder writes it.
    pub fn as_str(&self) -> &str {
        self.0.split_once('\0').map_or(&self.0, |(_, shown)| shown)
    }

    /// What the name is compared by: the same for every way to write it.
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

impl PartialOrd for User {
    fn partial_cmp(&self, other: &User) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for User {
    fn cmp(&self, other: &User) -> Ordering {
        self.key().cmp(other.key())
    }
}

impl Room {
    /// Checks a room name; the rules are those of user names, but no words are the server's.
    ///
    /// # Errors
    /// Says which rule of names is broken.
    pub fn new(name: &str) -> Result<Room, BadName> {
        let name = to_nfc(name);
        rules::check(&name).map_err(|rule| BadName {
            what: "room name",
            rule,
        })?;
        Ok(Room(name.as_ref().into()))
    }

    /// The room everybody starts in.
    pub fn lobby() -> Room {
        // Made once: most peers are there, and each would have its own.
        static NAME: LazyLock<Arc<str>> = LazyLock::new(|| LOBBY.into());
        Room(NAME.clone())
    }

    /// The name itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "User({:?})", self.as_str())
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
/// No name that is longer becomes one by being composed.
const MAX_NFC_BYTES: usize = 1024;

/// A room's name in the form in which rooms are compared: Unicode's composed form (NFC).
pub fn to_nfc(name: &str) -> Cow<'_, str> {
    if name.is_ascii() || name.len() > MAX_NFC_BYTES {
        return name.into();
    }
    normal::nfc(name).into()
}

/// Why a name is not one: a sentence for whoever chose it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadName {
    what: &'static str,
    rule: &'static str,
}

impl BadName {
    fn of_user(rule: &'static str) -> BadName {
        BadName {
            what: "user name",
            rule,
        }
    }
}

impl fmt::Display for BadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "bad {}: it {}", self.what, self.rule)
    }
}

impl std::error::Error for BadName {}

/// An e-mail address, as far as a chat cares: whom to show a picture of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Email(Arc<str>);

/// RFC 5321 has no longer ones (errata 1690).
const MAX_EMAIL_BYTES: usize = 254;

/// No e-mail address is this long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LongEmail;

impl Email {
    /// An address, if one is given. What would harm a terminal is dropped.
    ///
    /// # Errors
    /// [`LongEmail`].
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

    /// What Gravatar knows it by: the SHA-256 of the address in lower case, in hexadecimal digits.
    pub fn avatar(&self) -> String {
        let hash = Sha256::digest(self.0.to_lowercase().as_bytes());
        hex(&hash)
    }
}

/// The lock to which a session's secret is the key: the beginning of the secret's SHA-256. It can be
/// stored and compared; nobody gets the secret out of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionKeyHash([u8; 16]);

impl SessionKeyHash {
    /// The lock of a secret.
    pub fn of(secret: &str) -> SessionKeyHash {
        let digest = Sha256::digest(secret.as_bytes());
        let mut hash = [0; 16];
        hash.copy_from_slice(&digest[..16]);
        SessionKeyHash(hash)
    }

    /// The lock of a name whose holder has a token for it: who has one, too, takes the name over.
    /// No key fits: it is nobody's hash.
    pub const fn for_token() -> SessionKeyHash {
        SessionKeyHash(*b"holds a token...")
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
