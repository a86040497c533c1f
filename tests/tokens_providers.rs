//! Tokens as identity providers make them: RS256, sets of keys that are rotated, audiences, issuers, and
//! names that are not in `sub`.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use serde_json::{Value, json};

use crate::check::check;
use crate::support::{Client, Issuer, Program, Raw, rsa, soon};

/// The answer to a token: 426 if it is good, since this is no upgrade; else 401 and the line that says why.
fn answer(addr: SocketAddr, token: &str) -> (u16, String) {
    let (status, said) = Raw::get(addr, &format!("/ws?token={token}"));
    (status, said.lines().last().unwrap_or_default().to_string())
}

#[track_caller]
fn is_good(addr: SocketAddr, token: &str) {
    let (status, line) = answer(addr, token);
    assert_eq!(status, 426, "{line}");
}

#[track_caller]
fn is_refused(addr: SocketAddr, token: &str, why: &str) {
    let (status, line) = answer(addr, token);
    assert_eq!(status, 401, "{line}");
    assert!(line.contains(why), "{why:?} is not in {line:?}");
}

/// Writes a set of keys (RFC 7517, section 5).
fn publish(file: &Path, keys: &[Value]) {
    fs::write(file, json!({ "keys": keys }).to_string()).unwrap();
}

fn with(mut key: Value, more: Value) -> Value {
    key.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    key
}

#[test]
fn a_token_names_its_key_in_a_set_and_keys_are_rotated_at_sighup() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("jwks.json");
    let [old, new] = [Issuer::rs256(), Issuer::es256()];
    publish(&file, &[old.jwk("2025")]);
    let mut program = Program::start(&["--jwt-key", file.to_str().unwrap()]);
    let addr = program.addr();
    let mut ann = Client::connect(
        addr,
        &format!("/chat/ann?token={}", old.token_of_key("2025", "ann")),
    );
    ann.hears("Welcome ann!");
    is_refused(
        addr,
        &new.token_of_key("2026", "bob"),
        "the key is for RS256",
    );
    // Both keys count while tokens of the old one are about.
    publish(&file, &[old.jwk("2025"), new.jwk("2026")]);
    program.signal("HUP");
    program.logs("tokens need this key from now on");
    is_good(addr, &old.token_of_key("2025", "bob"));
    is_good(addr, &new.token_of_key("2026", "bob"));
    is_refused(addr, &new.token_of_key("2025", "bob"), "no key");
    is_refused(addr, &new.token_of_key("2027", "bob"), "no key");
    is_good(addr, &new.token("bob"));
    // A set that is no good changes nothing.
    for broken in ["{\"keys\":[]}", "{\"keys\":[", "{}"] {
        fs::write(&file, broken).unwrap();
        program.signal("HUP");
        program.logs("the old key stays: --jwt-key ");
        is_good(addr, &old.token_of_key("2025", "bob"));
    }
    publish(&file, &[new.jwk("2026")]);
    program.signal("HUP");
    program.logs("tokens need this key from now on");
    is_refused(
        addr,
        &old.token_of_key("2025", "bob"),
        "the key is for ES256",
    );
    let bob = format!("/chat/bob?token={}", new.token_of_key("2026", "bob"));
    let mut bob = Client::connect(addr, &bob);
    bob.hears("Welcome bob!");
    ann.hears("bob: has joined the chat!");
}

