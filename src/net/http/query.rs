//! The query of a request's target.

use percent_encoding::percent_decode_str;

use super::answer::Answer;

/// The first query parameter of that name.
pub(in crate::net) fn parameter(query: &str, name: &str) -> Result<Option<String>, Answer> {
    let mut pairs = query
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let found = pairs.find(|(key, _)| *key == name);
    found
        .map(|(_, value)| decode(&value.replace('+', " ")))
        .transpose()
}

/// Decodes percent-encoding (RFC 3986, section 2.1).
pub(in crate::net) fn decode(part: &str) -> Result<String, Answer> {
    let decoded = percent_decode_str(part).decode_utf8();
    decoded
        .map(String::from)
        .map_err(|_| Answer::text(400, "the address is not UTF-8"))
}
