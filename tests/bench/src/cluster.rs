//! What a cluster is good for: many rooms through three primaries, beside one Redis.

use std::io::{Read, Write};
use std::net::{SocketAddrV4, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::counts::Shape;
use crate::measure::{Fan, Heard, Pace, SIZE};
use crate::plan::Plan;
use crate::subject::{Setting, Subject, free_address};
use crate::table::{Goal, Table};
use crate::threads::{disturbance, line};

/// Small rooms that talk all at once.
const ROOMS: usize = 500;
/// The primaries' slots.
const SLOTS: [&str; 3] = ["0 5460", "5461 10922", "10923 16383"];

/// What a line shows of a run.
type Figure = fn(&Heard) -> f64;

/// Lines of the table.
pub fn rows(plan: &Plan, table: &mut Table) -> Result<f64, String> {
    table.section([
        "500 rooms of 2 who talk, through Redis on the same core",
        "three primaries",
        "one",
    ]);
    let fan = Fan {
        shape: Shape {
            rooms: ROOMS,
            peers: 2,
            authors: 2,
        },
        size: SIZE,
        pace: Pace::InFlight(1),
        time: plan.time,
    };
    let through = |redis| {
        let setting = Setting {
            redis,
            ..Setting::default()
        };
        plan.heard(|| plan.natterjack_as(setting), &fan)
    };
    let runs = plan.pairs("a cluster", || through(3), || through(1))?;
    let figures: [(&str, Figure, &str, Goal); 4] = [
        ("deliveries", |heard| heard.rate / 1e6, "M/s", Goal::None),
        ("  CPU each", |heard| heard.cpu, "us", Goal::None),
        (
            "  CPU of all Redis for each message",
            |heard| heard.redis,
            "us",
            Goal::None,
        ),
        (
            "  of the busiest",
            |heard| heard.busiest,
            "us",
            Goal::Most(0.6, "0.6 x"),
        ),
    ];
    for (name, figure, unit, goal) in figures {
        line(table, name, &runs, figure, unit, goal);
    }
    Ok(disturbance(&runs, |heard| heard.others))
}

/// Starts three primaries that know each other. Returns where one of them is.
pub fn start(subject: &mut Subject, cores: &[usize]) -> Result<SocketAddrV4, String> {
    let mut nodes = Vec::new();
    for slots in SLOTS {
        let (at, bus) = (free_address()?, free_address()?);
        let folder = subject.folder(at.port())?;
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
        command.args(["--port", &at.port().to_string(), "--cluster-enabled", "yes"]);
        command.args(["--cluster-port", &bus.port().to_string(), "--dir"]);
        command.arg(folder).stdout(Stdio::null());
        subject.start(&mut command, cores)?;
        subject.await_answer(at, "PING\r\n", "+PONG")?;
        ask(at, &format!("CLUSTER ADDSLOTSRANGE {slots}"))?;
        nodes.push((at, bus));
    }
    for (at, bus) in &nodes[1..] {
        let (port, bus) = (at.port(), bus.port());
        ask(nodes[0].0, &format!("CLUSTER MEET 127.0.0.1 {port} {bus}"))?;
    }
    let deadline = Instant::now() + Duration::from_secs(20);
    for (at, _) in &nodes {
        while !ask(*at, "CLUSTER INFO")?.contains("cluster_state:ok") {
            if Instant::now() > deadline {
                return Err("the cluster does not come up".to_owned());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    Ok(nodes[0].0)
}

/// Asks a Redis something and returns all that it answers.
fn ask(at: SocketAddrV4, command: &str) -> Result<String, String> {
    let mut answer = String::new();
    let mut asked = || -> std::io::Result<()> {
        let mut socket = TcpStream::connect(at)?;
        write!(socket, "{command}\r\nQUIT\r\n")?;
        socket.read_to_string(&mut answer)?;
        Ok(())
    };
    asked().map_err(|error| format!("redis {at}: {error}"))?;
    match answer.strip_prefix('-') {
        Some(error) => Err(format!("redis {at}: {error}")),
        None => Ok(answer),
    }
}