#[test]
fn sets_are_taken_as_identity_providers_publish_them() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("jwks.json");
    let file = file.as_path();
    let (rsa, ec, secret) = (Issuer::rs256(), Issuer::es256(), Issuer::hs256());
    let encryption = Issuer::rs256();
    let serve = |keys: &[Value]| {
        publish(file, keys);
        let mut program = Program::start(&["--jwt-key", file.to_str().unwrap()]);
        let addr = program.addr();
        (program, addr)
    };
    let chain = json!({"x5c": ["MIICmzCCAYMCBgGA"], "x5t": "x5oKz", "x5t#S256": "Zk"});

    // Keycloak: a second key of the same kind, for encryption.
    let (_keycloak, addr) = serve(&[
        with(
            with(
                encryption.jwk("e"),
                json!({"use": "enc", "alg": "RSA-OAEP"}),
            ),
            chain.clone(),
        ),
        with(
            with(rsa.jwk("s"), json!({"use": "sig", "alg": "RS256"})),
            chain.clone(),
        ),
    ]);
    is_good(addr, &rsa.token_of_key("s", "ann"));
    is_good(addr, &rsa.token("ann"));
    is_refused(addr, &encryption.token_of_key("e", "ann"), "no key");
    is_refused(addr, &encryption.token_of_key("s", "ann"), "signature");
    is_refused(addr, &encryption.token("ann"), "signature");

    // Microsoft Entra ID: no `alg`, and names of its own.
    let entra = json!({"use": "sig", "issuer": "https://login.microsoftonline.com/x/v2.0"});
    let (_entra, addr) = serve(&[with(with(rsa.jwk("k"), entra), chain)]);
    is_good(addr, &rsa.token_of_key("k", "ann"));

    // Supabase: a curve, `key_ops` and `ext`; the secret of before beside it.
    let operations = json!({"alg": "ES256", "key_ops": ["verify"], "ext": true});
    let (_supabase, addr) = serve(&[
        with(ec.jwk("new"), operations),
        with(secret.jwk("old"), json!({"alg": "HS256"})),
    ]);
    is_good(addr, &ec.token_of_key("new", "ann"));
    is_good(addr, &secret.token_of_key("old", "ann"));
    is_good(addr, &secret.token("ann"));

    // What we don't know is passed over (RFC 7517, section 5).
    let (_others, addr) = serve(&[
        json!({"kty": "EC", "crv": "P-384", "kid": "a", "x": "AA", "y": "AA"}),
        json!({"kty": "EC", "crv": "secp256k1", "kid": "b", "x": "AA", "y": "AA"}),
        json!({"kty": "AKP", "alg": "ML-DSA-44", "kid": "c", "pub": "AA"}),
        json!({"kty": "RSA", "kid": "d"}),
        json!({"kty": "RSA", "kid": "e", "n": "%", "e": "AQAB"}),
        json!({"kty": "oct", "kid": "f", "k": "c2hvcnQ"}),
        json!({"kid": 7}),
        json!("text"),
        with(rsa.jwk("g"), json!({"alg": "RS512"})),
        with(rsa.jwk("h"), json!({"key_ops": ["encrypt"]})),
        ec.jwk("z"),
    ]);
    is_good(addr, &ec.token_of_key("z", "ann"));
    for kid in ["g", "h"] {
        is_refused(addr, &rsa.token_of_key(kid, "ann"), "the key is for ES256");
    }
    // One key may stand alone.
    fs::write(file, ec.jwk("z").to_string()).unwrap();
    let mut alone = Program::start(&["--jwt-key", file.to_str().unwrap()]);
    is_good(alone.addr(), &ec.token_of_key("z", "ann"));
}

#[test]
fn a_key_of_a_set_is_never_taken_for_one_of_another_algorithm() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("jwks.json");
    let (rsa, ec, secret) = (Issuer::rs256(), Issuer::es256(), Issuer::hs256());
    publish(&file, &[rsa.jwk("r"), ec.jwk("e"), secret.jwk("s")]);
    let mut program = Program::start(&["--jwt-key", file.to_str().unwrap()]);
    let addr = program.addr();
    let claims = json!({"sub": "ann"});
    for (issuer, kid) in [(&rsa, "r"), (&ec, "e"), (&secret, "s")] {
        is_good(addr, &issuer.token_of_key(kid, "ann"));
        for alg in ["none", "HS256", "ES256", "EdDSA", "RS256", "PS256", "RS384"] {
            for kid in ["r", "e", "s"] {
                let header = json!({"alg": alg, "kid": kid});
                let token = issuer.sign_under(&header, &claims);
                if alg == issuer.algorithm {
                    continue;
                }
                assert_eq!(answer(addr, &token).0, 401, "{header}");
            }
        }
    }
    // A key that the token brings along is nobody's.
    let thief = Issuer::rs256();
    for header in [
        json!({"alg": "RS256", "jwk": thief.jwk("r")}),
        json!({"alg": "RS256", "kid": "r", "jku": "https://thief.example/jwks.json"}),
        json!({"alg": "RS256", "kid": "r", "x5u": "https://thief.example/"}),
    ] {
        let token = thief.sign_under(&header, &claims);
        is_refused(addr, &token, "the signature is not that of the key");
    }
    for kid in [json!(7), json!([]), json!({})] {
        let token = rsa.sign_under(&json!({"alg": "RS256", "kid": kid}), &claims);
        is_refused(addr, &token, "it can't be read");
    }
}

