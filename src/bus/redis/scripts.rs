//! The commands: scripts that do in one step what must not be half done, and their keys.
//!
//! The keys that one script touches share a hash slot, so the same scripts run on a cluster. Time
//! is always Redis' own. Each command may be repeated when nobody knows whether it got through.

mod acl_probe;
mod channels;
mod listeners;
mod users;

use std::iter;
use std::sync::LazyLock;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use redis::{ToRedisArgs, cmd};

use super::message;
use crate::bus::NewMessage;
use crate::chat::id::{Id, Instance, Origin};
use crate::chat::name::{Room, User};
use crate::chat::replay::Stretch;
use crate::config::Config;
use crate::redis::pipeline::Part;
use crate::redis::slot::{Command, slot};

pub use channels::Channel;
use listeners::Listeners;

/// A room's log goes a week after its last message, in seconds.
const LOG_LIFE: u64 = 7 * 24 * 3600;
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

static PUBLISH: Lua = Lua::new(|| Script::of(&[TELL, include_str!("scripts/publish.lua")]));
static CLAIM: Lua = Lua::new(|| Script::of(&[SUMS, include_str!("scripts/claim.lua")]));
static TRY_JOIN: Lua = Lua::new(|| Script::new(include_str!("scripts/try_join.lua")));
static RELEASE: Lua = Lua::new(|| Script::of(&[SUMS, include_str!("scripts/release.lua")]));
static JOIN: Lua = Lua::new(|| Script::of(&[TELL, SUMS, include_str!("scripts/join.lua")]));
static JOIN_ANONYMOUS: Lua =
    Lua::new(|| Script::of(&[TELL, include_str!("scripts/join_anonymous.lua")]));
static RESTORE_MEMBER: Lua =
    Lua::new(|| Script::of(&[TELL, SUMS, include_str!("scripts/restore_member.lua")]));
static LEAVE: Lua = Lua::new(|| Script::of(&[TELL, SUMS, include_str!("scripts/leave.lua")]));
static LIST_MEMBERS: Lua =
    Lua::new(|| Script::of(&[SUMS, include_str!("scripts/list_members.lua")]));
static READ_SUMS: Lua = Lua::new(|| Script::of(&[SUMS, include_str!("scripts/read_sums.lua")]));
static LIST_NAMES: Lua = Lua::new(|| Script::new(include_str!("scripts/list_names.lua")));
static ROSTER: Lua = Lua::new(|| Script::new(include_str!("scripts/roster.lua")));
static SEND_PRIVATE: Lua = Lua::new(|| Script::new(include_str!("scripts/send_private.lua")));
static RENEW_LEASE: Lua = Lua::new(|| Script::new(include_str!("scripts/renew_lease.lua")));
static NEW_EPOCH: Lua = Lua::new(|| Script::new(include_str!("scripts/new_epoch.lua")));
static READ_LOG: Lua = Lua::new(|| Script::new(include_str!("scripts/read_log.lua")));
static MARK_DEAD: Lua = Lua::new(|| Script::new(include_str!("scripts/mark_dead.lua")));
static EXPIRE_ROOM: Lua =
    Lua::new(|| Script::of(&[TELL, SUMS, include_str!("scripts/expire_room.lua")]));
static EXPIRE_NAMES: Lua =
    Lua::new(|| Script::of(&[SUMS, include_str!("scripts/expire_names.lua")]));
static LIMIT_LOGS: Lua = Lua::new(|| Script::new(include_str!("scripts/limit_logs.lua")));
static DELETE_INSTANCE: Lua = Lua::new(|| Script::new(include_str!("scripts/delete_instance.lua")));

