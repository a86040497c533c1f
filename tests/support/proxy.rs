//! A network that fails on demand: forwards TCP to a port, late or slowly if told to, and can stop doing so.

mod tests;

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use natterjack::config::{RedisAddress, RedisHost};

use super::eventually;

/// How many reads may be on their way in one direction of a connection. Each is at most one chunk.
const UNDER_WAY: usize = 1024;
/// How much is read at once.
const CHUNK: usize = 16 * 1024;

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
    /// How long bytes are under way, in each direction.
    delay: Duration,
    /// Bytes a second in each direction, over all connections.
    rate: Option<u32>,
    /// Until when the line is busy with bytes of before: to the port, and back.
    busy: [Instant; 2],
    open: Vec<Open>,
    count: u64,
    dropped: bool,
}

/// A connection.
struct Open {
    number: u64,
    client: TcpStream,
    server: TcpStream,
    /// Whether its bytes are kept back.
    held: bool,
    /// What the client has said since they are.
    said: Vec<u8>,
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
            delay: Duration::ZERO,
            rate: None,
            busy: [Instant::now(); 2],
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

    /// From now on leads to another port. Connections that are there stay, as when a name gets another address.
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

    /// All is well again. What is held stays so, and the distance the same.
    pub fn heal(&self) {
        self.change(|state| {
            (state.cut, state.stalled, state.later) = (false, false, None);
        });
    }

    /// From now on a question and its answer take so long together. Any number may be under way.
    pub fn delay(&self, round_trip: Duration) {
        self.change(|state| state.delay = round_trip / 2);
    }

    /// From now on so many bytes a second come through in each direction, over all connections.
    pub fn rate(&self, bytes: u32) {
        self.change(|state| state.rate = Some(bytes));
    }

    /// A partition: what is said on the connections of now is kept back in both directions, also when a
    /// client has given its connection up, which the other side does not see. New connections work.
    pub fn hold(&self) {
        self.change(|state| state.open.iter_mut().for_each(|open| open.held = true));
    }

    /// The same for the connections that the other side does not know as subscribed. `clients`: its list.
    pub fn hold_commands(&self, clients: &str) {
        self.hold_those(clients, false);
    }

    /// The same for those that it knows as subscribed.
    pub fn hold_subscribed(&self, clients: &str) {
        self.hold_those(clients, true);
    }

    fn hold_those(&self, clients: &str, subscribed: bool) {
        self.change(|state| {
            for open in &mut state.open {
                let addr = format!(" addr={} ", open.server.local_addr().unwrap());
                let its = clients.lines().find(|line| line.contains(&addr));
                open.held = its.is_some_and(|its| its.contains(" sub=0 ") != subscribed);
            }
        });
    }

    /// Waits until a client has said this on a connection that is held.
    pub fn holds(&self, words: &str) {
        eventually(&format!("{words} is held"), || {
            let state = self.state.0.lock().unwrap();
            let said = |open: &Open| String::from_utf8_lossy(&open.said).contains(words);
            state.open.iter().any(said).then_some(())
        });
    }

    /// The clients see an end of the connections that are held; the other side does not.
    pub fn give_up_held(&self) {
        self.change(|state| {
            for open in state.open.iter().filter(|open| open.held) {
                let _ = open.client.shutdown(Shutdown::Both);
            }
        });
    }

    /// The partition ends: what was held arrives.
    pub fn let_go(&self) {
        self.change(|state| state.open.iter_mut().for_each(|open| open.held = false));
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
        for open in self.open.drain(..) {
            let _ = open.client.shutdown(Shutdown::Both);
            let _ = open.server.shutdown(Shutdown::Both);
        }
    }

    /// Whether nothing of this connection comes through now.
    fn keeps_back(&self, number: u64) -> bool {
        let open = self.open.iter().find(|open| open.number == number);
        open.is_some_and(|open| self.stalled || open.held)
    }

    /// Notes what the client of a connection says while it is held.
    fn hears(&mut self, number: u64, bytes: &[u8]) {
        let its = |open: &&mut Open| open.number == number && open.held;
        if let Some(open) = self.open.iter_mut().find(its) {
            open.said.extend_from_slice(bytes);
        }
    }

    /// When so many bytes that set out now have come through a line of limited rate.
    fn passes(&mut self, bytes: usize, answers: bool) -> Option<Instant> {
        let rate = f64::from(self.rate?);
        let busy = &mut self.busy[usize::from(answers)];
        *busy = Instant::now().max(*busy) + Duration::from_secs_f64(bytes as f64 / rate);
        Some(*busy)
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
    let copy = || (client.try_clone().unwrap(), server.try_clone().unwrap());
    let (one, other) = copy();
    state.open.push(Open {
        number,
        client: one,
        server: other,
        held: false,
        said: Vec::new(),
    });
    let (to, from) = copy();
    for (from, to, answers) in [(client, server, false), (from, to, true)] {
        let _ = to.set_nodelay(true);
        let shared = shared.clone();
        let (sender, under_way) = sync_channel(UNDER_WAY);
        let state = shared.clone();
        // Ends with its connection.
        thread::spawn(move || {
            let (mut from, mut chunk) = (from, [0; CHUNK]);
            while let Ok(n @ 1..) = from.read(&mut chunk) {
                let mut state = state.0.lock().unwrap();
                if !answers {
                    state.hears(number, &chunk[..n]);
                }
                let due = Instant::now() + state.delay;
                drop(state);
                if sender.send((due, chunk[..n].to_vec())).is_err() {
                    return;
                }
            }
        });
        // Ends with the one that reads for it, or with the connection.
        thread::spawn(move || {
            deliver(&under_way, &to, number, answers, &shared);
            let _ = to.shutdown(Shutdown::Write);
            if answers {
                let mut state = shared.0.lock().unwrap();
                state.open.retain(|open| open.number != number);
            }
        });
    }
}

/// Delivers one direction's bytes when they are due, until the connection ends.
fn deliver(
    under_way: &Receiver<(Instant, Vec<u8>)>,
    mut to: &TcpStream,
    number: u64,
    answers: bool,
    shared: &(Mutex<State>, Condvar),
) {
    let open = || {
        let state = shared.0.lock().unwrap();
        let back = |state: &mut State| state.keeps_back(number);
        shared.1.wait_while(state, back).unwrap()
    };
    let sleep_until = |due: Instant| thread::sleep(due.saturating_duration_since(Instant::now()));
    for (due, bytes) in under_way {
        sleep_until(due);
        let passed = open().passes(bytes.len(), answers);
        passed.into_iter().for_each(sleep_until);
        let mut state = open();
        let mut now = bytes.len();
        if answers {
            now = state.allows(now);
        }
        drop(state);
        if to.write_all(&bytes[..now]).is_err() {
            return;
        }
        if now < bytes.len() {
            shared.0.lock().unwrap().happen();
            drop(open());
            // After a cut there is nobody to write to.
            if to.write_all(&bytes[now..]).is_err() {
                return;
            }
        }
    }
    // The end is kept back like the rest.
    drop(open());
}
