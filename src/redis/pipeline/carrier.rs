//! The loops that carry requests to the nodes and replies back.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::Poll;

use redis::Value;
use smol::Timer;
use smol::future;

use super::request::{Part, Request};
use super::{Gate, Pipeline};
use crate::redis::cluster::AGAIN;
use crate::redis::connection::{Connection, Reader, Writer};
use crate::redis::error::Error;

/// About how many bytes go out in one write.
const WRITE_SIZE: usize = 256 * 1024;
/// A loop that ends with the error that ends the connections.
pub type Task<'a> = Pin<Box<dyn Future<Output = Error> + Send + 'a>>;

impl<P: Part + Send> Pipeline<P> {
    /// Writes requests and reads replies until a connection breaks. `connections` are those of the
    /// map given to [`connect`](Self::connect).
    pub fn run(&self, connections: Vec<Connection>) -> Task<'_> {
        let mut tasks: Vec<Task<'_>> = vec![Box::pin(self.retry_slots())];
        for (node, connection) in connections.into_iter().enumerate() {
            tasks.push(Box::pin(self.write_requests(node, connection.commands)));
            tasks.push(Box::pin(self.read_replies(node, connection.replies)));
        }
        Box::pin(race(tasks))
    }

    async fn write_requests(&self, node: usize, mut commands: Writer) -> Error {
        let mut out = Vec::new();
        loop {
            out.clear();
            self.take(node, &mut out).await;
            if let Err(error) = commands.write(&out).await {
                return error;
            }
        }
    }

    async fn read_replies(&self, node: usize, mut replies: Reader) -> Error {
        loop {
            let reply = match replies.next().await {
                Ok(reply) => reply,
                Err(error) => return format!("connection lost: {error}").into(),
            };
            if let Err(error) = self.on_reply(node, reply) {
                return error;
            }
        }
    }

    /// Sends requests again whose slot was moving from one node to another.
    async fn retry_slots(&self) -> Error {
        loop {
            let listener = self.retry.listen();
            if !self.lock().queues.has_retries() {
                listener.await;
            }
            Timer::after(AGAIN).await;
            self.lock().queues.retry();
        }
    }

    /// Waits for requests to a node, and moves them to those in flight. Not cancel safe: what was
    /// taken counts as sent. When the write fails, call [`disconnect`](Self::disconnect).
    async fn take(&self, node: usize, out: &mut Vec<u8>) {
        loop {
            let listener = {
                let mut state = self.lock();
                while out.len() < WRITE_SIZE && state.queues.write_next(node, out, &self.merge) {}
                if !out.is_empty() {
                    return;
                }
                state.queues.work(node)
            };
            listener.await;
        }
    }

    /// Takes a node's reply to its oldest request in flight. `Err`: this Redis can't do its work
    /// now, so the connection is of no use; the request stays in flight.
    fn on_reply(&self, node: usize, value: Value) -> Result<(), Error> {
        let mut state = self.lock();
        let open = state.gate == Gate::Open;
        let requests = state.queues.on_reply(node, &value, open)?;
        let mut delays = Vec::new();
        for (bytes, accepted) in requests.iter().filter_map(|request| request.reserved) {
            state.reserved -= 1;
            state.reserved_bytes -= bytes;
            delays.push(accepted.elapsed().as_micros() as u64);
        }
        let retry = state.queues.has_retries();
        drop(state);
        for delay in delays {
            self.delays.record(delay);
        }
        self.changed.notify(usize::MAX);
        if retry {
            self.retry.notify(1);
        }
        // The errors of early requests go to their senders.
        if open && let Value::ServerError(error) = &value {
            // Redis names the command, never its arguments.
            log::warn!("redis refuses: {error}");
        }
        hand_on(requests, value)
    }
}

/// Gives each request its reply. Parts of one command find theirs in a list.
fn hand_on<P: Part>(requests: VecDeque<Request<P>>, value: Value) -> Result<(), Error> {
    let parts = requests.iter().all(|request| request.part().is_some());
    match value {
        Value::Array(values) if parts && values.len() == requests.len() => {
            for (request, value) in requests.into_iter().zip(values) {
                request.on_reply.run(value);
            }
        }
        Value::Array(_) if parts && !requests.is_empty() => {
            return Err("an answer that makes no sense".to_string().into());
        }
        value => {
            for request in requests {
                request.on_reply.run(value.clone());
            }
        }
    }
    Ok(())
}

/// Runs all tasks until one ends.
pub async fn race(mut tasks: Vec<Task<'_>>) -> Error {
    future::poll_fn(|cx| {
        for task in &mut tasks {
            if let Poll::Ready(error) = task.as_mut().poll(cx) {
                return Poll::Ready(error);
            }
        }
        Poll::Pending
    })
    .await
}
