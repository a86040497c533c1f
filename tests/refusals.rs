//! Refused requests in the JSON dialects: the client gets an error object, its connection stays open,
//! and nobody else notices.

use serde_json::{Value, json};
use tungstenite::Message;

use crate::support::{TestServer, on_both_buses};

#[test]
fn every_refusal_has_its_code() {
    on_both_buses(|server| {
        let mut bob = server.typed_in("bob", "attic");
        let mut ann = server.typed_in("ann", "attic");
        bob.gets(json!({"type": "presence", "userId": "ann"}));
        let long = "x".repeat(33);
        let longer = "x".repeat(4097);
        for (object, code) in [
            (json!({"type": "dance"}), "unknown_type"),
            (json!({"username": "ann", "message": "hi"}), "unknown_type"),
            (json!({}), "unknown_type"),
            (json!({"type": 5}), "bad_json"),
            (
                json!({"type": "chat", "room": "attic", "text": 5}),
                "bad_json",
            ),
            (
                json!({"type": "chat", "room": ["attic"], "text": "hi"}),
                "bad_json",
            ),
            (
                json!({"type": "chat", "room": "attic", "text": ""}),
                "empty",
            ),
            (
                json!({"type": "chat", "room": "attic", "text": " \n "}),
                "empty",
            ),
            (json!({"type": "chat", "room": "attic"}), "empty"),
            (
                json!({"type": "chat", "room": "attic", "text": longer}),
                "too_long",
            ),
            (json!({"type": "chat", "text": "hi"}), "bad_room"),
            (
                json!({"type": "chat", "room": "elsewhere", "text": "hi"}),
                "not_in_room",
            ),
            (
                json!({"type": "chat", "to": "nobody", "text": "hi"}),
                "no_such_user",
            ),
            (
                json!({"type": "chat", "to": "no:body", "text": "hi"}),
                "no_such_user",
            ),
            (json!({"type": "join"}), "bad_room"),
            (json!({"type": "join", "room": ""}), "bad_room"),
            (json!({"type": "join", "room": "a/b"}), "bad_room"),
            (json!({"type": "join", "room": long}), "bad_room"),
            (
                json!({"type": "join", "room": "a", "user": "other"}),
                "forbidden",
            ),
            (json!({"type": "leave", "room": "elsewhere"}), "not_in_room"),
            (json!({"type": "who", "room": "@"}), "bad_room"),
        ] {
            ann.is_refused(object, code);
        }
        // A reference comes back with the error.
        let error = ann.is_refused(
            json!({"type": "chat", "room": "attic", "text": "", "ref": "r7"}),
            "empty",
        );
        assert_eq!(error["ref"], "r7");
        let error = ann.is_refused(
            json!({"type": "chat", "to": "x", "text": "hi", "ref": "r8"}),
            "no_such_user",
        );
        assert_eq!(error["ref"], "r8");
        ann.put(json!({"type": "chat", "room": "attic", "text": "still here"}));
        bob.gets(json!({"type": "chat", "text": "still here"}));
    });
}

#[test]
fn bad_names_are_refused_on_joining() {
    on_both_buses(|server| {
        let foo = server.join("foo");
        let mut ann = server.json();
        for name in ["", " ann", "a:b", "@ann", "a\u{0}b", &"x".repeat(33)] {
            ann.is_refused(
                json!({"type": "join", "room": "attic", "user": name}),
                "bad_name",
            );
        }
        ann.is_refused(
            json!({"type": "join", "room": "attic", "user": "foo"}),
            "name_taken",
        );
        let email = "x".repeat(255);
        let join = json!({"type": "join", "room": "attic", "user": "ann", "email": email});
        ann.is_refused(join, "too_long");
        let key = "x".repeat(129);
        let join = json!({"type": "join", "room": "attic", "user": "ann", "session": key});
        ann.is_refused(join, "bad_json");
        ann.put(json!({"type": "join", "room": "x".repeat(32), "user": "é".repeat(32)}));
        ann.gets(json!({"type": "welcome", "userId": "é".repeat(32)}));
        ann.gets(json!({"type": "joined"}));
        foo.leave();
    });
}