/// All of them.
static ALL: [&Lua; 21] = [
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
    &SEND_PRIVATE,
    &RENEW_LEASE,
    &NEW_EPOCH,
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
        let hash = redis::Script::new(code).get_hash().to_string();
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
    /// The key of the name that its client has given it.
    name: Option<String>,
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
        Scripts {
            prefix: config.prefix.clone(),
            instance,
            history: config.history,
            max_history: config.max_history.unwrap_or(MAX_HISTORY),
            notices: config.notices,
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
    pub fn publication(&self, room: &Room, message: &NewMessage, sequence: u64) -> Publication {
        // No client's name holds a colon, so no two share a key.
        let named = |name| self.room_key(room, &format!("ref:{}:{name}", message.client()));
        Publication {
            room: room.clone(),
            slot: slot(&self.room_key(room, "")),
            sequence,
            name: message.receipt.reference().map(named),
            envelope: message::said(message),
        }
    }

    /// Publishes messages, all of the same room as the first. `before`: the number of this instance's
    /// message before them, if it may still be on its way, else 0.
    pub fn publish(&self, before: u64, first: &Publication, more: &[&Publication]) -> Command {
        let room = &first.room;
        let mut keys = vec![
            self.room_key(room, "counter"),
            self.room_key(room, "log"),
            self.room_key(room, &format!("seen:{}", self.instance)),
        ];
        let mut words = vec![];
        for message in iter::once(&first).chain(more) {
            keys.extend(message.name.clone());
            let place = message.name.as_ref().map_or(0, |_| keys.len());
            words.push((message.sequence, place, &message.envelope));
        }
        let lives = [LOG_LIFE, REFERENCE_LIFE];
        let args = (self.told(room), self.history, &lives, before, words);
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
        LIST_MEMBERS.call(&self.roster_keys(room), self.instance.to_string())
    }

    /// What shows whether somebody can join: a trial on the keys of names, and on those of the lobby.
    pub fn try_join(&self) -> [Command; 2] {
        let [owners, sums, letters] =
            ["owners", "sums", "letters"].map(|what| self.users_key(what));
        let names = [self.visible_key(), owners, sums, letters];
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

    /// The room's last message.
    pub fn last(&self, room: &Room) -> Command {
        let key = self.room_key(room, "counter");
        Command::on(&key, cmd("GET").arg(&key))
    }

    /// Begins a new epoch, unless another has begun since.
    pub fn new_epoch(&self, room: &Room, epoch: u64) -> Command {
        NEW_EPOCH.call(&[self.room_key(room, "counter")], (epoch, LOG_LIFE))
    }

    /// The first messages of a stretch: at most so many, and not more than about [`PORTION`] bytes.
    pub fn read(&self, room: &Room, stretch: Stretch, most: usize) -> Command {
        // The next id, and not "after this one": Redis 6.0 can't say that.
        let from = stretch.after.next().to_string();
        self.read_log(room, false, from, &stretch.until.to_string(), most)
    }

    /// The messages from this one on, with it; the same limits.
    pub fn read_from(&self, room: &Room, from: Id, most: usize) -> Command {
        self.read_log(room, false, from.to_string(), "+", most)
    }

    /// The last messages up to one, with it, or of all; newest first; the same limits.
    pub fn up_to(&self, room: &Room, id: Option<Id>, most: usize) -> Command {
        let from = id.map_or("+".to_string(), |id| id.to_string());
        self.read_log(room, true, from, "-", most)
    }

    fn read_log(&self, room: &Room, back: bool, from: String, to: &str, most: usize) -> Command {
        READ_LOG.call(
            &[self.room_key(room, "log")],
            (back, from, to, most, PORTION),
        )
    }

    /// How many bytes a room's log takes.
    pub fn log_size(&self, room: &Room) -> Command {
        let key = self.room_key(room, "log");
        Command::on(&key, cmd("MEMORY").arg("USAGE").arg(&key))
    }

    /// Reports the sizes of logs; the reply names the rooms whose logs are to be deleted.
    pub fn limit_logs<'a>(&self, sizes: impl Iterator<Item = (&'a Room, i64)>) -> Command {
        let keys = ["spoken", "log-sizes", "log-bytes"].map(|what| self.users_key(what));
        let sizes: Vec<_> = sizes.map(|(room, size)| (room.as_str(), size)).collect();
        LIMIT_LOGS.call(&keys, (self.max_history, LOG_LIFE, sizes))
    }

    pub fn delete_log(&self, room: &Room) -> Command {
        let key = self.room_key(room, "log");
        Command::on(&key, cmd("DEL").arg(&key))
    }
}
