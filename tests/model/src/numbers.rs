//! How messages of one room are numbered, logged, told and replayed: `publish.lua`, `sync_room.lua`,
//! the publisher and the subscriber of each instance, with a Redis that goes back in time, a
//! connection that breaks and a command that fails in passing.

mod instance;
mod properties;
mod redis;

use stateright::{Model, Property};

use instance::Instance;
use redis::{Redis, Room};

/// How many instances there are.
const INSTANCES: usize = 2;

/// A message's id: its epoch, and its number in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id {
    epoch: u8,
    n: u8,
}

/// A message: which instance said it, and the instance's own number for it, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Message {
    from: usize,
    number: u8,
}

/// What an instance sends to Redis, in order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Command {
    /// `publish.lua`: one message, the number of the one before it if that has no answer yet (else
    /// 0), and the last id heard.
    Publish {
        number: u8,
        before: u8,
        heard: Option<Id>,
    },
    /// `sync_room.lua`: what came after `heard`. `again` is a number of its epoch that was given
    /// a second time.
    Sync {
        heard: Option<Id>,
        again: Option<u8>,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Reply {
    Published {
        number: u8,
        id: Option<Id>,
    },
    /// The message before has not come.
    Again,
    /// The command failed, and its sender is told so.
    Refused {
        number: u8,
    },
    Synced {
        complete: bool,
        last: Option<Id>,
        entries: Vec<(Id, Message)>,
    },
}

/// Everything there is, and which faults are still to come.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World {
    redis: Redis,
    instances: [Instance; INSTANCES],
    /// Every id that was ever given, in order.
    given: Vec<(Id, Message)>,
    left: Faults,
}

/// How many of each fault may still happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Faults {
    /// Redis goes back to what was saved, on another node.
    rollbacks: u8,
    /// The same on the same node, which nothing but its data shows.
    reloads: u8,
    /// An instance's connections break; what was in flight may still arrive.
    disconnects: u8,
    /// A command fails in passing.
    errors: u8,
}

/// One step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    Say(usize),
    Send(usize),
    SendSync(usize),
    /// Redis runs the instance's oldest command.
    Run(usize),
    Fail(usize),
    TakeReply(usize),
    TakePush(usize),
    Save,
    Rollback,
    Reload,
    /// The commands in flight arrive at Redis before the new connection's, or never.
    Disconnect {
        instance: usize,
        arrive: bool,
    },
}

/// How much happens in one exploration.
#[derive(Clone, Debug)]
pub struct Room1 {
    messages: [u8; INSTANCES],
    /// How many commands an instance may have in flight.
    window: u8,
    faults: Faults,
}

/// The explorations, with their names.
pub fn worlds() -> Vec<(&'static str, Room1)> {
    let world = |messages, window, [rollbacks, reloads, disconnects, errors]: [u8; 4]| Room1 {
        messages,
        window,
        faults: Faults {
            rollbacks,
            reloads,
            disconnects,
            errors,
        },
    };
    vec![
        ("no fault", world([2, 1], 2, [0, 0, 0, 0])),
        ("an error in passing", world([3, 1], 3, [0, 0, 0, 2])),
        ("a broken connection", world([2, 1], 2, [0, 0, 1, 1])),
        ("a rollback", world([2, 1], 2, [1, 0, 0, 0])),
        (
            "a rollback and a broken connection",
            world([2, 1], 2, [1, 0, 1, 0]),
        ),
        ("a rollback and an error", world([2, 1], 2, [1, 0, 0, 1])),
        (
            "data that go back on the same node",
            world([2, 1], 2, [0, 1, 0, 0]),
        ),
    ]
}

