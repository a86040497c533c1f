//! When two names are one: as RFC 8266 compares nicknames.

use std::borrow::Cow;

use super::invisible::is_ignored_in_keys;
use super::normal::nfkc;

/// Folding may bring forth what can be folded again (RFC 8266, section 2.1); it ends soon.
const ROUNDS: usize = 4;

/// What a name is compared by. Names that look the same, differ only in upper and lower case, in
/// the kind or number of spaces or in how their characters are encoded have the same key. So have
/// names that differ in invisible signs. The key of a key is the key itself.
pub fn key(name: &str) -> Cow<'_, str> {
    if name.is_ascii() {
        // The usual case, and every message has a name: one that is already a key is not copied.
        let odd = name.contains("  ") || name.trim().len() != name.len();
        return match name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            _ if odd => collapse_spaces(name).to_ascii_lowercase().into(),
            true => name.to_ascii_lowercase().into(),
            false => name.into(),
        };
    }
    let name: String = name.chars().filter(|c| !is_ignored_in_keys(*c)).collect();
    let mut key = fold(&name);
    for _ in 1..ROUNDS {
        let again = fold(&key);
        if again == key {
            break;
        }
        key = again;
    }
    key.into()
}

fn fold(name: &str) -> String {
    let lower: String = name.chars().flat_map(char::to_lowercase).collect();
    // A final sigma has its own letter in lower case, but not in upper case.
    collapse_spaces(&nfkc(&lower.replace('ς', "σ")))
}

/// One plain space between words, and none around them.
fn collapse_spaces(name: &str) -> String {
    name.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn one_name_has_many_spellings() {
        for (spellings, expected) in [
            (
                &["ann", "Ann", "ANN", "ａｎｎ", "𝐀𝓷𝕟", "ⓐⓝⓝ", "aⁿⁿ"][..],
                "ann",
            ),
            (&["föö", "FÖÖ", "fo\u{308}o\u{308}", "Fo\u{308}Ö"], "föö"),
            (
                &["foo bar", "Foo  Bar", "foo\u{a0}bar", "foo\u{3000} bar"],
                "foo bar",
            ),
            (&["οδός", "ΟΔΌΣ", "οδόσ"], "οδόσ"),
            (&["ﬁsh", "fish", "Fiſh"], "fish"),
            (&["♥", "♥\u{fe0f}", "♥\u{fe0e}"], "♥"),
            (&["👩💻", "👩\u{200d}💻"], "👩💻"),
            (&["™", "TM", "tm"], "tm"),
            (&["한", "\u{1112}\u{1161}\u{11ab}"], "한"),
            (&["Å", "\u{212b}", "A\u{30a}"], "å"),
        ] {
            for name in spellings {
                assert_eq!(key(name), expected, "{name:?}");
            }
        }
        for (one, other) in [
            ("ann", "anna"),
            ("foo bar", "foobar"),
            ("a", "ä"),
            ("👍", "👍🏽"),
        ] {
            assert_ne!(key(one), key(other));
        }
    }

    #[test]
    fn a_key_is_its_own_key() {
        // Together they contain every character that is folded.
        let ranges = [
            '\0'..='\u{33ff}',
            '\u{a640}'..='\u{abff}',
            '\u{f900}'..='\u{12000}',
            '\u{1d000}'..='\u{1fbff}',
            '\u{2f800}'..='\u{2fa1d}',
        ];
        let check = |c| {
            let name = format!("a{c}Ä");
            let key = key(&name);
            assert_eq!(super::key(&key), key, "{c:?}");
        };
        // It is slow for one thread.
        thread::scope(|scope| {
            for range in ranges {
                scope.spawn(move || range.for_each(check));
            }
        });
    }
}
