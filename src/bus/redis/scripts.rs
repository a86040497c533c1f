//! The commands: scripts that do in one step what must not be half done, and their keys.
//!
//! The keys that one script touches share a hash slot, so the same scripts run on a cluster. Time
//! is always Redis' own. Each command may be repeated when nobody knows whether it got through.

mod acl_probe;
mod channels;
mod listeners;
mod log;
mod users;

use std::iter;
use std::sync::LazyLock;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use redis::{ToRedisArgs, cmd};
use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::message;
use crate::bus::{CONVERSATION_MOST, NewMessage};
use crate::chat::id::{Id, Instance, Origin};
use crate::chat::name::{Room, User, hex};
use crate::config::Config;
use crate::redis::pipeline::Part;
use crate::redis::slot::{Command, slot};

pub use channels::Channel;
use listeners::Listeners;

/// A room's log goes a week after its last message, in seconds.
const LOG_LIFE: u64 = 7 * 24 * 3600;
/// A name stays its holder's for so long after the connection has ended, in seconds, if not for longer.
const AWAY_LIFE: u64 = 60;
/// How many bytes all logs together may take, where the settings don't say.
const MAX_HISTORY: usize = 128 * 1024 * 1024;
/// For how long a message is known by its instance's number, and by the name its client gave it, in
/// seconds.
const REFERENCE_LIFE: u64 = 15 * 60;
/// A message that is older than this is not sent again: Redis may no longer know it.
pub const MESSAGE_LIFE: Duration = Duration::from_secs(REFERENCE_LIFE - 60);

/// About how many bytes of a log are read at once. On a line of 8 Mbit/s they take 65 ms.
pub const PORTION: usize = 64 * 1024;

/// A script, prepared when it is first called.
type Lua = LazyLock<Script>;

/// What scripts that tell a room something begin with.
const TELL: &str = include_str!("scripts/tell.lua");
/// What scripts that change a roster or the names begin with.
const SUMS: &str = include_str!("scripts/sums.lua");
/// What scripts that look whose a name is begin with.
const AWAY: &str = include_str!("scripts/away.lua");
/// What scripts that number messages begin with.
const EPOCH: &str = include_str!("scripts/epoch.lua");
/// What scripts that read a log begin with.
const READ_PORTION: &str = include_str!("scripts/read_portion.lua");
/// What scripts that tell a room of a join begin with.
const LOG_POSITION: &str = include_str!("scripts/log_position.lua");

static PUBLISH: Lua = Lua::new(|| Script::of(&[TELL, EPOCH, include_str!("scripts/publish.lua")]));
static SYNC_ROOM: Lua =
    Lua::new(|| Script::of(&[EPOCH, READ_PORTION, include_str!("scripts/sync_room.lua")]));
static CLAIM: Lua = Lua::new(|| Script::of(&[SUMS, AWAY, include_str!("scripts/claim.lua")]));
static TRY_JOIN: Lua = Lua::new(|| Script::new(include_str!("scripts/try_join.lua")));
static RELEASE: Lua = Lua::new(|| Script::of(&[SUMS, AWAY, include_str!("scripts/release.lua")]));
static JOIN: Lua =
    Lua::new(|| Script::of(&[TELL, LOG_POSITION, SUMS, include_str!("scripts/join.lua")]));
static JOIN_ANONYMOUS: Lua = Lua::new(|| {
    Script::of(&[
        TELL,
        LOG_POSITION,
        include_str!("scripts/join_anonymous.lua"),
    ])
});
static RESTORE_MEMBER: Lua = Lua::new(|| {
    Script::of(&[
        TELL,
        LOG_POSITION,
        SUMS,
        include_str!("scripts/restore_member.lua"),
    ])
});
static LEAVE: Lua = Lua::new(|| Script::of(&[TELL, SUMS, include_str!("scripts/leave.lua")]));
static LIST_MEMBERS: Lua =
    Lua::new(|| Script::of(&[SUMS, include_str!("scripts/list_members.lua")]));
static READ_SUMS: Lua = Lua::new(|| Script::of(&[SUMS, include_str!("scripts/read_sums.lua")]));
static LIST_NAMES: Lua = Lua::new(|| Script::new(include_str!("scripts/list_names.lua")));
static ROSTER: Lua = Lua::new(|| Script::new(include_str!("scripts/roster.lua")));
static INVITE: Lua = Lua::new(|| Script::of(&[AWAY, include_str!("scripts/invite.lua")]));
static CONVERSATIONS: Lua =
    Lua::new(|| Script::of(&[AWAY, include_str!("scripts/conversations.lua")]));
static RENEW_LEASE: Lua = Lua::new(|| Script::new(include_str!("scripts/renew_lease.lua")));
static READ_LOG: Lua =
    Lua::new(|| Script::of(&[READ_PORTION, include_str!("scripts/read_log.lua")]));
