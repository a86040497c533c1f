//! A service of systemd: ready, status and watchdog, the socket that survives a restart, credentials,
//! and lines for the journal.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::support::{Client, Manager, Program, Raw, Redis};

#[test]
fn it_is_ready_when_messages_get_through_and_says_how_it_is() {
    let mut redis = Redis::start();
    redis.kill();
    let manager = Manager::new();
    let mut natterjack = manager.start(&["--redis", &redis.url()], &[]);
    let told = manager.receives("EXTEND_TIMEOUT_USEC=");
    assert!(
        told.contains("STATUS=0 peers, waiting for redis "),
        "{told}"
    );
    // It serves all the same.
    assert_eq!(Raw::get(manager.addr(), "/readyz").0, 503);
    redis.restart();
    let told = manager.receives("READY=1");
    assert!(told.contains("STATUS=0 peers, redis "), "{told}");
    let mut foo = Client::connect(manager.addr(), "/chat/foo");
    foo.hears("Welcome foo!");
    redis.kill();
    manager.receives("STATUS=1 peers, waiting for redis ");
    redis.restart();
    manager.receives("STATUS=1 peers, redis ");
    natterjack.signal("TERM");
    manager.receives("STOPPING=1");
    foo.is_closed(1001);
    assert!(natterjack.wait().success());
}

#[test]
fn the_watchdog_is_fed() {
    let manager = Manager::new();
    let _natterjack = manager.start(&[], &[("WATCHDOG_USEC", "200000")]);
    for _ in 0..3 {
        manager.receives("WATCHDOG=1");
    }
}

#[test]
fn secrets_come_as_credentials_and_show_nowhere() {
    let redis = Redis::with_password("hunter2");
    let manager = Manager::new();
    // As an editor leaves it, with a byte order mark and an end of line.
    manager.entrusts("redis-password", "\u{feff}hunter2\r\n");
    let mut natterjack = manager.start(&["--redis", &redis.url(), "--log", "debug"], &[]);
    manager.receives("READY=1");
    let process = format!("/proc/{}", natterjack.id());
    for file in ["cmdline", "environ"] {
        let shown = fs::read_to_string(format!("{process}/{file}")).unwrap();
        assert!(!shown.contains("hunter2"), "{file}: {shown}");
    }
    assert!(
        natterjack
            .log()
            .iter()
            .all(|line| !line.contains("hunter2"))
    );
}

#[test]
fn an_unreadable_credential_is_one_line() {
    let redis = Redis::start();
    let manager = Manager::new();
    let credentials = manager.entrusted_folder();
    fs::create_dir(credentials.join("redis-password")).unwrap();
    let mut natterjack = manager.start(&["--redis", &redis.url()], &[]);
    let line = natterjack.logs("warn: credential");
    assert!(line.contains("redis-password: Is a directory"), "{line}");
    manager.receives("READY=1");
}

/// While it is restarted again and again, people come and go, and two talk all the time.
#[test]
fn a_restart_refuses_nobody_and_loses_nothing() {
    let redis = Redis::start();
    let manager = Manager::new();
    let start = || {
        let natterjack = manager.start(&["--redis", &redis.url(), "--rate", "0"], &[]);
        manager.receives("READY=1");
        natterjack
    };
    let addr = manager.addr();
    let mut natterjack = start();
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    // Ends when the restarts are over. Each connection is accepted, or told at once that the server
    // restarts.
    let comers = std::thread::spawn(move || {
        let mut comers = 0;
        while stopped.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
            let target = format!("/ws?user=comer{comers}");
            let comer = Client::request(addr, &target, |_| {});
            let mut comer = comer.unwrap_or_else(|status| panic!("refused with {status}"));
            if comer.object_or_close(1001).is_some() {
                comers += 1;
                comer.leave();
            }
        }
        comers
    });
    // Says what has no ack again, as the same client, until it has one.
    let speaker = std::thread::spawn(move || {
        let mut said = 0;
        let mut join = json!({"type": "join", "room": "attic", "user": "ann"});
        while said < 400 {
            let mut ann = Client::connect(addr, "/ws");
            ann.put(join.clone());
            while let Some(object) = ann.object_or_close(1001) {
                match object["type"].as_str() {
                    Some("welcome") => join["session"] = object["session"].clone(),
                    Some("joined" | "ack") => {
                        said += usize::from(object["type"] == "ack");
                        if said == 400 {
                            break;
                        }
                        let name = said.to_string();
                        ann.put(
                            json!({"type": "chat", "room": "attic", "text": name, "ref": name}),
                        );
                    }
                    Some("error") => panic!("{object}"),
                    _ => {}
                }
            }
        }
    });
    let listener = std::thread::spawn(move || {
        let (mut heard, mut since) = (0, json!("0-0"));
        while heard < 400 {
            let mut bob = Client::connect(addr, "/ws?user=bob&session=bob");
            bob.put(json!({"type": "join", "room": "attic", "since": since}));
            while let Some(object) = bob.object_or_close(1001) {
                if object["type"] == "joined" {
                    assert_eq!(object["complete"], true);
                }
                if object["type"] == "chat" {
                    assert_eq!(object["text"], heard.to_string());
                    heard += 1;
                    since = object["id"].clone();
                    if heard == 400 {
                        break;
                    }
                }
            }
        }
    });
    for _ in 0..4 {
        natterjack.signal("TERM");
        assert!(natterjack.wait().success());
        natterjack = start();
    }
    speaker.join().unwrap();
    listener.join().unwrap();
    drop(stop);
    assert!(comers.join().unwrap() > 0);
}

#[test]
fn in_the_journal_lines_have_a_priority_and_no_time() {
    let (read, write) = std::io::pipe().unwrap();
    let file = fs::File::from(std::os::fd::OwnedFd::from(write.try_clone().unwrap()));
    let file = file.metadata().unwrap();
    let mut command = Command::new("sh");
    command
        .args(["-c", r#"exec "$0" "$@""#])
        .args(Program::command())
        .args(["--listen", "127.0.0.1:0", "--redis", "redis://localhost:1"])
        .env_clear()
        .env("JOURNAL_STREAM", format!("{}:{}", file.dev(), file.ino()))
        .stdin(Stdio::null())
        .stderr(write);
    let _program = Program::unheard(command);
    let mut lines = BufReader::new(read).lines().map(Result::unwrap);
    let warn = lines.next().unwrap();
    let info = lines.next().unwrap();
    assert!(warn.starts_with("<4>warn: redis localhost:1: "), "{warn}");
    assert!(
        info.starts_with("<6>info: chatting over redis on "),
        "{info}"
    );
}
