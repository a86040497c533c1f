//! Messages on their way to Redis: bounded, in order, and each with word of what became of it.

use redis::Value;

use super::client::Client;
use super::reply;
use crate::bus::NewMessage;
use crate::chat::dialect::PrivateMessage;
use crate::chat::event::Refusal;
use crate::chat::name::{Room, User};
use crate::chat::peer::Receipt;
use crate::redis::pipeline::{OnReply, Payload};

impl Client {
    /// Publishes a message for a room.
    pub async fn publish(&self, room: &Room, message: NewMessage) {
        let bytes = message.text.as_str().len();
        if !self.pipeline.reserve(bytes).await {
            return message.receipt.refuse(&Refusal::Unavailable);
        }
        self.pipeline.send_reserved(bytes, |sequence| {
            let publication = self.scripts.publication(room, &message, sequence);
            let on_reply = OnReply::call(move |reply| published(message.receipt, reply));
            (Payload::Part(publication), on_reply)
        });
    }

    /// Sends a private message.
    pub async fn send_private(&self, to: String, message: NewMessage) {
        // What is no name nobody has.
        let Ok(user) = User::new(&to) else {
            return message.receipt.refuse(&Refusal::NoSuchUser(to));
        };
        let bytes = message.text.as_str().len();
        if !self.pipeline.reserve(bytes).await {
            return message.receipt.refuse(&Refusal::Unavailable);
        }
        self.pipeline.send_reserved(bytes, |sequence| {
            let command = self.scripts.send_private(&user, &to, &message, sequence);
            let on_reply = OnReply::call(move |reply| delivered(&to, message, reply));
            (Payload::Command(command), on_reply)
        });
    }
}

/// Tells the sender whether a message for a room was published.
fn published(receipt: Receipt, reply: Option<Value>) {
    match reply {
        None | Some(Value::ServerError(_)) => receipt.refuse(&Refusal::Unavailable),
        Some(value) => {
            if let Some(id) = reply::id(&value) {
                receipt.accept(id);
            }
        }
    }
}

/// Tells the sender whether a private message found its user.
fn delivered(to: &str, message: NewMessage, reply: Option<Value>) {
    let NewMessage {
        user,
        email,
        text,
        receipt,
        ..
    } = message;
    match reply {
        None | Some(Value::ServerError(_)) => receipt.refuse(&Refusal::Unavailable),
        Some(value) => match reply::stamp(&value) {
            Some((id, at)) => {
                let message = PrivateMessage {
                    from: user,
                    email,
                    text,
                    id,
                    at,
                };
                receipt.delivered(to, &message);
            }
            None => receipt.refuse(&Refusal::NoSuchUser(to.to_string())),
        },
    }
}
