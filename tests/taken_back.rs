//! Messages that are taken back: by their authors, and by moderators.

use natterjack::config::Origin;
use serde_json::{Value, json};

use crate::support::{
    Client, Issuer, Raw, Redis, TestServer, TwoServers, on_both_buses_with, on_one_and_on_two,
    open_to_guests, say, serve,
};

/// What is in the lobby's history, from `chat` the texts.
#[track_caller]
fn history(client: &mut Client) -> Vec<Value> {
    client.put(json!({"type": "history", "room": "lobby"}));
    let history = client.gets_at_last(json!({"type": "history"}));
    history["messages"].as_array().unwrap().clone()
}

#[test]
fn messages_are_taken_back_by_their_authors_and_by_moderators() {
    on_one_and_on_two(|servers| {
        let mut moderator = servers.moderator();
        let mut bar = servers.typed(2, "bar");
        let mut eve = servers.text(3, "eve");
        let ids: Vec<String> = ["one", "two", "three"]
            .iter()
            .map(|text| say(&mut bar, text))
            .collect();
        let long = "x".repeat(41);
        let spam = say(&mut bar, &long);
        for text in ["one", "two", "three", &long] {
            eve.hears(&format!("bar: {text}"));
        }
        let delete = |id: &str| json!({"type": "delete", "room": "lobby", "id": id});
        bar.put(delete(&ids[0]));
        let gone =
            |id: &str, by: &str| json!({"type": "deleted", "room": "lobby", "id": id, "by": by});
        bar.gets_at_last(gone(&ids[0], "bar"));
        eve.hears("* bar took back: one");
        moderator.put(delete(&spam));
        bar.gets_just(gone(&spam, "mod"));
        eve.hears(&format!(
            "* mod took back a message of bar: {}…",
            &long[1..]
        ));
        // The words are nowhere any more.
        let kept = history(&mut moderator);
        let seen = |object: &Value| match object["text"].as_str() {
            Some(text) => text.to_string(),
            None => format!("{} {}", object["type"].as_str().unwrap(), object["by"]),
        };
        let seen: Vec<String> = kept.iter().map(seen).collect();
        assert_eq!(seen, ["deleted \"bar\"", "two", "three", "deleted \"mod\""]);
        assert_eq!(kept[0], gone(&ids[0], "bar"));
        // A replay is complete, and says it in the message's place.
        let mut late = servers.comes_from(4, "/ws?user=late&room=lobby&since=0-0");
        late.gets(json!({"type": "welcome"}));
        late.gets(json!({"type": "joined", "complete": true, "last": spam}));
        late.gets_just(gone(&ids[0], "bar"));
        late.gets(json!({"type": "chat", "text": "two"}));
        late.gets(json!({"type": "chat", "text": "three"}));
        late.gets_just(gone(&spam, "mod"));
        let mut text = servers.comes_from(4, "/chat/text?since=0-0");
        text.hears_in_order(&[
            "Welcome text!",
            "* bar took back: …",
            "bar: two",
            "bar: three",
            "* mod took back a message of bar: …",
        ]);
        let mut simple = servers.comes_from(4, "/ws?since=0-0");
        simple.gets(json!({"message": "two"}));
        simple.gets(json!({"message": "three"}));
        // The numbers go on, and what was said before is known.
        assert_eq!(say(&mut bar, "one"), ids[0]);
        let next = say(&mut bar, "next");
        let number = |id: &str| id.split_once('-').unwrap().1.parse::<u64>().unwrap();
        assert_eq!(number(&next), number(&spam) + 1);
        eve.hears_at_last("bar: next");
    });
}

