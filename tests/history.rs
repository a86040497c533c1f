//! History: replay for new peers and for peers that come back.

use serde_json::{Value, json};

use crate::support::{Client, Redis, TestServer, on_both_buses, on_both_buses_with};

/// The id of the next message that is heard.
fn id(client: &mut Client) -> String {
    let heard = client.gets(json!({"type": "chat", "id": null}));
    heard["id"].as_str().unwrap().to_string()
}

fn texts(messages: &Value) -> Vec<&str> {
    let messages = messages["messages"].as_array().unwrap();
    messages
        .iter()
        .map(|message| message["text"].as_str().unwrap())
        .collect()
}

#[test]
fn a_peer_that_rejoins_with_since_gets_the_messages_it_missed() {
    on_both_buses(|server| {
        let mut ann = server.typed_in("ann", "attic");
        let mut bob = server.typed_in("bob", "attic");
        ann.gets(json!({"type": "presence"}));
        for text in ["one", "two"] {
            ann.put(json!({"type": "chat", "room": "attic", "text": text}));
            ann.gets(json!({"type": "chat", "text": text}));
        }
        bob.gets(json!({"type": "chat", "text": "one"}));
        let since = id(&mut bob);
        bob.leave();
        ann.gets(json!({"type": "presence", "status": "offline"}));
        for text in ["three", "four"] {
            ann.put(json!({"type": "chat", "room": "attic", "text": text}));
            ann.gets(json!({"type": "chat", "text": text}));
        }
        // Typed: first the members and the last id, then the missed messages.
        let mut bob = server.typed("bob");
        bob.put(json!({"type": "join", "room": "attic", "since": since}));
        let last = format!("{}-4", since.split_once('-').unwrap().0);
        bob.gets(json!({"type": "joined", "last": last, "complete": true}));
        bob.gets(json!({"type": "chat", "text": "three", "userId": "ann", "room": "attic"}));
        bob.gets(json!({"type": "chat", "text": "four", "id": last}));
        // Plain and simple, by the address.
        let query = format!("room=attic&since={since}");
        let mut cat = Client::connect(server.addr(), &format!("/chat/cat?{query}"));
        cat.hears_in_order(&["Welcome cat!", "ann: three", "ann: four"]);
        let mut dan = Client::connect(server.addr(), &format!("/ws?{query}"));
        let words = |text| json!({"email": "", "username": "ann", "message": text});
        dan.gets_just(words("three"));
        dan.gets_just(words("four"));
        // And then it goes on.
        ann.gets(json!({"type": "presence", "userId": "bob"}));
        ann.gets(json!({"type": "presence", "userId": "cat"}));
        ann.put(json!({"type": "chat", "room": "attic", "text": "five"}));
        cat.hears("ann: five");
        dan.gets_just(words("five"));
        bob.gets(json!({"type": "presence", "userId": "cat"}));
        bob.gets(json!({"type": "chat", "text": "five"}));
    });
}

#[test]
fn a_newcomer_may_ask_for_the_last_messages() {
    on_both_buses(|server| {
        let mut foo = server.join("foo");
        let mut fence = server.join("fence");
        foo.hears("fence: has joined the chat!");
        for n in 1..=5 {
            foo.say(&n.to_string());
            fence.hears(&format!("foo: {n}"));
        }
        let mut bar = Client::connect(server.addr(), "/chat/bar?history=2");
        bar.hears_in_order(&["Welcome bar!", "foo: 4", "foo: 5"]);
        let mut all = Client::connect(server.addr(), "/ws?history=1000000");
        for n in 1..=5 {
            all.gets(json!({"username": "foo", "message": n.to_string()}));
        }
        let mut none = Client::connect(server.addr(), "/ws?user=pi&room=lobby&history=0");
        none.gets(json!({"type": "welcome"}));
        none.gets(json!({"type": "joined", "complete": true}));
        let mut typed = server.typed("typed");
        typed.put(json!({"type": "join", "room": "lobby", "history": 1}));
        typed.gets(json!({"type": "joined", "complete": true}));
        typed.gets(json!({"type": "chat", "text": "5"}));
        foo.hears_at_last("typed: has joined the chat!");
        foo.say("6");
        typed.gets(json!({"type": "chat", "text": "6"}));
        none.gets(json!({"type": "presence"}));
        none.gets(json!({"type": "chat", "text": "6"}));
        bar.hears_at_last("foo: 6");
    });
}

