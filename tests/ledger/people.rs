//! People who talk and listen whatever happens: each a thread that comes back after every broken
//! connection, to whichever instance lets it in, and asks for what it missed.
//!
//! Typed ones come back with their session key and the last id they know, and say again, in order
//! and under the same `ref`, what was neither acknowledged nor refused. What they make of what
//! they hear is written down on their page, and nothing else.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use fastrand::Rng;
use serde_json::{Value, json};

use super::book::{Dialect, Page, Said, Stay};
use super::line::{Line, TIMEOUT};

mod hearing;
mod visitors;

pub use visitors::{come_and_go, speak_without_end};

/// How long a person listens before it looks up.
const GLANCE: Duration = Duration::from_millis(20);
/// How long somebody stays away whose connection was cut.
const AWAY: Duration = Duration::from_secs(2);
/// How many things somebody says with its last breath.
const LAST_WORDS: usize = 5;
/// One message out of so many of a typed one is private.
const PRIVATE: usize = 6;

/// What everybody is asked to do at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Come and listen.
    Listen,
    /// Talk as well.
    Talk,
    /// Bring to an end what was begun.
    Settle,
    /// Go home.
    Over,
}

/// What people know of the world.
pub struct Stage {
    /// Where the instances are.
    pub addrs: Vec<SocketAddr>,
    /// Who gets private messages.
    pub names: Vec<String>,
    pub started: Instant,
    pub phase: Mutex<Phase>,
    /// People talk as fast as they can.
    pub hurry: AtomicBool,
}

/// How a connection is lost.
#[derive(Clone, Copy, Debug)]
pub enum Cut {
    /// It breaks, and the server can see it.
    Broken,
    /// It falls silent: the server believes that it is still there.
    Silent,
}

/// A person from outside.
pub struct Person {
    /// Whether its connection is a bad one, which is cut again and again.
    pub fragile: bool,
    page: Arc<Mutex<Page>>,
    cut: Arc<Mutex<Option<Cut>>>,
    thread: JoinHandle<()>,
}

impl Person {
    /// Comes to all its rooms, and says so many things a second when it is time to talk.
    pub fn start(
        page: Page,
        per_second: u32,
        fragile: bool,
        stage: &Arc<Stage>,
        seed: u64,
    ) -> Person {
        let page = Arc::new(Mutex::new(page));
        let cut = Arc::<Mutex<Option<Cut>>>::default();
        let life = Life {
            page: page.clone(),
            cut: cut.clone(),
            stage: stage.clone(),
            per_second,
            rng: Rng::with_seed(seed),
            session: None,
            visits: HashMap::new(),
            gaps: BTreeSet::new(),
            lost: Vec::new(),
        };
        let thread = thread::spawn(move || life.live());
        Person {
            fragile,
            page,
            cut,
            thread,
        }
    }

    /// What it has written down so far.
    pub fn page(&self) -> MutexGuard<'_, Page> {
        self.page.lock().unwrap()
    }

    /// Loses its connection and stays away for two seconds.
    pub fn cut(&self, how: Cut) {
        *self.cut.lock().unwrap() = Some(how);
    }

    /// Waits until it has gone home.
    pub fn leave(self) -> Page {
        self.thread.join().expect("people do not panic");
        Arc::into_inner(self.page).unwrap().into_inner().unwrap()
    }
}

/// A person from inside.
struct Life {
    page: Arc<Mutex<Page>>,
    cut: Arc<Mutex<Option<Cut>>>,
    stage: Arc<Stage>,
    per_second: u32,
    rng: Rng,
    session: Option<String>,
    /// On this connection: which visit is which room's.
    visits: HashMap<String, usize>,
    /// On this connection, it was told that something is missing of what these people and it said privately.
    gaps: BTreeSet<String>,
    /// Connections that have fallen silent.
    lost: Vec<Line>,
}

impl Life {
    fn live(mut self) {
        while self.phase() != Phase::Over {
            let trouble = match self.arrive() {
                Ok(line) => self.stay(line),
                Err(trouble) => trouble,
            };
            if self.phase() != Phase::Over {
                self.page().leaves(self.now(), trouble);
            }
            // As any client does, so that a server in trouble is not trampled down.
            thread::sleep(Duration::from_millis(self.rng.u64(50..250)));
        }
    }

    fn phase(&self) -> Phase {
        *self.stage.phase.lock().unwrap()
    }

