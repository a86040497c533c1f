//! The journal: keeps on disk what a lone server has in memory, so that nothing that was
//! acknowledged is lost when the plug is pulled.
//!
//! Everything is read from memory. The journal is only written, and read once at the start. Each
//! message is a line ([`record`]) that is appended to a file in a [`folder`]. Its sender gets the
//! `ack` when the line is on the disk (`fdatasync`); the others hear it at once. There is one sync
//! at a time and at most ten a second; what comes meanwhile goes with the next. When nobody speaks,
//! nothing is written. The [`writer`] works on a thread of its own, so a slow disk delays
//! acknowledgements and nothing else.
//!
//! After a write or a sync has failed, nobody knows what is on the disk: a later sync may succeed
//! without it. So nothing is accepted until everything has been written to a new file.

pub mod check;
mod contents;
mod damage;
pub mod folder;
pub mod record;
pub mod writer;

use std::fmt;
use std::io;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_lock::Mutex as AsyncMutex;
use event_listener::Event as Signal;
use smol::future::Boxed;

use super::kept::{Kept, Message};
use crate::chat::event::Refusal;
use crate::config::Config;
use crate::count::text::{MetricsText, seconds};
use crate::count::{Counter, Histogram};
use crate::mutex::Mutex;
use crate::reactor::Timer;
use crate::time::{timeout, unix_millis};
use folder::Folder;
use writer::Writer;

pub use record::Record;

/// There is at most one sync in this time.
const SYNC_PERIOD: Duration = Duration::from_millis(100);
/// After a failure the disk is tried again after this time.
const RETRY_PERIOD: Duration = Duration::from_secs(5);
/// So many bytes may wait to be written. Beyond that senders wait, and are refused after
/// [`MAX_WAIT`].
const MAX_WAITING_BYTES: usize = 1024 * 1024;
/// See [`MAX_WAITING_BYTES`].
const MAX_WAIT: Duration = Duration::from_secs(5);
/// A disk that has not answered for so long is reported.
const SLOW: Duration = Duration::from_secs(10);
/// Syncs are counted by these durations, in microseconds.
const SYNC_TIMES: [u64; 9] = [
    1_000, 2_500, 5_000, 10_000, 25_000, 100_000, 500_000, 2_500_000, 10_000_000,
];

/// What waits to be written, and how the disk is.
pub struct Journal {
    folder: Arc<Folder>,
    state: Mutex<State>,
    /// Is locked as long as it runs.
    writer: AsyncMutex<Option<Writer>>,
    /// Something waits to be written, or the server stops.
    work: Signal,
    /// Something has been written, or that has failed.
    done: Signal,
    /// Whether messages can be kept has changed.
    health_changed: Signal,
    /// What the files take, in bytes.
    size: AtomicUsize,
    bytes: Counter,
    failures: Counter,
    skipped: u64,
    syncs: Histogram,
}

#[derive(Default)]
struct State {
    /// What waits to be written.
    lines: Vec<u8>,
    /// The messages among that.
    messages: Vec<Message>,
    /// Since when the disk has been busy with earlier lines, if it is.
    busy: Option<Instant>,
    /// Why nothing can be written.
    failure: Option<String>,
    /// The server stops.
    stopping: bool,
    /// The last line has been written.
    stopped: bool,
}

