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

fn keys() -> KeySet {
    key_file::parse(SECRET.as_bytes()).unwrap()
}

fn verdict(claims: &str) -> Result<Grant, String> {
    verdict_by(&ClaimRules::default(), claims)
}

fn verdict_by(rules: &ClaimRules, claims: &str) -> Result<Grant, String> {
    verify(&keys(), rules, &sign(&json!({"alg": "HS256"}), claims), NOW)
}

/// Without rules about claims.
fn plain(keys: &KeySet, token: &str) -> Result<Grant, String> {
    verify(keys, &ClaimRules::default(), token, NOW)
}

#[test]
fn claims_decide_who_it_is_and_what_is_open() {
    let grant = verdict(r#"{"sub":"ann","iss":7,"mod":{},"more":{}}"#).unwrap();
    assert_eq!((grant.user.as_str(), grant.expires), ("ann", None));
    assert!(grant.allows_room(&Room::lobby()));
    let grant = verdict(r#"{"sub":"ann","rooms":["attic"]}"#).unwrap();
    assert!(grant.allows_room(&Room::new("attic").unwrap()) && !grant.allows_room(&Room::lobby()));
    let grant = verdict(r#"{"sub":"ann","rooms":[]}"#).unwrap();
    assert!(!grant.allows_room(&Room::lobby()), "none is none, not all");
    let grant = verdict(r#"{"sub":"ann","rooms":["a:b"]}"#).unwrap();
    assert!(
        !grant.allows_room(&Room::lobby()),
        "what is no room is no room"
    );
    let grant = verdict(r#"{"sub":"ann","exp":1800000000.5,"nbf":1800000000}"#).unwrap();
    assert_eq!(grant.expires, Some(NOW + 30_500));
    let grant = verdict(r#"{"sub":"ann","exp":1e300,"nbf":-1e300}"#).unwrap();
    assert_eq!(grant.expires, Some(u64::MAX));
}

#[test]
fn a_moderator_is_one_in_the_rooms_that_the_token_says() {
    let attic = Room::new("attic").unwrap();
    for (claims, lobby, attic_too) in [
        (r#"{"sub":"ann"}"#, false, false),
        (r#"{"sub":"ann","mod":true}"#, true, true),
        (r#"{"sub":"ann","mod":false}"#, false, false),
        (r#"{"sub":"ann","mod":"true"}"#, false, false),
        (r#"{"sub":"ann","mod":{}}"#, false, false),
        (r#"{"sub":"ann","mod":[]}"#, false, false),
        (r#"{"sub":"ann","mod":["attic","a:b"]}"#, false, true),
        (r#"{"sub":"ann","mod":true,"rooms":["attic"]}"#, false, true),
        (
            r#"{"sub":"ann","mod":["lobby"],"rooms":["attic"]}"#,
            false,
            false,
        ),
    ] {
        let grant = verdict(claims).unwrap();
        assert_eq!(grant.moderates(&Room::lobby()), lobby, "{claims}");
        assert_eq!(grant.moderates(&attic), attic_too, "{claims}");
    }
}

#[test]
fn what_is_wrong_is_said_and_nothing_else() {
    for (claims, why) in [
        (r#"{"sub":"ann","exp":-1}"#, "it has expired"),
        (r#"{"sub":"ann","exp":-1e300}"#, "it has expired"),
        (r#"{"sub":"ann","nbf":1e300}"#, "it is not valid yet"),
        (r#"{"exp":1900000000}"#, "sub is missing"),
        (r#"{"sub":"a:b"}"#, "sub: bad user name"),
        (r#"{"sub":""}"#, "sub: bad user name"),
        (r#"{"sub":null}"#, "sub is not a string"),
        (r#"{"sub":7}"#, "sub is not a string"),
        (
            r#"{"sub":"ann","exp":"1900000000"}"#,
            "exp and nbf are numbers",
        ),
        (r#"{"sub":"ann","exp":null}"#, "exp and nbf are numbers"),
        (r#"{"sub":"ann","nbf":[]}"#, "exp and nbf are numbers"),
        (r#"{"sub":"ann","rooms":"lobby"}"#, "rooms is a list"),
        (r#"{"sub":"ann","rooms":null}"#, "rooms is a list"),
        (r#"{"sub":"ann","rooms":[1]}"#, "rooms is a list"),
        (r#"{"sub":"ann","mod":[1]}"#, "rooms is a list"),
        (r#"["ann"]"#, "it can't be read"),
        ("hunter2", "it can't be read"),
    ] {
        let said = verdict(claims).unwrap_err();
        assert!(said.contains(why), "{claims}: {said}");
        assert!(!said.contains("ann") && !said.contains("hunter2"), "{said}");
    }
}

#[test]
fn half_a_minute_is_granted_and_not_a_millisecond_more() {
    let said = |claims: &str| verdict(claims).map(|grant| grant.expires);
    let expired = Err("it has expired".to_string());
    let early = Err("it is not valid yet".to_string());
    // Now it is 1,800,000,000.
    for (claims, expected) in [
        (r#"{"sub":"ann","exp":1800000000}"#, Ok(Some(NOW + 30_000))),
        (r#"{"sub":"ann","exp":1799999970.001}"#, Ok(Some(NOW + 1))),
        (r#"{"sub":"ann","exp":1799999970}"#, expired.clone()),
        (r#"{"sub":"ann","exp":1799999969.999}"#, expired),
        (r#"{"sub":"ann","nbf":1800000000}"#, Ok(None)),
        (r#"{"sub":"ann","nbf":1800000030}"#, Ok(None)),
        (r#"{"sub":"ann","nbf":1800000030.001}"#, early),
    ] {
        assert_eq!(said(claims), expected, "{claims}");
    }
}

#[test]
fn the_claim_of_the_name_is_the_one_that_is_set() {
    let rules = ClaimRules {
        name: Some("https://id.example/nick".into()),
        ..ClaimRules::default()
    };
    let said = |claims: &str| verdict_by(&rules, claims).map(|grant| grant.user.to_string());
    let good = r#"{"sub":7,"https://id.example/nick":"ann"}"#;
    assert_eq!(said(good), Ok("ann".into()));
    for claims in [
        r#"{"sub":"ann"}"#,
        r#"{"sub":"ann","https://id.example/nick":""}"#,
        r#"{"sub":"ann","https://id.example/nick":7}"#,
        r#"{"sub":"ann","https://id.example/nick":null}"#,
    ] {
        let line = said(claims).unwrap_err();
        assert!(line.starts_with("https://id.example/nick"), "{line}");
        assert!(line.ends_with("; --jwt-name names this claim"), "{line}");
    }
}

#[test]
fn a_token_without_a_kid_is_tried_with_a_few_keys_and_not_with_many() {
    let other = |n: usize| json!({"kty": "oct", "k": URL_SAFE_NO_PAD.encode([n as u8; 32])});
    let ours = json!({"kty": "oct", "k": URL_SAFE_NO_PAD.encode(SECRET), "kid": "ours"});
    let said = |others: usize, header: &Value| {
        let keys: Vec<Value> = (0..others).map(other).chain([ours.clone()]).collect();
        let set = key_file::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap();
        plain(&set, &sign(header, r#"{"sub":"ann"}"#)).map(|grant| grant.user.to_string())
    };
    let ann = Ok("ann".to_string());
    assert_eq!(said(7, &json!({"alg": "HS256"})), ann);
    assert!(
        said(8, &json!({"alg": "HS256"}))
            .unwrap_err()
            .contains("kid")
    );
    assert_eq!(said(100, &json!({"alg": "HS256", "kid": "ours"})), ann);
    // A name that no key has leaves those that have none.
    let line = said(1, &json!({"alg": "HS256", "kid": "theirs"})).unwrap_err();
    assert_eq!(line, "the signature is not that of the key");
    let line = said(0, &json!({"alg": "HS256", "kid": "theirs"})).unwrap_err();
    assert_eq!(line, "no key has its kid");
}

#[test]
fn the_header_may_only_name_the_algorithm_of_the_key() {
    let keys = keys();
    let said = |header: Value| {
        plain(&keys, &sign(&header, r#"{"sub":"ann"}"#)).map(|grant| grant.user.to_string())
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
    let keys = keys();
    let good = sign(&json!({"alg": "HS256"}), r#"{"sub":"ann"}"#);
    assert!(plain(&keys, &good).is_ok());
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
        assert!(plain(&keys, &bad).is_err(), "{bad}");
    }
    // No byte may be another one.
    for at in 0..good.len() {
        let mut bytes = good.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'E' } else { b'A' };
        let bad = String::from_utf8(bytes).unwrap();
        assert!(plain(&keys, &bad).is_err(), "at {at}: {bad}");
    }
}

#[test]
fn no_garbage_gets_through_or_panics() {
    let keys = keys();
    arbtest::arbtest(|u| {
        let text: String = u.arbitrary()?;
        assert!(plain(&keys, &text).is_err(), "{text:?}");
        // Garbage that is signed, too: who signs may be mistaken.
        let header: &str = u.choose(&[r#"{"alg":"HS256"}"#, "{}", &text])?;
        let claims: &str = u.choose(&[r#"{"sub":"ann"}"#, "{}", &text])?;
        let header = serde_json::from_str(header).unwrap_or(Value::Null);
        if let Ok(grant) = plain(&keys, &sign(&header, claims)) {
            assert!(User::new(grant.user.as_str()).is_ok());
        }
        let _ = key_file::parse(u.arbitrary()?);
        let _ = issue::sign(u.arbitrary()?, "{}");
        Ok(())
    });
}

#[test]
fn a_secret_is_anything_that_can_be_no_public_key() {
    let algorithm = |bytes: &[u8]| key_file::parse(bytes).map(|keys| format!("{keys:?}"));
    let secret = "s".repeat(32);
    for good in [
        secret.clone(),
        format!("{secret}\n"),
        format!("{secret}\r\n"),
        format!(" \t{secret} \n\n"),
    ] {
        assert_eq!(
            algorithm(good.as_bytes()),
            Ok("KeySet(HS256 by a secret)".into())
        );
        assert_eq!(key_file::secret(good.as_bytes()), Ok(secret.as_bytes()));
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
            "damaged",
        ),
        (&[b' '; 99], "empty"),
        (
            b"{a secret that begins like JSON and is long enough}",
            "no JWKS",
        ),
        (
            b"MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=",
            "without its PEM lines",
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
