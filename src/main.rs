//! The natterjack server: `natterjack --help` says what can be set.

use std::io::Write;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};

use async_signal::{Signal, Signals};
use log::LevelFilter;
use natterjack::check::check;
use natterjack::config::Config;
#[cfg(feature = "tokens")]
use natterjack::config::TokenRequest;
use natterjack::config::args::{self, Stop};
#[cfg(feature = "tokens")]
use natterjack::net::token::{self, IssueError};
use natterjack::net::{Hub, listener};
use natterjack::probe::probe;
use natterjack::server::{Runtime, Server, file_limit, queue_limit};
#[cfg(feature = "tokens")]
use natterjack::time;
use natterjack::{logger, service};
use smol::channel::Sender;
use smol::stream::StreamExt;
use smol::{Executor, future};

fn main() -> ExitCode {
    let given: Vec<String> = std::env::args_os()
        .skip(1)
        .map(|arg| arg.to_string_lossy().into_owned())
        .collect();
    logger::start(LevelFilter::Info, service::is_journal());
    let variable = |name: &str| match std::env::var_os(name) {
        Some(value) if !value.is_empty() => Some(value.to_string_lossy().into_owned()),
        _ => service::credential(name),
    };
    let config = match args::read(&given, variable) {
        Ok(config) => config,
        Err(Stop::Print(text)) => {
            // Whoever closed stdout does not want to know.
            let _ = writeln!(std::io::stdout(), "{text}");
            return ExitCode::SUCCESS;
        }
        Err(Stop::Check(config)) => {
            let handed = service::listeners();
            return match smol::block_on(check(&config, handed)) {
                true => ExitCode::SUCCESS,
                false => ExitCode::FAILURE,
            };
        }
        Err(Stop::Probe(config)) => {
            return probe(&config).map_or_else(failure, |()| ExitCode::SUCCESS);
        }
        #[cfg(feature = "tokens")]
        Err(Stop::Issue(config, request)) => return issue(&config, &request),
        Err(Stop::Usage(line)) => return usage(&line),
    };
    log::set_max_level(config.log);
    let runtime: Runtime = Arc::new(Executor::new());
    for _ in 1..config.threads {
        let runtime = runtime.clone();
        // Ends with the process: threads only lend themselves to the runtime.
        std::thread::spawn(move || smol::block_on(runtime.run(future::pending::<()>())));
    }
    // A task like the others: what a thread itself waits for is looked at whenever any of them wakes.
    let serving = runtime.spawn(serve(config, runtime.clone()));
    let served = smol::block_on(runtime.run(serving));
    served.map_or_else(failure, |()| ExitCode::SUCCESS)
}

fn failure(line: String) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "natterjack: {line}");
    ExitCode::FAILURE
}

fn usage(line: &str) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "natterjack: {line}");
    ExitCode::from(2)
}

#[cfg(feature = "tokens")]
fn issue(config: &Config, request: &TokenRequest) -> ExitCode {
    let printed = match token::issue(config, request, time::unix_millis()) {
        Ok(token) => writeln!(std::io::stdout(), "{token}"),
        Err(IssueError::Usage(line)) => return usage(&line),
        Err(IssueError::Key(line)) => return failure(line),
    };
    // A token that nobody got is no success.
    match printed {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

async fn serve(mut config: Config, runtime: Runtime) -> Result<(), String> {
    let allowed = file_limit();
    if config.max_peers > allowed {
        log::warn!("the file limit allows {allowed} peers only; raise it with ulimit -n");
        config.max_peers = allowed;
    }
    let queued = queue_limit();
    if config.max_queued > queued {
        let mib = queued >> 20;
        log::info!("there is little memory: no more than {mib} MiB may wait for slow readers");
        config.max_queued = queued;
    }
    let signals = Signals::new([Signal::Term, Signal::Int, Signal::Hup])
        .map_err(|error| format!("can't watch for signals: {error}"))?;
    let (stop, stopped) = smol::channel::bounded(1);
    let serving = Arc::new(OnceLock::new());
    // Ends with the process. Watching begins before anything else, so that a start that waits can
    // be stopped as well.
    let watch = runtime.spawn(obey(signals, stop, serving.clone()));
    let alone = if config.redis.is_some() {
        "over redis"
    } else {
        "alone"
    };
    let handed = service::listeners()?;
    let server = match handed.is_empty() {
        false => Server::on(handed, config, runtime.clone()).await?,
        true => Server::bind(config, runtime.clone()).await?,
    };
    let s = if server.hub().tls.is_some() { "s" } else { "" };
    for addr in server.local_addrs().map_err(|error| error.to_string())? {
        let host = listener::authority(addr);
        if cfg!(feature = "page") {
            log::info!("chatting {alone} on {addr}: open http{s}://{host}/");
        } else {
            log::info!("chatting {alone} on {addr}: connect to ws{s}://{host}/chat/NAME");
        }
    }
    if let Some(addr) = server.metrics_addr() {
        let host = listener::authority(addr);
        log::info!("metrics are at http://{host}/metrics");
    }
    // Ends with this function.
    let report = service::is_watched().then(|| runtime.spawn(service::report(server.hub())));
    // Nobody else sets it.
    let _ = serving.set(server.hub());
    server.run(stopped).await?;
    drop((watch, report));
    log::info!("stopped");
    Ok(())
}

/// Stops the server at the first signal that asks for it, and ends the process at the second. What can
/// be read again is, when it is asked for and there is a server.
async fn obey(mut signals: Signals, stop: Sender<()>, serving: Arc<OnceLock<Arc<Hub>>>) {
    let mut stop = Some(stop);
    while let Some(signal) = signals.next().await {
        match signal {
            Ok(Signal::Hup) => reload(serving.get()),
            _ if stop.take().is_some() => service::stopping(),
            _ => std::process::exit(0),
        }
    }
}

/// Reads again what may change meanwhile: the certificate, and the key of tokens.
fn reload(serving: Option<&Arc<Hub>>) {
    let tls = serving.and_then(|hub| hub.tls.as_ref());
    let reloaded = serving.is_some_and(|hub| hub.gate.reload());
    match tls {
        Some(tls) => tls.reload(),
        None if reloaded => {}
        None => log::info!("SIGHUP: settings are read at the start only; restart to change them"),
    }
}
