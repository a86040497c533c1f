//! The files that are generated from the flags in `src/config.rs`: the options in the man page, the file
//! of settings, the completions, and a page of the manual. `make docs` writes them, and these tests
//! check that they are up to date.

mod completions;
mod flags;
mod man;
mod scale;
mod settings;

use std::collections::BTreeMap;
use std::path::Path;

use natterjack::config::{args, origins};

const SETTINGS: &str = include_str!("../deploy/natterjack.env");

/// Variables that are named after no flag.
const OTHERS: [&str; 5] = [
    "PORT",
    "REDIS_HOST",
    "REDIS_TLS",
    "REDIS_URL",
    "REDIS_USERNAME",
];

/// A file with all that is made between its markers put in its place: `name: made` and `name: end`
/// are in lines of their own.
fn made(file: &str, parts: &[(&str, String)]) -> String {
    let mut text = file.to_string();
    for (name, part) in parts {
        let line_with = |text: &str, marker: &str| {
            let marker = format!("{name}: {marker}");
            let found = text.find(&marker);
            let at = found.unwrap_or_else(|| panic!("no marker \"{marker}\""));
            let start = text[..at].rfind('\n').map_or(0, |end| end + 1);
            (start, at + text[at..].find('\n').unwrap() + 1)
        };
        let (_, begin) = line_with(&text, "made by make docs");
        let (end, _) = line_with(&text, "end");
        text.replace_range(begin..end, part);
    }
    text
}

/// With `DOCS=write`, as `make docs` has it, the files are written.
#[test]
fn files_generated_from_the_flags_are_up_to_date() {
    let flags = flags::all();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy");
    for (file, parts) in [
        (
            "natterjack.1",
            &[
                ("synopsis", man::synopsis(&flags)),
                ("options", man::options(&flags)),
            ][..],
        ),
        ("natterjack.env", &[("settings", settings::file(&flags))]),
        ("manual/settings.md", &[("flags", settings::page(&flags))]),
        (
            "completions/_natterjack",
            &[("flags", completions::zsh(&flags))],
        ),
        (
            "completions/natterjack.bash",
            &[("flags", completions::bash(&flags))],
        ),
        (
            "completions/natterjack.fish",
            &[("flags", completions::fish(&flags))],
        ),
    ] {
        let path = root.join(file);
        let found = std::fs::read_to_string(&path).unwrap();
        let made = made(&found, parts);
        if std::env::var_os("DOCS").is_some_and(|docs| docs == "write") {
            std::fs::write(&path, made).unwrap();
        } else {
            assert!(found == made, "{file} is out of date: make docs");
        }
    }
}

/// The file of settings with every line in force.
fn settings() -> BTreeMap<&'static str, &'static str> {
    let lines = SETTINGS.lines().filter_map(|line| line.strip_prefix('#'));
    let set = lines.filter(|line| line.starts_with(|c: char| c.is_ascii_uppercase()));
    set.map(|line| {
        line.split_once('=')
            .unwrap_or_else(|| panic!("no value in {line}"))
    })
    .collect()
}

#[test]
fn every_line_of_the_settings_file_is_a_comment() {
    let loose = |line: &&str| !line.is_empty() && !line.starts_with('#');
    assert_eq!(SETTINGS.lines().find(loose), None);
    let settings = settings();
    let other = |name: &&&str| !name.starts_with("NATTERJACK_");
    let others: Vec<&str> = settings.keys().filter(other).copied().collect();
    assert_eq!(others, OTHERS);
}

#[test]
fn the_settings_file_shows_the_real_defaults() {
    let flags = flags::all();
    let of_flags = flags
        .iter()
        .filter_map(|flag| Some((flag.variable(), flag.default()?)));
    let mut defaults: BTreeMap<String, &str> = of_flags.collect();
    assert!(defaults.len() > 10, "{defaults:?}");
    defaults.insert("PORT".into(), settings()["PORT"]);
    let read =
        |env: &dyn Fn(&str) -> Option<String>| format!("{:?}", args::read(&[], env).unwrap());
    let given = |name: &str| defaults.get(name).map(ToString::to_string);
    assert_eq!(read(&given), read(&|_| None));
}

#[test]
fn the_settings_file_is_valid_with_every_line_enabled() {
    let settings = settings();
    let config = args::read(&[], |name| settings.get(name).map(ToString::to_string));
    let config = config.unwrap_or_else(|error| panic!("{error:?}"));
    let host = config.redis.unwrap().host.to_string();
    assert_eq!(host, "redis.example.org:6379 (TLS)");
    assert_eq!(config.max_peers_per_ip, Some(100));
    assert!(origins::allow(
        &config.origins,
        "https://www.example.org",
        None
    ));
}
