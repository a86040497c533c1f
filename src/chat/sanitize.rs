//! Removes characters that are unsafe on a terminal, so that no user can send another one escape
//! codes, or change the writing direction of a line.

use std::sync::Arc;

/// What replaces an unsafe character.
const REPLACEMENT: char = char::REPLACEMENT_CHARACTER;

/// Control characters, with tabs and line breaks; characters that change the writing direction;
/// unusual line breaks.
pub fn is_unsafe_on_terminal(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202d}' | '\u{202e}' | '\u{2028}' | '\u{2029}')
}

/// Replaces unsafe characters by U+FFFD, except for tabs and line breaks. A carriage return alone
/// is unsafe: the text would overwrite the name before it.
pub fn text(text: &str) -> Arc<str> {
    let is_bad = |(at, c): (usize, char)| match c {
        '\t' | '\n' => false,
        '\r' => !text[at + 1..].starts_with('\n'),
        c => is_unsafe_on_terminal(c),
    };
    if !text.char_indices().any(is_bad) {
        return text.into();
    }
    let clean = |(at, c)| if is_bad((at, c)) { REPLACEMENT } else { c };
    text.char_indices().map(clean).collect::<String>().into()
}
