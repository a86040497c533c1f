//! Ends the connections of before at Redis. Commands that a partition has held back would otherwise
//! arrive on them after newer ones.

use redis::{Value, cmd};

use super::connection::Connection;
use super::error::Error;
use super::reply::number;

/// How many connections are remembered at most.
const MAX_CONNECTIONS: usize = 64;

/// The connections for commands that have been made.
#[derive(Debug, Default)]
pub struct Fence {
    /// Those of before.
    old: Vec<ConnectionId>,
    /// Those of now.
    new: Vec<ConnectionId>,
}

/// A process of Redis and the number of a connection there. No number is used twice.
#[derive(Debug, PartialEq, Eq)]
struct ConnectionId {
    process: String,
    number: i64,
}

impl Fence {
    /// New connections are about to be made: those of now are those of before.
    pub fn begin(&mut self) {
        self.old.append(&mut self.new);
        let too_many = self.old.len().saturating_sub(MAX_CONNECTIONS);
        self.old.drain(..too_many);
    }

    /// Sends the commands in `ready`, and ends the connections of before to the same process. Where
    /// that is not permitted, they stay.
    ///
    /// # Errors
    /// A broken connection.
    pub async fn pass(
        &mut self,
        connection: &mut Connection,
        ready: &[Vec<u8>],
    ) -> Result<Vec<Value>, Error> {
        let number_of = cmd("CLIENT").arg("ID").get_packed_command();
        let process = cmd("INFO").arg("server").get_packed_command();
        let commands = [&[number_of, process], ready].concat();
        let mut replies = connection.request(&commands).await?;
        let rest = replies.split_off(2);
        let Some(new) = connection_id(&replies) else {
            return Ok(rest);
        };
        let same = |old: &ConnectionId| old.process == new.process;
        let old = self.old.extract_if(.., |old| same(old));
        let kill = |old: ConnectionId| {
            let kill = ("KILL", "ID", old.number);
            cmd("CLIENT").arg(kill).get_packed_command()
        };
        let kills: Vec<_> = old.map(kill).collect();
        self.new.push(new);
        connection.request(&kills).await?;
        Ok(rest)
    }
}

/// Reads the answers to `CLIENT ID` and `INFO server`.
fn connection_id(replies: &[Value]) -> Option<ConnectionId> {
    let [id, Value::BulkString(info)] = replies else {
        return None;
    };
    let info = String::from_utf8_lossy(info);
    let mut lines = info.lines();
    let process = lines.find_map(|line| line.strip_prefix("run_id:"))?;
    Some(ConnectionId {
        process: process.to_string(),
        number: number(id)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_known_by_its_process_and_its_number() {
        let info =
            Value::BulkString(b"# Server\r\nredis_version:7.0.0\r\nrun_id:beef\r\n".to_vec());
        let known = ConnectionId {
            process: "beef".into(),
            number: 7,
        };
        assert_eq!(connection_id(&[Value::Int(7), info.clone()]), Some(known));
        assert_eq!(connection_id(&[Value::Nil, info]), None);
        assert_eq!(connection_id(&[Value::Int(7), Value::Nil]), None);
    }

    #[test]
    fn not_all_connections_are_remembered() {
        let mut fence = Fence::default();
        for number in 0..100 {
            fence.begin();
            let process = String::new();
            fence.new.push(ConnectionId { process, number });
        }
        assert_eq!(fence.old.len(), MAX_CONNECTIONS);
        assert_eq!(fence.old[0].number, 99 - MAX_CONNECTIONS as i64);
    }
}
