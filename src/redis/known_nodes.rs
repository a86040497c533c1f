//! The nodes of a cluster that are known from before.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::cluster::Address;

/// Nodes that no map of the cluster knows yet; more are forgotten.
const MAX_UNMAPPED: usize = 16;

/// The nodes of a cluster.
#[derive(Debug, Default)]
pub struct KnownNodes(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Those of the last map: should the one that the operator has named be gone, another one knows
    /// the rest.
    mapped: Vec<Address>,
    /// Nodes that others have sent us to, and no map knows yet.
    unmapped: Vec<Address>,
}

impl KnownNodes {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The nodes of the last map.
    pub fn mapped(&self) -> Vec<Address> {
        self.lock().mapped.clone()
    }

    /// The nodes that no map knows yet.
    pub fn unmapped(&self) -> Vec<Address> {
        self.lock().unmapped.clone()
    }

    /// Notes a node that no map knows yet; `false` if it has been noted already, so that it must
    /// have been tried in vain.
    pub fn add_unmapped(&self, node: &Address) -> bool {
        let mut state = self.lock();
        if state.unmapped.contains(node) {
            return false;
        }
        state.unmapped.truncate(MAX_UNMAPPED - 1);
        state.unmapped.insert(0, node.clone());
        true
    }

    /// These nodes are connected.
    pub fn set_mapped(&self, nodes: &[Address]) {
        let mut state = self.lock();
        state.unmapped.retain(|node| !nodes.contains(node));
        state.mapped = nodes.to_vec();
    }
}