static MARK_DEAD: Lua = Lua::new(|| Script::new(include_str!("scripts/mark_dead.lua")));
static EXPIRE_ROOM: Lua =
    Lua::new(|| Script::of(&[TELL, SUMS, include_str!("scripts/expire_room.lua")]));
static EXPIRE_NAMES: Lua =
    Lua::new(|| Script::of(&[SUMS, AWAY, include_str!("scripts/expire_names.lua")]));
static LIMIT_LOGS: Lua = Lua::new(|| Script::new(include_str!("scripts/limit_logs.lua")));
static DELETE_INSTANCE: Lua = Lua::new(|| Script::new(include_str!("scripts/delete_instance.lua")));

/// All of them.
static ALL: [&Lua; 22] = [
    &PUBLISH,
    &CLAIM,
    &TRY_JOIN,
    &RELEASE,
    &JOIN,
    &JOIN_ANONYMOUS,
    &RESTORE_MEMBER,
    &LEAVE,
    &LIST_MEMBERS,
    &READ_SUMS,
    &LIST_NAMES,
    &ROSTER,
    &INVITE,
    &CONVERSATIONS,
    &RENEW_LEASE,
    &SYNC_ROOM,
    &READ_LOG,
    &MARK_DEAD,
    &EXPIRE_ROOM,
    &EXPIRE_NAMES,
    &DELETE_INSTANCE,
    &LIMIT_LOGS,
];

/// A script and its SHA-1, by which it is called.
struct Script {
    code: String,
    hash: String,
}

impl Script {
    fn new(code: &str) -> Script {
        let hash = hex(&Sha1::digest(code));
        let code = code.to_string();
        Script { code, hash }
    }

    /// One that is made of these parts.
    fn of(parts: &[&str]) -> Script {
        Script::new(&parts.concat())
    }

    /// A call with these keys, which share a slot.
    fn call(&self, keys: &[String], args: impl ToRedisArgs) -> Command {
        let mut call = cmd("EVALSHA");
        call.arg(&self.hash).arg(keys.len()).arg(keys).arg(args);
        Command::on(&keys[0], &call)
    }
}

/// All commands of one instance.
#[derive(Debug)]
pub struct Scripts {
    prefix: String,
    instance: Instance,
    history: usize,
    /// How many bytes all logs together may take.
    max_history: usize,
    notices: usize,
    /// For how long a name waits for its holder, in milliseconds.
    away_life: u64,
    /// For how long a private conversation is kept after its last message, in seconds.
    conversation_life: u64,
    /// Other programs that scripts can't see.
    pub listeners: Listeners,
    /// Whether envelopes go by sharded PUBSUB.
    pub sharded: AtomicBool,
}

/// A message on its way.
#[derive(Debug)]
pub struct Publication {
    room: Room,
    /// Where the room's keys are.
    slot: u16,
    sequence: u64,
    /// What its client calls it, if anything.
    reference: String,
    /// How far its instance had heard the room.
    heard: Option<Id>,
    /// If its recipient is away: the last message before those that wait.
    waiting_after: Option<Id>,
    envelope: String,
}

impl Part for Publication {
    type Group = Room;

    fn slot(&self) -> u16 {
        self.slot
    }

    fn size(&self) -> usize {
        self.envelope.len()
    }

    fn group(&self) -> &Room {
        &self.room
    }
}

impl Scripts {
    /// The commands of `instance`, with every key and channel under the prefix of the settings.
    pub fn new(config: &Config, instance: Instance) -> Scripts {
        let names_life = 24 * 3600 * u64::from(config.keep_names);
        Scripts {
            prefix: config.prefix.clone(),
            instance,
            history: config.history,
            max_history: config.max_history.unwrap_or(MAX_HISTORY),
            notices: config.notices,
            away_life: 1000 * names_life.max(AWAY_LIFE),
            conversation_life: names_life.max(LOG_LIFE),
            listeners: Listeners::default(),
            sharded: AtomicBool::new(false),
        }
    }

    /// What makes Redis know the scripts; an answer each.
    pub fn load(&self) -> Vec<Vec<u8>> {
        let load = |script: &Lua| {
            cmd("SCRIPT")
                .arg("LOAD")
                .arg(&script.code)
                .get_packed_command()
        };
        ALL.map(load).to_vec()
    }

    fn room_key(&self, room: &Room, what: &str) -> String {
        format!("{{{}:{room}}}:{what}", self.prefix)
    }

    fn users_key(&self, what: &str) -> String {
        format!("{{{}-users}}:{what}", self.prefix)
    }

    fn visible_key(&self) -> String {
        format!("{}-users", self.prefix)
    }

    /// A message that has the instance's number `sequence`, to be [published](Self::publish).
    pub fn publication(
        &self,
        room: &Room,
        message: &NewMessage,
        heard: Option<Id>,
        waiting_after: Option<Id>,
        sequence: u64,
    ) -> Publication {
        let reference = message.receipt.reference();
        Publication {
            room: room.clone(),
            slot: slot(&self.room_key(room, "")),
            sequence,
            reference: reference.map_or(String::new(), |name| short(&message.client(), name)),
            heard,
            waiting_after,
            envelope: message::said(message),
        }
    }

