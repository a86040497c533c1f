//! What a lone server keeps in its folder, over restarts and power cuts.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::support::{Alone, Client, Program, eventually};

/// The epoch of an id.
fn epoch(id: &str) -> u64 {
    id.split_once('-').unwrap().0.parse().unwrap()
}

#[test]
fn nothing_is_lost_by_a_restart_in_good_order() {
    let mut alone = Alone::start();
    let before = alone.say("ann", "attic", &["one", "two"]);
    alone.stop_and_start_again();
    let after = alone.say("bob", "attic", &["three"]);
    // The numbers go on.
    assert_eq!(after[0], before[1].replace("-2", "-3"));
    let all = ["one", "two", "three"].map(String::from);
    assert_eq!(
        alone.comes_back("attic", &before[0]),
        (true.into(), all[1..].to_vec())
    );
    assert_eq!(
        alone.comes_back("attic", &after[0]),
        (true.into(), Vec::new())
    );
    // A message that is said again is known.
    assert_eq!(alone.say("bob", "attic", &["three"]).len(), 1);
}

#[test]
fn what_was_acknowledged_survives_a_power_cut() {
    let mut alone = Alone::start();
    let before = alone.say("ann", "attic", &["one", "two"]);
    alone.cut_and_start_again();
    // Nobody knows which numbers were given out, so a new epoch begins.
    let after = alone.say("bob", "attic", &["three"]);
    assert!(epoch(&after[0]) > epoch(&before[1]) && after[0].ends_with("-1"));
    for (since, texts) in [
        (&before[0], &["two", "three"][..]),
        (&before[1], &["three"]),
    ] {
        let texts: Vec<String> = texts.iter().map(ToString::to_string).collect();
        assert_eq!(alone.comes_back("attic", since), (true.into(), texts));
    }
    // Somebody has heard a message that was lost: what there is follows.
    let lost = before[1].replace("-2", "-3");
    let texts = vec!["three".to_string()];
    assert_eq!(alone.comes_back("attic", &lost), (false.into(), texts));
    // Also over a second one.
    alone.cut_and_start_again();
    let texts = ["two", "three"].map(String::from).to_vec();
    assert_eq!(alone.comes_back("attic", &before[0]), (true.into(), texts));
}

#[test]
fn a_number_is_not_given_out_again_when_a_stop_follows_a_power_cut() {
    let mut alone = Alone::start();
    let before = alone.say("ann", "attic", &["one", "two"]);
    alone.cut_and_start_again();
    // The next number may be that of a lost message, as before the stop.
    alone.stop_and_start_again();
    let after = alone.say("bob", "attic", &["three"]);
    assert!(epoch(&after[0]) > epoch(&before[1]) && after[0].ends_with("-1"));
    let texts = vec!["three".to_string()];
    assert_eq!(alone.comes_back("attic", &before[1]), (true.into(), texts));
}

#[test]
fn who_has_heard_a_lost_message_does_not_hear_the_others_again() {
    let mut alone = Alone::start();
    let before = alone.say("ann", "attic", &["one", "two"]);
    alone.cut_and_start_again();
    // Of an epoch that was lost as a whole.
    let lost = format!("{}-1", epoch(&before[1]) + 1);
    assert_eq!(alone.comes_back("attic", &lost), (false.into(), vec![]));
    alone.say("bob", "attic", &["three"]);
    let texts = vec!["three".to_string()];
    assert_eq!(alone.comes_back("attic", &lost), (false.into(), texts));
}

