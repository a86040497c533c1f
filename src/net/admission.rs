//! Admission: what happens to a connection between its accept and its answer, or its task as a peer.
//!
//! [`Admission`] limits the pending connections, the peers, and the peers from one address, and logs
//! refused connections. The accept loop waits for a permit, accepts, and calls [`Admission::admit`].

mod pending;
mod permits;
mod rejection_log;

use std::net::IpAddr;
use std::sync::Arc;

use smol::channel::{Sender, WeakSender};
use smol::future;

use super::context::{Runtime, ServerContext};
use super::cors::{check_host, cors, options};
use super::forwarded;
use super::http::{self, Answer, Head, NoHead};
use super::peer::{self, Upgrade};
use super::route::{Route, bad_name, route};
use super::socket::{Socket, linger};
use super::tls::error::PLAIN;
use super::token::Grant;
#[cfg(feature = "full")]
use super::{publish, read, take_back};
use crate::chat::dialect::Dialect;
use crate::chat::name::{Room, User};
use pending::eviction_answer;
pub use pending::{MAX_BYTES, Pending, PendingConnections, PendingPermit, Stage};
use permits::{ConnectionPermit, ConnectionPermits};
use rejection_log::RejectionLog;

/// Admits the connections of a server.
#[derive(Debug)]
pub struct Admission {
    runtime: Runtime,
    context: Arc<ServerContext>,
    pub(crate) pending: Arc<PendingConnections>,
    permits: Arc<ConnectionPermits>,
    rejections: Arc<RejectionLog>,
    /// Its channel closes when the last peer has ended.
    peers: WeakSender<()>,
    /// Closes its channel when the last pending connection has ended.
    _alive: Sender<()>,
}

/// A peer's permit, and the sender that keeps the server from ending before the peer.
type PeerPermit = (ConnectionPermit, Sender<()>);

impl Admission {
    /// Admits connections. Each peer holds a sender of `peers`. `alive` is dropped with the last
    /// pending connection.
    pub fn new(
        runtime: Runtime,
        context: Arc<ServerContext>,
        pending: PendingConnections,
        peers: WeakSender<()>,
        alive: Sender<()>,
    ) -> Admission {
        let config = &context.config;
        let permits = ConnectionPermits::new(config.max_peers, config.max_peers_per_ip);
        Admission {
            pending: Arc::new(pending),
            permits: Arc::new(permits),
            rejections: Arc::new(RejectionLog::new(runtime.clone())),
            runtime,
            context,
            peers,
            _alive: alive,
        }
    }

    /// Answers an accepted connection, or makes a peer of it, in a task of its own.
    pub fn admit(self: &Arc<Self>, permit: PendingPermit, socket: Socket, from: IpAddr) {
        self.context.connections.add(1);
        let socket = Arc::new(socket);
        let pending = self.pending.enter(permit, &socket);
        let this = self.clone();
        let handshake = async move {
            let evicted = async { Some(pending.evicted().await) };
            let answered = async {
                this.handshake(socket, from, &pending).await;
                None
            };
            if let Some(stage) = future::or(evicted, answered).await {
                this.log_evicted(from, stage);
            }
        };
        // Ends with its answer, when the peer's own task begins, or when it is evicted.
        self.context.background.spawn(handshake).detach();
    }

