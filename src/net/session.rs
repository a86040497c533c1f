//! What a connection is on the chat's side: its name, its rooms, and how it gets what it asks for.
//! The same for all dialects; what differs between them is a question of who is told what.

mod past;
mod proof;
mod rate;

use std::net::IpAddr;
use std::sync::Arc;

use super::Hub;
use super::rate_limits::ConnectionRate;
use super::route::Arrival;
use super::socket::Wired;
use crate::bus::{Bus, Claim, NewMessage};
use crate::chat::dialect::{Dialect, Join, Reply, Request};
use crate::chat::end::End;
use crate::chat::event::{Refusal, Text};
use crate::chat::name::{Email, Room, User, hex};
use crate::chat::peer::Receipt;
use crate::chat::peers::Seat;
use proof::Proof;

/// A connection may be in this many rooms; one more is refused as forbidden.
const MOST_ROOMS: usize = 100;
/// A client's session key has at most this many bytes.
const KEY_BYTES: usize = 128;

/// One connection's name and rooms. What it has is given back by [`Bus::depart`].
pub(super) struct Session<'a> {
    hub: &'a Hub,
    peer: &'a Arc<Wired>,
    seat: &'a Seat,
    user: Option<User>,
    email: Option<Email>,
    rate: ConnectionRate,
    proof: Proof,
    /// The only one in the plain and simple dialects, any number in the typed one.
    rooms: Vec<Room>,
}

