//! What the two JSON dialects share: one object per frame, told apart by its `type`.

use serde::{Deserialize, Serialize};

use crate::chat::event::Refusal;

/// A client's name for a message has at most this many bytes.
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
    pub history: Option<u64>,
    pub limit: Option<u64>,
}

/// Reads an object, and takes its reference out of it.
pub(super) fn read(frame: &str) -> Result<(Object, Option<String>), Refusal> {
    let bad = |why: &str| Refusal::BadJson(why.to_string());
    // serde_json takes an array for a struct as well.
    if !frame.trim_start().starts_with('{') {
        return Err(bad("a JSON object is expected"));
    }
    let read = serde_json::from_str(frame);
    let mut object: Object = read.map_err(|error| bad(&error.to_string()))?;
    let reference = object.reference.take();
    if reference
        .as_ref()
        .is_some_and(|name| name.len() > REFERENCE_BYTES)
    {
        return Err(bad("ref is longer than 256 bytes"));
    }
    Ok((object, reference))
}

/// Writes an object.
pub(super) fn write(object: &impl Serialize, out: &mut String) {
    let json = serde_json::to_string(object).expect("strings and numbers are always JSON");
    out.push_str(&json);
}

/// What is wrong, for either JSON dialect.
#[derive(Debug, Serialize)]
pub(super) struct Failure<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    code: &'static str,
    message: String,
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
    reference: Option<&'a str>,
}

pub(super) fn fail(refusal: &Refusal, reference: Option<&str>, out: &mut String) {
    let failure = Failure {
        kind: "error",
        code: refusal.code(),
        message: refusal.to_string(),
        reference,
    };
    write(&failure, out);
}
