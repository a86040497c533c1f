//! Looks for other programs that listen to rooms where the scripts can't see them.

use super::client::Client;
use super::lease_watch::PULSE;
use super::subscriptions::Subscriptions;
use crate::reactor::Timer;
use crate::redis::error::Error;
use crate::redis::pipeline::BATCH;

/// Looks again and again, at so many rooms at once that Redis hardly notices. `nodes`: how many there
/// are.
///
/// # Errors
/// A node does not answer.
pub async fn watch(client: &Client, subscriptions: &Subscriptions, nodes: usize) -> Error {
    loop {
        if let Err(error) = look(client, subscriptions, nodes).await {
            return error;
        }
    }
}

/// Looks once at every room that has peers here.
async fn look(client: &Client, subscriptions: &Subscriptions, nodes: usize) -> Result<(), Error> {
    let (scripts, listeners) = (&client.scripts, &client.scripts.listeners);
    let patterns = scripts.count_patterns();
    // The scripts see all subscribers of a single Redis.
    let rooms = if nodes > 1 {
        subscriptions.wanted()
    } else {
        Vec::new()
    };
    listeners.keep(&rooms);
    let mut portions = rooms.chunks(BATCH);
    loop {
        let answers = client.pipeline.request_all_nodes(&patterns).await?;
        listeners.note_patterns(&answers);
        let rooms = portions.next().unwrap_or_default();
        if !rooms.is_empty() {
            let count = scripts.count_subscribers(rooms);
            let answers = client.pipeline.request_all_nodes(&count).await?;
            listeners.note_subscribers(rooms, &answers);
        }
        Timer::after(PULSE).await;
        if portions.len() == 0 {
            return Ok(());
        }
    }
}
