//! Another chat server on the same Redis, as the tutorial makes it. It puts its users into the set
//! `chat-users`, announces them on the channel `chat`, and passes on what is published there.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;

use super::{DEADLINE, Redis};

/// Its people all hear the same.
pub struct OtherServer<'a> {
    redis: &'a Redis,
    subscription: BufReader<UnixStream>,
}

impl OtherServer<'_> {
    /// Is subscribed to the channel when this returns.
    #[track_caller]
    pub fn on(redis: &Redis) -> OtherServer<'_> {
        OtherServer::subscribed(redis, "subscribe", "chat")
    }

    /// Subscribed by a pattern.
    #[track_caller]
    pub fn by_pattern<'a>(redis: &'a Redis, pattern: &str) -> OtherServer<'a> {
        OtherServer::subscribed(redis, "psubscribe", pattern)
    }

    #[track_caller]
    fn subscribed<'a>(redis: &'a Redis, command: &str, channel: &str) -> OtherServer<'a> {
        let mut stream = UnixStream::connect(redis.socket()).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        write!(stream, "{command} {channel}\r\n").unwrap();
        let subscription = BufReader::new(stream);
        let mut other = OtherServer {
            redis,
            subscription,
        };
        assert_eq!(other.words(), [command, channel, ""]);
        other
    }

    /// Somebody comes, unless the name is taken.
    pub fn join(&self, user: &str) -> bool {
        let free = self.redis.command(&["SADD", "chat-users", user]) == ":1\r\n";
        if free {
            self.say(user, "has joined the chat!");
        }
        free
    }

    /// Somebody says something.
    pub fn say(&self, user: &str, text: &str) {
        self.redis
            .command(&["PUBLISH", "chat", &format!("{user}: {text}")]);
    }

    /// Somebody goes.
    pub fn leave(&self, user: &str) {
        self.redis.command(&["SREM", "chat-users", user]);
        self.say(user, "has left the chat!");
    }

    /// The next thing its people hear is this.
    #[track_caller]
    pub fn hears(&mut self, line: &str) {
        assert_eq!(self.next(), line);
    }

    /// They hear things until this one.
    #[track_caller]
    pub fn hears_at_last(&mut self, line: &str) {
        while self.next() != line {}
    }

    /// Whether they hear something now.
    pub fn has_heard(&mut self) -> bool {
        let stream = self.subscription.get_ref();
        stream.set_nonblocking(true).unwrap();
        let heard = self.subscription.fill_buf().is_ok();
        self.subscription.get_ref().set_nonblocking(false).unwrap();
        heard
    }

    /// The next thing they hear.
    #[track_caller]
    pub fn next(&mut self) -> String {
        self.words().pop().unwrap()
    }

    /// The next reply: texts; numbers are empty.
    #[track_caller]
    fn words(&mut self) -> Vec<String> {
        let count = self.number('*');
        (0..count).map(|_| self.word()).collect()
    }

    #[track_caller]
    fn word(&mut self) -> String {
        let mut kind = [0];
        self.subscription.read_exact(&mut kind).unwrap();
        if kind == *b":" {
            self.line();
            return String::new();
        }
        assert_eq!(kind, *b"$");
        let length: usize = self.line().parse().unwrap();
        let mut text = vec![0; length + 2];
        self.subscription.read_exact(&mut text).unwrap();
        text.truncate(length);
        String::from_utf8(text).unwrap()
    }

    #[track_caller]
    fn number(&mut self, kind: char) -> usize {
        let line = self.line();
        line.strip_prefix(kind).unwrap().parse().unwrap()
    }

    #[track_caller]
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.subscription.read_line(&mut line).unwrap();
        line.trim_end().to_string()
    }
}
