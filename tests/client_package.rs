//! The npm package of `/client.js`: what is in it, and that its examples run as they stand.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command};

use natterjack::config::Origin;

use crate::support::{Alone, Client, Page, Proxy, TestServer, site};

const MODULE: &str = "src/net/page/client.js";
const PACKAGE: &str = "deploy/npm";

/// Node, if it is there and has a WebSocket: from 22 on, or from 20.10 on with a flag.
fn node() -> Option<Command> {
    for flags in [&[][..], &["--experimental-websocket"]] {
        let mut node = Command::new("node");
        node.args(flags);
        let mut has = Command::new("node");
        has.args(flags)
            .args(["-e", "new WebSocket('ws://127.0.0.1:1')"]);
        has.arg("--unhandled-rejections=none");
        if has.output().is_ok_and(|done| done.status.success()) {
            return Some(node);
        }
    }
    None
}

/// The bot of the examples; killed when dropped.
struct Bot(Child);

impl Bot {
    /// In the package as it is installed. None without Node.
    fn start(package: &Path, server: SocketAddr) -> Option<Bot> {
        fs::create_dir(package.join("examples")).unwrap();
        for file in ["package.json", "examples/bot.js"] {
            fs::copy(Path::new(PACKAGE).join(file), package.join(file)).unwrap();
        }
        fs::copy(MODULE, package.join("client.js")).unwrap();
        let bot = node()?
            .arg(package.join("examples/bot.js"))
            .arg(format!("ws://{server}/ws"))
            .spawn();
        Some(Bot(bot.unwrap()))
    }
}

