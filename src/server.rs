//! Opens, lets in, and closes in good order.

mod accept;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use smol::channel::Receiver;
use smol::{Task, Timer, future};

use crate::bus::{Bus, fanout};
use crate::chat::budget::Budget;
use crate::chat::end::End;
use crate::chat::id::Instance;
use crate::chat::peers::Peers;
use crate::config::Config;
use crate::machine;
use crate::metrics;
use crate::net::Hub;
use crate::net::door::Door;
use crate::net::listener::{self, Listener};
use crate::net::porch::{MOST_BYTES, Porch};
use crate::net::tls::{self, Tls};
use crate::net::token::Gate;
use crate::time::timeout;
use accept::accept_loop;

pub use crate::net::door::Runtime;

/// Connections that may be on their way in at once: silent, sending their head, or being answered.
/// Fewer where a quarter of the files or of the memory is less: of 1 GiB on it is so many. Beyond it
/// who says nothing makes room for the next one …
const ARRIVING: usize = 4096;
/// … and where all of them speak, who has taken this long for one step, which is enough for any
/// honest one. Until then the next ones wait in the kernel's queue.
const FAIR_TIME: Duration = Duration::from_secs(1);
/// Files that are open beside the peers' sockets.
const OTHER_FILES: usize = 32;
/// How often silent peers are looked for at most, in the time that a peer may be silent: a ping is
/// late by an eighth of it …
const SWEEPS_MOST: u32 = 8;
/// … and how often at least: so soon it is noticed that a socket takes nothing.
const SWEEPS_LEAST: u32 = 2;
/// From the first signal to the end of the last connection.
const STOP_TIME: Duration = Duration::from_secs(8);
/// What the bus gets of it for the messages accepted so far …
const DRAIN_TIME: Duration = Duration::from_secs(2);
/// … and then for its goodbye. All three stay below the ten seconds that are promised.
const CLOSE_TIME: Duration = Duration::from_millis(1500);
/// Closing many peers is spread over this time, so that they don't all come back at once …
const SPREAD: Duration = Duration::from_secs(3);
/// … in this many steps; up to as many peers are closed at once.
const SPREAD_STEPS: usize = 100;

/// A server that listens, and whose bus has tried to connect once.
#[derive(Debug)]
pub struct Server {
    runtime: Runtime,
    listeners: Vec<Listener>,
    /// For those who ask for metrics.
    metrics: Option<Listener>,
    hub: Arc<Hub>,
    fanout: Task<()>,
    /// The bus' own task, if it has one. It ends only with what can't be mended.
    carrier: Option<Task<String>>,
}

impl Server {
    /// Opens the ports and the bus. Connections are accepted by [`run`](Self::run).
    ///
    /// # Errors
    /// One line about what failed and can't be mended by waiting. An unreachable Redis can.
    pub async fn bind(config: Config, runtime: Runtime) -> Result<Server, String> {
        let listeners = listener::listen_on(&config.listen).map_err(|(addr, error)| {
            format!("can't listen on {addr}: {error}; --listen names another address")
        })?;
        Server::on(listeners, config, runtime).await
    }

    /// Opens the bus behind ports that are open.
    ///
    /// # Errors
    /// Those of [`bind`](Self::bind).
    pub async fn on(
        listeners: Vec<Listener>,
        config: Config,
        runtime: Runtime,
    ) -> Result<Server, String> {
        let metrics = listener::listen_on(config.metrics.as_slice()).map_err(|(addr, error)| {
            format!("can't listen for metrics on {addr}: {error}; --metrics names another address")
        })?;
        let metrics = metrics.into_iter().next();
        let tls = Tls::open(config.tls.as_ref())?;
        let gate = Gate::new(&config)?;
        let budget = Budget::new(config.outbox, config.max_queued);
        let peers = Arc::new(Peers::new(Instance(fastrand::u64(..)), budget));
        let (bus, events) = Bus::new(&config, peers.clone())?;
        // Ends when the bus is dropped.
        let fanout = runtime.spawn({
            let peers = peers.clone();
            async move { fanout::run(events, &peers).await }
        });
        let carrier = match &bus {
            Bus::Local(_) => None,
            Bus::Redis(redis) => {
                let (tell, told) = smol::channel::bounded(1);
                let redis = redis.clone();
                // Ends when the server is dropped, or with an error that it tells first.
                let task = runtime.spawn(async move { redis.run(tell).await });
                told.recv().await.unwrap_or(Ok(()))?;
                Some(task)
            }
        };
        let hub = Arc::new(Hub::new(config, tls, gate, peers, bus));
        Ok(Server {
            runtime,
            listeners,
            metrics,
            hub,
            fanout,
            carrier,
        })
    }

