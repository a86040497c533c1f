//! Replies of Redis in the forms that every user needs: numbers, texts and what is published.

use redis::{PushKind, Value};

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

/// What has come on a connection that is subscribed, in RESP2 or RESP3; `None` for what is of no
/// interest.
pub fn push(value: &Value) -> Option<Push<'_>> {
    let (kind, words) = match value {
        Value::Array(words) => match words.split_first()? {
            (Value::BulkString(kind), rest) => (kind_of(kind)?, rest),
            _ => return None,
        },
        Value::Push { kind, data } => (kind.clone(), &data[..]),
        _ => return None,
    };
    match (kind, words) {
        (PushKind::Subscribe, _) => Some(Push::Subscribed { sharded: false }),
        (PushKind::SSubscribe, _) => Some(Push::Subscribed { sharded: true }),
        (PushKind::SUnsubscribe, [Value::BulkString(channel), ..]) => {
            Some(Push::ShardEnded { channel })
        }
        (
            PushKind::Message | PushKind::SMessage,
            [Value::BulkString(channel), Value::BulkString(payload)],
        ) => Some(Push::Message { channel, payload }),
        _ => None,
    }
}

/// What RESP3 says by the type of the value, RESP2 says in its first word.
fn kind_of(word: &[u8]) -> Option<PushKind> {
    Some(match word {
        b"message" => PushKind::Message,
        b"smessage" => PushKind::SMessage,
        b"subscribe" => PushKind::Subscribe,
        b"ssubscribe" => PushKind::SSubscribe,
        b"sunsubscribe" => PushKind::SUnsubscribe,
        _ => return None,
    })
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
    fn news_are_the_same_in_both_protocols() {
        let text = |text: &str| Value::BulkString(text.into());
        let message = Push::Message {
            channel: b"chat",
            payload: b"hello",
        };
        for (kind, name, rest, expected) in [
            (
                PushKind::Message,
                "message",
                vec![text("chat"), text("hello")],
                Some(message),
            ),
            (
                PushKind::Subscribe,
                "subscribe",
                vec![text("chat"), Value::Int(1)],
                Some(Push::Subscribed { sharded: false }),
            ),
            (
                PushKind::SMessage,
                "smessage",
                vec![text("chat"), text("hello")],
                Some(message),
            ),
            (
                PushKind::SSubscribe,
                "ssubscribe",
                vec![text("chat"), Value::Int(1)],
                Some(Push::Subscribed { sharded: true }),
            ),
            (
                PushKind::SUnsubscribe,
                "sunsubscribe",
                vec![text("chat"), Value::Int(0)],
                Some(Push::ShardEnded { channel: b"chat" }),
            ),
            (PushKind::Unsubscribe, "unsubscribe", vec![], None),
            (PushKind::Message, "message", vec![text("chat")], None),
        ] {
            let words = [vec![text(name)], rest.clone()].concat();
            assert_eq!(push(&Value::Array(words)), expected, "{name}");
            assert_eq!(push(&Value::Push { kind, data: rest }), expected, "{name}");
        }
        assert_eq!(push(&Value::Okay), None);
    }
}
