//! A reader of server-sent events.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use serde_json::Value;

use super::DEADLINE;

/// One stream. Panics name the last thing it has heard.
pub struct Follower<R: Read = TcpStream> {
    /// The status line and the headers of the answer.
    pub head: Vec<String>,
    stream: BufReader<R>,
    heard: String,
}

/// One event.
#[derive(Debug, PartialEq, Eq)]
pub struct SentEvent {
    pub kind: String,
    pub id: Option<String>,
    pub data: Value,
}

impl Follower {
    /// Follows what is at this target, with these headers, each with its line end.
    #[track_caller]
    pub fn open(addr: SocketAddr, target: &str, headers: &str) -> Follower {
        let request = format!(
            "GET {target} HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n{headers}\r\n"
        );
        Follower::request(addr, &request)
    }

    /// Follows with a request of one's own.
    #[track_caller]
    pub fn request(addr: SocketAddr, request: &str) -> Follower {
        let stream = TcpStream::connect(addr).expect("the server listens");
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let follower = Follower::over(stream, request);
        assert_eq!(follower.head[0], "HTTP/1.1 200 OK", "{:?}", follower.head);
        follower
    }

    /// The connection itself.
    pub fn stream(&self) -> &TcpStream {
        self.stream.get_ref()
    }
}

impl<S: Read + Write> Follower<S> {
    /// Follows over a connection that is there.
    #[track_caller]
    pub fn over(mut connection: S, request: &str) -> Follower<S> {
        connection.write_all(request.as_bytes()).unwrap();
        Follower::read(connection)
    }
}

impl<R: Read> Follower<R> {
    /// Reads an answer that comes from somewhere else.
    #[track_caller]
    pub fn read(answer: R) -> Follower<R> {
        let mut follower = Follower::body(answer);
        while let Some(line) = follower.line().filter(|line| !line.is_empty()) {
            follower.head.push(line);
        }
        follower
    }

    /// Reads the body of an answer.
    pub fn body(answer: R) -> Follower<R> {
        Follower {
            head: Vec::new(),
            stream: BufReader::new(answer),
            heard: String::new(),
        }
    }

    /// The next line; `None` at the end.
    #[track_caller]
    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        match self.stream.read_line(&mut line) {
            Ok(0) => None,
            Ok(_) => {
                self.heard.clone_from(&line);
                let end = ['\r', '\n'];
                assert!(line.ends_with('\n'), "it was cut within {line:?}");
                Some(line.trim_end_matches(end).to_string())
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => None,
            Err(error) => panic!("{error}; heard before: {:?}", self.heard),
        }
    }

    /// The next lines up to an empty one; none at the end.
    #[track_caller]
    pub fn lines(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        while let Some(line) = self.line() {
            if line.is_empty() {
                return lines;
            }
            lines.push(line);
        }
        assert_eq!(lines, [""; 0], "it was cut within an event");
        lines
    }

    /// The next event; `None` at the end. Comments are passed over.
    #[track_caller]
    pub fn event(&mut self) -> Option<SentEvent> {
        let end = Instant::now() + DEADLINE;
        loop {
            assert!(Instant::now() < end, "only comments are heard");
            let lines = self.lines();
            if lines.is_empty() {
                return None;
            }
            let field = |name: &str| {
                let mut values = lines.iter().filter_map(|line| line.split_once(": "));
                let found = values.find(|(field, _)| *field == name);
                found.map(|(_, value)| value.to_string())
            };
            if let (Some(kind), Some(data)) = (field("event"), field("data")) {
                let data = serde_json::from_str(&data).expect("JSON");
                let id = field("id");
                return Some(SentEvent { kind, id, data });
            }
        }
    }

    /// The next event is of this kind.
    #[track_caller]
    pub fn hears(&mut self, kind: &str) -> SentEvent {
        match self.event() {
            Some(event) if event.kind == kind => event,
            other => panic!("expected {kind}, heard {other:?}"),
        }
    }

    /// The next events are messages with these texts. Returns their ids.
    #[track_caller]
    pub fn hears_texts(&mut self, texts: &[&str]) -> Vec<String> {
        let heard = texts.iter().map(|text| {
            let chat = self.hears("chat");
            assert_eq!(chat.data["text"], *text, "{chat:?}");
            assert_eq!(chat.data["id"].as_str(), chat.id.as_deref());
            chat.id.expect("an id")
        });
        heard.collect()
    }

    /// It ends like this: with a reason, and when to come back in milliseconds.
    #[track_caller]
    pub fn is_closed(&mut self, reason: &str) {
        let mut last = self.lines();
        while let next @ [_, ..] = &self.lines()[..] {
            last = next.to_vec();
        }
        assert_eq!(last[0], format!(": {reason}"), "{last:?}");
        let retry = last[1].strip_prefix("retry: ").expect("a time");
        assert!(retry.parse::<u32>().unwrap() <= 3000, "{retry}");
    }
}
