//! Which characters a name may contain.
//!
//! A compromise between the FreeformClass of RFC 8264 and what people call themselves: all letters,
//! symbols and emoji, but no invisible characters and none that change the writing direction.

use std::borrow::Cow;

use super::fold::key;
use super::invisible::has_invisible;
use super::normal::class;

/// A name has at most this many characters.
const NAME_CHARS: usize = 32;
/// A name has at most this many bytes of UTF-8.
const NAME_BYTES: usize = 64;

/// Characters that have a meaning next to a name.
const RESERVED: [char; 4] = [':', '/', '@', '#'];

/// Checks a name.
///
/// # Errors
/// The rule that it breaks, as the end of a sentence that begins with "it".
pub fn check(name: &str) -> Result<(), &'static str> {
    let broken = if name.is_empty() {
        "is empty"
    } else if name.len() > NAME_BYTES || name.chars().count() > NAME_CHARS {
        "is longer than 32 characters or 64 bytes"
    } else if name.chars().any(char::is_control) {
        "contains a control character"
    } else if name.contains(RESERVED) {
        "contains one of : / @ #"
    } else if name.trim().len() != name.len() {
        "begins or ends with a space"
    } else if name.is_ascii() {
        return Ok(());
    } else if has_invisible(name) {
        "contains an invisible character"
    } else if name.chars().next().is_some_and(|first| class(first) != 0) {
        "begins with a mark that belongs on a letter"
    } else if name.chars().any(is_private) {
        "contains a character that means nothing to others"
    } else {
        return Ok(());
    };
    Err(broken)
}

/// The prefix of names that the server gives.
pub const GUEST: &str = "guest-";

/// Private use, or never assigned: such a character looks different in every font.
fn is_private(c: char) -> bool {
    matches!(c, '\u{e000}'..='\u{f8ff}' | '\u{fdd0}'..='\u{fdef}' | '\u{f0000}'..)
        || u32::from(c) & 0xfffe == 0xfffe
}

/// Checks a user name and returns its key, which must not break a rule either.
///
/// # Errors
/// The broken rule, as [`check`] returns it.
pub fn user(name: &str) -> Result<Cow<'_, str>, &'static str> {
    check(name)?;
    let key = key(name);
    if key.contains(RESERVED) {
        Err("contains what reads as one of : / @ #")
    } else if key == "error"
        || key.starts_with("in ")
        || key.starts_with("* ")
        || key.ends_with(" (private)")
    {
        Err("reads as words of the server's own")
    } else if key.is_empty() {
        Err("is empty")
    } else {
        Ok(key)
    }
}
