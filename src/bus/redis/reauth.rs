//! Signs the connections in again before their token ends, so that nobody notices.

use super::client::Client;
use super::subscriptions::Subscriptions;
use crate::redis::error::{Error, accept};

/// Signs all connections in with a new token whenever there is one, between other requests. Ends
/// when Redis refuses it, or when the subscribed connection can't sign in again; never where
/// passwords don't end. The subscriber reads the reply of the subscribed connection.
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
        // First where we wait for the reply: the subscribed connection is of no use alone.
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
