//! Who may connect, under which name, to which rooms, and for how long.

use std::fs;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use serde_json::json;
use tungstenite::handshake::client::Request;

use crate::support::{Client, Issuer, Program, Raw, Redis, TestServer, message, soon, upgrade};

/// A header of a request.
fn header(name: &'static str, value: String) -> impl FnOnce(&mut Request) {
    move |request| {
        let value = value.parse().unwrap();
        request.headers_mut().insert(name, value);
    }
}

/// How the server answers who connects with this token.
#[track_caller]
fn status(server: &TestServer, target: &str, token: &str) -> u16 {
    let bearer = header("authorization", format!("Bearer {token}"));
    Client::request(server.addr(), target, bearer).map_or_else(|status| status, |_| 101)
}

/// A text client in the lobby.
#[track_caller]
fn join(server: &TestServer, user: &str, token: &str) -> Client {
    let mut client = Client::connect(server.addr(), &format!("/chat/{user}?token={token}"));
    client.hears(&format!("Welcome {user}!"));
    client
}

#[test]
fn each_kind_of_key_lets_its_holders_in() {
    for issuer in Issuer::all() {
        let server = issuer.serve();
        let mut ann = join(&server, "ann", &issuer.token("ann"));
        let mut bob = join(&server, "bob", &issuer.token("bob"));
        ann.hears("bob: has joined the chat!");
        bob.say("hello");
        ann.hears("bob: hello");
    }
}

#[test]
fn a_token_comes_in_a_header_or_as_a_subprotocol_or_in_the_address() {
    let issuer = Issuer::es256();
    let token = issuer.token("ann");
    for server in [issuer.serve(), TestServer::start()] {
        for target in ["/chat/ann", "/ws?user=ann", "/ws"] {
            for scheme in ["Bearer", "bearer", "BEARER"] {
                let bearer = header("authorization", format!("{scheme} {token}"));
                assert!(Client::request(server.addr(), target, bearer).is_ok());
            }
            // The client itself insists on an answer that names one of what it has offered.
            for offered in [format!("bearer.{token}"), format!("chat, bearer.{token}")] {
                let protocol = header("sec-websocket-protocol", offered);
                assert!(Client::request(server.addr(), target, protocol).is_ok());
            }
            let join = if target.contains('?') { '&' } else { '?' };
            Client::connect(server.addr(), &format!("{target}{join}token={token}"));
        }
    }
    // What a proxy asks for is none of our business.
    let server = issuer.serve();
    let target = format!("/chat/ann?token={token}");
    let basic = header("authorization", "Basic YTpi".into());
    assert!(Client::request(server.addr(), &target, basic).is_ok());
    // The first one counts: a bad one in the header is not made up for by the address.
    let bad = header("authorization", "Bearer x".into());
    assert_eq!(
        Client::request(server.addr(), &target, bad).err(),
        Some(401)
    );
}

#[test]
fn without_a_good_token_the_answer_is_401_and_says_why() {
    let issuer = Issuer::hs256();
    let server = issuer.serve();
    let answer = |token: Option<&str>| {
        let mut head = upgrade("ann");
        if let Some(token) = token {
            let line = format!("Host: x\r\nAuthorization: Bearer {token}\r\n");
            head = head.replace("Host: x\r\n", &line);
        }
        let mut raw = Raw::connect(server.addr());
        raw.send(head.as_bytes());
        String::from_utf8(raw.rest()).unwrap()
    };
    let none = answer(None);
    assert!(none.starts_with("HTTP/1.1 401 Unauthorized\r\n"), "{none}");
    assert!(none.contains("\r\nWWW-Authenticate: Bearer realm=\"natterjack\"\r\n"));
    assert!(none.ends_with("?token=TOKEN\n") && none.contains("a token is needed: "));
    for (token, why) in [
        (
            issuer.sign(json!({"sub": "ann", "exp": soon(-1)})),
            "it has expired",
        ),
        (
            issuer.sign(json!({"sub": "ann", "nbf": soon(60)})),
            "it is not valid yet",
        ),
        (issuer.sign(json!({"exp": soon(60)})), "sub is missing"),
        (issuer.sign(json!({"sub": "a:b"})), "sub: bad user name"),
        (format!("{}x", issuer.token("ann")), "bad token: "),
        ("a.b.c".into(), "it can't be read"),
        ("????".into(), "it can't be read"),
    ] {
        let bad = answer(Some(&token));
        assert!(bad.starts_with("HTTP/1.1 401 "), "{bad}");
        assert!(
            bad.contains("error=\"invalid_token\"") && bad.contains(why),
            "{bad}"
        );
        assert!(!bad.contains(&token), "{bad}");
    }
    // The page, and who looks after the server, need none.
    for open in ["/", "/app.js", "/healthz", "/readyz"] {
        assert_eq!(Raw::get(server.addr(), open).0, 200, "{open}");
    }
}

