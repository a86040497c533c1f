//! Frames from clients, in each dialect.

use natterjack::chat::dialect::{Dialect, Join, Reply, Request, Roster, Target, Which};
use natterjack::chat::event::{Event, EventKind, Refusal, Text};
use natterjack::chat::id::Id;
use natterjack::chat::moderation::Measure;
use natterjack::chat::name::{Room, User};
use natterjack::chat::replay::Epochs;

use super::rules;

/// Whatever is understood of a frame obeys the rules, and can be said to others; what is refused
/// can be told.
pub fn survives(bytes: &[u8]) {
    let frame = String::from_utf8_lossy(bytes);
    for dialect in Dialect::ALL {
        let asked = dialect.parse(&frame);
        match dialect {
            Dialect::Simple => assert_ne!(asked.dialect, Dialect::Plain),
            dialect => assert_eq!(asked.dialect, dialect),
        }
        let reference = asked.reference.as_deref();
        if let (Some(reference), Ok(_)) = (reference, &asked.request) {
            assert!(reference.len() <= 256);
            rules::reply(&Reply::Accepted(reference, Id::first(7)));
        }
        match &asked.request {
            Ok(request) => carry_out(request),
            Err(refusal) => {
                let told = rules::reply(&Reply::Refused(refusal, reference));
                // Who only listens can't be refused anything.
                assert_eq!(told.len(), Dialect::ALL.len() - 1);
            }
        }
    }
}

fn carry_out(request: &Request) {
    let guest = User::new("foo").unwrap();
    match request {
        Request::Say(room, text) => {
            let room = room.clone().unwrap_or_else(Room::lobby);
            rules::event(&said(room, guest, text));
        }
        Request::Post { user, email, text } => {
            rules::email(email.as_ref());
            rules::event(&said(Room::lobby(), user.clone(), text));
        }
        Request::Private { to, text } => {
            if let Ok(to) = User::new(to) {
                rules::private_message(&guest, &to, text);
            }
        }
        Request::Join(join) => enter(join, &guest),
        Request::Who(Some(room)) | Request::Leave(room) => rules::name(room.as_str()),
        Request::History { of, limit, .. } => {
            rules::name(match of {
                Target::Room(room) => room.as_str(),
                Target::User(user) => user.as_str(),
            });
            assert!(*limit <= 100);
        }
        Request::Moderate {
            action,
            user,
            seconds,
            reason,
            ..
        } => {
            let measure = Measure {
                action: *action,
                user: user.clone(),
                by: guest,
                seconds: *seconds,
                reason: reason.clone(),
            };
            rules::measure(&measure);
        }
        Request::Delete { of, which } => {
            if let Some(Target::Room(room)) = of {
                rules::name(room.as_str());
            }
            if let Which::LastOf(user) = which {
                rules::user(user);
            }
        }
        Request::Who(None) | Request::Banned(_) | Request::Forget => {}
        Request::Help => {
            rules::reply(&Reply::Help);
        }
    }
}

fn said(room: Room, user: User, text: &Text) -> Event {
    let kind = EventKind::Said {
        text: text.clone(),
        email: None,
        id: Some(Id::first(7)),
        at: 7,
        to: None,
        holder: None,
        author: None,
    };
    Event {
        room,
        user: Some(user),
        origin: None,
        kind,
    }
}

fn enter(join: &Join, guest: &User) {
    let user = join.user.as_ref().unwrap_or(guest);
    rules::user(user);
    rules::name(join.room.as_str());
    rules::email(join.email.as_ref());
    let session = join.session.as_deref().unwrap_or_default();
    rules::reply(&Reply::Named { user, session });
    let taken = Refusal::NameTaken(user.to_string());
    rules::reply(&Reply::StartFailed(&taken));
    rules::reply(&Reply::Joined {
        user,
        room: &join.room,
        roster: &Roster::default(),
        complete: true,
    });
    for kind in [
        EventKind::Left,
        EventKind::Joined {
            announced: true,
            log: Epochs::default(),
        },
    ] {
        rules::event(&Event {
            room: join.room.clone(),
            user: Some(user.clone()),
            origin: None,
            kind,
        });
    }
}
