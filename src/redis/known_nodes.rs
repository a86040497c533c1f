//! The nodes of a cluster that are known from before.

use super::cluster::Address;

/// Nodes that no map of the cluster knows yet; more are forgotten.
const MAX_UNMAPPED: usize = 16;

/// The nodes of a cluster.
#[derive(Debug, Default)]
pub struct KnownNodes {
    /// Those of the last map: should the one that the operator has named be gone, another one knows
    /// the rest.
    pub mapped: Vec<Address>,
    /// Nodes that others have sent us to, and no map knows yet.
    pub unmapped: Vec<Address>,
}

impl KnownNodes {
    /// Notes a node that no map knows yet; `false` if it has been noted already, so that it must
    /// have been tried in vain.
    pub fn add_unmapped(&mut self, node: &Address) -> bool {
        if self.unmapped.contains(node) {
            return false;
        }
        self.unmapped.truncate(MAX_UNMAPPED - 1);
        self.unmapped.insert(0, node.clone());
        true
    }

    /// These nodes are connected.
    pub fn set_mapped(&mut self, nodes: &[Address]) {
        self.unmapped.retain(|node| !nodes.contains(node));
        self.mapped = nodes.to_vec();
    }
}
