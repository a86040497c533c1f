//! The page that people open in a browser: its files, in the binary, with the headers that keep
//! them from doing anything but what they are for.

use bytes::Bytes;

use super::http::{Answer, Head};

/// One file of the page.
#[derive(Debug, PartialEq, Eq)]
pub struct File {
    path: &'static str,
    content_type: &'static str,
    /// An entity tag (RFC 9110, section 8.8.3); weak, since it stands for both forms.
    tag: &'static str,
    plain: &'static [u8],
    gzip: &'static [u8],
}

/// None in a build without the feature `page`.
static FILES: &[File] = &include!(concat!(env!("OUT_DIR"), "/page.rs"));

/// Nothing from elsewhere but pictures of Gravatar, no script but our own files, no frame around.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self' data: https://gravatar.com https://www.gravatar.com; connect-src 'self'; \
    manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The file at a path.
pub fn find(path: &str) -> Option<&'static File> {
    FILES.iter().find(|file| file.path == path)
}

impl File {
    /// The answer to a request for it: 304 if the browser has it already.
    pub fn answer(&self, head: &Head) -> Answer {
        let has = |tag: &str| tag == "*" || tag.trim_start_matches("W/") == &self.tag[2..];
        let known = head.header("if-none-match");
        let answer = if known.is_some_and(|tags| tags.split(',').map(str::trim).any(has)) {
            Answer::empty(304)
        } else if head.lists("accept-encoding", "gzip") {
            Answer::file(self.content_type, Bytes::from_static(self.gzip))
                .with("Content-Encoding", "gzip")
        } else {
            Answer::file(self.content_type, Bytes::from_static(self.plain))
        };
        answer
            .with("ETag", self.tag)
            .with("Vary", "Accept-Encoding")
            .with("Content-Security-Policy", POLICY)
            .with("Referrer-Policy", "no-referrer")
    }
}

#[cfg(all(test, feature = "page"))]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_small_and_whole() {
        for path in ["/", "/style.css", "/app.js", "/icon.svg", "/emoji.json"] {
            assert!(find(path).is_some(), "{path}");
        }
        assert!(find("/build.rs").is_none() && find("/index.html").is_none());
        let all: usize = FILES.iter().map(|file| file.gzip.len()).sum();
        assert!(all <= 60 * 1024, "{all} bytes are to be transferred");
    }
}
