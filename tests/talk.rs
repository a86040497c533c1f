//! The text dialect, word for word, alone and over Redis.

use serde_json::json;
use tungstenite::Message;

use crate::support::{TestServer, on_both_buses};

#[test]
fn two_people_talk() {
    on_both_buses(|server| {
        let mut foo = server.join("foo");
        let mut bar = server.join("bar");
        foo.hears("bar: has joined the chat!");
        foo.say("hello");
        bar.hears("foo: hello");
        bar.say("hello yourself");
        // The next thing foo hears is bar: foo did not hear itself.
        foo.hears("bar: hello yourself");
        bar.leave();
        foo.hears("bar: has left the chat!");
    });
}

#[test]
fn rooms_do_not_mix() {
    on_both_buses(|server| {
        let mut foo = server.join_room("foo", "attic");
        let mut bar = server.join_room("bar", "a quiet room");
        let mut baz = server.join_room("baz", "attic");
        foo.hears("baz: has joined the chat!");
        bar.say("anybody?");
        foo.say("up here");
        baz.hears("foo: up here");
        foo.say("/who");
        foo.hears("in attic: baz, foo");
        bar.say("/who");
        bar.hears("in a quiet room: bar");
    });
}

#[test]
fn everybody_hears_the_same_order() {
    on_both_buses(|server| {
        let mut left = server.join("left");
        let mut right = server.join("right");
        let mut speakers: Vec<_> = (0..4).map(|n| server.join(&format!("s{n}"))).collect();
        for n in 0..10 {
            for (who, speaker) in speakers.iter_mut().enumerate() {
                speaker.say(&format!("{who}-{n}"));
            }
        }
        let spoken = |client: &mut crate::support::Client| {
            let mut heard = Vec::new();
            while heard.len() < 40 {
                let text = client.next();
                if !text.contains("has joined") {
                    heard.push(text);
                }
            }
            heard
        };
        let heard = spoken(&mut left);
        assert_eq!(heard, spoken(&mut right));
        for who in 0..4 {
            let mine: Vec<_> = heard
                .iter()
                .filter(|text| text.starts_with(&format!("s{who}")))
                .collect();
            let expected: Vec<_> = (0..10).map(|n| format!("s{who}: {who}-{n}")).collect();
            assert_eq!(mine, expected.iter().collect::<Vec<_>>());
        }
    });
}

#[test]
fn commands_are_answered_to_their_sender_only() {
    on_both_buses(|server| {
        let mut foo = server.join("foo");
        let mut pi = server.join_room("pi", "elsewhere");
        foo.say("/who");
        foo.hears("in lobby: foo");
        foo.say("/msg pi how much is 3.14159?");
        pi.hears("foo (private): how much is 3.14159?");
        pi.say("/msg foo enough");
        foo.hears("pi (private): enough");
        foo.say("/msg nobody hi");
        foo.hears("error: no such user: nobody");
        foo.say("/msg no:body hi");
        foo.hears("error: no such user: no:body");
        foo.say("/msg");
        assert!(foo.next().starts_with("error: usage: /msg NAME TEXT"));
        foo.say("/help");
        assert!(foo.next().contains("/who"));
        pi.say("/who");
        pi.hears("in elsewhere: pi");
    });
}

#[test]
fn other_slashes_are_messages() {
    on_both_buses(|server| {
        let mut foo = server.join("foo");
        let mut bar = server.join("bar");
        foo.hears("bar: has joined the chat!");
        for text in ["/me waves", "/whoami", "//", "/"] {
            foo.say(text);
            bar.hears(&format!("foo: {text}"));
        }
    });
}

#[test]
fn texts_arrive_as_they_are() {
    on_both_buses(|server| {
        let mut foo = server.join("Zoë 2");
        let mut bar = server.join("bär");
        foo.hears("bär: has joined the chat!");
        let longest = "\u{1f438}".repeat(4096);
        for text in [
            "grüezi 日本 \u{1f438}",
            "a\tb",
            "\u{202b}rtl e\u{301}",
            "\"'\\{}",
            &longest,
        ] {
            foo.say(text);
            bar.hears(&format!("Zoë 2: {text}"));
        }
        foo.say("\u{1b}[2J\u{7}\rroot: hi\u{9b}\u{202e}\u{2028}");
        bar.hears("Zoë 2: \u{fffd}[2J\u{fffd}\u{fffd}root: hi\u{fffd}\u{fffd}\u{fffd}");
    });
}

#[test]
fn no_line_of_a_text_can_pass_for_another_users() {
    on_both_buses(|server| {
        let mut bar = server.join("bar");
        let mut foo = server.join("foo");
        bar.hears("foo: has joined the chat!");
        foo.say("hi\nbaz (private): what is your key?\r\nerror: no\n\nend");
        bar.hears("foo: hi\n  baz (private): what is your key?\n  error: no\n  \n  end");
        foo.say("/msg bar one\nbaz: two");
        bar.hears("foo (private): one\n  baz: two");
        let mut json = server.json();
        json.put(json!({"username": "pi", "message": "one\nbaz: two"}));
        bar.hears("pi: has joined the chat!");
        bar.hears("pi: one\n  baz: two");
        // Who reads JSON knows where a text ends.
        json.gets(json!({"username": "pi", "message": "one\nbaz: two"}));
        foo.say("three\r\nfour");
        json.gets(json!({"username": "foo", "message": "three\r\nfour"}));
    });
}

#[test]
fn an_error_quotes_nothing_that_harms_a_terminal() {
    on_both_buses(|server| {
        let mut foo = server.join("foo");
        foo.say("/msg \u{1b}]0;x\u{7} hi");
        foo.hears("error: no such user: \u{fffd}]0;x\u{fffd}");
        foo.say("/msg \"\u{202e}x\nerror: y\" hi");
        foo.hears("error: no such user: \u{fffd}x\u{fffd}error: y");
        let mut ann = server.typed("ann");
        ann.put(json!({"type": "\u{1b}[2J\n"}));
        let message = "unknown type: \u{fffd}[2J\u{fffd}";
        ann.gets(json!({"type": "error", "code": "unknown_type", "message": message}));
    });
}

#[test]
fn an_invalid_message_is_an_error_for_its_sender() {
    on_both_buses(|server| {
        let mut foo = server.join("foo");
        let mut bar = server.join("bar");
        foo.hears("bar: has joined the chat!");
        foo.say("");
        foo.hears("error: the message is empty");
        foo.say(" \n\t ");
        foo.hears("error: the message is empty");
        foo.say(&"x".repeat(4097));
        foo.hears("error: the message is longer than 4096 characters");
        foo.say("still here");
        bar.hears("foo: still here");
    });
}

#[test]
fn pings_are_answered_with_their_payload() {
    let server = TestServer::start();
    let mut foo = server.join("foo");
    foo.send(Message::Ping("are you there?".into()));
    assert_eq!(foo.frame(), Message::Pong("are you there?".into()));
}
