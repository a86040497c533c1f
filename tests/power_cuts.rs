//! Every state that a power cut can leave on the disk of a lone server: each is made from a recording
//! of what the server did to its files, and the server must start on it with all that it had
//! acknowledged.
//!
//! A disk may write in another order than it was told to, tear a write at a block, and lose what was
//! not synced, also the name of a new file.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::sync::Mutex;

use rustix::fs::{FlockOperation, flock};
use serde_json::json;
use unsynced::{Crash, Op, Options, Report, Search, Trace, Tree, strace};

use crate::support::TestServer;

/// Names the folder for the process whose calls are recorded.
const FOLDER: &str = "NATTERJACK_TEST_FOLDER";

/// What is recorded.
const CONVERSATION: &str = "a_conversation_is_recorded";
/// Also this.
const RECOVERY: &str = "a_recovery_is_recorded";

fn server(folder: &Path) -> TestServer {
    TestServer::with(|config| {
        config.data = Some(folder.join("data"));
        config.rate = 0;
        config.threads = 1;
    })
}

/// What is recorded: a conversation, over the moment when the files are replaced because they have
/// grown. It prints what was heard and what was acknowledged.
#[test]
fn a_conversation_is_recorded() {
    let Ok(folder) = std::env::var(FOLDER) else {
        return;
    };
    let folder = Path::new(&folder);
    let server = server(folder);
    let mut ann = server.typed_in("ann", "attic");
    let [first, last] = ["000001.jsonl", "000003.jsonl"].map(|name| folder.join("data").join(name));
    assert!(first.exists());
    for round in 0.. {
        assert!(round < 200, "the files are never replaced");
        // Each round takes the replacement a step further, at most: on a busy machine there are many.
        let count = if last.exists() { 2 } else { 8 };
        let names: Vec<String> = (0..count).map(|n| format!("{round}.{n}")).collect();
        for name in &names {
            let text = format!("{name} {}", "日".repeat(4000));
            ann.put(json!({"type": "chat", "room": "attic", "text": text, "ref": name}));
        }
        let mut acknowledged = 0;
        // Said at once, in one call, when all of it is true.
        let mut said = String::from("\n");
        while acknowledged < names.len() {
            let object = ann.object();
            let id = object["id"].as_str().unwrap_or_default();
            match object["type"].as_str() {
                Some("chat") => {
                    let name = object["text"].as_str().unwrap().split(' ').next().unwrap();
                    said += &format!("heard {id} {name}\n");
                }
                Some("ack") => {
                    said += &format!("acknowledged {id} {}\n", object["ref"].as_str().unwrap());
                    acknowledged += 1;
                }
                _ => {}
            }
        }
        std::io::stdout().write_all(said.as_bytes()).unwrap();
        if !first.exists() {
            break;
        }
    }
}

/// What is recorded of a start after a power cut: one more message.
#[test]
fn a_recovery_is_recorded() {
    let Ok(folder) = std::env::var(FOLDER) else {
        return;
    };
    let server = server(Path::new(&folder));
    let mut ann = server.typed_in("ann", "attic");
    ann.put(json!({"type": "chat", "room": "attic", "text": "more", "ref": "more"}));
    let ack = ann.gets_at_last(json!({"type": "ack", "ref": "more"}));
    let id = ack["id"].as_str().unwrap();
    let said = format!("\nheard {id} more\nacknowledged {id} more\n");
    std::io::stdout().write_all(said.as_bytes()).unwrap();
}

/// Lets a process do this in an empty folder, and records its calls.
fn recorded(what: &str) -> Trace {
    let folder = tempfile::tempdir().unwrap();
    recorded_in(folder.path(), what)
}

fn recorded_in(folder: &Path, what: &str) -> Trace {
    let folder = folder.canonicalize().unwrap();
    let test = std::env::current_exe().unwrap();
    let command = [
        "env".into(),
        format!("{FOLDER}={}", folder.display()),
        test.display().to_string(),
        format!("power_cuts::{what}"),
        "--exact".into(),
        "--nocapture".into(),
    ];
    let recording = strace::record(&folder, &command).unwrap();
    assert!(recording.success);
    assert_eq!(recording.warnings, [""; 0]);
    recording.trace
}

/// The messages of which the conversation has said this before the crash: their ids, by name.
fn marked(crash: &Crash<'_>, word: &str) -> HashMap<String, String> {
    let lines = crash.marks.iter().flat_map(|mark| mark.lines());
    let words = lines.map(|line| line.split(' ').collect::<Vec<_>>());
    let marked = words.filter(|words| words.len() == 3 && words[0] == word);
    marked
        .map(|words| (words[2].to_string(), words[1].to_string()))
        .collect()
}

/// Starts on what the crash has left.
fn starts_with_everything(crash: &Crash<'_>) -> Result<(), String> {
    let data = crash.dir.join("data");
    let server = TestServer::try_with(|config| {
        config.data = Some(data.clone());
        config.threads = 1;
    })?;
    let remembered = remembers_everything(&server, crash);
    drop(server);
    // Files that are being replaced are in use for a moment longer.
    let lock = File::open(data.join("lock")).unwrap();
    flock(lock, FlockOperation::LockExclusive).unwrap();
    remembered
}

