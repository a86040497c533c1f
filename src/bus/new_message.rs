//! A message before it has an id.

use crate::chat::event::Text;
use crate::chat::id::Origin;
use crate::chat::moderation::Author;
use crate::chat::name::{Email, SessionKeyHash, User};
use crate::chat::peer::Receipt;

/// A message on its way to the bus.
#[derive(Debug)]
pub struct NewMessage {
    /// The author.
    pub user: User,
    /// Its connection.
    pub origin: Origin,
    /// The hash of the session key under which its client has the name.
    pub key_hash: Option<SessionKeyHash>,
    /// The author's e-mail address, if it is known. Its hash chooses the avatar.
    pub email: Option<Email>,
    /// The text.
    pub text: Text,
    /// Whom it is for, if it is private.
    pub to: Option<User>,
    /// The connection that has the recipient's name, where neither a session key nor a token keeps it.
    pub holder: Option<Origin>,
    /// Tells the sender what became of it.
    pub receipt: Receipt,
}

impl NewMessage {
    /// The client that the `ref` of the message belongs to. This is the session key, or with a token the
    /// name, or else the connection. No name begins with `#` or `@`.
    pub fn client(&self) -> String {
        match self.key_hash {
            Some(key_hash) if key_hash == SessionKeyHash::for_token() => {
                self.user.key().to_string()
            }
            Some(key_hash) => format!("#{key_hash}"),
            None => format!("@{}", self.origin),
        }
    }

    /// Whose it is.
    pub fn author(&self) -> Author {
        Author::new(&self.user, self.key_hash, self.origin)
    }
}