impl Model for Room1 {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        let redis = Redis {
            room: Room::default(),
            saved: Room::default(),
            node: 1,
            time: 0,
        };
        let instance = Instance {
            wants_sync: Some(None),
            ..Instance::default()
        };
        let instances = [instance.clone(), instance];
        vec![World {
            redis,
            instances,
            given: Vec::new(),
            left: self.faults,
        }]
    }

    fn actions(&self, world: &World, steps: &mut Vec<Step>) {
        for (i, instance) in world.instances.iter().enumerate() {
            if instance.said < self.messages[i] {
                steps.push(Step::Say(i));
            }
            let may_send = instance.sent < instance.said && !instance.going_back;
            if may_send && instance.unsettled() < self.window {
                steps.push(Step::Send(i));
            }
            if instance.wants_sync.is_some() && !instance.syncing {
                steps.push(Step::SendSync(i));
            }
            if let Some(first) = instance.commands.front() {
                steps.push(Step::Run(i));
                if world.left.errors > 0 && matches!(first, Command::Publish { .. }) {
                    steps.push(Step::Fail(i));
                }
            }
            if !instance.replies.is_empty() {
                steps.push(Step::TakeReply(i));
            }
            if !instance.pushes.is_empty() && !instance.syncing && instance.wants_sync.is_none() {
                steps.push(Step::TakePush(i));
            }
            if world.left.disconnects > 0 {
                steps.push(Step::Disconnect {
                    instance: i,
                    arrive: false,
                });
                if !instance.commands.is_empty() {
                    steps.push(Step::Disconnect {
                        instance: i,
                        arrive: true,
                    });
                }
            }
        }
        if world.left.rollbacks + world.left.reloads > 0 && world.redis.saved != world.redis.room {
            steps.push(Step::Save);
            if world.left.rollbacks > 0 {
                steps.push(Step::Rollback);
            }
            if world.left.reloads > 0 {
                steps.push(Step::Reload);
            }
        }
    }

    fn next_state(&self, world: &World, step: Step) -> Option<World> {
        let mut world = world.clone();
        match step {
            Step::Say(i) => world.instances[i].said += 1,
            Step::Send(i) => {
                let instance = &mut world.instances[i];
                instance.sent += 1;
                let (number, heard) = (instance.sent, instance.heard);
                let before = if number > instance.settled + 1 {
                    number - 1
                } else {
                    0
                };
                instance.commands.push_back(Command::Publish {
                    number,
                    before,
                    heard,
                });
            }
            Step::SendSync(i) => {
                let instance = &mut world.instances[i];
                let again = instance.wants_sync.take()?;
                instance.syncing = true;
                let heard = instance.heard;
                instance.commands.push_back(Command::Sync { heard, again });
            }
            Step::Run(i) => world.run(i),
            Step::Fail(i) => {
                world.left.errors -= 1;
                let instance = &mut world.instances[i];
                if let Some(Command::Publish { number, .. }) = instance.commands.pop_front() {
                    instance.replies.push_back(Reply::Refused { number });
                }
            }
            Step::TakeReply(i) => {
                let reply = world.instances[i].replies.pop_front()?;
                world.instances[i].take_reply(reply);
            }
            Step::TakePush(i) => {
                let (id, message) = world.instances[i].pushes.pop_front()?;
                world.instances[i].take_push(id, message);
            }
            Step::Save => world.redis.saved = world.redis.room.clone(),
            Step::Rollback => {
                world.left.rollbacks -= 1;
                world.redis.node += 1;
                world.redis.room = world.redis.saved.clone();
            }
            Step::Reload => {
                world.left.reloads -= 1;
                world.redis.room = world.redis.saved.clone();
            }
            Step::Disconnect { instance, arrive } => {
                world.left.disconnects -= 1;
                if arrive {
                    while !world.instances[instance].commands.is_empty() {
                        world.run(instance);
                    }
                }
                let instance = &mut world.instances[instance];
                instance.commands.clear();
                instance.replies.clear();
                instance.pushes.clear();
                instance.sent = instance.settled;
                instance.going_back = false;
                instance.syncing = false;
                instance.wants_sync = Some(None);
            }
        }
        Some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(
                "no id is given to two messages",
                |model: &Room1, world: &World| {
                    model.faults.reloads > 0 || world.ids_are_given_once()
                },
            ),
            Property::always(
                "no message is in the log twice",
                |_: &Room1, world: &World| world.is_logged_once(),
            ),
            Property::always(
                "an instance's messages stay in order",
                |_: &Room1, world: &World| world.is_in_order(),
            ),
            Property::always(
                "clients see each message once, in order",
                |model: &Room1, world: &World| world.is_shown_once(model.faults.reloads > 0),
            ),
            Property::always(
                "nothing is skipped in silence",
                |_: &Room1, world: &World| world.skips_nothing(),
            ),
            Property::always(
                "a complete replay is complete",
                |model: &Room1, world: &World| {
                    if model.faults.reloads > 0 {
                        // An id may be given twice here, and until an instance hears it nobody knows.
                        !model.is_quiet(world) || world.no_replay_is_taken_for_complete()
                    } else {
                        world.replays_are_complete()
                    }
                },
            ),
            Property::always(
                "in the end all is answered and shown",
                |model: &Room1, world: &World| !model.is_quiet(world) || world.all_is_shown(),
            ),
        ]
    }
}

impl Room1 {
    /// Whether nothing is left to happen but a fault.
    fn is_quiet(&self, world: &World) -> bool {
        let mut steps = Vec::new();
        self.actions(world, &mut steps);
        let is_fault = |step: &Step| {
            matches!(
                step,
                Step::Save | Step::Rollback | Step::Reload | Step::Disconnect { .. }
            )
        };
        steps.iter().all(is_fault)
    }
}

impl World {
    fn run(&mut self, i: usize) {
        let Some(command) = self.instances[i].commands.pop_front() else {
            return;
        };
        let reply = match command {
            Command::Publish {
                number,
                before,
                heard,
            } => {
                let message = Message { from: i, number };
                let (reply, id) = self.redis.publish(message, before, heard);
                if let Some(id) = id {
                    self.given.push((id, message));
                    for instance in &mut self.instances {
                        instance.pushes.push_back((id, message));
                    }
                }
                reply
            }
            Command::Sync { heard, again } => self.redis.sync(heard, again),
        };
        self.instances[i].replies.push_back(reply);
    }
}
