//! Tokens and keys that are not good, and how little is said about them.

use std::fs;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use serde_json::{Value, json};

use crate::support::{
    Client, Issuer, Program, Raw, TestServer, eventually, message, openssl, rsa, soon, upgrade,
};
use crate::tokens::{header, join, status};

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
            issuer.sign(json!({"sub": "ann", "exp": soon(-31)})),
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
            "RS256" => Issuer::rs256().token("ann"),
            _ => Issuer::eddsa().token("ann"),
        };
        assert_eq!(status(&server, "/chat/ann", &other), 401);
        assert_eq!(status(&server, "/chat/ann", &issuer.token("ann")), 101);
    }
}

#[test]
fn the_algorithm_is_that_of_the_key_and_never_of_the_token() {
    let claims = json!({"sub": "ann"});
    for issuer in [Issuer::es256(), Issuer::eddsa(), Issuer::rs256()] {
        let server = issuer.serve();
        // Who knows the public key knows all of these as secrets.
        let der = issuer.der();
        // The point, or the two numbers of RSA in their own DER.
        let inner = match issuer.algorithm {
            "ES256" => 65,
            "EdDSA" => 32,
            _ => 270,
        };
        let point = der[der.len() - inner..].to_vec();
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
fn errors_of_the_request_come_before_errors_of_the_token() {
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
    let ann = join(&server, "ann", &issuer.token("ann"));
    assert_eq!(ask("/chat/bob", ""), 401, "before a place is looked for");
    assert_eq!(status(&server, "/chat/bob", &issuer.token("bob")), 503);
    // A page can't see why it is refused, so it asks without an upgrade.
    assert_eq!(Raw::get(server.addr(), "/ws").0, 401);
    let good = format!("/ws?token={}", issuer.token("bob"));
    assert_eq!(Raw::get(server.addr(), &good).0, 503);
    ann.leave();
    eventually("there is room", || {
        (Raw::get(server.addr(), &good).0 == 426).then_some(())
    });
}

#[test]
fn an_invalid_key_is_one_line_and_exit_code_1() {
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
    let two = [pair.published(), Issuer::es256().published()].concat();
    let beside = [pair.published(), pair.private().as_bytes()].concat();
    // As Keycloak shows it.
    let pem = str::from_utf8(pair.published()).unwrap().lines();
    let bare = pem
        .filter(|line| !line.starts_with('-'))
        .collect::<String>();
    let bare = bare.into_bytes();
    let set = |key: Value| json!({ "keys": [key] }).to_string().into_bytes();
    let mut private_jwk = pair.jwk("c");
    private_jwk["d"] = "AAAA".into();
    let small = folder.path().join("small.pem");
    fs::write(&small, rsa(1024)).unwrap();
    let small = small.to_str().unwrap();
    for (content, why) in [
        (b"".to_vec(), "empty"),
        (b"short secret\n".to_vec(), "12 bytes"),
        (pair.private().into_bytes(), "private key"),
        (pair.der(), "DER"),
        (two, "2 keys"),
        (beside, "private key"),
        (
            openssl(&["pkey", "-in", small, "-pubout"]).into_bytes(),
            "1024 bits",
        ),
        (
            openssl(&["rsa", "-in", small, "-RSAPublicKey_out"]).into_bytes(),
            "-RSAPublicKey_in -pubout",
        ),
        (bare, "without its PEM lines"),
        (b"{}".to_vec(), "no JWKS"),
        (b"{\"keys\":{}}".to_vec(), "no JWKS"),
        (b"[]".to_vec(), "no JWKS"),
        (b"{\"keys\":[]}".to_vec(), "no key"),
        (
            set(json!({"kty": "EC", "crv": "P-521", "kid": "a"})),
            "\"a\" is of a kind that is not known",
        ),
        (
            set(json!({"kty": "oct", "kid": "b", "k": "c2hvcnQ"})),
            "\"b\" is a secret of 5 bytes",
        ),
        (set(private_jwk), "\"c\" is a private key"),
        (vec![b' '; 300 * 1024], "longer than"),
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
        let post = format!(
            "POST /rooms/lobby?token={token} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi"
        );
        assert!(
            !Raw::request(addr, post.as_bytes())
                .1
                .contains(token.as_str())
        );
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
fn garbage_as_a_token_is_401_and_the_server_continues() {
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
        let status = Raw::request(server.addr(), request.as_bytes()).0;
        assert_eq!(status, 401, "{token}");
        Ok(())
    })
    .budget_ms(1000);
    join(&server, "ann", &issuer.token("ann"));
}
