//! What moderators do, and what is taken back, holds after restarts and interruptions.

use serde_json::{Value, json};

use crate::support::{
    Alone, Client, Issuer, Proxy, Redis, TwoServers, connect_from, eventually, say, serve,
};

/// A lone server's flags, beside those that it always has.
fn flags(issuer: &Issuer) -> Vec<String> {
    let key = issuer.file().display().to_string();
    ["--guests", "--jwt-key", &key].map(String::from).to_vec()
}

#[test]
fn what_moderators_do_survives_a_power_cut() {
    let issuer = Issuer::hs256();
    let flags = flags(&issuer);
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let mut server = Alone::start_with(tempfile::tempdir().unwrap(), &flags, &[]);
    let token = issuer.sign(json!({"sub": "mod", "mod": true}));
    let target = format!("/ws?user=mod&room=lobby&token={token}");
    let mut moderator = Client::connect(server.addr, &target);
    let ids = server.say("bar", "lobby", &["one", "two"]);
    let stream = connect_from([127, 0, 0, 2], server.addr);
    let mut bar = Client::over(stream, "/ws?user=foo&room=lobby", |_| {}).unwrap();
    bar.gets(json!({"type": "welcome"}));
    bar.gets(json!({"type": "joined"}));
    let in_the_lobby = |object: Value| {
        let mut object = object;
        object["room"] = "lobby".into();
        object
    };
    for (done, kind) in [
        (
            json!({"type": "ban", "user": "foo", "reason": "\"spam\""}),
            "moderation",
        ),
        (
            json!({"type": "mute", "user": "bar", "seconds": 600}),
            "moderation",
        ),
        (
            json!({"type": "kick", "user": "eve", "seconds": 0}),
            "moderation",
        ),
        (json!({"type": "ban", "user": "eve"}), "moderation"),
        (json!({"type": "unban", "user": "eve"}), "moderation"),
        (json!({"type": "delete", "id": ids[0]}), "deleted"),
    ] {
        moderator.put(in_the_lobby(done));
        moderator.hears_of(kind);
    }
    // It is on the disk when the next thing is acknowledged.
    moderator.put(json!({"type": "chat", "room": "lobby", "text": "fence", "ref": "fence"}));
    moderator.gets_at_last(json!({"type": "ack", "ref": "fence"}));
    for compact in [false, true] {
        if compact {
            grow(&server);
        }
        server.cut_and_start_again();
        let mut foo = Client::connect(server.addr, "/chat/foo");
        foo.hears("error: you are banned from lobby: \"spam\"");
        let stream = connect_from([127, 0, 0, 2], server.addr);
        let mut other = Client::over(stream, "/chat/other", |_| {}).unwrap();
        other.hears("error: you are banned from lobby: \"spam\"");
        let stream = connect_from([127, 0, 0, 3], server.addr);
        let mut eve = Client::over(stream, "/chat/eve?since=0-0", |_| {}).unwrap();
        eve.hears_in_order(&[
            "Welcome eve!",
            "* mod took back a message of bar: …",
            "bar: two",
        ]);
        let stream = connect_from([127, 0, 0, 4], server.addr);
        let mut bar = Client::over(stream, "/chat/bar", |_| {}).unwrap();
        bar.hears("Welcome bar!");
        bar.say("hello");
        bar.hears("error: you are muted in lobby: this was not sent");
    }
    let files = server
        .files()
        .into_iter()
        .map(|file| std::fs::read_to_string(file).unwrap());
    assert!(
        !files.collect::<String>().contains("\"text\":\"one\""),
        "the words are gone"
    );
}

/// Says so much that the files are replaced.
fn grow(server: &Alone) {
    let before = server.files();
    let text = "x".repeat(4000);
    let mut client = Client::connect(server.addr, "/ws?user=big&room=hall");
    client.gets(json!({"type": "welcome"}));
    client.gets(json!({"type": "joined"}));
    eventually("the files are replaced", || {
        client.put(json!({"type": "chat", "room": "hall", "text": text}));
        let files = server.files();
        before
            .iter()
            .all(|file| !files.contains(file))
            .then_some(())
    });
}

