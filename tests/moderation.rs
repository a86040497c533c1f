//! Moderators put people out of a room and silence them.

use serde_json::{Value, json};

use crate::support::{Client, on_one_and_on_two, say};

fn kick(user: &str, seconds: u64) -> Value {
    json!({"type": "kick", "room": "lobby", "user": user, "seconds": seconds, "reason": "spam"})
}

#[test]
fn who_is_kicked_leaves_the_room_and_cannot_come_back_for_a_while() {
    on_one_and_on_two(|servers| {
        let mut moderator = servers.moderator();
        let mut bar = servers.text(2, "bar");
        let mut eve = servers.text(3, "eve");
        bar.hears("eve: has joined the chat!");
        moderator.put(kick("Bar", 600));
        let told = json!({
            "type": "moderation", "room": "lobby", "action": "kick", "user": "Bar", "by": "mod",
            "seconds": 600
        });
        moderator.gets_at_last(told);
        moderator.gets(json!({"type": "presence", "userId": "bar", "status": "offline"}));
        bar.hears("* you were removed by mod for 600 s: spam");
        bar.is_closed(4003);
        eve.hears("* Bar was removed for 600 s by mod");
        eve.hears("bar: has left the chat!");
        // Neither the name may come back, nor somebody from the same address.
        for (n, name) in [(4, "bar"), (2, "foo")] {
            let mut again = servers.comes_from(n, &format!("/chat/{name}"));
            let line = again.next();
            let expected = "error: you are banned from lobby for ";
            assert!(
                line.starts_with(expected) && line.ends_with(": spam"),
                "{line}"
            );
            again.is_closed(4003);
        }
        // The name has tried from there, too.
        servers.comes_from(4, "/chat/foo").is_closed(4003);
        // Other rooms are open, and who has a token is not hit by the address.
        servers
            .comes_from(2, "/chat/bar?room=attic")
            .hears("Welcome bar!");
        let token = servers.issuer.token("ann");
        let mut ann = servers.comes_from(2, &format!("/chat/ann?token={token}"));
        ann.hears("Welcome ann!");
    });
}

#[test]
fn a_typed_client_that_is_banned_stays_connected_and_hears_that_first() {
    on_one_and_on_two(|servers| {
        let mut moderator = servers.moderator();
        let mut bar = servers.typed(2, "bar");
        bar.put(json!({"type": "join", "room": "attic"}));
        bar.gets(json!({"type": "joined", "room": "attic"}));
        moderator.gets(json!({"type": "presence", "userId": "bar"}));
        moderator.put(json!({"type": "ban", "room": "lobby", "user": "bar", "reason": "a\nb"}));
        let told = json!({
            "type": "moderation", "room": "lobby", "action": "ban", "user": "bar", "by": "mod",
            "reason": "a\u{fffd}b"
        });
        moderator.gets_just(told.clone());
        moderator.gets(json!({"type": "presence", "userId": "bar", "status": "offline"}));
        bar.gets_just(told);
        say(&mut moderator, "he is gone");
        let chat = |room: &str| json!({"type": "chat", "room": room, "text": "hello", "ref": "m"});
        bar.is_refused(chat("lobby"), "not_in_room");
        bar.is_refused(json!({"type": "join", "room": "lobby"}), "banned");
        bar.put(chat("attic"));
        bar.gets_at_last(json!({"type": "ack", "ref": "m"}));

        moderator.put(json!({"type": "banned", "room": "lobby"}));
        moderator.gets_at_last(json!({"type": "banned", "room": "lobby", "entries": [
            {"user": "bar", "until": null, "by": "mod", "reason": "a\u{fffd}b"}
        ]}));
        moderator.put(json!({"type": "unban", "room": "lobby", "user": "BAR"}));
        moderator.gets_at_last(json!({"type": "moderation", "action": "unban", "user": "BAR"}));
        moderator.put(json!({"type": "banned", "room": "lobby"}));
        moderator.gets_just(json!({"type": "banned", "room": "lobby", "entries": []}));
        bar.put(json!({"type": "join", "room": "lobby"}));
        bar.gets_at_last(json!({"type": "joined", "room": "lobby"}));
        moderator.gets(json!({"type": "presence", "userId": "bar", "status": "online"}));
        servers.text(2, "foo");
        let again = json!({"type": "unban", "room": "lobby", "user": "bar"});
        moderator.put(again);
        moderator.gets_at_last(json!({"type": "error", "code": "no_such_user"}));
    });
}

