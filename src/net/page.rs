//! The page that people open in a browser: its files, built into the binary, with headers that
//! restrict what it can do.

use bytes::Bytes;
use miniz_oxide::inflate;

use super::cors::ALLOW_ORIGIN;
use super::http::{Answer, Head};
use crate::config::Origin;

/// One file of the page.
#[derive(Debug, PartialEq, Eq)]
pub struct File {
    path: &'static str,
    content_type: &'static str,
    /// An entity tag (RFC 9110, section 8.8.3). It is weak, since it stands for the plain and the
    /// compressed form.
    tag: &'static str,
    gzip: &'static [u8],
}

/// Empty in the smallest build.
static FILES: &[File] = &include!(concat!(env!("OUT_DIR"), "/page.rs"));

/// The content security policy: only our own scripts, only Gravatar's pictures from other sites. Who may
/// put a frame around the page follows.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self' data: https://gravatar.com https://www.gravatar.com; connect-src 'self'; \
    worker-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors";

/// The file at a path.
pub fn find(path: &str) -> Option<&'static File> {
    FILES.iter().find(|file| file.path == path)
}

impl File {
    /// What it holds: few clients ask for that, so the binary has it compressed only.
    fn plain(&self) -> Vec<u8> {
        // This is known when it is built: the smallest build has no files, and no code to inflate any.
        if FILES.is_empty() {
            return Vec::new();
        }
        // Around what is compressed are a head of 10 bytes and an end of 8 (RFC 1952).
        let compressed = &self.gzip[10..self.gzip.len() - 8];
        inflate::decompress_to_vec(compressed).expect("the build has compressed it")
    }

    /// The answer to a request for it: 304 if the browser has it already. Pages of the sites in `embed` may
    /// show it in a frame.
    pub fn answer(&self, head: &Head, embed: &[Origin]) -> Answer {
        let answer = if head.has_tagged(self.tag) {
            Answer::empty(304).with("Cache-Control", "no-cache")
        } else {
            let weight = |coding| head.weight("accept-encoding", coding);
            let gzip = weight("gzip").unwrap_or(0);
            // Unlike other codings, `identity` is accepted where the header does not mention it.
            let plain = weight("identity");
            if gzip > 0 && gzip >= plain.unwrap_or(0) {
                Answer::file(self.content_type, Bytes::from_static(self.gzip))
                    .with("Content-Encoding", "gzip")
            } else if plain == Some(0) {
                return Answer::text(406, "there is gzip and identity, and neither is accepted")
                    .with("Vary", "Accept-Encoding");
            } else {
                Answer::file(self.content_type, self.plain().into())
            }
        };
        let answer = match self.path {
            // Pages of other sites are built on it, too. Which of them may connect is decided there.
            "/client.js" => answer.with(ALLOW_ORIGIN, "*"),
            _ => answer,
        };
        let mut policy = POLICY.to_string();
        for site in embed {
            policy.extend([" ", &site.to_string()]);
        }
        if embed.is_empty() {
            policy.push_str(" 'none'");
        }
        answer
            .with("ETag", self.tag)
            .with("Vary", "Accept-Encoding")
            .with("Content-Security-Policy", policy)
            .with("Referrer-Policy", "no-referrer")
    }
}

#[cfg(all(test, feature = "full"))]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_small_and_whole() {
        for path in ["/", "/style.css", "/app.js", "/icon.svg", "/emoji.json"] {
            assert!(find(path).is_some(), "{path}");
        }
        let module = find("/client.js").unwrap().gzip.len();
        assert!(module <= 6 * 1024, "/client.js is {module} bytes");
        assert!(find("/build.rs").is_none() && find("/index.html").is_none());
        let (icons, page): (Vec<&File>, Vec<&File>) = FILES
            .iter()
            .partition(|file| ["image/png", "image/x-icon"].contains(&file.content_type));
        let sum = |files: Vec<&File>| files.iter().map(|file| file.gzip.len()).sum::<usize>();
        let (icons, page) = (sum(icons), sum(page));
        assert!(page <= 70 * 1024, "{page} bytes are to be transferred");
        assert!(icons <= 12 * 1024, "the icons are {icons} bytes");
    }

    fn answered(headers: &str) -> String {
        let head = format!("GET / HTTP/1.1\r\nHost: a\r\n{headers}\r\n");
        let (head, _) = Head::parse(head.as_bytes()).unwrap().unwrap();
        let answer = find("/").unwrap().answer(&head, &[]).bytes(true);
        String::from_utf8(answer).unwrap()
    }

    #[test]
    fn it_is_compressed_where_gzip_is_accepted() {
        for (accepted, status, gzip) in [
            ("gzip, br", 200, true),
            ("*", 200, true),
            ("gzip;q=0.1", 200, true),
            ("identity;q=0, gzip", 200, true),
            ("br", 200, false),
            ("gzip;q=0", 200, false),
            ("*;q=0.5, gzip;q=0", 200, false),
            ("gzip;q=0.5, identity", 200, false),
            ("*;q=0", 406, false),
            ("identity;q=0", 406, false),
        ] {
            let head = answered(&format!("Accept-Encoding: {accepted}\r\n"));
            assert!(
                head.starts_with(&format!("HTTP/1.1 {status} ")),
                "{accepted}: {head}"
            );
            assert_eq!(
                head.contains("\r\nContent-Encoding: gzip\r\n"),
                gzip,
                "{accepted}"
            );
            assert!(head.contains("\r\nVary: Accept-Encoding\r\n"), "{accepted}");
        }
    }

    #[test]
    fn a_304_has_the_headers_of_the_whole_answer() {
        let tag = find("/").unwrap().tag;
        let known = answered(&format!("If-None-Match: \"x\"\r\nIf-None-Match: {tag}\r\n"));
        assert!(known.starts_with("HTTP/1.1 304 "), "{known}");
        let whole = answered("");
        for name in ["Cache-Control", "ETag", "Vary", "Date"] {
            let line = |head: &str| {
                let line = head
                    .lines()
                    .find(|line| line.starts_with(&format!("{name}: ")));
                line.map(String::from)
            };
            assert!(line(&whole).is_some(), "{name}");
            if name != "Date" {
                assert_eq!(line(&known), line(&whole));
            }
            assert!(line(&known).is_some(), "{name}");
        }
    }
}
