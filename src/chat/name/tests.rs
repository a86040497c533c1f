//! Which names are names, and which are the same.

use super::*;

#[test]
fn names_follow_their_rules() {
    let longest = "x".repeat(32);
    let widest = "é".repeat(32);
    for good in [
        "foo",
        "Föö 1",
        "日本",
        "a+b",
        "%zz",
        &longest,
        &widest,
        // Scripts and emoji that need invisible characters.
        "می\u{200c}خواهم",
        "ක්\u{200d}ය",
        "न्\u{200c}",
        "👩\u{200d}💻",
        "👩🏽\u{200d}❤\u{fe0f}\u{200d}👨",
        "ann ♥\u{fe0f}",
        "1\u{fe0f}\u{20e3}",
        "한글",
        "\u{1112}\u{1161}\u{11ab}",
    ] {
        assert_eq!(
            User::new(good).map(|user| user.to_string()),
            Ok(good.to_string())
        );
        assert!(Room::new(good).is_ok(), "{good:?}");
    }
    let too_long = "x".repeat(33);
    let too_wide = "日".repeat(22);
    for bad in [
        "",
        " foo",
        "foo ",
        "a:b",
        "a/b",
        "@a",
        "a#",
        "a\u{7}b",
        "a\nb",
        &too_long,
        &too_wide,
        "\u{301}a",
        "\u{e000}",
        "\u{ffff}",
        "\u{10ffff}",
    ] {
        assert!(User::new(bad).is_err(), "{bad:?} must be refused");
        assert!(Room::new(bad).is_err(), "{bad:?} must be refused");
    }
}

#[test]
fn nothing_in_a_name_is_invisible() {
    for c in [
        '\u{ad}',
        '\u{34f}',
        '\u{61c}',
        '\u{115f}',
        '\u{1160}',
        '\u{180e}',
        '\u{200b}',
        '\u{200e}',
        '\u{200f}',
        '\u{2028}',
        '\u{2029}',
        '\u{202a}',
        '\u{202d}',
        '\u{202e}',
        '\u{2060}',
        '\u{2063}',
        '\u{2066}',
        '\u{2069}',
        '\u{2800}',
        '\u{3164}',
        '\u{fe00}',
        '\u{feff}',
        '\u{ffa0}',
        '\u{fff9}',
        '\u{1d173}',
        '\u{e0001}',
        '\u{e0061}',
        '\u{e0100}',
        '\u{200c}',
        '\u{200d}',
        '\u{fe0f}',
    ] {
        for name in [
            c.to_string(),
            format!("a{c}b"),
            format!("a{c}"),
            format!("{c}a"),
        ] {
            assert!(User::new(&name).is_err(), "{name:?} must be refused");
            assert!(Room::new(&name).is_err(), "{name:?} must be refused");
        }
    }
}

#[test]
fn no_name_reads_as_the_servers_own_words() {
    for bad in [
        "error",
        "Error",
        "ＥＲＲＯＲ",
        "in lobby",
        "In Lobby",
        "in\u{a0}lobby",
        "in x",
        "* bar was muted for 600 s by mod",
        "＊ bar",
        "*\u{3000}bar",
        "bar (private)",
        "bar (PRIVATE)",
        "bar\u{3000}（private）",
        "a：b",
        "a＠b",
        "c℅d",
    ] {
        assert!(User::new(bad).is_err(), "{bad:?} must be refused");
    }
    for good in [
        "errors",
        "inn",
        "in",
        "*",
        "*bar",
        "private",
        "bar(private)",
        "Terror",
    ] {
        assert!(User::new(good).is_ok(), "{good:?}");
    }
    assert!(Room::new("error").is_ok());
}

#[test]
fn a_name_is_shown_as_it_is_written_and_compared_by_its_key() {
    let [ann, shown, wide] = ["ann", "Ann", "ａｎｎ"].map(|name| User::new(name).unwrap());
    assert_eq!((&ann, &ann), (&shown, &wide));
    assert_eq!(
        [ann.as_str(), shown.as_str(), wide.as_str()],
        ["ann", "Ann", "ａｎｎ"]
    );
    assert_eq!([ann.key(), shown.key(), wide.key()], ["ann"; 3]);
    let names = std::collections::HashMap::from([(ann, 1)]);
    assert_eq!(names.get(&shown), Some(&1));
    assert_eq!(size_of::<User>(), size_of::<Arc<str>>());
}

#[test]
fn a_rooms_name_is_composed_and_nothing_else() {
    let name = |name| Room::new(name).unwrap().to_string();
    assert_eq!(name("fo\u{308}o"), "föo");
    assert_eq!(name("\u{212b}"), "Å");
    for room in ["Föo", "ﬁsh", "™", "ｗｉｄｅ", "a  b"] {
        assert_eq!(name(room), room);
    }
    // Twelve letters with three marks each, which are all composed.
    assert!(Room::new(&"o\u{302}\u{301}\u{323}".repeat(12)).is_ok());
}

#[test]
fn a_guests_name_is_for_the_holder_of_its_key() {
    let guest = User::guest("secret");
    assert_eq!(guest, User::guest("secret"));
    assert_ne!(guest, User::guest("other"));
    let written = User::new(&guest.as_str().to_uppercase()).unwrap();
    assert!(written.may_be_chosen("secret").is_ok());
    for wrong in ["", "other"] {
        assert!(written.may_be_chosen(wrong).is_err());
    }
    assert!(User::new("guests").unwrap().may_be_chosen("").is_ok());
}

#[test]
fn avatars_are_what_gravatar_expects() {
    let avatar = |email| {
        Email::given(Some(email))
            .unwrap()
            .map(|email| email.avatar())
    };
    let known = "84059b07d4be67b806386c0aad8070a23f18836bbaae342275dc0a83414c32ee";
    assert_eq!(
        avatar(" MyEmailAddress@example.com "),
        Some(known.to_string())
    );
    // Also trimmed after unsafe characters are dropped.
    assert_eq!(
        avatar("\u{7} MyEmailAddress@example.com \u{7}"),
        Some(known.to_string())
    );
    assert_eq!(avatar(" "), None);
    assert_eq!(avatar("\u{7} \u{7}"), None);
    assert_eq!(Email::given(None), Ok(None));
    assert_eq!(Email::given(Some(&"x".repeat(255))), Err(LongEmail));
}
