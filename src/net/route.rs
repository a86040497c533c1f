//! Decides what a request is for, from its head alone. The functions are pure, so a table can test
//! them.

#[cfg(feature = "full")]
mod rooms;
mod upgrade;

use super::cors::check_origin;
use super::http::query::{decode, parameter};
use super::http::{Answer, Head};
use super::page::{self, File};
use super::token;
use crate::chat::dialect::{self, Dialect, Read};
use crate::chat::id::Id;
use crate::chat::name::{Room, User};
use crate::chat::replay::Past;
use crate::config::Origin;
use upgrade::check_upgrade;

#[cfg(feature = "full")]
pub use rooms::{DeleteRequest, Page, PublishRequest, ReadRequest};

/// What a request is for.
#[derive(Debug, PartialEq, Eq)]
pub enum Route {
    /// A file of the page.
    Page(&'static File),
    /// `/healthz`: whether the process is alive.
    Health,
    /// `/readyz`: whether the bus works.
    Ready,
    /// A WebSocket that will chat.
    Chat(ChatRequest, Handshake),
    /// Server-sent events of a room.
    #[cfg(feature = "full")]
    Follow(ChatRequest),
    /// A message to publish without a WebSocket.
    #[cfg(feature = "full")]
    Publish(PublishRequest),
    /// Messages of a room to read without a WebSocket.
    #[cfg(feature = "full")]
    Read(ReadRequest),
    /// A message of a room to take back.
    #[cfg(feature = "full")]
    Delete(DeleteRequest),
    /// `OPTIONS`, with the allowed methods. Browsers send it before a request from another site.
    Options(&'static str),
}

/// A request to chat. The names in it are valid.
#[derive(Debug, PartialEq, Eq)]
pub struct ChatRequest {
    /// The dialect that the connection will speak.
    pub dialect: Dialect,
    /// The name asked for; none yet in the simple dialect.
    pub user: Option<User>,
    /// The room asked for; none or any in the typed dialect.
    pub room: Option<Room>,
    /// The session key, which takes the name over from an older connection.
    pub session: Option<String>,
    /// Which history it asks for.
    pub past: Option<Past>,
    /// Which private messages it asks for.
    pub private: Option<Read>,
}

/// What a WebSocket's opening handshake is answered with.
#[derive(Debug, PartialEq, Eq)]
pub struct Handshake {
    /// The value of `Sec-WebSocket-Accept`.
    pub accept: String,
    /// The subprotocol to agree to.
    pub protocol: Option<String>,
}

/// The most bytes of a client's session key.
pub(super) const KEY_BYTES: usize = 128;

/// Decides what a request is for.
///
/// # Errors
/// The answer that refuses the request: 400, 403, 404, 405 or 426, with one line that says why.
pub fn route(head: &Head, origins: &[Origin]) -> Result<Route, Answer> {
    if head.target == "*" {
        return Ok(Route::Options("GET, HEAD, POST, DELETE, OPTIONS"));
    }
    let (path, query) = head.target.split_once('?').unwrap_or((&head.target, ""));
    let page = match path {
        "/healthz" => Some(Route::Health),
        "/readyz" => Some(Route::Ready),
        path => page::find(path).map(Route::Page),
    };
    if let Some(page) = page {
        return match head.method.as_str() {
            "GET" | "HEAD" => Ok(page),
            _ => Err(Answer::wrong_method("GET, HEAD")),
        };
    }
    #[cfg(feature = "full")]
    if let Some(room) = path.strip_prefix("/rooms/") {
        return rooms::route(head, room, query, origins);
    }
    let name = match path.strip_prefix("/chat/") {
        Some(name) => Some(decode(name)?),
        None if path == "/ws" => None,
        None => return Err(Answer::text(404, "not found")),
    };
    if head.method != "GET" {
        // Browsers hide why a WebSocket was refused. The page asks by `POST`, which has an origin, too.
        check_origin(head, origins)?;
        return Err(Answer::wrong_method("GET"));
    }
    let (dialect, name) = match name {
        Some(name) => (Dialect::Plain, Some(name)),
        None => match parameter(query, "user")? {
            Some(name) => (Dialect::Typed, Some(name)),
            None => (Dialect::Simple, None),
        },
    };
    let user = name
        .map(|name| User::new(&name))
        .transpose()
        .map_err(bad_name)?;
    let room = parameter(query, "room")?;
    let room = room
        .map(|room| Room::new(&room))
        .transpose()
        .map_err(bad_name)?;
    let room = match dialect {
        Dialect::Typed => room,
        _ => Some(room.unwrap_or_else(Room::lobby)),
    };
    let past = past(query)?;
    let session = parameter(query, "session")?.filter(|key| !key.is_empty());
    if session.as_ref().is_some_and(|key| key.len() > KEY_BYTES) {
        return Err(Answer::text(400, "session is longer than 128 bytes"));
    }
    let private = match parameter(query, "private")? {
        Some(private) if dialect == Dialect::Typed => {
            Some(dialect::read(&private).map_err(bad_name)?)
        }
        _ => None,
    };
    let accept = check_upgrade(head)?;
    check_origin(head, origins)?;
    let request = ChatRequest {
        dialect,
        user,
        room,
        session,
        past,
        private,
    };
    let protocol = token::protocol(head).map(String::from);
    Ok(Route::Chat(request, Handshake { accept, protocol }))
}

pub(super) fn bad_name(error: String) -> Answer {
    Answer::text(400, &error)
}

/// `since` takes precedence over `history`, since it is more exact.
fn past(query: &str) -> Result<Option<Past>, Answer> {
    if let Some(since) = id(query, "since")? {
        return Ok(Some(Past::Since(since)));
    }
    let Some(history) = parameter(query, "history")? else {
        return Ok(None);
    };
    let bad = |_| Answer::text(400, "bad history: it is a number of messages");
    history.parse().map(|n| Some(Past::Last(n))).map_err(bad)
}

/// The id of a message in a query parameter.
fn id(query: &str, name: &str) -> Result<Option<Id>, Answer> {
    let bad = |_| {
        let line = format!("bad {name}: it is the id of a message, such as 1700000000000-42");
        Answer::text(400, &line)
    };
    let id = parameter(query, name)?;
    id.map(|id| id.parse().map_err(bad)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    const UPGRADE: &str = "Host: chat.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                           Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

    fn routed(line: &str, headers: &str) -> Result<Route, Answer> {
        let host = if headers.contains("Host: ") {
            ""
        } else {
            "Host: chat.example\r\n"
        };
        let head = format!("{line}\r\n{host}{headers}\r\n");
        let (head, _) = Head::parse(head.as_bytes()).unwrap().unwrap();
        route(&head, &[])
    }

    fn status(line: &str, headers: &str) -> u16 {
        match routed(line, headers) {
            Ok(route) => panic!("{line} is let through to {route:?}"),
            Err(answer) => answer.status,
        }
    }

    #[cfg(feature = "full")]
    #[test]
    fn pages() {
        assert!(matches!(routed("GET / HTTP/1.1", ""), Ok(Route::Page(_))));
        assert!(matches!(
            routed("HEAD /app.js HTTP/1.1", ""),
            Ok(Route::Page(_))
        ));
        assert_eq!(status("POST / HTTP/1.1", ""), 405);
    }

    #[test]
    fn probes() {
        assert_eq!(routed("HEAD /healthz HTTP/1.0", ""), Ok(Route::Health));
        assert_eq!(routed("GET /readyz?x=y HTTP/1.1", ""), Ok(Route::Ready));
        assert_eq!(status("DELETE /chat/foo HTTP/1.1", UPGRADE), 405);
        assert_eq!(status("GET /nowhere HTTP/1.1", ""), 404);
        assert_eq!(status("GET /chat HTTP/1.1", UPGRADE), 404);
    }

    #[test]
    fn a_chat_has_a_user_and_a_room() {
        use Dialect::{Plain, Simple, Typed};
        for (target, dialect, user, room) in [
            ("/chat/foo", Plain, Some("foo"), Some("lobby")),
            (
                "/chat/f%C3%B6%20o?room=a%20b",
                Plain,
                Some("fö o"),
                Some("a b"),
            ),
            (
                "/chat/foo?x&room=r+s&room=t",
                Plain,
                Some("foo"),
                Some("r s"),
            ),
            ("/chat/foo%3Froom", Plain, Some("foo?room"), Some("lobby")),
            ("/ws", Simple, None, Some("lobby")),
            ("/ws?room=attic", Simple, None, Some("attic")),
            ("/ws?user=foo", Typed, Some("foo"), None),
            (
                "/ws?room=attic&user=f%20o",
                Typed,
                Some("f o"),
                Some("attic"),
            ),
        ] {
            let route = routed(&format!("GET {target} HTTP/1.1"), UPGRADE);
            let accept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=".to_string();
            let request = ChatRequest {
                dialect,
                user: user.map(|user| User::new(user).unwrap()),
                room: room.map(|room| Room::new(room).unwrap()),
                session: None,
                past: None,
                private: None,
            };
            let protocol = None;
            let handshake = Handshake { accept, protocol };
            assert_eq!(route, Ok(Route::Chat(request, handshake)), "{target}");
        }
        for target in [
            "/chat/",
            "/chat/a:b",
            "/chat/a/b",
            "/chat/a%2Fb",
            "/chat/%20a",
            "/chat/a%0Ab",
            "/chat/%FF",
            "/chat/a?room=",
            "/chat/a?room=%40b",
            "/chat/a?room=%FF",
            "/ws?user=",
            "/ws?user=a:b",
            "/ws?room=a:b",
        ] {
            assert_eq!(
                status(&format!("GET {target} HTTP/1.1"), UPGRADE),
                400,
                "{target}"
            );
        }
    }

    #[test]
    fn a_chat_may_begin_in_the_past() {
        let past = |query: &str| match routed(&format!("GET /ws?{query} HTTP/1.1"), UPGRADE) {
            Ok(Route::Chat(request, _)) => Ok(request.past),
            Ok(other) => panic!("{query}: {other:?}"),
            Err(answer) => Err(answer.status),
        };
        let since = Past::Since(Id { epoch: 17, n: 4 });
        for (query, expected) in [
            ("since=17-4", Ok(Some(since))),
            ("history=10", Ok(Some(Past::Last(10)))),
            ("history=10&since=17-4", Ok(Some(since))),
            ("room=attic", Ok(None)),
            ("since=", Err(400)),
            ("since=17", Err(400)),
            ("since=-4", Err(400)),
            ("history=", Err(400)),
            ("history=-1", Err(400)),
            ("history=ten", Err(400)),
        ] {
            assert_eq!(past(query), expected, "{query}");
        }
    }

    #[test]
    fn a_chat_needs_a_whole_handshake() {
        let without = |line: &str, instead: &str| {
            status(
                "GET /chat/a HTTP/1.1",
                &UPGRADE.replace(&format!("{line}\r\n"), instead),
            )
        };
        assert_eq!(status("GET /chat/a HTTP/1.1", "Host: a\r\n"), 426);
        assert_eq!(without("Connection: Upgrade", "Connection: close\r\n"), 426);
        assert_eq!(without("Upgrade: websocket", "Upgrade: h2c\r\n"), 426);
        assert_eq!(
            without("Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 8\r\n"),
            426
        );
        let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
        assert_eq!(without(key, ""), 400);
        assert_eq!(without(key, "Sec-WebSocket-Key: short\r\n"), 400);
        assert_eq!(status("GET /chat/a HTTP/1.0", UPGRADE), 400);
    }

    #[test]
    fn a_page_of_another_site_is_kept_out() {
        let with_origin = |origin: &str| {
            routed(
                "GET /chat/a HTTP/1.1",
                &format!("{UPGRADE}Origin: {origin}\r\n"),
            )
            .is_ok()
        };
        for good in [
            "http://chat.example",
            "https://chat.example",
            "HTTPS://CHAT.EXAMPLE",
            "http://chat.example:80",
            "chrome-extension://abcdef",
            "moz-extension://abcdef",
        ] {
            assert!(with_origin(good), "{good}");
        }
        for bad in [
            "http://evil.example",
            "http://chat.example:81",
            "null",
            "chat.example",
            "x://",
        ] {
            assert!(!with_origin(bad), "{bad}");
        }
    }
}
