//! Which characters of a name are invisible, and where a name may contain one.

use std::ops::RangeInclusive;

use super::normal::class;

const NON_JOINER: char = '\u{200c}';
const JOINER: char = '\u{200d}';

/// The combining class of a virama, the sign that removes a letter's vowel.
const VIRAMA: u8 = 9;

/// Invisible characters that a name may contain. They are ignored when names are compared.
pub fn is_ignored_in_keys(c: char) -> bool {
    matches!(c, NON_JOINER | JOINER) || is_emoji_style(c)
}

/// A variation selector: it chooses the text form or the emoji form of the sign before it.
fn is_emoji_style(c: char) -> bool {
    matches!(c, '\u{fe0e}' | '\u{fe0f}')
}

/// Whether it contains an invisible character that no script or emoji needs there.
pub fn has_invisible(name: &str) -> bool {
    let chars: Vec<char> = name.chars().collect();
    (0..chars.len()).any(|at| {
        let (before, after) = (&chars[..at], &chars[at + 1..]);
        match chars[at] {
            JOINER => !joiner_fits(before, after),
            NON_JOINER => !non_joiner_fits(before, after),
            c if is_emoji_style(c) => !before.last().is_some_and(|c| has_styles(*c)),
            c => is_invisible(c),
        }
    })
}

/// Whether a zero-width joiner makes sense here: after a virama (RFC 5892, A.2), or between two
/// emoji that it joins.
fn joiner_fits(before: &[char], after: &[char]) -> bool {
    let mut emoji = before.iter().rev();
    let emoji = emoji.find(|c| !is_emoji_style(**c) && !is_skin(**c));
    follows_virama(before)
        || emoji.is_some_and(|c| is_pictograph(*c))
            && after.first().is_some_and(|c| is_pictograph(*c))
}

/// Whether a zero-width non-joiner makes sense here: after a virama, or between letters of a
/// cursive script (RFC 5892, A.1).
fn non_joiner_fits(before: &[char], after: &[char]) -> bool {
    let mut before_it = before.iter().rev();
    let letter = |c: &char| is_cursive(*c) && class(*c) == 0;
    follows_virama(before)
        || before_it.find(|c| class(**c) == 0).is_some_and(letter)
            && after.iter().find(|c| class(**c) == 0).is_some_and(letter)
}

fn follows_virama(before: &[char]) -> bool {
    before.last().is_some_and(|c| class(*c) == VIRAMA)
}

/// Arabic with its many relatives, Mongolian, Phags-pa, Manichaean to Sogdian, Adlam.
fn is_cursive(c: char) -> bool {
    c.is_alphabetic()
        && matches!(c, '\u{620}'..='\u{8c9}' | '\u{1820}'..='\u{18aa}' | '\u{a840}'..='\u{a872}'
            | '\u{10ac0}'..='\u{10aef}' | '\u{10b80}'..='\u{10baf}' | '\u{10d00}'..='\u{10d23}'
            | '\u{10f30}'..='\u{10fcb}' | '\u{1e900}'..='\u{1e943}')
}

fn is_pictograph(c: char) -> bool {
    matches!(c, '\u{2190}'..='\u{2bff}' | '\u{1f000}'..='\u{1fbff}') && !is_skin(c)
}

fn is_skin(c: char) -> bool {
    matches!(c, '\u{1f3fb}'..='\u{1f3ff}')
}

/// Signs that have a text form and an emoji form.
fn has_styles(c: char) -> bool {
    is_pictograph(c)
        || matches!(c, '0'..='9' | '*' | '©' | '®' | '‼' | '⁉' | '\u{2100}'..='\u{214f}' | '〰' | '〽')
        || matches!(c, '\u{3297}' | '\u{3299}')
}

/// Whether it is invisible, or changes only how other characters look: Unicode's
/// Default_Ignorable_Code_Point, spaces that are no white space, and line separators.
fn is_invisible(c: char) -> bool {
    const RANGES: [RangeInclusive<char>; 21] = [
        '\u{ad}'..='\u{ad}',       // soft hyphen
        '\u{34f}'..='\u{34f}',     // combining grapheme joiner
        '\u{61c}'..='\u{61c}',     // Arabic letter mark, which turns lines around
        '\u{115f}'..='\u{1160}',   // Hangul fillers
        '\u{17b4}'..='\u{17b5}',   // Khmer inherent vowels
        '\u{180b}'..='\u{180f}',   // Mongolian variation selectors
        '\u{200b}'..='\u{200f}', // zero-width space, joiners, left-to-right and right-to-left mark
        '\u{2028}'..='\u{202e}', // line and paragraph separator, bidi controls
        '\u{2060}'..='\u{206f}', // word joiner, bidi isolates and other format characters
        '\u{2800}'..='\u{2800}', // Braille without a dot
        '\u{3164}'..='\u{3164}', // Hangul filler
        '\u{fe00}'..='\u{fe0f}', // variation selectors
        '\u{feff}'..='\u{feff}', // byte order mark
        '\u{ffa0}'..='\u{ffa0}', // halfwidth Hangul filler
        '\u{fff0}'..='\u{fffb}', // unassigned, annotations
        '\u{13430}'..='\u{13442}', // Egyptian format controls and blanks
        '\u{16fe4}'..='\u{16fe4}', // Khitan filler
        '\u{1bca0}'..='\u{1bca3}', // shorthand format controls
        '\u{1d159}'..='\u{1d159}', // musical null notehead
        '\u{1d173}'..='\u{1d17a}', // musical format controls
        '\u{e0000}'..='\u{effff}', // tags, variation selectors, nothing else
    ];
    RANGES.iter().any(|range| range.contains(&c))
}
