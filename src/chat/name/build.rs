//! Packs the Unicode decompositions into some kilobytes, for `normal.rs`. The data are those of the
//! `unicode-normalization` crate, whose own tables are five times as large.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use unicode_normalization::char::{
    canonical_combining_class, compose, decompose_canonical, decompose_compatible,
};

/// A block spans at most this many characters: it is searched from its beginning.
const BLOCK: u32 = 64;
/// A block goes on after a gap of at most this many characters without a decomposition.
const GAP: u32 = 8;
/// Hangul syllables follow a formula.
const HANGUL: std::ops::RangeInclusive<char> = '\u{ac00}'..='\u{d7a3}';

/// The end of a decomposition into another spelling of the character.
const CANONICAL: char = '\0';
/// The end of a decomposition into characters that look different and mean the same.
const COMPATIBLE: char = '\u{1}';

/// Writes the tables to `names.txt` and `names.rs` in `out`.
pub fn write(out: &Path) {
    let mut text = String::new();
    let mut index: Vec<(char, usize)> = Vec::new();
    let mut pairs = Vec::new();
    let mut next = 0;
    for c in ('\0'..=char::MAX).filter(|c| !HANGUL.contains(c)) {
        let Some((parts, end)) = parts(c) else {
            continue;
        };
        let number = u32::from(c);
        match index.last() {
            Some((first, _)) if number - next <= GAP && number - u32::from(*first) < BLOCK => {
                text.extend((next..number).map(|_| CANONICAL));
            }
            _ => index.push((c, text.len())),
        }
        text.extend(&parts);
        text.push(end);
        next = number + 1;
        if let [first, last] = parts[..]
            && compose(first, last) == Some(c)
        {
            pairs.push((parts, c));
        }
    }
    pairs.sort_unstable();
    let composed: Vec<char> = pairs.into_iter().map(|(_, c)| c).collect();

    let mut marks: Vec<(char, u8, u8)> = Vec::new();
    for c in '\0'..=char::MAX {
        match (canonical_combining_class(c), marks.last_mut()) {
            (0, _) => {}
            (class, Some((first, count, same)))
                if class == *same && u32::from(*first) + u32::from(*count) == u32::from(c) =>
            {
                *count += 1;
            }
            (class, _) => marks.push((c, 1, class)),
        }
    }

    fs::write(out.join("names.txt"), text).expect("OUT_DIR can be written");
    let mut code = String::new();
    let (blocks, signs, runs) = (index.len(), composed.len(), marks.len());
    write!(
        code,
        "static TEXT: &str = include_str!(concat!(env!(\"OUT_DIR\"), \"/names.txt\"));\n\
         static INDEX: [(char, u16); {blocks}] = {index:?};\n\
         static COMPOSED: [char; {signs}] = {composed:?};\n\
         static MARKS: [(char, u8, u8); {runs}] = {marks:?};\n"
    )
    .expect("a String can be written");
    fs::write(out.join("names.rs"), code).expect("OUT_DIR can be written");
}

/// The decomposition of a character, and how it ends in the text; `None` if there is none.
fn parts(c: char) -> Option<(Vec<char>, char)> {
    let mut canonical = Vec::new();
    decompose_canonical(c, |part| canonical.push(part));
    if let [first, middle @ .., last] = &canonical[..] {
        let mut middle = middle.iter();
        let first = middle.try_fold(*first, |first, part| compose(first, *part));
        if let Some(first) = first
            && compose(first, *last) == Some(c)
        {
            return Some((vec![first, *last], CANONICAL));
        }
    }
    if canonical != [c] {
        return Some((canonical, CANONICAL));
    }
    let mut compatible = Vec::new();
    decompose_compatible(c, |part| compatible.push(part));
    (compatible != [c]).then_some((compatible, COMPATIBLE))
}
