//! The metrics for Prometheus, on a listener of their own.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};

use natterjack::config::Config;
use serde_json::{Value, json};

use crate::support::{Certs, Client, Program, Raw, Redis, TestServer, eventually, free_port};

/// A server with metrics, and where they are.
fn measured(redis: Option<&Redis>) -> (TestServer, SocketAddr) {
    measured_with(|config| config.redis = redis.map(Redis::address))
}

/// The same with other settings.
fn measured_with(set: impl FnOnce(&mut Config)) -> (TestServer, SocketAddr) {
    let metrics = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let server = TestServer::with(|config| {
        config.metrics = Some(metrics);
        set(config);
    });
    (server, metrics)
}

fn page(metrics: SocketAddr) -> String {
    let (status, page) = Raw::get(metrics, "/metrics");
    assert_eq!(status, 200);
    page
}

/// Every sample, by its name and labels.
fn samples(metrics: SocketAddr) -> BTreeMap<String, f64> {
    let page = page(metrics);
    let samples = page.lines().filter(|line| !line.starts_with('#'));
    let samples = samples.map(|line| {
        let (name, value) = line.rsplit_once(' ').unwrap();
        (name.to_string(), value.parse().unwrap())
    });
    samples.collect()
}

#[track_caller]
fn shows(metrics: SocketAddr, expected: &[(&str, f64)]) {
    for (name, value) in expected {
        let what = format!("{name} is {value}");
        eventually(&what, || {
            (samples(metrics).get(*name) == Some(value)).then_some(())
        });
    }
}

#[test]
fn messages_deliveries_and_refusals_are_counted() {
    let (server, metrics) = measured(None);
    let mut foo = server.join("foo");
    let mut bar = server.join("bar");
    foo.hears("bar: has joined the chat!");
    let pi = server.json();
    shows(metrics, &[("natterjack_peers", 3.0)]);
    bar.say("hello");
    foo.hears("bar: hello");
    foo.say(" ");
    foo.hears("error: the message is empty");
    pi.leave();
    // Its connection breaks.
    drop(bar);
    foo.hears("bar: has left the chat!");
    let mut raw = Raw::connect(server.addr());
    raw.send(b"nonsense\r\n\r\n");
    assert_eq!(raw.answer().0, 400);
    shows(
        metrics,
        &[
            (
                concat!(
                    "natterjack_build_info{version=\"",
                    env!("CARGO_PKG_VERSION"),
                    "\",bus=\"local\"}"
                ),
                1.0,
            ),
            ("natterjack_peers", 1.0),
            ("natterjack_peers_limit", 10_000.0),
            ("natterjack_users", 1.0),
            ("natterjack_rooms", 1.0),
            ("natterjack_bus_up", 1.0),
            ("natterjack_messages_received_total", 2.0),
            ("natterjack_received_bytes_total", 6.0),
            // Two welcomes, a join, a text for foo and one for pi, an error, a leave.
            ("natterjack_messages_sent_total", 7.0),
            ("natterjack_refused_total{reason=\"empty\"}", 1.0),
            ("natterjack_refused_total{reason=\"rate_limited\"}", 0.0),
            (
                "natterjack_closed_total{code=\"1000\",reason=\"left\"}",
                1.0,
            ),
            (
                "natterjack_closed_total{code=\"1006\",reason=\"lost\"}",
                1.0,
            ),
            ("natterjack_http_requests_total{code=\"101\"}", 3.0),
            ("natterjack_http_requests_total{code=\"400\"}", 1.0),
            ("natterjack_connections_total", 4.0),
            ("natterjack_outbox_bytes", 0.0),
        ],
    );
    let samples = samples(metrics);
    assert!(samples["natterjack_fanout_batch_events_count"] >= 5.0);
    assert!(samples["process_resident_memory_bytes"] > 1e6);
    assert!(samples["process_cpu_seconds_total"] > 0.0);
}

#[test]
fn redis_is_measured_too() {
    let mut redis = Redis::start();
    let (server, metrics) = measured(Some(&redis));
    let mut ann = server.typed_in("ann", "attic");
    for n in 0..3 {
        ann.put(json!({"type": "chat", "room": "attic", "text": "x", "ref": n.to_string()}));
        ann.hears_of("ack");
    }
    shows(
        metrics,
        &[
            ("natterjack_bus_up", 1.0),
            ("natterjack_redis_connects_total", 1.0),
            ("natterjack_publish_queue_messages", 0.0),
            ("natterjack_publish_duration_seconds_count", 3.0),
        ],
    );
    eventually("the canary has come back", || {
        (samples(metrics)["natterjack_canary_duration_seconds_count"] >= 1.0).then_some(())
    });
    redis.kill();
    shows(metrics, &[("natterjack_bus_up", 0.0)]);
    ann.put(json!({"type": "chat", "room": "attic", "text": "four", "ref": "r"}));
    shows(
        metrics,
        &[
            ("natterjack_publish_queue_messages", 1.0),
            ("natterjack_publish_queue_bytes", 4.0),
        ],
    );
    redis.restart();
    ann.hears_of("ack");
    shows(
        metrics,
        &[
            ("natterjack_bus_up", 1.0),
            ("natterjack_redis_connects_total", 2.0),
            ("natterjack_publish_queue_messages", 0.0),
            ("natterjack_publish_duration_seconds_count", 4.0),
        ],
    );
}

