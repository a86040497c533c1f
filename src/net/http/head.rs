//! A request's head (RFC 9112, sections 2 to 5): what is parsed of it, and what is refused for every
//! target.

use super::answer::Answer;
use crate::config::Authority;

/// The most headers; more are answered with 431.
const HEADERS: usize = 100;
/// The first byte of TLS (RFC 8446, section 5.1). No HTTP method begins with it.
const HANDSHAKE: u8 = 22;
/// Headers that may appear only once, since a second one would be ambiguous.
const ONCE: [&str; 4] = [
    "Host",
    "Origin",
    "Sec-WebSocket-Key",
    "Sec-WebSocket-Version",
];

/// The parts of a request's head that the server uses.
#[derive(Debug, Default)]
pub struct Head {
    /// The method, as sent.
    pub method: String,
    /// Path and query, as sent; `*` for the whole server.
    pub target: String,
    /// HTTP/1.1, not 1.0.
    pub http11: bool,
    /// The requested host: that of an absolute target, else that of the `Host` header. Only
    /// HTTP/1.0 may have none.
    pub host: Option<Authority>,
    headers: Vec<(String, String)>,
}

impl Head {
    /// The first header of that name, in any case. Bytes that are not UTF-8 come as U+FFFD.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers(name).next()
    }

    /// All headers of that name, in any case, in their order.
    pub fn headers<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        let headers = self.headers.iter();
        headers
            .filter(move |(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// Whether a comma-separated header lists this word, in any case.
    pub fn lists(&self, name: &str, word: &str) -> bool {
        let mut items = self.headers(name).flat_map(|value| value.split(','));
        items.any(|item| item.trim().eq_ignore_ascii_case(word))
    }

    /// The weight of a content coding or a media type in the header that lists the accepted ones
    /// (RFC 9110, section 12.5), in thousandths; 0 is not acceptable. `None`: neither this one nor `*`
    /// is mentioned.
    pub fn weight(&self, header: &str, item: &str) -> Option<u16> {
        let find = |wanted: &str| {
            let items = self.headers(header);
            let items = items.flat_map(|value| value.split(','));
            let mut items = items.map(|item| item.split_once(';').unwrap_or((item, "")));
            let found = items.find(|(name, _)| name.trim().eq_ignore_ascii_case(wanted));
            found.map(|(_, parameters)| quality(parameters))
        };
        find(item).or_else(|| find("*"))
    }

    /// Whether the client has what bears this entity tag (RFC 9110, section 13.1.2).
    pub fn has_tagged(&self, tag: &str) -> bool {
        let tags = self.headers("if-none-match");
        let mut tags = tags.flat_map(|tags| tags.split(',')).map(str::trim);
        let bare = tag.trim_start_matches("W/");
        tags.any(|known| known == "*" || known.trim_start_matches("W/") == bare)
    }

    /// Parses a head and returns its length with it. `Ok(None)`: it is not complete yet.
    ///
    /// # Errors
    /// 400 for what is not HTTP/1 or does not name a host, 431 for too many headers.
    pub fn parse(bytes: &[u8]) -> Result<Option<(Head, usize)>, Answer> {
        if bytes.first() == Some(&HANDSHAKE) {
            let line = "this port does not speak TLS: use http:// or ws://";
            return Err(Answer::text(400, line));
        }
        let mut headers = [httparse::EMPTY_HEADER; HEADERS];
        let mut request = httparse::Request::new(&mut headers);
        let length = match request.parse(bytes) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(httparse::Error::TooManyHeaders) => {
                return Err(Answer::text(431, &format!("more than {HEADERS} headers")));
            }
            Err(error) => return Err(Answer::text(400, &format!("bad request: {error}"))),
        };
        let headers = request.headers.iter().map(|header| {
            let value = String::from_utf8_lossy(header.value).trim().to_string();
            (header.name.to_string(), value)
        });
        let mut head = Head {
            headers: headers.collect(),
            method: request.method.unwrap_or_default().to_string(),
            target: String::new(),
            http11: request.version == Some(1),
            host: None,
        };
        head.check(request.path.unwrap_or_default())?;
        Ok(Some((head, length)))
    }

    /// The requested host and the target (RFC 9112, section 3.2).
    fn check(&mut self, target: &str) -> Result<(), Answer> {
        for name in ONCE {
            if self.headers(name).nth(1).is_some() {
                return Err(bad(&format!("more than one {name}")));
            }
        }
        self.host = match self.header("host") {
            Some(host) => Some(Authority::parse(host).ok_or_else(|| bad("bad Host"))?),
            None if self.http11 => return Err(bad("no Host")),
            None => None,
        };
        self.target = match target.split_once("://") {
            _ if target.starts_with('/') => target.into(),
            _ if target == "*" && self.method == "OPTIONS" => target.into(),
            Some((scheme, rest)) => {
                let known = ["http", "https", "ws", "wss"];
                if !known.iter().any(|one| one.eq_ignore_ascii_case(scheme)) {
                    return Err(bad("the target is of another scheme than http"));
                }
                let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
                let (host, path) = rest.split_at(end);
                let host = Authority::parse(host);
                self.host = Some(host.ok_or_else(|| bad("bad host in the target"))?);
                let slash = if path.starts_with('/') { "" } else { "/" };
                format!("{slash}{path}")
            }
            None => return Err(bad("the target is no path")),
        };
        Ok(())
    }
}

