//! The order of parts in flight. Each command of parts names the part before its own that still has no
//! reply, and Redis executes nothing of it before it has seen that one. So when a command fails, no
//! later one of its group overtakes it: all of them are sent again, in order.

use std::collections::HashMap;
use std::hash::Hash;
use std::mem;

use redis::Value;

/// The groups with parts in flight.
pub struct Chains<G>(HashMap<G, Chain>);

#[derive(Default)]
struct Chain {
    /// The place of the part that was sent last.
    last: u64,
    /// How many commands have no reply yet.
    in_flight: usize,
    /// Whether one of them was not executed.
    again: bool,
}

impl<G> Default for Chains<G> {
    fn default() -> Chains<G> {
        Chains(HashMap::new())
    }
}

impl<G: Clone + Eq + Hash> Chains<G> {
    /// Notes that parts up to `last` go out in one command. Returns the place of the part before
    /// them, if it has no reply yet, else 0.
    pub fn sent(&mut self, group: &G, last: u64) -> u64 {
        let chain = match self.0.get_mut(group) {
            Some(chain) => chain,
            None => self.0.entry(group.clone()).or_default(),
        };
        chain.in_flight += 1;
        mem::replace(&mut chain.last, last)
    }

    /// Notes the reply to the oldest command of a group. Returns whether its parts must be sent
    /// again.
    pub fn answered(&mut self, group: &G, reply: &Value) -> bool {
        let Some(chain) = self.0.get_mut(group) else {
            return false;
        };
        chain.again |= matches!(reply, Value::Int(_));
        let again = chain.again;
        chain.in_flight -= 1;
        if chain.in_flight == 0 {
            self.0.remove(group);
        }
        again
    }
}