    /// Where it listens first; the port is the real one, also when port 0 was asked for.
    ///
    /// # Errors
    /// The system's, or that it listens nowhere.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        let first = self.local_addrs()?.first().copied();
        first.ok_or_else(|| io::ErrorKind::AddrNotAvailable.into())
    }

    /// Everywhere it listens.
    ///
    /// # Errors
    /// The system's.
    pub fn local_addrs(&self) -> io::Result<Vec<SocketAddr>> {
        self.listeners.iter().map(listener::local_addr).collect()
    }

    /// Where it listens for those who ask for metrics, if it does.
    pub fn metrics_addr(&self) -> Option<SocketAddr> {
        listener::local_addr(self.metrics.as_ref()?).ok()
    }

    /// What it knows of its connections.
    pub fn hub(&self) -> Arc<Hub> {
        self.hub.clone()
    }

    /// Serves until something is sent on `stop` or it is closed, then closes in good order, which
    /// takes less than ten seconds.
    ///
    /// # Errors
    /// One line, when the bus turns out to be of no use, such as a Redis that was not reachable
    /// at first and then refuses the password.
    pub async fn run(self, stop: Receiver<()>) -> Result<(), String> {
        let Server {
            runtime,
            listeners,
            metrics,
            hub,
            fanout,
            mut carrier,
        } = self;
        // Nothing is ever sent on these: an end comes when the last of those who hold one is gone.
        let (alive, gone) = smol::channel::bounded::<()>(1);
        let (coming, came) = smol::channel::bounded::<()>(1);
        let measured = async {
            match &metrics {
                Some(listener) => metrics::serve(&runtime, listener, &hub).await,
                None => future::pending().await,
            }
            Ok(())
        };
        let door = Door {
            runtime: runtime.clone(),
            hub: hub.clone(),
            alive: alive.downgrade(),
            coming,
        };
        let porch = Arc::new(Porch::new(arriving(), FAIR_TIME));
        let accept = |listener| accept_loop(listener, door.clone(), porch.clone());
        // End when the server is told to stop.
        let accepting = listeners.into_iter().map(accept);
        let accepting: Vec<Task<()>> = accepting.map(|task| runtime.spawn(task)).collect();
        drop(door);
        let stopped = async {
            // An error means that the other end is gone: a request to stop, too.
            let _ = stop.recv().await;
            Ok(())
        };
        let failed = async {
            match &mut carrier {
                Some(task) => Err(task.await),
                None => future::pending().await,
            }
        };
        let watch = async { match tls::watch(hub.tls.as_ref()).await {} };
        let sweep = future::or(sweep(&hub), watch);
        let serve = future::or(stopped, future::or(failed, sweep));
        let result = future::or(serve, measured).await;
        hub.drain();
        for task in accepting {
            // What it has accepted is served: it is only cancelled where it waits for the next one.
            task.cancel().await;
        }
        if result.is_ok() {
            let deadline = Instant::now() + STOP_TIME;
            // They have been accepted, so they are answered. Whoever says nothing can't hold us up.
            timeout(FAIR_TIME, came.recv()).await;
            drop(alive);
            close(&hub, &gone, deadline).await;
        }
        drop((fanout, carrier));
        result
    }
}

/// Looks for silent peers, for ever. Where nobody will be silent for too long soon, it sleeps on: a
/// server that does nothing is to wake up rarely.
async fn sweep(hub: &Hub) -> Result<(), String> {
    let silence = Duration::from_secs(hub.config.ping.into());
    let mut pause = silence / SWEEPS_LEAST;
    loop {
        Timer::after(pause).await;
        let next = hub.peers.sweep(silence.as_secs() as u32).await;
        let next = Duration::from_secs(next.into());
        pause = next.clamp(silence / SWEEPS_MOST, silence / SWEEPS_LEAST);
    }
}

/// Closes in good order: what was accepted goes out, the peers are told, their names released.
async fn close(hub: &Hub, gone: &Receiver<()>, deadline: Instant) {
    timeout(DRAIN_TIME, hub.bus.drain()).await;
    // Whoever is still here learns what will not be said any more.
    hub.bus.reject_pending();
    let peers = hub.peers.all().await;
    log::info!("stopping: closing {} connections", peers.len());
    let step = peers.len().div_ceil(SPREAD_STEPS).max(SPREAD_STEPS);
    let mut steps = peers.chunks(step).peekable();
    while let Some(some) = steps.next() {
        some.iter().for_each(|peer| peer.outbox.end(End::Stopping));
        if steps.peek().is_some() {
            Timer::after(SPREAD / SPREAD_STEPS as u32).await;
        }
    }
    drop(peers);
    let left = deadline.saturating_duration_since(Instant::now());
    if timeout(left, gone.recv()).await.is_none() {
        log::warn!("stopping: {} connections were cut", hub.peers.count().await);
    }
    if timeout(CLOSE_TIME, hub.bus.close()).await.is_none() {
        log::warn!("stopping: redis could not be told; names stay taken for up to 15 seconds");
    }
}

/// Raises the file limit as far as it goes and says how many peers it allows.
pub fn file_limit() -> usize {
    machine::raise_file_limit();
    let others = OTHER_FILES + arriving();
    machine::files().saturating_sub(others).max(1)
}

/// How much may wait for all sockets together where there is little memory: the rest is for peers,
/// and for what is on its way.
pub fn queue_limit() -> usize {
    machine::memory().map_or(usize::MAX, |bytes| bytes / 4)
}

/// The most that connections on their way in may take of the memory.
pub fn arriving_memory() -> usize {
    arriving() * MOST_BYTES
}

/// How many connections may be on their way in.
fn arriving() -> usize {
    let memory = machine::memory().map_or(usize::MAX, |bytes| bytes / 4 / MOST_BYTES);
    ARRIVING.min(machine::files() / 4).min(memory).max(1)
}
