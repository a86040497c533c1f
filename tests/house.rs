//! The rules of `src`: imports go one way, nothing imports in a circle, no file is long, and the map
//! in `src/lib.rs` names every room. `make check` runs this.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The rooms from the ground up, and the rooms that each may import from.
const ROOMS: [(&str, &str); 18] = [
    ("certificate", ""),
    ("count", ""),
    ("limits", ""),
    ("logger", ""),
    ("mutex", ""),
    ("report", ""),
    ("reactor", "mutex"),
    ("time", "reactor"),
    ("config", ""),
    ("chat", "count mutex"),
    ("redis", "certificate config count mutex reactor time"),
    (
        "bus",
        "certificate chat config count mutex reactor redis report time",
    ),
    (
        "net",
        "bus certificate chat config count mutex reactor time",
    ),
    ("metrics", "bus count net reactor time"),
    ("systemd", "net reactor"),
    ("probe", "config"),
    ("server", "bus chat config limits metrics net reactor time"),
    (
        "check",
        "bus certificate config limits net report server time",
    ),
];

/// A word that only some files may contain, with the reason. A path stands for a file or a folder.
const ONLY_IN: [(&str, &[&str], &str); 8] = [
    ("smol::Timer", &[], "timers are those of the reactor"),
    (
        "smol::Async",
        &["src/redis/endpoint.rs"],
        "sockets are those of the reactor",
    ),
    (
        "async_tungstenite::",
        &["src/net"],
        "WebSocket is spoken in net",
    ),
    (
        "tungstenite::",
        &["src/net", "src/chat/frame.rs"],
        "frames are made in chat/frame",
    ),
    (
        "redis::cmd",
        &["src/redis", "src/bus/redis"],
        "Redis is spoken in redis and bus/redis",
    ),
    (
        "redis::Value",
        &["src/redis", "src/bus/redis"],
        "Redis is spoken in redis and bus/redis",
    ),
    (
        "rustls::",
        &["src/net", "src/redis", "src/probe", "src/certificate.rs"],
        "TLS is spoken where sockets are",
    ),
    ("unsafe ", &[], "there is no unsafe code"),
];

/// What `chat` must not name: it knows no runtime, no socket and no file.
const NOT_IN_CHAT: [&str; 6] = [
    "smol::",
    "async_net::",
    "async_io::",
    "std::net::",
    "std::fs::",
    "redis::",
];

const MOST_LINES: usize = 400;

/// The part of a source file that is not a test.
fn product(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests {").next().unwrap_or("")
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("target") && !path.ends_with("node_modules") {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Every module, by its path from the crate's root, with the text of its file.
struct House {
    modules: BTreeMap<Vec<String>, String>,
}

impl House {
    fn read() -> House {
        let mut paths = Vec::new();
        files(Path::new("src"), &mut paths);
        let mut modules = BTreeMap::new();
        for path in paths {
            let name = path.strip_prefix("src").unwrap().with_extension("");
            let name: Vec<String> = name
                .iter()
                .map(|part| part.to_str().unwrap().to_string())
                .collect();
            let text = fs::read_to_string(&path).unwrap();
            if name != ["lib"] && name != ["main"] {
                modules.insert(name, text);
            }
        }
        let tests: Vec<Vec<String>> = modules
            .iter()
            .flat_map(|(name, text)| {
                let mods = text.split("#[cfg(test)]\nmod ").skip(1);
                mods.filter_map(|rest| rest.split_once(';'))
                    .map(|(child, _)| {
                        let mut test = name.clone();
                        test.push(child.to_string());
                        test
                    })
            })
            .collect();
        modules.retain(|name, _| !tests.iter().any(|test| name.starts_with(test)));
        House { modules }
    }

    /// The module that a path leads to or into.
    fn module(&self, path: &[String]) -> Option<&Vec<String>> {
        let lengths = (1..=path.len()).rev();
        lengths
            .filter_map(|length| self.modules.get_key_value(&path[..length]))
            .map(|(name, _)| name)
            .next()
    }

    /// Each module with the modules that it names.
    fn imports(&self) -> BTreeSet<(&[String], &[String])> {
        let mut imports = BTreeSet::new();
        for (name, text) in &self.modules {
            for path in paths(product(text), name) {
                if let Some(module) = self.module(&path)
                    && module != name
                {
                    imports.insert((name.as_slice(), module.as_slice()));
                }
            }
        }
        imports
    }
}

/// All paths in a text that begin with `crate::` or `super::`, from the crate's root, those in braces
/// one by one.
fn paths(text: &str, here: &[String]) -> Vec<Vec<String>> {
    let code: String = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(|line| [line, "\n"])
        .collect();
    let mut found = Vec::new();
    for start in ["crate::", "super::"] {
        for (at, _) in code.match_indices(start) {
            let before = code[..at].chars().next_back();
            if before.is_some_and(|before| before.is_alphanumeric() || "_:".contains(before)) {
                continue;
            }
            let mut base = Vec::new();
            let mut rest = &code[at..];
            if let Some(after) = rest.strip_prefix("crate::") {
                rest = after;
            } else {
                base = here.to_vec();
                while let Some(after) = rest.strip_prefix("super::") {
                    base.pop();
                    rest = after;
                }
            }
            expand(rest, base, &mut found);
        }
    }
    found
}

/// Reads one path, or a list of them in braces, and returns what follows.
fn expand<'a>(mut text: &'a str, mut base: Vec<String>, found: &mut Vec<Vec<String>>) -> &'a str {
    loop {
        if let Some(list) = text.strip_prefix('{') {
            text = list;
            loop {
                text = text.trim_start_matches([',', ' ', '\n']);
                if let Some(after) = text.strip_prefix('}') {
                    return after;
                }
                text = expand(text, base.clone(), found);
                let end = text.find([',', '}']).expect("a list of imports ends");
                text = &text[end..];
            }
        }
        let word = text.find(|c: char| !c.is_alphanumeric() && c != '_');
        let (word, rest) = text.split_at(word.unwrap_or(text.len()));
        if word != "self" && !word.is_empty() {
            base.push(word.to_string());
        }
        match rest.strip_prefix("::") {
            Some(after) if !word.is_empty() => text = after,
            _ => {
                found.push(base);
                return rest;
            }
        }
    }
}

/// A circle that starts and ends at one of these, if there is one.
fn circle<'a>(edges: &BTreeSet<(&'a str, &'a str)>) -> Option<Vec<&'a str>> {
    fn walk<'a>(
        edges: &BTreeSet<(&'a str, &'a str)>,
        way: &mut Vec<&'a str>,
        done: &mut BTreeSet<&'a str>,
    ) -> bool {
        let here = *way.last().unwrap();
        for (_, to) in edges.iter().filter(|(from, _)| *from == here) {
            if let Some(start) = way.iter().position(|step| step == to) {
                way.drain(..start);
                way.push(to);
                return true;
            }
            if !done.contains(to) {
                way.push(to);
                if walk(edges, way, done) {
                    return true;
                }
                way.pop();
            }
        }
        done.insert(here);
        false
    }
    let mut done = BTreeSet::new();
    for (from, _) in edges {
        let mut way = vec![*from];
        if walk(edges, &mut way, &mut done) {
            return Some(way);
        }
    }
    None
}

