//! Tests of frames, and of batches for a whole room.

use super::*;
use crate::chat::event::Text;
use crate::chat::id::Origin;
use crate::chat::name::{Room, User};
use crate::chat::replay::Epochs;

fn said(name: &str, peer: Option<u64>, text: &str) -> Event {
    let origin = peer.map(|peer| Origin {
        instance: Instance(1),
        peer,
    });
    let text = Text::new(text).unwrap();
    let kind = EventKind::Said {
        text,
        email: None,
        id: None,
        at: 0,
        to: None,
        holder: None,
        author: None,
    };
    Event {
        room: Room::lobby(),
        user: User::new(name).ok(),
        origin,
        kind,
    }
}

fn heard(broadcast: &Broadcast, peer: u64) -> String {
    let mut parts = Vec::new();
    let (frames, size) = broadcast.parts_for(peer, &mut parts);
    let bytes = parts.concat();
    assert_eq!(bytes.len() as u64, size);
    let mut rest = &bytes[..];
    let mut heard = Vec::new();
    while let [0x81, len, tail @ ..] = rest {
        let (text, next) = tail.split_at(usize::from(*len));
        heard.push(String::from_utf8(text.to_vec()).unwrap());
        rest = next;
    }
    assert!(rest.is_empty(), "{rest:?}");
    assert_eq!(heard.len() as u64, frames);
    heard.join(", ")
}

#[test]
fn everybody_hears_everything_but_their_own_words() {
    let events = [
        said("a", Some(1), "1"),
        said("b", Some(2), "2"),
        said("a", Some(1), "3"),
        said("a", Some(1), "4"),
        said("ops", None, "5"),
        said("b", Some(2), "6"),
    ];
    let batch = Broadcast::render(Dialect::Plain, Instance(1), &events, &[]);
    assert_eq!(heard(&batch, 1), "b: 2, ops: 5, b: 6");
    assert_eq!(heard(&batch, 2), "a: 1, a: 3, a: 4, ops: 5");
    assert_eq!(heard(&batch, 3), "a: 1, b: 2, a: 3, a: 4, ops: 5, b: 6");
    // On another instance the same numbers are other peers.
    let elsewhere = Broadcast::render(Dialect::Plain, Instance(2), &events, &[]);
    assert_eq!(heard(&elsewhere, 1), "a: 1, b: 2, a: 3, a: 4, ops: 5, b: 6");
}

#[test]
fn a_peer_that_joins_hears_only_later_messages() {
    let joined = |name, peer, announced| Event {
        kind: EventKind::Joined {
            announced,
            log: Epochs::default(),
        },
        ..said(name, Some(peer), "x")
    };
    let events = [
        said("a", Some(1), "1"),
        joined("b", 2, true),
        said("b", Some(2), "2"),
        joined("c", 3, false),
        said("a", Some(1), "3"),
    ];
    let batch = Broadcast::render(Dialect::Plain, Instance(1), &events, &[2, 3]);
    assert_eq!(heard(&batch, 1), "b: has joined the chat!, b: 2");
    assert_eq!(heard(&batch, 2), "a: 3");
    assert_eq!(heard(&batch, 3), "a: 3");
    assert_eq!(
        heard(&batch, 4),
        "a: 1, b: has joined the chat!, b: 2, a: 3"
    );
}

/// What peer 1 gets, computed event by event.
fn owed(dialect: Dialect, here: Instance, events: &[Event], joined: &[u64]) -> Vec<u8> {
    let mut owed = Vec::new();
    for event in events {
        let by = event.origin.filter(|origin| origin.instance == here);
        let itself = by.is_some_and(|origin| origin.peer == 1);
        if itself && matches!(event.kind, EventKind::Joined { .. }) && joined.contains(&1) {
            owed.clear();
        } else if !itself || dialect.echoes(event) {
            owed.extend(texts(dialect, std::slice::from_ref(event)));
        }
    }
    owed
}

#[test]
fn of_any_batch_everybody_gets_what_one_after_the_other_would_bring() {
    arbtest::arbtest(|u| {
        let mut events = Vec::new();
        for n in 0..u.int_in_range(0..=12)? {
            let origin = (u.int_in_range(0..=3)?, u.int_in_range(0..=2)?);
            let mut event = said("x", Some(origin.0), &n.to_string());
            event.user = u.ratio(7, 8)?.then(|| User::new("x").unwrap());
            event.origin = match origin {
                (0, _) => None,
                (peer, instance) => Some(Origin {
                    instance: Instance(instance),
                    peer,
                }),
            };
            event.kind = match u.int_in_range(0..=6)? {
                0 => EventKind::Left,
                1 | 2 => EventKind::Joined {
                    announced: u.arbitrary()?,
                    log: Epochs::default(),
                },
                _ => event.kind,
            };
            events.push(event);
        }
        let joined: &[u64] = u.choose(&[&[][..], &[1], &[2, 1], &[2]])?;
        for dialect in Dialect::ALL {
            let here = Instance(1);
            let mut parts = Vec::new();
            Broadcast::render(dialect, here, &events, joined).parts_for(1, &mut parts);
            assert!(parts.iter().all(|part| !part.is_empty()));
            let owed = owed(dialect, here, &events, joined);
            assert_eq!(
                parts.concat(),
                owed,
                "{dialect:?}: {events:?}, in: {joined:?}"
            );
        }
        Ok(())
    })
    .size_min(128)
    .size_max(256)
    .budget_ms(500);
}

#[test]
fn a_frame_that_was_begun_is_completed() {
    let frames = [
        text("hi"),
        text(&"x".repeat(300)),
        Framing::WebSocket.ping(),
    ]
    .concat();
    for (offset, end) in [(0, 0), (1, 4), (4, 4), (5, 308), (308, 308), (309, 310)] {
        assert_eq!(end_of_frame(&frames, offset), end, "{offset}");
    }
    let long = text(&"x".repeat(2 * FRAGMENT + 1));
    let fragment = FRAGMENT + 4;
    assert_eq!(long.len(), 2 * fragment + 3);
    for (offset, end) in [
        (1, fragment),
        (fragment + 1, 2 * fragment),
        (long.len() - 1, long.len()),
    ] {
        assert_eq!(end_of_frame(&long, offset), end, "{offset}");
    }
    let answer = b"HTTP/1.1 101 Switching Protocols\r\n\r\n";
    assert_eq!(end_of_frame(answer, 1), answer.len());
}

#[test]
fn long_messages_are_sent_in_pieces() {
    let long = text(&"x".repeat(2 * FRAGMENT + 1));
    assert_eq!(&long[..4], b"\x01\x7e\x40\0");
    assert_eq!(&long[FRAGMENT + 4..FRAGMENT + 8], b"\0\x7e\x40\0");
    assert_eq!(&long[2 * FRAGMENT + 8..], b"\x80\x01x");
}

#[test]
fn lengths_take_the_form_that_rfc_6455_asks_for() {
    assert_eq!(&text("hi")[..], b"\x81\x02hi");
    assert_eq!(&text(&"x".repeat(126))[..4], b"\x81\x7e\x00\x7e");
    assert_eq!(&text(&"x".repeat(MAX_UNFRAGMENTED))[..4], b"\x81\x7e\x80\0");
    assert_eq!(&close(1001, "bye")[..], b"\x88\x05\x03\xe9bye");
}
