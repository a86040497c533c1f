//! Takes a message back by HTTP: `DELETE /rooms/{room}/{id}`.

use std::net::IpAddr;
use std::time::Instant;

use super::context::ServerContext;
use super::forwarded::address;
use super::http::{Answer, Head};
use super::publish::{BUS_TIME, unavailable};
use super::rate_limits::ConnectionRate;
use super::route::DeleteRequest;
use crate::bus::Deletion;
use crate::chat::event::Refusal;
use crate::chat::moderation::Author;
use crate::chat::name::SessionKeyHash;
use crate::chat::rate::Verdict;
use crate::time::timeout;

/// Takes a message of the token's bearer back, or any if the bearer is a moderator.
///
/// # Errors
/// 401, 403, 404, 429 or 503, with one line that says why.
pub(super) async fn receive(
    head: &Head,
    from: IpAddr,
    request: DeleteRequest,
    context: &ServerContext,
) -> Result<Answer, Answer> {
    let DeleteRequest { room, id } = request;
    let grant = context.authenticator.authenticate(head)?;
    grant.check(None, Some(&room))?;
    if context.draining() {
        return Err(Answer::retry_later(503, "the server shuts down"));
    }
    let by = grant.user.clone();
    let mut rate = ConnectionRate::default();
    if rate.check(
        &context.rate_limits,
        address(from),
        Some(&by),
        Instant::now(),
    ) != Verdict::Pass
    {
        let why = Refusal::RateLimited(context.config.rate).to_string();
        return Err(Answer::text(429, &why).with("Retry-After", "1"));
    }
    let none = || Answer::text(404, &Refusal::NoSuchMessage.to_string());
    let id = id.ok_or_else(none)?;
    let holder = Some(SessionKeyHash::for_token());
    let deletion = Deletion {
        id,
        author: Author::new(&by, holder, context.peers.origin_of_none()),
        by,
        moderator: grant.moderates(&room),
    };
    let line = format!("{room}: {id} taken back by {}", grant.user);
    match timeout(BUS_TIME, context.bus.delete(&room, deletion)).await {
        Some(Ok(())) => {
            log::info!("{line}");
            Ok(Answer::empty(204))
        }
        Some(Err(Refusal::NoSuchMessage)) => Err(none()),
        None | Some(Err(Refusal::Unavailable)) => Err(unavailable()),
        Some(Err(refusal)) => Err(Answer::text(403, &refusal.to_string())),
    }
}
