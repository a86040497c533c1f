//! What a Prometheus server may ask for, on a listener of its own: everything that is counted
//! anywhere, in the [text format](text) 0.0.4, under names as Prometheus wants them
//! (<https://prometheus.io/docs/practices/naming/>).

mod text;

use std::sync::Arc;
use std::time::Duration;

use rustix::param::page_size;
use rustix::time::{ClockId, clock_gettime};
use smol::{Timer, future};

use crate::bus::Stats;
use crate::net::Hub;
use crate::net::door::Runtime;
use crate::net::http::{self, Answer, Head, NoHead};
use crate::net::listener::{self, Listener};
use crate::net::porch::{Guest, Porch, Stage};
use crate::net::socket::{Socket, linger};
use crate::time;
use text::{Kind, Text, Unit};

/// How many may ask at once.
const ASKING: usize = 16;
/// How long each may take for the next step, however many want to ask.
const FAIR_TIME: Duration = Duration::from_secs(1);
/// The pause after a failed accept.
const PAUSE: Duration = Duration::from_secs(1);

/// Answers whoever asks on this listener, for ever.
pub async fn serve(runtime: &Runtime, listener: &Listener, hub: &Arc<Hub>) {
    let porch = Arc::new(Porch::new(ASKING, FAIR_TIME));
    let started = time::unix_millis() / 1000;
    loop {
        let room = porch.room().await;
        match listener::accept(listener, None).await {
            Ok((socket, _)) => {
                let socket = Arc::new(socket);
                let guest = porch.enter(room, &socket);
                let hub = hub.clone();
                // Ends with its answer, or when it has to make room.
                let receive = async move {
                    let evicted = async {
                        guest.evicted().await;
                    };
                    future::or(evicted, receive(socket, &guest, &hub, started)).await;
                };
                runtime.spawn(receive).detach();
            }
            Err(error) => {
                log::warn!("can't accept connections for metrics: {error}");
                Timer::after(PAUSE).await;
            }
        }
    }
}

async fn receive(socket: Arc<Socket>, guest: &Guest, hub: &Hub, started: u64) {
    let read = http::read_head(&socket, &|| guest.is(Stage::Speaking)).await;
    guest.is(Stage::Answered);
    let (answer, head_only) = match read {
        Ok((head, _)) => (answer(&head, hub, started).await, head.method == "HEAD"),
        Err(NoHead::Refuse(answer)) => (answer, false),
        Err(NoHead::Gone | NoHead::NoTls(_)) => return,
    };
    http::answer(&socket, &answer, head_only).await;
    linger(&socket).await;
}

async fn answer(head: &Head, hub: &Hub, started: u64) -> Answer {
    if !matches!(head.method.as_str(), "GET" | "HEAD") {
        return Answer::text(405, "wrong method: use GET, HEAD").with("Allow", "GET, HEAD");
    }
    match head.target.split('?').next() {
        Some("/metrics") => Answer::file(text::CONTENT_TYPE, all(hub, started).await.into()),
        _ => Answer::text(404, "metrics are at /metrics"),
    }
}

/// Everything that is counted, as it is now.
async fn all(hub: &Hub, started: u64) -> String {
    let mut text = Text::default();
    let figures = hub.bus.stats();
    let bus = figures.as_ref().map_or("local", |_| "redis");
    text.family("natterjack_build_info", Kind::Gauge, "What this is.");
    let version = env!("CARGO_PKG_VERSION");
    text.sample(
        "natterjack_build_info",
        &[("version", version), ("bus", bus)],
        1,
    );
    peers(&mut text, hub).await;
    messages(&mut text, hub);
    door(&mut text, hub);
    way(&mut text, hub, figures);
    process(&mut text, started);
    text.done()
}

async fn peers(text: &mut Text, hub: &Hub) {
    let figures = hub.peers.figures().await;
    text.gauge("natterjack_peers", "Connections that chat.", figures.peers);
    text.gauge(
        "natterjack_peers_limit",
        "Connections that may chat.",
        hub.config.max_peers,
    );
    text.gauge(
        "natterjack_users",
        "Names claimed on this instance.",
        figures.users,
    );
    text.gauge(
        "natterjack_rooms",
        "Rooms with peers on this instance.",
        figures.rooms,
    );
    text.gauge(
        "natterjack_outbox_bytes",
        "Bytes that wait for slow sockets, all together.",
        figures.queued,
    );
    text.gauge(
        "natterjack_outbox_limit_bytes",
        "Bytes that may wait for all sockets together.",
        hub.config.max_queued,
    );
}