impl Drop for Bot {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn answer(question: &str) -> String {
    format!("foo: “{question}” Ask again later.")
}

#[track_caller]
fn asks(client: &mut Client, question: &str) {
    client.say(question);
    client.hears_at_last(&format!("oracle: {}", answer(question)));
}

#[test]
fn the_bot_survives_a_restart_and_a_cut_without_loss_or_double() {
    let mut alone = Alone::start();
    let proxy = Proxy::to(alone.addr.port());
    let join = |alone: &Alone| Client::connect(alone.addr, "/chat/foo");
    let mut foo = join(&alone);
    let package = tempfile::tempdir().unwrap();
    let Some(_bot) = Bot::start(package.path(), proxy.addr()) else {
        eprintln!("there is no node with a WebSocket here");
        return;
    };
    foo.hears_at_last("oracle: Ask me something.");
    asks(&mut foo, "One?");
    // It is asked while it is away.
    proxy.cut();
    foo.hears_at_last("oracle: has left the chat!");
    foo.say("Two?");
    foo.say("Three?");
    proxy.heal();
    foo.hears_at_last(&format!("oracle: {}", answer("Two?")));
    foo.hears(&format!("oracle: {}", answer("Three?")));
    // The connection breaks while the question, the answer or its acknowledgement is on its way.
    let cut = [0, 60, 150, 200, 260].map(|bytes| {
        proxy.cut_after(bytes);
        let question = format!("{bytes}?");
        foo.say(&question);
        foo.hears_at_last("oracle: has left the chat!");
        proxy.heal();
        foo.hears_at_last("oracle: has joined the chat!");
        question
    });
    asks(&mut foo, "Four?");
    foo.leave();
    alone.stop_and_start_again();
    proxy.lead_to(alone.addr.port());
    let mut foo = join(&alone);
    asks(&mut foo, "Five?");
    let (_, said) = alone.comes_back("lobby", "0-0");
    let answers = said.into_iter().filter(|text| text.starts_with("foo: "));
    let mut questions = vec!["One?", "Two?", "Three?"];
    questions.extend(cut.iter().map(String::as_str));
    questions.extend(["Four?", "Five?"]);
    let expected: Vec<_> = questions.into_iter().map(answer).collect();
    assert_eq!(answers.collect::<Vec<_>>(), expected);
}

#[test]
fn the_page_of_the_examples_chats_from_another_site() {
    let server = TestServer::with(|config| config.origins = vec![Origin::Any]);
    let page = fs::read_to_string(format!("{PACKAGE}/examples/page.html")).unwrap();
    let mut foo = server.join("foo");
    foo.say("before");
    foo.is_taken();
    let page = page.replace("localhost:8080", &server.addr().to_string());
    let page = Page::open_at(site(&page), "/");
    page.says("foo: before");
    page.until("!find('Message').disabled");
    page.say("hello");
    let (guest, text) = loop {
        let line = foo.next();
        if let Some((guest, text)) = line.split_once(": ").filter(|(_, text)| *text == "hello") {
            break (guest.to_string(), text.to_string());
        }
    };
    assert!(guest.starts_with("guest-"), "{guest}: {text}");
    page.says(&format!("{guest}: hello"));
    page.until("document.title === 'online'");
}

#[test]
fn npm_packs_the_module_its_types_and_the_examples() {
    let folder = tempfile::tempdir().unwrap();
    let pack = Command::new("npm")
        .args(["pack", "--silent", "--pack-destination"])
        .arg(folder.path())
        .current_dir(PACKAGE)
        .output();
    let Ok(packed) = pack else {
        eprintln!("there is no npm here");
        return;
    };
    assert!(packed.status.success(), "{packed:?}");
    let name = String::from_utf8(packed.stdout).unwrap();
    let unpacked = Command::new("tar")
        .arg("-xzf")
        .arg(name.trim())
        .current_dir(folder.path())
        .status();
    assert!(unpacked.unwrap().success());
    let package = folder.path().join("package");
    assert_eq!(
        fs::read(package.join("client.js")).unwrap(),
        fs::read(MODULE).unwrap()
    );
    for file in [
        "client.d.ts",
        "README.md",
        "LICENSE",
        "examples/bot.js",
        "examples/page.html",
    ] {
        assert!(package.join(file).exists(), "{file}");
    }
}

/// A type as both files would write it.
fn plain(body: &str) -> String {
    let plain: String = body
        .split_whitespace()
        .filter(|word| *word != "*")
        .collect();
    plain
        .replace(';', ",")
        .replace(",}", "}")
        .replace('\'', "\"")
}

/// The types that the module's comments define, by their names.
fn defined(module: &str) -> BTreeMap<String, String> {
    let definitions = module.split("@typedef {").skip(1).map(|rest| {
        let mut open = 1;
        let end = rest.find(|c| {
            open += i32::from(c == '{') - i32::from(c == '}');
            open == 0
        });
        let (body, name) = rest.split_at(end.unwrap());
        let name = name[1..].split_whitespace().next().unwrap();
        (name.to_string(), plain(body))
    });
    definitions.collect()
}

fn declared(types: &str) -> BTreeMap<String, String> {
    let declarations = types.split("\nexport type ").skip(1).map(|rest| {
        let (name, body) = rest.split_once(" = ").unwrap();
        // What follows is a comment, or a class.
        let body = body.split("\n/**").next().unwrap();
        let body = body.split("\ndeclare").next().unwrap();
        (
            name.to_string(),
            plain(body.trim_end().trim_end_matches(';')),
        )
    });
    declarations.collect()
}

/// `make npm-types` generates the types.
#[test]
fn the_types_are_those_of_the_modules_comments() {
    let module = fs::read_to_string(MODULE).unwrap();
    let types = fs::read_to_string(format!("{PACKAGE}/client.d.ts")).unwrap();
    assert_eq!(declared(&types), defined(&module));
    let functions = |text: &str| -> BTreeSet<String> {
        let lines = text.lines().map(str::trim);
        let told =
            lines.filter(|line| line.starts_with("* @param") || line.starts_with("* @returns"));
        told.map(String::from).collect()
    };
    assert_eq!(functions(&types), functions(&module));
}
