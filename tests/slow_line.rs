//! A slow line to Redis: large replies share it with what is live.

use std::thread;

use serde_json::json;

use crate::support::{Proxy, Raw, Redis, TestServer, free_port};

/// 8 Mbit/s, in bytes.
const RATE: u32 = 1_000_000;
/// How many messages are in the log, and their bytes: each reader needs three seconds of the line.
const MESSAGES: usize = 800;
const BYTES: usize = 4_000;
const READERS: usize = 4;

#[test]
fn readers_of_a_whole_log_leave_room_for_what_is_live() {
    let redis = Redis::on_tcp();
    let proxy = Proxy::to(redis.port());
    let near = TestServer::on_with(redis.address(), |config| config.rate = 0);
    let metrics = ([127, 0, 0, 1], free_port()).into();
    let far = TestServer::on_with(proxy.address(), |config| {
        config.rate = 0;
        config.metrics = Some(metrics);
    });
    let mut ann = near.typed_in("ann", "attic");
    let long = "x".repeat(BYTES);
    for n in 0..MESSAGES {
        let text = format!("{n} {long}");
        ann.put(json!({"type": "chat", "room": "attic", "text": text}));
        ann.gets(json!({"type": "chat", "text": text}));
    }
    let mut eve = near.typed_in("eve", "cellar");
    let mut bob = far.typed_in("bob", "cellar");
    eve.gets(json!({"type": "presence"}));
    proxy.rate(RATE);
    thread::scope(|scope| {
        let (far, long) = (&far, &long);
        let read = move |n: usize| {
            let mut reader = far.typed(&format!("reader{n}"));
            reader.put(json!({"type": "join", "room": "attic", "since": "0-0"}));
            reader.gets_at_last(json!({"type": "joined", "complete": true}));
            for n in 0..MESSAGES {
                let text = format!("{n} {long}");
                reader.gets_at_last(json!({"type": "chat", "text": text}));
            }
        };
        let readers: Vec<_> = (0..READERS).map(|n| scope.spawn(move || read(n))).collect();
        let mut n = 0;
        while !readers.iter().all(|reader| reader.is_finished()) {
            n += 1;
            let live = json!({"type": "chat", "room": "cellar", "text": n.to_string()});
            eve.put(live.clone());
            bob.gets(live.clone());
            eve.gets(live.clone());
            bob.put(live.clone());
            eve.gets(live.clone());
            bob.gets(live);
        }
    });
    let page = Raw::get(metrics, "/metrics").1;
    assert!(
        page.contains("\nnatterjack_redis_connects_total 1\n"),
        "{page}"
    );
}