    /// Publishes messages, all of the same room as the first. `before`: the number of this instance's
    /// message before them, if it may still be on its way, else 0.
    pub fn publish(&self, before: u64, first: &Publication, more: &[&Publication]) -> Command {
        let room = &first.room;
        let seen = format!("seen:{}", self.instance);
        let mut keys = vec!["counter", "log", &seen];
        let messages = || iter::once(first).chain(more.iter().copied());
        // In a cluster, a slot that moves lets a script pass only if all keys are there.
        if messages().any(|message| !message.reference.is_empty()) {
            keys.extend(["refs", "older-refs"]);
        }
        let keys: Vec<_> = keys.iter().map(|what| self.room_key(room, what)).collect();
        let words: Vec<_> = messages()
            .map(|message| (message.sequence, &message.reference, &message.envelope))
            .collect();
        let heard = messages().filter_map(|message| message.heard).max();
        let heard = text(heard);
        let (history, life) = match room.is_conversation() {
            true => (CONVERSATION_MOST, self.conversation_life),
            false => (self.history, LOG_LIFE),
        };
        let lives = [life, REFERENCE_LIFE];
        // The last message knows best whether its recipient is away.
        let waiting_after = messages().last().and_then(|message| message.waiting_after);
        let waiting_after = waiting_after.map_or(String::new(), |id| id.to_string());
        let marks = (before, heard, waiting_after);
        let args = (self.told(room), history, &lives, marks, words);
        PUBLISH.call(&keys, args)
    }

    pub fn join(&self, room: &Room, user: &User, origin: Origin) -> Command {
        JOIN.call(&self.member_keys(room), self.member(room, user, origin))
    }

    /// For a peer that is there already. `told`: others may have been told that it had left.
    pub fn restore_member(&self, room: &Room, user: &User, origin: Origin, told: bool) -> Command {
        let member = self.member(room, user, origin);
        RESTORE_MEMBER.call(&self.member_keys(room), (member, told))
    }

    fn member_keys(&self, room: &Room) -> [String; 3] {
        ["roster", "counter", "sums"].map(|what| self.room_key(room, what))
    }

    fn member(&self, room: &Room, user: &User, origin: Origin) -> impl ToRedisArgs {
        // Whose the name is, and how it is shown, if that is not its key.
        let entry = match user.as_str() {
            shown if shown == user.key() => origin.to_string(),
            shown => format!("{origin} {shown}"),
        };
        let joined = message::joined(Some(user), origin);
        (
            user.key().to_string(),
            entry,
            self.told(room),
            joined,
            self.notices,
        )
    }

    /// For a peer without a name.
    pub fn join_anonymous(&self, room: &Room, origin: Origin) -> Command {
        let joined = message::joined(None, origin);
        JOIN_ANONYMOUS.call(&[self.room_key(room, "counter")], (self.told(room), joined))
    }

    pub fn leave(&self, room: &Room, user: &User, origin: Origin) -> Command {
        let left = message::left(user, origin);
        let args = (
            user.key(),
            origin.to_string(),
            self.told(room),
            left,
            self.notices,
        );
        LEAVE.call(&self.roster_keys(room), args)
    }

    fn roster_keys(&self, room: &Room) -> [String; 2] {
        ["roster", "sums"].map(|what| self.room_key(room, what))
    }

    /// The sums of all instances over their entries on a room's roster.
    pub fn room_sums(&self, room: &Room) -> Command {
        READ_SUMS.call(&self.roster_keys(room), &[""; 0])
    }

    /// What a room's roster holds of this instance.
    pub fn list_members(&self, room: &Room) -> Command {
        let args = (self.instance.to_string(), true);
        LIST_MEMBERS.call(&self.roster_keys(room), args)
    }

    /// What shows whether somebody can join: a trial on the keys of names, and on those of the lobby.
    pub fn try_join(&self) -> [Command; 2] {
        let [owners, sums, tried] = ["owners", "sums", "tried"].map(|what| self.users_key(what));
        let names = [self.visible_key(), owners, sums, tried];
        [
            TRY_JOIN.call(&names, ("set", "hash", "hash", "string")),
            TRY_JOIN.call(
                &self.member_keys(&Room::lobby()),
                ("hash", "string", "hash"),
            ),
        ]
    }

    pub fn roster(&self, room: &Room) -> Command {
        ROSTER.call(&self.member_keys(room), self.notices)
    }
}

/// An id, or nothing.
fn text(id: Option<Id>) -> String {
    id.map_or(String::new(), |id| id.to_string())
}

/// What Redis calls a message that its client has given this name: 96 bits of a hash, so that each takes
/// little memory, however long the names are.
fn short(client: &str, name: &str) -> String {
    // No client's name holds a colon, so no two have the same text.
    let hash = Sha256::digest(format!("{client}:{name}"));
    STANDARD_NO_PAD.encode(&hash[..12])
}
