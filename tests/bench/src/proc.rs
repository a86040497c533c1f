//! What the kernel says of processes: CPU time, wake-ups, memory; and which cores they may use.
//! What can't be read counts as zero: a process that is gone shows in the measurement itself.

use std::fs;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// What a process has used since it began.
#[derive(Clone, Copy, Default)]
pub struct Used {
    /// CPU time of all its threads.
    pub cpu: Duration,
    /// How often its threads went from waiting to running.
    pub wakes: u64,
    /// Bytes written to disks on its account.
    pub written: u64,
}

/// Of a process.
pub fn used(pid: u32) -> Used {
    let mut used = Used {
        written: field(format!("/proc/{pid}/io"), "write_bytes:"),
        ..Used::default()
    };
    for task in fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten()
        .flatten()
    {
        let schedstat = fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
        let nanos = schedstat
            .split(' ')
            .next()
            .and_then(|word| word.parse().ok());
        used.cpu += Duration::from_nanos(nanos.unwrap_or(0));
        used.wakes += field(task.path().join("status"), "voluntary_ctxt_switches:");
    }
    used
}

/// Memory of a process, in bytes: all that is resident, and its own share of it.
pub fn memory(pid: u32) -> (u64, u64) {
    let rollup = format!("/proc/{pid}/smaps_rollup");
    (field(&rollup, "Rss:") * 1024, field(&rollup, "Pss:") * 1024)
}

/// Memory of a process that is no part of a file, in bytes.
pub fn anonymous_memory(pid: u32) -> u64 {
    field(format!("/proc/{pid}/smaps_rollup"), "Anonymous:") * 1024
}

/// Memory of the kernel, in bytes: what lies in TCP buffers, and its objects of all kinds.
pub fn kernel_memory() -> (u64, u64) {
    let sockets = fs::read_to_string("/proc/net/sockstat").unwrap_or_default();
    let tcp = sockets.lines().find(|line| line.starts_with("TCP:"));
    let pages: u64 = tcp
        .and_then(|line| line.rsplit(' ').next()?.parse().ok())
        .unwrap_or(0);
    (pages * 4096, field("/proc/meminfo", "Slab:") * 1024)
}

/// Connections that the whole machine has dropped because a listener's queue was full.
pub fn dropped_syns() -> u64 {
    let text = fs::read_to_string("/proc/net/netstat").unwrap_or_default();
    // A line of names, and below it one of figures.
    let mut lines = text.lines().filter(|line| line.starts_with("TcpExt:"));
    let names = lines.next().unwrap_or_default().split(' ');
    let figures = lines.next().unwrap_or_default().split(' ');
    let mut both = names.zip(figures);
    both.find(|(name, _)| *name == "ListenDrops")
        .and_then(|(_, figure)| figure.parse().ok())
        .unwrap_or(0)
}

fn field(path: impl AsRef<std::path::Path>, key: &str) -> u64 {
    let text = fs::read_to_string(path).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(key));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

/// Tells how much of a core everybody else used in the meantime.
pub struct Others {
    began: Instant,
    busy: Duration,
    ours: Duration,
    pids: Vec<u32>,
}

impl Others {
    /// Everybody but this process and those.
    pub fn than(pids: &[u32]) -> Self {
        let mut all = pids.to_vec();
        all.push(std::process::id());
        let ours = all.iter().map(|pid| used(*pid).cpu).sum();
        Self {
            began: Instant::now(),
            busy: busy(),
            ours,
            pids: all,
        }
    }

    /// In percent of one core.
    pub fn percent(&self) -> f64 {
        let ours: Duration = self.pids.iter().map(|pid| used(*pid).cpu).sum();
        let others = (busy() - self.busy).saturating_sub(ours.saturating_sub(self.ours));
        others.as_secs_f64() / self.began.elapsed().as_secs_f64() * 100.0
    }
}

/// CPU time that anybody used, in the kernel's ticks of 10 ms.
fn busy() -> Duration {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let mut words = stat
        .split_whitespace()
        .skip(1)
        .map(|word| word.parse::<u64>().unwrap_or(0));
    // user nice system idle iowait irq softirq
    let ticks: Vec<u64> = words.by_ref().take(7).collect();
    Duration::from_millis(
        10 * ticks
            .iter()
            .enumerate()
            .filter(|(at, _)| *at != 3 && *at != 4)
            .map(|(_, n)| n)
            .sum::<u64>(),
    )
}

/// Where the server runs and where the generator runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The first core, with its Redis.
    Server,
    /// The last.
    Generator,
    /// All of them.
    Any,
}

/// The cores this process may use.
pub fn cores() -> Vec<usize> {
    let all = sched_getaffinity(None).unwrap_or_default();
    (0..CpuSet::MAX_CPU)
        .filter(|core| all.is_set(*core))
        .collect()
}

/// Keeps this thread, and what it starts from now on, on one side.
pub fn pin(side: Side, cores: &[usize]) {
    let cores = match side {
        Side::Server => &cores[..1.min(cores.len())],
        Side::Generator => &cores[cores.len().saturating_sub(1)..],
        Side::Any => cores,
    };
    let mut only = CpuSet::new();
    cores.iter().for_each(|core| only.set(*core));
    // Measured all the same where the system does not allow it.
    let _ = sched_setaffinity(None, &only);
}

/// Raises the limit of open files as far as it goes and returns it.
pub fn raise_file_limit() -> u64 {
    let now = getrlimit(Resource::Nofile);
    let _ = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: now.maximum,
            maximum: now.maximum,
        },
    );
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}