fn messages(text: &mut Text, hub: &Hub) {
    let tally = hub.peers.tally();
    for (name, help, counter) in [
        (
            "natterjack_messages_received_total",
            "Text frames from peers.",
            &tally.received,
        ),
        (
            "natterjack_received_bytes_total",
            "Bytes of text from peers.",
            &tally.received_bytes,
        ),
        (
            "natterjack_messages_sent_total",
            "Text frames for peers: what others say and do, and answers.",
            &tally.sent,
        ),
        (
            "natterjack_sent_bytes_total",
            "Bytes of frames for peers.",
            &tally.sent_bytes,
        ),
    ] {
        text.counter(name, help, counter.get());
    }
    text.counters(
        "natterjack_refused_total",
        "What peers asked for and did not get, by the code of the error.",
        "reason",
        tally.refused.all(),
    );
    text.family(
        "natterjack_closed_total",
        Kind::Counter,
        "Connections that have ended, by close code and reason. 1006: it broke, or fell silent.",
    );
    for (end, count) in tally.ends() {
        let (code, reason) = end.label();
        let labels = [("code", code), ("reason", reason)];
        text.sample("natterjack_closed_total", &labels, count);
    }
    text.histogram(
        "natterjack_fanout_batch_events",
        "Events that the fan-out took at once.",
        &tally.batches.read(),
        Unit::One,
    );
}

fn door(text: &mut Text, hub: &Hub) {
    text.counter(
        "natterjack_connections_total",
        "Connections accepted.",
        hub.connections.get(),
    );
    text.counters(
        "natterjack_http_requests_total",
        "Requests, by the status of the answer. 101: an upgrade.",
        "code",
        hub.requests.all(),
    );
    let Some(tls) = &hub.tls else {
        return;
    };
    text.counters(
        "natterjack_tls_failures_total",
        "Handshakes that failed, and why.",
        "reason",
        tls.failures.all(),
    );
    text.family(
        "natterjack_tls_certificate_expires_timestamp_seconds",
        Kind::Gauge,
        "When the certificate ends, in seconds since 1970.",
    );
    let name = "natterjack_tls_certificate_expires_timestamp_seconds";
    text.sample(name, &[], tls.expires());
}

/// The way to the other instances, where there are any.
fn way(text: &mut Text, hub: &Hub, figures: Option<Stats>) {
    let up = hub.bus.health().is_ok();
    text.gauge(
        "natterjack_bus_up",
        "Whether messages get through.",
        usize::from(up),
    );
    let Some(figures) = figures else {
        return;
    };
    text.counter(
        "natterjack_redis_connects_total",
        "How often Redis was connected.",
        figures.connects,
    );
    text.gauge(
        "natterjack_publish_queue_messages",
        "Messages that wait to be published, or for word that they are.",
        figures.waiting,
    );
    text.gauge(
        "natterjack_publish_queue_bytes",
        "Bytes of their texts.",
        figures.waiting_bytes,
    );
    text.histogram(
        "natterjack_publish_duration_seconds",
        "From a message's acceptance to word that it is published.",
        &figures.publish,
        Unit::Micro,
    );
    text.histogram(
        "natterjack_canary_duration_seconds",
        "From one connection to Redis to the other.",
        &figures.canary,
        Unit::Micro,
    );
}

/// What Prometheus' own client libraries tell of a process. How many files are open is left out:
/// with many peers, counting them would take longer than all the rest.
fn process(text: &mut Text, started: u64) {
    let cpu = clock_gettime(ClockId::ProcessCPUTime);
    let micros = cpu.tv_sec * 1_000_000 + cpu.tv_nsec / 1000;
    text.seconds(
        "process_cpu_seconds_total",
        "CPU time spent.",
        micros as u64,
    );
    // Linux: proc(5). The second number is the resident set, in pages.
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    if let Some(Ok(pages)) = statm.split(' ').nth(1).map(str::parse::<usize>) {
        let bytes = pages * page_size();
        text.gauge("process_resident_memory_bytes", "Memory in use.", bytes);
    }
    text.family(
        "process_start_time_seconds",
        Kind::Gauge,
        "When it started, in seconds since 1970.",
    );
    text.sample("process_start_time_seconds", &[], started);
}
