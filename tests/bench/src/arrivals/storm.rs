//! Many people who come in one moment: for the first time, or back to what they missed. A bystander
//! tells what that does to the rest of the chat.

use std::io::{Read, Write};
use std::net::{SocketAddrV4, TcpStream};
use std::time::{Duration, Instant};

use crate::bystander::{Bystander, Waits};
use crate::counts::{Shape, Wrong};
use crate::crowd::Crowd;
use crate::measure::SIZE;
use crate::proc::{self, Others};
use crate::subject::Subject;

/// They connect so many at a time, as fast as that goes.
const AT_A_TIME: usize = 50;
/// Somebody who stays says something so often.
const EVERY: Duration = Duration::from_millis(100);
/// So long those who were cut off stay away.
const AWAY: Duration = Duration::from_secs(1);
/// Who is refused comes again after that time.
const RETRY: Duration = Duration::from_secs(1);
/// All of it has to be over by then.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Figures of one storm.
#[derive(Clone, Copy)]
pub struct Storm {
    /// Milliseconds until the last one was in and had heard what it missed.
    pub took: f64,
    /// CPU of the server for each, µs; of all messages that were said meanwhile, too.
    pub cpu: f64,
    /// CPU of Redis for each, µs.
    pub redis: f64,
    /// Connections that the kernel dropped, to be tried again.
    pub dropped: f64,
    /// How often somebody was refused and came again.
    pub again: f64,
    /// What bystanders noticed.
    pub waits: Waits,
    /// What went wrong.
    pub wrong: Wrong,
    /// CPU that others used meanwhile, percent of a core.
    pub others: f64,
}

/// Everybody joins the lobby.
pub fn at_once(subject: &Subject, people: usize) -> Result<Storm, String> {
    let mut crowd = Crowd::new(subject, Shape::lobby(people, 1), SIZE, false)?;
    let bystander = Bystander::of(subject)?;
    storm(subject, &mut crowd, bystander, &mut Flow::none(), None)
}

/// All but one are cut off, and come back while that one talks.
pub fn back(subject: &Subject, people: usize) -> Result<Storm, String> {
    let mut crowd = Crowd::new(subject, Shape::lobby(people, 1), SIZE, false)?;
    let since = gather(subject, &mut crowd)?;
    let bystander = Bystander::of(subject)?;
    crowd.cut(1);
    let mut flow = Flow::begin();
    flow.go_on(&mut crowd, AWAY)?;
    storm(subject, &mut crowd, bystander, &mut flow, Some(&since))
}

/// The server is stopped and started again, and all come back, first the one who talks.
pub fn back_after_restart(
    subject: &mut Subject,
    people: usize,
    cores: &[usize],
) -> Result<Storm, String> {
    let mut crowd = Crowd::new(subject, Shape::lobby(people, 1), SIZE, false)?;
    let since = gather(subject, &mut crowd)?;
    subject.stop()?;
    crowd.cut(0);
    subject.start_again(cores)?;
    let bystander = Bystander::of(subject)?;
    come(&mut crowd, 0, Some(&since))?;
    let began = Instant::now();
    while crowd.open == 0 {
        turn(&mut crowd, began)?;
    }
    let mut flow = Flow::begin();
    flow.go_on(&mut crowd, AWAY)?;
    storm(subject, &mut crowd, bystander, &mut flow, Some(&since))
}

/// What somebody says at times, if anybody does.
struct Flow {
    due: Option<Instant>,
}

impl Flow {
    fn none() -> Self {
        Self { due: None }
    }

    fn begin() -> Self {
        Self {
            due: Some(Instant::now()),
        }
    }

    /// Says what is due.
    fn say(&mut self, crowd: &mut Crowd) -> Result<(), String> {
        while let Some(due) = self.due.filter(|due| *due <= Instant::now()) {
            crowd.say(0, due)?;
            crowd.flush_author(0)?;
            self.due = Some(due + EVERY);
        }
        Ok(())
    }

    fn go_on(&mut self, crowd: &mut Crowd, time: Duration) -> Result<(), String> {
        let until = Instant::now() + time;
        while Instant::now() < until {
            self.say(crowd)?;
            crowd.turn(Duration::from_millis(10))?;
        }
        Ok(())
    }
}

