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
    has_a_picture_for_every_emoji(&Page::open(&TestServer::start(), "/"));
}

pub fn has_a_picture_for_every_emoji(page: &Page) {
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
    assert_eq!(of_other_width(page, &all, picture), [""; 0]);
    let signs = [
        "\u{2194}", "\u{2640}", "\u{2764}", "\u{a9}", "\u{2122}", "1", "#",
    ];
    assert_eq!(
        of_other_width(page, &signs, picture),
        signs,
        "fonts-noto-color-emoji must be installed"
    );
}

#[test]
fn a_message_of_a_few_emoji_is_large() {
    let server = TestServer::start();
    enlarges_a_few_emoji(&server, &Page::join(&server, "ann"));
}

pub fn enlarges_a_few_emoji(server: &TestServer, ann: &Page) {
    let mut peer = server.join("foo");
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
        peer.say(text);
    }
    peer.say("the end");
    ann.shows("the end");
    let shown: Value = ann.value(
        "[...document.querySelectorAll('.large .text')].map((e) => e.firstChild.textContent)",
    );
    assert_eq!(shown, json!(large));
}

/// Texts with `<` and `>` around what has to be a link.
const LINKS: &[&str] = &[
    "<https://a.example>",
    "see <https://a.example/x>.",
    "<HTTP://A.EXAMPLE/?q=1&r=[2]#x>, and so on",
    "<http://[::1]:8080/>!",
    "(<https://a.example/x>)",
    "<https://a.example/x_(y)>",
    "(<https://a.example/x_(y)>)).",
    "'<https://a.example/it's>'",
    "\u{201c}<https://a.example>\u{201d} \u{2018}<https://a.example/it\u{2019}s>\u{2019}",
    "\u{bb}<https://a.example>\u{ab} \u{201e}<https://b.example>\u{201c}",
    "<https://a.example>\u{2026} <https://b.example>\u{2014}which",
    // Chinese, Japanese and Arabic have no space there.
    "见<https://a.example/路>，好",
    "见<https://a.example>。<https://b.example>、<https://c.example>！",
    "「<https://a.example>」（<https://b.example>）",
    "انظر <https://a.example>، ثم <https://b.example>؟",
    // Markup.
    "_<https://a.example/x_y>_ *<https://b.example>* **<https://c.example>**, ~~<https://d.example>~~",
    "[words](<https://a.example>)",
    "`https://a.example`",
    // Without a scheme.
    "<www.example.org>, (<www.example.org/x>) _<www.example.org>_",
    "ann@www.example.org www.example www..org swww.example.org //www.example.org",
    // What only looks like one.
    "https:// https://\u{2026} https://. xhttps://a.example ftp://a.example javascript:alert(1)",
];

#[test]
fn links_end_where_the_sentence_goes_on() {
    let server = TestServer::with(|config| config.rate = 0);
    finds_links(&server, &Page::join(&server, "ann"));
}

pub fn finds_links(server: &TestServer, ann: &Page) {
    let mut bob = server.join("bob");
    for text in LINKS {
        bob.say(&text.replace(['<', '>'], ""));
    }
    bob.say("the end");
    ann.shows("the end");
    let shown = ann.value(
        "[...document.querySelectorAll('.text')].slice(0, -1).map((text) => {
            text.querySelector('.meta').remove();
            text.querySelectorAll('code').forEach((code) => code.replaceWith('`' + code.textContent + '`'));
            text.querySelectorAll('a').forEach((a) => a.replaceWith(`<${a.textContent}>`));
            return text.textContent;
        })",
    );
    let shown: Vec<String> = serde_json::from_value(shown).unwrap();
    assert_eq!(shown, LINKS);
    // One without a scheme is taken for HTTPS.
    bob.say("www.example.net");
    ann.until("!!document.querySelector('a[href=\"https://www.example.net/\"]')");
    // Nothing makes an address look like another.
    bob.say("https://a.example/\u{2066}gpj.exe");
    ann.shows("https://a.example/%E2%81%A6gpj.exe");
}

#[test]
fn a_link_to_a_room_of_this_chat_opens_it_in_place() {
    let server = TestServer::start();
    opens_rooms_in_place(&server, &Page::join(&server, "ann"));
}

pub fn opens_rooms_in_place(server: &TestServer, ann: &Page) {
    let mut peer = server.join("foo");
    let mut bar = server.join_room("bar", "attic");
    let addr = server.addr();
    peer.say(&format!(
        "come to http://{addr}/#attic or http://{addr}/#token=x or http://example.org/#attic"
    ));
    ann.shows("come to");
    let elsewhere = "[...document.querySelectorAll('.text a')].map((link) => link.target)";
    assert_eq!(ann.value(elsewhere), json!(["", "_blank", "_blank"]));
    ann.value("(document.querySelector('.text a').click(), 0)");
    ann.until("find('Message').placeholder.includes('attic')");
    ann.say("here I am");
    bar.hears_at_last("ann: here I am");
    // And back, as from any page.
    ann.value("(history.back(), 0)");
    ann.until("find('Message').placeholder.includes('lobby')");
    ann.say("still here");
    peer.hears("ann: still here");
}
