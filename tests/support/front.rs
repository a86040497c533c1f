//! In front of a server: answers some paths itself, as an earlier version of the server would.

use std::collections::BTreeMap;
use std::io::{Read, Write, copy};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// What it answers itself: the content type and the body by path.
type Own = Arc<Mutex<BTreeMap<String, (String, String)>>>;

/// Answers until the process ends.
pub struct Front {
    addr: SocketAddr,
    own: Own,
}

impl Front {
    /// In front of this server, and passes everything on.
    pub fn before(server: SocketAddr) -> Front {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let own = Own::default();
        let shared = own.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let own = shared.clone();
                // Ends with the connection.
                thread::spawn(move || serve(client, server, &own));
            }
        });
        Front { addr, own }
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// From now on answers this path itself.
    pub fn answers(&self, path: &str, content_type: &str, body: String) {
        let answer = (content_type.to_string(), body);
        self.own.lock().unwrap().insert(path.to_string(), answer);
    }

    /// From now on passes everything on.
    pub fn passes_on(&self) {
        self.own.lock().unwrap().clear();
    }
}

fn serve(mut client: TcpStream, server: SocketAddr, own: &Own) -> Option<()> {
    let head = head_of(&mut client)?;
    let text = String::from_utf8_lossy(&head);
    let path = text.split(' ').nth(1)?;
    let answer = own.lock().unwrap().get(path).cloned();
    if let Some((content_type, body)) = answer {
        let length = body.len();
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\
             Cache-Control: no-cache\r\nConnection: close\r\n\r\n{body}"
        );
        return client.write_all(answer.as_bytes()).ok();
    }
    let mut server = TcpStream::connect(server).ok()?;
    server.write_all(&head).ok()?;
    let (mut from, mut to) = (client.try_clone().ok()?, server.try_clone().ok()?);
    thread::spawn(move || {
        let _ = copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
    let _ = copy(&mut server, &mut client);
    client.shutdown(Shutdown::Both).ok()
}

/// The bytes of a request's head, read one by one so that nothing after it is.
fn head_of(client: &mut TcpStream) -> Option<Vec<u8>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte).ok()?;
        head.extend(byte);
    }
    Some(head)
}
