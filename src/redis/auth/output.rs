//! What an auth command prints: a password, a token, or the JSON in which token endpoints answer.
//!
//! A token is read, not verified: it is for Redis, which does that. What it says of itself is
//! only when it ends and who it is.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use crate::redis::error::Error;

/// What was printed. No `Debug`: it is a secret.
pub struct AuthOutput {
    /// The password, or the token.
    pub password: String,
    /// Whom it is for: the object id of Microsoft Entra ID, which is the user name at Azure's Redis.
    pub oid: Option<String>,
    /// When it ends, in seconds since 1970.
    pub ends: Option<f64>,
}

/// Reads what a command has printed at `now`, in seconds since 1970.
///
/// # Errors
/// One line, without what was printed. It is what the command does, so trying again is of no use.
pub fn parse(printed: &[u8], now: f64) -> Result<AuthOutput, Error> {
    let nonsense = |what: &str| Error::Fatal(format!("redis auth command: it prints {what}"));
    let text = std::str::from_utf8(printed).map_err(|_| nonsense("what is not UTF-8"))?;
    let text = text.trim();
    let (token, said) = if text.starts_with('{') {
        let reply: Map<String, Value> = serde_json::from_str(text)
            .map_err(|_| nonsense("what begins like JSON, but can't be read"))?;
        let token = ["access_token", "accessToken"]
            .iter()
            .find_map(|name| reply.get(*name)?.as_str())
            .ok_or_else(|| nonsense("JSON without an access_token"))?;
        let within = || Some(now + seconds(reply.get("expires_in")?)?);
        let said = reply.get("expires_on").and_then(seconds).or_else(within);
        (token.trim().to_string(), said)
    } else {
        (text.to_string(), None)
    };
    if token.is_empty() {
        return Err(nonsense("nothing"));
    }
    if token.lines().count() > 1 {
        return Err(nonsense("several lines"));
    }
    if token.contains(char::is_control) {
        return Err(nonsense("control characters"));
    }
    let claims = claims(&token).unwrap_or_default();
    let oid = claims.get("oid").and_then(Value::as_str);
    let plain = |oid: &&str| !oid.is_empty() && oid.chars().all(|c| c.is_ascii_graphic());
    Ok(AuthOutput {
        oid: oid.filter(plain).map(String::from),
        ends: claims.get("exp").and_then(seconds).or(said),
        password: token,
    })
}

/// A number, as one or as a text.
fn seconds(value: &Value) -> Option<f64> {
    let number = match value {
        Value::String(text) => text.trim().parse().ok(),
        value => value.as_f64(),
    };
    number.filter(|number: &f64| number.is_finite())
}

/// What a JSON Web Token (RFC 7519) says; `None` for a password.
fn claims(token: &str) -> Option<Map<String, Value>> {
    let mut parts = token.split('.');
    let (Some(_), Some(claims), Some(_), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return None;
    };
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: f64 = 1_000.0;
    /// `{"oid":"00-ff","exp":1500}`, between a header and a signature.
    const TOKEN: &str = "eyJhbGciOiJub25lIn0.eyJvaWQiOiIwMC1mZiIsImV4cCI6MTUwMH0.x-_";

    #[track_caller]
    fn good(printed: &str) -> (String, Option<String>, Option<f64>) {
        match parse(printed.as_bytes(), NOW) {
            Ok(read) => (read.password, read.oid, read.ends),
            Err(error) => panic!("{printed:?}: {error:?}"),
        }
    }

    #[test]
    fn a_password_is_what_is_printed_without_white_space_around() {
        for printed in ["hunter2", "  hunter2\r\n", "hunter2\n\n"] {
            assert_eq!(good(printed), ("hunter2".into(), None, None));
        }
        for odd in ["a.b", "a.b.c", "a.b.c.d", "..", "pass word", "."] {
            assert_eq!(good(odd), (odd.to_string(), None, None));
        }
    }

    #[test]
    fn a_token_says_whose_it_is_and_when_it_ends() {
        let oid = Some("00-ff".to_string());
        assert_eq!(good(TOKEN), (TOKEN.into(), oid.clone(), Some(1500.0)));
        // As Azure's metadata endpoint answers, and `az account get-access-token`.
        for reply in [
            format!(r#"{{"access_token":"{TOKEN}","expires_in":"86399","expires_on":"1400"}}"#),
            format!("{{\n  \"accessToken\": \"{TOKEN}\",\n  \"expires_on\": 1400\n}}\n"),
        ] {
            assert_eq!(good(&reply), (TOKEN.into(), oid.clone(), Some(1500.0)));
        }
    }

    #[test]
    fn what_the_token_does_not_say_the_answer_may() {
        for (rest, ends) in [
            (r#","expires_on":"1400""#, Some(1400.0)),
            (r#","expires_on":1400,"expires_in":1"#, Some(1400.0)),
            (r#","expires_in":60"#, Some(1060.0)),
            (r#","expires_in":"60""#, Some(1060.0)),
            (r#","expires_on":"2026-11-23 08:00""#, None),
            (r#","expires_in":"nan""#, None),
            ("", None),
        ] {
            let reply = format!(r#"{{"access_token":"opaque"{rest}}}"#);
            assert_eq!(good(&reply), ("opaque".into(), None, ends), "{rest}");
        }
    }

    #[test]
    fn nonsense_is_named_and_not_repeated() {
        for (printed, says) in [
            (&b""[..], "it prints nothing"),
            (b" \n", "it prints nothing"),
            (br#"{"access_token":""}"#, "it prints nothing"),
            (b"hunter2\nhunter2", "it prints several lines"),
            (b"\x1b[1mhunter2\x1b[0m", "it prints control characters"),
            (
                br#"{"access_token":"hunter2\u0000"}"#,
                "it prints control characters",
            ),
            (b"hunter2\xff", "it prints what is not UTF-8"),
            (
                br#"{"error":"hunter2"}"#,
                "it prints JSON without an access_token",
            ),
            (b"{hunter2", "it prints what begins like JSON"),
        ] {
            match parse(printed, NOW) {
                Err(Error::Fatal(line)) => {
                    assert!(line.contains(says) && !line.contains("hunter2"), "{line}");
                }
                _ => panic!("{printed:?}"),
            }
        }
    }
}
