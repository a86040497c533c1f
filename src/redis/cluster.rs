//! A Redis Cluster: which node has which slots, and how a node redirects a command (Redis cluster
//! specification, "Redirection and resharding").

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use redis::Value;

use super::slot::SLOTS;

/// A slot that is moving from one node to another is tried again after this time.
pub const AGAIN: Duration = Duration::from_millis(50);

/// Where a node is, as the cluster says it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Address {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// Which primary has which slots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Map {
    /// The primaries.
    pub nodes: Vec<Address>,
    /// The place among them of each slot's node.
    pub route: Vec<u16>,
}

impl Map {
    /// Reads the answer to `CLUSTER SLOTS` of a node on this host.
    ///
    /// # Errors
    /// One line about a cluster that can't work yet, or an answer that makes no sense.
    pub fn read(reply: &Value, host: &str) -> Result<Map, String> {
        let senseless = || "CLUSTER SLOTS makes no sense".to_string();
        let Value::Array(ranges) = reply else {
            return Err(senseless());
        };
        let mut nodes = Vec::new();
        let mut places = HashMap::new();
        let mut route = vec![None; SLOTS.into()];
        for range in ranges {
            let (first, last, mut node) = range_of(range).ok_or_else(senseless)?;
            if node.host.is_empty() {
                node.host = host.to_string();
            }
            let place = *places.entry(node.clone()).or_insert_with(|| {
                nodes.push(node);
                nodes.len() as u16 - 1
            });
            let slots = route.get_mut(first..=last).ok_or_else(senseless)?;
            slots.fill(Some(place));
        }
        let missing = route.iter().filter(|place| place.is_none()).count();
        if missing == usize::from(SLOTS) {
            return Err("the cluster has no slots yet".into());
        }
        // A request for a missing slot is refused by any node.
        let route = route.into_iter().map(Option::unwrap_or_default).collect();
        Ok(Map { nodes, route })
    }
}

/// First and last slot of a range, and its primary.
fn range_of(range: &Value) -> Option<(usize, usize, Address)> {
    let Value::Array(range) = range else {
        return None;
    };
    let [Value::Int(first), Value::Int(last), Value::Array(node), ..] = &range[..] else {
        return None;
    };
    let [host, Value::Int(port), ..] = &node[..] else {
        return None;
    };
    let host = match host {
        Value::BulkString(host) => String::from_utf8(host.clone()).ok()?,
        Value::Nil => String::new(),
        _ => return None,
    };
    let address = Address {
        // A node that does not know its own name says so.
        host: if host == "?" { String::new() } else { host },
        port: u16::try_from(*port).ok()?,
    };
    let slot = |slot: i64| usize::try_from(slot).ok();
    let (first, last) = (slot(*first)?, slot(*last)?);
    (first <= last).then_some((first, last, address))
}

/// A redirection of a command to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redirect {
    /// From now on.
    Moved,
    /// With this one command, announced by `ASKING`.
    Ask,
    /// Again in a little while: its keys are on their way.
    TryAgain,
}

/// The redirection in a reply of the node at this address, if it is one.
pub fn redirect(reply: &Value, from: &Address) -> Option<(Redirect, Address)> {
    let Value::ServerError(error) = reply else {
        return None;
    };
    let to = || {
        let (_slot, address) = error.details()?.split_once(' ')?;
        let (host, port) = address.rsplit_once(':')?;
        let host = match host {
            "" | "?" => &from.host,
            host => host,
        };
        Some(Address {
            host: host.to_string(),
            port: port.parse().ok()?,
        })
    };
    match error.code() {
        "MOVED" => Some((Redirect::Moved, to()?)),
        "ASK" => Some((Redirect::Ask, to()?)),
        "TRYAGAIN" => Some((Redirect::TryAgain, from.clone())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redis::resp;

    fn parsed(reply: &str) -> Value {
        resp::parsed(reply)
    }

    fn node(host: &str, port: u16) -> Address {
        let host = host.to_string();
        Address { host, port }
    }

    #[test]
    fn a_map_says_where_each_slot_is() {
        let slots = "*3\r\n\
            *4\r\n:0\r\n:8191\r\n*3\r\n$8\r\n10.0.0.1\r\n:7000\r\n$1\r\na\r\n*3\r\n$8\r\n10.0.0.9\r\n:7000\r\n$1\r\nx\r\n\
            *3\r\n:8192\r\n:16382\r\n*4\r\n$-1\r\n:7001\r\n$1\r\nb\r\n*0\r\n\
            *3\r\n:16383\r\n:16383\r\n*3\r\n$8\r\n10.0.0.1\r\n:7000\r\n$1\r\na\r\n";
        let map = Map::read(&parsed(slots), "asked.example").unwrap();
        assert_eq!(
            map.nodes,
            [node("10.0.0.1", 7000), node("asked.example", 7001)]
        );
        assert_eq!((map.route[0], map.route[8191], map.route[8192]), (0, 0, 1));
        assert_eq!((map.route[16_382], map.route[16_383]), (1, 0));
    }

    #[test]
    fn a_map_that_makes_no_sense_is_refused() {
        for bad in [
            "*0\r\n",
            "+OK\r\n",
            "*1\r\n:1\r\n",
            "*1\r\n*3\r\n:0\r\n:16384\r\n*2\r\n$1\r\na\r\n:1\r\n",
            "*1\r\n*3\r\n:5\r\n:4\r\n*2\r\n$1\r\na\r\n:1\r\n",
            "*1\r\n*3\r\n:0\r\n:1\r\n*2\r\n$1\r\na\r\n:70000\r\n",
        ] {
            assert!(Map::read(&parsed(bad), "a").is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_redirect_names_a_node() {
        let from = node("10.0.0.9", 6380);
        for (error, expected) in [
            (
                "-MOVED 3999 10.0.0.1:6381\r\n",
                Some((Redirect::Moved, node("10.0.0.1", 6381))),
            ),
            // The same host, another port.
            (
                "-MOVED 3999 :6381\r\n",
                Some((Redirect::Moved, node("10.0.0.9", 6381))),
            ),
            (
                "-ASK 3999 ?:6381\r\n",
                Some((Redirect::Ask, node("10.0.0.9", 6381))),
            ),
            (
                "-ASK 3999 fd00::1:6381\r\n",
                Some((Redirect::Ask, node("fd00::1", 6381))),
            ),
            (
                "-TRYAGAIN Multiple keys\r\n",
                Some((Redirect::TryAgain, from.clone())),
            ),
            ("-MOVED nonsense\r\n", None),
            ("-ERR no\r\n", None),
            ("+OK\r\n", None),
        ] {
            assert_eq!(redirect(&parsed(error), &from), expected, "{error:?}");
        }
    }
}