impl Journal {
    /// Opens the folder that the settings name, if they do, and restores what was kept before a
    /// restart. Where the server did not stop in good order, each room begins a new epoch with its
    /// next message. Waits for the disk. One that is full or fails is no error: it is tried again by
    /// [`run`](Self::run).
    ///
    /// # Errors
    /// One line about why the folder can't be used.
    pub fn open(config: &Config, kept: &Kept) -> Result<Option<Journal>, String> {
        let Some(path) = &config.data else {
            return Ok(None);
        };
        let folder = Folder::open(path);
        let folder = folder.map_err(|why| format!("--data {}: {why}", path.display()))?;
        let now = unix_millis();
        let mut state = State::default();
        let (read, live_bytes) = {
            let (mut kept, mut messages) = (kept.lock(), 0);
            let read = folder.read(|record| {
                messages += u64::from(matches!(record, Record::Message(..)));
                contents::restore(&mut kept, record, now);
            })?;
            for message in &read.lost {
                kept.log.lose(message.as_ref());
            }
            kept.away.cut_off(now);
            if !read.stopped {
                // So that it is known also after a stop in good order.
                Record::Epoch(kept.log.begin_epochs()).write(&mut state.lines);
            }
            // To make all lines again only to measure them would take a fifth of the start.
            let live_bytes = read.bytes * kept.log.messages() / messages.max(1);
            (read, live_bytes)
        };
        let folder = Arc::new(folder);
        let (bytes, skipped) = (read.bytes, read.damaged.len());
        let mut writer = Writer::new(folder.clone(), contents::live(kept), read, live_bytes);
        let journal = Journal {
            folder,
            state: Mutex::new(state),
            writer: AsyncMutex::default(),
            work: Signal::new(),
            done: Signal::new(),
            health_changed: Signal::new(),
            size: AtomicUsize::new(bytes as usize),
            bytes: Counter::default(),
            failures: Counter::default(),
            skipped: skipped as u64,
            syncs: Histogram::new(&SYNC_TIMES),
        };
        let set_aside = writer.set_aside();
        match &set_aside {
            Ok(None) => {}
            Ok(Some(path)) => journal.warn_of(skipped, &format!("are in {}", path.display())),
            Err(error) => journal.warn_of(skipped, &format!("can't be kept elsewhere: {error}")),
        }
        // Lines that can't be kept elsewhere stay where they are until the repair.
        if let Err(error) = set_aside.and_then(|_| writer.start()) {
            journal.fail(&error);
        }
        *journal.writer.lock_blocking() = Some(writer);
        Ok(Some(journal))
    }

    fn warn_of(&self, skipped: usize, what: &str) {
        log::warn!("{self}: {skipped} lines are damaged and are skipped; they {what}");
    }

    /// Waits until there is room for more lines.
    ///
    /// # Errors
    /// The disk is full, failing, or too slow.
    pub async fn ready(&self) -> Result<(), Refusal> {
        let ready = async {
            loop {
                let done = self.done.listen();
                match &*self.state.lock() {
                    State {
                        failure: Some(_), ..
                    } => return Err(Refusal::Unavailable),
                    state if state.lines.len() < MAX_WAITING_BYTES => return Ok(()),
                    _ => {}
                }
                done.await;
            }
        };
        timeout(MAX_WAIT, ready)
            .await
            .unwrap_or(Err(Refusal::Unavailable))
    }

    /// Appends a message or what was done, and tells its sender when that is on the disk.
    pub fn append(&self, record: &Record, message: Message) {
        let mut state = self.state.lock();
        record.write(&mut state.lines);
        state.messages.push(message);
        self.work.notify(1);
    }

    /// Appends what is known of names and conversations. It is written with the next messages, or alone.
    pub fn note(&self, record: &Record) {
        let mut state = self.state.lock();
        // After a failure everything is written to a new file, from what is in memory.
        if state.failure.is_none() {
            record.write(&mut state.lines);
            self.work.notify(1);
        }
    }

    /// Tells the sender of a repeated message that it was accepted, when that is on the disk.
    pub fn accept(&self, message: Message) {
        let mut state = self.state.lock();
        if state.lines.is_empty() && state.busy.is_none() {
            drop(state);
            return message.receipt.accept(message.id);
        }
        state.messages.push(message);
        self.work.notify(1);
    }

    /// Writes until the server stops in good order, and tells senders. Call it again after an error.
    /// Dropped, it is of no use any more.
    ///
    /// # Errors
    /// The messages that could not be written. They have been taken back.
    pub async fn run(&self, kept: &Kept) -> Result<(), Vec<Message>> {
        let mut writer = self.writer.lock().await;
        let Some(writer) = writer.as_mut() else {
            return Ok(());
        };
        if self.state.lock().failure.is_some() {
            self.repair(writer).await;
        }
        loop {
            let (mut lines, messages, last) = self.next().await;
            if last {
                Record::Stopped.write(&mut lines);
            }
            let started = Instant::now();
            let (bytes, written) = (lines.len() as u64, writer.append(lines).await);
            self.syncs.record(started.elapsed().as_micros() as u64);
            self.state.lock().busy = None;
            if let Err(error) = written {
                self.fail(&error);
                return Err(kept.take_back(messages, || self.take_waiting()));
            }
            self.bytes.add(bytes);
            for message in messages {
                message.receipt.accept(message.id);
            }
            self.state.lock().stopped = last;
            self.done.notify(usize::MAX);
            if last {
                return Ok(());
            }
            if let Err(error) = writer.keep_small().await {
                log::warn!("{self}: can't be made smaller: {error}; trying again later");
            }
            self.size.store(writer.bytes() as usize, Ordering::Relaxed);
            Timer::at(started + SYNC_PERIOD).await;
        }
    }

