//! Checks the origin and the host of a request, and lets allowed pages of other sites read the
//! answer (CORS).

use super::http::{Answer, Head};
use crate::config::{Authority, Origin, host, origins};

/// The header that names the sites whose pages may read an answer.
pub(super) const ALLOW_ORIGIN: &str = "Access-Control-Allow-Origin";

/// Refuses pages of other sites, which must not speak in their visitors' names (RFC 6455, section
/// 10.2).
pub(super) fn check_origin(head: &Head, allowed: &[Origin]) -> Result<(), Answer> {
    match head.header("origin") {
        Some(origin) if !origins::allow(allowed, origin, head.host.as_ref()) => {
            Err(Answer::text(403, &origins::refusal(origin)))
        }
        _ => Ok(()),
    }
}

/// Refuses a host name that is not the server's, since another domain's DNS may point here (DNS
/// rebinding).
///
/// # Errors
/// 421.
pub fn check_host(head: &Head, names: &[Authority]) -> Result<(), Answer> {
    match host::accepts(names, head.host.as_ref()) {
        true => Ok(()),
        false => Err(Answer::text(
            421,
            "this server goes by other names: start it with --host for this one",
        )),
    }
}

/// The answer to `OPTIONS`. [`cors`] adds which sites may use these methods.
pub fn options(methods: &str) -> Answer {
    Answer::empty(204).with("Allow", methods)
}

/// Adds the headers that let a page of an allowed origin read the answer (Fetch standard, CORS
/// protocol).
pub fn cors(head: &Head, allowed: &[Origin], mut answer: Answer) -> Answer {
    if answer.has(ALLOW_ORIGIN) {
        return answer;
    }
    // Then the answer depends on the origin.
    if !allowed.is_empty() && !allowed.contains(&Origin::Any) {
        answer = answer.with("Vary", "Origin");
    }
    let origin = head.header("origin");
    let Some(origin) = origin.and_then(|origin| origins::cors(allowed, origin)) else {
        return answer;
    };
    answer = answer.with(ALLOW_ORIGIN, origin).with(
        "Access-Control-Expose-Headers",
        "ETag, Retry-After, WWW-Authenticate",
    );
    if head.method == "OPTIONS" {
        answer = answer
            .with("Access-Control-Allow-Methods", "GET, HEAD, POST, DELETE")
            .with(
                "Access-Control-Allow-Headers",
                "Authorization, Content-Type, If-None-Match, Last-Event-ID",
            )
            .with("Access-Control-Max-Age", "3600");
    }
    answer
}
