//! A connection as the chat sees it: its name, its rooms, and how its requests are handled. This is
//! the same for all dialects; they differ in what is sent to which peer.

mod credential;
mod moderation;
mod naming;
mod private;
mod replay;
mod rooms;

use std::sync::Arc;
use std::time::Instant;

use super::context::ServerContext;
use super::rate_limits::ConnectionRate;
use super::route::{ChatRequest, KEY_BYTES};
use super::socket::SocketPeer;
use super::token::Grant;
use crate::bus::{Bus, NewMessage};
use crate::chat::close_reason::CloseReason;
use crate::chat::dialect::{Dialect, Join, Read, Reply, Request};
use crate::chat::event::{Refusal, Text};
use crate::chat::moderation::Measure;
use crate::chat::name::{Email, Room, User};
use crate::chat::peer::Receipt;
use crate::chat::rate::Verdict;
use credential::Credential;
use rooms::JoinedRoom;

/// The most rooms that a connection may be in; a request for one more is refused as forbidden.
const MOST_ROOMS: usize = 100;

/// One connection's name and rooms. [`Bus::depart`] releases both.
pub(super) struct Session<'a> {
    context: &'a ServerContext,
    peer: &'a Arc<SocketPeer>,
    user: Option<User>,
    email: Option<Email>,
    rate: ConnectionRate,
    credential: Credential,
    /// One room in the plain and simple dialects, any number in the typed one.
    rooms: Vec<JoinedRoom>,
}

