//! The door: what happens to a connection between its accept and its answer, or its peer_key.

use std::net::IpAddr;
use std::sync::Arc;

use smol::channel::{Sender, WeakSender};
use smol::{Executor, future};

use super::context::{ConnectionPermit, ServerContext};
use super::cors::{check_host, cors, options};
use super::forwarded;
use super::http::{self, Answer, Head, NoHead};
use super::peer::{self, Upgrade};
use super::pending::{Pending, Stage, eviction_answer};
#[cfg(feature = "tokens")]
use super::publish;
use super::route::{ChatRequest, Route, bad_name, route};
use super::socket::{Socket, linger};
use super::tls::error::HandshakeError;
use super::token::Grant;

/// What runs the tasks: any number of threads may lend themselves to it.
pub type Runtime = Arc<Executor<'static>>;

/// A peer's permit, and the sender that keeps the server from ending before the peer.
type Slot = (ConnectionPermit, Sender<()>);

/// What a connection needs on its way in.
#[derive(Clone, Debug)]
pub struct Handshake {
    /// Where its peer's task will run.
    pub runtime: Runtime,
    /// What all connections share.
    pub context: Arc<ServerContext>,
    /// Held by those who become peers.
    pub alive: WeakSender<()>,
    /// Held by those who are on their way in.
    pub coming: Sender<()>,
}

impl Handshake {
    /// Answers a connection's request, or makes a peer of it, unless it has to make room before.
    pub async fn run(self, socket: Arc<Socket>, from: IpAddr, pending: Pending) {
        self.context.connections.add(1);
        let evicted = async { Some(pending.evicted().await) };
        let answered = async {
            self.answer(socket, from, &pending).await;
            None
        };
        let Some(stage) = future::or(evicted, answered).await else {
            return;
        };
        match eviction_answer(stage) {
            Some(answer) => self.log_rejection(from, &answer),
            None => self.log_evicted(from, stage),
        }
    }

    async fn answer(&self, socket: Arc<Socket>, mut from: IpAddr, pending: &Pending) {
        let read = http::read_head(&socket, &|| pending.set_stage(Stage::Speaking)).await;
        let (answer, head_only) = match read {
            Err(NoHead::Gone) => return socket.shutdown(),
            Err(NoHead::Refuse(answer)) => (Err(answer), false),
            Err(NoHead::NoTls(failure)) => {
                self.log_tls_failure(from, failure);
                if failure == HandshakeError::Plain {
                    let line = "this port speaks TLS: use https:// or wss://";
                    let answer = Answer::text(400, line);
                    pending.set_stage(Stage::Answered);
                    self.count(&answer);
                    http::answer(&socket, &answer, false).await;
                }
                return linger(&socket).await;
            }
            Ok((head, ahead)) => {
                from = forwarded::client(&head, from, &self.context.config.trust_proxy);
                let config = &self.context.config;
                let checked = check_host(&head, &config.hosts);
                let answer = match checked.and_then(|()| route(&head, &config.origins)) {
                    Ok(Route::Options(methods)) => Ok(options(methods)),
                    Ok(Route::Page(file)) => Ok(file.answer(&head)),
                    Ok(Route::Health) => Ok(Answer::text(200, "ok")),
                    Ok(Route::Ready) => Ok(self.ready()),
                    #[cfg(feature = "tokens")]
                    Ok(Route::Publish(request)) => {
                        let context = &self.context;
                        pending.set_stage(Stage::Busy);
                        Box::pin(publish::receive(
                            &socket, &head, ahead, from, request, context,
                        ))
                        .await
                    }
                    Ok(Route::Chat(request)) => match self.admit(&head, from, &request) {
                        Ok((grant, permit)) => {
                            let upgrade = Box::new(Upgrade {
                                request,
                                grant,
                                from,
                                ahead,
                            });
                            return self.start_peer(socket, pending, permit, upgrade);
                        }
                        Err(answer) => Err(answer),
                    },
                    Err(answer) if answer.status == 426 => {
                        Err(self.context.authenticator.without_upgrade(&head, answer))
                    }
                    Err(answer) => Err(answer),
                };
                let origins = &self.context.config.origins;
                let cors = |answer| cors(&head, origins, answer);
                (answer.map(cors).map_err(cors), head.method == "HEAD")
            }
        };
        let (Ok(answer) | Err(answer)) = answer
            .inspect(|answer| self.count(answer))
            .inspect_err(|answer| self.log_rejection(from, answer));
        pending.set_stage(Stage::Answered);
        http::answer(&socket, &answer, head_only).await;
        linger(&socket).await;
    }

    /// A place for one more peer, if it may come in, and what keeps the server from ending before it.
    fn admit(
        &self,
        head: &Head,
        from: IpAddr,
        request: &ChatRequest,
    ) -> Result<(Option<Box<Grant>>, Slot), Answer> {
        let (user, room) = (request.user.as_ref(), request.room.as_ref());
        let grant = self.context.authenticator.authorize(head, user, room)?;
        if let (None, Some(user)) = (&grant, user) {
            user.may_be_chosen("").map_err(bad_name)?;
        }
        let alive = self.alive.upgrade();
        let alive = alive.ok_or_else(|| Answer::retry_later(503, "the server shuts down"))?;
        Ok((grant, (self.context.acquire_permit(from)?, alive)))
    }

    fn start_peer(
        &self,
        socket: Arc<Socket>,
        pending: &Pending,
        permit: Slot,
        upgrade: Box<Upgrade>,
    ) {
        if !pending.leave() {
            return;
        }
        // Who has left the pending connections is known there no more.
        let Some(socket) = Arc::into_inner(socket) else {
            return;
        };
        let context = self.context.clone();
        context.requests.count("101");
        // Ends with the connection. A task of its own, since the head's reading takes more memory
        // than a peer is to hold.
        let life = async move {
            peer::serve(socket, upgrade, context).await;
            drop(permit);
        };
        self.runtime.spawn(life).detach();
    }

    fn ready(&self) -> Answer {
        if self.context.draining() {
            return Answer::text(503, "the server shuts down");
        }
        match self.context.bus.health() {
            Ok(()) => Answer::text(200, "ok"),
            Err(why) => Answer::text(503, &why),
        }
    }

    fn count(&self, answer: &Answer) {
        self.context.requests.count(&answer.status.to_string());
    }

    /// Lets the operator know of somebody who was turned away.
    fn log_rejection(&self, from: IpAddr, answer: &Answer) {
        self.count(answer);
        if self.context.rejection_log.record(from, answer) {
            self.flush_rejections();
        }
    }

    /// The same of somebody who had to make room without a word.
    fn log_evicted(&self, from: IpAddr, stage: Stage) {
        let why = match stage {
            Stage::Silent => "it said nothing, and others came",
            _ => "it did not take its answer, and others came",
        };
        if self.context.rejection_log.record_eviction(from, why) {
            self.flush_rejections();
        }
    }

    /// The same of somebody with whom there is no TLS.
    fn log_tls_failure(&self, from: IpAddr, failure: HandshakeError) {
        let (Some(tls), Some(why)) = (&self.context.tls, failure.why()) else {
            return;
        };
        tls.failures.count(why);
        if self.context.rejection_log.record_tls_failure(from, why) {
            self.flush_rejections();
        }
    }

    fn flush_rejections(&self) {
        let context = self.context.clone();
        // Ends when a second has passed in which nobody was turned away.
        let flush = async move { context.rejection_log.flush_until_quiet().await };
        self.runtime.spawn(flush).detach();
    }
}
