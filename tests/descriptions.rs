//! The descriptions of the protocol for programs, `deploy/manual/asyncapi.json` and `openapi.json`:
//! the server sends what they say, and nothing else.

use std::collections::BTreeSet;

use natterjack::chat::event::Refusal;
use serde_json::{Value, json};

use crate::support::{Client, Descriptions, Follower, Issuer, Raw, Redis, TestServer, serve};

/// A typed client whose objects, both ways, are looked up in the description.
struct Described<'a> {
    descriptions: &'a Descriptions,
    client: Client,
    /// The names of the messages that have been sent or heard.
    seen: BTreeSet<String>,
}

impl Described<'_> {
    /// The name of the only described message that this is.
    #[track_caller]
    fn look_up(&mut self, operation: &str, object: &Value) {
        let place = format!("asyncapi.json#/operations/{operation}/messages");
        let messages = self.descriptions.at(&place).as_array().unwrap().iter();
        let mut wrong = Vec::new();
        let mut names = messages.filter_map(|message| {
            let place = message["$ref"].as_str().unwrap();
            let name = place.rsplit('/').next().unwrap();
            let schema = format!("asyncapi.json#/components/messages/{name}/payload");
            let checked = self.descriptions.check(&schema, object);
            checked
                .map_err(|why| wrong.push(format!("{name}: {why}")))
                .ok()?;
            Some(name.to_string())
        });
        let (name, second) = (names.next(), names.next());
        drop(names);
        assert_eq!(second, None, "{object} is {name:?}, too");
        self.seen
            .insert(name.unwrap_or_else(|| panic!("{object}: {wrong:#?}")));
    }

    #[track_caller]
    fn put(&mut self, object: Value) {
        self.look_up("hear", &object);
        self.client.put(object);
    }

    #[track_caller]
    fn gets(&mut self, like: Value) -> Value {
        let heard = self.client.gets(like);
        self.look_up("tell", &heard);
        heard
    }
}

/// The names of all messages of an operation.
fn all(descriptions: &Descriptions, operation: &str) -> BTreeSet<String> {
    let place = format!("asyncapi.json#/operations/{operation}/messages");
    let messages = descriptions.at(&place).as_array().unwrap().iter();
    let name = |message: &Value| {
        let place = message["$ref"].as_str().unwrap();
        place.rsplit('/').next().unwrap().to_string()
    };
    messages.map(name).collect()
}

#[test]
fn the_descriptions_are_sound() {
    let descriptions = Descriptions::read();
    descriptions.are_sound();
    assert_eq!(*descriptions.at("asyncapi.json#/asyncapi"), "3.0.0");
    assert_eq!(*descriptions.at("openapi.json#/openapi"), "3.1.0");
    for file in ["asyncapi.json", "openapi.json"] {
        let version = descriptions.at(&format!("{file}#/info/version"));
        assert_eq!(*version, env!("CARGO_PKG_VERSION"));
    }
    // What both describe is the same.
    let schemas = |file: &str| descriptions.at(&format!("{file}#/components/schemas"));
    let schemas = ["asyncapi.json", "openapi.json"].map(|file| schemas(file).as_object().unwrap());
    let both = schemas[1]
        .keys()
        .filter(|name| schemas[0].contains_key(*name));
    for name in both {
        assert_eq!(schemas[0][name], schemas[1][name], "{name}");
    }
    let codes = "asyncapi.json#/components/schemas/Error/properties/code/enum";
    assert_eq!(*descriptions.at(codes), json!(Refusal::CODES));
}

#[test]
fn what_is_not_described_is_noticed() {
    let descriptions = Descriptions::read();
    let check = |value: Value| descriptions.check("asyncapi.json#/components/schemas/Chat", &value);
    let good = json!({"type": "chat", "room": "lobby", "id": "7-1", "ts": 7, "userId": "ann", "text": "hi"});
    assert_eq!(check(good.clone()), Ok(()));
    for (key, bad) in [
        ("type", json!("chats")),
        ("room", Value::Null),
        ("id", json!("7")),
        ("ts", json!("7")),
        ("ts", json!(-1)),
        ("text", json!("")),
        ("avatar", json!("438c")),
        ("extra", json!(1)),
    ] {
        let mut changed = good.clone();
        changed[key] = bad;
        assert!(check(changed.clone()).is_err(), "{changed}");
    }
    let mut short = good;
    short.as_object_mut().unwrap().remove("ts");
    assert!(check(short).is_err());
}

