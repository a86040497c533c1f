//! A message before it has an id.

use crate::chat::dialect::PrivateMessage;
use crate::chat::event::Text;
use crate::chat::id::{Id, Origin};
use crate::chat::name::{Email, SessionKeyHash, User};
use crate::chat::peer::Receipt;

/// A message on its way to the bus.
#[derive(Debug)]
pub struct NewMessage {
    /// The author.
    pub user: User,
    /// On which connection.
    pub origin: Origin,
    /// Under which lock its client has the name. Not looked at where the message has no `ref`.
    pub key_hash: Option<SessionKeyHash>,
    /// For those who show a picture.
    pub email: Option<Email>,
    /// The words.
    pub text: Text,
    /// Tells the sender what became of it.
    pub receipt: Receipt,
}

impl NewMessage {
    /// Whose the message's `ref` is: who has the session key, or a token for the name, or else the
    /// connection. No name begins with `#` or `@`.
    pub fn client(&self) -> String {
        match self.key_hash {
            Some(key_hash) if key_hash == SessionKeyHash::for_token() => {
                self.user.key().to_string()
            }
            Some(key_hash) => format!("#{key_hash}"),
            None => format!("@{}", self.origin),
        }
    }

    /// The message as its recipient gets it, and what tells the sender.
    pub(super) fn into_private(self, id: Id, at: u64) -> (PrivateMessage, Receipt) {
        let private = PrivateMessage {
            from: self.user,
            email: self.email,
            text: self.text,
            id,
            at,
        };
        (private, self.receipt)
    }
}
