//! Power cuts and failing disks of a lone server.

use std::fs;
use std::path::PathBuf;

use serde_json::json;

use crate::support::alone::data;
use crate::support::{Alone, FailingDisk, Raw, eventually};

#[test]
fn thirty_power_cuts_lose_nothing_that_was_acknowledged() {
    let mut alone = Alone::start();
    let mut said = Vec::new();
    for round in 0..30 {
        let mut ann = alone.typed("ann");
        ann.put(json!({"type": "join", "room": "attic"}));
        ann.gets_at_last(json!({"type": "joined"}));
        let texts: Vec<String> = (0..20).map(|n| format!("{round}-{n}")).collect();
        for text in &texts {
            ann.put(json!({"type": "chat", "room": "attic", "text": text, "ref": text}));
        }
        // Some are on their way when it is cut.
        let acknowledged = round % 20;
        for text in &texts[..acknowledged] {
            let ack = ann.gets_at_last(json!({"type": "ack", "ref": text}));
            said.push((ack["id"].as_str().unwrap().to_string(), text.clone()));
        }
        alone.cut_and_start_again();
    }
    let (_, texts) = alone.comes_back("attic", "0-0");
    for (id, text) in &said {
        let found = texts.iter().filter(|found| *found == text).count();
        assert_eq!(found, 1, "{id} {text}");
    }
    let kept: Vec<&String> = texts
        .iter()
        .filter(|text| said.iter().any(|(_, said)| said == *text))
        .collect();
    let expected: Vec<&String> = said.iter().map(|(_, text)| text).collect();
    assert_eq!(kept, expected);
}

#[test]
fn power_cuts_while_the_files_are_replaced_lose_nothing_that_was_acknowledged() {
    const CUTS: usize = 10;
    // So little is kept that the files are soon twice as large.
    let mut alone = Alone::start_with(tempfile::tempdir().unwrap(), &["--max-history", "1"], &[]);
    let filling = "日".repeat(2700);
    let mut acknowledged: Vec<String> = Vec::new();
    let mut while_replaced = 0;
    for cut in 0..CUTS {
        let mut ann = alone.typed("ann");
        ann.put(json!({"type": "join", "room": "attic"}));
        ann.gets_at_last(json!({"type": "joined"}));
        let being_written = |files: &[PathBuf]| {
            let new = |path: &PathBuf| path.extension().is_some_and(|kind| kind == "new");
            files.iter().any(new)
        };
        // It is cut at another step each time: when the files have changed so often.
        let (mut changes, mut before) = (0, Vec::new());
        'talk: for n in 0.. {
            let names: Vec<String> = (0..50).map(|i| format!("{cut}.{n}.{i}")).collect();
            for name in &names {
                let text = format!("{name} {filling}");
                ann.put(json!({"type": "chat", "room": "attic", "text": text, "ref": name}));
            }
            for name in &names {
                ann.gets_at_last(json!({"type": "ack", "ref": name}));
                acknowledged.push(name.clone());
                let files = alone.all_files();
                if files != before && (changes > 0 || being_written(&files)) {
                    changes += 1;
                }
                if changes > cut % 4 {
                    while_replaced += usize::from(being_written(&files) || files.len() > 2);
                    break 'talk;
                }
                before = files;
            }
            assert!(n < 100, "the files are never replaced: {before:?}");
        }
        alone.cut_and_start_again();
        let (_, texts) = alone.comes_back("attic", "0-0");
        let names: Vec<&str> = texts
            .iter()
            .filter_map(|text| text.split(' ').next())
            .collect();
        let kept: Vec<&str> = names
            .into_iter()
            .filter(|name| acknowledged.iter().any(|one| one == name))
            .collect();
        // So many are kept, and among them the last that were acknowledged. Those that were on their way may
        // be kept, too.
        assert!(texts.len() > 100, "{}", texts.len());
        assert_eq!(kept, acknowledged[acknowledged.len() - kept.len()..]);
    }
    assert!(while_replaced > CUTS / 2, "{while_replaced}");
}

