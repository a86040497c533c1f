//! The connections for commands: to the one Redis, or to every node of a cluster that has slots.

use redis::{Value, cmd};

use super::cluster::{Address, Map};
use super::connection::Connection;
use super::endpoint::Endpoint;
use super::error::{Boxed, Error, accept, text_of};
use super::fence::Fence;

/// Signed-in connections for commands, not in use yet.
pub struct NodeConnections {
    /// The connections.
    pub connections: Vec<Connection>,
    /// The cluster's map, if there is a cluster; its nodes are in the order of the connections.
    pub map: Option<Map>,
    /// Whether every node of the cluster has sharded PUBSUB.
    pub sharded: bool,
}

impl NodeConnections {
    /// Asks over a connection whether there is a cluster, connects to every node and sends it the
    /// commands in `ready`. Connects also to those `unmapped` nodes that can be reached. Ends the
    /// connections of before.
    ///
    /// # Errors
    /// One line about the first node that can't be used.
    pub async fn connect(
        endpoint: &Endpoint,
        first: &mut Connection,
        unmapped: &[Address],
        ready: &[Vec<u8>],
        fence: &mut Fence,
    ) -> Result<NodeConnections, Error> {
        fence.begin();
        let mut connections = Vec::new();
        let mut sharded = false;
        let mut map = map(endpoint, first).await?;
        let Some(cluster) = &mut map else {
            connections.push(prepare(endpoint.connect_beside(first), ready, fence).await?);
            return Ok(NodeConnections {
                connections,
                map,
                sharded,
            });
        };
        for node in &cluster.nodes {
            connections.push(prepare(endpoint.connect_to(node), ready, fence).await?);
        }
        for node in unmapped {
            if cluster.nodes.contains(node) {
                continue;
            }
            match prepare(endpoint.connect_to(node), ready, fence).await {
                Ok(connection) => {
                    connections.push(connection);
                    cluster.nodes.push(node.clone());
                }
                Err(error) => log::debug!("redis {endpoint}: {}", error.why()),
            }
        }
        sharded = true;
        for connection in &mut connections {
            sharded &= knows_shards(connection).await?;
        }
        Ok(NodeConnections {
            connections,
            map,
            sharded,
        })
    }
}

async fn prepare(
    connection: Boxed<'_, Connection>,
    ready: &[Vec<u8>],
    fence: &mut Fence,
) -> Result<Connection, Error> {
    let mut connection = connection.await?;
    accept(&fence.pass(&mut connection, ready).await?, "refused")?;
    Ok(connection)
}

/// Whether a node has sharded PUBSUB: Redis from 7.0 on, and Valkey. A user who may not ask does without.
async fn knows_shards(connection: &mut Connection) -> Result<bool, Error> {
    let count = cmd("PUBSUB").arg("SHARDNUMSUB").get_packed_command();
    let reply = connection.ask(count).await?;
    Ok(!matches!(reply, Value::ServerError(_)))
}

/// The map of the cluster at the other end, if it is one. A user who may not ask has none.
async fn map(endpoint: &Endpoint, connection: &mut Connection) -> Result<Option<Map>, Error> {
    let question = cmd("CLUSTER").arg("SLOTS").get_packed_command();
    match connection.ask(question).await? {
        Value::ServerError(error) if error.code() == "LOADING" => {
            Err(Error::Transient(text_of(&error)))
        }
        // It knows of no clusters, or is none.
        Value::ServerError(_) => Ok(None),
        reply => {
            let map = Map::read(&reply, endpoint.host_name());
            map.map(Some).map_err(Error::Transient)
        }
    }
}
