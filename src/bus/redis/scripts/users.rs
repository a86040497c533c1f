//! The commands about names, leases and private messages, which share the slot of the user set, and
//! those that clean up after a dead instance.

use redis::cmd;

use super::{REFERENCE_LIFE, Scripts};
use crate::bus::NewMessage;
use crate::bus::redis::message;
use crate::chat::id::{Id, Origin};
use crate::chat::name::{Room, SessionKeyHash, User};
use crate::redis::slot::Command;

/// An instance that has not renewed its lease for so long is dead, in milliseconds. With the time
/// until another one looks, its names are free within the fifteen seconds that are promised.
const LEASE: u64 = 9_000;
/// For how long an instance that was taken for dead is told so when it wakes, in milliseconds.
const REAPED_LIFE: u64 = 24 * 3600 * 1000;
/// Private messages kept for an instance that is not listening …
const MAIL_MOST: u64 = 1000;
/// … and for how long, in seconds.
const MAIL_LIFE: u64 = 3600;

impl Scripts {
    /// `written`: the recipient's name as the sender writes it.
    pub fn send_private(
        &self,
        to: &User,
        written: &str,
        message: &NewMessage,
        sequence: u64,
    ) -> Command {
        let named = match message.receipt.reference() {
            Some(name) => format!("ref:{}:{name}", message.client()),
            None => format!("ref:@{}:{sequence}", self.instance),
        };
        let keys = [
            &self.users_key("owners"),
            &self.users_key("leases"),
            &self.users_key("letters"),
            &self.users_key(&named),
        ];
        self.send_private.call(
            &keys.map(String::as_str),
            &[
                to.key(),
                &self.instance_channels(),
                &message::letter(written, message),
                &self.users_key("mail:"),
                &REFERENCE_LIFE.to_string(),
                &MAIL_MOST.to_string(),
                &MAIL_LIFE.to_string(),
            ],
        )
    }

    /// `over`: a peer that holds the name with the same session key loses it. Leases count for `margin`
    /// milliseconds longer.
    pub fn claim(
        &self,
        user: &User,
        origin: Origin,
        key_hash: Option<SessionKeyHash>,
        over: bool,
        margin: u64,
    ) -> Command {
        let (owners, leases) = (self.users_key("owners"), self.users_key("leases"));
        self.claim.call(
            &[&self.visible_key(), &owners, &leases],
            &[
                user.key(),
                &origin.to_string(),
                &key_hash.map_or(String::new(), |key_hash| key_hash.to_string()),
                &self.instance_channels(),
                &message::replaced(user),
                if over { "1" } else { "0" },
                &margin.to_string(),
                user.as_str(),
            ],
        )
    }

    pub fn release(&self, user: &User, origin: Origin) -> Command {
        self.release.call(
            &[&self.visible_key(), &self.users_key("owners")],
            &[user.key(), &origin.to_string()],
        )
    }

    /// Leases of others count as run out when they did so `margin` milliseconds ago.
    pub fn renew_lease(&self, margin: u64) -> Command {
        self.renew_lease.call(
            &[&self.users_key("leases"), &self.users_key("reaped")],
            &[
                &self.instance.to_string(),
                &LEASE.to_string(),
                &self.own_channel(),
                &message::canary(),
                &margin.to_string(),
            ],
        )
    }

    /// Gives the lease up: this instance has no names any more.
    pub fn retire(&self) -> Command {
        self.remove_from("leases")
    }

    /// Notes that this instance has peers in these rooms, or none any more: for the instance that
    /// cleans up after it.
    pub fn track_rooms(&self, rooms: &[&Room], has_peers: bool) -> Command {
        let key = self.rooms_key(&self.instance.to_string());
        let rooms: Vec<_> = rooms.iter().map(|room| room.as_str()).collect();
        let mut change = cmd(if has_peers { "SADD" } else { "SREM" });
        Command::on(&key, change.arg(&key).arg(rooms))
    }

    fn rooms_key(&self, instance: &str) -> String {
        self.users_key(&format!("rooms:{instance}"))
    }

    pub fn mark_dead(&self, dead: &str) -> Command {
        self.mark_dead.call(
            &[
                &self.users_key("leases"),
                &self.users_key("reaped"),
                &self.rooms_key(dead),
            ],
            &[dead, &REAPED_LIFE.to_string()],
        )
    }

    /// This instance has registered its names again.
    pub fn clear_dead(&self) -> Command {
        self.remove_from("reaped")
    }

    fn remove_from(&self, instances: &str) -> Command {
        let key = self.users_key(instances);
        let remove = (&key, self.instance.to_string());
        Command::on(&key, cmd("ZREM").arg(remove))
    }

    pub fn expire_room(&self, dead: &str, room: &Room) -> Command {
        self.expire_room.call(
            &[&self.room_key(room, "roster")],
            &[
                dead,
                &self.channel(room),
                &self.notices.to_string(),
                &format!("{}{dead}", self.instance_channels()),
                &message::reaped(),
            ],
        )
    }

    pub fn expire_names(&self, dead: &str, from: &str) -> Command {
        let (owners, leases) = (self.users_key("owners"), self.users_key("leases"));
        self.expire_names.call(
            &[&self.visible_key(), &owners, &leases],
            &[
                dead,
                from,
                &format!("{}{dead}", self.instance_channels()),
                &message::reaped(),
            ],
        )
    }

    pub fn delete_instance(&self, dead: &str) -> Command {
        let keys = [self.users_key("leases"), self.rooms_key(dead)];
        self.delete_instance.call(&[&keys[0], &keys[1]], &[dead])
    }

    /// The private messages for this instance after this one.
    pub fn inbox(&self, after: Id) -> Command {
        let key = self.users_key(&format!("mail:{}", self.instance));
        let range = (after.next().to_string(), "+");
        Command::on(&key, cmd("XRANGE").arg(&key).arg(range))
    }
}
