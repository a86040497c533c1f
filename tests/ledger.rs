//! The delivery ledger: a dozen people in three rooms talk through three instances, or a lone server,
//! everything that can go wrong does, and afterwards the books must balance: what was acknowledged was heard
//! by everybody exactly once and in order, what was refused by nobody, and nobody is on a roster
//! who is not there.
//!
//! What goes wrong, and when, comes from a seed. `make soak` tries one seed after another.

mod audit;
mod book;
mod disk;
mod faults;
mod home;
mod line;
mod people;
mod planted;
mod world;

use std::fmt::Write;
use std::time::{Duration, Instant};

use fastrand::Rng;

use book::Book;
use faults::Step;
use home::Home;
use world::World;

/// How long things go wrong under one seed of a soak.
const SOAK: Duration = Duration::from_secs(45);

#[test]
fn on_a_calm_day_everybody_hears_everything_once() {
    let quiet = Step {
        pause: Duration::from_secs(2),
        incidents: Vec::new(),
    };
    println!("{}", live(1, Home::one(), |_| vec![quiet]));
}

#[test]
fn faults_neither_lose_nor_repeat_acknowledged_messages() {
    let each = |rng: &mut Rng| faults::each_once(&faults::ONE_REDIS, rng);
    println!("{}", live(1, Home::one(), each));
}

#[test]
fn cluster_faults_neither_lose_nor_repeat_acknowledged_messages() {
    let each = |rng: &mut Rng| faults::each_once(&faults::CLUSTER, rng);
    println!("{}", live(1, Home::cluster(), each));
}

#[test]
fn failover_by_sentinels_neither_loses_nor_repeats_acknowledged_messages() {
    let each = |rng: &mut Rng| faults::each_once(&faults::WATCHED, rng);
    println!("{}", live(1, Home::watched(), each));
}

#[test]
fn a_lone_server_neither_loses_nor_repeats_acknowledged_messages() {
    let each = |rng: &mut Rng| faults::each_once(&faults::ALONE, rng);
    println!("{}", live(1, Home::alone(), each));
}

/// `MINUTES=10 SEED=7` tries seeds from 7 on for ten minutes, `SEEDS=3` exactly three of them;
/// `CLUSTER=1` with a cluster instead of one Redis, `SENTINEL=1` with sentinels, `ALONE=1` with one
/// server and its disk.
#[test]
#[ignore = "takes as long as one likes: make soak"]
fn a_soak_over_many_seeds_loses_and_repeats_nothing() {
    let number = |name: &str| -> Option<u64> { std::env::var(name).ok()?.parse().ok() };
    let first = number("SEED").unwrap_or(1);
    let end = Instant::now() + Duration::from_secs(60 * number("MINUTES").unwrap_or(10));
    for seed in first.. {
        let enough = match number("SEEDS") {
            Some(seeds) => seed - first >= seeds,
            None => Instant::now() >= end,
        };
        if enough {
            break;
        }
        let is_set = |name| number(name) == Some(1);
        let (home, kinds) = match () {
            () if is_set("CLUSTER") => (Home::cluster(), &faults::CLUSTER[..]),
            () if is_set("SENTINEL") => (Home::watched(), &faults::WATCHED[..]),
            () if is_set("ALONE") => (Home::alone(), &faults::ALONE[..]),
            () => (Home::one(), &faults::ONE_REDIS[..]),
        };
        let random = |rng: &mut Rng| faults::at_random(kinds, rng, SOAK);
        println!("{}", live(seed, home, random));
    }
}

/// One world from its beginning to its audit; returns its sum.
#[track_caller]
fn live(seed: u64, home: Home, plan: impl FnOnce(&mut Rng) -> Vec<Step>) -> String {
    let mut rng = Rng::with_seed(seed);
    let steps = plan(&mut rng);
    let mut world = World::begin(home, &mut rng);
    world.suffer(&steps);
    let (book, mut wrong) = world.end();
    wrong.extend(audit::audit(&book));
    let sum = format!("seed {seed}: {}", sum(&steps, &book));
    if !wrong.is_empty() {
        let (chronicle, logs) = world.story();
        panic!("{}", report(&sum, &chronicle, &logs, &wrong));
    }
    sum
}

fn sum(steps: &[Step], book: &Book) -> String {
    let faults: usize = steps.iter().map(|step| step.incidents.len()).sum();
    let said = || book.pages.iter().flat_map(|page| &page.said);
    let visits = book.pages.iter().flat_map(|page| &page.visits);
    let connections = book.pages.iter().map(|page| page.stays.len());
    let again = connections.map(|count| count.saturating_sub(1));
    format!(
        "{faults} faults, {} messages, {} said again, {} acknowledged, {} refused, {} heard, \
         {} reconnects",
        said().count(),
        said().filter(|said| said.copies > 1).count(),
        said().filter(|said| !said.acks.is_empty()).count(),
        said().filter(|said| said.refused.is_some()).count(),
        visits.map(|visit| visit.heard.len()).sum::<usize>(),
        again.sum::<usize>(),
    )
}

/// As much as one needs to understand what went wrong, and no more than one can read.
fn report(sum: &str, chronicle: &[String], logs: &[String], wrong: &[String]) -> String {
    let mut text = format!("{sum}\n");
    for line in chronicle {
        let _ = writeln!(text, "{line}");
    }
    let from = logs.len().saturating_sub(60);
    for line in &logs[from..] {
        let _ = writeln!(text, "{line}");
    }
    for line in wrong.iter().take(40) {
        let _ = writeln!(text, "* {line}");
    }
    let _ = writeln!(text, "{} violations; {sum}", wrong.len());
    text
}
