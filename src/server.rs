//! Starts the server, accepts connections, and shuts down in order.

mod accept;
mod background;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use smol::channel::Receiver;
use smol::future::FutureExt;
use smol::{Task, future};

use crate::bus::{Bus, fanout};
use crate::chat::close_reason::CloseReason;
use crate::chat::id::Instance;
use crate::chat::outbox::OutboxLimits;
use crate::chat::peers::Peers;
use crate::config::Config;
use crate::limits;
use crate::net::admission::{Admission, MAX_BYTES, PendingConnections};
use crate::net::context::ServerContext;
use crate::net::listener::{self, Listener};
use crate::net::tls::{self, Tls};
use crate::net::token::Authenticator;
use crate::reactor::Timer;
use crate::time::timeout;
use accept::accept_loop;
use background::run_in_portions;

pub use crate::net::context::Runtime;

/// How many connections may be pending at once: silent, sending their head, or being answered.
/// Fewer where a quarter of the file limit or of the memory is less; from 1 GiB of memory on, it is
/// this many. At the limit a silent connection is closed for the next one.
const MAX_PENDING: usize = 4096;
/// How long a pending connection that has sent something may take for one step before it can be
/// closed for another one. Until then new connections wait in the kernel's queue.
const GRACE_PERIOD: Duration = Duration::from_secs(1);
/// Files that are open besides the peers' sockets.
const OTHER_FILES: usize = 32;
/// The sweep for silent peers runs at most this often within the time that a peer may be silent, so
/// a ping is late by an eighth of that time at most.
const SWEEPS_MOST: u32 = 8;
/// The sweep runs at least this often within that time, so a socket that takes nothing is noticed.
const SWEEPS_LEAST: u32 = 2;
/// From the first signal to the end of the last connection.
const STOP_TIME: Duration = Duration::from_secs(8);
/// How much of [`STOP_TIME`] the bus has to publish the messages accepted so far.
const DRAIN_TIME: Duration = Duration::from_secs(2);
/// How long the bus has to sign off. Together with [`STOP_TIME`] it stays below the ten seconds
/// that are promised.
const CLOSE_TIME: Duration = Duration::from_millis(1500);
/// Closing many peers is spread over this time, so that they don't all reconnect at once.
const SPREAD: Duration = Duration::from_secs(3);
/// The number of steps in [`SPREAD`]. Up to this many peers are closed at once.
const SPREAD_STEPS: usize = 100;

/// A server that listens and whose bus has tried to connect once.
#[derive(Debug)]
pub struct Server {
    runtime: Runtime,
    listeners: Vec<Listener>,
    /// The listener for metrics, if it is configured.
    metrics: Option<Listener>,
    context: Arc<ServerContext>,
    fanout: Task<()>,
    /// The bus's own task, if it has one. It ends only with an error that waiting can't fix.
    bus_task: Option<Task<String>>,
}

impl Server {
    /// Opens the ports and the bus. [`run`](Self::run) accepts the connections.
    ///
    /// # Errors
    /// One line about what failed and can't be fixed by waiting. An unreachable Redis is no error.
    pub async fn bind(config: Config, runtime: Runtime) -> Result<Server, String> {
        let listeners = listener::listen_on(&config.listen).map_err(|(addr, error)| {
            format!("can't listen on {addr}: {error}; --listen names another address")
        })?;
        Server::on(listeners, config, runtime).await
    }

