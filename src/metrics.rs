//! Serves metrics to Prometheus on a listener of its own, in the text format 0.0.4, under
//! names as Prometheus recommends (<https://prometheus.io/docs/practices/naming/>).

use std::sync::Arc;
use std::time::Duration;

use rustix::param::page_size;
use rustix::time::{ClockId, clock_gettime};
use smol::future;

use crate::bus::Bus;
use crate::count::text::{CONTENT_TYPE, MetricsText, seconds};
use crate::net::admission::{Pending, PendingConnections, Stage};
use crate::net::context::{Runtime, ServerContext};
use crate::net::http::{self, Answer, Head, NoHead};
use crate::net::listener::{self, Listener};
use crate::net::socket::{Socket, linger};
use crate::reactor::Timer;
use crate::time;

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
        return Answer::wrong_method("GET, HEAD");
    }
    match head.target.split('?').next() {
        Some("/metrics") => Answer::file(CONTENT_TYPE, all(context, started).await.into()),
        _ => Answer::text(404, "metrics are at /metrics"),
    }
}

/// All metrics with their current values.
async fn all(context: &ServerContext, started: u64) -> String {
    let mut text = MetricsText::default();
    let bus = match &context.bus {
        Bus::Local(_) => "local",
        Bus::Redis(_) => "redis",
    };
    let labels = [("version", env!("CARGO_PKG_VERSION")), ("bus", bus)];
    text.family("natterjack_build_info", "gauge", "What this is.");
    text.sample("natterjack_build_info", &labels, &1);
    context.write_metrics(&mut text).await;
    process(&mut text, started);
    text.done()
}

/// The process metrics of Prometheus' own client libraries. The number of open files is left out:
/// with many peers, counting them would take longer than all the rest.
fn process(text: &mut MetricsText, started: u64) {
    let cpu = clock_gettime(ClockId::ProcessCPUTime);
    let micros = cpu.tv_sec * 1_000_000 + cpu.tv_nsec / 1000;
    text.family("process_cpu_seconds_total", "counter", "CPU time spent.");
    text.sample("process_cpu_seconds_total", &[], &seconds(micros as u64));
    // Linux: proc(5). The second number is the resident set in pages.
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    if let Some(Ok(pages)) = statm.split(' ').nth(1).map(str::parse::<usize>) {
        let bytes = pages * page_size();
        text.gauge("process_resident_memory_bytes", "Memory in use.", bytes);
    }
    text.family(
        "process_start_time_seconds",
        "gauge",
        "When it started, in seconds since 1970.",
    );
    text.sample("process_start_time_seconds", &[], &started);
}
