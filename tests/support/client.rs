//! A WebSocket client that checks the messages it receives.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Instant;

use rustls::ClientConfig;
use serde_json::{Value, json};
use tungstenite::client::IntoClientRequest;
use tungstenite::handshake::client::Request;
use tungstenite::{Error, Message, WebSocket};

use super::DEADLINE;
use super::secure::{self, Secure};
use super::stream::Stream;

/// One connection. Panics name everything it has heard so far.
pub struct Client {
    socket: WebSocket<Stream>,
    heard: Vec<String>,
}

impl Client {
    /// Connects and upgrades.
    #[track_caller]
    pub fn connect(addr: SocketAddr, target: &str) -> Client {
        Client::request(addr, target, |_| {}).unwrap_or_else(|error| panic!("{target}: {error}"))
    }

    /// Connects with headers of one's own; the error is the status it is refused with.
    pub fn request(
        addr: SocketAddr,
        target: &str,
        set: impl FnOnce(&mut Request),
    ) -> Result<Client, u16> {
        let stream = TcpStream::connect(addr).expect("the server listens");
        Client::over(stream, target, set)
    }

    /// The same over TLS.
    #[track_caller]
    pub fn secure(addr: SocketAddr, target: &str, config: &Arc<ClientConfig>) -> Client {
        let stream = secure::connect(addr, config).unwrap_or_else(|error| panic!("TLS: {error}"));
        Client::over(stream, target, |_| {}).unwrap_or_else(|error| panic!("{target}: {error}"))
    }

    /// Upgrades a connection that is there.
    pub fn over(
        stream: impl Into<Stream>,
        target: &str,
        set: impl FnOnce(&mut Request),
    ) -> Result<Client, u16> {
        let stream = stream.into();
        let tcp = stream.tcp();
        tcp.set_read_timeout(Some(DEADLINE)).unwrap();
        tcp.set_write_timeout(Some(DEADLINE)).unwrap();
        tcp.set_nodelay(true).unwrap();
        let host = tcp.peer_addr().unwrap();
        let mut request = format!("ws://{host}{target}")
            .into_client_request()
            .unwrap();
        set(&mut request);
        match tungstenite::client(request, stream) {
            Ok((socket, _)) => Ok(Client {
                socket,
                heard: Vec::new(),
            }),
            Err(tungstenite::HandshakeError::Failure(Error::Http(answer))) => {
                Err(answer.status().as_u16())
            }
            Err(error) => panic!("{target}: {error}"),
        }
    }

    /// Says a text.
    #[track_caller]
    pub fn say(&mut self, text: &str) {
        self.send(Message::text(text));
    }

    /// Says a text in a room, in the typed dialect, and returns its id.
    #[track_caller]
    pub fn says_in(&mut self, room: &str, text: &str) -> String {
        self.put(json!({"type": "chat", "room": room, "text": text}));
        let said = self.gets(json!({"type": "chat"}));
        said["id"].as_str().unwrap().to_string()
    }

    /// Sends any message.
    #[track_caller]
    pub fn send(&mut self, message: Message) {
        self.socket
            .send(message)
            .unwrap_or_else(|error| self.fail(&format!("can't send: {error}")));
    }

    /// Sends messages as fast as they are taken, as long as they are taken.
    pub fn flood(&mut self, count: usize, text: &str) {
        for _ in 0..count {
            if self.socket.write(Message::text(text)).is_err() {
                return;
            }
        }
        let _ = self.socket.flush();
    }

    /// The next thing it hears is this.
    #[track_caller]
    pub fn hears(&mut self, text: &str) {
        let heard = self.next();
        if heard != text {
            self.fail(&format!("expected {text:?}, heard {heard:?}"));
        }
    }

    /// The next things it hears are these, in this order.
    #[track_caller]
    pub fn hears_in_order(&mut self, texts: &[&str]) {
        for text in texts {
            self.hears(text);
        }
    }

    /// Says an object.
    #[track_caller]
    pub fn put(&mut self, object: Value) {
        self.say(&object.to_string());
    }

    /// The next thing it hears is an object that has at least these keys, with these values; what
    /// is `null` here may be anything but missing. Returns it whole.
    #[track_caller]
    pub fn gets(&mut self, like: Value) -> Value {
        let heard = self.object();
        if !has(&heard, &like) {
            self.fail(&format!("expected {like}, heard {heard}"));
        }
        heard
    }

    /// Hears things until an object [like](Self::gets) this.
    #[track_caller]
    pub fn gets_at_last(&mut self, like: Value) -> Value {
        loop {
            let heard = self.object();
            if has(&heard, &like) {
                return heard;
            }
        }
    }

    /// The next thing it hears is exactly this object.
    #[track_caller]
    pub fn gets_just(&mut self, object: Value) {
        let heard = self.object();
        if heard != object {
            self.fail(&format!("expected {object}, heard {heard}"));
        }
    }

