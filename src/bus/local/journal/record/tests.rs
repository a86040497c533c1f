use super::*;

fn message(text: &str, email: Option<&str>, reference: Option<Reference>) -> Record {
    let event = Event {
        room: Room::new("attic").unwrap(),
        user: User::new("Änn").ok(),
        origin: None,
        kind: EventKind::Said {
            text: Text::new(text).unwrap(),
            email: Email::given(email).unwrap(),
            id: Some(Id { epoch: 7, n: 3 }),
            at: 1_764_000_000_123,
            to: None,
            holder: None,
            author: None,
        },
    };
    Record::Message(event, reference)
}

fn user(name: &str) -> User {
    User::new(name).unwrap()
}

fn deleted() -> Record {
    let event = Event {
        room: Room::lobby(),
        user: Some(user("bar")),
        origin: None,
        kind: EventKind::Deleted {
            id: Id { epoch: 7, n: 3 },
            at: 12,
            by: user("mod"),
            start: None,
        },
    };
    Record::Message(event, None)
}

fn measure(action: Action, seconds: Option<u64>) -> Measure {
    Measure {
        action,
        user: user("bar"),
        by: user("mod"),
        seconds,
        reason: "\"spam\"".into(),
    }
}

fn line(record: &Record) -> String {
    let mut line = Vec::new();
    record.write(&mut line);
    String::from_utf8(line).unwrap()
}

#[test]
fn a_record_is_a_line_that_anybody_can_read() {
    let said = line(&message("grüß \"dich\" 👋", None, None));
    let json = "{\"kind\":\"message\",\"room\":\"attic\",\"id\":\"7-3\",\"at\":1764000000123,\
                \"user\":\"Änn\",\"text\":\"grüß \\\"dich\\\" 👋\",\"crc\":\"";
    assert!(said.starts_with(json), "{said}");
    assert!(said.ends_with("\"}\n"), "{said}");
    assert_eq!(
        line(&Record::Stopped),
        "{\"kind\":\"stopped\",\"crc\":\"2f3290fe\"}\n"
    );
}

#[test]
fn what_is_written_is_read_again() {
    let (client, name) = (u64::MAX, 1);
    let reference = Reference { client, name };
    let id = Id { epoch: 7, n: 3 };
    let user = User::new("Änn").unwrap();
    let party = |waiting_after| {
        let party = Party {
            user: user.clone(),
            holder: SessionKeyHash::of("key"),
            begun: id,
            waiting_after,
        };
        Record::Party(Room::conversation(&user, &user), party)
    };
    for record in [
        message("hello", None, None),
        message("two\nlines", Some("a@b.c"), Some(reference)),
        Record::Reference(reference, Known { id, at: 12 }),
        Record::Key(u128::MAX / 3),
        Record::All,
        deleted(),
        Record::Measure(Room::lobby(), measure(Action::Ban, None), None),
        Record::Measure(Room::lobby(), measure(Action::Kick, Some(60)), Some(12)),
        Record::Address(Room::lobby(), user.clone(), Address::new(1)),
        Record::End(Room::new("attic").unwrap(), id),
        Record::Epoch(7),
        party(None),
        party(Some(id)),
        Record::Name(user.clone(), SessionKeyHash::of("key"), None),
        Record::Name(user.clone(), SessionKeyHash::of("key"), Some(12)),
        Record::Free(user),
        Record::Stopped,
    ] {
        let line = line(&record);
        let read = Record::read(line.trim_end().as_bytes()).unwrap();
        assert_eq!(format!("{read:?}"), format!("{record:?}"));
        assert_eq!(line.matches('\n').count(), 1);
    }
}

#[test]
fn no_damage_goes_unnoticed() {
    let whole = line(&message("hello", None, None));
    let whole = whole.trim_end().as_bytes();
    assert!(Record::read(whole).is_some());
    for at in 0..whole.len() {
        assert!(Record::read(&whole[..at]).is_none(), "cut at {at}");
        for bit in 0..8 {
            let mut damaged = whole.to_vec();
            damaged[at] ^= 1 << bit;
            // A checksum in capitals is the same.
            let same = damaged.eq_ignore_ascii_case(whole) && at >= whole.len() - CHECKSUM_LEN;
            assert!(
                Record::read(&damaged).is_none() || same,
                "bit {bit} of {at}"
            );
        }
    }
}

#[test]
fn a_newer_format_is_known_for_one() {
    assert_eq!(read_header(HEADER.as_bytes()), Ok(true));
    let newer = HEADER.replace(":1", ":2");
    assert_eq!(read_header(newer.as_bytes()), Err(2));
    for other in ["", "{}", "{\"natterjack\":\"said\",\"version\":1}"] {
        assert_eq!(read_header(other.as_bytes()), Ok(false));
    }
}
