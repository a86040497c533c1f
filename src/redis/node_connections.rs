//! The connections for commands: to the one Redis, or to every node of a cluster that has slots.

use redis::{Value, cmd};

use super::cluster::{Address, Map};
use super::connection::Connection;
use super::endpoint::Endpoint;
use super::error::{Boxed, Error, accept};

/// Signed-in connections for commands, not in use yet.
pub struct NodeConnections<'a> {
    endpoint: &'a Endpoint,
    /// Commands that every node is sent first.
    ready: Vec<Vec<u8>>,
    connections: Vec<Connection>,
    /// The cluster's, if it is one; its nodes are in the order of the connections.
    map: Option<Map>,
}

impl<'a> NodeConnections<'a> {
    /// Asks over a connection whether there is a cluster, connects to every node and sends it the
    /// commands in `ready`. Connects also to those `unmapped` nodes that can be reached.
    ///
    /// # Errors
    /// One line about the first node that can't be used.
    pub async fn connect(
        endpoint: &'a Endpoint,
        first: &mut Connection,
        unmapped: &[Address],
        ready: Vec<Vec<u8>>,
    ) -> Result<NodeConnections<'a>, Error> {
        let mut nodes = NodeConnections {
            endpoint,
            ready,
            connections: Vec::new(),
            map: map(endpoint, first).await?,
        };
        let Some(map) = &nodes.map else {
            let connection = endpoint.connect_beside(first).await?;
            nodes.add(connection).await?;
            return Ok(nodes);
        };
        for node in map.nodes.clone() {
            let connection = endpoint.connect_to(&node).await?;
            nodes.add(connection).await?;
        }
        for node in unmapped {
            if nodes.place(node).is_none()
                && let Err(error) = nodes.meet(node).await
            {
                log::debug!("redis {endpoint}: {}", error.why());
            }
        }
        Ok(nodes)
    }

    /// The cluster's map, if there is a cluster.
    pub fn map(&self) -> Option<&Map> {
        self.map.as_ref()
    }

    /// Sends a command to every node of the cluster; there are no replies without a cluster.
    ///
    /// # Errors
    /// A broken connection.
    pub fn request_each<'b>(&'b mut self, packed: &'b [u8]) -> Boxed<'b, Vec<(Address, Value)>> {
        Box::pin(async {
            let nodes = self.map.iter().flat_map(|map| map.nodes.clone());
            let mut heard = Vec::new();
            for (node, connection) in nodes.zip(&mut self.connections) {
                let mut replies = connection.request(&[packed.to_vec()]).await?;
                heard.push((node, replies.pop().unwrap_or(Value::Nil)));
            }
            Ok(heard)
        })
    }

    /// The connections, in the order of the map's nodes.
    pub fn into_connections(self) -> Vec<Connection> {
        self.connections
    }

    async fn add(&mut self, mut connection: Connection) -> Result<(), Error> {
        let replies = connection.request(&self.ready).await?;
        accept(&replies, "refused")?;
        self.connections.push(connection);
        Ok(())
    }

    fn place(&self, node: &Address) -> Option<usize> {
        self.map
            .as_ref()?
            .nodes
            .iter()
            .position(|known| known == node)
    }

    /// Connects to a node that no map has named.
    async fn meet(&mut self, node: &Address) -> Result<(), Error> {
        let connection = self.endpoint.connect_to(node).await?;
        self.add(connection).await?;
        if let Some(map) = &mut self.map {
            map.nodes.push(node.clone());
        }
        Ok(())
    }
}

/// The map of the cluster at the other end, if it is one. A user who may not ask has none.
///
/// # Errors
/// A broken connection, or a cluster that can't work yet.
pub async fn map(endpoint: &Endpoint, connection: &mut Connection) -> Result<Option<Map>, Error> {
    let question = [cmd("CLUSTER").arg("SLOTS").get_packed_command()];
    let reply = connection
        .request(&question)
        .await?
        .pop()
        .unwrap_or(Value::Nil);
    match reply {
        Value::ServerError(error) if error.code() == "LOADING" => {
            Err(Error::Transient(error.to_string()))
        }
        // It knows of no clusters, or is none.
        Value::ServerError(_) => Ok(None),
        reply => {
            let map = Map::read(&reply, endpoint.connector().host_name());
            map.map(Some).map_err(Error::Transient)
        }
    }
}
