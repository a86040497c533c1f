//! The head of an HTTP request, and its route.

use natterjack::chat::dialect::Dialect;
use natterjack::config::Network;
use natterjack::net::cors::options;
use natterjack::net::forwarded;
use natterjack::net::http::{Answer, Head};
use natterjack::net::route::{ChatRequest, Handshake, PublishRequest, ReadRequest, Route, route};

use super::rules;

/// A head is understood in one piece as in many, and leads to something that obeys the rules or to
/// an answer that is whole.
pub fn survives(bytes: &[u8]) {
    let (head, length) = match Head::parse(bytes) {
        Ok(Some(found)) => found,
        Ok(None) => return,
        Err(refused) => return whole(&refused, &[400, 431]),
    };
    for cut in (0..length).step_by(1 + length / 32) {
        assert!(matches!(Head::parse(&bytes[..cut]), Ok(None)), "at {cut}");
    }
    let again = Head::parse(&bytes[..length]);
    assert_eq!(
        format!("{again:?}"),
        format!("{:?}", Ok::<_, Answer>(Some((&head, length))))
    );
    comes_from_somewhere(&head);
    match route(&head, &[]) {
        Ok(Route::Page(file)) => whole(&file.answer(&head, &[]), &[200, 304, 406]),
        Ok(Route::Options(methods)) => whole(&options(methods), &[204]),
        Ok(Route::Health | Route::Ready) => {}
        Ok(Route::Chat(request, handshake)) => chats(&request, &handshake),
        Ok(Route::Follow(request)) => follows(&request),
        Ok(Route::Publish(request)) => publishes(&request),
        Ok(Route::Read(request)) => reads(&request),
        Ok(Route::Delete(request)) => rules::name(request.room.as_str()),
        Err(refused) => whole(&refused, &[400, 403, 404, 405, 426]),
    }
}

/// Only a trusted proxy is asked where its client is.
fn comes_from_somewhere(head: &Head) {
    let proxy = "127.0.0.1".parse().expect("an address");
    let trusted = [Network::parse("127.0.0.0/8").expect("a network")];
    assert_eq!(forwarded::client(head, proxy, &[]), proxy);
    let client = forwarded::client(head, proxy, &trusted);
    assert_eq!(client, client.to_canonical());
    // Any other client is where its connection comes from.
    if !trusted[0].contains(client) {
        assert_eq!(forwarded::client(head, client, &trusted), client);
    }
}

fn chats(request: &ChatRequest, handshake: &Handshake) {
    assert_eq!(request.user.is_none(), request.dialect == Dialect::Simple);
    assert!(request.room.is_some() || request.dialect == Dialect::Typed);
    if let Some(user) = &request.user {
        rules::name(user.as_str());
    }
    if let Some(room) = &request.room {
        rules::name(room.as_str());
    }
    // What is agreed to is sent back, so it must be of one line.
    let protocol = handshake.protocol.as_deref().unwrap_or("bearer.");
    assert!(protocol.starts_with("bearer.") && !protocol.contains(char::is_control));
    // The SHA-1 of the key, in base64.
    assert!(handshake.accept.is_ascii() && handshake.accept.len() == 28);
}

fn publishes(request: &PublishRequest) {
    rules::name(request.room.as_str());
    if let Some(user) = &request.user {
        rules::name(user.as_str());
    }
    let reference = request.reference.as_ref();
    assert!(reference.is_none_or(|name| name.len() <= 256));
}

fn follows(request: &ChatRequest) {
    assert_eq!((request.dialect, &request.user), (Dialect::Events, &None));
    rules::name(request.room.as_ref().expect("a room").as_str());
}

fn reads(request: &ReadRequest) {
    rules::name(request.room.as_str());
    assert!((1..=100).contains(&request.limit));
}

/// Nothing of a request gets into the head of its answer.
fn whole(answer: &Answer, statuses: &[u16]) {
    assert!(statuses.contains(&answer.status), "{answer:?}");
    let bytes = answer.bytes(false);
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
    let (head, body) = bytes.split_at(end.expect("an end of the head") + 4);
    // The date may have changed meanwhile.
    assert_eq!(answer.bytes(true).len(), head.len());
    let head = std::str::from_utf8(head).expect("a head in ASCII");
    let mut lines = head.trim_end().split("\r\n");
    let first = lines.next().expect("a first line");
    assert!(first.starts_with(&format!("HTTP/1.1 {} ", answer.status)));
    assert!(!first.ends_with(' '), "a status without a phrase");
    let mut length = None;
    for line in lines {
        let (name, value) = line.split_once(": ").expect("a header");
        assert!(!value.contains(char::is_control));
        if name == "Content-Length" {
            length = value.parse().ok();
        }
    }
    assert_eq!(
        length,
        (!matches!(answer.status, 204 | 304)).then_some(body.len())
    );
    if answer.status >= 400 {
        assert_eq!(
            body.iter().position(|byte| *byte == b'\n'),
            Some(body.len() - 1)
        );
    }
}