#[test]
fn a_token_of_another_key_is_refused() {
    for issuer in Issuer::all() {
        let server = issuer.serve();
        let other = match issuer.algorithm {
            "HS256" => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, b"another secret of thirty-two bytes");
                let message = message(&json!({"alg": "HS256"}), &json!({"sub": "ann"}));
                let tag = hmac::sign(&key, message.as_bytes());
                format!("{message}.{}", URL_SAFE_NO_PAD.encode(tag))
            }
            "ES256" => Issuer::es256().token("ann"),
            _ => Issuer::eddsa().token("ann"),
        };
        assert_eq!(status(&server, "/chat/ann", &other), 401);
        assert_eq!(status(&server, "/chat/ann", &issuer.token("ann")), 101);
    }
}

#[test]
fn the_algorithm_is_that_of_the_key_and_never_of_the_token() {
    let claims = json!({"sub": "ann"});
    for issuer in [Issuer::es256(), Issuer::eddsa()] {
        let server = issuer.serve();
        // Who knows the public key knows all of these as secrets.
        let der = issuer.der();
        let point = der[der.len() - if issuer.algorithm == "ES256" { 65 } else { 32 }..].to_vec();
        let pem = issuer.published().to_vec();
        let trimmed = pem.trim_ascii_end().to_vec();
        for secret in [pem, trimmed, der, point] {
            for alg in ["HS256", issuer.algorithm] {
                let message = message(&json!({"alg": alg}), &claims);
                let key = hmac::Key::new(hmac::HMAC_SHA256, &secret);
                let tag = URL_SAFE_NO_PAD.encode(hmac::sign(&key, message.as_bytes()));
                assert_eq!(
                    status(&server, "/chat/ann", &format!("{message}.{tag}")),
                    401
                );
            }
        }
    }
    for issuer in Issuer::all() {
        let server = issuer.serve();
        for alg in ["none", "None", "NONE", "nOnE", ""] {
            let header = json!({"alg": alg});
            let signed = issuer.sign_under(&header, &claims);
            let unsigned = format!("{}.", message(&header, &claims));
            for token in [signed, unsigned] {
                assert_eq!(status(&server, "/chat/ann", &token), 401, "{alg}");
            }
        }
        for alg in [
            "HS256", "HS384", "HS512", "ES256", "ES384", "EdDSA", "RS256", "PS256",
        ] {
            let token = issuer.sign_under(&json!({"alg": alg}), &claims);
            let expected = if alg == issuer.algorithm { 101 } else { 401 };
            assert_eq!(status(&server, "/chat/ann", &token), expected, "{alg}");
        }
        let critical = json!({"alg": issuer.algorithm, "crit": ["b64"], "b64": true});
        let token = issuer.sign_under(&critical, &claims);
        assert_eq!(status(&server, "/chat/ann", &token), 401);
    }
}

#[test]
fn a_token_that_is_too_long_is_a_head_that_is_too_long() {
    let issuer = Issuer::hs256();
    let server = issuer.serve();
    let long = issuer.sign(json!({"sub": "ann", "more": "x".repeat(16 * 1024)}));
    let target = format!("/chat/ann?token={long}");
    assert_eq!(Raw::get(server.addr(), &target).0, 431);
    let fits = issuer.sign(json!({"sub": "ann", "more": "x".repeat(4 * 1024)}));
    assert_eq!(status(&server, "/chat/ann", &fits), 101);
}