#[test]
fn a_token_is_for_the_audience_and_from_the_issuer_that_are_set() {
    let issuer = Issuer::hs256();
    let file = issuer.file();
    let serve = |flags: &[&str], env: &[(&str, &str)]| {
        let key = ["--jwt-key", file.to_str().unwrap()];
        let mut program = Program::start_with(&[&key[..], flags].concat(), env);
        let addr = program.addr();
        (program, addr)
    };
    let token = |more: Value| issuer.sign(with(json!({"sub": "ann"}), more));
    let both = token(json!({"aud": "chat", "iss": "https://id.example"}));

    let (_any, addr) = serve(&[], &[]);
    is_good(addr, &token(json!({})));
    is_good(addr, &token(json!({"iss": "https://id.example"})));
    // What is for somebody else is not for us (RFC 7519, section 4.1.3).
    for aud in [json!("billing"), json!(["chat"]), json!([])] {
        is_refused(addr, &token(json!({ "aud": aud })), "--jwt-audience");
    }

    let (_chat, addr) = serve(&["--jwt-audience", "chat"], &[]);
    for aud in [json!("chat"), json!(["chat"]), json!(["billing", "chat"])] {
        is_good(addr, &token(json!({ "aud": aud })));
    }
    for aud in [
        json!("billing"),
        json!("Chat"),
        json!("chat "),
        json!(["billing"]),
        json!([]),
    ] {
        is_refused(addr, &token(json!({ "aud": aud })), "--jwt-audience");
    }
    is_refused(addr, &token(json!({})), "--jwt-audience");
    for aud in [json!(7), json!(null), json!([["chat"]]), json!({"chat": 1})] {
        is_refused(addr, &token(json!({ "aud": aud })), "aud");
    }
    is_good(addr, &both);

    let (_id, addr) = serve(&["--jwt-issuer", "https://id.example"], &[]);
    is_good(addr, &token(json!({"iss": "https://id.example"})));
    for iss in [
        json!("https://id.example/"),
        json!("https://thief.example"),
        json!(7),
        json!(null),
        json!(["https://id.example"]),
    ] {
        is_refused(addr, &token(json!({ "iss": iss })), "--jwt-issuer");
    }
    is_refused(addr, &token(json!({})), "--jwt-issuer");
    is_refused(addr, &both, "--jwt-audience");

    let env = [
        ("NATTERJACK_JWT_AUDIENCE", "chat"),
        ("NATTERJACK_JWT_ISSUER", "https://id.example"),
    ];
    let (_both, addr) = serve(&[], &env);
    is_good(addr, &both);
    is_refused(addr, &token(json!({"aud": "chat"})), "--jwt-issuer");
}

