//! A private message on its way.

use std::sync::Arc;

use redis::Value;

use super::Redis;
use super::message::Invitation;
use super::reply;
use super::subscriber::Subscriber;
use crate::bus::NewMessage;
use crate::chat::event::Refusal;
use crate::chat::id::Id;
use crate::chat::name::{Room, User};
use crate::chat::replay::Cursor;
use crate::redis::pipeline::Payload;
use crate::redis::slot::Command;

/// A private message on its way: the instance of its recipient is invited to the conversation, and then it is
/// published. Meanwhile the conversation is opened here, too. Each step waits for the one before it, like
/// messages for a room while Redis is away, and messages of one conversation take the steps in order.
pub struct Sending {
    /// The bus.
    pub bus: Arc<Redis>,
    /// The conversation.
    pub room: Room,
    /// The recipient.
    pub to: User,
    /// The message.
    pub message: NewMessage,
}

impl Sending {
    /// Takes the first step that is needed. Room for the message is reserved.
    pub fn start(self) {
        let Subscriber {
            conversations,
            subscriptions,
            ..
        } = &self.bus.subscriber;
        if !conversations.begin(&self.room) {
            let last = subscriptions.heard_until(&self.room);
            return self.invite(last.unwrap_or(Id::START));
        }
        let scripts = &self.bus.client.scripts;
        let sync = scripts.sync_room(&self.room, &Cursor::default(), None, 1);
        let (bus, room) = (self.bus.clone(), self.room.clone());
        let end_wait = move || bus.subscriber.conversations.end_wait(&room);
        self.request(sync, end_wait, |sending, reply| {
            let Some(synced) = reply::synced(&sending.room, &reply) else {
                return sending.message.receipt.refuse(&Refusal::Unavailable);
            };
            sending.reserve();
            sending.invite(synced.epochs.last);
        });
    }

    fn invite(self, last: Id) {
        let invited = self.bus.subscriber.conversations.invited(&self.room);
        let invitation = Invitation {
            to: self.to.clone(),
            room: self.room.clone(),
            last,
        };
        let invite = self
            .bus
            .client
            .scripts
            .invite(&invitation, invited.as_deref());
        self.request(
            invite,
            || {},
            |mut sending, reply| {
                let Some(invited) = reply::text(&reply) else {
                    let nobody = Refusal::NoSuchUser(sending.to.to_string());
                    return sending.message.receipt.refuse(&nobody);
                };
                let mut words = invited.split(' ');
                let to = words.next().unwrap_or_default();
                // A hash is no origin.
                sending.message.holder = words.next().and_then(|holder| holder.parse().ok());
                if to == "-" {
                    return sending.message.receipt.refuse(&Refusal::Unavailable);
                }
                let waiting_after = to.strip_prefix('@').and_then(|id| id.parse().ok());
                let subscriber = &sending.bus.subscriber;
                if !subscriber.conversations.set_invited(&sending.room, invited) {
                    let user = &sending.message.user;
                    subscriber.inbox.add(user, Some(&sending.room), None);
                }
                sending.reserve();
                sending.publish(waiting_after);
            },
        );
    }

    fn publish(self, waiting_after: Option<Id>) {
        let heard = self.bus.subscriber.subscriptions.heard_until(&self.room);
        self.bus.log_limit.note(&self.room);
        self.bus
            .client
            .publish_reserved(&self.room, self.message, heard, waiting_after);
    }

    /// Sends a command of one step. An error, or no answer, refuses the message. `done` is called after
    /// what comes next, in any case.
    fn request(
        self,
        command: Command,
        done: impl FnOnce() + Send + 'static,
        next: impl FnOnce(Sending, Value) + Send + 'static,
    ) {
        let (bus, bytes) = (self.bus.clone(), self.message.text.as_str().len());
        let on_reply = move |reply: Option<Value>| {
            match reply {
                None | Some(Value::ServerError(_)) => {
                    self.message.receipt.refuse(&Refusal::Unavailable)
                }
                Some(reply) => next(self, reply),
            }
            done();
        };
        let pipeline = &bus.client.pipeline;
        pipeline.send_reserved(bytes, |_| (Payload::Command(command), Box::new(on_reply)));
    }

    /// Reserves room for the next step.
    fn reserve(&self) {
        let bytes = self.message.text.as_str().len();
        self.bus.client.pipeline.reserve_next(bytes);
    }
}
