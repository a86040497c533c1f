//! Replies of Redis in the forms that every user needs: numbers, texts and what is published.

use redis::Value;

/// A script's answer, where it is a number.
pub fn number(value: &Value) -> Option<i64> {
    match value {
        Value::Int(number) => Some(*number),
        _ => None,
    }
}

/// What comes on a connection that is subscribed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Push<'a> {
    /// Something was published.
    Message {
        /// Where.
        channel: &'a [u8],
        /// What.
        payload: &'a [u8],
    },
    /// A subscription is confirmed.
    Subscribed {
        /// By `SSUBSCRIBE`.
        sharded: bool,
    },
    /// A sharded subscription has ended, because that was asked for, or because its slot has moved.
    ShardEnded {
        /// Of which channel.
        channel: &'a [u8],
    },
}

/// What has come on a connection that is subscribed; `None` for what is of no interest.
pub fn push(value: &Value) -> Option<Push<'_>> {
    let Value::Array(words) = value else {
        return None;
    };
    let (Value::BulkString(kind), rest) = words.split_first()? else {
        return None;
    };
    match (&kind[..], rest) {
        (b"subscribe", _) => Some(Push::Subscribed { sharded: false }),
        (b"ssubscribe", _) => Some(Push::Subscribed { sharded: true }),
        (b"sunsubscribe", [Value::BulkString(channel), ..]) => Some(Push::ShardEnded { channel }),
        (b"message" | b"smessage", [Value::BulkString(channel), Value::BulkString(payload)]) => {
            Some(Push::Message { channel, payload })
        }
        _ => None,
    }
}

/// A list of texts.
pub fn texts(value: &Value) -> Option<Vec<String>> {
    let Value::Array(items) = value else {
        return None;
    };
    items.iter().map(text).collect()
}

/// A text.
pub fn text(value: &Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => String::from_utf8(bytes.clone()).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_published_is_told_by_its_first_word() {
        let text = |text: &str| Value::BulkString(text.into());
        let message = Push::Message {
            channel: b"chat",
            payload: b"hello",
        };
        for (name, rest, expected) in [
            ("message", vec![text("chat"), text("hello")], Some(message)),
            ("smessage", vec![text("chat"), text("hello")], Some(message)),
            (
                "subscribe",
                vec![text("chat"), Value::Int(1)],
                Some(Push::Subscribed { sharded: false }),
            ),
            (
                "ssubscribe",
                vec![text("chat"), Value::Int(1)],
                Some(Push::Subscribed { sharded: true }),
            ),
            (
                "sunsubscribe",
                vec![text("chat"), Value::Int(0)],
                Some(Push::ShardEnded { channel: b"chat" }),
            ),
            ("unsubscribe", vec![], None),
            ("message", vec![text("chat")], None),
        ] {
            let words = [vec![text(name)], rest].concat();
            assert_eq!(push(&Value::Array(words)), expected, "{name}");
        }
        assert_eq!(push(&Value::Okay), None);
    }
}