    async fn handshake(&self, socket: Arc<Socket>, mut from: IpAddr, pending: &Pending) {
        let config = &self.context.config;
        let read = http::read_head(&socket, &|| pending.set_stage(Stage::Speaking)).await;
        let (answer, head_only) = match read {
            Err(NoHead::Gone) => return socket.shutdown(),
            Err(NoHead::Refuse(answer)) => (Err(answer), false),
            Err(NoHead::NoTls(why)) => {
                self.log_tls_failure(from, why);
                if why == PLAIN {
                    let line = "this port speaks TLS: use https:// or wss://";
                    let answer = Answer::text(400, line);
                    pending.set_stage(Stage::Answered);
                    self.count(&answer);
                    http::answer(&socket, &answer, false).await;
                }
                return linger(&socket).await;
            }
            Ok((head, ahead)) => {
                from = forwarded::client(&head, from, &config.trust_proxy);
                let checked = check_host(&head, &config.hosts);
                let answer = match checked.and_then(|()| route(&head, &config.origins)) {
                    Ok(Route::Options(methods)) => Ok(options(methods)),
                    #[cfg(feature = "full")]
                    Ok(Route::Page(file)) => Ok(file.answer(&head, &config.embed)),
                    // The smallest build has no page.
                    #[cfg(not(feature = "full"))]
                    Ok(Route::Page(file)) => Ok(file.answer(&head, &[])),
                    Ok(Route::Health) => Ok(Answer::text(200, "ok")),
                    Ok(Route::Ready) => Ok(self.ready()),
                    #[cfg(feature = "full")]
                    Ok(Route::Publish(request)) => {
                        pending.set_stage(Stage::Busy);
                        let context = &self.context;
                        // Boxed, since few connections need it.
                        Box::pin(publish::receive(
                            &socket, &head, ahead, from, request, context,
                        ))
                        .await
                    }
                    #[cfg(feature = "full")]
                    Ok(Route::Read(request)) => {
                        pending.set_stage(Stage::Busy);
                        match self.admit_peer(&head, from, None, None, Some(&request.room)) {
                            // The permit is held meanwhile.
                            Ok(_permit) => {
                                Box::pin(read::answer(&head, request, &self.context)).await
                            }
                            Err(answer) => Err(answer),
                        }
                    }
                    #[cfg(feature = "full")]
                    Ok(Route::Delete(request)) => {
                        pending.set_stage(Stage::Busy);
                        Box::pin(take_back::receive(&head, from, request, &self.context)).await
                    }
                    #[cfg(feature = "full")]
                    Ok(Route::Follow(request)) => {
                        match self.admit_peer(&head, from, None, None, request.room.as_ref()) {
                            Ok(_) if head.method == "HEAD" => Ok(Answer::events()),
                            Ok((grant, permit)) => {
                                let answer = cors(&head, &config.origins, Answer::events());
                                let upgrade = Box::new(Upgrade {
                                    request,
                                    grant,
                                    from,
                                    ahead,
                                    answer: answer.bytes(true).into(),
                                });
                                return self.start_peer(socket, pending, permit, upgrade);
                            }
                            Err(answer) => Err(answer),
                        }
                    }
                    Ok(Route::Chat(request, handshake)) => {
                        let (user, room) = (request.user.as_ref(), request.room.as_ref());
                        let session = request.session.as_deref();
                        match self.admit_peer(&head, from, user, session, room) {
                            Ok((grant, permit)) => {
                                let protocol = handshake.protocol.as_deref();
                                let upgrade = Box::new(Upgrade {
                                    request,
                                    grant,
                                    from,
                                    ahead,
                                    answer: http::switching(&handshake.accept, protocol),
                                });
                                return self.start_peer(socket, pending, permit, upgrade);
                            }
                            Err(answer) => Err(answer),
                        }
                    }
                    Err(answer) if answer.status == 426 => {
                        Err(self.without_upgrade(&head, from, answer))
                    }
                    Err(answer) => Err(answer),
                };
                let cors = |answer| cors(&head, &config.origins, answer);
                (answer.map(cors).map_err(cors), head.method == "HEAD")
            }
        };
        if let Err(answer) = &answer {
            self.log_rejection(from, answer);
        }
        let (Ok(answer) | Err(answer)) = answer;
        self.count(&answer);
        pending.set_stage(Stage::Answered);
        http::answer(&socket, &answer, head_only).await;
        linger(&socket).await;
    }

    /// Checks the token and the name of a request to chat or to read, and takes a permit for its peer.
    fn admit_peer(
        &self,
        head: &Head,
        from: IpAddr,
        user: Option<&User>,
        session: Option<&str>,
        room: Option<&Room>,
    ) -> Result<(Option<Box<Grant>>, PeerPermit), Answer> {
        let grant = self.context.authenticator.authorize(head, user, room)?;
        if let (None, Some(user)) = (&grant, user) {
            let session = session.unwrap_or_default();
            user.may_be_chosen(session).map_err(bad_name)?;
        }
        Ok((grant, self.permit_peer(from)?))
    }

    fn permit_peer(&self, from: IpAddr) -> Result<PeerPermit, Answer> {
        let alive = self.peers.upgrade();
        let alive = alive.ok_or_else(|| Answer::retry_later(503, "the server shuts down"))?;
        Ok((self.permits.acquire(from)?, alive))
    }

    /// The answer to a request for a WebSocket without an upgrade: why one would be refused, if it would.
    /// Browsers do not tell their pages that of a WebSocket itself.
    fn without_upgrade(&self, head: &Head, from: IpAddr, answer: Answer) -> Answer {
        let answer = self.context.authenticator.without_upgrade(head, answer);
        match self.permit_peer(from) {
            Err(refused) if answer.status == 426 => refused,
            _ => answer,
        }
    }

    fn start_peer(
        &self,
        socket: Arc<Socket>,
        pending: &Pending,
        permit: PeerPermit,
        upgrade: Box<Upgrade>,
    ) {
        if !pending.leave() {
            return;
        }
        // Nothing else holds the socket of a connection that is no longer pending.
        let Some(socket) = Arc::into_inner(socket) else {
            return;
        };
        let context = self.context.clone();
        context.requests.count(match upgrade.request.dialect {
            Dialect::Events => "200",
            _ => "101",
        });
        // Ends with the connection. It is a task of its own, since the handshake needs more memory
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

    fn log_rejection(&self, from: IpAddr, answer: &Answer) {
        // An unknown path, a wrong method or a missing upgrade is no trouble.
        if !matches!(answer.status, 404 | 405 | 426) {
            let (status, line) = (answer.status, answer.line());
            self.rejections
                .record(from, format_args!("{status} {line}"));
        }
    }

    fn log_evicted(&self, from: IpAddr, stage: Stage) {
        match eviction_answer(stage) {
            Some(answer) => {
                self.count(&answer);
                self.log_rejection(from, &answer);
            }
            None if stage == Stage::Silent => {
                self.rejections
                    .record(from, "it said nothing, and others came");
            }
            None => {
                let why = "it did not take its answer, and others came";
                self.rejections.record(from, why);
            }
        }
    }

    fn log_tls_failure(&self, from: IpAddr, why: &str) {
        if let Some(tls) = &self.context.tls {
            tls.failures.count(why);
            self.rejections.record(from, format_args!("no TLS, {why}"));
        }
    }
}
