//! Where Redis is: one server, a node of a cluster, or the primary that sentinels name.

use std::fmt;

use super::auth::Credentials;
use super::cluster::Address;
use super::connection::{Connection, Primary};
use super::connector::Connector;
use super::error::{Boxed, Error};
use super::sentinel::{self, Sentinel};
use crate::config::{RedisAddress, RedisHost};

/// Where Redis is, and how to sign in there. Displays the address, never a secret.
#[derive(Debug)]
pub struct Endpoint {
    connector: Connector,
    /// Where the operator names sentinels and not Redis itself.
    sentinel: Option<Sentinel>,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.connector.fmt(f)
    }
}

impl Endpoint {
    /// Reads the certificates, once and for all.
    ///
    /// # Errors
    /// One line about an unreadable CA or an impossible host name.
    pub fn new(address: &RedisAddress, client_name: &str) -> Result<Endpoint, String> {
        Ok(Endpoint {
            connector: Connector::new(address, client_name)?,
            sentinel: match &address.host {
                RedisHost::Sentinel(sentinels) => Some(Sentinel::new(sentinels.clone())),
                _ => None,
            },
        })
    }

    /// Opens the connections.
    pub fn connector(&self) -> &Connector {
        &self.connector
    }

    /// Who signs in.
    pub fn credentials(&self) -> &Credentials {
        &self.connector.credentials
    }

    /// Connects and signs in.
    ///
    /// # Errors
    /// One line about what failed, without the address.
    pub fn connect(&self) -> Boxed<'_, Connection> {
        Box::pin(async {
            let connection = match &self.sentinel {
                Some(sentinel) => sentinel.connect(&self.connector).await,
                None => self.connector.connect(None, 0).await,
            };
            connection.map_err(|error| self.connector.hint(error))
        })
    }

    /// Opens a second connection to the server that this one leads to, and signs in. Sentinels may
    /// name another primary by now; they are not asked again.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub fn connect_beside<'a>(&'a self, connection: &'a Connection) -> Boxed<'a, Connection> {
        match &connection.primary {
            Some(primary) => sentinel::connect_to(&self.connector, primary),
            None => self.connect(),
        }
    }

    /// Connects to a node of the cluster, and signs in.
    ///
    /// # Errors
    /// One line about what failed, with the node's address.
    pub fn connect_to<'a>(&'a self, node: &'a Address) -> Boxed<'a, Connection> {
        Box::pin(async move {
            let connection = self.connector.connect(Some(node), 0).await;
            connection.map_err(|error| match error {
                Error::Transient(why) => Error::Transient(format!(
                    "node {node}: {why}; its nodes' addresses must be reachable from here"
                )),
                error => error.map(|why| format!("node {node}: {why}")),
            })
        })
    }

    /// Asks the sentinel at this place which Redis is the primary. `None`: there are no sentinels.
    ///
    /// # Errors
    /// One line about what failed, without the sentinel's address.
    pub async fn primary_from(&self, place: usize) -> Option<Result<Address, Error>> {
        Some(
            self.sentinel
                .as_ref()?
                .primary_from(&self.connector, place)
                .await,
        )
    }

    /// Ends with one line when another Redis has become the primary and can be reached. Without
    /// sentinels, never.
    pub async fn primary_changed(&self, primary: Option<&Primary>) -> Error {
        match (&self.sentinel, primary) {
            (Some(sentinel), Some(primary)) => {
                sentinel.primary_changed(&self.connector, primary).await
            }
            _ => smol::future::pending().await,
        }
    }
}
