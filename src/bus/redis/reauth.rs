//! Signs the connections in again before their token ends, so that nobody notices.

use std::convert::Infallible;

use super::client::Client;
use super::subscriptions::Subscriptions;
use crate::redis::error::{Error, accept};

/// Signs all connections in with a new token whenever there is one, between other requests. The
/// subscriber reads the reply of the subscribed connection.
///
/// # Errors
/// Redis refuses the token, or the subscribed connection can't sign in again.
pub async fn reauthenticate(
    client: &Client,
    subscriptions: &Subscriptions,
    reauthenticable: bool,
) -> Result<Infallible, Error> {
    let credentials = &client.endpoint.credentials;
    loop {
        let secret = credentials.renewed().await;
        if !reauthenticable {
            return Err(Error::NewToken);
        }
        // First where we wait for the reply: the subscribed connection is of no use alone.
        let command = secret.command();
        let replies = client.pipeline.request_all_nodes(&command).await?;
        let accepted = accept(&replies, "sign-in refused");
        accepted.map_err(|error| credentials.refused(true, error))?;
        subscriptions.send(&command);
        log::debug!("redis {}: signed in with a new token", client.endpoint);
    }
}
