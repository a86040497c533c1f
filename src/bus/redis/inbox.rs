//! Private messages to this instance's users: how far they have been heard.
//!
//! They come on the instance's own channel, and are kept for a while beside it for an instance
//! that was not listening.

use crate::chat::id::Id;
use crate::mutex::Mutex;

/// How far the inbox has been read.
#[derive(Debug, Default)]
pub struct Inbox(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// The last message heard.
    last: Option<Id>,
    /// The messages after this one, up to `until`, have been read from the stream and may still come
    /// on the channel.
    after: Option<Id>,
    /// See `after`.
    until: Option<Id>,
}

impl Inbox {
    /// Notes that the stream is read now. Returns the last message heard: later ones are missing when
    /// the channel was broken.
    pub fn begin_reading(&self) -> Id {
        let mut state = self.0.lock();
        state.after = state.last;
        state.last.unwrap_or(Id::START)
    }

    /// Notes a message that was read from the stream. Call it when nothing can keep the message from
    /// its recipient any more.
    pub fn reads(&self, id: Id) {
        let mut state = self.0.lock();
        (state.until, state.last) = (Some(id), Some(id));
    }

    /// Notes a message that comes on the channel; `false` if it has been read before. Call it when
    /// nothing can keep the message from its recipient any more.
    pub fn comes(&self, id: Id) -> bool {
        let mut state = self.0.lock();
        let read = state.after < Some(id) && Some(id) <= state.until;
        if !read {
            state.last = Some(id);
        }
        !read
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_private_message_is_heard_once() {
        let inbox = Inbox::default();
        let id = |n| Id { epoch: 7, n };
        assert_eq!(inbox.begin_reading(), Id::START);
        assert!(inbox.comes(id(1)) && inbox.comes(id(2)));
        // The channel breaks and is subscribed again; 3 and 4 are read, 4 comes as well.
        assert_eq!(inbox.begin_reading(), id(2));
        inbox.reads(id(3));
        // The next connection breaks before 4 is read.
        assert_eq!(inbox.begin_reading(), id(3));
        inbox.reads(id(4));
        assert!(!inbox.comes(id(4)));
        assert!(inbox.comes(id(5)));
        assert_eq!(inbox.begin_reading(), id(5));
        // A Redis that lost its end gives numbers out again: nothing is held back for that.
        assert!(inbox.comes(id(2)));
    }
}
