//! A network that fails on demand: forwards TCP to a port, and can stop doing so.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use natterjack::config::{RedisAddress, RedisHost};

/// Forwards until it is dropped.
pub struct Proxy {
    addr: SocketAddr,
    state: Arc<(Mutex<State>, Condvar)>,
}

struct State {
    /// Where new connections go.
    port: u16,
    cut: bool,
    stalled: bool,
    /// What happens in the middle of an answer.
    later: Option<Later>,
    /// Both ends of each connection, by its number.
    open: Vec<(u64, TcpStream)>,
    count: u64,
    dropped: bool,
}

/// After so many more bytes of answers: broken, or stalled.
#[derive(Clone, Copy)]
struct Later {
    bytes: usize,
    cut: bool,
}

impl Proxy {
    /// In front of this port of the loopback.
    pub fn to(port: u16) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let state = State {
            port,
            cut: false,
            stalled: false,
            later: None,
            open: Vec::new(),
            count: 0,
            dropped: false,
        };
        let state = Arc::new((Mutex::new(state), Condvar::new()));
        let shared = state.clone();
        // Ends with the first connection after the drop, which makes one.
        thread::spawn(move || {
            for client in listener.incoming() {
                let port = match &*shared.0.lock().unwrap() {
                    state if state.dropped => return,
                    state => state.port,
                };
                if let (Ok(client), Ok(server)) = (client, TcpStream::connect(("127.0.0.1", port)))
                {
                    connect(client, server, &shared);
                }
            }
        });
        Proxy { addr, state }
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.addr.port()
    }

    /// The Redis behind it.
    pub fn address(&self) -> RedisAddress {
        let host = RedisHost::Tcp {
            host: "127.0.0.1".into(),
            port: self.port(),
            tls: false,
        };
        RedisAddress {
            host,
            username: None,
            password: None,
            auth_command: None,
            ca: None,
        }
    }

    /// From now on leads to another port. Connections that are there stay where they are, as they
    /// do when a name gets another address.
    pub fn lead_to(&self, port: u16) {
        self.change(|state| state.port = port);
    }

    /// Breaks every connection, and accepts none until it is healed.
    pub fn cut(&self) {
        self.change(State::break_all);
    }

    /// Connections stay open, but nothing comes through until it is healed.
    pub fn stall(&self) {
        self.change(|state| state.stalled = true);
    }

    /// Cuts in the middle of an answer: when so many more bytes have come back.
    pub fn cut_after(&self, bytes: usize) {
        self.change(|state| state.later = Some(Later { bytes, cut: true }));
    }

    /// Stalls in the middle of an answer: when so many more bytes have come back.
    pub fn stall_after(&self, bytes: usize) {
        self.change(|state| state.later = Some(Later { bytes, cut: false }));
    }

    /// All is well again.
    pub fn heal(&self) {
        self.change(|state| {
            (state.cut, state.stalled, state.later) = (false, false, None);
        });
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.0.lock().unwrap());
        self.state.1.notify_all();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.change(|state| {
            state.dropped = true;
            state.break_all();
        });
        // Wakes the thread that listens.
        let _ = TcpStream::connect(self.addr);
    }
}

impl State {
    fn break_all(&mut self) {
        self.cut = true;
        for (_, stream) in self.open.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// How many of so many bytes of an answer come through before something happens.
    fn allows(&mut self, bytes: usize) -> usize {
        let Some(later) = &mut self.later else {
            return bytes;
        };
        if later.bytes >= bytes {
            later.bytes -= bytes;
            return bytes;
        }
        later.bytes
    }

    /// Does what was to happen.
    fn happen(&mut self) {
        match self.later.take() {
            Some(later) if later.cut => self.break_all(),
            Some(_) => self.stalled = true,
            None => {}
        }
    }
}

fn connect(client: TcpStream, server: TcpStream, shared: &Arc<(Mutex<State>, Condvar)>) {
    let mut state = shared.0.lock().unwrap();
    if state.cut {
        return;
    }
    state.count += 1;
    let number = state.count;
    for stream in [&client, &server] {
        state.open.push((number, stream.try_clone().unwrap()));
    }
    let back = (server.try_clone().unwrap(), client.try_clone().unwrap());
    for (from, to, answers) in [(client, server, false), (back.0, back.1, true)] {
        let shared = shared.clone();
        // Ends with its connection.
        thread::spawn(move || {
            forward(from, &to, answers, &shared);
            let _ = to.shutdown(Shutdown::Write);
            if answers {
                let mut state = shared.0.lock().unwrap();
                state.open.retain(|(open, _)| *open != number);
            }
        });
    }
}

/// Forwards one way, until the connection ends.
fn forward(
    mut from: TcpStream,
    mut to: &TcpStream,
    answers: bool,
    shared: &(Mutex<State>, Condvar),
) {
    let healed = || {
        let state = shared.0.lock().unwrap();
        shared.1.wait_while(state, |state| state.stalled).unwrap()
    };
    let mut chunk = [0; 16 * 1024];
    while let Ok(n @ 1..) = from.read(&mut chunk) {
        let mut state = healed();
        let now = if answers { state.allows(n) } else { n };
        drop(state);
        if to.write_all(&chunk[..now]).is_err() {
            return;
        }
        if now < n {
            shared.0.lock().unwrap().happen();
            drop(healed());
            // After a cut there is nobody to write to.
            if to.write_all(&chunk[now..n]).is_err() {
                return;
            }
        }
    }
}
