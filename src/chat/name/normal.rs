//! Unicode's normal forms (UAX 15): one spelling for what can be written in several ways.
//!
//! `build.rs` packs the tables: `TEXT` has the decompositions, `INDEX` the first character of each
//! block of them. To find a character takes some dozens of steps. This is fast enough: only names
//! are normalized, and they are short.

include!(concat!(env!("OUT_DIR"), "/names.rs"));

/// The end of a decomposition into characters that look different and mean the same.
const COMPATIBLE: char = '\u{1}';

// Hangul syllables follow a formula (Unicode, section 3.12): there are 19 leading consonants, 21
// vowels, and 27 trailing consonants or none.
const SYLLABLES: u32 = 0xac00;
const LEADS: u32 = 0x1100;
const VOWELS: u32 = 0x1161;
const TAILS: u32 = 0x11a7;
/// Syllables with the same lead and vowel.
const TAIL_COUNT: u32 = 28;
/// All syllables.
const COUNT: u32 = 19 * 21 * TAIL_COUNT;

/// The composed form, NFC: the same characters, each in one spelling.
pub fn nfc(text: &str) -> String {
    compose(decompose(text, false))
}

/// The composed form for comparing, NFKC: characters that mean the same are the same.
pub fn nfkc(text: &str) -> String {
    compose(decompose(text, true))
}

/// The combining class: 0 for what stands by itself, 9 for a virama.
pub fn class(c: char) -> u8 {
    let at = MARKS.partition_point(|(first, ..)| *first <= c);
    match at.checked_sub(1).map(|at| MARKS[at]) {
        Some((first, count, class)) if u32::from(c) - u32::from(first) < u32::from(count) => class,
        _ => 0,
    }
}

/// Decomposes all characters, and sorts marks into canonical order.
fn decompose(text: &str, compatible: bool) -> Vec<(u8, char)> {
    let mut parts = Vec::with_capacity(text.len());
    for c in text.chars() {
        decompose_char(c, compatible, &mut parts);
    }
    // The order of marks of different classes has no meaning, so they are sorted by class.
    for end in 1..parts.len() {
        let mut at = end;
        while at > 0 && parts[at].0 != 0 && parts[at - 1].0 > parts[at].0 {
            parts.swap(at - 1, at);
            at -= 1;
        }
    }
    parts
}

fn decompose_char(c: char, compatible: bool, out: &mut Vec<(u8, char)>) {
    if let Some((first, last)) = hangul_parts(c) {
        decompose_char(first, compatible, out);
        return decompose_char(last, compatible, out);
    }
    match parts(c) {
        Some((parts, end)) if compatible || end != COMPATIBLE => {
            for part in parts.chars() {
                decompose_char(part, compatible, out);
            }
        }
        _ => out.push((class(c), c)),
    }
}

/// The decomposition of a character, and how it ends; `None` if there is none.
fn parts(c: char) -> Option<(&'static str, char)> {
    let next = INDEX.partition_point(|(first, _)| *first <= c);
    let (first, offset) = INDEX[next.checked_sub(1)?];
    let end = INDEX.get(next).map_or(TEXT.len(), |next| next.1.into());
    let mut block = TEXT[offset.into()..end].split_inclusive(|c| c <= COMPATIBLE);
    let mut parts = block
        .nth((u32::from(c) - u32::from(first)) as usize)?
        .chars();
    let end = parts.next_back()?;
    let parts = parts.as_str();
    (!parts.is_empty()).then_some((parts, end))
}

/// Composes pairs for which there is one character.
fn compose(parts: Vec<(u8, char)>) -> String {
    let mut out: Vec<char> = Vec::with_capacity(parts.len());
    // The position of the last starter, and the class of the character after it.
    let mut base = None;
    let mut before = None;
    for (class, c) in parts {
        let pair = base.filter(|_| before.is_none_or(|before| before < class));
        if let Some(at) = pair
            && let Some(whole) = composed(out[at], c)
        {
            out[at] = whole;
            continue;
        }
        if class == 0 {
            base = Some(out.len());
            before = None;
        } else {
            before = Some(class);
        }
        out.push(c);
    }
    out.into_iter().collect()
}