#[test]
fn what_is_wrong_with_the_request_comes_before_the_token() {
    let issuer = Issuer::hs256();
    let server = TestServer::with(|config| {
        config.jwt_key = Some(issuer.file());
        config.max_peers = 1;
    });
    let ask = |target: &str, set: &'static str| {
        Client::request(server.addr(), target, |request| {
            if !set.is_empty() {
                let origin = set.parse().unwrap();
                request.headers_mut().insert("origin", origin);
            }
        })
        .map_or_else(|status| status, |_| 101)
    };
    assert_eq!(ask("/nowhere", ""), 404);
    assert_eq!(ask("/chat/a:b", ""), 400);
    assert_eq!(ask("/chat/ann", "http://evil.example"), 403);
    let _ann = join(&server, "ann", &issuer.token("ann"));
    assert_eq!(ask("/chat/bob", ""), 401, "before a place is looked for");
    assert_eq!(status(&server, "/chat/bob", &issuer.token("bob")), 503);
    // A page can't see why it is refused, so it asks without an upgrade.
    assert_eq!(Raw::get(server.addr(), "/ws").0, 401);
    let good = format!("/ws?token={}", issuer.token("bob"));
    assert_eq!(Raw::get(server.addr(), &good).0, 426);
}

#[test]
fn a_token_is_for_one_name() {
    let issuer = Issuer::eddsa();
    let server = issuer.serve();
    let token = issuer.token("ann");
    assert_eq!(status(&server, "/chat/bob", &token), 403);
    assert_eq!(status(&server, "/ws?user=bob", &token), 403);
    let mut ann = join(&server, "ann", &token);

    // Who gives no name is who the token says, and nobody else.
    let bob = issuer.token("bob");
    let mut typed = Client::connect(server.addr(), &format!("/ws?token={bob}"));
    let wrong = json!({"type": "join", "room": "lobby", "user": "eve"});
    typed.is_refused(wrong, "forbidden");
    typed.put(json!({"type": "join", "room": "lobby"}));
    typed.gets(json!({"type": "welcome", "userId": "bob"}));
    ann.hears("bob: has joined the chat!");

    let eve = issuer.token("eve");
    let mut simple = Client::connect(server.addr(), &format!("/ws?token={eve}"));
    let say = |user: &str, text: &str| json!({"username": user, "message": text});
    simple.put(say("ann", "it was me"));
    simple.gets(json!({"type": "error", "code": "forbidden"}));
    simple.put(say("eve", "hello"));
    ann.hears("eve: has joined the chat!");
    ann.hears("eve: hello");
    simple.gets(json!({"username": "eve", "message": "hello"}));
    simple.put(say("bob", "it was me"));
    simple.gets(json!({"type": "error", "code": "forbidden"}));

    // Everybody may be written to, also from no room.
    let mut fay = Client::connect(server.addr(), &format!("/ws?token={}", issuer.token("fay")));
    fay.put(json!({"type": "chat", "to": "ann", "text": "psst"}));
    fay.gets(json!({"type": "welcome", "userId": "fay"}));
    ann.hears("fay (private): psst");
}

#[test]
fn a_token_may_be_for_some_rooms_only() {
    let issuer = Issuer::hs256();
    let server = issuer.serve();
    let token = issuer.sign(json!({"sub": "ann", "rooms": ["attic", "fö o"]}));
    for (target, expected) in [
        ("/chat/ann", 403),
        ("/chat/ann?room=cellar", 403),
        ("/chat/ann?room=attic", 101),
        ("/chat/ann?room=f%C3%B6+o", 101),
        ("/ws", 403),
        ("/ws?room=attic", 101),
        ("/ws?user=ann&room=cellar", 403),
        ("/ws?user=ann&room=attic", 101),
        ("/ws?user=ann", 101),
    ] {
        assert_eq!(status(&server, target, &token), expected, "{target}");
    }
    let target = format!("/ws?user=ann&token={token}");
    let mut ann = Client::connect(server.addr(), &target);
    ann.gets(json!({"type": "welcome"}));
    for asked in [
        json!({"type": "join", "room": "lobby"}),
        json!({"type": "who", "room": "lobby"}),
        json!({"type": "history", "room": "lobby"}),
    ] {
        ann.is_refused(asked, "forbidden");
    }
    let chat = json!({"type": "chat", "room": "lobby", "text": "x"});
    ann.is_refused(chat, "not_in_room");
    ann.put(json!({"type": "join", "room": "attic"}));
    ann.gets(json!({"type": "joined", "room": "attic", "users": ["ann"]}));
    // Everybody may be written to.
    let _bob = join(&server, "bob", &issuer.token("bob"));
    ann.put(json!({"type": "chat", "to": "bob", "text": "psst"}));
    ann.gets(json!({"type": "chat", "to": "bob"}));
    let nowhere = issuer.sign(json!({"sub": "ann", "rooms": []}));
    assert_eq!(status(&server, "/chat/ann", &nowhere), 403);
}