#[test]
fn the_name_may_be_in_another_claim_than_sub() {
    let issuer = Issuer::eddsa();
    let file = issuer.file();
    let key = ["--jwt-key", file.to_str().unwrap()];
    let claims = json!({
        "sub": "f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
        "email": "ann@example.org",
        "preferred_username": "Ann Ö",
    });
    let token = issuer.sign(claims.clone());

    let mut by_sub = Program::start(&key);
    let addr = by_sub.addr();
    for claims in [
        claims,
        json!({"sub": "ann@example.org"}),
        json!({"name": "ann"}),
    ] {
        is_refused(addr, &issuer.sign(claims), "--jwt-name");
    }
    let mut by_mail = Program::start(&[&key[..], &["--jwt-name", "email"]].concat());
    is_refused(by_mail.addr(), &token, "--jwt-name");

    let env = [("NATTERJACK_JWT_NAME", "preferred_username")];
    let mut program = Program::start_with(&key, &env);
    let addr = program.addr();
    let mut ann = Client::connect(addr, &format!("/chat/Ann%20%C3%96?token={token}"));
    ann.hears("Welcome Ann Ö!");
    let sub = Client::request(addr, &format!("/chat/ann?token={token}"), |_| {});
    assert_eq!(sub.err(), Some(403));
    is_refused(addr, &issuer.token("ann"), "--jwt-name");
    // Where it is another one, `sub` may be anything.
    is_good(addr, &issuer.sign(json!({"preferred_username": "bob"})));
    is_good(
        addr,
        &issuer.sign(json!({"sub": null, "preferred_username": "bob"})),
    );
}

#[test]
fn clocks_may_differ_by_half_a_minute() {
    let issuer = Issuer::es256();
    let server = issuer.serve();
    let token = |claims: Value| issuer.sign(with(json!({"sub": "ann"}), claims));
    is_good(server.addr(), &token(json!({"exp": soon(-5)})));
    is_good(server.addr(), &token(json!({"nbf": soon(25)})));
    is_refused(server.addr(), &token(json!({"exp": soon(-31)})), "expired");
    is_refused(
        server.addr(),
        &token(json!({"nbf": soon(90)})),
        "it is not valid yet",
    );
}

#[test]
fn a_secret_is_the_same_with_white_space_around_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    let issuer = Issuer::hs256();
    let secret = String::from_utf8(issuer.published().to_vec()).unwrap();
    for content in [
        format!("{secret}\n"),
        format!("{secret}\r\n"),
        format!("{secret}\n\n"),
        format!("{secret} \n"),
        format!("{secret}\t"),
        format!("\n {secret} \n"),
        format!("\u{feff}{secret}\r\n"),
    ] {
        fs::write(&file, &content).unwrap();
        let mut program = Program::start(&["--jwt-key", file.to_str().unwrap()]);
        let (status, line) = answer(program.addr(), &issuer.token("ann"));
        assert_eq!(status, 426, "{content:?}: {line}");
    }
}

#[test]
fn check_says_which_keys_there_are_and_what_is_asked_of_a_token() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    let path = file.to_str().unwrap();
    let (rsa_key, ec) = (Issuer::rs256(), Issuer::es256());
    let says = |content: &[u8], flags: &[&str], expected: &str| {
        fs::write(&file, content).unwrap();
        let (passed, said) = check(&[&["--jwt-key", path], flags].concat(), &[]);
        assert!(passed, "{said}");
        let line = said.lines().find(|line| line.contains(" tokens: "));
        assert_eq!(line, Some(format!("ok    tokens: {expected}").as_str()));
    };
    says(
        &[b's'; 40],
        &[],
        "needed, HS256 by a secret; any issuer, no audience; the name is in sub",
    );
    says(
        rsa_key.published(),
        &["--jwt-audience", "chat", "--jwt-name", "nickname"],
        "needed, RS256 by a public key; any issuer, audience \"chat\"; the name is in nickname",
    );
    let skipped = with(rsa_key.jwk("c"), json!({"use": "enc"}));
    let set = json!({"keys": [rsa_key.jwk("a"), ec.jwk("b\u{1b}"), skipped]});
    says(
        set.to_string().as_bytes(),
        &["--jwt-issuer", "https://id.example"],
        "needed, 2 keys of a set: RS256 \"a\", ES256 \"b\\u{1b}\" (1 not used: \"c\" is not for signatures); \
         issuer \"https://id.example\", no audience; the name is in sub",
    );
    fs::write(&file, rsa(1024)).unwrap();
    let (passed, said) = check(&["--jwt-key", path], &[]);
    assert!(
        !passed && said.contains("FAIL  tokens: --jwt-key"),
        "{said}"
    );
}
