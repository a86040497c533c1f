//! A connection that sends without a pause does not delay the others.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustls::ClientConfig;
use rustls::version::TLS13;

use crate::support::{Certs, Client, Program, Raw, Stream, TestServer, eventually, frame};
use crate::support::{secure, upgrade};

/// What goes out in one write of a flood.
const FLOOD: usize = 600 * 1024;

/// Frames that are not messages, and messages, 600 KB of each kind.
fn floods() -> Vec<(&'static str, Vec<u8>)> {
    let many = |first: &[u8], frame: Vec<u8>| {
        let count = FLOOD / frame.len();
        [first, &frame.repeat(count)].concat()
    };
    vec![
        ("pings", many(b"", frame(0x89, b""))),
        ("long pings", many(b"", frame(0x89, &[b'x'; 125]))),
        ("pongs", many(b"", frame(0x8a, b""))),
        ("empty fragments", many(&frame(0x01, b""), frame(0x00, b""))),
        (
            "tiny fragments",
            many(&frame(0x01, b"x"), frame(0x00, b"x")),
        ),
        ("tiny texts", many(b"", frame(0x81, b"x"))),
        ("texts of tiny fragments", {
            let pair = [frame(0x01, b"x"), frame(0x80, b"y")].concat();
            many(b"", pair)
        }),
    ]
}

/// Connects, plain or over TLS, and is welcomed.
fn join(addr: SocketAddr, config: Option<&Arc<ClientConfig>>, user: &str) -> Stream {
    let mut stream: Stream = match config {
        Some(config) => secure::connect(addr, config).unwrap().into(),
        None => {
            let raw = Raw::connect(addr);
            raw.stream().try_clone().unwrap().into()
        }
    };
    stream.write_all(upgrade(user).as_bytes()).unwrap();
    let mut heard = Vec::new();
    while !heard.ends_with(format!("Welcome {user}!").as_bytes()) {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        heard.push(byte[0]);
    }
    stream
}

fn client(addr: SocketAddr, config: Option<&Arc<ClientConfig>>, user: &str) -> Client {
    let target = format!("/chat/{user}");
    let mut client = match config {
        Some(config) => Client::secure(addr, &target, config),
        None => Client::connect(addr, &target),
    };
    client.hears(&format!("Welcome {user}!"));
    client
}

/// People who flood, and come again when they are closed.
struct Flooders {
    enough: Arc<AtomicBool>,
    /// How many connections have been flooded.
    floods: Arc<AtomicU32>,
    threads: Vec<JoinHandle<()>>,
}

impl Flooders {
    fn start(addr: SocketAddr, config: Option<&Arc<ClientConfig>>, bytes: &[u8]) -> Flooders {
        let enough = Arc::new(AtomicBool::new(false));
        let floods = Arc::new(AtomicU32::new(0));
        let flood = |_| {
            let (enough, floods) = (enough.clone(), floods.clone());
            let (config, bytes) = (config.cloned(), bytes.to_vec());
            // Ends when it is told to, or when the server does.
            std::thread::spawn(move || {
                while !enough.load(Ordering::Relaxed) {
                    let stream = match &config {
                        Some(config) => secure::connect(addr, config).map(Stream::from).ok(),
                        None => std::net::TcpStream::connect(addr).map(Stream::from).ok(),
                    };
                    let Some(mut stream) = stream else { return };
                    // Without a name, it may come again at once.
                    let request = upgrade("x").replace("/chat/x", "/ws");
                    let _ = stream.write_all(request.as_bytes());
                    let timeout = Some(Duration::from_secs(5));
                    stream.tcp().set_write_timeout(timeout).unwrap();
                    while !enough.load(Ordering::Relaxed) && stream.write_all(&bytes).is_ok() {
                        floods.fetch_add(1, Ordering::Relaxed);
                    }
                }
            })
        };
        let threads = (0..3).map(flood).collect();
        Flooders {
            enough,
            floods,
            threads,
        }
    }

    /// Waits until so many more have been flooded.
    fn flood_on(&self) {
        let floods = self.floods.load(Ordering::Relaxed);
        eventually("the flood goes on", || {
            (self.floods.load(Ordering::Relaxed) > floods).then_some(())
        });
    }

    fn stop(self) {
        self.enough.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().unwrap();
        }
    }
}

/// Runs this plain and over TLS, on one thread.
fn plain_and_secure(run: impl Fn(&TestServer, Option<&Arc<ClientConfig>>)) {
    run(&TestServer::with(|config| config.threads = 1), None);
    let certs = Certs::for_host("localhost");
    let server = TestServer::with(|config| {
        config.threads = 1;
        (config.tls_cert, config.tls_key) = certs.files();
    });
    run(&server, Some(&secure::trusting(&certs, &[&TLS13])));
}

#[test]
fn floods_of_frames_that_are_not_messages_are_closed_with_1008() {
    plain_and_secure(|server, config| {
        for (what, bytes) in floods() {
            if what == "tiny texts" {
                // These are refused one by one, by the rate of messages.
                continue;
            }
            println!("{what}");
            let mut bad = join(server.addr(), config, "bad");
            let _ = bad.write_all(&bytes);
            let mut heard = Vec::new();
            let _ = bad.read_to_end(&mut heard);
            let close = [&[0x88, 20, 0x03, 0xf0][..], b"rate limit ignored"].concat();
            assert!(
                heard.ends_with(&close),
                "{what}: {:?}",
                heard.last_chunk::<24>()
            );
        }
    });
}

#[test]
fn others_can_talk_during_floods_of_any_kind() {
    plain_and_secure(|server, config| {
        for (what, bytes) in floods() {
            println!("{what}");
            let flooders = Flooders::start(server.addr(), config, &bytes);
            flooders.flood_on();
            let [mut ann, mut bar] = ["ann", "bar"].map(|user| client(server.addr(), config, user));
            ann.hears("bar: has joined the chat!");
            for n in 0..10 {
                ann.say(&n.to_string());
                bar.hears_at_last(&format!("ann: {n}"));
            }
            flooders.flood_on();
            flooders.stop();
            ann.leave();
            bar.leave();
        }
    });
}

#[test]
fn occasional_pings_and_large_fragmented_messages_are_allowed() {
    plain_and_secure(|server, config| {
        let mut foo = client(server.addr(), config, "foo");
        let mut bar = join(server.addr(), config, "bar");
        foo.hears("bar: has joined the chat!");
        let piece = "x".repeat(600);
        let mut message = frame(0x01, piece.as_bytes());
        for _ in 0..4 {
            message.extend(frame(0x89, b"still there?"));
            message.extend(frame(0x00, piece.as_bytes()));
        }
        message.extend(frame(0x80, b"!"));
        for _ in 0..40 {
            bar.write_all(&message).unwrap();
            foo.hears(&format!("bar: {}!", piece.repeat(5)));
        }
    });
}

#[test]
fn a_signal_is_noticed_at_once_during_a_flood() {
    for (what, bytes) in floods() {
        println!("{what}");
        let mut program = Program::start(&["--threads", "1"]);
        let flooders = Flooders::start(program.addr(), None, &bytes);
        flooders.flood_on();
        let started = Instant::now();
        program.signal("TERM");
        program.logs("stopping");
        assert!(program.wait().success());
        flooders.stop();
        assert!(
            started.elapsed() < Duration::from_secs(10),
            "{what}: ten seconds are promised"
        );
    }
}