#[test]
fn a_frame_that_is_no_json_object_is_refused() {
    let server = TestServer::start();
    let nested = format!(
        "{{\"type\":{}1{}}}",
        "[".repeat(10_000 / 2),
        "]".repeat(10_000 / 2)
    );
    for mut client in [server.json(), server.typed("ann")] {
        for text in [
            "hello",
            "",
            "null",
            "5",
            "\"x\"",
            "[]",
            "[\"chat\"]",
            "{",
            "{\"type\":\"chat\"",
            "{type:1}",
            "{\"type\":\"who\",\"type\":\"who\"}",
            "{\"type\":\"who\",\"room\":\"\\ud800\"}",
            "{\"text\":\"a\u{0}b\"}",
            &nested,
        ] {
            client.say(text);
            client.gets(json!({"type": "error", "code": "bad_json", "message": null}));
        }
        // What nobody asked for is ignored, however deep.
        let unknown = "[".repeat(5_000) + &"]".repeat(5_000);
        client.say(&format!(
            "{{\"type\":\"who\",\"room\":\"attic\",\"x\":{unknown}}}"
        ));
        client.gets(json!({"type": "who", "users": []}));
    }
}

#[test]
fn an_error_names_the_message_also_when_the_rest_of_it_is_wrong() {
    let server = TestServer::start();
    let deep = "[".repeat(5_000) + &"]".repeat(5_000);
    let long = "x".repeat(257);
    for mut client in [server.json(), server.typed_in("ann", "attic")] {
        for (object, reference) in [
            (r#"{"type":"chat","room":5,"text":"hi","ref":"r1"}"#, "r1"),
            (
                r#"{"ref":"r2","type":"chat","room":"attic","text":["hi"]}"#,
                "r2",
            ),
            (
                r#"{"type":"history","room":"attic","limit":-1,"ref":"r3"}"#,
                "r3",
            ),
            (
                r#"{"type":"history","room":"attic","limit":0.5,"ref":"r4"}"#,
                "r4",
            ),
            (
                r#"{"type":"join","room":"attic","history":"20","ref":"r5"}"#,
                "r5",
            ),
            (r#"{"type":"chat","text":"a","text":"b","ref":"r6"}"#, "r6"),
            (
                r#"{"type":"chat","room":"\ud83d","text":"hi","ref":"r7"}"#,
                "r7",
            ),
            (r#"{"type":null,"ref":"r8"}"#, "r8"),
            (&format!(r#"{{"type":{deep},"ref":"r9"}}"#), "r9"),
            // Of several, the last that is a string.
            (r#"{"type":"chat","ref":"r10","ref":"r11"}"#, "r11"),
            (r#"{"type":"chat","ref":"r12","ref":null}"#, "r12"),
            // One that no message may have comes back with the error all the same.
            (
                &format!(r#"{{"type":"chat","text":"hi","ref":"{long}"}}"#),
                &long,
            ),
            (
                r#"{"type":"chat","room":"attic","text":"hi","ref":"\ud83d!"}"#,
                "\u{fffd}!",
            ),
            // Broken behind it.
            (r#"{"type":"chat","ref":"r13","text":"hi"#, "r13"),
        ] {
            client.say(object);
            let error = client.gets(json!({"type": "error", "code": null}));
            let code = error["code"].as_str().unwrap();
            assert!(
                ["bad_json", "unknown_type", "bad_name"].contains(&code),
                "{object}: {error}"
            );
            assert_eq!(error["ref"], reference, "{object}");
        }
        // What is not a string is no ref.
        for reference in ["5", "null", "{\"ref\":\"r14\"}", &deep] {
            client.say(&format!(r#"{{"type":"who","room":5,"ref":{reference}}}"#));
            let error = client.gets(json!({"type": "error", "code": "bad_json"}));
            assert!(error.get("ref").is_none(), "{error}");
        }
    }
}

#[test]
fn half_an_emoji_is_said_as_a_replacement_character() {
    on_both_buses(|server| {
        let mut ann = server.typed_in("ann", "lobby");
        let mut bob = server.json();
        for (raw, text) in [
            (r"half an emoji \ud83d", "half an emoji \u{fffd}"),
            (
                r"\udc38\ud83d the wrong way round",
                "\u{fffd}\u{fffd} the wrong way round",
            ),
            (r"\ud83d\ud83d\udc38", "\u{fffd}\u{1f438}"),
            (
                r"\\ud83d \\\ud83d \uD83D\uDC38",
                "\\ud83d \\\u{fffd} \u{1f438}",
            ),
            (r"\ud83d\n\ud83", ""),
        ] {
            ann.say(&format!(
                r#"{{"type":"chat","room":"lobby","text":"{raw}"}}"#
            ));
            if text.is_empty() {
                ann.gets_at_last(json!({"type": "error", "code": "bad_json"}));
                continue;
            }
            ann.gets_at_last(json!({"type": "chat", "text": text}));
            bob.gets(json!({"username": "ann", "message": text}));
            bob.say(&format!(r#"{{"username":"bob","message":"{raw}"}}"#));
            ann.gets_at_last(json!({"type": "chat", "userId": "bob", "text": text}));
            bob.gets(json!({"username": "bob", "message": text}));
        }
    });
}

#[test]
fn whole_numbers_may_be_written_with_a_point() {
    let server = TestServer::start();
    let mut ann = server.typed_in("ann", "attic");
    for text in ["one", "two", "three"] {
        ann.put(json!({"type": "chat", "room": "attic", "text": text}));
        ann.gets(json!({"type": "chat", "text": text}));
    }
    for limit in ["2.0", "2e0", "2"] {
        ann.say(&format!(
            r#"{{"type":"history","room":"attic","limit":{limit}}}"#
        ));
        let history = ann.gets(json!({"type": "history"}));
        assert_eq!(history["messages"].as_array().unwrap().len(), 2, "{limit}");
    }
    ann.say(r#"{"type":"join","room":"attic","history":1.0}"#);
    ann.gets(json!({"type": "joined"}));
    ann.gets(json!({"type": "chat", "text": "three"}));
}

#[test]
fn the_simple_dialect_refuses_with_the_same_objects() {
    on_both_buses(|server| {
        let mut bob = server.json();
        let mut ann = server.json();
        for (object, code) in [
            (json!({"username": "ann", "message": ""}), "empty"),
            (json!({"username": "ann"}), "empty"),
            (
                json!({"username": "ann", "message": "x".repeat(4097)}),
                "too_long",
            ),
            (json!({"message": "hi"}), "bad_name"),
            (json!({"username": "a:b", "message": "hi"}), "bad_name"),
            (json!({"username": 5, "message": "hi"}), "bad_json"),
            (
                json!({"username": "ann", "message": "hi", "email": "x".repeat(255)}),
                "too_long",
            ),
        ] {
            ann.is_refused(object, code);
        }
        ann.put(json!({"username": "ann", "message": "x".repeat(4096)}));
        // Nobody heard of any of it.
        bob.gets(json!({"username": "ann", "message": "x".repeat(4096)}));
    });
}

#[test]
fn texts_of_every_script_arrive_in_json() {
    on_both_buses(|server| {
        let mut ann = server.typed_in("ann", "lobby");
        let mut foo = server.join("foo");
        ann.gets(json!({"type": "presence", "userId": "foo"}));
        for text in [
            "\u{202b}\u{5e9}\u{5dc}\u{5d5}\u{5dd}",
            "e\u{301}\u{302}",
            "\u{1f438}\u{200d}\u{1f525}",
            "\"\\/",
            "<b>&amp;",
        ] {
            ann.put(json!({"type": "chat", "room": "lobby", "text": text}));
            foo.hears(&format!("ann: {text}"));
            ann.gets(json!({"type": "chat", "text": text}));
        }
        ann.put(json!({"type": "chat", "room": "lobby", "text": "a\u{0}\u{1b}[2Jb"}));
        foo.hears("ann: a\u{fffd}\u{fffd}[2Jb");
    });
}

#[test]
fn rooms_per_connection_are_limited() {
    let server = TestServer::with(|config| config.rate = 0);
    let mut ann = server.typed("ann");
    let room = |n: usize| json!({"type": "join", "room": format!("room {n}")});
    for n in 0..100 {
        ann.put(room(n));
        ann.gets(json!({"type": "joined", "count": 1}));
    }
    for n in 100..1000 {
        ann.is_refused(room(n), "forbidden");
    }
    ann.put(json!({"type": "leave", "room": "room 7"}));
    ann.put(room(100));
    ann.gets(json!({"type": "joined", "room": "room 100"}));
}

#[test]
fn a_fast_typed_speaker_is_told_which_message_was_refused() {
    let server = TestServer::start();
    let mut ann = server.typed_in("ann", "lobby");
    for n in 0..70 {
        ann.put(json!({"type": "chat", "room": "lobby", "text": "hi", "ref": n.to_string()}));
    }
    let refused: Value = loop {
        let heard = ann.gets(json!({"type": null}));
        if heard["type"] == "error" {
            break heard;
        }
    };
    assert_eq!(refused["code"], "rate_limited");
    assert!(
        refused["ref"]
            .as_str()
            .is_some_and(|n| n.parse::<u32>().unwrap() >= 59),
        "{refused}"
    );
}

#[test]
fn binary_frames_close_json_connections_too() {
    let server = TestServer::start();
    for mut client in [server.json(), server.typed("ann")] {
        client.send(Message::Binary(vec![0, 1].into()));
        client.is_closed(1003);
    }
}
