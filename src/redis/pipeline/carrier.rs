//! The loops that carry requests to the nodes and replies back.

use std::pin::Pin;
use std::task::Poll;

use redis::Value;
use smol::future;

use super::Pipeline;
use super::node_queues::Gate;
use super::request::{Part, Request};
use crate::reactor::Timer;
use crate::redis::cluster::AGAIN;
use crate::redis::connection::{Reader, Writer};
use crate::redis::error::Error;
use crate::redis::node_connections::NodeConnections;

/// About how many bytes go out in one write.
const WRITE_SIZE: usize = 256 * 1024;
/// A loop that ends with the error that ends the connections.
pub type Task<'a> = Pin<Box<dyn Future<Output = Error> + Send + 'a>>;

impl<P: Part + Send> Pipeline<P> {
    /// Connects to the nodes: writes early requests and reads replies until a connection breaks.
    /// Call [`disconnect`](Self::disconnect) then: what was taken to be written counts as sent.
    pub fn run(&self, nodes: NodeConnections) -> Task<'_> {
        self.state.lock().queues.connect(nodes.map.as_ref());
        let mut tasks: Vec<Task<'_>> =
            vec![Box::pin(self.retry_slots()), Box::pin(self.refusals.run())];
        for (node, connection) in nodes.connections.into_iter().enumerate() {
            tasks.push(Box::pin(self.write_requests(node, connection.commands)));
            tasks.push(Box::pin(self.read_replies(node, connection.replies)));
        }
        Box::pin(race(tasks))
    }

    async fn write_requests(&self, node: usize, mut commands: Writer) -> Error {
        let mut out = Vec::new();
        loop {
            let idle = {
                let mut state = self.state.lock();
                while out.len() < WRITE_SIZE && state.queues.write_next(node, &mut out, &self.merge)
                {
                }
                out.is_empty().then(|| state.queues.work(node))
            };
            match idle {
                Some(work) => work.await,
                None => match commands.write(&out).await {
                    Ok(()) => out.clear(),
                    Err(error) => return error,
                },
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
        let mut wanted = self.state.lock().queues.retry_wanted();
        loop {
            wanted.await;
            Timer::after(AGAIN).await;
            let mut state = self.state.lock();
            wanted = state.queues.retry_wanted();
            state.queues.retry();
        }
    }

    /// Takes a node's reply to its oldest command in flight. `Err`: this Redis can't do its work
    /// now, so the connection is of no use; the request stays in flight.
    fn on_reply(&self, node: usize, value: Value) -> Result<(), Error> {
        let mut state = self.state.lock();
        let open = state.queues.gate == Gate::Open;
        let requests = state.queues.on_reply(node, &value)?;
        for accepted in requests.iter().filter_map(|request| state.free(request)) {
            self.delays.record(accepted.elapsed().as_micros() as u64);
        }
        drop(state);
        self.changed.notify(usize::MAX);
        let values = values(&requests, value)?;
        for (request, value) in requests.into_iter().zip(values) {
            // The errors of early requests go to their senders.
            if open && let Value::ServerError(error) = &value {
                self.refusals.log(error);
            }
            (request.on_reply)(Some(value));
        }
        Ok(())
    }
}

/// A value for each request. Parts of one command find theirs in a list.
fn values<P: Part>(requests: &[Request<P>], value: Value) -> Result<Vec<Value>, Error> {
    let is_part = requests.first().and_then(Request::part).is_some();
    let values = match value {
        Value::Array(values) if is_part => values,
        value => vec![value; requests.len()],
    };
    match values.len() == requests.len() {
        true => Ok(values),
        false => Err("an answer that makes no sense".to_string().into()),
    }
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