fn remembers_everything(server: &TestServer, crash: &Crash<'_>) -> Result<(), String> {
    let mut bob = server.typed("bob");
    bob.put(json!({"type": "join", "room": "attic", "since": "0-0"}));
    bob.gets(json!({"type": "joined"}));
    bob.put(json!({"type": "chat", "room": "attic", "text": "next"}));
    let mut kept = Vec::new();
    let next = loop {
        let chat = bob.gets_at_last(json!({"type": "chat"}));
        let (id, text) = (chat["id"].as_str().unwrap(), chat["text"].as_str().unwrap());
        match text.split(' ').next() {
            Some("next") => break id.to_string(),
            Some(name) => kept.push((name.to_string(), id.to_string())),
            None => {}
        }
    };
    let names: HashSet<&String> = kept.iter().map(|(name, _)| name).collect();
    if names.len() != kept.len() {
        return Err(format!("said twice: {kept:?}"));
    }
    let acknowledged = marked(crash, "acknowledged");
    for (name, id) in &acknowledged {
        if !kept.contains(&(name.clone(), id.clone())) {
            return Err(format!(
                "{name} was acknowledged as {id}; there are {kept:?}"
            ));
        }
    }
    match marked(crash, "heard").values().any(|heard| *heard == next) {
        true => Err(format!("{next} was given out again")),
        false => Ok(()),
    }
}

fn options(states: usize) -> Options {
    Options {
        max_states: states,
        // Long writes tear in few places, so that this takes seconds.
        block_size: 32 * 1024,
        // The servers wait for their disk most of the time.
        jobs: 8,
        search: Search {
            exhaustive_limit: 3,
            samples: 2,
            ..Search::default()
        },
        ..Options::default()
    }
}

fn explored(trace: &Trace, states: usize) -> Report {
    unsynced::check(trace, &options(states), starts_with_everything).unwrap()
}

/// A state that a power cut has left, and what had been said before it.
type State = (Tree, Vec<String>);

/// For each set of files that a power cut can leave, some states with these files.
fn states(trace: &Trace, each: usize) -> Vec<State> {
    let found: Mutex<BTreeMap<Vec<String>, Vec<State>>> = Mutex::default();
    let collect = |crash: &Crash<'_>| {
        let files = fs::read_dir(crash.dir.join("data")).into_iter().flatten();
        let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        let mut found = found.lock().unwrap();
        let states = found.entry(names).or_default();
        if states.len() < each {
            states.push((Tree::load(crash.dir).unwrap(), crash.marks.to_vec()));
        }
        Ok(())
    };
    unsynced::check(trace, &options(1000), collect).unwrap();
    found
        .into_inner()
        .unwrap()
        .into_values()
        .flatten()
        .collect()
}

/// Cuts the power once more while the server starts on what a power cut has left, and says something.
/// Returns how many states were looked at.
fn cut_again(each: usize, states_of_each: usize) -> usize {
    let mut looked_at = 0;
    for (tree, before) in states(&recorded(CONVERSATION), each) {
        let folder = tempfile::tempdir().unwrap();
        tree.write_to(folder.path()).unwrap();
        let recovery = recorded_in(folder.path(), RECOVERY);
        let check = |crash: &Crash<'_>| {
            let marks = [&before[..], crash.marks].concat();
            starts_with_everything(&Crash {
                dir: crash.dir,
                point: crash.point,
                marks: &marks,
            })
        };
        let report = unsynced::check(&recovery, &options(states_of_each), check).unwrap();
        assert!(report.is_clean(), "{report}");
        looked_at += report.states;
    }
    looked_at
}

#[test]
fn no_power_cut_during_the_start_after_one_loses_anything() {
    let states = cut_again(1, 5);
    assert!(states > 20, "{states}");
}

/// `make soak` with `ALONE=1`.
#[test]
#[ignore = "takes minutes: ALONE=1 make soak"]
fn a_soak_of_power_cuts_during_the_start_after_one() {
    if std::env::var("ALONE").is_ok_and(|alone| alone == "1") {
        println!("{} states after two power cuts", cut_again(8, 1000));
    }
}

#[test]
fn no_power_cut_loses_what_was_acknowledged() {
    let trace = recorded(CONVERSATION);
    let replaced = trace.ops.iter().any(|op| matches!(op, Op::Unlink { .. }));
    assert!(replaced, "the files were replaced");
    let report = explored(&trace, 1000);
    assert!(report.is_clean(), "{report}");
    assert!(!report.truncated && report.states > 100, "{report}");
}

/// Shows that the exploration finds what is wrong: without syncs, acknowledged messages are lost.
#[test]
fn a_journal_without_syncs_is_caught() {
    let mut trace = recorded(CONVERSATION);
    trace.ops.retain(|op| !matches!(op, Op::Fsync { .. }));
    let report = explored(&trace, 200);
    assert!(!report.is_clean());
}