impl<'a> Session<'a> {
    /// Nobody, nowhere, at this address.
    pub(super) fn new(
        hub: &'a Hub,
        peer: &'a Arc<Wired>,
        seat: &'a Seat,
        from: IpAddr,
    ) -> Session<'a> {
        Session {
            hub,
            peer,
            seat,
            user: None,
            email: None,
            rate: ConnectionRate::new(from),
            proof: Proof::Token(None),
            rooms: Vec::new(),
        }
    }

    fn bus(&self) -> &'a Bus {
        &self.hub.bus
    }

    /// Does what its address asks for, and lets the peer be told; `Some` if that is the end of it.
    pub(super) async fn arrive(&mut self, arrival: Arrival) -> Option<End> {
        let Arrival {
            user,
            room,
            past,
            pass,
            ..
        } = arrival;
        self.proof = Proof::Token(pass);
        let arrived = match (user, room) {
            (Some(user), room) => match self.claim(user).await {
                Ok(()) => match room {
                    Some(room) => self.enter(room, past).await,
                    None => Ok(()),
                },
                refused => refused,
            },
            (None, Some(room)) => self.overhear(room, past).await,
            (None, None) => Ok(()),
        };
        self.peer.outbox.release();
        match arrived {
            Ok(()) => None,
            Err(Refusal::NameTaken(name)) => {
                // It was a name when it was asked for.
                let user = User::new(&name).ok()?;
                self.peer.tell(&Reply::Taken(&user));
                // Who speaks JSON may try another one on the same connection.
                (self.peer.dialect() == Dialect::Plain).then_some(End::Taken)
            }
            Err(_) => {
                self.peer.tell(&Reply::Unreachable);
                Some(End::Unavailable)
            }
        }
    }

    /// Why its peer was ended, if it was.
    pub(super) fn ended(&self) -> Option<End> {
        self.peer.outbox.ended()
    }

    /// Does what a frame asks for. Returns whether that was much more work than for a message, as a
    /// look into the log is: then others are to go first.
    pub(super) async fn act(&mut self, frame: &str) -> bool {
        let asked = self.peer.dialect().parse(frame);
        let heavy = matches!(
            asked.request,
            Ok(Request::History { .. } | Request::Join(_) | Request::Who(_))
        );
        if asked.dialect != self.peer.dialect() {
            self.become_typed(asked.dialect).await;
        }
        let receipt = Receipt::new(self.peer.clone(), asked.reference);
        let done = match asked.request {
            Ok(request) => self.serve(request, receipt).await,
            Err(refusal) => Err((refusal, receipt)),
        };
        if let Err((refusal, receipt)) = done {
            receipt.refuse(&refusal);
        }
        heavy
    }

    /// Refuses a frame for a reason that has nothing to do with what is in it.
    pub(super) fn refuse_unread(&self, frame: &str, refusal: Refusal) {
        let asked = self.peer.dialect().parse(frame);
        Receipt::new(self.peer.clone(), asked.reference).refuse(&refusal);
    }

    /// Gives the receipt back with a refusal.
    async fn serve(
        &mut self,
        request: Request,
        receipt: Receipt,
    ) -> Result<(), (Refusal, Receipt)> {
        let done = match request {
            Request::Say(room, text) => return self.say(room, text, receipt).await,
            Request::Tell { to, text } => return self.tell(to, text, receipt).await,
            Request::Post { user, email, text } => {
                return self.post(user, email, text, receipt).await;
            }
            Request::Who(room) => self.who(room).await,
            Request::Help => {
                self.peer.tell(&Reply::Help);
                Ok(())
            }
            Request::Join(join) => self.join(*join).await,
            Request::Leave(room) => self.leave(room).await,
            Request::History {
                room,
                before,
                limit,
            } => self.history(room, before, limit).await,
        };
        done.map_err(|refusal| (refusal, receipt))
    }

    async fn say(
        &mut self,
        room: Option<Room>,
        text: Text,
        receipt: Receipt,
    ) -> Result<(), (Refusal, Receipt)> {
        let room = match self.meant(room) {
            Ok(room) => room,
            Err(refusal) => return Err((refusal, receipt)),
        };
        if let Err(refusal) = self.count_for_new_name() {
            return Err((refusal, receipt));
        }
        match &self.user {
            Some(user) if self.rooms.contains(&room) => {
                let message = self.new_message(user.clone(), text, receipt);
                self.bus().publish(&room, message).await;
                Ok(())
            }
            _ => Err((Refusal::NotInRoom(room), receipt)),
        }
    }

    async fn tell(
        &mut self,
        to: String,
        text: Text,
        receipt: Receipt,
    ) -> Result<(), (Refusal, Receipt)> {
        let user = self.be_somebody().await;
        match user.and_then(|user| self.count_for_new_name().map(|()| user)) {
            Ok(user) => {
                let message = self.new_message(user, text, receipt);
                self.bus().send_private(to, message).await;
                Ok(())
            }
            Err(refusal) => Err((refusal, receipt)),
        }
    }

    /// The simple dialect's only wish: to say something under a name, which may be a new one.
    async fn post(
        &mut self,
        user: User,
        email: Option<Email>,
        text: Text,
        receipt: Receipt,
    ) -> Result<(), (Refusal, Receipt)> {
        // The same name, written in another way, is shown so from here on.
        if self.user.as_ref().map(User::as_str) != Some(user.as_str())
            && let Err(refusal) = self.call_itself(user).await
        {
            return Err((refusal, receipt));
        }
        self.email = email;
        self.say(None, text, receipt).await
    }

    /// The room that is named, or the connection's only one.
    fn meant(&self, room: Option<Room>) -> Result<Room, Refusal> {
        let room = room.or_else(|| self.rooms.first().cloned());
        room.ok_or_else(|| Refusal::BadRoom("room is missing".into()))
    }

    fn new_message(&self, user: User, text: Text, receipt: Receipt) -> NewMessage {
        // The hash of a key is not made for nothing.
        let lock = receipt.reference().and_then(|_| self.proof.lock());
        NewMessage {
            user,
            origin: self.hub.peers.origin(self.peer),
            lock,
            email: self.email.clone(),
            text,
            receipt,
        }
    }

    async fn who(&self, room: Option<Room>) -> Result<(), Refusal> {
        let room = self.meant(room)?;
        self.proof.may_enter(&room)?;
        let roster = self.bus().roster(&room).await.ok_or(Refusal::Unavailable)?;
        self.peer.tell(&Reply::Who(&room, &roster));
        Ok(())
    }

    async fn join(&mut self, join: Join) -> Result<(), Refusal> {
        let Join {
            room,
            user,
            email,
            session,
            past,
        } = join;
        self.proof.may_enter(&room)?;
        if self.user.is_none() {
            if session.as_ref().is_some_and(|key| key.len() > KEY_BYTES) {
                return Err(Refusal::BadJson("session is longer than 128 bytes".into()));
            }
            let key = session.filter(|key| !key.is_empty());
            if let (Some(key), None) = (key, self.proof.pass()) {
                self.proof = Proof::Key(key.into());
            }
            if let Some(user) = &user {
                self.proof.may_be(user)?;
            }
            self.email = email;
            match user {
                Some(user) => self.claim(user).await?,
                None => drop(self.be_somebody().await?),
            }
        } else if user.is_some() && user != self.user {
            return Err(Refusal::Forbidden("this connection has a name already"));
        } else if self.rooms.is_empty() && self.email.is_none() {
            // Its address has given the name, and can't give this.
            self.email = email;
        }
        if self.rooms.contains(&room) {
            return self.reenter(&room, past).await;
        }
        if self.rooms.len() >= MOST_ROOMS {
            return Err(Refusal::Forbidden(
                "a connection may be in 100 rooms at most",
            ));
        }
        self.enter(room, past).await
    }

    async fn leave(&mut self, room: Room) -> Result<(), Refusal> {
        if !self.rooms.contains(&room) {
            return Err(Refusal::NotInRoom(room));
        }
        self.rooms.retain(|other| *other != room);
        let user = self.user.as_ref();
        self.bus().leave(self.seat, self.peer, user, &room).await;
        Ok(())
    }

    /// Claims a first name.
    async fn claim(&mut self, user: User) -> Result<(), Refusal> {
        if self.peer.dialect() != Dialect::Plain && matches!(self.proof, Proof::Token(None)) {
            self.proof = Proof::Key(secret()?);
        }
        let lock = self.proof.lock();
        match self.bus().claim(self.seat, self.peer, &user, lock).await {
            Claim::Granted => {}
            Claim::Taken => return Err(Refusal::NameTaken(user.to_string())),
            Claim::Unreachable => return Err(Refusal::Unavailable),
        }
        let named = self.peer.frame(&Reply::Named {
            user: &user,
            session: self.proof.key(),
        });
        self.peer.outbox.push_ahead(named.as_slice());
        self.rate.rename(&self.hub.rate_limits, &user);
        self.user = Some(user);
        Ok(())
    }

    /// The name, or one that nobody else has: a guest's, which its session key entitles it to.
    async fn be_somebody(&mut self) -> Result<User, Refusal> {
        for _ in 0..GUEST_ATTEMPTS {
            if let Some(user) = &self.user {
                return Ok(user.clone());
            }
            let (name, only) = match &self.proof {
                Proof::Token(Some(pass)) => (pass.user().clone(), true),
                Proof::Key(key) => (User::guest(key), false),
                Proof::Token(None) => {
                    let key = secret()?;
                    let name = User::guest(&key);
                    self.proof = Proof::Key(key);
                    (name, false)
                }
            };
            match self.claim(name).await {
                // Another key has another name.
                Err(Refusal::NameTaken(_)) if !only => self.proof = Proof::Token(None),
                done => done?,
            }
        }
        self.user.clone().ok_or(Refusal::Unavailable)
    }

    async fn call_itself(&mut self, user: User) -> Result<(), Refusal> {
        self.proof.may_be(&user)?;
        self.rename(user).await
    }

    /// Takes another name: for the rooms, one has gone and one has come.
    async fn rename(&mut self, user: User) -> Result<(), Refusal> {
        let old = self.user.take();
        if let Err(refusal) = self.claim(user).await {
            self.user = old;
            return Err(refusal);
        }
        let Some(user) = &self.user else {
            return Ok(());
        };
        for room in &self.rooms {
            let bus = self.bus();
            bus.rename(self.peer, old.as_ref(), user, room).await;
        }
        if let Some(old) = old.filter(|old| old != user) {
            self.bus().release(self.peer, &old);
        }
        Ok(())
    }

    /// From the simple to the typed dialect: it keeps its name, and is in no room until it joins
    /// one.
    async fn become_typed(&mut self, dialect: Dialect) {
        let user = self.user.as_ref();
        // First out, so that it hears nothing of them in its new language.
        for room in std::mem::take(&mut self.rooms) {
            self.bus().leave(self.seat, self.peer, user, &room).await;
        }
        self.peer.speaks(dialect);
        if let Some(user) = user {
            let session = self.proof.key();
            self.peer.tell(&Reply::Named { user, session });
        }
    }
}

/// How many guests' names are tried: among two thousand million, one is free.
const GUEST_ATTEMPTS: usize = 5;

/// A key that nobody can guess: 128 bits in hexadecimal digits.
fn secret() -> Result<Box<str>, Refusal> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|_| Refusal::Unavailable)?;
    Ok(hex(&bytes).into())
}
