//! A small world: three instances as processes of their own behind one Redis or a cluster, or one that
//! is alone, and a dozen people in three rooms.

mod disk;
mod instances;
mod losses;
mod private_messages;
mod rosters;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use fastrand::Rng;
use serde_json::{Value, json};

use super::book::{Book, Damaged, Dialect, Loss, Page, Said};
use super::faults::Step;
use super::home::Home;
use super::people::{Person, Phase, Stage, come_and_go, speak_without_end};
use crate::support::{Client, Program, Redis, Saved, free_port};
use instances::log;
use losses::Losing;

/// An instance that is out of reach for longer may be taken for dead: its lease has not changed for nine
/// seconds then, since it renews it every three.
const LEASE: Duration = Duration::from_secs(6);

/// How many instances there are behind a Redis.
pub const INSTANCES: usize = 3;
/// How long it may take until all is well again.
const MENDED: Duration = Duration::from_secs(30);

/// Where everybody is.
pub const ROOMS: [&str; 3] = ["attic", "cellar", "lobby"];

/// Who there is: name, dialect, rooms, messages a second, and whether its connection is bad.
type Sketch = (&'static str, Dialect, &'static [&'static str], u32, bool);

const PEOPLE: [Sketch; 12] = [
    ("ann", Dialect::Typed, &["attic", "cellar"], 8, false),
    ("bea", Dialect::Typed, &["attic"], 8, true),
    ("cem", Dialect::Typed, &["cellar", "lobby"], 8, false),
    ("dan", Dialect::Typed, &["lobby"], 12, false),
    ("eva", Dialect::Typed, &["attic", "lobby"], 8, true),
    (
        "fay",
        Dialect::Typed,
        &["attic", "cellar", "lobby"],
        0,
        false,
    ),
    ("gus", Dialect::Typed, &["attic"], 0, true),
    ("hal", Dialect::Typed, &["cellar", "lobby"], 0, true),
    ("ida", Dialect::Plain, &["attic"], 5, false),
    ("jon", Dialect::Plain, &["lobby"], 0, false),
    ("kim", Dialect::Simple, &["cellar"], 5, false),
    ("leo", Dialect::Simple, &["lobby"], 0, false),
];

/// Where everything happens.
pub struct World {
    pub home: Home,
    pub instances: Vec<Program>,
    pub people: Vec<Person>,
    visitors: Vec<JoinHandle<()>>,
    pub stage: Arc<Stage>,
    /// Says the first and the last word in every room.
    steward: Page,
    losses: Vec<Loss>,
    /// What is about to be lost, if something is.
    losing: Option<Losing>,
    /// To what Redis is about to go back.
    pub saved: Option<Saved>,
    /// What is about to take the place of Redis.
    pub replica: Option<Redis>,
    /// When Redis refused commands.
    pub refusals: Vec<(Duration, Duration)>,
    /// When an instance was out of reach for long.
    cut_off: Vec<(Duration, Duration)>,
    /// What has been damaged in the files of a lone server.
    damaged: Vec<Damaged>,
    /// When a lone server has ended.
    ends: Vec<Duration>,
    /// How often a room may begin a new epoch.
    turns: usize,
    /// The node that something is wrong with now.
    pub struck: Option<usize>,
    /// What happened, and when.
    chronicle: Vec<String>,
    wrong: Vec<String>,
    logs: Vec<String>,
}

impl World {
    /// Everybody is there, and everybody talks.
    pub fn begin(home: Home, rng: &mut Rng) -> World {
        let addrs: Vec<SocketAddr> = (0..home.instances())
            .map(|_| ([127, 0, 0, 1], free_port()).into())
            .collect();
        let instances = addrs.iter().enumerate();
        let instances = instances.map(|(i, addr)| home.start(i, *addr)).collect();
        let stage = Arc::new(Stage {
            addrs,
            names: rosters::names(None).into_iter().collect(),
            started: Instant::now(),
            phase: Mutex::new(Phase::Listen),
            hurry: AtomicBool::new(false),
        });
        let mut world = World {
            home,
            instances,
            people: Vec::new(),
            visitors: Vec::new(),
            stage,
            steward: Page::new("steward", Dialect::Typed, &[]),
            losses: Vec::new(),
            losing: None,
            saved: None,
            replica: None,
            refusals: Vec::new(),
            cut_off: Vec::new(),
            damaged: Vec::new(),
            ends: Vec::new(),
            turns: 0,
            struck: None,
            chronicle: Vec::new(),
            wrong: Vec::new(),
            logs: Vec::new(),
        };
        world.until("every instance is ready", World::ready);
        // The typed ones first: what is said before them has no number that anybody knows.
        for typed in [true, false] {
            for (name, dialect, rooms, per_second, fragile) in PEOPLE {
                if typed == (dialect == Dialect::Typed) {
                    let page = Page::new(name, dialect, rooms);
                    let stage = &world.stage;
                    let person = Person::start(page, per_second, fragile, stage, rng.u64(..));
                    world.people.push(person);
                }
            }
            world.until("everybody is there", World::all_here);
        }
        for name in ["vic", "val"] {
            let visitors = come_and_go(name, &world.stage, rng.u64(..));
            world.visitors.push(visitors);
        }
        if let Home::Alone(_) = world.home {
            world.visitors.push(speak_without_end("moe", &world.stage));
        }
        // Now everybody knows an id to come back with.
        world.say_everywhere();
        world.phase(Phase::Talk);
        world
    }

    /// Lives through these faults, one step after the other.
    pub fn suffer(&mut self, steps: &[Step]) {
        for step in steps {
            thread::sleep(step.pause);
            let (begun, now) = (Instant::now(), self.now());
            let mut moments = Vec::new();
            for one in &step.incidents {
                if one.lasts > LEASE {
                    let (from, to) = (now + one.after, now + one.after + one.lasts);
                    self.cut_off.push((from + LEASE, to));
                }
                moments.push((one.after, true, one.fault));
                moments.push((one.after + one.lasts, false, one.fault));
            }
            moments.sort_by_key(|(at, ..)| *at);
            for (at, begins, fault) in moments {
                thread::sleep(at.saturating_sub(begun.elapsed()));
                self.note(&format!(
                    "{fault:?} {}",
                    if begins { "begins" } else { "ends" }
                ));
                self.turns += usize::from(fault.turns());
                match begins {
                    true => fault.begin(self),
                    false => fault.end(self),
                }
            }
        }
    }

    /// Waits until all is well, and everybody has heard the last word. Returns the ledger, and what
    /// was wrong besides.
    pub fn end(&mut self) -> (Book, Vec<String>) {
        self.note("no more faults");
        self.until("every instance is ready", World::ready);
        self.phase(Phase::Settle);
        for visitors in self.visitors.drain(..) {
            visitors.join().expect("visitors do not panic");
        }
        self.until("everybody is there", World::all_here);
        self.until("every message is settled", |world| {
            let count = |person: &Person| person.page().unsettled().count();
            match world.people.iter().map(count).sum() {
                0 => Ok(()),
                count => Err(format!("{count} are not")),
            }
        });
        self.rosters();
        self.say_everywhere();
        self.private_messages();
        self.phase(Phase::Over);
        let people = std::mem::take(&mut self.people);
        let mut pages: Vec<Page> = people.into_iter().map(Person::leave).collect();
        pages.push(self.steward.clone());
        let book = Book {
            pages,
            losses: std::mem::take(&mut self.losses),
            refusals: std::mem::take(&mut self.refusals),
            cut_off: std::mem::take(&mut self.cut_off),
            damaged: std::mem::take(&mut self.damaged),
            turns: self.turns,
        };
        (book, std::mem::take(&mut self.wrong))
    }

    /// Sends a command to Redis.
    pub fn command_all(&mut self, command: &[&str]) {
        self.home.command_all(command);
    }

    /// What happened, and what the instances logged of it.
    pub fn story(&mut self) -> (Vec<String>, Vec<String>) {
        for (instance, program) in self.instances.iter_mut().enumerate() {
            self.logs.extend(log(instance, program));
        }
        let story = (&mut self.chronicle, &mut self.logs);
        (std::mem::take(story.0), std::mem::take(story.1))
    }

    /// Since the beginning.
    pub fn now(&self) -> Duration {
        self.stage.started.elapsed()
    }

    fn phase(&self, phase: Phase) {
        *self.stage.phase.lock().unwrap() = phase;
    }

    fn note(&mut self, what: &str) {
        let at = self.now();
        self.chronicle
            .push(format!("{:6.2} s {what}", at.as_secs_f32()));
    }

    /// Waits for what must come; when it does not, that is a violation like others.
    fn until(&mut self, what: &str, mut look: impl FnMut(&World) -> Result<(), String>) {
        let end = Instant::now() + MENDED;
        while let Err(why) = look(self) {
            if Instant::now() > end {
                let at = self.now();
                return self
                    .wrong
                    .push(format!("{what}: not within {MENDED:?}, by {at:.2?}: {why}"));
            }
            thread::sleep(Duration::from_millis(20));
        }
        self.note(what);
    }

    fn ready(&self) -> Result<(), String> {
        for (instance, addr) in self.stage.addrs.iter().enumerate() {
            let answer = readyz(*addr).unwrap_or_else(|error| error.to_string());
            if !answer.starts_with("HTTP/1.1 200") {
                return Err(format!("instance {instance}: {answer:?}"));
            }
        }
        Ok(())
    }

    fn all_here(&self) -> Result<(), String> {
        for person in &self.people {
            let page = person.page();
            if !page.here {
                return Err(format!("{}: {}", page.name, page.trouble));
            }
        }
        Ok(())
    }

    fn admit(&self, name: &str, instance: usize) -> Client {
        let addr = self.stage.addrs[instance];
        let mut client = Client::connect(addr, &format!("/ws?user={name}&session={name}"));
        client.gets(json!({"type": "welcome"}));
        client
    }

    /// Says a word in every room, and waits until everybody has heard it.
    fn say_everywhere(&mut self) {
        let count = self.steward.said.len();
        let instance = count % self.instances.len();
        let mut steward = self.admit(&format!("steward-{count}"), instance);
        for room in ROOMS {
            let reference = format!("steward/{}", self.steward.said.len());
            let text = format!("{reference} in {room}");
            steward.put(json!({"type": "join", "room": room}));
            steward.gets_at_last(json!({"type": "joined", "room": room}));
            steward.put(json!({"type": "chat", "room": room, "text": text, "ref": reference}));
            let ack: Value = steward.gets_at_last(json!({"type": "ack", "ref": reference}));
            let id = ack["id"].as_str().unwrap().parse().unwrap();
            let at = self.now();
            self.steward.said.push(Said {
                room: room.into(),
                reference,
                text,
                at,
                stay: 0,
                copies: 1,
                answers: vec![(0, at)],
                acks: vec![id],
                refused: None,
                put_off: false,
            });
        }
        steward.leave();
        let words: Vec<Said> = self.steward.said[count..].to_vec();
        self.until("everybody has heard the steward", |world| {
            for person in &world.people {
                let page = person.page();
                for word in words.iter().filter(|word| page.rooms.contains(&word.room)) {
                    if !page
                        .hearings(&word.room)
                        .any(|heard| heard.text == word.text)
                    {
                        return Err(format!("{} has not heard {:?}", page.name, word.text));
                    }
                }
            }
            Ok(())
        });
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // Otherwise they would try to connect to stopped servers until the tests end.
        self.phase(Phase::Over);
        if thread::panicking() && !self.chronicle.is_empty() {
            let (chronicle, logs) = self.story();
            eprintln!("{chronicle:#?}{logs:#?}");
        }
    }
}

fn readyz(addr: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(addr)?;
    stream.set_read_timeout(Some(MENDED))?;
    stream.write_all(format!("GET /readyz HTTP/1.1\r\nHost: {addr}\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
