//! Replies from Redis, or from another program at its address.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use natterjack::bus::redis::reply;
use natterjack::chat::name::Room;
use natterjack::redis::resp::Replies;
use redis::Value;
use smol::io::AsyncRead;

use super::rules;

/// Replies are the same in one piece as in many, and no larger than what came; whatever they are,
/// they can be looked at.
pub fn survives(bytes: &[u8]) {
    let (values, error) = replies(bytes, bytes.len());
    let in_pieces = replies(bytes, 1 + bytes.len() / 64);
    assert_eq!(error, in_pieces.1);
    // As text: no fraction that is not a number equals itself.
    assert!(values == in_pieces.0 || format!("{values:?}") == format!("{:?}", in_pieces.0));
    let said: usize = values.iter().map(size).sum();
    assert!(said <= bytes.len());
    for value in values {
        assert!(!matches!(value, Value::Attribute { .. }));
        reply::push(&value);
        reply::number(&value);
        reply::id(&value);
        reply::full(value.clone());
        reply::conversations(value.clone());
        reply::pulse(&value);
        reply::text(&value);
        reply::texts(&value);
        for event in reply::messages(&Room::lobby(), &value)
            .into_iter()
            .flatten()
        {
            rules::event(&event);
        }
        for (invitation, ..) in reply::inbox(&value).into_iter().flatten() {
            rules::user(&invitation.to);
        }
        reply::sums(&value);
        reply::members(value.clone());
        reply::page_of_names(value.clone());
        reply::roster(value);
    }
}

/// All replies, read so many bytes at a time, and why there are no more.
fn replies(bytes: &[u8], piece: usize) -> (Vec<Value>, io::ErrorKind) {
    let mut replies = Replies::new(Pieces(bytes, piece));
    let mut values = Vec::new();
    loop {
        match smol::future::block_on(replies.next()) {
            Ok(value) => values.push(value),
            Err(error) => return (values, error.kind()),
        }
    }
}

/// What a value takes at least on the wire.
fn size(value: &Value) -> usize {
    3 + match value {
        Value::Array(values) | Value::Set(values) | Value::Push { data: values, .. } => {
            values.iter().map(size).sum()
        }
        Value::Map(pairs) => pairs
            .iter()
            .map(|(key, value)| size(key) + size(value))
            .sum(),
        Value::Attribute { data, .. } => size(data),
        // What is no text in there has become a character for each byte at most.
        Value::VerbatimString { text, .. } => text.chars().count(),
        Value::BigNumber(digits) => digits.len(),
        Value::BulkString(bytes) => bytes.len() + 2,
        Value::SimpleString(text) => text.len(),
        _ => 0,
    }
}

struct Pieces<'a>(&'a [u8], usize);

impl AsyncRead for Pieces<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let n = self.0.len().min(self.1).min(buf.len());
        let (now, later) = self.0.split_at(n);
        buf[..n].copy_from_slice(now);
        self.0 = later;
        Poll::Ready(Ok(n))
    }
}
