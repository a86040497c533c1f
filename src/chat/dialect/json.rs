//! What the two JSON dialects share: one object per frame, whose `type` tells what it is.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Number, Value};

use crate::chat::event::Refusal;

/// A client's reference has at most this many bytes.
pub const REFERENCE_BYTES: usize = 256;

/// Every key that any object from a client may have. Unknown ones are ignored.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Object {
    #[serde(rename = "type")]
    pub kind: Option<String>,
    pub room: Option<String>,
    pub user: Option<String>,
    pub to: Option<String>,
    pub text: Option<String>,
    #[serde(rename = "ref")]
    pub reference: Option<String>,
    pub session: Option<String>,
    pub email: Option<String>,
    pub username: Option<String>,
    pub message: Option<String>,
    pub since: Option<String>,
    pub before: Option<String>,
    pub history: Option<Number>,
    pub limit: Option<Number>,
    pub private: Option<BTreeMap<String, String>>,
    pub id: Option<String>,
    pub seconds: Option<Number>,
    pub reason: Option<String>,
}

/// Reads an object and its reference. The reference is also returned if the rest is wrong.
pub(super) fn read(frame: &str) -> (Result<Object, Refusal>, Option<String>) {
    // serde_json would also accept an array for a struct.
    if !frame.trim_start().starts_with('{') {
        return (Err(bad("a JSON object is expected")), None);
    }
    let frame = whole_characters(frame);
    match object(&frame, matches!(frame, Cow::Owned(_))) {
        Ok(mut object) => match object.reference.take() {
            Some(reference) if reference.len() > REFERENCE_BYTES => {
                (Err(bad("ref is longer than 256 bytes")), Some(reference))
            }
            reference => (Ok(object), reference),
        },
        Err(refusal) => (Err(refusal), reference(&frame)),
    }
}

fn bad(why: &str) -> Refusal {
    Refusal::BadJson(why.to_string())
}

/// `changed`: some of its characters have been replaced.
fn object(frame: &str, changed: bool) -> Result<Object, Refusal> {
    let all: Object = serde_json::from_str(frame).map_err(|error| bad(&error.to_string()))?;
    // Two different references must not become the same.
    let names = [&all.room, &all.user, &all.to, &all.reference];
    let keys = [&all.session, &all.username];
    let replaced = |name: &String| name.contains(char::REPLACEMENT_CHARACTER);
    if changed && names.into_iter().chain(keys).flatten().any(replaced) {
        return Err(bad("half a surrogate pair outside of a text"));
    }
    Ok(all)
}

/// Replaces escaped lone surrogates by U+FFFD. JavaScript writes them for a string that was cut
/// within a character, and they can't be encoded in UTF-8.
fn whole_characters(frame: &str) -> Cow<'_, str> {
    let mut changed = Cow::Borrowed(frame);
    let mut from = 0;
    while let Some(at) = frame[from..].find('\\').map(|at| from + at) {
        from = at + 2;
        match surrogate(frame, at) {
            None if frame.is_char_boundary(from) => {}
            // An escaped backslash: what follows is no escape.
            None => return changed,
            Some(..0xdc00) if matches!(surrogate(frame, at + 6), Some(0xdc00..)) => from = at + 12,
            Some(_) => {
                from = at + 6;
                changed.to_mut().replace_range(at..from, "\\ufffd");
            }
        }
    }
    changed
}

/// The half of a surrogate pair that is escaped at this position, if any: a high one below 0xdc00,
/// or a low one.
fn surrogate(frame: &str, at: usize) -> Option<u32> {
    let digits = frame.get(at..at + 6)?.strip_prefix("\\u")?;
    let unit = u32::from_str_radix(digits, 16).ok()?;
    (0xd800..0xe000).contains(&unit).then_some(unit)
}

/// Finds the reference of an object that has an error: the last one that is a string, before the
/// error.
fn reference(frame: &str) -> Option<String> {
    let mut found = None;
    let mut json = serde_json::Deserializer::from_str(frame);
    // The error was reported already.
    let _ = json.deserialize_map(Search(&mut found));
    found
}

struct Search<'a>(&'a mut Option<String>);

impl<'de> Visitor<'de> for Search<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<(), M::Error> {
        while let Some(key) = map.next_key::<String>()? {
            if key != "ref" {
                map.next_value::<IgnoredAny>()?;
            } else if let Value::String(reference) = map.next_value()? {
                *self.0 = Some(reference);
            }
        }
        Ok(())
    }
}

/// A whole number that is not negative. It may be written as `20.0`: some languages have only
/// floating-point numbers.
pub(super) fn count(key: &str, number: Option<Number>) -> Result<Option<u64>, Refusal> {
    let whole = |number: Number| {
        let real = || number.as_f64().filter(|n| *n >= 0.0 && n.fract() == 0.0);
        number.as_u64().or_else(|| real().map(|n| n as u64))
    };
    let not_whole = || bad(&format!("{key} is not a whole number"));
    number
        .map(|number| whole(number).ok_or_else(not_whole))
        .transpose()
}

/// Writes an object.
pub(super) fn write(object: &impl Serialize, out: &mut String) {
    let json = serde_json::to_string(object).expect("strings and numbers are always JSON");
    out.push_str(&json);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_of_surrogate_pairs_become_whole_characters() {
        for (frame, whole) in [
            (r"", r""),
            (r"abc", r"abc"),
            (r"\ud83d\udc38", r"\ud83d\udc38"),
            (r"\uD83D\uDC38", r"\uD83D\uDC38"),
            (r"\ud83d", r"\ufffd"),
            (r"\udc38\ud83d", r"\ufffd\ufffd"),
            (r"\ud83d\ud83d\udc38", r"\ufffd\ud83d\udc38"),
            (r"\ud83d\n\udc38", r"\ufffd\n\ufffd"),
            (r"\\ud83d\\\ud83d", r"\\ud83d\\\ufffd"),
            // Not our error to report.
            (r"\ud83", r"\ud83"),
            (r"\u+d83", r"\u+d83"),
            (r"\udc3é\ud83d", r"\udc3é\ufffd"),
            (r"\é\ud83d", r"\é\ud83d"),
            (r"\ud83d\", r"\ufffd\"),
            (r"\", r"\"),
        ] {
            assert_eq!(whole_characters(frame), whole);
        }
        assert!(matches!(
            whole_characters(r"\ud83d\udc38"),
            Cow::Borrowed(_)
        ));
    }

    #[test]
    fn counts_are_whole_numbers() {
        let counted = |json: &str| count("limit", serde_json::from_str(json).unwrap()).ok();
        for (json, number) in [
            ("null", Some(None)),
            ("0", Some(Some(0))),
            ("-0", Some(Some(0))),
            ("20", Some(Some(20))),
            ("20.0", Some(Some(20))),
            ("2e1", Some(Some(20))),
            ("18446744073709551615", Some(Some(u64::MAX))),
            ("1e300", Some(Some(u64::MAX))),
            ("-1", None),
            ("-1e300", None),
            ("0.5", None),
        ] {
            assert_eq!(counted(json), number, "{json}");
        }
    }
}
