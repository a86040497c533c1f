//! The commands: scripts that do in one step what must not be half done, and their keys.
//!
//! The keys that one script touches share a hash slot, so the same scripts run on a cluster. Time
//! is always Redis' own. Each command may be repeated when nobody knows whether it got through.

mod acl_probe;
mod channels;
mod listeners;
mod log;
mod members;
mod moderation;
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
use crate::bus::{Conversation, NewMessage};
use crate::chat::id::{Id, Instance};
use crate::chat::name::{Room, hex};
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
/// What scripts about a room's moderators begin with.
const MODERATION: &str = include_str!("scripts/moderation.lua");
/// What scripts about messages that were taken back begin with.
const TOMBSTONES: &str = include_str!("scripts/tombstones.lua");
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
static SYNC_MODERATION: Lua =
    Lua::new(|| Script::of(&[MODERATION, include_str!("scripts/sync_moderation.lua")]));
static CLAIM: Lua = Lua::new(|| Script::of(&[SUMS, AWAY, include_str!("scripts/claim.lua")]));
static TRY_JOIN: Lua = Lua::new(|| Script::new(include_str!("scripts/try_join.lua")));
static RELEASE: Lua = Lua::new(|| Script::of(&[SUMS, AWAY, include_str!("scripts/release.lua")]));
static RETURNED: Lua = Lua::new(|| Script::new(include_str!("scripts/returned.lua")));
static JOIN: Lua = Lua::new(|| {
    Script::of(&[
        TELL,
        LOG_POSITION,
        SUMS,
        MODERATION,
        include_str!("scripts/join.lua"),
    ])
});
static JOIN_ANONYMOUS: Lua = Lua::new(|| {
    Script::of(&[
        TELL,
        LOG_POSITION,
        MODERATION,
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
static MODERATE: Lua =
    Lua::new(|| Script::of(&[TELL, MODERATION, include_str!("scripts/moderate.lua")]));
static LIST_BANS: Lua =
    Lua::new(|| Script::of(&[MODERATION, include_str!("scripts/list_bans.lua")]));
static CHECK_USER: Lua =
    Lua::new(|| Script::of(&[MODERATION, include_str!("scripts/check_user.lua")]));
static BAN_ADDRESS: Lua =
    Lua::new(|| Script::of(&[MODERATION, include_str!("scripts/ban_address.lua")]));
static DELETE_MESSAGE: Lua = Lua::new(|| {
    Script::of(&[
        TELL,
        MODERATION,
        TOMBSTONES,
        include_str!("scripts/delete_message.lua"),
    ])
});
static MARK_DEAD: Lua = Lua::new(|| Script::new(include_str!("scripts/mark_dead.lua")));
static EXPIRE_ROOM: Lua =
    Lua::new(|| Script::of(&[TELL, SUMS, include_str!("scripts/expire_room.lua")]));
static EXPIRE_NAMES: Lua =
    Lua::new(|| Script::of(&[SUMS, AWAY, include_str!("scripts/expire_names.lua")]));
static LIMIT_LOGS: Lua = Lua::new(|| Script::new(include_str!("scripts/limit_logs.lua")));
static DELETE_INSTANCE: Lua = Lua::new(|| Script::new(include_str!("scripts/delete_instance.lua")));

/// All of them.
static ALL: [&Lua; 29] = [
    &PUBLISH,
    &CLAIM,
    &TRY_JOIN,
    &RELEASE,
    &RETURNED,
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
    &SYNC_MODERATION,
    &MODERATE,
    &LIST_BANS,
    &CHECK_USER,
    &BAN_ADDRESS,
    &DELETE_MESSAGE,
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

    /// For how long a room's log is kept after its last message, in seconds.
    fn log_life(&self, room: &Room) -> u64 {
        match room.is_conversation() {
            true => self.conversation_life,
            false => LOG_LIFE,
        }
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
        let history = match room.is_conversation() {
            true => Conversation::MOST,
            false => self.history,
        };
        let lives = [self.log_life(room), REFERENCE_LIFE];
        // The last message knows best whether its recipient is away.
        let waiting_after = messages().last().and_then(|message| message.waiting_after);
        let waiting_after = waiting_after.map_or(String::new(), |id| id.to_string());
        let marks = (before, heard, waiting_after);
        let args = (self.told(room), history, &lives, marks, words);
        PUBLISH.call(&keys, args)
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