    fn page(&self) -> MutexGuard<'_, Page> {
        self.page.lock().unwrap()
    }

    fn now(&self) -> Duration {
        self.stage.started.elapsed()
    }

    /// Connects to some instance, and enters every room.
    fn arrive(&mut self) -> Result<Line, String> {
        let instance = self.rng.usize(..self.stage.addrs.len());
        let (name, dialect, rooms) = {
            let page = self.page();
            (page.name.clone(), page.dialect, page.rooms.clone())
        };
        let target = match dialect {
            Dialect::Plain => format!("/chat/{name}?room={}", rooms[0]),
            Dialect::Simple => format!("/ws?room={}", rooms[0]),
            Dialect::Typed => "/ws".into(),
        };
        let mut line = Line::connect(&self.stage.addrs, instance, &target)?;
        self.page().stays.push(Stay::default());
        self.visits.clear();
        self.gaps.clear();
        let end = Instant::now() + TIMEOUT;
        match dialect {
            Dialect::Simple => {
                self.enter(&rooms[0], instance, &Value::Null);
                if self.per_second == 0 {
                    self.page().arrives(self.now());
                }
            }
            Dialect::Plain => {
                let first = line.next(end)?.ok_or("no welcome")?;
                if first != format!("Welcome {name}!") {
                    return Err(first);
                }
                self.enter(&rooms[0], instance, &Value::Null);
                self.page().arrives(self.now());
            }
            Dialect::Typed => {
                let read = self.page().read.clone().into_iter();
                let read: BTreeMap<_, _> = read.map(|(with, id)| (with, id.to_string())).collect();
                for room in &rooms {
                    let mut join = json!({"type": "join", "room": room, "user": name});
                    join["private"] = json!(read);
                    if let Some(session) = &self.session {
                        join["session"] = json!(session);
                    }
                    if let Some(last) = self.page().last(room) {
                        join["since"] = json!(last.to_string());
                    }
                    line.say(&join.to_string())?;
                }
                while self.visits.len() < rooms.len() {
                    let heard = line.next(end)?.ok_or("not joined")?;
                    self.hear(&heard, instance)?;
                }
                self.page().arrives(self.now());
                self.repeat(&mut line)?;
            }
        }
        Ok(line)
    }

    /// Says again what may have been lost.
    fn repeat(&self, line: &mut Line) -> Result<(), String> {
        let mut page = self.page();
        let open = page.said.iter_mut().filter(|said| !said.settled());
        for said in open {
            said.copies += 1;
            line.say(&chat(said))?;
        }
        Ok(())
    }

    /// Listens and talks until the connection ends, and says why.
    fn stay(&mut self, mut line: Line) -> String {
        let mut next = Instant::now();
        loop {
            let phase = self.phase();
            let here = self.page().here;
            if phase == Phase::Over {
                return "it is over".into();
            }
            let cut = self.cut.lock().unwrap().take();
            if let Some(how) = cut {
                // In mid-sentence, so that it can't know what became of its last words.
                for _ in 0..LAST_WORDS {
                    if self.per_second > 0 && phase == Phase::Talk && self.talk(&mut line).is_err()
                    {
                        break;
                    }
                }
                // Before others can know.
                self.page().leaves(self.now(), "cut".into());
                match how {
                    Cut::Broken => drop(line),
                    Cut::Silent => self.lost.push(line),
                }
                thread::sleep(AWAY);
                return "cut".into();
            }
            // In the simple dialect one has a name only once one has said something.
            if self.per_second > 0 && (phase == Phase::Talk || !here) && next <= Instant::now() {
                let mut pause = 2.0 * self.rng.f32() / self.per_second as f32;
                if self.stage.hurry.load(Ordering::Relaxed) {
                    pause = 0.0;
                }
                next = Instant::now() + Duration::from_secs_f32(pause.max(0.02));
                if let Err(trouble) = self.talk(&mut line) {
                    return trouble;
                }
            }
            let heard = match line.next(Instant::now() + GLANCE) {
                Ok(Some(text)) => self.hear(&text, line.instance),
                Ok(None) => Ok(()),
                Err(trouble) => Err(trouble),
            };
            if let Err(trouble) = heard {
                return trouble;
            }
        }
    }

    /// Says something new.
    fn talk(&mut self, line: &mut Line) -> Result<(), String> {
        let at = self.now();
        let rng = &mut self.rng;
        let mut page = self.page.lock().unwrap();
        let mut room = rng.choice(&page.rooms).expect("it is somewhere").clone();
        if page.dialect == Dialect::Typed && rng.usize(..PRIVATE) == 0 {
            let others = self.stage.names.iter().filter(|name| **name != page.name);
            let others: Vec<&String> = others.collect();
            room = format!("@{}", rng.choice(others).expect("it is not alone"));
        }
        let reference = format!("{}/{}", page.name, page.said.len() + 1);
        let said = Said {
            text: format!("{reference} in {room}"),
            room,
            reference,
            at,
            stay: page.stays.len() - 1,
            copies: 1,
            answers: Vec::new(),
            acks: Vec::new(),
            refused: None,
            put_off: false,
        };
        let frame = match page.dialect {
            Dialect::Plain => said.text.clone(),
            Dialect::Simple => json!({"username": page.name, "message": said.text}).to_string(),
            Dialect::Typed => chat(&said),
        };
        // Written down first: who knows what becomes of it.
        page.said.push(said);
        drop(page);
        line.say(&frame)
    }
}

fn chat(said: &Said) -> String {
    let (place, name) = match said.recipient() {
        Some(name) => ("to", name),
        None => ("room", said.room.as_str()),
    };
    json!({"type": "chat", place: name, "text": said.text, "ref": said.reference}).to_string()
}
