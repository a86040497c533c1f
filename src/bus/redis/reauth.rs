//! The living connections, signed in anew before their token ends: nobody is to notice.

use super::client::Client;
use super::subscriptions::Subscriptions;
use crate::redis::error::{Error, accept};

/// Signs all connections in with a new token whenever there is one, in the midst of everything else
/// that is said on them. Ends when Redis refuses it, or when the subscriber can't follow; never
/// where passwords don't end. Whether it followed, the subscriber hears with what is published.
pub async fn reauthenticate(
    client: &Client,
    subscriptions: &Subscriptions,
    reauthenticable: bool,
) -> Error {
    let credentials = client.endpoint.credentials();
    loop {
        let secret = credentials.renewed().await;
        if !reauthenticable {
            return Error::NewToken;
        }
        // First where somebody waits for the answer: the other connection is of no use without it.
        let command = secret.command();
        let replies = match client.pipeline.request_all_nodes(&command).await {
            Ok(replies) => replies,
            Err(error) => return error,
        };
        if let Err(error) = accept(&replies, "sign-in refused") {
            return credentials.refused(true, error);
        }
        subscriptions.send(&command);
        log::debug!("redis {}: signed in with a new token", client.endpoint);
    }
}