#[test]
fn whoever_has_a_token_for_a_name_takes_it_over() {
    let issuer = Issuer::es256();
    let redis = Redis::start();
    let on = || {
        TestServer::on_with(redis.address(), |config| {
            config.jwt_key = Some(issuer.file())
        })
    };
    let (one, two) = (on(), on());
    let alone = issuer.serve();
    for (here, there) in [(&alone, &alone), (&one, &one), (&one, &two)] {
        let token = issuer.token("ann");
        let mut bob = join(here, "bob", &issuer.token("bob"));
        let mut ann = join(here, "ann", &token);
        bob.hears("ann: has joined the chat!");
        // In every dialect from every dialect; each with a token of its own.
        let target = format!("/ws?user=ann&room=lobby&token={}", issuer.token("ann"));
        let mut typed = Client::connect(there.addr(), &target);
        typed.gets(json!({"type": "welcome", "userId": "ann"}));
        typed.gets(json!({"type": "joined", "room": "lobby"}));
        ann.is_closed(4001);
        let target = format!("/ws?token={token}");
        let mut simple = Client::connect(here.addr(), &target);
        simple.put(json!({"username": "ann", "message": "me again"}));
        typed.is_closed(4001);
        let mut last = join(there, "ann", &token);
        simple.is_closed(4001);
        bob.say("who is there?");
        last.hears_at_last("bob: who is there?");
        bob.is_taken();
    }
}

#[test]
fn a_connection_ends_with_its_token() {
    let issuer = Issuer::hs256();
    let server = issuer.serve();
    let mut bob = join(&server, "bob", &issuer.token("bob"));
    let short = || issuer.sign(json!({"sub": "ann", "exp": soon(2)}));
    let target = |at: &str| format!("{at}token={}", short());
    let mut plain = Client::connect(server.addr(), &target("/chat/ann?"));
    plain.is_closed(1008);
    bob.hears("ann: has joined the chat!");
    bob.hears("ann: has left the chat!");
    let mut typed = Client::connect(server.addr(), &target("/ws?user=ann&"));
    typed.is_closed(1008);
    let mut nobody = Client::connect(server.addr(), &target("/ws?"));
    nobody.is_closed(1008);
    let mut raw = Raw::connect(server.addr());
    raw.send(upgrade("ann").replace("/ann", &target("/ann?")).as_bytes());
    let end = raw.rest();
    let reason = b"token expired";
    assert!(end.windows(reason.len()).any(|part| part == reason));
}

#[test]
fn a_key_that_is_none_is_one_line_and_exit_1() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    let path = file.to_str().unwrap();
    let starts = |content: &[u8]| {
        fs::write(&file, content).unwrap();
        let out = Program::run(&["--listen", "127.0.0.1:0", "--jwt-key", path], &[]);
        let said = String::from_utf8(out.stderr).unwrap();
        assert_eq!(
            (out.status.code(), said.lines().count()),
            (Some(1), 1),
            "{said}"
        );
        assert!(
            said.starts_with(&format!("natterjack: --jwt-key {path}: ")),
            "{said}"
        );
        said
    };
    let pair = Issuer::es256();
    for (content, why) in [
        (b"".to_vec(), "empty"),
        (b"short secret\n".to_vec(), "12 bytes"),
        (pair.private().into_bytes(), "private key"),
        (pair.der(), "DER"),
        (RSA.as_bytes().to_vec(), "RSA"),
        (
            b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_vec(),
            "certificate",
        ),
    ] {
        let said = starts(&content);
        assert!(said.contains(why), "{said}");
    }
    let out = Program::run(&["--jwt-key", "/nowhere/key"], &[]);
    let said = String::from_utf8(out.stderr).unwrap();
    assert_eq!(out.status.code(), Some(1), "{said}");
    assert!(
        said.contains("--jwt-key /nowhere/key: No such file"),
        "{said}"
    );
    let out = Program::run(
        &[
            "--check",
            "--listen",
            "127.0.0.1:0",
            "--jwt-key",
            "/nowhere",
        ],
        &[],
    );
    assert_eq!(out.status.code(), Some(1));
}

