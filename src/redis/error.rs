//! What goes wrong with Redis: what trying again can mend, and what it can't.

use std::pin::Pin;

use redis::Value;

/// Why there is no connection.
#[derive(Debug)]
pub enum Error {
    /// Trying again will not mend it: a wrong password, a certificate nobody trusts.
    Fatal(String),
    /// Trying again may.
    Transient(String),
}

impl Error {
    /// The same with other words.
    pub fn map(self, change: impl Fn(String) -> String) -> Error {
        match self {
            Error::Fatal(why) => Error::Fatal(change(why)),
            Error::Transient(why) => Error::Transient(change(why)),
        }
    }
}

/// What becomes of something. Boxed, so that its code is in the binary once, and not with everybody
/// who waits for it.
pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;

/// Makes sure that no answer is an error.
pub fn accept(replies: &[Value], refused: &str) -> Result<(), Error> {
    for reply in replies {
        let Value::ServerError(error) = reply else {
            continue;
        };
        let text = format!("{refused}: {error}");
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
    (wrapped || CODES.contains(&error.code())).then(|| error.to_string())
}
