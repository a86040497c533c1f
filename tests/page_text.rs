//! How the page shows texts, in a real browser.

use serde_json::{Value, json};

use crate::support::{Page, TestServer};

/// Which of these texts are not as wide in the page's font as they are in another one.
fn of_other_width(page: &Page, texts: &[&str], font: &str) -> Vec<String> {
    let script = format!(
        r#"((texts, font) => {{
            const widths = (font) => {{
                const box = document.createElement("div");
                box.style.font = font;
                box.append(...texts.map((text) => {{
                    const span = document.createElement("span");
                    span.textContent = text;
                    return span;
                }}));
                document.body.append(box);
                const found = [...box.children].map((span) => span.getBoundingClientRect().width);
                box.remove();
                return found;
            }};
            const [own, other] = [widths("inherit"), widths(font)];
            return texts.filter((_, at) => Math.abs(own[at] - other[at]) > 0.5);
        }})({}, {font:?})"#,
        json!(texts)
    );
    serde_json::from_value(page.value(&script)).unwrap()
}

#[test]
fn every_emoji_is_one_picture_and_signs_in_a_text_are_not() {
    let page = Page::open(&TestServer::start(), "/");
    let picture = "1rem 'Noto Color Emoji'";
    let mut all: Vec<_> = emojis::iter()
        .flat_map(|emoji| emoji.skin_tones().into_iter().flatten().chain([emoji]))
        // The newest are in no font yet.
        .filter(|emoji| emoji.unicode_version() <= emojis::UnicodeVersion::new(15, 0))
        .map(emojis::Emoji::as_str)
        .collect();
    all.sort();
    all.dedup();
    assert!(all.len() > 3500, "{}", all.len());
    assert_eq!(of_other_width(&page, &all, picture), [""; 0]);
    let signs = [
        "\u{2194}", "\u{2640}", "\u{2764}", "\u{a9}", "\u{2122}", "1", "#",
    ];
    assert_eq!(
        of_other_width(&page, &signs, picture),
        signs,
        "fonts-noto-color-emoji must be installed"
    );
}

#[test]
fn a_message_of_a_few_emoji_is_large() {
    let server = TestServer::start();
    let ann = Page::join(&server, "ann");
    let mut foo = server.join("foo");
    let family = "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}\u{200d}\u{1f466}";
    let england = "\u{1f3f4}\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}";
    let large = [
        family,
        england,
        "1\u{fe0f}\u{20e3}",
        "\u{2764}\u{fe0f} \u{1f44d}\u{1f3fd}",
        "\u{1f1eb}\u{1f1ee}",
    ];
    let small = [
        "\u{a9}",
        "1",
        "#",
        "\u{2122}",
        "\u{1f600} 1",
        "\u{1f600}\u{1f600}\u{1f600}\u{1f600}\u{1f600}\u{1f600}\u{1f600}",
    ];
    for text in large.into_iter().chain(small) {
        foo.say(text);
    }
    foo.say("the end");
    ann.shows("the end");
    let shown: Value = ann.value(
        "[...document.querySelectorAll('.large .text')].map((e) => e.firstChild.textContent)",
    );
    assert_eq!(shown, json!(large));
}