#[test]
fn the_typed_dialect_is_as_described() {
    let descriptions = Descriptions::read();
    let mut redis = Redis::start();
    let issuer = Issuer::hs256();
    let server = serve(redis.address(), &issuer);
    let token = issuer.sign(json!({"sub": "ann", "mod": true}));
    let mut ann = Described {
        descriptions: &descriptions,
        client: Client::connect(server.addr(), &format!("/ws?token={token}")),
        seen: BTreeSet::new(),
    };
    ann.put(json!({"type": "join", "room": "attic", "user": "ann", "email": "ann@example.org", "since": "0-0", "private": {}}));
    ann.gets(json!({"type": "welcome"}));
    ann.gets(json!({"type": "joined", "last": null}));
    ann.put(json!({"type": "chat", "room": "attic", "text": "hello", "ref": "1"}));
    // The message and its acknowledgement come in any order.
    let both = [(); 2].map(|()| ann.gets(json!({"type": null, "id": null})));
    assert!(both.iter().any(|one| one["type"] == "ack"));
    assert!(both.iter().any(|one| one["avatar"].is_string()));
    ann.put(json!({"type": "history", "room": "attic", "before": both[0]["id"], "limit": 10}));
    ann.gets(json!({"type": "history", "messages": []}));
    ann.put(json!({"type": "history", "room": "attic"}));
    ann.gets(json!({"type": "history"}));
    let mut bob = server.typed_in("bob", "attic");
    ann.gets(json!({"type": "presence"}));
    ann.put(json!({"type": "who", "room": "attic"}));
    ann.gets(json!({"type": "who"}));
    bob.put(json!({"type": "chat", "to": "ann", "text": "psst"}));
    ann.gets(json!({"type": "chat", "to": "ann"}));
    ann.put(json!({"type": "chat", "to": "bob", "text": "psst"}));
    let private = ann.gets(json!({"type": "chat", "to": "bob"}));
    ann.put(json!({"type": "history", "to": "bob", "limit": 10}));
    ann.gets(json!({"type": "history", "to": "bob"}));
    ann.put(json!({"type": "delete", "to": "bob", "id": private["id"]}));
    ann.gets(json!({"type": "deleted", "to": "bob"}));
    ann.put(json!({"type": "forget"}));
    redis.command(&["PUBLISH", "chat:attic", "ops: back at five"]);
    ann.gets(json!({"type": "chat", "userId": "ops"}));
    // What can't be done.
    for (object, code) in [
        (
            json!({"type": "chat", "room": "hall", "text": "x", "ref": "2"}),
            "not_in_room",
        ),
        (
            json!({"type": "chat", "to": "nobody", "text": "x"}),
            "no_such_user",
        ),
    ] {
        ann.put(object);
        ann.gets(json!({"type": "error", "code": code}));
    }
    for (object, code) in [
        (json!({"type": "nonsense"}), "unknown_type"),
        (
            json!({"type": "chat", "room": "attic", "text": " "}),
            "empty",
        ),
        (json!({"type": "join", "room": "a:b"}), "bad_room"),
        (json!({"type": "chat", "room": 1}), "bad_json"),
    ] {
        ann.client.put(object);
        ann.gets(json!({"type": "error", "code": code}));
    }
    ann.put(json!({"type": "leave", "room": "attic"}));
    ann.put(json!({"type": "join", "room": "attic", "history": 1}));
    ann.gets(json!({"type": "joined"}));
    ann.gets(json!({"type": "chat"}));
    // Moderators, and messages taken back.
    ann.put(json!({"type": "delete", "room": "attic", "id": both[0]["id"]}));
    ann.gets(json!({"type": "deleted", "room": "attic"}));
    for kind in ["kick", "ban", "unban", "mute"] {
        ann.put(json!({"type": kind, "room": "attic", "user": "eve", "reason": "spam"}));
        ann.gets(json!({"type": "moderation", "action": kind}));
    }
    ann.put(json!({"type": "ban", "room": "attic", "user": "eve"}));
    ann.gets(json!({"type": "moderation"}));
    ann.put(json!({"type": "banned", "room": "attic"}));
    ann.gets(json!({"type": "banned"}));
    redis.kill();
    ann.gets(json!({"type": "status", "bus": "waiting"}));
    redis.restart();
    ann.gets(json!({"type": "status", "bus": "ok"}));
    let mut described = all(&descriptions, "hear");
    described.extend(all(&descriptions, "tell"));
    assert_eq!(ann.seen, described);
}

/// An answer, looked up in the description.
fn look_up(
    descriptions: &Descriptions,
    server: &TestServer,
    method: &str,
    path: &str,
    target: &str,
    more: &str,
) -> (u16, String) {
    let mut raw = Raw::connect(server.addr());
    raw.send(format!("{method} {target} HTTP/1.1\r\nHost: x\r\n{more}").as_bytes());
    let all = String::from_utf8(raw.rest()).unwrap();
    let (head, body) = all.split_once("\r\n\r\n").unwrap();
    let status = head[9..12].to_string();
    let path = path.replace('/', "~1");
    let method = method.to_lowercase();
    let operation = descriptions.at(&format!("openapi.json#/paths/{path}/{method}"));
    let answer = operation["responses"].get(&status);
    let answer =
        answer.unwrap_or_else(|| panic!("{method} {target} is answered by {status} {body}"));
    let (_, answer) = descriptions.follow("openapi.json", answer);
    for name in answer["headers"]
        .as_object()
        .into_iter()
        .flat_map(|all| all.keys())
    {
        assert!(head.contains(&format!("\r\n{name}: ")), "{name}: {head}");
    }
    let kind = head
        .lines()
        .find_map(|line| line.strip_prefix("Content-Type: "));
    let kind = kind.map(|kind| kind.split(';').next().unwrap());
    let described = answer["content"].as_object();
    match kind {
        Some(kind) => assert!(
            described.is_some_and(|all| all.contains_key(kind)),
            "{kind}: {answer}"
        ),
        None => assert!(body.is_empty() && described.is_none(), "{body}"),
    }
    (status.parse().unwrap(), body.to_string())
}