impl<'a> Session<'a> {
    /// A connection that has no name and no room.
    pub(super) fn new(context: &'a ServerContext, peer: &'a Arc<SocketPeer>) -> Session<'a> {
        Session {
            context,
            peer,
            user: None,
            email: None,
            rate: ConnectionRate::default(),
            credential: Credential::Token(None),
            rooms: Vec::new(),
        }
    }

    fn bus(&self) -> &'a Bus {
        &self.context.bus
    }

    /// Does what the URL asks for, and releases the outbox. `Some` if the connection ends with
    /// that.
    pub(super) async fn start(
        &mut self,
        request: ChatRequest,
        grant: Option<Box<Grant>>,
    ) -> Option<CloseReason> {
        let ChatRequest {
            user,
            room,
            session,
            past,
            private,
            ..
        } = request;
        self.credential = match (grant, session) {
            (None, Some(key)) => Credential::Key(key.into()),
            (grant, _) => Credential::Token(grant),
        };
        let started = async {
            let mut away = None;
            match user {
                // A terminal is told first that it is welcome.
                Some(user) if self.peer.dialect() == Dialect::Plain => {
                    away = self.claim(user).await?;
                }
                user if user.is_some() || private.is_some() => self.begin(user, private).await?,
                _ => {}
            }
            if let Some(room) = room {
                self.enter(room, past).await?;
            }
            self.catch_up(None, away).await
        };
        let Err(refusal) = started.await else {
            self.peer.outbox.send_buffered();
            return None;
        };
        let dialect = self.peer.dialect();
        let (refusal, reason) = match refusal {
            // A client that speaks JSON may try another name on the same connection.
            Refusal::NameTaken(_) => {
                let reason = (dialect == Dialect::Plain).then_some(CloseReason::Taken);
                (refusal, reason)
            }
            // A typed client may enter another room.
            Refusal::Banned(_) => {
                let reason = (dialect != Dialect::Typed).then_some(CloseReason::Removed);
                (refusal, reason)
            }
            _ => (Refusal::Unavailable, Some(CloseReason::Unavailable)),
        };
        let failed = self.peer.frame(&Reply::StartFailed(&refusal));
        self.peer.outbox.push_before_buffered(failed.as_slice());
        match reason {
            // What is buffered comes after what could not be sent, and would hide it.
            Some(reason) => self.peer.outbox.close(reason),
            None => self.peer.outbox.send_buffered(),
        }
        reason
    }

    /// Why its peer was ended, if it was.
    pub(super) fn ended(&self) -> Option<CloseReason> {
        self.peer.outbox.close_reason()
    }

    /// Counts a frame for the connection's name, before it is parsed.
    pub(super) fn check_rate(&mut self) -> Verdict {
        let limits = &self.context.rate_limits;
        let from = self.peer.address;
        self.rate
            .check(limits, from, self.user.as_ref(), Instant::now())
    }

    /// Counts a message again if it brought its own name. Without this, each connection could send
    /// one message under a name whose rate is used up.
    fn count_for_new_name(&mut self) -> Result<(), Refusal> {
        // The next frame decides whether this is a flood.
        match self.rate.renamed && self.check_rate() != Verdict::Pass {
            true => Err(Refusal::RateLimited(self.context.config.rate)),
            false => Ok(()),
        }
    }

    /// Handles a frame. Returns whether that was much more work than a message, such as a look into
    /// the log: then other tasks go first.
    pub(super) async fn handle_frame(&mut self, frame: &str) -> bool {
        if self.peer.take_removed() {
            let rooms = self.context.peers.rooms(self.peer).await;
            self.rooms.retain(|joined| rooms.contains(&joined.room));
        }
        let frame = self.peer.dialect().parse(frame);
        let heavy = matches!(
            frame.request,
            Ok(Request::History { .. }
                | Request::Join(_)
                | Request::Who(_)
                | Request::Banned(_)
                | Request::Delete { .. })
        );
        if frame.dialect != self.peer.dialect() {
            self.switch_to_typed(frame.dialect).await;
        }
        let mut reference = frame.reference;
        let handled = match frame.request {
            Ok(request) => self.handle_request(request, &mut reference).await,
            Err(refusal) => Err(refusal),
        };
        if let Err(refusal) = handled {
            Receipt::new(self.peer.clone(), reference).refuse(&refusal);
        }
        heavy
    }

    /// Refuses a frame without reading more of it than its reference.
    pub(super) fn refuse_unread(&self, frame: &str, refusal: Refusal) {
        let frame = self.peer.dialect().parse(frame);
        Receipt::new(self.peer.clone(), frame.reference).refuse(&refusal);
    }

    /// Handles a request. A message that is passed on takes the reference, since its receipt is
    /// answered later.
    async fn handle_request(
        &mut self,
        request: Request,
        reference: &mut Option<String>,
    ) -> Result<(), Refusal> {
        match request {
            Request::Say(room, text) => self.say(room, text, reference).await,
            Request::Private { to, text } => {
                let user = self.ensure_name().await?;
                self.count_for_new_name()?;
                // What is no name nobody has.
                let to = User::new(&to).map_err(|_| Refusal::NoSuchUser(to))?;
                self.count_new_conversation(&Room::conversation(&user, &to))?;
                let message = self.new_message(user, text, reference);
                self.bus().send_private(to, message).await;
                Ok(())
            }
            Request::Post { user, email, text } => {
                // The same name in another spelling is a change of how it is shown.
                if self.user.as_ref().map(User::as_str) != Some(user.as_str()) {
                    self.rename(user).await?;
                }
                self.email = email;
                self.say(None, text, reference).await
            }
            Request::Who(room) => self.who(room).await,
            Request::Help => {
                self.peer.send(&Reply::Help);
                Ok(())
            }
            Request::Join(join) => self.join(*join).await,
            Request::Leave(room) => self.leave(room).await,
            Request::Forget => self.forget().await,
            Request::History { of, before, limit } => self.history(of, before, limit).await,
            Request::Moderate {
                room,
                action,
                user,
                seconds,
                reason,
            } => {
                let by = self.ensure_name().await?;
                let measure = Measure {
                    action,
                    user,
                    by,
                    seconds,
                    reason,
                };
                self.moderate(room, measure).await
            }
            Request::Banned(room) => self.banned(room).await,
            Request::Delete { of, which } => self.delete(of, which).await,
        }
    }

    async fn say(
        &mut self,
        room: Option<Room>,
        text: Text,
        reference: &mut Option<String>,
    ) -> Result<(), Refusal> {
        let room = self.target_room(room)?;
        self.count_for_new_name()?;
        match &self.user {
            Some(user) if self.is_in(&room) => {
                self.bus().may_speak(&room, user)?;
                let user = user.clone();
                self.count_new_room(&room)?;
                let message = self.new_message(user, text, reference);
                self.bus().publish(&room, message).await;
                Ok(())
            }
            _ => Err(Refusal::NotInRoom(room)),
        }
    }

    /// The given room, or the first room of the connection.
    fn target_room(&self, room: Option<Room>) -> Result<Room, Refusal> {
        let room = room.or_else(|| self.rooms.first().map(|joined| joined.room.clone()));
        room.ok_or_else(|| Refusal::BadRoom("room is missing".into()))
    }

    fn new_message(&self, user: User, text: Text, reference: &mut Option<String>) -> NewMessage {
        let reference = reference.take();
        NewMessage {
            user,
            origin: self.context.peers.origin(self.peer),
            key_hash: self.credential.key_hash(),
            email: self.email.clone(),
            text,
            to: None,
            holder: None,
            receipt: Receipt::new(self.peer.clone(), reference),
        }
    }

    async fn who(&self, room: Option<Room>) -> Result<(), Refusal> {
        let room = self.target_room(room)?;
        self.credential.may_enter(&room)?;
        let roster = self.bus().roster(&room).await.ok_or(Refusal::Unavailable)?;
        self.peer.send(&Reply::Who(&room, &roster));
        Ok(())
    }

    async fn join(&mut self, join: Join) -> Result<(), Refusal> {
        let Join {
            room,
            user,
            email,
            session,
            past,
            private,
        } = join;
        self.credential.may_enter(&room)?;
        if self.user.is_none() {
            if session.as_ref().is_some_and(|key| key.len() > KEY_BYTES) {
                return Err(Refusal::BadJson("session is longer than 128 bytes".into()));
            }
            let key = session.filter(|key| !key.is_empty());
            if let (Some(key), None) = (key, self.credential.grant()) {
                self.credential = Credential::Key(key.into());
            }
            if let Some(user) = &user {
                self.credential.may_use_name(user)?;
            }
            self.email = email;
            // What comes while private messages are replayed follows them.
            self.peer.outbox.buffer();
            let begun = Box::pin(self.begin(user, private)).await;
            if begun.is_err() && self.user.is_some() {
                // The name is here, and what waits for it is not. The client can come again. What is buffered
                // comes after that, and would hide it.
                self.peer.outbox.close(CloseReason::Unavailable);
            }
            self.peer.outbox.send_buffered();
            begun?;
        } else if user.is_some() && user != self.user {
            return Err(Refusal::Forbidden("this connection has a name already"));
        } else if self.rooms.is_empty() && self.email.is_none() {
            // The URL can give a name, but no email address.
            self.email = email;
        }
        if self.is_in(&room) {
            return self.reenter(&room, past).await;
        }
        if self.rooms.len() >= MOST_ROOMS {
            return Err(Refusal::Forbidden(
                "a connection may be in 100 rooms at most",
            ));
        }
        let entered = self.enter(room, past).await;
        self.peer.outbox.send_buffered();
        entered
    }

    /// Claims a name and sends the private messages that the user has missed.
    async fn begin(&mut self, user: Option<User>, private: Option<Read>) -> Result<(), Refusal> {
        let away = match user {
            Some(user) => self.claim(user).await?,
            None => self.ensure_claim().await?,
        };
        self.catch_up(private, away).await
    }

    async fn leave(&mut self, room: Room) -> Result<(), Refusal> {
        if !self.is_in(&room) {
            return Err(Refusal::NotInRoom(room));
        }
        self.rooms.retain(|joined| joined.room != room);
        let user = self.user.as_ref();
        self.bus().leave(self.peer, user, &room).await;
        Ok(())
    }

    /// Switches from the simple to the typed dialect. The connection keeps its name and leaves its
    /// room.
    async fn switch_to_typed(&mut self, dialect: Dialect) {
        let user = self.user.clone();
        // It leaves first, so that it hears nothing of the room in its new dialect.
        for JoinedRoom { room, .. } in std::mem::take(&mut self.rooms) {
            self.bus().leave(self.peer, user.as_ref(), &room).await;
        }
        self.peer.set_dialect(dialect);
        let Some(user) = &user else { return };
        if matches!(self.credential, Credential::Token(None)) {
            // Once more, now with a session key.
            if self.claim(user.clone()).await.is_ok() {
                return;
            }
            self.credential = Credential::Token(None);
        }
        let session = self.credential.key();
        self.peer.send(&Reply::Named { user, session });
    }
}