#[test]
fn a_log_that_no_longer_reaches_back_says_so() {
    let redis = Redis::start();
    for address in [None, Some(redis.address())] {
        let server = TestServer::with(|config| {
            config.redis = address;
            config.history = 3;
        });
        let mut ann = server.typed_in("ann", "attic");
        let mut ids = Vec::new();
        for n in 1..=5 {
            ann.put(json!({"type": "chat", "room": "attic", "text": n.to_string()}));
            ids.push(id(&mut ann));
        }
        let mut back = |since: &str, complete: bool, missed: &[&str]| {
            let mut bob = server.typed("bob");
            bob.put(json!({"type": "join", "room": "attic", "since": since}));
            bob.gets(json!({"type": "joined", "complete": complete, "last": ids[4]}));
            for text in missed {
                bob.gets(json!({"type": "chat", "text": text}));
            }
            // Nothing else is on its way.
            bob.put(json!({"type": "history", "room": "attic", "limit": 0}));
            bob.gets(json!({"type": "history"}));
            bob.leave();
            ann.gets(json!({"type": "presence", "status": "online"}));
            ann.gets(json!({"type": "presence", "status": "offline"}));
        };
        back(&ids[1], true, &["3", "4", "5"]);
        back(&ids[4], true, &[]);
        back(&ids[0], false, &["3", "4", "5"]);
        back("1-1", false, &["3", "4", "5"]);
        back("0-0", false, &["3", "4", "5"]);
    }
}

#[test]
fn a_replay_can_start_at_the_beginning_of_an_empty_room() {
    on_both_buses(|server| {
        let mut ann = server.typed_in("ann", "attic");
        let mut bob = server.typed("bob");
        bob.put(json!({"type": "join", "room": "attic"}));
        bob.gets(json!({"type": "joined", "last": Value::Null, "complete": true}));
        bob.leave();
        ann.put(json!({"type": "chat", "room": "attic", "text": "hello"}));
        let mut bob = server.typed("bob");
        bob.put(json!({"type": "join", "room": "attic", "since": "0-0"}));
        bob.gets(json!({"type": "joined", "complete": true}));
        bob.gets(json!({"type": "chat", "text": "hello"}));
    });
}

#[test]
fn older_messages_are_read_page_by_page() {
    on_both_buses(|server| {
        let mut ann = server.typed_in("ann", "attic");
        let said: Vec<String> = (1..=20).map(|n| format!("message {n}")).collect();
        for text in &said {
            ann.put(json!({"type": "chat", "room": "attic", "text": text}));
            ann.gets(json!({"type": "chat", "text": text}));
        }
        let mut page = |object: Value| {
            ann.put(object);
            ann.gets(json!({"type": "history", "room": "attic"}))
        };
        let newest = page(json!({"type": "history", "room": "attic", "limit": 8}));
        assert_eq!(texts(&newest), said[12..]);
        let first = &newest["messages"][0];
        assert_eq!(
            (&first["type"], &first["userId"]),
            (&json!("chat"), &json!("ann"))
        );
        let older = page(json!({"type": "history", "room": "attic", "before": first["id"]}));
        assert_eq!(texts(&older), said[..12]);
        for before in [&older["messages"][0]["id"], &json!("0-0")] {
            let none =
                page(json!({"type": "history", "room": "attic", "before": before, "limit": 9}));
            assert_eq!(texts(&none), [""; 0]);
        }
        let end = format!("{0}-{0}", u64::MAX);
        let last = page(json!({"type": "history", "room": "attic", "before": end, "limit": 1}));
        assert_eq!(texts(&last), said[19..]);
        // No page is longer than a hundred.
        let all = page(json!({"type": "history", "room": "attic", "limit": 1_000_000}));
        assert_eq!(texts(&all), said);

        for (object, code) in [
            (json!({"type": "history"}), "bad_room"),
            (json!({"type": "history", "room": "cellar"}), "not_in_room"),
            (
                json!({"type": "history", "room": "attic", "before": "x"}),
                "bad_json",
            ),
            (
                json!({"type": "history", "room": "attic", "limit": -1}),
                "bad_json",
            ),
            (
                json!({"type": "join", "room": "attic", "since": "yesterday"}),
                "bad_json",
            ),
            (
                json!({"type": "join", "room": "attic", "history": "all"}),
                "bad_json",
            ),
        ] {
            ann.is_refused(object, code);
        }
    });
}

#[test]
fn a_peer_that_joins_during_a_flood_hears_everything_once() {
    let redis = Redis::start();
    for address in [None, Some(redis.address())] {
        let server = TestServer::with(|config| {
            config.redis = address;
            config.rate = 0;
            config.history = 100_000;
            // On a busy machine the readers are slow.
            config.outbox = 16 << 20;
        });
        let mut fence = server.typed_in("fence", "attic");
        let addr = server.addr();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                let mut foo = Client::connect(addr, "/chat/foo?room=attic");
                foo.hears("Welcome foo!");
                (0..4000).for_each(|n| foo.say(&n.to_string()));
                foo.say("done");
                foo.leave();
            });
            fence.gets(json!({"type": "presence"}));
            let since = id(&mut fence);
            for n in 0..5 {
                let mut bar = server.typed(&format!("bar{n}"));
                let since = since.clone();
                scope.spawn(move || {
                    bar.put(json!({"type": "join", "room": "attic", "since": since}));
                    bar.gets(json!({"type": "joined", "complete": true}));
                    let mut heard = (1, json!(null));
                    while heard.1 != "done" {
                        let message = bar.object();
                        if message["type"] == "chat" {
                            let (_, n) = message["id"].as_str().unwrap().split_once('-').unwrap();
                            assert_eq!(n, (heard.0 + 1).to_string(), "after {heard:?}");
                            heard = (heard.0 + 1, message["text"].clone());
                        }
                    }
                });
            }
        });
    }
}