#[test]
fn plain_http_is_as_described() {
    let descriptions = Descriptions::read();
    let issuer = Issuer::es256();
    let server = TestServer::with(|config| {
        config.jwt_key = Some(issuer.file());
        config.rate = 1;
    });
    let ask = |method: &str, path: &str, target: &str, more: &str| {
        look_up(&descriptions, &server, method, path, target, more)
    };
    let room = "/rooms/{room}";
    let bearer = format!("Authorization: Bearer {}\r\n", issuer.token("door"));
    let hall = issuer.sign(json!({"sub": "bell", "rooms": ["hall"]}));
    let hall = format!("/rooms/lobby?token={hall}");
    let post = |text: &str| format!("{bearer}Content-Length: {}\r\n\r\n{text}", text.len());
    let (status, id) = ask("POST", room, "/rooms/lobby", &post("hello"));
    assert_eq!(status, 200);
    descriptions
        .check(
            "asyncapi.json#/components/schemas/Id",
            &json!(id.trim_end()),
        )
        .unwrap();
    let get = |more: &str| format!("{bearer}{more}\r\n");
    let (status, body) = ask("GET", room, "/rooms/lobby?limit=1", &get(""));
    assert_eq!(status, 200);
    let body: Value = serde_json::from_str(&body).unwrap();
    descriptions
        .check("openapi.json#/components/schemas/Messages", &body)
        .unwrap();
    let known = format!("If-None-Match: \"{}\"\r\n", id.trim_end());
    for (method, target, more, status) in [
        ("GET", "/rooms/lobby", get(&known), 304),
        ("HEAD", "/rooms/lobby", get(""), 200),
        ("GET", "/rooms/lobby?limit=0", get(""), 400),
        ("GET", "/rooms/lobby", "\r\n".into(), 401),
        ("GET", &hall, "\r\n".into(), 403),
        ("POST", "/rooms/a:b", post("x"), 400),
        (
            "POST",
            "/rooms/lobby",
            "Content-Length: 1\r\n\r\nx".into(),
            401,
        ),
        ("POST", &hall, "Content-Length: 1\r\n\r\nx".into(), 403),
        ("POST", "/rooms/lobby", get(""), 411),
        ("POST", "/rooms/lobby", post(&"x".repeat(5000)), 413),
        ("OPTIONS", "/rooms/lobby", "\r\n".into(), 204),
        (
            "OPTIONS",
            "/rooms/lobby",
            "Origin: http://evil.example\r\n\r\n".into(),
            403,
        ),
    ] {
        assert_eq!(
            ask(method, room, target, &more).0,
            status,
            "{method} {target}"
        );
    }
    let message = format!("/rooms/lobby/{}", id.trim_end());
    let window = format!("Authorization: Bearer {}\r\n\r\n", issuer.token("window"));
    let boss = issuer.sign(json!({"sub": "boss", "mod": true}));
    let boss = format!("Authorization: Bearer {boss}\r\n\r\n");
    for (target, more, status) in [
        (&*message, &*window, 403),
        (&message, "\r\n", 401),
        (&message, &boss, 204),
        (&message, &boss, 404),
        ("/rooms/a:b/7-1", &boss, 400),
    ] {
        let (answer, _) = ask("DELETE", "/rooms/{room}/{id}", target, more);
        assert_eq!(answer, status, "{target}");
    }
    ask("OPTIONS", "/rooms/{room}/{id}", &message, "\r\n");
    while ask("POST", room, "/rooms/lobby", &post("again")).0 != 429 {}
    for path in ["/healthz", "/readyz"] {
        assert_eq!(ask("GET", path, path, "\r\n").0, 200);
    }
    let gate = format!("Authorization: Bearer {}\r\n", issuer.token("gate"));
    let hello = format!("{gate}Content-Length: 5\r\n\r\nhello");
    assert_eq!(ask("POST", room, "/rooms/lobby", &hello).0, 200);
    let mut follower = Follower::open(server.addr(), "/rooms/lobby?since=0-0", &bearer);
    let joined = follower.hears("joined").data;
    descriptions
        .check("openapi.json#/components/schemas/Follows", &joined)
        .unwrap();
    let deleted = follower.hears("deleted").data;
    descriptions
        .check("asyncapi.json#/components/schemas/Deleted", &deleted)
        .unwrap();
    let chat = follower.hears("chat").data;
    descriptions
        .check("asyncapi.json#/components/schemas/Chat", &chat)
        .unwrap();
    drop(follower);
    let full = TestServer::with(|config| config.max_peers = 1);
    let _only = full.join("ann");
    assert_eq!(
        look_up(&descriptions, &full, "GET", room, "/rooms/lobby", "\r\n").0,
        503
    );
}
