//! The natterjack server: `natterjack --help` says what can be set.

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use async_signal::{Signal, Signals};
use natterjack::config::Config;
use natterjack::config::args::{self, Stop};
use natterjack::logger;
use natterjack::server::{Runtime, Server, file_limit};
use smol::stream::StreamExt;
use smol::{Executor, future};

fn main() -> ExitCode {
    let given: Vec<String> = std::env::args_os()
        .skip(1)
        .map(|arg| arg.to_string_lossy().into_owned())
        .collect();
    let config = match args::read(&given, |name| std::env::var(name).ok()) {
        Ok(config) => config,
        Err(Stop::Print(text)) => {
            // Whoever closed stdout does not want to know.
            let _ = writeln!(std::io::stdout(), "{text}");
            return ExitCode::SUCCESS;
        }
        Err(Stop::Usage(line)) => {
            let _ = writeln!(std::io::stderr(), "natterjack: {line}");
            return ExitCode::from(2);
        }
    };
    logger::start(config.log);
    let runtime: Runtime = Arc::new(Executor::new());
    for _ in 1..config.threads {
        let runtime = runtime.clone();
        // Ends with the process: threads only lend themselves to the runtime.
        std::thread::spawn(move || smol::block_on(runtime.run(future::pending::<()>())));
    }
    // A task like the others: what a thread itself waits for is looked at whenever any of them wakes.
    let serving = runtime.spawn(serve(config, runtime.clone()));
    match smol::block_on(runtime.run(serving)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(line) => {
            let _ = writeln!(std::io::stderr(), "natterjack: {line}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(mut config: Config, runtime: Runtime) -> Result<(), String> {
    let allowed = file_limit();
    if config.max_peers > allowed {
        log::warn!("the file limit allows {allowed} peers only; raise it with ulimit -n");
        config.max_peers = allowed;
    }
    let mut signals = Signals::new([Signal::Term, Signal::Int])
        .map_err(|error| format!("can't watch for signals: {error}"))?;
    let (stop, stopped) = smol::channel::bounded(1);
    // Ends with the process. Watching begins before anything else, so that a start that waits can
    // be stopped as well.
    let watch = runtime.spawn(async move {
        signals.next().await;
        drop(stop);
        signals.next().await;
        std::process::exit(0);
    });
    let alone = if config.redis.is_some() {
        "over redis"
    } else {
        "alone"
    };
    let server = Server::bind(config, runtime).await?;
    let addr = server.local_addr().map_err(|error| error.to_string())?;
    let host = if addr.ip().is_unspecified() {
        "localhost".into()
    } else {
        addr.ip().to_string()
    };
    let port = addr.port();
    if cfg!(feature = "page") {
        log::info!("chatting {alone} on {addr}: open http://{host}:{port}/");
    } else {
        log::info!("chatting {alone} on {addr}: connect to ws://{host}:{port}/chat/NAME");
    }
    server.run(stopped).await?;
    drop(watch);
    log::info!("stopped");
    Ok(())
}