#[test]
fn a_simple_client_is_told_and_closed() {
    on_one_and_on_two(|servers| {
        let mut moderator = servers.moderator();
        let mut bar = servers.comes_from(2, "/ws");
        bar.put(json!({"username": "bar", "message": "hello"}));
        bar.gets(json!({"username": "bar", "message": "hello"}));
        moderator.gets_at_last(json!({"type": "chat", "text": "hello"}));
        moderator.put(kick("bar", 60));
        bar.gets(json!({"type": "error", "code": "banned"}));
        bar.is_closed(4003);
        // By the address; by the name, which comes with the first message.
        let mut again = servers.comes_from(2, "/ws");
        again.gets(json!({"type": "error", "code": "banned"}));
        again.is_closed(4003);
        let mut again = servers.comes_from(3, "/ws");
        again.put(json!({"username": "bar", "message": "it is me"}));
        again.gets(json!({"type": "error", "code": "banned"}));
        again.put(json!({"username": "eve", "message": "fence"}));
        again.gets(json!({"username": "eve", "message": "fence"}));
    });
}

#[test]
fn who_is_muted_hears_and_is_not_heard() {
    on_one_and_on_two(|servers| {
        let mut moderator = servers.moderator();
        let mut bar = servers.text(2, "bar");
        let mut typed = servers.typed(3, "typed");
        bar.hears("typed: has joined the chat!");
        let mute = |user: &str, seconds: u64| json!({"type": "mute", "room": "lobby", "user": user, "seconds": seconds});
        moderator.put(mute("bar", 600));
        bar.hears("* bar was muted for 600 s by mod");
        typed.gets(json!({"type": "moderation", "action": "mute", "user": "bar", "seconds": 600}));
        bar.say("hello");
        bar.hears("error: you are muted in lobby: this was not sent");
        moderator.put(mute("typed", 600));
        bar.hears("* typed was muted for 600 s by mod");
        typed.gets(json!({"type": "moderation", "user": "typed"}));
        typed.is_refused(
            json!({"type": "chat", "room": "lobby", "text": "hello"}),
            "muted",
        );
        // In private they speak.
        bar.say("/msg typed hello");
        typed.gets(json!({"type": "chat", "to": "typed", "text": "hello"}));
        moderator.put(mute("bar", 0));
        bar.hears_at_last("* bar may speak again by mod");
        bar.say("at last");
        typed.gets_at_last(json!({"type": "chat", "userId": "bar", "text": "at last"}));
    });
}

#[test]
fn a_moderator_is_not_put_out_and_nobody_else_has_the_right() {
    on_one_and_on_two(|servers| {
        let mut moderator = servers.moderator();
        let other = json!({"sub": "boss", "mod": ["lobby"]});
        let mut boss = servers.with_token(servers.there, &other);
        for action in ["kick", "ban", "mute"] {
            let against = |user: &str| json!({"type": action, "room": "lobby", "user": user});
            for user in ["BOSS", "mod"] {
                moderator.put(against(user));
                moderator.gets_at_last(json!({"type": "error", "code": "forbidden"}));
            }
        }
        // Where a token does not say so, its bearer has no right; nor has a guest.
        boss.put(json!({"type": "join", "room": "attic"}));
        boss.gets_at_last(json!({"type": "joined", "room": "attic"}));
        let in_the_attic = |kind: &str| json!({"type": kind, "room": "attic", "user": "foo"});
        for kind in ["kick", "ban", "unban", "mute", "banned"] {
            boss.is_refused(in_the_attic(kind), "forbidden");
        }
        let mut bar = servers.text(2, "bar");
        for command in [
            "/kick eve",
            "/ban eve",
            "/unban eve",
            "/mute eve",
            "/banned",
        ] {
            bar.say(command);
            bar.hears("error: you are no moderator of this room");
        }
        bar.say("/delete boss");
        bar.hears("error: there is no such message");
        // Who was a moderator and comes without the right is one no longer.
        boss.leave();
        moderator.gets_at_last(json!({"type": "presence", "userId": "boss", "status": "offline"}));
        let boss = json!({"sub": "boss"});
        let mut boss = servers.with_token(servers.there, &boss);
        moderator.put(kick("boss", 60));
        boss.gets(json!({"type": "moderation", "user": "boss", "reason": "spam"}));
    });
}

