//! A server in this process, on a port of its own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use natterjack::config::{Config, RedisAddress};
use natterjack::reactor::block_on;
use natterjack::server::{Runtime, Server};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;
use smol::Executor;
use smol::channel::Sender;

use super::{Client, Raw, Redis, eventually};

/// Serves until it is stopped or dropped.
pub struct TestServer {
    addr: SocketAddr,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<Result<(), String>>>,
}

impl TestServer {
    /// Alone, with the settings as they come.
    pub fn start() -> TestServer {
        TestServer::with(|_| {})
    }

    /// Behind this Redis.
    pub fn on(redis: &Redis) -> TestServer {
        TestServer::on_with(redis.address(), |_| {})
    }

    /// Behind Redis at this address, with settings.
    pub fn on_with(redis: RedisAddress, set: impl FnOnce(&mut Config)) -> TestServer {
        TestServer::with(|config| {
            config.redis = Some(redis);
            set(config);
        })
    }

    /// With these settings.
    pub fn with(set: impl FnOnce(&mut Config)) -> TestServer {
        TestServer::try_with(set)
            .unwrap_or_else(|error| panic!("the server does not start: {error}"))
    }

    /// With these settings, if it starts with them.
    pub fn try_with(set: impl FnOnce(&mut Config)) -> Result<TestServer, String> {
        let mut config = Config {
            listen: vec![([127, 0, 0, 1], 0).into()],
            ..Config::default()
        };
        set(&mut config);
        let threads = config.threads;
        let (stop, stopped) = smol::channel::bounded(1);
        let (tell, bound) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let runtime: Runtime = Arc::new(Executor::new());
            let (_running, ended) = smol::channel::bounded::<()>(1);
            for _ in 1..threads {
                let (runtime, ended) = (runtime.clone(), ended.clone());
                std::thread::spawn(move || block_on(runtime.run(ended.recv())));
            }
            block_on(runtime.clone().run(async move {
                match Server::bind(config, runtime).await {
                    Ok(server) => {
                        tell.send(Ok(server.local_addr().unwrap())).unwrap();
                        server.run(stopped).await
                    }
                    Err(error) => {
                        tell.send(Err(error.clone())).unwrap();
                        Err(error)
                    }
                }
            }))
        });
        let addr = bound.recv().unwrap()?;
        Ok(TestServer {
            addr,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Connects a text client to the lobby and takes its welcome.
    pub fn join(&self, user: &str) -> Client {
        self.join_room(user, "lobby")
    }

    /// Connects a text client to a room and takes its welcome.
    pub fn join_room(&self, user: &str, room: &str) -> Client {
        let mut client = self.knock(user, room);
        client.hears(&format!("Welcome {user}!"));
        client
    }

    /// Connects a text client and reads nothing.
    pub fn knock(&self, user: &str, room: &str) -> Client {
        let [user, room] = [user, room].map(|name| utf8_percent_encode(name, NON_ALPHANUMERIC));
        Client::connect(self.addr, &format!("/chat/{user}?room={room}"))
    }

    /// Connects to `/ws` without a name: in the lobby, speaking the simple dialect, until it says
    /// otherwise.
    pub fn json(&self) -> Client {
        Client::connect(self.addr, "/ws")
    }

    /// Connects as a typed client with this name and a session key of its own, and takes its welcome.
    pub fn typed(&self, user: &str) -> Client {
        let target = format!("/ws?user={user}&session=key+of+{user}");
        let mut client = Client::connect(self.addr, &target);
        client.gets(json!({"type": "welcome", "userId": user}));
        client
    }

    /// The same in a room, with its roster taken.
    pub fn typed_in(&self, user: &str, room: &str) -> Client {
        let mut client = self.typed(user);
        client.put(json!({"type": "join", "room": room}));
        client.gets(json!({"type": "joined", "room": room}));
        client
    }

    /// What `/readyz` says: its status, and its line.
    pub fn ready(&self) -> (u16, String) {
        Raw::get(self.addr, "/readyz")
    }

    /// Waits until `/readyz` says this.
    pub fn becomes(&self, status: u16) {
        eventually(&format!("/readyz becomes {status}"), || {
            (self.ready().0 == status).then_some(())
        });
    }

    /// Asks it to stop, and goes on at once.
    pub fn begin_to_stop(&mut self) {
        self.stop.take();
    }

    /// Stops it and waits until it has stopped.
    pub fn stop(mut self) {
        self.finish().unwrap();
    }

    fn finish(&mut self) -> Result<(), String> {
        self.stop.take();
        self.thread
            .take()
            .map_or(Ok(()), |thread| thread.join().expect("the server panicked"))
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        // A failing test says why itself.
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