/// The character that two others compose to.
fn composed(first: char, last: char) -> Option<char> {
    if let Some(syllable) = hangul(first, last) {
        return Some(syllable);
    }
    let pair = String::from_iter([first, last]);
    let decomposed = |c: &char| parts(*c).map_or("", |(parts, _)| parts);
    let found = COMPOSED.binary_search_by(|c| decomposed(c).cmp(&pair));
    found.ok().map(|at| COMPOSED[at])
}

fn hangul_parts(c: char) -> Option<(char, char)> {
    let syllable = u32::from(c).checked_sub(SYLLABLES);
    let syllable = syllable.filter(|syllable| *syllable < COUNT)?;
    let (first, last) = match (syllable / TAIL_COUNT, syllable % TAIL_COUNT) {
        (pair, 0) => (LEADS + pair / 21, VOWELS + pair % 21),
        (_, tail) => (u32::from(c) - tail, TAILS + tail),
    };
    Some((char::from_u32(first)?, char::from_u32(last)?))
}

fn hangul(first: char, last: char) -> Option<char> {
    let (first, last) = (u32::from(first), u32::from(last));
    let lead_and_vowel = (first.wrapping_sub(LEADS), last.wrapping_sub(VOWELS));
    let open_and_tail = (first.wrapping_sub(SYLLABLES), last.wrapping_sub(TAILS));
    let syllable = match (lead_and_vowel, open_and_tail) {
        ((lead @ ..19, vowel @ ..21), _) => SYLLABLES + (lead * 21 + vowel) * TAIL_COUNT,
        (_, (open @ ..COUNT, tail @ 1..TAIL_COUNT)) if open.is_multiple_of(TAIL_COUNT) => {
            first + tail
        }
        _ => return None,
    };
    char::from_u32(syllable)
}

#[cfg(test)]
mod tests {
    use unicode_normalization::UnicodeNormalization;
    use unicode_normalization::char::canonical_combining_class;

    use super::*;

    /// Both forms are those of the crate.
    #[track_caller]
    fn same(text: &str) {
        assert_eq!(nfc(text), text.nfc().collect::<String>(), "{text:?}");
        assert_eq!(nfkc(text), text.nfkc().collect::<String>(), "{text:?}");
    }

    #[test]
    fn every_character_has_the_forms_that_unicode_gives_it() {
        // All data are below this.
        for c in ('\0'..='\u{33fff}').chain('\u{e0000}'..='\u{e0fff}') {
            assert_eq!(class(c), canonical_combining_class(c), "{c:?}");
            let compatible: String = std::iter::once(c).nfkd().collect();
            if parts(c).is_none() && hangul_parts(c).is_none() {
                assert!(compatible.chars().eq([c]), "{c:?}");
                continue;
            }
            same(c.encode_utf8(&mut [0; 4]));
            if hangul_parts(c).is_none() {
                let apart: String = std::iter::once(c).nfd().collect();
                same(&apart);
                same(&format!("{c}\u{301}\u{323}"));
            }
        }
    }

    #[test]
    fn every_text_has_the_forms_that_unicode_gives_it() {
        // Characters that are decomposed or composed, marks, syllables and letters.
        let odd: Vec<char> = ('\0'..=char::MAX)
            .filter(|c| {
                class(*c) != 0 || parts(*c).is_some() || (LEADS..0x1200).contains(&u32::from(*c))
            })
            .collect();
        arbtest::arbtest(|u| {
            let mut text = String::new();
            for _ in 0..u.int_in_range(0..=12)? {
                text.push(match u.int_in_range(0..=3)? {
                    0 => u.arbitrary()?,
                    1 => {
                        *u.choose(&['a', 'o', 'ω', 'が', '\u{301}', '\u{323}', '\u{345}', '각'])?
                    }
                    _ => *u.choose(&odd)?,
                });
            }
            same(&text);
            Ok(())
        });
    }
}