fn bad(why: &str) -> Answer {
    Answer::text(400, &format!("bad request: {why}"))
}

/// The weight among an item's parameters, in thousandths; 1,000 where there is no valid one.
fn quality(parameters: &str) -> u16 {
    let mut parameters = parameters.split(';').filter_map(|one| one.split_once('='));
    let q = parameters.find(|(name, _)| name.trim().eq_ignore_ascii_case("q"));
    q.and_then(|(_, value)| thousandths(value.trim()))
        .unwrap_or(1000)
}

/// A `qvalue` (RFC 9110, section 12.4.2), in thousandths.
fn thousandths(value: &str) -> Option<u16> {
    let (whole, part) = value.split_once('.').unwrap_or((value, ""));
    let whole = match whole {
        "0" => 0,
        "1" => 1000,
        _ => return None,
    };
    let digits = part.len() <= 3 && part.bytes().all(|byte| byte.is_ascii_digit());
    let part: u16 = format!("{part:0<3}").parse().ok().filter(|_| digits)?;
    Some(whole + part).filter(|weight| *weight <= 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_from_any_number_of_pieces() {
        let request = b"GET /chat/foo?room=x HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\n\r\nrest";
        for cut in 0..request.len() - 4 {
            assert!(Head::parse(&request[..cut]).unwrap().is_none(), "at {cut}");
        }
        let (head, length) = Head::parse(request).unwrap().unwrap();
        assert_eq!(
            (head.method.as_str(), head.target.as_str()),
            ("GET", "/chat/foo?room=x")
        );
        assert_eq!(&request[length..], b"rest");
        assert!(head.http11);
        assert!(head.lists("connection", "upgrade"));
        assert_eq!(head.host.as_ref(), Authority::parse("a").as_ref());
    }

    #[test]
    fn what_is_not_http_is_refused() {
        for (bytes, status) in [
            (&b"\x16\x03\x01\x02\x00"[..], 400),
            (b"SSH-2.0-OpenSSH_9.2\r\n", 400),
            (b"PRI * HTTP/2.0\r\n\r\n", 400),
            (b"GET / HTTP/1.1\r\nbad header\r\n\r\n", 400),
        ] {
            let refused = Head::parse(bytes).map(|_| ()).unwrap_err();
            assert_eq!(refused.status, status, "{bytes:?}");
        }
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(101));
        assert_eq!(
            Head::parse(many.as_bytes()).map(|_| ()).unwrap_err().status,
            431
        );
    }

    fn parsed(line: &str, headers: &str) -> Result<Head, Answer> {
        let bytes = format!("{line}\r\n{headers}\r\n");
        Head::parse(bytes.as_bytes()).map(|found| found.unwrap().0)
    }

    #[test]
    fn a_request_names_exactly_one_host() {
        for (version, headers, good) in [
            ("1.1", "Host: a\r\n", true),
            ("1.1", "Host: a:80\r\n", true),
            ("1.1", "HOST:[::1]:80 \r\n", true),
            ("1.0", "", true),
            ("1.0", "Host: a\r\n", true),
            ("1.1", "", false),
            ("1.1", "Host:\r\n", false),
            ("1.1", "Host: a\r\nHost: a\r\n", false),
            ("1.1", "Host: a, b\r\n", false),
            ("1.1", "Host: a b\r\n", false),
            ("1.1", "Host: a:x\r\n", false),
            ("1.1", "Host: a:65536\r\n", false),
            ("1.1", "Host: http://a\r\n", false),
            ("1.1", "Host: u@a\r\n", false),
            ("1.0", "Host: a\r\nHost: b\r\n", false),
            ("1.0", "Host: a/b\r\n", false),
        ] {
            match parsed(&format!("GET / HTTP/{version}"), headers) {
                Ok(_) => assert!(good, "{version} {headers:?}"),
                Err(answer) => assert_eq!((answer.status, good), (400, false), "{headers:?}"),
            }
        }
    }

    #[test]
    fn an_absolute_target_is_read_like_the_short_one_and_its_host_counts() {
        for (target, short) in [
            ("http://a.example/healthz", "/healthz"),
            ("HTTPS://A.example/ws?user=foo", "/ws?user=foo"),
            ("ws://a.example/chat/foo", "/chat/foo"),
            ("wss://a.example", "/"),
            ("http://a.example?x=/y", "/?x=/y"),
        ] {
            let head = parsed(&format!("GET {target} HTTP/1.1"), "Host: b\r\n").unwrap();
            assert_eq!(head.target, short, "{target}");
            assert_eq!(head.host.as_ref(), Authority::parse("a.example").as_ref());
        }
        for (method, target) in [
            ("GET", "ftp://a/"),
            ("GET", "http:///"),
            ("GET", "http://u@a/"),
            ("GET", "http://a:x/"),
            ("GET", "://a/"),
            ("GET", "healthz"),
            ("GET", "*"),
            ("CONNECT", "a:443"),
        ] {
            let line = format!("{method} {target} HTTP/1.1");
            assert_eq!(
                parsed(&line, "Host: a\r\n").unwrap_err().status,
                400,
                "{line}"
            );
        }
        assert_eq!(
            parsed("GET http://a/ HTTP/1.1", "").unwrap_err().status,
            400
        );
        let short = parsed("GET /x?http://a/ HTTP/1.1", "Host: b\r\n").unwrap();
        assert_eq!(short.host.as_ref(), Authority::parse("b").as_ref());
    }

    #[test]
    fn a_header_allowed_once_is_refused_twice() {
        for name in ["Origin", "Sec-WebSocket-Key", "Sec-WebSocket-Version"] {
            let once = format!("Host: a\r\n{name}: 13\r\n");
            assert!(parsed("GET / HTTP/1.1", &once).is_ok());
            let twice = format!("{once}{}: 13\r\n", name.to_lowercase());
            let answer = parsed("GET / HTTP/1.1", &twice).unwrap_err();
            assert_eq!(answer.status, 400);
            assert_eq!(answer.line(), format!("bad request: more than one {name}"));
        }
    }

    #[test]
    fn the_weight_of_a_coding_is_parsed() {
        for (accepted, gzip, identity) in [
            ("gzip", Some(1000), None),
            ("GZIP;q=0.5, br", Some(500), None),
            ("gzip;q=0", Some(0), None),
            ("gzip; Q=0.000 , identity", Some(0), Some(1000)),
            ("*", Some(1000), Some(1000)),
            ("*;q=0", Some(0), Some(0)),
            ("*;q=0, gzip", Some(1000), Some(0)),
            ("identity;q=0, *", Some(1000), Some(0)),
            ("gzip;q=x", Some(1000), None),
            ("gzip;q=0.001, identity;q=.5", Some(1), Some(1000)),
            ("gzip;q=1.001", Some(1000), None),
            ("gzip;q=0.1234", Some(1000), None),
            ("", None, None),
        ] {
            let headers = format!("Host: a\r\nAccept-Encoding: {accepted}\r\n");
            let head = parsed("GET / HTTP/1.1", &headers).unwrap();
            let weight = |coding| head.weight("accept-encoding", coding);
            let weights = (weight("gzip"), weight("identity"));
            assert_eq!(weights, (gzip, identity), "{accepted}");
        }
    }
}
