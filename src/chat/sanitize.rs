//! What must not reach a terminal: nobody can send escape codes to another's, or turn its line around.

use std::fmt::{self, Write};

/// What takes the place of a character that does harm.
const REPLACEMENT: char = char::REPLACEMENT_CHARACTER;

/// Control characters, tab and line breaks too; what turns the direction of writing around; and what
/// some take for a line break.
pub fn is_unsafe_on_terminal(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202d}' | '\u{202e}' | '\u{2028}' | '\u{2029}')
}

/// A text with its tabs and line breaks, and U+FFFD in place of everything else that does harm. A lone
/// carriage return does: it would let a text overwrite the name in front of it.
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

/// Writes one line. Quoted characters that do harm become U+FFFD.
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