/// Has everybody join at a calm pace and hear something. Returns the id of the last message.
fn gather(subject: &Subject, crowd: &mut Crowd) -> Result<String, String> {
    for place in 0..crowd.places() {
        let began = Instant::now();
        come(crowd, place, Some(""))?;
        while crowd.joining >= AT_A_TIME {
            turn(crowd, began)?;
        }
    }
    let began = Instant::now();
    while crowd.open < crowd.places() {
        turn(crowd, began)?;
    }
    crowd.say(0, Instant::now())?;
    crowd.flush_author(0)?;
    while !crowd.counts.settled() {
        turn(crowd, began)?;
    }
    last_id(subject.address).map_err(|error| format!("the last message's id: {error}"))
}

/// Begins the connection of one person. Who is to come back has a key to the name, and the id of what was
/// heard last.
fn come(crowd: &mut Crowd, place: usize, since: Option<&str>) -> Result<(), String> {
    let mut query = String::new();
    if let Some(since) = since {
        query = format!("&session=key-{place:05}");
        if !since.is_empty() {
            query += &format!("&since={since}");
        }
    }
    crowd.connect(place, &format!("person-{place:05}"), &query)
}

/// Everybody who is not there comes.
fn storm(
    subject: &Subject,
    crowd: &mut Crowd,
    bystander: Bystander,
    flow: &mut Flow,
    since: Option<&str>,
) -> Result<Storm, String> {
    let pids = subject.pids();
    let used = || -> Vec<_> { pids.iter().map(|pid| proc::used(*pid).cpu).collect() };
    let (before, dropped, others) = (used(), proc::dropped_syns(), Others::than(&pids));
    let (began, first) = (Instant::now(), crowd.open);
    crowd.refused = Some(Vec::new());
    for place in first..crowd.places() {
        come(crowd, place, since)?;
        // Each of them speaks as soon as it is connected: they are no flood that says nothing.
        if place % AT_A_TIME == 0 {
            flow.say(crowd)?;
            crowd.turn(Duration::ZERO)?;
        }
    }
    let (mut refused, mut again) = (Vec::new(), 0);
    while crowd.open < crowd.places() {
        flow.say(crowd)?;
        turn(crowd, began)?;
        let now = Instant::now();
        let more = crowd.refused.as_mut().map(std::mem::take);
        refused.extend(more.into_iter().flatten().map(|place| (now, place)));
        for (_, place) in refused.extract_if(.., |(at, _)| now - *at >= RETRY) {
            again += 1;
            come(crowd, place, since)?;
        }
    }
    while !crowd.counts.settled() {
        turn(crowd, began)?;
    }
    let took = began.elapsed().as_secs_f64() * 1e3;
    let people = (crowd.places() - first) as f64;
    let each: Vec<f64> = used()
        .iter()
        .zip(before)
        .map(|(after, before)| (*after - before).as_secs_f64() * 1e6 / people)
        .collect();
    let (others, dropped) = (others.percent(), proc::dropped_syns() - dropped);
    let waits = bystander.waits()?;
    Ok(Storm {
        took,
        cpu: each[0],
        redis: each[1..].iter().sum(),
        dropped: dropped as f64,
        again: f64::from(again),
        waits,
        wrong: crowd.counts.wrong(),
        others,
    })
}

/// Hears what comes, as long as there is time.
fn turn(crowd: &mut Crowd, began: Instant) -> Result<(), String> {
    crowd.turn(Duration::from_millis(10))?;
    let (open, all) = (crowd.open, crowd.places());
    match began.elapsed() < TIMEOUT {
        true => Ok(()),
        false => Err(format!("{open} of {all} are in after {TIMEOUT:?}")),
    }
}

/// The id of the lobby's last message.
fn last_id(address: SocketAddrV4) -> std::io::Result<String> {
    let mut socket = TcpStream::connect(address)?;
    socket.set_read_timeout(Some(TIMEOUT))?;
    let get = "GET /rooms/lobby?limit=1 HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n";
    socket.write_all(get.as_bytes())?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer)?;
    let id = answer
        .split_once(r#""last":""#)
        .and_then(|(_, rest)| rest.split_once('"'));
    id.map(|(id, _)| id.to_owned())
        .ok_or_else(|| std::io::Error::other(answer))
}