    /// What it asks for is refused with this code.
    #[track_caller]
    pub fn is_refused(&mut self, object: Value, code: &str) -> Value {
        self.put(object);
        self.gets(json!({"type": "error", "code": code, "message": null}))
    }

    /// Hears things until an object of this type, and returns it.
    #[track_caller]
    pub fn hears_of(&mut self, kind: &str) -> Value {
        loop {
            let object = self.object();
            if object["type"] == kind {
                return object;
            }
        }
    }

    /// What it is told of the presence of a user until it hears this text.
    #[track_caller]
    pub fn is_told_until(&mut self, text: &str, user: &str) -> Vec<String> {
        let mut told = Vec::new();
        loop {
            let heard = self.object();
            if heard["text"] == text {
                return told;
            }
            if heard["type"] == "presence" && heard["userId"] == user {
                told.extend(heard["status"].as_str().map(String::from));
            }
        }
    }

    /// The next thing it hears, an object; `None` when it is closed with this code instead.
    #[track_caller]
    pub fn object_or_close(&mut self, code: u16) -> Option<Value> {
        match self.read() {
            Ok(Message::Text(text)) => Some(serde_json::from_str(&text).expect("an object")),
            Ok(Message::Close(Some(close))) if u16::from(close.code) == code => None,
            other => self.fail(&format!("expected to be closed with {code}, got {other:?}")),
        }
    }

    /// The next thing it hears, an object.
    #[track_caller]
    pub fn object(&mut self) -> Value {
        let heard = self.next();
        match serde_json::from_str(&heard) {
            Ok(object) => object,
            Err(error) => self.fail(&format!("{error} in {heard:?}")),
        }
    }

    /// Hears things until this one.
    #[track_caller]
    pub fn hears_at_last(&mut self, text: &str) {
        while self.next() != text {}
    }

    /// The next text it hears.
    #[track_caller]
    pub fn next(&mut self) -> String {
        match self.read() {
            Ok(Message::Text(text)) => {
                self.heard.push(text.to_string());
                text.to_string()
            }
            other => self.fail(&format!("expected a text, got {other:?}")),
        }
    }

    /// It is closed with this code. Earlier messages are ignored.
    #[track_caller]
    pub fn is_closed(&mut self, code: u16) {
        loop {
            match self.read() {
                Ok(Message::Text(text)) => self.heard.push(text.to_string()),
                Ok(Message::Close(Some(close))) => {
                    assert_eq!(u16::from(close.code), code, "{}", close.reason);
                    // The server closes the connection after both close frames.
                    while self.read().is_ok() {}
                    return;
                }
                other => self.fail(&format!("expected to be closed with {code}, got {other:?}")),
            }
        }
    }

    /// Sends a close frame and waits for the answer.
    #[track_caller]
    pub fn leave(mut self) {
        self.socket
            .close(None)
            .unwrap_or_else(|error| self.fail(&format!("can't close: {error}")));
        while self.read().is_ok() {}
    }

    /// From here on its system keeps little of what it has not read yet.
    pub fn keeps_little(&self) {
        rustix::net::sockopt::set_socket_recv_buffer_size(self.stream(), 128 * 1024).unwrap();
    }

    /// The next message, answering pings on the way.
    fn read(&mut self) -> Result<Message, Error> {
        let end = Instant::now() + DEADLINE;
        loop {
            match self.socket.read() {
                Ok(Message::Ping(_) | Message::Pong(_)) if Instant::now() < end => {}
                Ok(Message::Ping(_) | Message::Pong(_)) => self.fail("only pings are heard"),
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.fail("nothing is heard any more")
                }
                other => return other,
            }
        }
    }

    /// The next message, a ping or pong too.
    #[track_caller]
    pub fn frame(&mut self) -> Message {
        self.socket
            .read()
            .unwrap_or_else(|error| self.fail(&format!("no frame: {error}")))
    }

    /// Waits until the server has taken everything it has said so far; what it hears meanwhile is
    /// passed over.
    #[track_caller]
    pub fn is_taken(&mut self) {
        self.send(Message::Ping("taken?".into()));
        while !matches!(self.frame(), Message::Pong(_)) {}
    }

    /// Where it connects from.
    pub fn stream(&self) -> &TcpStream {
        self.socket.get_ref().tcp()
    }

    /// Its side of TLS.
    #[track_caller]
    pub fn tls(&mut self) -> &mut Secure {
        match self.socket.get_mut() {
            Stream::Secure(secure) => secure,
            Stream::Plain(_) => panic!("it does not speak TLS"),
        }
    }

    #[track_caller]
    fn fail(&self, what: &str) -> ! {
        let from = self.heard.len().saturating_sub(20);
        panic!("{what}; heard before: {:#?}", &self.heard[from..])
    }
}

fn has(heard: &Value, like: &Value) -> bool {
    let mut keys = like.as_object().expect("an object").iter();
    keys.all(|(key, value)| match heard.get(key) {
        Some(found) => value.is_null() || found == value,
        None => false,
    })
}
