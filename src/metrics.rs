//! Serves metrics to Prometheus on a listener of its own, in the text format 0.0.4, under
//! names as Prometheus recommends (<https://prometheus.io/docs/practices/naming/>).

mod text;

use std::sync::Arc;
use std::time::Duration;

use rustix::param::page_size;
use rustix::time::{ClockId, clock_gettime};
use smol::{Timer, future};

use crate::bus::Stats;
use crate::net::admission::{Pending, PendingConnections, Runtime, Stage};
use crate::net::context::ServerContext;
use crate::net::http::{self, Answer, Head, NoHead};
use crate::net::listener::{self, Listener};
use crate::net::socket::{Socket, linger};
use crate::time;
use text::{Kind, Text, Unit};

/// The most requests at once.
const ASKING: usize = 16;
/// The grace period of a request at each stage.
const GRACE_PERIOD: Duration = Duration::from_secs(1);
/// The pause after a failed accept.
const PAUSE: Duration = Duration::from_secs(1);

/// Answers requests on this listener, for ever.
pub async fn serve(runtime: &Runtime, listener: &Listener, context: &Arc<ServerContext>) {
    let pending_connections = Arc::new(PendingConnections::new(ASKING, GRACE_PERIOD));
    let started = time::unix_millis() / 1000;
    loop {
        let permit = pending_connections.permit().await;
        match listener::accept(listener, None).await {
            Ok((socket, _)) => {
                let socket = Arc::new(socket);
                let pending = pending_connections.enter(permit, &socket);
                let context = context.clone();
                // Ends with its answer, or when it is evicted.
                let receive = async move {
                    let evicted = async {
                        pending.evicted().await;
                    };
                    future::or(evicted, receive(socket, &pending, &context, started)).await;
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

async fn receive(socket: Arc<Socket>, pending: &Pending, context: &ServerContext, started: u64) {
    let read = http::read_head(&socket, &|| pending.set_stage(Stage::Speaking)).await;
    pending.set_stage(Stage::Answered);
    let (answer, head_only) = match read {
        Ok((head, _)) => (answer(&head, context, started).await, head.method == "HEAD"),
        Err(NoHead::Refuse(answer)) => (answer, false),
        Err(NoHead::Gone | NoHead::NoTls(_)) => return,
    };
    http::answer(&socket, &answer, head_only).await;
    linger(&socket).await;
}

async fn answer(head: &Head, context: &ServerContext, started: u64) -> Answer {
    if !matches!(head.method.as_str(), "GET" | "HEAD") {
        return Answer::text(405, "wrong method: use GET, HEAD").with("Allow", "GET, HEAD");
    }
    match head.target.split('?').next() {
        Some("/metrics") => Answer::file(text::CONTENT_TYPE, all(context, started).await.into()),
        _ => Answer::text(404, "metrics are at /metrics"),
    }
}

/// All metrics with their current values.
async fn all(context: &ServerContext, started: u64) -> String {
    let mut text = Text::default();
    let figures = context.bus.stats();
    let bus = figures.as_ref().map_or("local", |_| "redis");
    text.family("natterjack_build_info", Kind::Gauge, "What this is.");
    let version = env!("CARGO_PKG_VERSION");
    text.sample(
        "natterjack_build_info",
        &[("version", version), ("bus", bus)],
        1,
    );
    peers(&mut text, context).await;
    messages(&mut text, context);
    connections(&mut text, context);
    bus_state(&mut text, context, figures);
    process(&mut text, started);
    text.done()
}

async fn peers(text: &mut Text, context: &ServerContext) {
    let gauges = context.peers.gauges().await;
    text.gauge("natterjack_peers", "Connections that chat.", gauges.peers);
    text.gauge(
        "natterjack_peers_limit",
        "Connections that may chat.",
        context.config.max_peers,
    );
    text.gauge(
        "natterjack_users",
        "Names claimed on this instance.",
        gauges.users,
    );
    text.gauge(
        "natterjack_rooms",
        "Rooms with peers on this instance.",
        gauges.rooms,
    );
    text.gauge(
        "natterjack_outbox_bytes",
        "Bytes that wait for slow sockets, all together.",
        gauges.queued,
    );
    text.gauge(
        "natterjack_outbox_limit_bytes",
        "Bytes that may wait for all sockets together.",
        context.config.max_queued,
    );
}

fn messages(text: &mut Text, context: &ServerContext) {
    let stats = context.peers.stats();
    for (name, help, counter) in [
        (
            "natterjack_messages_received_total",
            "Text frames from peers.",
            &stats.received,
        ),
        (
            "natterjack_received_bytes_total",
            "Bytes of text from peers.",
            &stats.received_bytes,
        ),
        (
            "natterjack_messages_sent_total",
            "Text frames for peers: what others say and do, and answers.",
            &stats.sent,
        ),
        (
            "natterjack_sent_bytes_total",
            "Bytes of frames for peers.",
            &stats.sent_bytes,
        ),
    ] {
        text.counter(name, help, counter.get());
    }
    text.counters(
        "natterjack_refused_total",
        "What peers asked for and did not get, by the code of the error.",
        "reason",
        stats.refused.all(),
    );
    text.family(
        "natterjack_closed_total",
        Kind::Counter,
        "Connections that have ended, by close code and reason. 1006: it broke, or fell silent.",
    );
    for (end, count) in stats.closes() {
        let (code, reason) = end.label();
        let labels = [("code", code), ("reason", reason)];
        text.sample("natterjack_closed_total", &labels, count);
    }
    text.histogram(
        "natterjack_fanout_batch_events",
        "Events that the fan-out took at once.",
        &stats.batches.read(),
        Unit::One,
    );
}

fn connections(text: &mut Text, context: &ServerContext) {
    text.counter(
        "natterjack_connections_total",
        "Connections accepted.",
        context.connections.get(),
    );
    text.counters(
        "natterjack_http_requests_total",
        "Requests, by the status of the answer. 101: an upgrade.",
        "code",
        context.requests.all(),
    );
    let Some(tls) = &context.tls else {
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

/// Whether the bus works, and the connection to Redis if there is one.
fn bus_state(text: &mut Text, context: &ServerContext, figures: Option<Stats>) {
    let up = context.bus.health().is_ok();
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

/// The process metrics of Prometheus' own client libraries. The number of open files is left out:
/// with many peers, counting them would take longer than all the rest.
fn process(text: &mut Text, started: u64) {
    let cpu = clock_gettime(ClockId::ProcessCPUTime);
    let micros = cpu.tv_sec * 1_000_000 + cpu.tv_nsec / 1000;
    text.seconds(
        "process_cpu_seconds_total",
        "CPU time spent.",
        micros as u64,
    );
    // Linux: proc(5). The second number is the resident set in pages.
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
