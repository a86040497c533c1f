//! `--check`: looks for everything that could keep the server from running well, without running it.

use std::net::SocketAddr;

use crate::bus;
#[cfg(feature = "full")]
use crate::certificate::SOON;
use crate::config::Config;
#[cfg(feature = "full")]
use crate::config::{Origin, TlsFiles};
use crate::limits;
use crate::net::listener::{self, Listener};
#[cfg(feature = "full")]
use crate::net::tls::files;
#[cfg(feature = "full")]
use crate::net::token::Authenticator;
use crate::report::Report;
use crate::server::{file_limit, pending_memory, queue_limit};
use crate::time;

/// When this program was written, in seconds since 1970: an earlier clock is wrong.
const WRITTEN: u64 = 1_767_225_600;
/// The most memory of an idle peer, with the kernel's for its socket.
const PEER: usize = 6 * 1024;
/// What an idle peer needs in addition over TLS.
const PEER_TLS: usize = 4 * 1024;
/// The server's memory without peers.
const SERVER: usize = 8 * 1024 * 1024;

/// Checks everything, and prints a line for each result. `handed` are the sockets of a service
/// manager, which replace `--listen`. Returns whether the server would run well.
pub async fn check(config: &Config, handed: Result<Vec<Listener>, String>) -> bool {
    let mut report = Report::default();
    match handed {
        Ok(handed) if handed.is_empty() => free(&mut report, "listen", &config.listen),
        Ok(handed) => {
            for addr in handed
                .iter()
                .filter_map(|one| listener::local_addr(one).ok())
            {
                report.ok(format_args!(
                    "listen {addr}: a socket of the service manager"
                ));
            }
        }
        Err(why) => report.fail(format_args!("listen: {why}")),
    }
    free(&mut report, "metrics", config.metrics.as_slice());
    if config.hosts.is_empty() {
        report.ok("host: any name is this server's own; --host names those it goes by");
    }
    #[cfg(feature = "full")]
    if config.embed.contains(&Origin::Any) {
        report.warn("embed: any site may show the page in a frame, and lay something over it");
    }
    open_files(&mut report, config);
    memory(&mut report, config);
    addresses(&mut report, config);
    clock(&mut report);
    #[cfg(feature = "full")]
    if let Some(files) = &config.tls_files() {
        certificate(&mut report, files);
    }
    #[cfg(feature = "full")]
    match Authenticator::new(config).map(|tokens| tokens.describe()) {
        Ok(Some(algorithm)) => report.ok(format_args!("tokens: needed, {algorithm}")),
        Ok(None) => {}
        Err(why) => report.fail(format_args!("tokens: {why}")),
    }
    bus::check(config, &mut report).await;
    report.passed()
}

/// Checks that these addresses of `--what` can be opened. All are opened before any is closed, so
/// that duplicates are found.
fn free(report: &mut Report, what: &str, addrs: &[SocketAddr]) {
    let opened = addrs.iter().map(|addr| listener::open(*addr, addrs));
    let opened: Vec<_> = opened.collect();
    for (addr, opened) in addrs.iter().zip(&opened) {
        match opened {
            Ok(_) => report.ok(format_args!("{what} {addr}: free")),
            Err(error) => report.fail(format_args!(
                "{what} {addr}: {error}; --{what} names another address, or is it running already?"
            )),
        }
    }
}

fn open_files(report: &mut Report, config: &Config) {
    let (allowed, wanted) = (file_limit(), config.max_peers);
    if allowed < wanted {
        report.warn(format_args!(
            "files: the limit allows {allowed} peers, not {wanted}; raise it with ulimit -n or LimitNOFILE="
        ));
    } else {
        report.ok(format_args!("files: enough for {wanted} peers"));
    }
}

fn memory(report: &mut Report, config: &Config) {
    let peer = match config.tls_files() {
        Some(_) => PEER + PEER_TLS,
        None => PEER,
    };
    let needed = SERVER
        .saturating_add(pending_memory())
        .saturating_add(config.max_queued.min(queue_limit()))
        .saturating_add(config.max_peers.saturating_mul(peer));
    // The current frame, and those of the same message before it.
    let unfinished = config
        .max_peers
        .saturating_mul(config.max_message)
        .saturating_mul(2);
    let mib = |bytes: usize| bytes / (1024 * 1024);
    match limits::memory() {
        Some(limit) if limit < needed => report.warn(format_args!(
            "memory: {} MiB, and full of peers it may take {}; lower --max-peers or --max-queued",
            mib(limit),
            mib(needed)
        )),
        Some(limit) => report.ok(format_args!(
            "memory: {} MiB, of which it takes {} at most, and {} more if each peer stops within a message",
            mib(limit),
            mib(needed),
            mib(unfinished)
        )),
        None => {}
    }
    if config.outbox > config.max_queued {
        report.warn("--outbox is more than --max-queued: one slow reader may use all of it");
    }
}

/// A server that listens on the loopback alone usually has a reverse proxy in front of it.
fn addresses(report: &mut Report, config: &Config) {
    let limited = config.max_peers_per_ip.is_some();
    let local = config.listen.iter().all(|addr| addr.ip().is_loopback());
    if limited && local && config.trust_proxy.is_empty() {
        report.warn("--max-peers-per-ip counts all who come through a proxy as one: name it by --trust-proxy");
    }
}

#[cfg(feature = "full")]
fn certificate(report: &mut Report, files: &TlsFiles) {
    let now = time::unix_millis() / 1000;
    let own = match files::load(files, now) {
        Ok((_, own)) => own,
        Err(line) => return report.fail(line),
    };
    let days = own.days_left(now);
    let names = match own.names.is_empty() {
        true => "no names, which no browser takes".into(),
        false => own.names.join(", "),
    };
    let line = format!(
        "tls {}: for {names}; valid for {days} more days",
        files.cert.display()
    );
    match days {
        0..SOON => report.warn(format_args!("{line}; renew it")),
        _ => report.ok(line),
    }
}

fn clock(report: &mut Report) {
    if time::unix_millis() / 1000 < WRITTEN {
        report.fail("clock: it is before 2026; no certificate is valid then: set the time, or let systemd-timesyncd");
    } else {
        report.ok("clock: set");
    }
}
