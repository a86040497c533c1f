//! `--issue`: the program makes a token itself, so that nobody needs another tool for the first one.

use std::fs;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::support::{Client, Issuer, Program, Raw, openssl, rsa, soon};

const DAY: i64 = 24 * 3600;

/// The token that it prints, alone on one line.
#[track_caller]
fn issue(name: &str, key: &Path, flags: &[&str]) -> String {
    let start = ["--issue", name, "--jwt-key", key.to_str().unwrap()];
    let output = Program::run(&[&start, flags].concat(), &[]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && stderr.is_empty(), "{stderr}");
    let printed = String::from_utf8(output.stdout).unwrap();
    let token = printed.strip_suffix('\n').unwrap();
    assert!(!token.contains(char::is_whitespace), "{token:?}");
    token.to_string()
}

/// The claims of a token.
fn claims(token: &str) -> Value {
    let part = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

#[track_caller]
fn is_refused(flags: &[&str], code: i32, why: &str) {
    let output = Program::run(flags, &[]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(output.stdout.is_empty(), "nothing that looks like a token");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains(why), "{why:?} is not in {said:?}");
}

#[test]
fn the_server_accepts_an_issued_token() {
    for issuer in Issuer::all() {
        let server = issuer.serve();
        let folder = tempfile::tempdir().unwrap();
        let mut key = issuer.file();
        if issuer.algorithm != "HS256" {
            key = folder.path().join("private.pem");
            fs::write(&key, issuer.private()).unwrap();
        }
        let token = issue("Ann Ö", &key, &["--rooms", "attic, fö o"]);
        let target = format!("/chat/Ann%20%C3%96?room=attic&token={token}");
        let mut ann = Client::connect(server.addr(), &target);
        ann.hears("Welcome Ann Ö!");
        for (target, expected) in [("/chat/Ann%20%C3%96", 403), ("/chat/bob?room=attic", 403)] {
            let target = format!(
                "{target}{}token={token}",
                if target.contains('?') { '&' } else { '?' }
            );
            let answer = Client::request(server.addr(), &target, |_| {});
            assert_eq!(answer.err(), Some(expected), "{target}");
        }
    }
}

#[test]
fn an_issued_token_has_the_requested_claims() {
    let issuer = Issuer::hs256();
    let key = issuer.file();
    let near = |claims: &Value, claim: &str, expected: i64| {
        let found = claims[claim].as_i64().unwrap();
        assert!((expected - 60..=expected).contains(&found), "{claims}");
    };
    let plain = claims(&issue("ann", &key, &[]));
    near(&plain, "iat", soon(0));
    near(&plain, "exp", soon(30 * DAY));
    let named: Vec<&str> = plain
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(named, ["exp", "iat", "sub"]);
    assert_eq!(plain["sub"], "ann");

    let all = [
        "--days=1",
        "--rooms=lobby,attic",
        "--mod",
        "--jwt-name=nickname",
        "--jwt-audience=chat",
        "--jwt-issuer=https://id.example",
    ];
    let full = claims(&issue("ann", &key, &all));
    near(&full, "exp", soon(DAY));
    assert_eq!(full["nickname"], "ann");
    assert_eq!(full["rooms"], json!(["lobby", "attic"]));
    assert_eq!(full["mod"], true);
    assert_eq!(
        (&full["aud"], &full["iss"]),
        (&json!("chat"), &json!("https://id.example"))
    );
    // The server with the same settings takes it.
    let mut program = Program::start(&[&["--jwt-key", key.to_str().unwrap()], &all[3..]].concat());
    let token = issue("ann", &key, &all);
    let (status, said) = Raw::get(program.addr(), &format!("/ws?token={token}"));
    assert_eq!(status, 426, "{said}");
}

#[test]
fn keys_that_openssl_makes_are_taken() {
    let folder = tempfile::tempdir().unwrap();
    let private = folder.path().join("private.pem");
    let public = folder.path().join("public.pem");
    let (private_path, public_path) = (private.to_str().unwrap(), public.to_str().unwrap());
    for key in [
        openssl(&["genpkey", "-algorithm", "ed25519"]),
        openssl(&[
            "genpkey",
            "-algorithm",
            "EC",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
        ]),
        rsa(2048),
        rsa(3072),
    ] {
        fs::write(&private, key).unwrap();
        openssl(&["pkey", "-in", private_path, "-pubout", "-out", public_path]);
        let mut program = Program::start(&["--jwt-key", public_path]);
        let token = issue("ann", &private, &[]);
        let (status, said) = Raw::get(program.addr(), &format!("/ws?token={token}"));
        assert_eq!(status, 426, "{said}");
    }
}

#[test]
fn a_failure_to_issue_is_one_line_and_no_token() {
    let issuer = Issuer::hs256();
    let key = issuer.file();
    let key = key.to_str().unwrap();
    for (flags, why) in [
        (
            &["--issue", "a:b", "--jwt-key", key][..],
            "--issue: bad user name",
        ),
        (&["--issue", "", "--jwt-key", key], "--issue"),
        (
            &["--issue", "ann", "--jwt-key", key, "--rooms", "a,b:c"],
            "--rooms: bad room name",
        ),
        (
            &["--issue", "ann", "--jwt-key", key, "--rooms", ""],
            "--rooms",
        ),
        (
            &["--issue", "ann", "--jwt-key", key, "--days", "0"],
            "--days \"0\" is not allowed",
        ),
        (
            &["--issue", "ann", "--jwt-key", key, "--days", "soon"],
            "--days \"soon\" is not allowed",
        ),
        (&["--issue", "ann"], "--issue needs --jwt-key"),
        (&["--issue", "ann", "--jwt-key", key, "--check"], "--check"),
        (&["--days", "1", "--jwt-key", key], "--days needs --issue"),
        (&["--rooms", "a", "--jwt-key", key], "--rooms needs --issue"),
        (&["--mod", "--jwt-key", key], "--mod needs --issue"),
        (
            &["--jwt-audience", "chat"],
            "--jwt-audience needs --jwt-key",
        ),
        (&["--jwt-issuer", "me"], "--jwt-issuer needs --jwt-key"),
        (&["--jwt-name", "name"], "--jwt-name needs --jwt-key"),
        (
            &["--jwt-key", key, "--jwt-name", ""],
            "--jwt-name \"\" is not allowed",
        ),
    ] {
        is_refused(flags, 2, why);
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    let path = file.to_str().unwrap();
    let pair = Issuer::es256();
    let public = String::from_utf8(pair.published().to_vec()).unwrap();
    let private = pair.private();
    let set = json!({"keys": [pair.jwk("a")]}).to_string();
    let old_ec = openssl(&["ecparam", "-genkey", "-name", "prime256v1"]);
    let other_curve = openssl(&[
        "genpkey",
        "-algorithm",
        "EC",
        "-pkeyopt",
        "ec_paramgen_curve:P-384",
    ]);
    for (content, why) in [
        (
            public.as_str(),
            "it is a public key; --issue needs the private one",
        ),
        (set.as_str(), "--issue needs the private key"),
        (&format!("{private}{private}"), "2 keys"),
        (&format!("{private}{public}"), "2 keys"),
        (&old_ec, "openssl pkcs8 -topk8 -nodes"),
        (&other_curve, "P-256, Ed25519 or RSA"),
        (&rsa(1024), "2,048 bits"),
        ("short", "5 bytes"),
        ("", "empty"),
    ] {
        fs::write(&file, content).unwrap();
        is_refused(&["--issue", "ann", "--jwt-key", path], 1, why);
    }
    is_refused(
        &["--issue", "ann", "--jwt-key", "/nowhere"],
        1,
        "No such file",
    );
}