#[test]
fn tokens_and_secrets_are_nowhere_to_be_seen() {
    let issuer = Issuer::hs256();
    let file = issuer.file();
    let flags = ["--log", "debug", "--jwt-key", file.to_str().unwrap()];
    let mut program = Program::start(&flags);
    let addr = program.addr();
    let good = issuer.token("ann");
    let bad = format!("{}x", issuer.token("bob"));
    let mut tokens = vec![good.clone(), bad.clone()];
    let mut ann = Client::connect(addr, &format!("/chat/ann?token={good}"));
    ann.hears("Welcome ann!");
    for token in [&good, &bad] {
        let in_header = header("authorization", format!("Bearer {token}"));
        let _ = Client::request(addr, "/chat/eve", in_header);
        let as_protocol = header("sec-websocket-protocol", format!("bearer.{token}"));
        let _ = Client::request(addr, "/chat/eve", as_protocol);
        let (_, said) = Raw::get(addr, &format!("/ws?token={token}"));
        assert!(!said.contains(token.as_str()), "{said}");
        let post =
            format!("POST /rooms/lobby?token={token} HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi");
        assert!(!Raw::ask(addr, post.as_bytes()).1.contains(token.as_str()));
    }
    let started = fs::read(format!("/proc/{}/cmdline", program.id())).unwrap();
    program.signal("TERM");
    assert!(program.wait().success());
    tokens.push(String::from_utf8(issuer.published().to_vec()).unwrap());
    let log = program.log().join("\n");
    assert!(log.contains("401"), "something is logged: {log}");
    for secret in tokens.iter().flat_map(|token| token.split('.')) {
        assert!(!log.contains(secret), "{secret} in {log}");
        let started = String::from_utf8_lossy(&started);
        assert!(!started.contains(secret), "{secret} in {started}");
    }
}

#[test]
fn garbage_for_a_token_is_401_and_the_server_goes_on() {
    let issuer = Issuer::es256();
    let server = issuer.serve();
    let parts = [
        "",
        ".",
        "e30",
        "eyJhbGciOiJFUzI1NiJ9",
        "bnVsbA",
        "[]",
        "%00",
        "A",
        "====",
        "-_",
    ];
    arbtest::arbtest(|u| {
        let mut token = String::new();
        for _ in 0..u.int_in_range(0..=6)? {
            let part: &&str = u.choose(&parts)?;
            token.push_str(part);
            token.push_str(u.choose(&[".", "", ".."])?);
        }
        let target = format!("/ws?user=ann&token={token}");
        let request = upgrade("ann").replace("/chat/ann", &target);
        let status = Raw::ask(server.addr(), request.as_bytes()).0;
        assert_eq!(status, 401, "{token}");
        Ok(())
    })
    .budget_ms(1000);
    join(&server, "ann", &issuer.token("ann"));
}

/// A public key of a kind that is not taken.
const RSA: &str = "-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAm13UncfJlWxhnm5oDUqX
hayjLJbA8xg/MJeinNEDNk8SJC7qImmTBHammxpXknwJqYAOXN5SYC2aTiZUYWr7
W+LCs4a74jkfrIKdGQc/6y4hnECjEBTAH8++mKDLrUbCKNoezbUmDK+U7nh/XvV4
wdqJUfQV9iyyP9mgjJeqEpgsvGaF2AvBvCwZAEfcS2iIeCYZj0dlFQPIhMY91O1c
poWYUz9A7pJ5twux8SN2WQtXZLio+pSjvCGEZNedSLS9NTcV9rBnei/L/xmMbAHu
xud4Lxr9+pockGxsxQzinGWWF1VIEx4+X8yKUFtuhqWfw1MwijKoAOA5MgYK6IJq
9QIDAQAB
-----END PUBLIC KEY-----
";
