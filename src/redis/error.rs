//! What goes wrong with Redis: what trying again can mend, and what it can't.

use std::pin::Pin;
use std::time::Duration;

use redis::{ServerError, Value};

use super::cluster::Address;
use crate::time::timeout;

/// Why there is no connection, or no longer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// Trying again will not mend it: a wrong password, a certificate nobody trusts.
    Fatal(String),
    /// Trying again may mend it.
    Transient(String),
    /// A cluster has sent us to a node that was not known when the connections were made.
    NewNode(Address),
    /// The connections work, but only new ones can be signed in with the new token.
    NewToken,
}

impl Error {
    /// The same with other words.
    pub fn map(self, change: impl Fn(String) -> String) -> Error {
        match self {
            Error::Fatal(why) => Error::Fatal(change(why)),
            Error::Transient(why) => Error::Transient(change(why)),
            error => error,
        }
    }

    /// One line for people.
    pub fn why(self) -> String {
        match self {
            Error::Fatal(why) | Error::Transient(why) => why,
            Error::NewNode(node) => {
                format!("node {node}, which has slots now, can't be reached")
            }
            Error::NewToken => "the token has changed".into(),
        }
    }
}

impl From<String> for Error {
    fn from(why: String) -> Error {
        Error::Transient(why)
    }
}

/// Redis has not answered for so long.
pub fn no_answer(limit: Duration) -> Error {
    Error::Transient(format!("no answer within {limit:?}"))
}

/// Waits for an answer, but no longer than `limit`.
pub async fn answer_within<T>(
    limit: Duration,
    answer: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let answer = timeout(limit, answer).await;
    answer.unwrap_or_else(|| Err(no_answer(limit)))
}

/// A boxed future, so that its code is in the binary once, and not in each of its callers.
pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;

/// An error as Redis said it: its code, and what it says.
pub fn text_of(error: &ServerError) -> String {
    match error.details() {
        Some(details) => format!("{} {details}", error.code()),
        None => error.code().to_string(),
    }
}

/// Makes sure that no reply is an error.
pub fn accept(replies: &[Value], refused: &str) -> Result<(), Error> {
    for reply in replies {
        let Value::ServerError(error) = reply else {
            continue;
        };
        let text = format!("{refused}: {}", text_of(error));
        let busy = error
            .details()
            .is_some_and(|text| text.contains("max number of clients"));
        return Err(match error.code() {
            "NOAUTH" => Error::Fatal(format!("{text}; set REDIS_PASSWORD")),
            "MOVED" => Error::Fatal(format!(
                "{text}; it is a cluster: let its user have +cluster|slots"
            )),
            // Its memory or its disk is full, or somebody's script keeps it from working.
            "OOM" | "MISCONF" | "BUSY" => Error::Transient(text),
            _ if busy || transient_error(reply).is_some() => Error::Transient(text),
            _ => Error::Fatal(text),
        });
    }
    Ok(())
}

/// The errors of a Redis that is starting, stepping down, or has forgotten our scripts. A new
/// connection finds the one that works, or loads them again.
pub fn transient_error(value: &Value) -> Option<String> {
    const CODES: [&str; 7] = [
        "LOADING",
        "READONLY",
        "MASTERDOWN",
        "CLUSTERDOWN",
        "TRYAGAIN",
        "NOREPLICAS",
        "NOSCRIPT",
    ];
    let Value::ServerError(error) = value else {
        return None;
    };
    // Redis 6.2 wraps what happens within a script.
    let wrapped = error
        .details()
        .is_some_and(|details| details.contains("-READONLY "));
    (wrapped || CODES.contains(&error.code())).then(|| text_of(error))
}