#[test]
fn a_message_that_is_said_again_after_a_restart_is_known() {
    let mut alone = Alone::start();
    let mut ann = Client::connect(alone.addr, "/ws");
    ann.put(json!({"type": "join", "room": "attic", "user": "ann"}));
    let session = ann.gets(json!({"type": "welcome"}))["session"].clone();
    ann.gets(json!({"type": "joined"}));
    let hello = json!({"type": "chat", "room": "attic", "text": "hello", "ref": "r1"});
    ann.put(hello.clone());
    let id = ann.gets_at_last(json!({"type": "ack", "ref": "r1"}))["id"].clone();
    for how in ["in good order", "by a power cut", "with a damaged key"] {
        match how {
            "in good order" => alone.stop_and_start_again(),
            _ => alone.program.kill(),
        }
        if how == "with a damaged key" {
            for file in alone.files() {
                let text = fs::read_to_string(&file).unwrap();
                fs::write(&file, text.replacen("\"key\":\"", "\"key\":\"x", 1)).unwrap();
            }
        }
        if how != "in good order" {
            alone.start_again();
        }
        let mut ann = Client::connect(alone.addr, "/ws");
        ann.put(json!({"type": "join", "room": "attic", "user": "ann", "session": session}));
        ann.gets_at_last(json!({"type": "joined"}));
        ann.put(hello.clone());
        ann.gets(json!({"type": "ack", "ref": "r1", "id": id}));
    }
}

#[test]
fn the_files_are_lines_of_json_that_anybody_can_read() {
    let alone = Alone::start();
    let ids = alone.say("ann", "attic", &["grüß \"dich\" 👋"]);
    let files = alone.files();
    assert_eq!(files.len(), 1);
    let text = fs::read_to_string(&files[0]).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], r#"{"natterjack":"journal","version":1}"#);
    let message: Value = serde_json::from_str(lines.last().unwrap()).unwrap();
    assert_eq!(message["room"], "attic");
    assert_eq!(message["id"], ids[0].as_str());
    assert_eq!(message["user"], "ann");
    assert!(
        lines
            .last()
            .unwrap()
            .contains(r#""text":"grüß \"dich\" 👋""#)
    );
    // Nobody else may read them.
    for path in [&files[0], &alone.data()] {
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o077, 0);
    }
}

#[test]
fn a_torn_end_and_damaged_lines_cost_nothing_else() {
    let mut alone = Alone::start();
    alone.say("ann", "attic", &["one", "two", "three"]);
    alone.program.kill();
    let file = alone.files().pop().unwrap();
    let text = fs::read_to_string(&file).unwrap();
    let damaged = text.replace("\"text\":\"two\"", "\"text\":\"owt\"");
    assert_ne!(damaged, text);
    fs::write(&file, damaged + "{\"kind\":\"message\",\"room\":\"at").unwrap();
    alone.start_again();
    let damaged = |line: &String| line.contains("1 lines are damaged");
    assert!(alone.program.log().iter().any(damaged));
    let (complete, texts) = alone.comes_back("attic", "0-0");
    assert_eq!(texts, ["one", "three"]);
    assert_eq!(complete, false);
    // What was set aside is there to look at, and the next start is clean.
    let aside = fs::read_dir(alone.data())
        .unwrap()
        .map(|file| file.unwrap().path());
    let aside: Vec<_> = aside
        .filter(|path| {
            path.file_name()
                .unwrap()
                .to_string_lossy()
                .starts_with("damaged")
        })
        .collect();
    assert_eq!(aside.len(), 1);
    assert!(fs::read_to_string(&aside[0]).unwrap().contains("owt"));
    alone.stop_and_start_again();
    assert_eq!(alone.comes_back("attic", "0-0").1, ["one", "three"]);
    assert!(
        !alone
            .program
            .log()
            .iter()
            .any(|line| line.contains("damaged"))
    );
}

#[test]
fn who_misses_a_damaged_message_is_told_so() {
    // Also where no later number shows that it is missing, and where nobody can see which one it was.
    for (damaged, damage, known) in [
        ("two", "\"text\":\"two\"", true),
        ("three", "\"text\":\"three\"", true),
        ("three", "\"kind\":\"message\"", false),
    ] {
        let mut alone = Alone::start();
        let ids = alone.say("ann", "attic", &["one", "two", "three"]);
        let other = alone.say("ann", "cellar", &["other"]);
        alone.program.kill();
        let file = alone.files().pop().unwrap();
        let text = fs::read_to_string(&file).unwrap();
        let line = text.lines().find(|line| line.contains(damaged)).unwrap();
        let changed = line.replace(damage, &damage.to_uppercase());
        fs::write(&file, text.replace(line, &changed)).unwrap();
        alone.start_again();
        // Who comes from further back is told so, too, before anything else is said.
        alone.hears_that_something_is_missing("attic");
        alone.say("ann", "attic", &["four"]);
        for _ in 0..2 {
            let (complete, texts) = alone.comes_back("attic", &ids[0]);
            assert_eq!(complete, false, "{changed}");
            assert!(texts.ends_with(&["four".to_string()]) && texts.len() == 2);
            // Who has heard it misses nothing, nor does anybody in another room.
            let texts = vec!["four".to_string()];
            assert_eq!(alone.comes_back("attic", &ids[2]), (true.into(), texts));
            let nothing = (known.into(), vec![]);
            assert_eq!(alone.comes_back("cellar", &other[0]), nothing);
            alone.stop_and_start_again();
        }
    }
}