#[test]
fn what_moderators_do_survives_the_restart_of_both_redis_and_the_instances() {
    let issuer = &Issuer::hs256();
    let mut redis = Redis::start();
    {
        let (here, there) = (
            &serve(redis.address(), issuer),
            &serve(redis.address(), issuer),
        );
        let servers = TwoServers::new(issuer, here, there);
        let mut moderator = servers.moderator();
        let mut foo = servers.typed(2, "foo");
        let mut bar = servers.typed(3, "bar");
        let id = say(&mut bar, "one");
        say(&mut bar, "two");
        foo.gets_at_last(json!({"type": "chat", "text": "two"}));
        for done in [
            json!({"type": "ban", "room": "lobby", "user": "foo"}),
            json!({"type": "mute", "room": "lobby", "user": "bar", "seconds": 600}),
        ] {
            moderator.put(done);
            moderator.hears_of("moderation");
        }
        moderator.put(json!({"type": "delete", "room": "lobby", "id": id}));
        moderator.hears_of("deleted");
        foo.hears_of("moderation");
        // The address is in Redis when the next one from there is refused.
        eventually("the address is banned", || {
            let mut other = servers.comes_from(2, "/chat/other");
            other.next().starts_with("error: ").then_some(())
        });
    }
    redis.kill();
    redis.restart();
    let (here, there) = (
        &serve(redis.address(), issuer),
        &serve(redis.address(), issuer),
    );
    let servers = TwoServers::new(issuer, here, there);
    let target = "/ws?user=foo&room=lobby&session=key+of+foo";
    let mut foo = servers.comes_from(9, target);
    foo.gets(json!({"type": "welcome"}));
    foo.gets(json!({"type": "error", "code": "banned"}));
    servers
        .comes_from(2, "/chat/other")
        .hears("error: you are banned from lobby");
    let mut eve = servers.comes_from(4, "/chat/eve?since=0-0");
    eve.hears_in_order(&[
        "Welcome eve!",
        "* mod took back a message of bar: …",
        "bar: two",
    ]);
    let mut bar = servers.text(3, "bar2");
    bar.say("hello");
    eve.hears_at_last("bar2: hello");
    let target = "/ws?user=bar&room=lobby&session=key+of+bar";
    let mut bar = servers.comes_from(3, target);
    bar.gets(json!({"type": "welcome"}));
    bar.gets(json!({"type": "joined"}));
    let hello = json!({"type": "chat", "room": "lobby", "text": "hello"});
    bar.is_refused(hello, "muted");
}

#[test]
fn an_instance_that_was_cut_off_catches_up_before_it_delivers() {
    let issuer = &Issuer::hs256();
    let redis = Redis::on_tcp();
    let proxy = Proxy::to(redis.port());
    let (here, there) = (
        &serve(redis.address(), issuer),
        &serve(proxy.address(), issuer),
    );
    let servers = TwoServers::new(issuer, here, there);
    let mut moderator = servers.moderator();
    let mut bar = servers.typed(2, "bar");
    let mut eve = servers.text(3, "eve");
    let mut foo = servers.typed(4, "foo");
    let one = say(&mut moderator, "one");
    let two = say(&mut moderator, "two");
    eve.hears_at_last("mod: two");
    foo.gets_at_last(json!({"type": "chat", "text": "two"}));
    proxy.cut();
    there.becomes(503);
    foo.gets(json!({"type": "status", "bus": "waiting"}));
    let delete = |id: &str| json!({"type": "delete", "room": "lobby", "id": id});
    let mut act = |action: Value, answer: &str| {
        moderator.put(action);
        moderator.hears_of(answer);
    };
    act(delete(&one), "deleted");
    act(
        json!({"type": "ban", "room": "lobby", "user": "bar"}),
        "moderation",
    );
    act(
        json!({"type": "mute", "room": "lobby", "user": "foo", "seconds": 600}),
        "moderation",
    );
    let three = say(&mut moderator, "three");
    say(&mut moderator, "four");
    moderator.put(delete(&three));
    moderator.hears_of("deleted");
    proxy.heal();
    there.becomes(200);
    // What they had heard, then what they had not: each once, and nothing of what is gone.
    eve.hears_in_order(&[
        "* mod took back: …",
        "* bar was banned by mod",
        "* foo was muted for 600 s by mod",
        "* mod took back: …",
        "mod: four",
    ]);
    eve.hears("bar: has left the chat!");
    bar.gets_at_last(json!({"type": "moderation", "action": "ban", "user": "bar"}));
    let hello = json!({"type": "chat", "room": "lobby", "text": "hello"});
    bar.put(hello.clone());
    bar.gets_at_last(json!({"type": "error", "code": "not_in_room"}));
    foo.put(hello);
    foo.gets_at_last(json!({"type": "error", "code": "muted"}));
    moderator.gets_at_last(json!({"type": "presence", "userId": "bar", "status": "offline"}));
    // The address is banned, too.
    eventually("the address is banned", || {
        let mut other = servers.comes_from(2, "/chat/other");
        other.next().starts_with("error: ").then_some(())
    });
    // Live again, each thing once.
    moderator.put(delete(&two));
    eve.hears_at_last("* mod took back: two");
    moderator.put(json!({"type": "unban", "room": "lobby", "user": "bar"}));
    eve.hears("* bar is no longer banned by mod");
}