#[test]
fn a_peer_that_rejoins_during_a_flood_gets_the_replay_before_live_messages() {
    const BURST: usize = 100;
    on_both_buses_with(
        |config| (config.rate, config.history, config.outbox) = (0, 100_000, 16 << 20),
        |server| {
            let mut bar = server.typed_in("bar", "attic");
            let mut foo = server.join_room("foo", "attic");
            bar.gets(json!({"type": "presence", "userId": "foo"}));
            foo.say("first");
            let epoch = id(&mut bar).split_once('-').unwrap().0.to_string();
            let mut heard = 1;
            for round in 0..60 {
                let until = heard + BURST;
                std::thread::scope(|scope| {
                    scope.spawn(|| (0..BURST).for_each(|n| foo.say(&n.to_string())));
                    // Once in a while it asks for nothing, or for what it has heard already.
                    let since = [None, Some(heard), Some(heard - heard.min(20))][round % 3];
                    let mut join = json!({"type": "join", "room": "attic"});
                    if let Some(since) = since {
                        join["since"] = json!(format!("{epoch}-{since}"));
                    }
                    bar.put(join);
                    let mut joined = false;
                    while !joined || heard < until {
                        let object = bar.object();
                        if object["type"] == "joined" {
                            assert_eq!(object["complete"], true);
                            (joined, heard) = (true, since.unwrap_or(heard));
                            continue;
                        }
                        heard += 1;
                        assert_eq!(object["id"], format!("{epoch}-{heard}"), "round {round}");
                    }
                });
            }
        },
    );
}

#[test]
fn a_long_replay_fits_through_a_small_outbox() {
    let redis = Redis::start();
    for address in [None, Some(redis.address())] {
        let server = TestServer::with(|config| {
            config.redis = address;
            config.rate = 0;
            config.outbox = 64 * 1024;
        });
        let mut foo = server.join("foo");
        let mut fence = server.typed_in("fence", "lobby");
        let long = "x".repeat(4000);
        for n in 0..500 {
            foo.say(&format!("{n} {long}"));
            fence.gets(json!({"type": "chat"}));
        }
        for target in [
            "/chat/bar?history=500",
            "/ws?history=500",
            "/ws?user=pi&room=lobby&history=500",
        ] {
            let mut bar = Client::connect(server.addr(), target);
            for n in 0..500 {
                while !bar.next().contains(&format!("{n} {long}")) {}
            }
            bar.leave();
        }
    }
}

#[test]
fn a_replay_has_no_gaps() {
    const OUTBOX: usize = 7 * 1024 * 1024;
    let words = "\u{10348}".repeat(4000);
    let redis = Redis::start();
    for address in [None, Some(redis.address())] {
        let server = TestServer::with(|config| {
            config.redis = address;
            config.rate = 0;
            config.max_message = 32 * 1024;
            config.outbox = OUTBOX;
            config.history = 200;
        });
        let flood = |room: &str, bytes: usize| {
            let mut foo = server.typed_in("foo", room);
            for n in 0..bytes / words.len() {
                let text = format!("{n} {words}");
                foo.put(json!({"type": "chat", "room": room, "text": text}));
                foo.hears_of("chat");
            }
            foo.leave();
        };
        let mut bar = server.typed_in("bar", "attic");
        bar.put(json!({"type": "chat", "room": "attic", "text": "first"}));
        bar.gets(json!({"type": "chat", "text": "first"}));
        // Its socket is full before it enters the attic, so what is said there meanwhile must wait:
        // more than can, and more than the log keeps.
        let mut slow = server.typed_in("slow", "cellar");
        slow.keeps_little();
        flood("cellar", OUTBOX - 1024 * 1024);
        slow.put(json!({"type": "join", "room": "attic", "history": 1}));
        bar.gets(json!({"type": "presence", "userId": "slow", "status": "online"}));
        let reader =
            std::thread::spawn(move || while bar.hears_of("presence")["status"] != "offline" {});
        flood("attic", OUTBOX + 1024 * 1024);
        let mut heard = 0;
        while let Some(message) = slow.object_or_close(1013) {
            if message["room"] == "attic" && message["type"] == "chat" {
                let (_, n) = message["id"].as_str().unwrap().split_once('-').unwrap();
                heard += 1;
                assert_eq!(n, heard.to_string());
            }
        }
        assert_eq!(heard, 1, "the messages that the log still has are replayed");
        reader.join().unwrap();
    }
}
