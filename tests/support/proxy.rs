//! A network that fails on demand: forwards TCP to a port, and can stop doing so.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

/// Forwards until it is dropped.
pub struct Proxy {
    addr: SocketAddr,
    state: Arc<(Mutex<State>, Condvar)>,
}

#[derive(Default)]
struct State {
    cut: bool,
    stalled: bool,
    open: Vec<TcpStream>,
}

impl Proxy {
    /// In front of this port of the loopback.
    pub fn to(port: u16) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let state = Arc::<(Mutex<State>, Condvar)>::default();
        let shared = state.clone();
        // Ends with the test's process.
        thread::spawn(move || {
            for client in listener.incoming() {
                let (Ok(client), Ok(server)) = (client, TcpStream::connect(("127.0.0.1", port)))
                else {
                    continue;
                };
                let mut state = shared.0.lock().unwrap();
                if state.cut {
                    continue;
                }
                for stream in [&client, &server] {
                    state.open.push(stream.try_clone().unwrap());
                }
                let back = (server.try_clone().unwrap(), client.try_clone().unwrap());
                for (from, to) in [(client, server), back] {
                    let shared = shared.clone();
                    // Ends with its connection.
                    thread::spawn(move || forward(from, to, &shared));
                }
            }
        });
        Proxy { addr, state }
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.addr.port()
    }

    /// Breaks every connection, and accepts none until it is healed.
    pub fn cut(&self) {
        self.change(|state| {
            state.cut = true;
            for stream in state.open.drain(..) {
                let _ = stream.shutdown(Shutdown::Both);
            }
        });
    }

    /// Connections stay open, but nothing comes through until it is healed.
    pub fn stall(&self) {
        self.change(|state| state.stalled = true);
    }

    /// All is well again.
    pub fn heal(&self) {
        self.change(|state| (state.cut, state.stalled) = (false, false));
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.0.lock().unwrap());
        self.state.1.notify_all();
    }
}

fn forward(mut from: TcpStream, mut to: TcpStream, shared: &(Mutex<State>, Condvar)) {
    let mut chunk = [0; 16 * 1024];
    while let Ok(n @ 1..) = from.read(&mut chunk) {
        let state = shared.0.lock().unwrap();
        drop(shared.1.wait_while(state, |state| state.stalled).unwrap());
        if to.write_all(&chunk[..n]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
