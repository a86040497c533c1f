//! The natterjack server. `natterjack --help` lists its settings.

use std::io::Write;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};

use async_signal::{Signal, Signals};
use log::LevelFilter;
use natterjack::check::check;
use natterjack::config::Config;
use natterjack::config::args;
use natterjack::net::context::ServerContext;
use natterjack::net::listener;
#[cfg(feature = "full")]
use natterjack::net::token::{self, IssueError};
use natterjack::probe::probe;
use natterjack::reactor::block_on;
use natterjack::server::{Runtime, Server, file_limit, queue_limit};
#[cfg(feature = "full")]
use natterjack::time;
use natterjack::{logger, systemd};
use smol::channel::Sender;
use smol::stream::StreamExt;
use smol::{Executor, future};

fn main() -> ExitCode {
    logger::start(LevelFilter::Info, systemd::is_journal());
    let given = std::env::args_os().skip(1);
    let given: Vec<String> = given
        .map(|arg| arg.to_string_lossy().into_owned())
        .collect();
    let variable = |name: &str| match std::env::var_os(name) {
        Some(value) if !value.is_empty() => Some(value.to_string_lossy().into_owned()),
        _ => systemd::credential(name),
    };
    let config = match args::read(&given, variable) {
        Ok(config) => config,
        Err(early) if early.status.is_ok() => {
            // If stdout is closed, nobody wants the text.
            let _ = writeln!(std::io::stdout(), "{}", early.output);
            return ExitCode::SUCCESS;
        }
        Err(early) => return exit(2, &early.output),
    };
    #[cfg(feature = "full")]
    if let Some(user) = &config.issue {
        return issue(&config, user);
    }
    if config.check {
        let passed = block_on(check(&config, systemd::listeners()));
        return ExitCode::from(u8::from(!passed));
    }
    let done = match config.probe {
        true => probe(&config),
        false => run(config),
    };
    done.map_or_else(|line| exit(1, &line), |()| ExitCode::SUCCESS)
}

fn exit(code: u8, line: &str) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "natterjack: {line}");
    ExitCode::from(code)
}

#[cfg(feature = "full")]
fn issue(config: &Config, user: &str) -> ExitCode {
    match token::issue(config, user, time::unix_millis()) {
        // A token that could not be printed is a failure.
        Ok(token) => {
            let printed = writeln!(std::io::stdout(), "{token}");
            ExitCode::from(u8::from(printed.is_err()))
        }
        Err(IssueError::Usage(line)) => exit(2, &line),
        Err(IssueError::Key(line)) => exit(1, &line),
    }
}

/// Runs the server on all its threads until a signal stops it.
fn run(config: Config) -> Result<(), String> {
    log::set_max_level(config.log);
    let runtime: Runtime = Arc::new(Executor::new());
    for _ in 1..config.threads {
        let runtime = runtime.clone();
        // Ends with the process.
        std::thread::spawn(move || block_on(runtime.run(future::pending::<()>())));
    }
    // The server is a task like the others: a thread polls the future it blocks on whenever any of
    // its tasks wakes it.
    let serving = runtime.spawn(serve(config, runtime.clone()));
    block_on(runtime.run(serving))
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
    // Ends with the process. It starts before everything else, so that a start that waits for Redis
    // can be stopped.
    let watch = runtime.spawn(handle_signals(signals, stop, serving.clone()));
    let alone = match config.redis {
        Some(_) => "over redis",
        None => "alone",
    };
    let handed = systemd::listeners()?;
    let server = match handed.is_empty() {
        false => Server::on(handed, config, runtime.clone()).await?,
        true => Server::bind(config, runtime.clone()).await?,
    };
    let s = server.context().tls.as_ref().map_or("", |_| "s");
    for addr in server.local_addrs().map_err(|error| error.to_string())? {
        let host = listener::authority(addr);
        if cfg!(feature = "full") {
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
    let notifying =
        systemd::is_watched().then(|| runtime.spawn(systemd::notify_loop(server.context())));
    // It is set only here.
    let _ = serving.set(server.context());
    server.run(stopped).await?;
    drop((watch, notifying));
    log::info!("stopped");
    Ok(())
}

/// Stops the server at the first signal that asks for it, and ends the process at the second.
/// SIGHUP reloads what can be reloaded once the server runs.
async fn handle_signals(
    mut signals: Signals,
    stop: Sender<()>,
    serving: Arc<OnceLock<Arc<ServerContext>>>,
) {
    let mut stop = Some(stop);
    while let Some(signal) = signals.next().await {
        match signal {
            Ok(Signal::Hup) => reload(serving.get()),
            _ if stop.take().is_some() => systemd::stopping(),
            _ => std::process::exit(0),
        }
    }
}

/// Reloads the certificate and the key of tokens.
fn reload(serving: Option<&Arc<ServerContext>>) {
    let tls = serving.and_then(|context| context.tls.as_ref());
    let reloaded = serving.is_some_and(|context| context.authenticator.reload());
    match tls {
        Some(tls) => tls.reload(),
        None if reloaded => {}
        None => log::info!("SIGHUP: settings are read at the start only; restart to change them"),
    }
}
