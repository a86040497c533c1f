//! What a token must be, case by case; which keys there are.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use serde_json::{Value, json};

use super::*;

const SECRET: &str = "a secret of thirty-two bytes, or more";
const NOW: u64 = 1_800_000_000_000;

fn sign(header: &Value, claims: &str) -> String {
    let part = |part: &str| URL_SAFE_NO_PAD.encode(part);
    let message = format!("{}.{}", part(&header.to_string()), part(claims));
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let tag = hmac::sign(&key, message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(tag))
}

fn verdict(claims: &str) -> Result<Pass, String> {
    let key = Key::of(SECRET.as_bytes()).unwrap();
    verify(&key, &sign(&json!({"alg": "HS256"}), claims), NOW)
}

#[test]
fn claims_decide_who_it_is_and_what_is_open() {
    let pass = verdict(r#"{"sub":"ann","aud":"x","iss":7,"more":{}}"#).unwrap();
    assert_eq!((pass.user().as_str(), pass.expires()), ("ann", None));
    assert!(pass.opens(&Room::lobby()));
    let pass = verdict(r#"{"sub":"ann","rooms":["attic"]}"#).unwrap();
    assert!(pass.opens(&Room::new("attic").unwrap()) && !pass.opens(&Room::lobby()));
    let pass = verdict(r#"{"sub":"ann","rooms":[]}"#).unwrap();
    assert!(!pass.opens(&Room::lobby()), "none is none, not all");
    let pass = verdict(r#"{"sub":"ann","exp":1800000000.5,"nbf":1800000000}"#).unwrap();
    assert_eq!(pass.expires(), Some(NOW + 500));
    let pass = verdict(r#"{"sub":"ann","exp":1e300,"nbf":-1e300}"#).unwrap();
    assert_eq!(pass.expires(), Some(u64::MAX));
}

#[test]
fn what_is_wrong_is_said_and_nothing_else() {
    for (claims, why) in [
        (r#"{"sub":"ann","exp":1800000000}"#, "it has expired"),
        (r#"{"sub":"ann","exp":-1}"#, "it has expired"),
        (r#"{"sub":"ann","nbf":1800000000.1}"#, "it is not valid yet"),
        (r#"{"exp":1900000000}"#, "sub is missing"),
        (r#"{"sub":"a:b"}"#, "sub: bad user name"),
        (r#"{"sub":""}"#, "sub: bad user name"),
        (r#"{"sub":null}"#, "sub is a string"),
        (r#"{"sub":7}"#, "sub is a string"),
        (
            r#"{"sub":"ann","exp":"1900000000"}"#,
            "exp and nbf are numbers",
        ),
        (r#"{"sub":"ann","exp":null}"#, "exp and nbf are numbers"),
        (r#"{"sub":"ann","nbf":[]}"#, "exp and nbf are numbers"),
        (r#"{"sub":"ann","rooms":"lobby"}"#, "rooms is a list"),
        (r#"{"sub":"ann","rooms":null}"#, "rooms is a list"),
        (r#"{"sub":"ann","rooms":[1]}"#, "rooms is a list"),
        (r#"["ann"]"#, "it can't be read"),
        ("hunter2", "it can't be read"),
    ] {
        let said = verdict(claims).unwrap_err();
        assert!(said.contains(why), "{claims}: {said}");
        assert!(!said.contains("ann") && !said.contains("hunter2"), "{said}");
    }
}

#[test]
fn the_header_may_only_name_the_algorithm_of_the_key() {
    let key = Key::of(SECRET.as_bytes()).unwrap();
    let said = |header: Value| {
        verify(&key, &sign(&header, r#"{"sub":"ann"}"#), NOW).map(|pass| pass.user().to_string())
    };
    assert_eq!(
        said(json!({"alg": "HS256", "typ": "JWT", "kid": "1"})),
        Ok("ann".into())
    );
    for header in [
        json!({"alg": "none"}),
        json!({"alg": "None"}),
        json!({"alg": "NONE"}),
        json!({"alg": "nOnE"}),
        json!({"alg": "hs256"}),
        json!({"alg": ""}),
        json!({"alg": null}),
        json!({"alg": ["HS256"]}),
        json!({}),
        json!([]),
        json!({"alg": "HS384"}),
        json!({"alg": "HS512"}),
        json!({"alg": "ES256"}),
        json!({"alg": "EdDSA"}),
        json!({"alg": "RS256"}),
        json!({"alg": "HS256", "crit": ["b64"], "b64": false}),
        json!({"alg": "HS256", "crit": ["exp"]}),
        json!({"alg": "HS256", "crit": []}),
        json!({"alg": "HS256", "crit": "exp"}),
    ] {
        assert!(said(header.clone()).is_err(), "{header}");
    }
}

#[test]
fn only_what_is_signed_is_read() {
    let key = Key::of(SECRET.as_bytes()).unwrap();
    let good = sign(&json!({"alg": "HS256"}), r#"{"sub":"ann"}"#);
    assert!(verify(&key, &good, NOW).is_ok());
    let parts: Vec<&str> = good.split('.').collect();
    let [head, claims, tag] = parts[..] else {
        panic!("{good}")
    };
    let other = URL_SAFE_NO_PAD.encode(r#"{"sub":"bob"}"#);
    for bad in [
        String::new(),
        ".".into(),
        "..".into(),
        "...".into(),
        head.into(),
        format!("{head}.{claims}"),
        format!("{head}.{claims}."),
        format!("{head}.{claims}.{}", &tag[..tag.len() - 1]),
        format!("{head}.{claims}.{tag}="),
        format!("{head}.{claims}.{tag}AA"),
        format!("{head}.{claims}.{tag}.{tag}"),
        format!("{head}.{other}.{tag}"),
        format!("{head}..{tag}"),
        format!(".{claims}.{tag}"),
        format!("{head}.{claims}.????"),
        format!("{head}.{claims}.\u{e9}"),
        format!(" {good}"),
        "x".repeat(100_000),
        ".".repeat(100_000),
    ] {
        assert!(verify(&key, &bad, NOW).is_err(), "{bad}");
    }
    // No byte may be another one.
    for at in 0..good.len() {
        let mut bytes = good.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'E' } else { b'A' };
        let bad = String::from_utf8(bytes).unwrap();
        assert!(verify(&key, &bad, NOW).is_err(), "at {at}: {bad}");
    }
}

#[test]
fn no_garbage_gets_through_or_panics() {
    let key = Key::of(SECRET.as_bytes()).unwrap();
    arbtest::arbtest(|u| {
        let text: String = u.arbitrary()?;
        assert!(verify(&key, &text, NOW).is_err(), "{text:?}");
        // Garbage that is signed, too: who signs may be mistaken.
        let header: &str = u.choose(&[r#"{"alg":"HS256"}"#, "{}", &text])?;
        let claims: &str = u.choose(&[r#"{"sub":"ann"}"#, "{}", &text])?;
        let header = serde_json::from_str(header).unwrap_or(Value::Null);
        if let Ok(pass) = verify(&key, &sign(&header, claims), NOW) {
            assert!(User::new(pass.user().as_str()).is_ok());
        }
        let _ = Key::of(u.arbitrary()?);
        Ok(())
    });
}

#[test]
fn a_secret_is_anything_that_can_be_no_public_key() {
    let algorithm = |bytes: &[u8]| Key::of(bytes).map(|key| format!("{:?}", key.algorithm()));
    let secret = "s".repeat(32);
    for good in [
        secret.clone(),
        format!("{secret}\n"),
        format!("{secret}\r\n"),
    ] {
        assert_eq!(algorithm(good.as_bytes()), Ok("HS256".into()));
        let key = Key::of(good.as_bytes()).unwrap();
        assert_eq!(key.key.try_get_as_bytes().unwrap(), secret.as_bytes());
        assert_eq!(format!("{key:?}"), "Key(HS256)");
    }
    let mut der = vec![0x30, 0x2a];
    der.extend([0; 42]);
    for (bad, why) in [
        (&b""[..], "empty"),
        (b"\n", "empty"),
        (&[b's'; 31], "31 bytes"),
        (&der, "DER"),
        (
            b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIK0wmN/Cr3JXqmLW7u+g9pTh",
            "not known",
        ),
        (
            br#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapi"}"#,
            "not known",
        ),
        (
            b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            "certificate",
        ),
        (
            b"-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n",
            "private",
        ),
        (b"-----BEGIN PUBLIC KEY-----\nAAAA\n", "broken"),
        (
            b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
            "another kind",
        ),
    ] {
        let said = algorithm(bad).unwrap_err();
        assert!(said.contains(why), "{said}");
    }
}
