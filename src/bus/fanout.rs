//! The one subscriber task: from the bus to the peers.
//!
//! Batches until quiet: before it speaks to a room it lets every reader that has input run first,
//! so that under load many messages share one buffer and one system call per peer. A lone message
//! goes out in the same turn.

use std::iter;
use std::panic::AssertUnwindSafe;

use smol::channel::Receiver;
use smol::future::{self, FutureExt};

use crate::chat::event::Event;
use crate::chat::peers::Peers;
use crate::reactor::next_turn;

/// The most events in one batch, and in the queue in front of it. A full queue slows the senders
/// down.
pub const BATCH: usize = 512;
/// How often one batch waits for what the sockets hold by now: often enough for large batches under
/// load, seldom enough that a message does not wait long while thousands arrive.
const TURNS: usize = 2;

/// Delivers what the bus brings until the bus is gone.
pub async fn run(events: Receiver<Event>, peers: &Peers) {
    let mut batch = Vec::new();
    while let Ok(event) = events.recv().await {
        batch.push(event);
        // Takes what is there, lets others go first, and goes on until that has brought nothing new.
        let mut turns = 0;
        loop {
            let room = BATCH - batch.len();
            batch.extend(iter::from_fn(|| events.try_recv().ok()).take(room));
            if batch.len() == BATCH {
                break;
            }
            // Where several messages come at once, more are probably in the sockets by now.
            if batch.len() > 1 && turns < TURNS {
                turns += 1;
                next_turn().await;
            } else {
                future::yield_now().await;
            }
            if events.is_empty() {
                break;
            }
        }
        let delivery = AssertUnwindSafe(peers.deliver(&mut batch)).catch_unwind();
        if delivery.await.is_err() {
            // A bug costs a batch, not the chat.
            log::error!("a batch of {} events was not delivered", batch.len());
            batch.clear();
        }
    }
}