#[test]
fn the_metrics_pass_the_prometheus_linter() {
    let redis = Redis::start();
    let certs = Certs::for_host("localhost");
    for redis in [None, Some(&redis)] {
        let (_server, metrics) = measured_with(|config| {
            config.redis = redis.map(Redis::address);
            if redis.is_some() {
                (config.tls_cert, config.tls_key) = certs.files();
            }
        });
        let page = page(metrics);
        let mut promtool = Command::new(promtool())
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("make tools gets promtool");
        let mut stdin = promtool.stdin.take().unwrap();
        stdin.write_all(page.as_bytes()).unwrap();
        drop(stdin);
        let output = promtool.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.is_empty(), "{said}\n{page}");
    }
}

fn promtool() -> String {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools/usr/bin/promtool");
    match own.exists() {
        true => own.display().to_string(),
        false => "promtool".to_string(),
    }
}

/// Every word of a query that is no function, label or number must be a metric.
#[test]
fn the_dashboard_uses_metrics_that_exist() {
    let redis = Redis::start();
    let certs = Certs::for_host("localhost");
    let (_server, metrics) = measured_with(|config| {
        config.redis = Some(redis.address());
        (config.tls_cert, config.tls_key) = certs.files();
    });
    let samples = samples(metrics);
    let names: BTreeSet<&str> = samples
        .keys()
        .map(|sample| sample.split('{').next().unwrap())
        .collect();
    let dashboard: Value = serde_json::from_str(include_str!("../deploy/grafana.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let queries = panels
        .iter()
        .flat_map(|panel| panel["targets"].as_array().unwrap())
        .map(|target| target["expr"].as_str().unwrap());
    let mut asked = BTreeSet::new();
    for query in queries {
        let words = query.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let metrics =
            words.filter(|word| word.starts_with("natterjack_") || word.starts_with("process_"));
        let metrics: Vec<_> = metrics.collect();
        assert_eq!(metrics.len(), 1, "{query}");
        asked.extend(metrics);
    }
    for name in &asked {
        assert!(names.contains(name), "{name} is not in {names:#?}");
    }
    // And all there is can be seen: sums and counts belong to their histograms.
    for name in names {
        let part = name.ends_with("_sum") || name.ends_with("_count");
        assert!(part || asked.contains(name), "{name} is on no panel");
    }
}

#[test]
fn metrics_are_kept_apart_from_the_chat() {
    let (server, metrics) = measured(None);
    assert_eq!(Raw::get(server.addr(), "/metrics").0, 404);
    for (request, status) in [
        ("GET / HTTP/1.1", 404),
        ("GET /ws HTTP/1.1", 404),
        ("POST /metrics HTTP/1.1", 405),
        ("GET /metrics?x=y HTTP/1.0", 200),
        ("nonsense", 400),
    ] {
        let request = format!("{request}\r\nHost: x\r\n\r\n");
        assert_eq!(
            Raw::request(metrics, request.as_bytes()).0,
            status,
            "{request}"
        );
    }
    // Silent connections hold nobody up.
    let silent: Vec<_> = (0..20).map(|_| Raw::connect(metrics)).collect();
    assert!(page(metrics).contains("natterjack_peers 0"));
    drop(silent);
    let mut foo = server.join("foo");
    foo.say("/who");
    foo.hears("in lobby: foo");
}

#[test]
fn its_address_is_a_setting_like_others() {
    let mut program = Program::start(&["--metrics", "127.0.0.1:0"]);
    let addr = program.addr();
    let line = program.logs("metrics are at http://");
    let metrics = line
        .split("http://")
        .nth(1)
        .unwrap()
        .split('/')
        .next()
        .unwrap();
    let _foo = Client::connect(addr, "/chat/foo");
    shows(metrics.parse().unwrap(), &[("natterjack_peers", 1.0)]);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let flags = ["--listen", "127.0.0.1:0", "--metrics", &taken];
    let output = Program::run(&flags, &[]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), stderr.lines().count()), (Some(1), 1));
    let says = format!("can't listen for metrics on {taken}: ");
    assert!(
        stderr.contains(&says) && stderr.contains("--metrics names"),
        "{stderr}"
    );
}
