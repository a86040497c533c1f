//! The living connections, signed in anew before their token ends: nobody is to notice.

use super::link::{Trouble, accept};
use super::session::Over;
use super::{ANSWER_TIME, Redis};

/// Signs both connections in with a new token whenever there is one, in the midst of everything else
/// that is said on them. Ends when Redis refuses it, or when the subscriber can't follow; never
/// where passwords don't end. Whether it followed, the subscriber hears with what is published.
pub async fn renew(bus: &Redis, renewable: bool) -> Over {
    let login = &bus.endpoint.login;
    loop {
        let proof = login.renewed().await;
        if !renewable {
            return Over::Outdated;
        }
        // First where somebody waits for the answer: the other connection is of no use without it.
        let Some(answer) = bus.ask(proof.command()).await else {
            return Over::Broken(format!("no answer within {ANSWER_TIME:?}"));
        };
        if let Err(trouble) = accept(&[answer], "sign-in refused") {
            let (Trouble::Lasting(why) | Trouble::Passing(why)) = login.refused(true, trouble);
            return Over::Broken(why);
        }
        bus.rooms.say(&proof.command());
        log::debug!("redis {}: signed in with a new token", bus.endpoint);
    }
}
