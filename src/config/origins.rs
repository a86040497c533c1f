//! Which web pages may connect, by their origin.

use super::host::{Authority, default_port};

/// A longer origin is not quoted in an answer.
const QUOTED_BYTES: usize = 200;

/// An origin (RFC 6454) in a form that can be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// `*`: every origin. No page has it.
    Any,
    /// `null`: a page without an origin, such as one in a sandbox.
    Null,
    /// `file://`: a page on the reader's disk.
    File,
    /// Any other; `ws` is `http` here, and `wss` is `https`.
    Site {
        /// In lower case.
        scheme: String,
        /// Without the scheme's default port.
        site: Authority,
    },
}

impl Origin {
    /// Reads what `--origin` accepts.
    pub fn parse(text: &str) -> Option<Origin> {
        let text = text.to_ascii_lowercase();
        match text.as_str() {
            "*" => return Some(Origin::Any),
            "null" => return Some(Origin::Null),
            "file://" | "file:///" => return Some(Origin::File),
            _ => {}
        }
        let (scheme, site) = text.split_once("://")?;
        let letters = |b: u8| b.is_ascii_alphanumeric() || b"+-.".contains(&b);
        let begins = scheme.starts_with(|c: char| c.is_ascii_alphabetic());
        if !begins || !scheme.bytes().all(letters) {
            return None;
        }
        let scheme = match scheme {
            "ws" => "http",
            "wss" => "https",
            other => other,
        };
        let site = Authority::parse(site.strip_suffix('/').unwrap_or(site))?;
        Some(Origin::Site {
            scheme: scheme.into(),
            site: site.without_default_port(scheme),
        })
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Origin::Any => f.write_str("*"),
            Origin::Null => f.write_str("null"),
            Origin::File => f.write_str("file://"),
            Origin::Site { scheme, site } => {
                write!(f, "{scheme}://{site}")
            }
        }
    }
}

/// Whether a page of this origin may connect to a server that it calls `host`. The server's own page
/// always may, and those of `allowed`. So may browser extensions: people use them as WebSocket
/// clients, and no web page can imitate one.
pub fn allow(allowed: &[Origin], origin: &str, host: Option<&Authority>) -> bool {
    if allowed.contains(&Origin::Any) {
        return true;
    }
    let Some(origin) = Origin::parse(origin) else {
        return false;
    };
    // The scheme only tells the default port: behind a proxy that speaks TLS it is `https` for the
    // page, and not for the server.
    let open = match &origin {
        Origin::Site { scheme, site } => {
            let own = |host: &Authority| host.clone().without_default_port(scheme) == *site;
            (default_port(scheme).is_some() && host.is_some_and(own))
                || matches!(scheme.as_str(), "chrome-extension" | "moz-extension")
        }
        _ => false,
    };
    open || allowed.contains(&origin)
}

/// The value of `Access-Control-Allow-Origin` (Fetch standard, CORS protocol) for a page of this
/// origin, if it is one of those allowed.
pub fn cors(allowed: &[Origin], origin: &str) -> Option<String> {
    if allowed.contains(&Origin::Any) {
        return Some("*".into());
    }
    let named = Origin::parse(origin).is_some_and(|origin| allowed.contains(&origin));
    named.then(|| origin.into())
}

/// Why a page of this origin is refused, and which flag would allow it: one line that is safe on a
/// terminal.
pub fn refusal(origin: &str) -> String {
    match Origin::parse(origin) {
        Some(origin) if origin != Origin::Any && origin.to_string().len() <= QUOTED_BYTES => {
            format!("origin not allowed: --origin {origin} would let it in")
        }
        _ => "origin not allowed".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(text: &str) -> Option<Authority> {
        Authority::parse(text)
    }

    #[test]
    fn a_page_of_the_servers_own_host_may_connect() {
        for (origin, own) in [
            ("http://pi:8080", "pi:8080"),
            ("http://pi:8080", "PI:8080"),
            ("https://pi", "pi"),
            ("https://pi", "pi:443"),
            ("https://pi:443", "pi"),
            ("http://pi", "pi:80"),
            ("HTTP://PI/", "pi"),
            ("http://[::1]:8080", "[0:0::1]:8080"),
            ("https://[2001:DB8::1]", "[2001:db8::1]:443"),
            ("chrome-extension://abc", "pi"),
            ("moz-extension://0123-4", "pi"),
        ] {
            assert!(allow(&[], origin, host(own).as_ref()), "{origin} at {own}");
        }
        for (origin, own) in [
            ("http://pi", "pi:8080"),
            ("http://pi", "pi:443"),
            ("https://pi", "pi:80"),
            ("http://[::1]:8080", "[::2]:8080"),
            ("null", "null"),
            ("file://", "pi"),
            ("x://pi", "pi"),
            ("pi", "pi"),
            ("http://evil@pi", "pi"),
            ("http://pi, http://pi", "pi"),
        ] {
            assert!(!allow(&[], origin, host(own).as_ref()), "{origin} at {own}");
        }
        assert!(!allow(&[], "http://pi", None));
    }

    #[test]
    fn a_named_origin_may_be_written_in_every_way_that_means_it() {
        for (flag, page) in [
            ("https://a.example", "https://a.example"),
            ("https://A.example/", "https://a.example"),
            ("https://a.example:443", "https://a.example"),
            ("wss://a.example", "https://a.example"),
            ("wss://a.example:443/", "https://a.example"),
            ("ws://a.example", "http://a.example"),
            ("ws://a.example:80", "http://a.example"),
            ("http://a.example:81", "http://a.example:81"),
            ("http://[0::1]:81", "http://[::1]:81"),
            ("null", "null"),
            ("file://", "file://"),
            ("file:///", "file://"),
            ("tauri://localhost", "tauri://localhost"),
            ("*", "https://b.example"),
            ("*", "null"),
            ("*", "nonsense"),
        ] {
            let allowed = [Origin::parse(flag).unwrap()];
            assert!(allow(&allowed, page, None), "{flag}: {page}");
        }
        for (flag, page) in [
            ("https://a.example", "http://a.example"),
            ("ws://a.example", "https://a.example"),
            ("https://a.example:80", "https://a.example"),
            ("null", "file://"),
            ("file://", "null"),
        ] {
            let allowed = [Origin::parse(flag).unwrap()];
            assert!(!allow(&allowed, page, None), "{flag}: {page}");
        }
        for bad in [
            "",
            "a.example",
            "http://",
            "https:///",
            "http://a/b",
            "http://a//",
            "https://a,https://b",
            "http://u@a",
            "http://a:b",
            "http://a b",
            "://a",
            "1x://a",
            "http://*.a.example\n",
            "file://a/b",
        ] {
            assert_eq!(Origin::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_refusal_names_the_flag_and_quotes_nothing_harmful() {
        for (origin, says) in [
            (
                "https://A.example:443",
                ": --origin https://a.example would let it in",
            ),
            (
                "http://[::1]:81",
                ": --origin http://[::1]:81 would let it in",
            ),
            ("null", ": --origin null would let it in"),
            ("*", ""),
            ("file://", ": --origin file:// would let it in"),
            ("http://a\u{1b}[2J", ""),
            ("http://a\u{202e}b", ""),
            (&format!("http://{}", "a".repeat(300)), ""),
        ] {
            assert_eq!(refusal(origin), format!("origin not allowed{says}"));
        }
    }
}
