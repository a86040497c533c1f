//! What the proxy does to those who use it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::Proxy;
use crate::support::{Redis, eventually};

/// Asks Redis on this connection.
fn ask(stream: &mut TcpStream, line: &str) -> String {
    stream.write_all(line.as_bytes()).unwrap();
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).unwrap();
    answer
}

#[test]
fn held_bytes_arrive_after_those_of_a_new_connection() {
    let redis = Redis::on_tcp();
    let proxy = Proxy::to(redis.port());
    let connect = || TcpStream::connect(proxy.addr()).unwrap();
    let (mut old, mut older) = (connect(), connect());
    for stream in [&mut old, &mut older] {
        assert_eq!(ask(stream, "PING\r\n"), "+PONG\r\n");
    }
    proxy.hold();
    old.write_all(b"RPUSH heard old\r\n").unwrap();
    older.write_all(b"RPUSH heard older\r\n").unwrap();
    drop(older);
    proxy.give_up_held();
    assert_eq!(old.read(&mut [0; 8]).unwrap(), 0);
    assert_eq!(ask(&mut connect(), "RPUSH heard new\r\n"), ":1\r\n");
    proxy.let_go();
    let heard = || redis.command(&["LRANGE", "heard", "0", "-1"]);
    eventually("all arrives", || heard().starts_with("*3").then_some(()));
    assert!(heard().starts_with("*3\r\n$3\r\nnew\r\n"));
}

#[test]
fn at_a_distance_questions_and_answers_are_in_order_and_many_under_way() {
    let redis = Redis::on_tcp();
    let proxy = Proxy::to(redis.port());
    proxy.delay(Duration::from_millis(200));
    let mut stream = TcpStream::connect(proxy.addr()).unwrap();
    let begun = Instant::now();
    let questions: String = (0..1000).map(|n| format!("ECHO {n:04}\r\n")).collect();
    for question in questions.as_bytes().chunks(110) {
        stream.write_all(question).unwrap();
    }
    let mut answers = vec![0; 10 * 1000];
    stream.read_exact(&mut answers).unwrap();
    let expected: String = (0..1000).map(|n| format!("$4\r\n{n:04}\r\n")).collect();
    assert_eq!(String::from_utf8(answers).unwrap(), expected);
    assert!(begun.elapsed() >= Duration::from_millis(200));
}

#[test]
fn a_slow_line_takes_its_time() {
    let redis = Redis::on_tcp();
    let proxy = Proxy::to(redis.port());
    proxy.rate(50_000);
    let mut stream = TcpStream::connect(proxy.addr()).unwrap();
    let begun = Instant::now();
    let text = "x".repeat(10_000);
    assert_eq!(ask(&mut stream, &format!("SET key {text}\r\n")), "+OK\r\n");
    assert!(begun.elapsed() >= Duration::from_millis(200));
}
