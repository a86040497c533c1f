//! The bound over all rooms' logs together.
//!
//! Each instance notes the rooms in which its peers speak, measures their logs every few seconds,
//! and reports the sizes to Redis. The script that takes a report knows all logs. It names those
//! that were silent longest until the others are within the bound, and this instance deletes them.
//! A deleted log is like one that has expired: who comes back with `since` is told that messages
//! are missing.

use std::collections::HashSet;
use std::mem;
use std::time::Duration;

use super::client::Client;
use super::reply;
use crate::chat::name::Room;
use crate::mutex::Mutex;
use crate::reactor::Timer;
use crate::redis::error::Error;
use crate::redis::pipeline::BATCH;

/// How often logs are measured.
const PERIOD: Duration = Duration::from_secs(5);
/// How many rooms are noted at most between two measurements.
const MAX_NOTED: usize = 100_000;

/// The rooms that have been spoken in since the last measurement.
#[derive(Debug, Default)]
pub struct LogLimit(Mutex<HashSet<Room>>);

impl LogLimit {
    /// Notes that a room is spoken in.
    pub fn note(&self, room: &Room) {
        let mut noted = self.0.lock();
        if noted.len() < MAX_NOTED && !noted.contains(room) {
            noted.insert(room.clone());
        }
    }

    fn take(&self) -> Vec<Room> {
        let mut noted = self.0.lock();
        mem::take(&mut *noted).into_iter().collect()
    }
}

/// Keeps all logs together within the bound. Never ends by itself: when Redis does not answer, that
/// is for the heartbeat to find out.
pub async fn limit_logs(client: &Client, limit: &LogLimit) -> Error {
    loop {
        Timer::after(PERIOD).await;
        for rooms in limit.take().chunks(BATCH) {
            if let Err(error) = measure(client, rooms).await {
                log::debug!("redis {}: {}", client.endpoint, error.why());
            }
        }
    }
}

async fn measure(client: &Client, rooms: &[Room]) -> Result<(), Error> {
    let scripts = &client.scripts;
    let sizes: Vec<_> = rooms.iter().map(|room| scripts.log_size(room)).collect();
    let sizes = client.pipeline.replies(&sizes).await?;
    for room in rooms {
        client.send(scripts.keep_tombstones(room));
    }
    let sizes = rooms.iter().zip(&sizes);
    let sizes = sizes.filter_map(|(room, size)| Some((room, reply::number(size)?)));
    let report = scripts.limit_logs(sizes);
    let deleted = client.request_early(report).await?;
    let deleted = reply::texts(&deleted).unwrap_or_default();
    for rooms in deleted.chunks(BATCH) {
        let rooms = rooms.iter().filter_map(|room| Room::read(room).ok());
        let delete: Vec<_> = rooms.map(|room| scripts.delete_log(&room)).collect();
        client.pipeline.request_early(&delete).await?;
    }
    Ok(())
}