#[test]
fn an_instance_that_is_cut_off_again_while_it_catches_up_misses_nothing() {
    let issuer = &Issuer::hs256();
    let redis = Redis::on_tcp();
    let proxy = Proxy::to(redis.port());
    let (here, there) = (
        &serve(redis.address(), issuer),
        &serve(proxy.address(), issuer),
    );
    let servers = TwoServers::new(issuer, here, there);
    let mut moderator = servers.moderator();
    let mut foo = servers.typed(4, "foo");
    let texts = (0..300).map(|n| n.to_string());
    let ids: Vec<String> = texts.map(|text| say(&mut moderator, &text)).collect();
    foo.gets_at_last(json!({"type": "chat", "text": "299"}));
    proxy.cut();
    there.becomes(503);
    for id in &ids {
        moderator.put(json!({"type": "delete", "room": "lobby", "id": id}));
        moderator.hears_of("deleted");
    }
    // In the middle of the tombstones.
    proxy.heal();
    proxy.stall_after(30_000);
    eventually("it has asked for the tombstones", || {
        let stats = redis.command(&["INFO", "commandstats"]);
        stats.contains("cmdstat_zrangebylex:").then_some(())
    });
    proxy.cut();
    proxy.heal();
    for id in &ids {
        let deleted = foo.gets_at_last(json!({"type": "deleted"}));
        assert_eq!(deleted["id"], *id);
    }
}

#[test]
fn a_redis_that_goes_back_in_time_is_followed() {
    let issuer = &Issuer::hs256();
    let redis = Redis::start();
    let (here, there) = (
        &serve(redis.address(), issuer),
        &serve(redis.address(), issuer),
    );
    let servers = TwoServers::new(issuer, here, there);
    let mut moderator = servers.moderator();
    let mut bar = servers.typed(2, "bar");
    let mut eve = servers.typed(3, "eve");
    let mute = |user: &str| json!({"type": "mute", "room": "lobby", "user": user});
    moderator.put(mute("foo"));
    moderator.hears_of("moderation");
    let before = redis.save();
    moderator.put(mute("bar"));
    bar.gets_at_last(json!({"type": "moderation", "user": "bar"}));
    let hello = json!({"type": "chat", "room": "lobby", "text": "hello"});
    bar.is_refused(hello.clone(), "muted");
    redis.reload(&before);
    // The next thing that is done does not follow the last one that was heard.
    moderator.put(mute("eve"));
    eve.gets_at_last(json!({"type": "moderation", "user": "eve"}));
    eve.put(hello.clone());
    eve.gets_at_last(json!({"type": "error", "code": "muted"}));
    bar.put(hello);
    eve.gets_at_last(json!({"type": "chat", "userId": "bar", "text": "hello"}));
}