#[test]
fn nothing_imports_in_a_circle() {
    let house = House::read();
    let imports = house.imports();
    assert!(imports.len() > 100, "the imports are found");
    // A module and its folder are one; the modules in one folder are compared.
    let mut folders: BTreeMap<&[String], BTreeSet<(&str, &str)>> = BTreeMap::new();
    for (from, to) in &imports {
        let shared = from.iter().zip(*to).take_while(|(a, b)| a == b).count();
        if shared < from.len() && shared < to.len() {
            let edge = (from[shared].as_str(), to[shared].as_str());
            folders.entry(&from[..shared]).or_default().insert(edge);
        }
    }
    let circles: Vec<String> = folders
        .iter()
        .filter_map(|(folder, edges)| Some((folder, circle(edges)?)))
        .map(|(folder, way)| format!("src/{}: {}", folder.join("/"), way.join(" -> ")))
        .collect();
    assert!(circles.is_empty(), "circles:\n{}", circles.join("\n"));
}

#[test]
fn imports_go_one_way() {
    let house = House::read();
    let mut wrong = Vec::new();
    for (from, to) in house.imports() {
        let (from, to) = (from.join("::"), to.join("::"));
        let room = |path: &str| path.split(':').next().unwrap_or("").to_string();
        let rule = ROOMS.iter().find(|(name, _)| *name == room(&from));
        let allowed = rule.is_some_and(|(_, rooms)| rooms.split(' ').any(|name| name == room(&to)));
        if room(&from) != room(&to) && !allowed {
            wrong.push(format!("{from} -> {to}"));
        }
    }
    assert!(wrong.is_empty(), "not allowed:\n{}", wrong.join("\n"));
}

#[test]
fn dependencies_are_used_only_in_their_module() {
    let mut paths = Vec::new();
    files(Path::new("src"), &mut paths);
    let mut wrong = Vec::new();
    for path in paths {
        let text = fs::read_to_string(&path).unwrap();
        for (number, line) in text.lines().enumerate() {
            if line.trim_start().starts_with("//") {
                continue;
            }
            let place = format!("{}:{}: {}", path.display(), number + 1, line.trim());
            let names = |word: &str| {
                line.match_indices(word).any(|(at, _)| {
                    let before = line[..at].chars().next_back();
                    !before.is_some_and(|c| c.is_alphanumeric() || "_:\"".contains(c))
                })
            };
            for (word, rooms, why) in ONLY_IN {
                if names(word) && !rooms.iter().any(|room| path.starts_with(room)) {
                    wrong.push(format!("{place} ({why})"));
                }
            }
            if path.starts_with("src/chat") && NOT_IN_CHAT.iter().any(|word| names(word)) {
                wrong.push(format!("{place} (chat knows no runtime, socket or file)"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_file_is_long() {
    let mut paths = Vec::new();
    files(Path::new("src"), &mut paths);
    files(Path::new("tests"), &mut paths);
    let long: Vec<String> = paths
        .iter()
        .map(|path| (path, fs::read_to_string(path).unwrap().lines().count()))
        .filter(|(_, lines)| *lines > MOST_LINES)
        .map(|(path, lines)| format!("{}: {lines} lines", path.display()))
        .collect();
    assert!(long.is_empty(), "{}", long.join("\n"));
}

/// The map's links are looked at by rustdoc.
#[test]
fn the_map_names_every_module() {
    let root = fs::read_to_string("src/lib.rs").unwrap();
    let map: String = root
        .lines()
        .filter(|line| line.starts_with("//!"))
        .collect();
    let rooms = root
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod "));
    for room in rooms.map(|room| room.trim_end_matches(';')) {
        assert!(
            map.contains(&format!("[`{room}`]")),
            "the map leaves out {room}"
        );
        assert!(
            ROOMS.iter().any(|(known, _)| *known == room),
            "{room} has no rule"
        );
    }
}
