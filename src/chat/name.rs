//! What users and rooms are called. A name is valid from construction on.

use std::fmt;
use std::sync::{Arc, LazyLock};

use sha2::{Digest, Sha256};

/// The room a connection is in when it names none.
pub const LOBBY: &str = "lobby";

/// A name has at most this many characters …
const NAME_CHARS: usize = 32;
/// … and at most this many bytes of UTF-8.
const NAME_BYTES: usize = 64;
/// A user's name: unique over all instances while its connection lasts.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct User(Arc<str>);

/// A room's name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Room(Arc<str>);

impl User {
    /// Checks a user name.
    ///
    /// # Errors
    /// Says which rule of names is broken.
    pub fn new(name: &str) -> Result<User, BadName> {
        check_name("user name", name).map(|()| User(name.into()))
    }

    /// The name itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Room {
    /// Checks a room name; the rules are those of user names.
    ///
    /// # Errors
    /// Says which rule of names is broken.
    pub fn new(name: &str) -> Result<Room, BadName> {
        check_name("room name", name).map(|()| Room(name.into()))
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

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a name is not one: a sentence for whoever chose it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadName {
    what: &'static str,
    rule: &'static str,
}

impl fmt::Display for BadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "bad {}: it {}", self.what, self.rule)
    }
}

impl std::error::Error for BadName {}

fn check_name(what: &'static str, name: &str) -> Result<(), BadName> {
    let rule = if name.is_empty() {
        "is empty"
    } else if name.len() > NAME_BYTES || name.chars().count() > NAME_CHARS {
        "is longer than 32 characters or 64 bytes"
    } else if name.chars().any(char::is_control) {
        "contains a control character"
    } else if name.contains([':', '/', '@', '#']) {
        "contains one of : / @ #"
    } else if name.trim().len() != name.len() {
        "begins or ends with a space"
    } else {
        return Ok(());
    };
    Err(BadName { what, rule })
}

/// An e-mail address, as far as a chat cares: whom to show a picture of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Email(Arc<str>);

/// RFC 5321 has no longer ones (errata 1690).
const EMAIL_BYTES: usize = 254;

/// No e-mail address is this long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LongEmail;

impl Email {
    /// An address, if one is given. Control characters are dropped.
    ///
    /// # Errors
    /// [`LongEmail`].
    pub fn given(email: Option<&str>) -> Result<Option<Email>, LongEmail> {
        let email = email.unwrap_or_default().replace(char::is_control, "");
        let email = email.trim();
        if email.len() > EMAIL_BYTES {
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
pub struct Lock([u8; 16]);

impl Lock {
    /// The lock of a secret.
    pub fn of(secret: &str) -> Lock {
        let hash = Sha256::digest(secret.as_bytes());
        let mut lock = [0; 16];
        lock.copy_from_slice(&hash[..16]);
        Lock(lock)
    }

    /// The lock of a name whose holder has a token for it: who has one, too, takes the name over.
    /// No key fits: it is nobody's hash.
    pub const fn of_tokens() -> Lock {
        Lock(*b"holds a token...")
    }
}

impl fmt::Display for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

/// Bytes in hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_their_rules() {
        let longest = "x".repeat(32);
        let widest = "é".repeat(32);
        for good in ["foo", "Föö 1", "日本", "a+b", "%zz", &longest, &widest] {
            assert_eq!(
                User::new(good).map(|user| user.to_string()),
                Ok(good.to_string())
            );
        }
        let too_long = "x".repeat(33);
        let too_wide = "日".repeat(22);
        for bad in [
            "", " foo", "foo ", "a:b", "a/b", "@a", "a#", "a\u{7}b", "a\nb", &too_long, &too_wide,
        ] {
            assert!(User::new(bad).is_err(), "{bad:?} must be refused");
            assert!(Room::new(bad).is_err(), "{bad:?} must be refused");
        }
    }

    #[test]
    fn avatars_are_what_gravatar_expects() {
        let avatar = |email| {
            Email::given(Some(email))
                .unwrap()
                .map(|email| email.avatar())
        };
        let known = "84059b07d4be67b806386c0aad8070a23f18836bbaae342275dc0a83414c32ee";
        assert_eq!(
            avatar(" MyEmailAddress@example.com "),
            Some(known.to_string())
        );
        // Trimmed also behind what is dropped.
        assert_eq!(
            avatar("\u{7} MyEmailAddress@example.com \u{7}"),
            Some(known.to_string())
        );
        assert_eq!(avatar(" "), None);
        assert_eq!(avatar("\u{7} \u{7}"), None);
        assert_eq!(Email::given(None), Ok(None));
        assert_eq!(Email::given(Some(&"x".repeat(255))), Err(LongEmail));
    }
}
