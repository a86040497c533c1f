//! What is installed with the program says what `--help` says: the same flags, the same defaults.

use std::collections::{BTreeMap, BTreeSet};

use natterjack::config::args;

use crate::support::Program;

const MAN: &str = include_str!("../deploy/natterjack.1");
const SETTINGS: &str = include_str!("../deploy/natterjack.env");
const MANUAL: &str = include_str!("../deploy/manual/settings.md");
const BASH: &str = include_str!("../deploy/completions/natterjack.bash");
const ZSH: &str = include_str!("../deploy/completions/_natterjack");
const FISH: &str = include_str!("../deploy/completions/natterjack.fish");

/// Variables that are named after no flag.
const OTHERS: [&str; 5] = [
    "PORT",
    "REDIS_HOST",
    "REDIS_TLS",
    "REDIS_URL",
    "REDIS_USERNAME",
];

/// Every flag, and what `--help` says of it in one line.
fn help() -> BTreeMap<String, String> {
    let help = Program::run(&["--help"], &[]);
    let help = String::from_utf8(help.stdout).unwrap();
    let (_, options) = help.split_once("Options:").unwrap();
    let mut flags = BTreeMap::new();
    for option in options.split("\n  --").skip(1) {
        let mut words = option.split_whitespace();
        let flag = words.next().unwrap().trim_end_matches(',').to_string();
        flags.insert(flag, words.collect::<Vec<_>>().join(" "));
    }
    flags
}

/// The default that `--help` gives in so many words.
fn default(said: &str) -> Option<&str> {
    let (_, rest) = said.split_once("(default ")?;
    rest.split([')', ',']).next()
}

/// The names in a text that follow `before`.
fn named<'a>(text: &'a str, before: &str) -> BTreeSet<&'a str> {
    let end = |c: char| !(c.is_ascii_lowercase() || c == '-');
    let names = text.split(before).skip(1);
    let names = names.map(|rest| rest.split(end).next().unwrap());
    names.filter(|name| !name.is_empty()).collect()
}

/// The file of settings with every line in force.
fn settings() -> BTreeMap<&'static str, &'static str> {
    let lines = SETTINGS.lines().filter_map(|line| {
        let setting = line.strip_prefix('#')?;
        setting
            .starts_with(|c: char| c.is_ascii_uppercase())
            .then(|| {
                setting
                    .split_once('=')
                    .unwrap_or_else(|| panic!("no value in {line}"))
            })
    });
    lines.collect()
}

fn variable(flag: &str) -> String {
    format!("NATTERJACK_{}", flag.replace('-', "_").to_ascii_uppercase())
}

#[test]
fn every_flag_is_in_the_man_page_and_the_completions_and_no_other() {
    let help = help();
    let flags: BTreeSet<&str> = help.keys().map(String::as_str).collect();
    // `--help`, `--version` and `--issue` stand alone.
    assert_eq!(named(MAN, ".Op Fl Fl ").len() + 3, flags.len(), "synopsis");
    assert_eq!(named(MAN, ".It Fl Fl "), flags, "man page, options");
    assert_eq!(named(MAN, "Fl Fl "), flags, "man page");
    assert_eq!(named(BASH, "--"), flags, "bash");
    assert_eq!(named(ZSH, "--"), flags, "zsh");
    assert_eq!(named(FISH, " -l "), flags, "fish");
}

#[test]
fn every_default_is_in_the_man_page() {
    for (flag, said) in help() {
        let Some(default) = default(&said) else {
            continue;
        };
        let (_, entry) = MAN.split_once(&format!("\n.It Fl Fl {flag} ")).unwrap();
        let entry = entry.split("\n.It ").next().unwrap().replace('\n', " ");
        let says = format!("The default is {default}");
        assert!(
            entry.contains(&says),
            "--{flag}: {says:?} is not in {entry}"
        );
    }
}

#[test]
fn every_setting_is_in_the_file_of_settings_and_no_other() {
    // What is asked for once has no place in it.
    let switches = [
        "check", "days", "help", "issue", "mod", "probe", "rooms", "version",
    ];
    let flags = help();
    let flags = flags
        .keys()
        .filter(|flag| !switches.contains(&flag.as_str()));
    let mut expected: BTreeSet<String> = flags.map(|flag| variable(flag)).collect();
    expected.extend(OTHERS.map(String::from));
    let found: BTreeSet<String> = settings().into_keys().map(String::from).collect();
    assert_eq!(found, expected);
    // Nothing is in force before somebody says so.
    let loose = |line: &&str| !line.is_empty() && !line.starts_with('#');
    assert_eq!(SETTINGS.lines().find(loose), None);
}

/// The rows of the manual's tables of settings: what stands in each column.
fn rows() -> BTreeMap<&'static str, Vec<&'static str>> {
    let rows = MANUAL.lines().filter(|line| line.starts_with("| `--"));
    let columns = |row: &'static str| row.trim_matches('|').split(" | ").map(str::trim).collect();
    rows.map(columns)
        .map(|row: Vec<&str>| {
            let flag = row[0].trim_matches('`').trim_start_matches("--");
            (flag.split(' ').next().unwrap(), row)
        })
        .collect()
}

#[test]
fn every_flag_is_in_the_manual_with_its_variable_and_its_default() {
    let (help, rows, settings) = (help(), rows(), settings());
    let flags: BTreeSet<&str> = help.keys().map(String::as_str).collect();
    assert_eq!(rows.keys().copied().collect::<BTreeSet<_>>(), flags);
    for (flag, said) in &help {
        let row = &rows[flag.as_str()];
        let name = variable(flag);
        if settings.contains_key(name.as_str()) {
            assert_eq!(row[1], format!("`{name}`"), "--{flag}");
        }
        if let Some(default) = default(said) {
            assert!(
                row.iter()
                    .any(|column| column.starts_with(&format!("`{default}`"))),
                "--{flag}: {default}"
            );
        }
    }
    for name in OTHERS {
        assert!(MANUAL.contains(&format!("`{name}`")), "{name}");
    }
}

#[test]
fn what_the_file_of_settings_gives_as_defaults_are_the_defaults() {
    let settings = settings();
    let mut defaults = BTreeMap::from([("PORT".to_string(), "8080".to_string())]);
    for (flag, said) in help() {
        if let Some(default) = default(&said) {
            defaults.insert(variable(&flag), default.to_string());
        }
    }
    assert!(defaults.len() > 10, "{defaults:?}");
    for (name, default) in &defaults {
        assert_eq!(
            settings.get(name.as_str()),
            Some(&default.as_str()),
            "{name}"
        );
    }
    let read =
        |env: &dyn Fn(&str) -> Option<String>| format!("{:?}", args::read(&[], env).unwrap());
    assert_eq!(read(&|name| defaults.get(name).cloned()), read(&|_| None));
}

#[test]
fn the_file_of_settings_may_be_in_force_as_a_whole() {
    let settings = settings();
    let config = args::read(&[], |name| settings.get(name).map(ToString::to_string));
    let config = config.unwrap_or_else(|error| panic!("{error:?}"));
    let host = config.redis.unwrap().host.to_string();
    assert_eq!(host, "redis.example.org:6379 (TLS)");
    assert_eq!(config.max_peers_per_ip, Some(100));
    assert!(config.origins.allow("https://www.example.org", None));
}
