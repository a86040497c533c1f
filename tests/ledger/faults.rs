//! The faults. Each begins, lasts a while and is mended. Two may overlap, unless they strike the same
//! place.

mod plan;
mod refusals;
mod rollbacks;
mod strike;

pub use plan::{Step, at_random, each_once};

/// Something that goes wrong.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// Redis is killed, and started again with the data it had.
    RedisKilled,
    /// Redis hangs: it takes connections, and answers nothing.
    RedisFrozen,
    /// All subscriptions are cut.
    SubscriptionsKilled,
    /// All connections for commands are cut.
    CommandsKilled,
    /// Redis forgets its scripts.
    ScriptsForgotten,
    /// Some people's connections break, and Redis forgets everything while they come back.
    EverythingForgotten(u64),
    /// An instance can't reach Redis.
    NetworkCut(usize),
    /// What an instance and Redis say to each other does not arrive.
    NetworkStalled(usize),
    /// The same, but after so many more bytes of answers, which may be in the midst of one.
    AnswerCut(usize, usize),
    /// And the same.
    AnswerStalled(usize, usize),
    /// An instance is killed, and started again.
    InstanceKilled(usize),
    /// An instance is stopped in good order, and started again.
    InstanceStopped(usize),
    /// The primary of these keys is killed; its replica takes over, and it comes back as a replica.
    PrimaryKilled(usize),
    /// The replica of the primary of these keys takes over in good order.
    PrimaryReplaced(usize),
    /// The primary is killed; sentinels make its replica the primary, and it comes back as a replica.
    PrimaryLost,
    /// The operator has sentinels make the replica the primary, and lets nothing be written until
    /// that is done.
    PrimaryLeft,
    /// The slot of these keys moves to the next primary.
    SlotMoved(usize),
    /// The same, but it is half way for a while: some keys are there and some here.
    SlotHalfWay(usize),
    /// Some people's connections break, or fall silent; they come back after two seconds.
    PeopleCut(u64),
    /// Redis is killed, and loses what was written since the beginning of this.
    RolledBack(u64),
    /// The same without a disconnect: a proxy leads the connections to a node that lags behind.
    RolledBackAlive(u64),
    /// The connections are cut, and lead to a replica that lags behind.
    ReplicaLags(u64),
    /// A partition, while some people's connections break: what an instance has said arrives when its new
    /// connections are there. It has to notice by itself, or after so many milliseconds its
    /// connections end.
    NetworkHeld(usize, Option<u64>, u64),
    /// Redis refuses commands for a moment, while many are in flight over a long way; a round trip takes
    /// so many milliseconds.
    FarRefusal(Refusal, u64),
    /// Redis refuses commands while some people's connections break.
    RefusalOfLeavers(Refusal, u64),
    /// A primary is killed whose replica lags behind and takes its place.
    LaggardLeads(usize, u64),
    /// A lone server is killed, and this happens to its files before it is started again.
    FilesDamaged(Damage, u64),
    /// It is killed, and once more when it has been starting for so many milliseconds.
    KilledAtStart(u64),
    /// Its disk fails with this error.
    DiskFails(i32),
    /// Each sync of its disk takes so many milliseconds.
    DiskSlow(u64),
}

/// What happens to the files of a lone server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// What was not synced is not there as it was written.
    Torn,
    /// A bit changes in a message.
    Flipped,
}

/// Why Redis refuses commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Too few replicas.
    NoReplicas,
    /// It knows the scripts no more.
    NoScript,
    /// It is a replica itself.
    ReadOnly,
    /// It could not write to its disk.
    Misconf,
    /// Somebody's script does not end.
    Busy,
    /// The user may not do that.
    NoPermission,
}

/// What a fault strikes. Two that strike the same can't overlap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Redis,
    Network(usize),
    Instance(usize),
    Disk,
    People,
    Everywhere,
}

/// What happens to one Redis, to what stands behind it, and to people.
pub const ONE_REDIS: [usize; 23] = [
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28,
];
/// What happens to a cluster, and to what stands behind it.
pub const CLUSTER: [usize; 15] = [2, 3, 4, 5, 10, 11, 12, 13, 14, 15, 16, 23, 24, 28, 29];
/// What happens to a primary and its replica, and to what stands behind them. Connections are not
/// cut: the sentinels' would be too, and they would take the primary for dead, which goes on taking
/// messages until it hears of that.
pub const WATCHED: [usize; 11] = [4, 5, 10, 11, 12, 17, 18, 23, 24, 28, 29];
/// What happens to a lone server, and to people.
pub const ALONE: [usize; 9] = [12, 30, 31, 32, 33, 34, 35, 36, 37];

impl Fault {
    fn place(self) -> Place {
        match self {
            Fault::RedisKilled
            | Fault::RedisFrozen
            | Fault::SubscriptionsKilled
            | Fault::CommandsKilled
            | Fault::ScriptsForgotten
            | Fault::PrimaryKilled(_)
            | Fault::PrimaryReplaced(_)
            | Fault::PrimaryLost
            | Fault::PrimaryLeft
            | Fault::SlotMoved(_)
            | Fault::SlotHalfWay(_)
            | Fault::FarRefusal(..)
            | Fault::RefusalOfLeavers(Refusal::Misconf | Refusal::Busy, _) => Place::Redis,
            // An instance that starts without permission ends, as it should.
            Fault::RefusalOfLeavers(..)
            | Fault::EverythingForgotten(_)
            | Fault::RolledBack(_)
            | Fault::RolledBackAlive(_)
            | Fault::ReplicaLags(_)
            | Fault::LaggardLeads(..) => Place::Everywhere,
            Fault::NetworkCut(i)
            | Fault::NetworkStalled(i)
            | Fault::NetworkHeld(i, ..)
            | Fault::AnswerCut(i, _)
            | Fault::AnswerStalled(i, _) => Place::Network(i),
            Fault::InstanceKilled(i) | Fault::InstanceStopped(i) => Place::Instance(i),
            Fault::FilesDamaged(..) | Fault::KilledAtStart(_) => Place::Instance(0),
            Fault::DiskFails(_) | Fault::DiskSlow(_) => Place::Disk,
            Fault::PeopleCut(_) => Place::People,
        }
    }

    /// Whether a room may begin a new epoch: Redis may have lost data, or it is another node, or
    /// messages are taken back.
    pub fn turns(self) -> bool {
        match self {
            Fault::SubscriptionsKilled | Fault::CommandsKilled | Fault::ScriptsForgotten => false,
            Fault::FarRefusal(why, _) | Fault::RefusalOfLeavers(why, _) => why == Refusal::ReadOnly,
            Fault::DiskFails(_) => true,
            _ => matches!(self.place(), Place::Redis | Place::Everywhere),
        }
    }
}
