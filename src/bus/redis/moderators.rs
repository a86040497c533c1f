//! What moderators do, and taking messages back, over Redis.

use redis::Value;

use super::{Redis, reply};
use crate::bus::Deletion;
use crate::chat::event::Refusal;
use crate::chat::moderation::{Ban, Measure};
use crate::chat::name::{Room, User};
use crate::redis::slot::Command;

impl Redis {
    /// See [`Bus::moderate`](crate::bus::Bus::moderate).
    pub(in crate::bus) async fn moderate(
        &self,
        room: &Room,
        measure: &Measure,
    ) -> Result<(), Refusal> {
        let command = self.client.scripts.moderate(room, measure);
        match &*self.asked(command).await? {
            "" => Ok(()),
            "moderator" => Err(Refusal::Moderator),
            "not banned" => Err(Refusal::NotBanned(measure.user.to_string())),
            "full" => Err(Refusal::TooManyBans),
            _ => Err(Refusal::Unavailable),
        }
    }

    /// See [`Bus::delete`](crate::bus::Bus::delete).
    pub(in crate::bus) async fn delete(
        &self,
        room: &Room,
        deletion: &Deletion,
    ) -> Result<(), Refusal> {
        let command = self.client.scripts.delete_message(room, deletion);
        match &*self.asked(command).await? {
            "" => Ok(()),
            "none" => Err(Refusal::NoSuchMessage),
            "foreign" => Err(Refusal::NotOwn),
            "old" => Err(Refusal::TooOld),
            _ => Err(Refusal::Unavailable),
        }
    }

    /// The revision of a room's moderation.
    pub(in crate::bus) async fn revision(&self, room: &Room) -> Result<u64, Refusal> {
        if let Some(revision) = self.subscriber.subscriptions.revision(room) {
            return Ok(revision);
        }
        let revision = self.client.scripts.revision(room);
        match self.client.pipeline.request(revision).await {
            Some(Value::Nil) => Ok(0),
            Some(reply) => {
                let revision = reply::text(&reply).and_then(|text| text.parse().ok());
                revision.ok_or(Refusal::Unavailable)
            }
            None => Err(Refusal::Unavailable),
        }
    }

    /// See [`Bus::banned`](crate::bus::Bus::banned).
    pub(in crate::bus) async fn banned(&self, room: &Room) -> Result<Vec<Ban>, Refusal> {
        let bans = self.client.scripts.list_bans(room);
        let replies = self.client.pipeline.request_large(&[bans]).await;
        let bans = replies.as_ref().and_then(|replies| replies.first());
        bans.and_then(reply::bans).ok_or(Refusal::Unavailable)
    }

    /// See [`Bus::may_enter`](crate::bus::Bus::may_enter).
    pub(in crate::bus) async fn may_enter(&self, room: &Room, user: &User) -> Result<(), Refusal> {
        match self.may_publish(room, user).await {
            Err(Refusal::Muted(_)) => Ok(()),
            checked => checked,
        }
    }

    /// See [`Bus::may_publish`](crate::bus::Bus::may_publish).
    pub(in crate::bus) async fn may_publish(
        &self,
        room: &Room,
        user: &User,
    ) -> Result<(), Refusal> {
        if self.subscriber.subscriptions.revision(room) == Some(0) {
            // Nothing was ever done there.
            return Ok(());
        }
        let check = self.client.scripts.check_user(room, user);
        let reply = self.client.pipeline.request(check).await;
        let words = reply.as_ref().and_then(reply::texts);
        match words.as_deref() {
            Some([muted]) if muted == "muted" => Err(Refusal::Muted(room.clone())),
            Some([_]) => Ok(()),
            _ => Err(reply
                .and_then(|reply| reply::refused(room, &reply))
                .unwrap_or(Refusal::Unavailable)),
        }
    }

    /// Asks Redis and returns its word.
    async fn asked(&self, command: Command) -> Result<String, Refusal> {
        let reply: Option<Value> = self.client.pipeline.request(command).await;
        let word = reply.as_ref().and_then(reply::text);
        word.ok_or(Refusal::Unavailable)
    }
}
