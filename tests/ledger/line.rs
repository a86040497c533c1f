//! A connection that may break at any moment, without anybody being surprised: what went wrong is
//! one line of text.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use tungstenite::{Error, Message, WebSocket};

/// How long a connection, its upgrade or a write may take. The server answers within five seconds
/// whatever ails Redis; the machine may be slow.
pub const TIMEOUT: Duration = Duration::from_secs(10);

/// A WebSocket.
pub struct Line {
    /// Its instance, for the report.
    pub instance: usize,
    socket: WebSocket<TcpStream>,
}

impl Line {
    /// Connects to this instance and upgrades.
    pub fn connect(addrs: &[SocketAddr], instance: usize, target: &str) -> Result<Line, String> {
        let addr = addrs[instance];
        let stream = TcpStream::connect_timeout(&addr, TIMEOUT)
            .and_then(|stream| {
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(TIMEOUT))?;
                stream.set_write_timeout(Some(TIMEOUT))?;
                Ok(stream)
            })
            .map_err(|error| format!("not connected: {error}"))?;
        match tungstenite::client(format!("ws://{addr}{target}"), stream) {
            Ok((socket, _)) => Ok(Line { instance, socket }),
            Err(error) => Err(format!("not upgraded: {error}")),
        }
    }

    /// Says a text.
    pub fn say(&mut self, text: &str) -> Result<(), String> {
        let sent = self.socket.send(Message::text(text));
        sent.map_err(|error| format!("can't send: {error}"))
    }

    /// Says goodbye.
    pub fn close(mut self) {
        let _ = self.socket.close(None);
        let _ = self.socket.flush();
    }

    /// The next text, if there is one until then. `Err`: the connection is over.
    pub fn next(&mut self, until: Instant) -> Result<Option<String>, String> {
        loop {
            // A time-out of zero is none at all.
            let left = until.saturating_duration_since(Instant::now());
            let left = left.max(Duration::from_millis(1));
            let set = self.socket.get_ref().set_read_timeout(Some(left));
            set.map_err(|error| error.to_string())?;
            match self.socket.read() {
                Ok(Message::Text(text)) => return Ok(Some(text.to_string())),
                Ok(Message::Close(Some(close))) => {
                    return Err(format!("closed with {}: {}", close.code, close.reason));
                }
                Ok(_) => {}
                Err(Error::Io(error))
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                {
                    return Ok(None);
                }
                Err(error) => return Err(error.to_string()),
            }
        }
    }
}
