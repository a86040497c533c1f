//! A server that runs alone and keeps messages in a folder.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Client, Program};

/// A server and its folder.
pub struct Alone {
    folder: TempDir,
    flags: Vec<String>,
    /// The process.
    pub program: Program,
    /// Where it listens.
    pub addr: SocketAddr,
}

impl Alone {
    /// With an empty folder.
    pub fn start() -> Alone {
        Alone::start_in(tempfile::tempdir().unwrap(), &[])
    }

    /// With this in its environment the first time.
    pub fn start_in(folder: TempDir, environment: &[(&str, &str)]) -> Alone {
        Alone::start_with(folder, &[], environment)
    }

    /// With these flags, and with this in its environment the first time.
    pub fn start_with(folder: TempDir, flags: &[&str], environment: &[(&str, &str)]) -> Alone {
        let data = data(&folder).display().to_string();
        let flags = [&["--rate", "0", "--data", &data], flags].concat();
        let mut program = Program::start_with(&flags, environment);
        let addr = program.addr();
        Alone {
            folder,
            flags: flags.into_iter().map(String::from).collect(),
            program,
            addr,
        }
    }

    /// Starts again where the last one was.
    pub fn start_again(&mut self) {
        let flags: Vec<&str> = self.flags.iter().map(String::as_str).collect();
        self.program = Program::start(&flags);
        self.addr = self.program.addr();
    }

    /// Ends it as a power cut would, but for what the system had not yet written.
    pub fn cut_and_start_again(&mut self) {
        self.program.kill();
        self.start_again();
    }

    /// The same without another start; returns the folder.
    pub fn cut(mut self) -> TempDir {
        self.program.kill();
        self.folder
    }

    /// Stops it in good order.
    pub fn stop_and_start_again(&mut self) {
        self.program.signal("TERM");
        assert_eq!(self.program.wait().code(), Some(0));
        self.start_again();
    }

    /// Connects as a typed client with this name and a session key of its own, and takes its welcome.
    pub fn typed(&self, user: &str) -> Client {
        let target = format!("/ws?user={user}&session=key+of+{user}");
        let mut client = Client::connect(self.addr, &target);
        client.gets(json!({"type": "welcome", "userId": user}));
        client
    }

    /// Says this in a room and returns the ids that it is acknowledged with.
    pub fn say(&self, user: &str, room: &str, texts: &[&str]) -> Vec<String> {
        let mut client = self.typed(user);
        client.put(json!({"type": "join", "room": room}));
        client.gets_at_last(json!({"type": "joined", "room": room}));
        let say = |text: &&str| {
            client.put(json!({"type": "chat", "room": room, "text": text, "ref": text}));
            let ack = client.gets_at_last(json!({"type": "ack", "ref": text}));
            ack["id"].as_str().unwrap().to_string()
        };
        let ids = texts.iter().map(say).collect();
        client.leave();
        ids
    }

    /// What somebody is told who comes back with `since`, and the texts that follow.
    pub fn comes_back(&self, room: &str, since: &str) -> (Value, Vec<String>) {
        let mut client = self.typed("reader");
        client.put(json!({"type": "join", "room": room, "since": since}));
        let joined = client.gets_at_last(json!({"type": "joined", "room": room}));
        client.put(json!({"type": "who", "room": room}));
        let mut texts = Vec::new();
        loop {
            let object = client.object();
            match object["type"].as_str() {
                Some("chat") => texts.push(object["text"].as_str().unwrap().to_string()),
                Some("who") => break,
                _ => {}
            }
        }
        client.leave();
        (joined["complete"].clone(), texts)
    }

    /// Somebody comes back from before everything, and is told that something is missing.
    pub fn hears_that_something_is_missing(&self, room: &str) {
        let mut client = self.typed("reader");
        client.put(json!({"type": "join", "room": room, "since": "0-0"}));
        client.gets_at_last(json!({"type": "joined", "room": room, "complete": false}));
        client.put(json!({"type": "who", "room": room}));
        client.gets_at_last(json!({"type": "who", "room": room}));
        client.leave();
    }

    /// The folder that it was given.
    pub fn data(&self) -> PathBuf {
        data(&self.folder)
    }

    /// The journal's files, in order.
    pub fn files(&self) -> Vec<PathBuf> {
        let journal = |path: &PathBuf| path.extension().is_some_and(|kind| kind == "jsonl");
        self.all_files().into_iter().filter(journal).collect()
    }

    /// All files in the folder, in order.
    pub fn all_files(&self) -> Vec<PathBuf> {
        let files = fs::read_dir(self.data()).unwrap();
        let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
        files.sort();
        files
    }
}

/// The folder that a server with this one is given.
pub fn data(folder: &TempDir) -> PathBuf {
    folder.path().join("data")
}
