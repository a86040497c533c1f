//! Private messages between two, one in flight, beside messages of the same two in a room.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::client::{open, until};
use crate::plan::Plan;
use crate::proc::{self, Others};
use crate::subject::Subject;
use crate::table::{Goal, Table, median};
use crate::wire;

const KEY: [u8; 4] = [1, 2, 3, 4];
/// Before it is measured, so many messages go.
const WARM: usize = 200;

/// What one message costs.
#[derive(Clone, Copy)]
struct Cost {
    /// CPU of the server, µs.
    server: f64,
    /// CPU of Redis, µs.
    redis: f64,
    others: f64,
}

/// Starts a server.
type Start<'a> = &'a dyn Fn() -> Result<Subject, String>;

/// Alone and through Redis. The column of the limit has the messages of a room.
pub fn rows(plan: &Plan, table: &mut Table) -> Result<f64, String> {
    let alone = || plan.natterjack();
    let redis = || plan.with_redis();
    let mut worst = 0.0_f64;
    let starts: [(&str, Start<'_>, Goal); 2] = [
        ("alone", &alone, Goal::Most(20.0, "20 us")),
        ("with Redis", &redis, Goal::Most(40.0, "40 us")),
    ];
    for (name, start, goal) in starts {
        let runs = plan.pairs(
            &format!("private messages, {name}"),
            || cost(&start()?, r#""to":"bob""#, plan.time),
            || cost(&start()?, r#""room":"pair""#, plan.time),
        )?;
        let us = |figure: f64| format!("{figure:.1} us");
        let ratio = median(&runs, |(private, room)| private.server / room.server);
        let ours = median(&runs, |run| run.0.server);
        let cells = [
            us(ours),
            us(median(&runs, |run| run.1.server)),
            format!("{ratio:.2} x"),
        ];
        let work = format!("private message, one in flight, {name}, beside a room of two: CPU");
        table.goal(&work, cells, ours, goal);
        let redis = median(&runs, |run| run.0.redis);
        if redis > 0.0 {
            let ratio = median(&runs, |(private, room)| private.redis / room.redis);
            let cells = [
                us(redis),
                us(median(&runs, |run| run.1.redis)),
                format!("{ratio:.2} x"),
            ];
            let goal = Goal::Most(20.0, "20 us");
            table.goal("  Redis CPU", cells, redis, goal);
        }
        let others = runs.iter().map(|(ours, room)| ours.others.max(room.others));
        worst = others.fold(worst, f64::max);
    }
    Ok(worst)
}

/// One after the other, each when the one before it was heard.
fn cost(subject: &Subject, to: &str, time: Duration) -> Result<Cost, String> {
    let talk = || -> std::io::Result<Cost> {
        let [mut ann, mut bob] = ["ann", "bob"].map(|user| join(subject, user));
        let (ann, bob) = (ann.as_mut(), bob.as_mut());
        let (Ok(ann), Ok(bob)) = (ann, bob) else {
            return Err(std::io::ErrorKind::NotConnected.into());
        };
        // A number of its own ends each, so that none is taken for another.
        let mut said = 0;
        let mut say = |ann: &mut TcpStream, bob: &mut TcpStream| {
            said += 1;
            let text = format!(r#"{{"type":"chat",{to},"text":"message-{said}."}}"#);
            let mut frame = Vec::new();
            wire::put_masked(&mut frame, 0x81, text.as_bytes(), KEY);
            ann.write_all(&frame)?;
            let heard = format!("message-{said}.");
            until(bob, heard.as_bytes())?;
            // Its copy, so that the socket does not fill.
            until(ann, heard.as_bytes())
        };
        for _ in 0..WARM {
            say(ann, bob)?;
        }
        let pids = subject.pids();
        let used = || {
            pids.iter()
                .map(|pid| proc::used(*pid).cpu)
                .collect::<Vec<_>>()
        };
        let (began, before, watch) = (Instant::now(), used(), Others::than(&pids));
        let mut count = 0.0;
        while began.elapsed() < time {
            say(ann, bob)?;
            count += 1.0;
        }
        let each: Vec<f64> = used()
            .iter()
            .zip(before)
            .map(|(after, before)| (*after - before).as_secs_f64() * 1e6 / count)
            .collect();
        Ok(Cost {
            server: each[0],
            redis: each.get(1).copied().unwrap_or_default(),
            others: watch.percent(),
        })
    };
    talk().map_err(|error| format!("private messages: {error}"))
}

fn join(subject: &Subject, user: &str) -> std::io::Result<TcpStream> {
    let target = format!("/ws?user={user}&room=pair");
    let mut peer = open(subject.address, &target)?;
    peer.set_read_timeout(Some(Duration::from_secs(30)))?;
    until(&mut peer, b"\"joined\"")?;
    Ok(peer)
}
