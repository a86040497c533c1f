//! Somebody else's site, with one page.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::thread;

/// Serves the page under every path, and returns the address. Ends with the process.
pub fn site(page: &str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{page}",
        page.len()
    );
    thread::spawn(move || {
        for mut browser in listener.incoming().flatten() {
            let _ = browser.read(&mut [0; 4096]);
            let _ = browser.write_all(answer.as_bytes());
        }
    });
    addr
}
