//! Unicode's normal forms (UAX 15): one spelling for what can be written in several ways.
//!
//! `build.rs` packs the tables. To find a character takes an index and some dozens of steps. This
//! is fast enough: only names are normalized, and they are short.

include!(concat!(env!("OUT_DIR"), "/names.rs"));

/// How a character is decomposed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Into two characters that are composed again.
    Pair,
    /// Into characters that it is another spelling of.
    Canonical,
    /// Into characters that look different and mean the same.
    Compatible,
}

/// No character has more parts.
const MOST_PARTS: usize = 18;

// Hangul syllables follow a formula (Unicode, section 3.12).
const SYLLABLES: u32 = 0xac00;
const LEADS: u32 = 0x1100;
const VOWELS: u32 = 0x1161;
const TAILS: u32 = 0x11a7;
const LEAD_COUNT: u32 = 19;
const VOWEL_COUNT: u32 = 21;
const TAIL_COUNT: u32 = 28;

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
        Some((kind, parts, count)) if kind != Kind::Compatible || compatible => {
            for part in &parts[..count] {
                decompose_char(*part, compatible, out);
            }
        }
        _ => out.push((class(c), c)),
    }
}

/// The decomposition of a character; `None` if it has none.
fn parts(c: char) -> Option<(Kind, [char; MOST_PARTS], usize)> {
    let wanted = u32::from(c);
    let block = INDEX.partition_point(|(first, _)| *first <= wanted);
    let (mut at, offset) = INDEX[block.checked_sub(1)?];
    let end = INDEX.get(block).map_or(BYTES.len(), |next| next.1.into());
    let mut bytes = &BYTES[usize::from(offset)..end];
    let mut parts = [0_u32; MOST_PARTS];
    while !bytes.is_empty() {
        at += number(&mut bytes);
        let head = number(&mut bytes);
        let count = (head / 4) as usize;
        for part in &mut parts[..count] {
            let step = number(&mut bytes);
            *part = part.wrapping_add((step >> 1) ^ (step & 1).wrapping_neg());
        }
        if at >= wanted {
            let kind = [Kind::Pair, Kind::Canonical, Kind::Compatible][(head % 4) as usize];
            let parts = parts.map(|part| char::from_u32(part).unwrap_or_default());
            return (at == wanted).then_some((kind, parts, count));
        }
    }
    None
}

/// A variable-length number: seven bits per byte, the lowest first. The eighth bit says that more
/// bytes follow.
fn number(bytes: &mut &[u8]) -> u32 {
    let mut number = 0;
    let mut shift = 0;
    while let Some((byte, rest)) = bytes.split_first() {
        *bytes = rest;
        number |= u32::from(byte & 127) << shift;
        shift += 7;
        if byte & 128 == 0 {
            break;
        }
    }
    number
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
    let pair = |c: &char| parts(*c).map(|(_, parts, _)| (parts[0], parts[1]));
    let at = COMPOSED.partition_point(|c| pair(c) < Some((first, last)));
    let found = COMPOSED.get(at)?;
    (pair(found) == Some((first, last))).then_some(*found)
}

fn hangul_parts(c: char) -> Option<(char, char)> {
    let syllable = u32::from(c).checked_sub(SYLLABLES)?;
    if syllable >= LEAD_COUNT * VOWEL_COUNT * TAIL_COUNT {
        return None;
    }
    let (pair, tail) = (syllable / TAIL_COUNT, syllable % TAIL_COUNT);
    let (first, last) = match tail {
        0 => (LEADS + pair / VOWEL_COUNT, VOWELS + pair % VOWEL_COUNT),
        tail => (u32::from(c) - tail, TAILS + tail),
    };
    Some((char::from_u32(first)?, char::from_u32(last)?))
}

fn hangul(first: char, last: char) -> Option<char> {
    let (first, last) = (u32::from(first), u32::from(last));
    let (lead, vowel) = (first.wrapping_sub(LEADS), last.wrapping_sub(VOWELS));
    if lead < LEAD_COUNT && vowel < VOWEL_COUNT {
        return char::from_u32(SYLLABLES + (lead * VOWEL_COUNT + vowel) * TAIL_COUNT);
    }
    let (pair, tail) = (first.wrapping_sub(SYLLABLES), last.wrapping_sub(TAILS));
    let open = pair < LEAD_COUNT * VOWEL_COUNT * TAIL_COUNT && pair.is_multiple_of(TAIL_COUNT);
    if open && (1..TAIL_COUNT).contains(&tail) {
        return char::from_u32(first + tail);
    }
    None
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