#[test]
fn who_comes_from_behind_a_damaged_message_misses_nothing() {
    for damaged in ["one", "two"] {
        let mut alone = Alone::start();
        let ids = alone.say("ann", "attic", &["one", "two", "three"]);
        alone.program.kill();
        let file = alone.files().pop().unwrap();
        let text = fs::read_to_string(&file).unwrap();
        let text = text.replace(&format!("\"text\":\"{damaged}\""), "\"text\":\"damaged\"");
        fs::write(&file, text).unwrap();
        alone.start_again();
        alone.say("ann", "attic", &["four"]);
        let after = (true.into(), ["three", "four"].map(String::from).to_vec());
        assert_eq!(alone.comes_back("attic", &ids[1]), after);
        alone.hears_that_something_is_missing("attic");
    }
}

#[test]
fn a_folder_that_can_not_be_used_is_one_line_and_an_exit() {
    let alone = Alone::start();
    let folder = alone.data().display().to_string();
    let fails = |flags: &[&str], why: &str| {
        let output = Program::run(flags, &[]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(why) && said.contains("--data"), "{said}");
        assert_eq!(said.trim_end().lines().count(), 1, "{said}");
    };
    let listen = ["--listen", "127.0.0.1:0", "--data"];
    let with = |folder: &str| [&listen[..], &[folder]].concat().join("\n");
    let run = |folder: &str, why: &str| {
        let flags = with(folder);
        let flags: Vec<&str> = flags.split('\n').collect();
        fails(&flags, why);
    };
    run(&folder, "another process uses it");
    let nowhere = alone.data().join("no/where");
    run(&nowhere.display().to_string(), "can't be created");
    // A newer version has written it.
    let newer = alone.data().join("newer");
    fs::create_dir(&newer).unwrap();
    let header = "{\"natterjack\":\"journal\",\"version\":2}\n";
    fs::write(newer.join("000001.jsonl"), header).unwrap();
    run(&newer.display().to_string(), "newer natterjack");
}

#[test]
fn files_that_have_grown_are_replaced_by_one() {
    let mut alone = Alone::start();
    let text = "x".repeat(4000);
    let mut ann = alone.typed("ann");
    ann.put(json!({"type": "join", "room": "attic"}));
    ann.gets(json!({"type": "joined"}));
    // Much more than the log keeps.
    for n in 0..3000 {
        ann.put(json!({"type": "chat", "room": "attic", "text": text, "ref": n.to_string()}));
        if n % 100 == 99 {
            ann.gets_at_last(json!({"type": "ack", "ref": n.to_string()}));
        }
    }
    let size = || -> u64 {
        let files = alone.files();
        files
            .iter()
            .map(|file| fs::metadata(file).unwrap().len())
            .sum()
    };
    let live = 1000 * 4000;
    // On a busy machine that takes a few more messages.
    eventually("the files are replaced", || {
        ann.put(json!({"type": "chat", "room": "attic", "text": "more"}));
        ann.gets_at_last(json!({"type": "chat", "text": "more"}));
        (size() < 3 * live).then_some(())
    });
    let (_, before) = alone.comes_back("attic", "0-0");
    alone.cut_and_start_again();
    let (_, after) = alone.comes_back("attic", "0-0");
    assert_eq!((before.len(), after.len()), (1000, 1000));
}
