//! Removes characters that are unsafe on a terminal, so that no user can send another one escape
//! codes, or change the writing direction of a line.

use std::fmt::{self, Write};

/// What replaces an unsafe character.
const REPLACEMENT: char = char::REPLACEMENT_CHARACTER;

/// Control characters, with tabs and line breaks; characters that change the writing direction;
/// unusual line breaks.
pub fn is_unsafe_on_terminal(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202d}' | '\u{202e}' | '\u{2028}' | '\u{2029}')
}

/// Replaces unsafe characters by U+FFFD, except for tabs and line breaks. A carriage return alone
/// is unsafe: the text would overwrite the name before it.
pub fn text<T: for<'a> From<&'a str> + From<String>>(text: &str) -> T {
    let bad = |at: usize, c: char| match c {
        '\t' | '\n' => false,
        '\r' => !text[at + 1..].starts_with('\n'),
        c => is_unsafe_on_terminal(c),
    };
    if !text.char_indices().any(|(at, c)| bad(at, c)) {
        return text.into();
    }
    let clean: String = text
        .char_indices()
        .map(|(at, c)| if bad(at, c) { REPLACEMENT } else { c })
        .collect();
    clean.into()
}

/// A writer of one line. It replaces unsafe characters by U+FFFD.
pub struct OneLine<'a, 'b>(pub &'a mut fmt::Formatter<'b>);

impl Write for OneLine<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut pieces = text.split(is_unsafe_on_terminal);
        self.0.write_str(pieces.next().unwrap_or_default())?;
        for piece in pieces {
            self.0.write_char(REPLACEMENT)?;
            self.0.write_str(piece)?;
        }
        Ok(())
    }
}