    /// Opens the bus for ports that are open already.
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
        let tls = Tls::open(config.tls_files().as_ref())?;
        let authenticator = Authenticator::new(&config)?;
        let limits = OutboxLimits::new(config.outbox, config.max_queued);
        let peers = Arc::new(Peers::new(Instance(fastrand::u64(..)), limits));
        let (bus, events) = Bus::new(&config, peers.clone())?;
        // Ends when the bus is dropped.
        let fanout = runtime.spawn({
            let peers = peers.clone();
            async move { fanout::run(events, &peers).await }
        });
        let bus_task = match &bus {
            Bus::Local(local) => {
                let local = local.clone();
                // Ends when everything is written. It is not waited for.
                runtime.spawn(async move { local.run().await }).detach();
                None
            }
            #[cfg(feature = "full")]
            Bus::Redis(redis) => {
                let (report, started) = smol::channel::bounded(1);
                let redis = redis.clone();
                // Ends when the server is dropped, or with an error that it reports first.
                let task = runtime.spawn(async move { redis.run(report).await });
                started.recv().await.unwrap_or(Ok(()))?;
                Some(task)
            }
        };
        let context = Arc::new(ServerContext::new(config, tls, authenticator, peers, bus));
        Ok(Server {
            runtime,
            listeners,
            metrics,
            context,
            fanout,
            bus_task,
        })
    }

    /// The first address that it listens on; the port is the real one, also when port 0 was asked
    /// for.
    ///
    /// # Errors
    /// The system's, or that it listens on no address.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        let first = self.local_addrs()?.first().copied();
        first.ok_or_else(|| io::ErrorKind::AddrNotAvailable.into())
    }

    /// All addresses that it listens on.
    ///
    /// # Errors
    /// The system's.
    pub fn local_addrs(&self) -> io::Result<Vec<SocketAddr>> {
        self.listeners.iter().map(listener::local_addr).collect()
    }

    /// The address that it serves metrics on, if it does.
    pub fn metrics_addr(&self) -> Option<SocketAddr> {
        listener::local_addr(self.metrics.as_ref()?).ok()
    }

    /// What the server's connections share.
    pub fn context(&self) -> Arc<ServerContext> {
        self.context.clone()
    }

    /// Serves until something is sent on `stop` or `stop` is closed, then shuts down in order,
    /// which takes less than ten seconds.
    ///
    /// # Errors
    /// One line, when the bus turns out to be unusable, such as a Redis that was not reachable at
    /// first and then refuses the password.
    pub async fn run(self, stop: Receiver<()>) -> Result<(), String> {
        let Server {
            runtime,
            listeners,
            metrics,
            context,
            fanout,
            mut bus_task,
        } = self;
        // Nothing is sent on these channels. They close when the last sender is dropped.
        let (peers_alive, peers_gone) = smol::channel::bounded::<()>(1);
        let (pending_alive, pending_gone) = smol::channel::bounded::<()>(1);
        let measured = async {
            match &metrics {
                #[cfg(feature = "full")]
                Some(listener) => crate::metrics::serve(&runtime, listener, &context).await,
                _ => future::pending().await,
            }
            Ok(())
        };
        let background = &context.background;
        let run = |_| runtime.spawn(run_in_portions(background.clone()));
        // These end with this function.
        let portions: Vec<Task<()>> = (0..context.config.threads).map(run).collect();
        let admission = Arc::new(Admission::new(
            runtime.clone(),
            context.clone(),
            PendingConnections::new(max_pending(), GRACE_PERIOD),
            peers_alive.downgrade(),
            pending_alive,
        ));
        let accept = |listener| accept_loop(listener, context.clone(), admission.clone());
        // These end when the server is told to stop.
        let accepting = listeners.into_iter().map(accept);
        let accepting: Vec<Task<()>> = accepting.map(|task| background.spawn(task)).collect();
        drop(admission);
        let stopped = async {
            // An error means that the sender is gone, which is a request to stop, too.
            let _ = stop.recv().await;
            Ok(())
        };
        let failed = async {
            match &mut bus_task {
                Some(task) => Err(task.await),
                None => future::pending().await,
            }
        };
        let watched = async { match tls::watch(context.tls.as_ref()).await {} };
        let swept = sweep(&context);
        let removed = async {
            context.bus.announce_removals().await;
            Ok(())
        };
        // The first that ends wins: only the first two can.
        let rest = swept.or(watched).or(measured).or(removed);
        let result = stopped.or(failed).or(rest).await;
        context.drain();
        for task in accepting {
            // An accepted connection is served: the task is only cancelled while it waits for the
            // next one.
            task.cancel().await;
        }
        if result.is_ok() {
            let deadline = Instant::now() + STOP_TIME;
            // Pending connections were accepted, so they are answered. A silent one can't delay
            // this for longer than the grace period.
            timeout(GRACE_PERIOD, pending_gone.recv()).await;
            drop(peers_alive);
            close(&context, &peers_gone, deadline).await;
        }
        drop((portions, fanout, bus_task));
        result
    }
}

/// Looks for silent peers, for ever. It sleeps until the next peer can be silent for too long, so
/// an idle server rarely wakes up.
async fn sweep(context: &ServerContext) -> Result<(), String> {
    let silence = Duration::from_secs(context.config.ping.into());
    let mut pause = silence / SWEEPS_LEAST;
    loop {
        Timer::after(pause).await;
        let next = context.peers.sweep(silence.as_secs() as u32).await;
        let next = Duration::from_secs(next.into());
        pause = next.clamp(silence / SWEEPS_MOST, silence / SWEEPS_LEAST);
    }
}

/// Shuts down in order: publishes the accepted messages, tells the peers, releases their names.
async fn close(context: &ServerContext, peers_gone: &Receiver<()>, deadline: Instant) {
    // Peers that are still here learn which messages will not be published any more.
    context.bus.drain(DRAIN_TIME).await;
    let peers = context.peers.all().await;
    log::info!("stopping: closing {} connections", peers.len());
    let step = peers.len().div_ceil(SPREAD_STEPS).max(SPREAD_STEPS);
    let mut steps = peers.chunks(step).peekable();
    while let Some(some) = steps.next() {
        some.iter()
            .for_each(|peer| peer.outbox.close(CloseReason::Stopping));
        if steps.peek().is_some() {
            Timer::after(SPREAD / SPREAD_STEPS as u32).await;
        }
    }
    drop(peers);
    let left = deadline.saturating_duration_since(Instant::now());
    if timeout(left, peers_gone.recv()).await.is_none() {
        log::warn!(
            "stopping: {} connections were cut",
            context.peers.count().await
        );
    }
    if timeout(CLOSE_TIME, context.bus.close()).await.is_none() {
        log::warn!(
            "stopping: {}",
            match context.bus {
                Bus::Local(_) =>
                    "the disk does not answer; what was not acknowledged may be missing",
                #[cfg(feature = "full")]
                Bus::Redis(_) => "redis could not be told; names stay taken for up to 15 seconds",
            }
        );
    }
}

/// Raises the file limit to its maximum and returns how many peers it allows.
pub fn file_limit() -> usize {
    limits::raise_file_limit();
    let others = OTHER_FILES + max_pending();
    limits::files().saturating_sub(others).max(1)
}

/// The limit of bytes queued for all sockets, where there is little memory: the rest is for peers
/// and for pending connections.
pub fn queue_limit() -> usize {
    limits::memory().map_or(usize::MAX, |bytes| bytes / 4)
}

/// The most memory that pending connections may take.
pub fn pending_memory() -> usize {
    max_pending() * MAX_BYTES
}

/// How many connections may be pending.
fn max_pending() -> usize {
    let memory = limits::memory().map_or(usize::MAX, |bytes| bytes / 4 / MAX_BYTES);
    MAX_PENDING.min(limits::files() / 4).min(memory).max(1)
}
