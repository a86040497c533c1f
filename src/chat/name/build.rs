//! Packs the Unicode decompositions into some kilobytes, for `normal.rs`. The data are those of the
//! `unicode-normalization` crate, whose own tables are five times as large.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use unicode_normalization::char::{
    canonical_combining_class, compose, decompose_canonical, decompose_compatible,
};

/// Characters per entry of the index.
const BLOCK: usize = 64;
/// Hangul syllables follow a formula.
const HANGUL: std::ops::RangeInclusive<char> = '\u{ac00}'..='\u{d7a3}';

/// How a character is decomposed. The numbers are those in `normal.rs`.
#[derive(Clone, Copy)]
enum Kind {
    /// Into two characters that are composed again.
    Pair = 0,
    /// Into characters that it is another spelling of.
    Canonical = 1,
    /// Into characters that look different and mean the same.
    Compatible = 2,
}

/// Writes the tables to `names.rs` in `out`.
pub fn write(out: &Path) {
    let entries: Vec<_> = ('\0'..=char::MAX)
        .filter(|c| !HANGUL.contains(c))
        .filter_map(|c| parts(c).map(|(kind, parts)| (c, kind, parts)))
        .collect();

    let mut bytes = Vec::new();
    let mut index = Vec::new();
    for block in entries.chunks(BLOCK) {
        index.push((u32::from(block[0].0), bytes.len()));
        let mut before = u32::from(block[0].0);
        let mut parts_before = [0; 18];
        for (c, kind, parts) in block {
            number(&mut bytes, u32::from(*c) - before);
            before = u32::from(*c);
            number(&mut bytes, parts.len() as u32 * 4 + *kind as u32);
            for (part, before) in parts.iter().zip(&mut parts_before) {
                let step = i64::from(u32::from(*part)) - i64::from(*before);
                number(&mut bytes, ((step << 1) ^ (step >> 63)) as u32);
                *before = u32::from(*part);
            }
        }
    }

    let mut pairs: Vec<_> = entries
        .iter()
        .filter(|(_, kind, _)| matches!(kind, Kind::Pair))
        .map(|(c, _, parts)| (parts, *c))
        .collect();
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

    fs::write(out.join("names.bin"), &bytes).expect("OUT_DIR can be written");
    let mut code = String::new();
    let (blocks, signs, runs) = (index.len(), composed.len(), marks.len());
    write!(
        code,
        "static BYTES: &[u8] = include_bytes!(concat!(env!(\"OUT_DIR\"), \"/names.bin\"));\n\
         static INDEX: [(u32, u16); {blocks}] = {index:?};\n\
         static COMPOSED: [char; {signs}] = {composed:?};\n\
         static MARKS: [(char, u8, u8); {runs}] = {marks:?};\n"
    )
    .expect("a String can be written");
    fs::write(out.join("names.rs"), code).expect("OUT_DIR can be written");
}

/// The decomposition of a character; `None` if it has none.
fn parts(c: char) -> Option<(Kind, Vec<char>)> {
    let mut canonical = Vec::new();
    decompose_canonical(c, |part| canonical.push(part));
    if let [first, middle @ .., last] = &canonical[..] {
        let first = middle
            .iter()
            .try_fold(*first, |first, part| compose(first, *part));
        if let Some(first) = first
            && compose(first, *last) == Some(c)
        {
            return Some((Kind::Pair, vec![first, *last]));
        }
    }
    if canonical != [c] {
        return Some((Kind::Canonical, canonical));
    }
    let mut compatible = Vec::new();
    decompose_compatible(c, |part| compatible.push(part));
    (compatible != [c]).then_some((Kind::Compatible, compatible))
}

/// Writes seven bits per byte, the lowest first. The eighth bit says that more bytes follow.
fn number(bytes: &mut Vec<u8>, mut number: u32) {
    while number >= 128 {
        bytes.push(number as u8 | 128);
        number >>= 7;
    }
    bytes.push(number as u8);
}
