//! What a request says of the page it is from and of the host it asks, and what a page of another
//! site may know of the answer (CORS).

use super::http::{Answer, Head};
use crate::config::{Hosts, Origins};

/// A page of another site must not speak with its visitors' names (RFC 6455, section 10.2).
pub(super) fn check_origin(head: &Head, origins: &Origins) -> Result<(), Answer> {
    match head.header("origin") {
        Some(origin) if !origins.allow(origin, head.host()) => {
            Err(Answer::text(403, &Origins::refusal(origin)))
        }
        _ => Ok(()),
    }
}

/// A name that somebody else's DNS points here is not the server's (DNS rebinding).
///
/// # Errors
/// 421.
pub fn check_host(head: &Head, hosts: &Hosts) -> Result<(), Answer> {
    match hosts.contain(head.host()) {
        true => Ok(()),
        false => Err(Answer::text(
            421,
            "this server goes by other names: start it with --host for this one",
        )),
    }
}

/// The answer to `OPTIONS`. Who may use these methods from another site is what [`cors`] adds.
pub fn options(methods: &str) -> Answer {
    Answer::empty(204).with("Allow", methods)
}

/// The same answer with what lets a page of an allowed origin read it (Fetch standard, CORS
/// protocol).
pub fn cors(head: &Head, origins: &Origins, mut answer: Answer) -> Answer {
    if origins.vary() {
        answer = answer.with("Vary", "Origin");
    }
    let allowed = head
        .header("origin")
        .and_then(|origin| origins.cors(origin));
    let Some(allowed) = allowed else {
        return answer;
    };
    answer = answer.with("Access-Control-Allow-Origin", allowed).with(
        "Access-Control-Expose-Headers",
        "Retry-After, WWW-Authenticate",
    );
    if answer.status == 204 {
        answer = answer
            .with("Access-Control-Allow-Methods", "POST")
            .with(
                "Access-Control-Allow-Headers",
                "Authorization, Content-Type",
            )
            .with("Access-Control-Max-Age", "3600");
    }
    answer
}