#[test]
fn moderators_use_the_text_dialect_too() {
    on_one_and_on_two(|servers| {
        let token = servers.issuer.sign(json!({"sub": "mod", "mod": true}));
        let target = format!("/chat/mod?token={token}");
        let mut moderator = Client::connect(servers.here.addr(), &target);
        moderator.hears("Welcome mod!");
        let mut bar = servers.comes_from(2, "/chat/foo%20bar");
        bar.hears("Welcome foo bar!");
        moderator.hears_at_last("foo bar: has joined the chat!");
        // From here on the instance hears what happens, and does not read it from the log, without the words.
        moderator.say("who are you?");
        bar.hears("mod: who are you?");
        bar.say("buy this");
        moderator.hears("foo bar: buy this");
        moderator.say("/delete \"foo bar\"");
        moderator.hears("* mod took back a message of foo bar: buy this");
        bar.hears("* mod took back a message of foo bar: buy this");
        moderator.say("/mute \"foo bar\"");
        moderator.hears("* foo bar was muted for 600 s by mod");
        moderator.say("/kick \"foo bar\" 60 go and read the rules");
        moderator.hears("* foo bar was removed for 60 s by mod");
        moderator.hears("foo bar: has left the chat!");
        bar.hears_at_last("* you were removed by mod for 60 s: go and read the rules");
        bar.is_closed(4003);
        // Somebody who is not here.
        moderator.say("/ban eve");
        moderator.hears("* eve was banned by mod");
        moderator.say("/banned");
        let list = moderator.next();
        let lines: Vec<&str> = list.split('\n').collect();
        assert_eq!(
            lines[..2],
            ["* banned from lobby: 2", "  eve, by mod"],
            "{list}"
        );
        assert!(lines[2].starts_with("  foo bar for "), "{list}");
        assert!(
            lines[2].ends_with(" s, by mod: go and read the rules"),
            "{list}"
        );
        let mut eve = servers.comes_from(3, "/chat/eve");
        eve.hears("error: you are banned from lobby");
        eve.is_closed(4003);
        moderator.say("/unban eve");
        moderator.hears("* eve is no longer banned by mod");
        for (bad, usage) in [
            ("/kick", "/kick NAME [SECONDS] [REASON]"),
            ("/kick eve -1", "/kick NAME [SECONDS] [REASON]"),
            ("/kick eve 1e400", "/kick NAME [SECONDS] [REASON]"),
            ("/ban", "/ban NAME [REASON]"),
            ("/unban", "/unban NAME"),
            ("/unban foo bar", "/unban NAME"),
            ("/mute eve 1.5", "/mute NAME [SECONDS]"),
            ("/mute eve for ever", "/mute NAME [SECONDS]"),
        ] {
            moderator.say(bad);
            moderator.hears(&format!("error: usage: {usage}"));
        }
        moderator.say("/kick a:b");
        let error = moderator.next();
        assert!(error.starts_with("error: bad user name"), "{error}");
    });
}

#[test]
fn seconds_are_a_whole_number_of_at_most_a_year() {
    on_one_and_on_two(|servers| {
        let mut moderator = servers.moderator();
        let with = |seconds: &str| {
            format!(r#"{{"type":"kick","room":"lobby","user":"bar","seconds":{seconds}}}"#)
        };
        for bad in ["-1", "0.5", "1e400", "1e300", "31622401", "\"60\""] {
            moderator.say(&with(bad));
            moderator.gets(json!({"type": "error", "code": "bad_json"}));
        }
        for (good, seconds) in [("31622400", 31_622_400), ("6e1", 60), ("null", 600)] {
            moderator.say(&with(good));
            moderator.gets(json!({"type": "moderation", "user": "bar", "seconds": seconds}));
        }
        // The last one counts, and 0 seconds let come back at once.
        moderator.say(&with("0"));
        moderator.gets(json!({"type": "moderation", "user": "bar", "seconds": 0}));
        servers.text(2, "bar");
        moderator.put(json!({"type": "kick", "room": "lobby"}));
        moderator.gets_at_last(json!({"type": "error", "code": "bad_name"}));
        let nobody = json!({"type": "kick", "room": "lobby", "user": "a:b"});
        moderator.put(nobody);
        moderator.gets_at_last(json!({"type": "error", "code": "bad_name"}));
    });
}

#[test]
fn a_list_of_bans_has_an_end() {
    on_one_and_on_two(|servers| {
        let mut moderator = servers.moderator();
        let ban = |n: usize| {
            let reason = "\u{1f438}".repeat(100);
            json!({"type": "ban", "room": "lobby", "user": format!("user {n}"), "reason": reason})
        };
        for n in 0..1000 {
            moderator.put(ban(n));
            moderator.gets(json!({"type": "moderation", "user": format!("user {n}")}));
        }
        moderator.is_refused(ban(1000), "forbidden");
        moderator.put(json!({"type": "banned", "room": "lobby"}));
        let banned = moderator.gets(json!({"type": "banned", "room": "lobby"}));
        assert_eq!(banned["entries"].as_array().unwrap().len(), 1000);
        moderator.put(json!({"type": "unban", "room": "lobby", "user": "user 0"}));
        moderator.gets(json!({"type": "moderation", "action": "unban"}));
        moderator.put(ban(1000));
        moderator.gets(json!({"type": "moderation", "action": "ban", "user": "user 1000"}));
    });
}