#[test]
fn nobody_takes_back_what_is_not_their_own() {
    on_one_and_on_two(|servers| {
        let mut bar = servers.typed(2, "bar");
        let mut eve = servers.typed(3, "eve");
        let id = say(&mut bar, "mine");
        let delete =
            |room: &str, id: &str| json!({"type": "delete", "room": room, "id": id, "ref": "r"});
        let no = json!({"type": "error", "code": "forbidden", "ref": "r"});
        eve.put(delete("lobby", &id));
        eve.gets_at_last(no.clone());
        // What is not there; what is another room's; what is no id.
        eve.put(delete("lobby", "7-1"));
        eve.gets_at_last(no.clone());
        bar.put(json!({"type": "join", "room": "attic"}));
        bar.gets_at_last(json!({"type": "joined", "room": "attic"}));
        bar.put(delete("attic", &id));
        bar.gets_at_last(no.clone());
        eve.put(delete("attic", &id));
        eve.gets_at_last(json!({"type": "error", "code": "not_in_room"}));
        eve.is_refused(delete("lobby", "seven"), "bad_json");
        eve.is_refused(json!({"type": "delete", "room": "lobby"}), "bad_json");
        // Twice.
        bar.put(delete("lobby", &id));
        bar.gets_at_last(json!({"type": "deleted", "id": id}));
        bar.put(delete("lobby", &id));
        bar.gets(no.clone());
        // After a reconnect one's messages are one's own; another one of that name has none of them.
        let id = say(&mut bar, "still mine");
        bar.leave();
        eve.gets_at_last(json!({"type": "presence", "userId": "bar", "status": "offline"}));
        let mut bar = servers.typed(4, "bar");
        bar.put(delete("lobby", &id));
        bar.gets_at_last(json!({"type": "deleted", "id": id}));

        let mut ann = servers.text(2, "ann");
        ann.say("by ann");
        let said = eve.gets_at_last(json!({"type": "chat", "text": "by ann"}));
        ann.leave();
        eve.gets_at_last(json!({"type": "presence", "userId": "ann", "status": "offline"}));
        let mut ann = servers.text(2, "ann");
        ann.say(&format!("/delete {}", said["id"].as_str().unwrap()));
        ann.hears("error: this message is somebody else's");
        ann.say("/delete");
        ann.hears("error: there is no such message");
        ann.say("oh");
        ann.say("/delete");
        ann.hears("* ann took back: oh");
        ann.say("/delete eve");
        ann.hears("error: there is no such message");
    });
}

#[test]
fn private_messages_are_taken_back_by_their_senders() {
    on_one_and_on_two(|servers| {
        let mut bar = servers.typed(2, "bar");
        let mut eve = servers.typed(3, "eve");
        bar.put(json!({"type": "chat", "to": "eve", "text": "psst", "ref": "m"}));
        let ack = bar.gets_at_last(json!({"type": "ack", "ref": "m"}));
        let told = json!({"type": "chat", "to": "eve", "id": ack["id"], "text": "psst"});
        eve.gets(told);
        eve.is_refused(
            json!({"type": "delete", "to": "bar", "id": ack["id"]}),
            "forbidden",
        );
        bar.put(json!({"type": "delete", "to": "eve", "id": ack["id"]}));
        let gone = json!({"type": "deleted", "to": "eve", "id": ack["id"], "by": "bar"});
        eve.gets_just(gone.clone());
        bar.gets_at_last(gone.clone());
        eve.put(json!({"type": "history", "to": "bar"}));
        eve.gets(json!({"type": "history", "to": "bar", "messages": [gone]}));
    });
}

