//! What people make of what they hear.

use serde_json::{Value, json};

use super::Life;
use crate::ledger::book::{Dialect, Heard, Id, Said, Visit};

impl Life {
    pub(super) fn enter(&mut self, room: &str, instance: usize, joined: &Value) {
        let at = self.now();
        let mut page = self.page.lock().unwrap();
        let visit = Visit {
            room: room.into(),
            instance,
            stay: page.stays.len() - 1,
            at,
            since: page.last(room),
            last: joined["last"].as_str().and_then(|id| id.parse().ok()),
            complete: joined["complete"] != json!(false),
            heard: Vec::new(),
            taken_back: Vec::new(),
        };
        self.visits.insert(room.into(), page.visits.len());
        page.visits.push(visit);
    }

    /// Writes down what it hears. `Err`: there is nothing to be had on this connection.
    pub(super) fn hear(&mut self, text: &str, instance: usize) -> Result<(), String> {
        let (dialect, room) = {
            let page = self.page();
            (page.dialect, page.rooms[0].clone())
        };
        if dialect == Dialect::Plain {
            match text.split_once(": ") {
                // A message was taken back.
                _ if text.starts_with("* ") => {}
                Some(("error", _)) => self.page().stay().errors += 1,
                Some((name, text)) if name.ends_with(" (private)") => self.note_private(text),
                None => {}
                Some((_, "has joined the chat!" | "has left the chat!")) => {}
                Some((_, text)) => self.note(&room, None, text),
            }
            return Ok(());
        }
        let object: Value = serde_json::from_str(text).unwrap_or_default();
        let string = |key: &str| object[key].as_str().unwrap_or_default();
        match (dialect, string("type")) {
            (Dialect::Simple, "") => {
                let mut page = self.page();
                if string("username") == page.name {
                    page.arrives(self.now());
                }
                drop(page);
                match string("message").strip_prefix("(private) ") {
                    Some(text) => self.note_private(text),
                    None => self.note(&room, None, string("message")),
                }
            }
            (Dialect::Simple, "error") if string("code") == "name_taken" => {
                return Err("name_taken".into());
            }
            (Dialect::Simple, "error") => self.page().stay().errors += 1,
            // Until it has said what it speaks, it is taken for a simple one.
            (Dialect::Typed, "") => {}
            (Dialect::Typed, "welcome") => self.session = Some(string("session").into()),
            // A second one says something new only if something is missing.
            (Dialect::Typed, "joined")
                if self.visits.contains_key(string("room")) && object["complete"] != false => {}
            (Dialect::Typed, "joined") => self.enter(string("room"), instance, &object),
            (Dialect::Typed, "history") if object["complete"] == false => {
                self.gaps.insert(string("to").into());
            }
            (Dialect::Typed, "chat") if object["to"].is_string() => {
                self.note_conversation(
                    string("to"),
                    string("userId"),
                    string("id"),
                    string("text"),
                );
            }
            (Dialect::Typed, "chat") => {
                self.note(string("room"), Some(string("id")), string("text"))
            }
            (Dialect::Typed, "deleted") => match string("id").parse() {
                Ok(id) if object["to"].is_string() => {
                    let mut page = self.page();
                    let with = match string("to") == page.name {
                        true => string("by"),
                        false => string("to"),
                    };
                    page.private_taken_back.insert((with.into(), id));
                }
                Ok(id) => self.note_taken_back(string("room"), id),
                Err(odd) => self.page().oddities.push(odd),
            },
            (Dialect::Typed, "ack") => match string("id").parse() {
                Ok(id) => self.settle(string("ref"), |said| said.acks.push(id)),
                Err(odd) => self.page().oddities.push(odd),
            },
            (Dialect::Typed, "error") => return self.refused(string("ref"), string("code")),
            _ => {}
        }
        Ok(())
    }

    /// A message is refused, or something else that was asked for.
    fn refused(&self, reference: &str, code: &str) -> Result<(), String> {
        if reference.is_empty() {
            return Err(code.into());
        }
        let mut again = false;
        self.settle(reference, |said| match said.copies {
            0 | 1 => said.refused = Some(code.into()),
            // Who waits for a recipient that has left may wait for long.
            _ if said.recipient().is_some() => said.refused = Some(code.into()),
            // Says nothing about the copy that was sent before, which may be under way still: so
            // there is nothing for it but to ask again.
            _ => {
                again = said.acks.is_empty();
                said.put_off = true;
            }
        });
        match again {
            true => Err(format!("{reference}: {code}")),
            false => Ok(()),
        }
    }

    fn settle(&self, reference: &str, settle: impl FnOnce(&mut Said)) {
        let now = self.now();
        let mut page = self.page();
        let stay = page.stays.len() - 1;
        let known = |said: &Said| said.reference == reference;
        match page.said.iter().rposition(known) {
            Some(at) => {
                page.said[at].answers.push((stay, now));
                settle(&mut page.said[at]);
            }
            None => page.oddities.push(format!(
                "was told what became of {reference:?}, which it never said"
            )),
        }
    }

    fn note(&self, room: &str, id: Option<&str>, text: &str) {
        let at = self.now();
        let mut page = self.page();
        let id = match id.map(str::parse).transpose() {
            Ok(id) => id,
            Err(odd) => return page.oddities.push(format!("heard {text:?}, and {odd}")),
        };
        let text = text.to_string();
        match self.visits.get(room) {
            Some(&visit) => page.visits[visit].heard.push(Heard { id, text, at }),
            None => page.oddities.push(format!(
                "heard {text:?} before it was told that it had joined {room}"
            )),
        }
    }

    fn note_taken_back(&self, room: &str, id: Id) {
        let at = self.now();
        let mut page = self.page();
        match self.visits.get(room) {
            Some(&visit) => page.visits[visit].taken_back.push((id, at)),
            None => page.oddities.push(format!(
                "was told that {id} is taken back before it was told that it had joined {room}"
            )),
        }
    }

    /// Who sends a private message gets a copy, and both hear all in the same order.
    fn note_conversation(&self, to: &str, from: &str, id: &str, text: &str) {
        let at = self.now();
        let mut page = self.page();
        let id: Id = match id.parse() {
            Ok(id) => id,
            Err(odd) => return page.oddities.push(format!("heard {text:?}, and {odd}")),
        };
        let with = if to == page.name { from } else { to };
        let last = page.read.insert(with.into(), id);
        // Redis may have gone back to an earlier epoch. Then all that it has follows, and ids tell what is known.
        let is_told = self.gaps.contains(with);
        let goes_back = is_told && last.is_some_and(|last| last.epoch > id.epoch);
        if let Some(last) = last.filter(|last| *last >= id && !goes_back) {
            let odd = format!("heard {id} {text:?} of its talk with {with} after {last}");
            page.oddities.push(odd);
        }
        if to == page.name {
            let (id, text) = (Some(id), text.to_string());
            let mut known = page.private_messages.iter();
            if !(is_told && known.any(|heard| heard.id == id && heard.text == text)) {
                page.private_messages.push(Heard { id, text, at });
            }
        }
    }

    fn note_private(&self, text: &str) {
        let at = self.now();
        let (id, text) = (None, text.to_string());
        self.page().private_messages.push(Heard { id, text, at });
    }
}