    /// Waits for something to write. `true`: it is the last.
    async fn next(&self) -> (Vec<u8>, Vec<Message>, bool) {
        loop {
            let work = self.work.listen();
            {
                let mut state = self.state.lock();
                let idle = state.lines.is_empty() && state.messages.is_empty();
                if !idle || state.stopping {
                    state.busy = Some(Instant::now());
                    let lines = mem::take(&mut state.lines);
                    return (lines, mem::take(&mut state.messages), idle);
                }
            }
            work.await;
        }
    }

    /// Takes the messages that wait to be written; they will not be.
    fn take_waiting(&self) -> Vec<Message> {
        let mut state = self.state.lock();
        state.lines.clear();
        mem::take(&mut state.messages)
    }

    fn fail(&self, error: &io::Error) {
        let why = format!("{self}: can't be written: {error}");
        log::error!(
            "{why}; new messages are refused, and it is tried again every {RETRY_PERIOD:?}"
        );
        self.failures.add(1);
        self.state.lock().failure = Some(why);
        self.done.notify(usize::MAX);
        self.health_changed.notify(usize::MAX);
    }

    /// Tries to write everything to a new file until that succeeds.
    async fn repair(&self, writer: &mut Writer) {
        loop {
            Timer::after(RETRY_PERIOD).await;
            match writer.replace().await {
                Ok(()) => break,
                Err(error) => log::debug!("{self}: still can't be written: {error}"),
            }
        }
        log::info!("{self}: can be written again; everything is in a new file");
        self.state.lock().failure = None;
        self.health_changed.notify(usize::MAX);
    }

    /// Whether messages can be kept.
    ///
    /// # Errors
    /// One line about why not.
    pub fn health(&self) -> Result<(), String> {
        let state = self.state.lock();
        match (&state.failure, state.busy) {
            (Some(why), _) => Err(why.clone()),
            (None, Some(since)) if since.elapsed() > SLOW => {
                let time = since.elapsed().as_secs();
                Err(format!("{self}: the disk has not answered for {time} s"))
            }
            _ => Ok(()),
        }
    }

    /// Ends as soon as the [health](Self::health) may have changed.
    pub fn health_changed(&self) -> Boxed<()> {
        Box::pin(self.health_changed.listen())
    }

    /// Waits until nothing waits for the disk. Give it a deadline.
    pub async fn written(&self) {
        self.wait_until(|state| state.messages.is_empty() && state.busy.is_none())
            .await;
    }

    /// Notes that the server stops in good order, when everything else is written. Give it a
    /// deadline.
    pub async fn stop(&self) {
        self.state.lock().stopping = true;
        self.work.notify(1);
        self.wait_until(|state| state.stopped).await;
    }

    async fn wait_until(&self, reached: impl Fn(&State) -> bool) {
        loop {
            let done = self.done.listen();
            if reached(&self.state.lock()) {
                return;
            }
            done.await;
        }
    }

    /// Writes the metrics.
    pub fn write_metrics(&self, text: &mut MetricsText) {
        text.gauge(
            "natterjack_journal_size_bytes",
            "What the files in --data take.",
            self.size.load(Ordering::Relaxed),
        );
        text.counter(
            "natterjack_journal_written_bytes_total",
            "Bytes of messages written to them.",
            self.bytes.get(),
        );
        text.histogram(
            "natterjack_journal_sync_duration_seconds",
            "How long the disk took to write and sync.",
            &self.syncs,
            seconds,
        );
        text.counter(
            "natterjack_journal_failures_total",
            "How often the disk failed.",
            self.failures.get(),
        );
        text.counter(
            "natterjack_journal_skipped_records_total",
            "Damaged lines that were skipped at the start.",
            self.skipped,
        );
    }
}

impl fmt::Display for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "--data {}", self.folder.path().display())
    }
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Journal({})", self.folder.path().display())
    }
}