#[test]
fn a_disk_that_fails_costs_only_the_messages_that_it_does_not_keep() {
    for errno in [FailingDisk::FULL, FailingDisk::BROKEN] {
        let folder = tempfile::tempdir().unwrap();
        let disk = FailingDisk::under(&data(&folder));
        let mut alone = Alone::start_in(folder, &disk.environment());
        let addr = alone.addr;
        let before = alone.say("ann", "attic", &["one"]);
        let mut bob = alone.typed("bob");
        bob.put(json!({"type": "join", "room": "attic"}));
        bob.gets_at_last(json!({"type": "joined"}));
        disk.fails(errno);
        // Bob hears it, and that it is taken back; the sender is told.
        let lost = json!({"type": "chat", "room": "attic", "text": "lost", "ref": "lost"});
        let mut ann = alone.typed("ann");
        ann.put(json!({"type": "join", "room": "attic"}));
        ann.gets_at_last(json!({"type": "joined"}));
        ann.put(lost.clone());
        ann.gets_at_last(json!({"type": "error", "code": "unavailable", "ref": "lost"}));
        let heard = bob.gets_at_last(json!({"type": "chat", "text": "lost"}));
        bob.gets(json!({"type": "deleted", "room": "attic", "id": heard["id"], "by": "ann"}));
        let (status, why) = Raw::get(addr, "/readyz");
        assert_eq!(status, 503);
        assert!(
            why.contains("--data") && why.contains("can't be written"),
            "{why}"
        );
        alone.program.logs("can't be written");
        // Reading goes on, and later messages are refused before anybody hears them.
        ann.put(json!({"type": "history", "room": "attic"}));
        let history = ann.gets_at_last(json!({"type": "history"}));
        assert_eq!(history["messages"].as_array().unwrap().len(), 1);
        ann.put(lost.clone());
        ann.gets_at_last(json!({"type": "error", "code": "unavailable", "ref": "lost"}));
        // When there is room again, it goes on by itself, under other numbers.
        disk.heals();
        eventually("it is ready again", || {
            (Raw::get(addr, "/readyz").0 == 200).then_some(())
        });
        ann.put(lost);
        let ack = ann.gets_at_last(json!({"type": "ack", "ref": "lost"}));
        assert_ne!(ack["id"], heard["id"]);
        let again = bob.gets(json!({"type": "chat", "text": "lost"}));
        assert_eq!(again["id"], ack["id"]);
        // What was said before and after is kept.
        alone.cut_and_start_again();
        assert_eq!(
            alone.comes_back("attic", &before[0]),
            (true.into(), vec!["lost".to_string()])
        );
    }
}

#[test]
fn a_message_that_was_taken_back_does_not_come_again() {
    for errno in [FailingDisk::FULL, FailingDisk::BROKEN] {
        for repaired in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            let disk = FailingDisk::under(&data(&folder));
            let mut alone = Alone::start_in(folder, &disk.environment());
            let before = alone.say("ann", "attic", &["one"]);
            disk.fails(errno);
            let mut ann = alone.typed("ann");
            ann.put(json!({"type": "join", "room": "attic"}));
            ann.gets_at_last(json!({"type": "joined"}));
            ann.put(json!({"type": "chat", "room": "attic", "text": "two", "ref": "two"}));
            let heard = ann.gets_at_last(json!({"type": "chat", "text": "two"}));
            ann.gets_at_last(json!({"type": "error", "code": "unavailable", "ref": "two"}));
            if repaired {
                disk.heals();
                eventually("it is ready again", || {
                    (Raw::get(alone.addr, "/readyz").0 == 200).then_some(())
                });
                alone.stop_and_start_again();
            } else {
                alone.cut_and_start_again();
            }
            let after = alone.say("bob", "attic", &["three"]);
            assert_ne!(heard["id"], after[0]);
            let kept = (true.into(), vec!["three".to_string()]);
            assert_eq!(alone.comes_back("attic", &before[0]), kept);
        }
    }
}

#[test]
fn damaged_lines_are_not_thrown_away_when_the_disk_fails_at_the_start() {
    for errno in [FailingDisk::FULL, FailingDisk::BROKEN] {
        let alone = Alone::start();
        alone.say("ann", "attic", &["one", "two"]);
        let file = alone.files().pop().unwrap();
        let folder = alone.cut();
        let text = fs::read_to_string(&file).unwrap();
        let text = text.replace("\"text\":\"one\"", "\"text\":\"eno\"");
        fs::write(&file, &text).unwrap();
        let damaged = text.lines().find(|line| line.contains("eno")).unwrap();
        let disk = FailingDisk::under(&data(&folder));
        disk.fails(errno);
        let alone = Alone::start_in(folder, &disk.environment());
        disk.heals();
        eventually("it is ready again", || {
            (Raw::get(alone.addr, "/readyz").0 == 200).then_some(())
        });
        let kept = alone.all_files().into_iter().find(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            name.starts_with("damaged") && fs::read_to_string(path).unwrap().contains(damaged)
        });
        assert!(kept.is_some(), "{:?}", alone.all_files());
        assert_eq!(alone.comes_back("attic", "0-0").1, ["two"]);
    }
}