/// Asks by HTTP, and returns the status and the body.
#[track_caller]
fn http(server: &TestServer, line: &str, token: &str, body: &str) -> (u16, String) {
    let length = body.len();
    let request = format!(
        "{line} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    );
    Raw::request(server.addr(), request.as_bytes())
}

#[test]
fn messages_are_taken_back_by_http() {
    on_one_and_on_two(|servers| {
        let mut moderator = servers.moderator();
        let door = servers.issuer.token("door");
        let post = |text: &str| {
            let (status, id) = http(servers.there, "POST /rooms/lobby", &door, text);
            assert_eq!(status, 200, "{id}");
            id.trim_end().to_string()
        };
        let delete = |id: &str, token: &str| {
            http(
                servers.there,
                &format!("DELETE /rooms/lobby/{id}"),
                token,
                "",
            )
            .0
        };
        let id = post("the door is open");
        assert_eq!(delete(&id, &servers.issuer.token("window")), 403);
        assert_eq!(delete(&id, "no token"), 401);
        let elsewhere = servers
            .issuer
            .sign(json!({"sub": "door", "rooms": ["attic"]}));
        assert_eq!(delete(&id, &elsewhere), 403);
        assert_eq!(delete(&id, &door), 204);
        let gone = json!({"type": "deleted", "room": "lobby", "id": id, "by": "door"});
        moderator.gets_at_last(gone.clone());
        assert_eq!(delete(&id, &door), 404);
        for unknown in ["7-1", "seven", ""] {
            assert_eq!(delete(unknown, &door), 404, "{unknown:?}");
        }
        let mine = say(&mut moderator, "mine");
        assert_eq!(delete(&mine, &door), 403);
        let boss = servers
            .issuer
            .sign(json!({"sub": "boss", "mod": ["lobby"]}));
        assert_eq!(delete(&mine, &boss), 204);
        moderator.gets_at_last(json!({"type": "deleted", "id": mine, "by": "boss"}));
        // Who is muted or banned publishes nothing.
        for action in ["mute", "ban"] {
            moderator.put(json!({"type": action, "room": "lobby", "user": "door"}));
            moderator.gets_at_last(json!({"type": "moderation", "action": action}));
            let (status, why) = http(servers.there, "POST /rooms/lobby", &door, "hello");
            assert_eq!(status, 403, "{why}");
            assert!(http(servers.there, "POST /rooms/hall", &door, "hello").0 == 200);
        }
    });
}

#[test]
fn a_preflight_request_tells_that_messages_may_be_deleted() {
    let issuer = Issuer::hs256();
    let server = TestServer::with(|config| {
        open_to_guests(config, &issuer);
        config.origins = vec![Origin::parse("https://site.example").unwrap()];
    });
    let mut raw = Raw::connect(server.addr());
    raw.send(
        b"OPTIONS /rooms/lobby/7-1 HTTP/1.1\r\nHost: x\r\nOrigin: https://site.example\r\n\r\n",
    );
    let head = String::from_utf8(raw.rest()).unwrap();
    assert!(head.starts_with("HTTP/1.1 204 "), "{head}");
    assert!(head.contains("\r\nAllow: DELETE, OPTIONS\r\n"), "{head}");
    let methods = "\r\nAccess-Control-Allow-Methods: ";
    let methods = head.split_once(methods).unwrap().1.lines().next().unwrap();
    assert!(
        methods.split(", ").any(|method| method == "DELETE"),
        "{head}"
    );
    let (status, _) = Raw::get(server.addr(), "/rooms/lobby/7-1");
    assert_eq!(status, 405);
}

#[test]
fn a_log_stays_complete_whatever_is_taken_back() {
    on_both_buses_with(
        |config| {
            config.history = 4;
            config.rate = 0;
        },
        |server| {
            let mut ann = server.typed_in("ann", "lobby");
            let mut ids = vec!["0-0".to_string()];
            let mut says = |ann: &mut Client, count: usize| {
                for _ in 0..count {
                    ids.push(say(ann, &ids.len().to_string()));
                }
                ids.clone()
            };
            let delete = |ann: &mut Client, id: &str| {
                ann.put(json!({"type": "delete", "room": "lobby", "id": id}));
                ann.gets_at_last(json!({"type": "deleted", "id": id}));
            };
            // What somebody gets who comes back: the numbers, with a minus where it is a tombstone, and
            // whether that is all.
            let since = |id: &str| {
                let target = format!("/ws?user=late&room=lobby&session=key&since={id}");
                let mut late = Client::connect(server.addr(), &target);
                late.gets(json!({"type": "welcome"}));
                let joined = late.gets(json!({"type": "joined"}));
                late.put(json!({"type": "who", "room": "lobby"}));
                let mut heard = Vec::new();
                loop {
                    let object = late.object();
                    let number = || object["id"].as_str().unwrap().split_once('-').unwrap().1;
                    match object["type"].as_str().unwrap() {
                        "chat" => heard.push(number().to_string()),
                        "deleted" => heard.push(format!("-{}", number())),
                        "who" => break,
                        _ => {}
                    }
                }
                late.leave();
                (heard.join(" "), joined["complete"] == true)
            };
            let is = |list: &str, complete: bool| (list.to_string(), complete);
            let mut ids = says(&mut ann, 4);
            delete(&mut ann, &ids[1]);
            delete(&mut ann, &ids[4]);
            assert_eq!(since("0-0"), is("-1 2 3 -4", true));
            assert_eq!(since(&ids[1]), is("2 3 -4", true));
            assert_eq!(since(&ids[3]), is("-4", true));
            assert_eq!(since(&ids[4]), is("", true));
            // All of it.
            delete(&mut ann, &ids[2]);
            delete(&mut ann, &ids[3]);
            assert_eq!(since("0-0"), is("-1 -2 -3 -4", true));
            ids.clone_from(&says(&mut ann, 4));
            let (all, complete) = since(&ids[4]);
            assert_eq!((&*all, complete), ("5 6 7 8", true));
            // What the log has lost is missing, whether tombstones were before it or not.
            ids.clone_from(&says(&mut ann, 2));
            assert!(!since(&ids[3]).1);
            assert_eq!(since(&ids[6]), is("7 8 9 10", true));
            delete(&mut ann, &ids[7]);
            delete(&mut ann, &ids[10]);
            assert_eq!(since(&ids[6]), is("-7 8 9 -10", true));
            assert!(!since(&ids[3]).1);
            assert_eq!(since(&ids[8]), is("9 -10", true));
            let (heard, _) = since("0-0");
            assert!(heard.ends_with("-7 8 9 -10"), "{heard}");
            // Pages backwards have no hole and end at the beginning.
            let before = |ann: &mut Client, id: &str, limit: usize| {
                ann.put(json!({"type": "history", "room": "lobby", "before": id, "limit": limit}));
                let history = ann.gets_at_last(json!({"type": "history"}));
                let messages = history["messages"].as_array().unwrap();
                let ids = messages.iter().map(|one| one["id"].as_str().unwrap());
                let numbers = ids.map(|id| id.split_once('-').unwrap().1.to_string());
                numbers.collect::<Vec<_>>().join(" ")
            };
            assert_eq!(before(&mut ann, &ids[10], 2), "8 9");
            assert_eq!(before(&mut ann, &ids[8], 100), heard_before(&heard, "8"));
        },
    );
}

/// The numbers before one, of those that somebody has heard.
fn heard_before(heard: &str, end: &str) -> String {
    let numbers = heard
        .split(' ')
        .map(|number| number.trim_start_matches('-'));
    let before: Vec<&str> = numbers.take_while(|number| *number != end).collect();
    before.join(" ")
}

#[test]
fn after_an_hour_only_moderators_take_a_message_back() {
    let issuer = &Issuer::hs256();
    let redis = Redis::start();
    let server = &serve(redis.address(), issuer);
    let servers = TwoServers::new(issuer, server, server);
    let mut moderator = servers.moderator();
    let mut bar = servers.typed(2, "bar");
    let id = say(&mut bar, "long ago");
    moderator.gets_at_last(json!({"type": "chat", "text": "long ago"}));
    // As if an hour had passed since.
    let earlier = "local entry = redis.call('XRANGE', KEYS[1], '-', '+')[1] \
                   local body = string.gsub(entry[2][2], '\"at\":(%d+)', function(at) \
                     return '\"at\":' .. string.format('%.0f', at - 3600001) end) \
                   redis.call('DEL', KEYS[1]) \
                   return redis.call('XADD', KEYS[1], entry[1], 'message', body)";
    assert!(
        redis
            .command(&["EVAL", earlier, "1", "{chat:lobby}:log"])
            .contains(&id)
    );
    let delete = json!({"type": "delete", "room": "lobby", "id": id});
    bar.put(delete.clone());
    let old = json!({"type": "error", "code": "forbidden", "message": "this message is older than an hour"});
    bar.gets_at_last(old);
    moderator.put(delete);
    bar.gets_at_last(json!({"type": "deleted", "id": id, "by": "mod"}));
}
