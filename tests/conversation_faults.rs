//! Private messages that Redis sends where their recipient is not: they are heard where the recipient is.

use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::conversations::tell;
use crate::support::{Client, NearAndFar, Program, Redis, TestServer, eventually};

/// The private messages that somebody has got up to this one.
#[track_caller]
fn texts_up_to(client: &mut Client, last: &str) -> Vec<String> {
    let mut texts = Vec::new();
    while texts.last().is_none_or(|text| text != last) {
        let message = client.gets_at_last(json!({"type": "chat", "text": null}));
        texts.push(message["text"].as_str().unwrap().to_string());
    }
    texts
}

/// Waits until messages wait for hal, or no longer do.
#[track_caller]
fn hal_is_away(redis: &Redis, away: bool) {
    answers(redis, &["EXISTS", "{chat-users}:away:hal"], away);
}

/// Waits until somebody has the name hal, or nobody.
#[track_caller]
fn hal_is_here(redis: &Redis, here: bool) {
    answers(redis, &["SISMEMBER", "chat-users", "hal"], here);
}

/// Waits until Redis answers yes, or no.
#[track_caller]
fn answers(redis: &Redis, question: &[&str], yes: bool) {
    let expected = format!(":{}\r\n", u8::from(yes));
    eventually("hal comes or goes", || {
        (redis.command(question) == expected).then_some(())
    });
}

#[test]
fn redis_goes_back_to_when_the_recipient_was_on_an_instance_that_has_died() {
    let redis = Redis::start();
    let servers = [TestServer::on(&redis), TestServer::on(&redis)];
    let mut ann = servers[0].typed("ann");
    let mut dying = Program::start(&["--redis", &redis.url()]);
    let target = "/ws?user=hal&session=key+of+hal";
    let mut before = Client::connect(dying.addr(), target);
    before.gets(json!({"type": "welcome", "userId": "hal"}));
    let saved = redis.save();
    dying.kill();
    let mut hal = servers[1].typed("hal");
    redis.reload(&saved);
    // It goes to the dead instance, which Redis believes to be alive.
    tell(&mut ann, "hal", "one");
    // What hal says hides nothing.
    hal.put(json!({"type": "chat", "to": "ann", "text": "hello"}));
    assert_eq!(texts_up_to(&mut hal, "hello"), ["one", "hello"]);
    tell(&mut ann, "hal", "two");
    assert_eq!(texts_up_to(&mut hal, "two"), ["two"]);
}

#[test]
fn redis_goes_back_to_when_the_recipient_was_away() {
    let redis = Redis::start();
    let servers = [TestServer::on(&redis), TestServer::on(&redis)];
    let mut ann = servers[0].typed("ann");
    servers[1].typed("hal").leave();
    hal_is_away(&redis, true);
    let saved = redis.save();
    let mut hal = servers[1].typed("hal");
    hal_is_away(&redis, false);
    redis.reload(&saved);
    // It waits for hal, who is here.
    tell(&mut ann, "hal", "one");
    assert_eq!(texts_up_to(&mut hal, "one"), ["one"]);
    tell(&mut ann, "hal", "two");
    assert_eq!(texts_up_to(&mut hal, "two"), ["two"]);
}

#[test]
fn the_recipients_instance_is_cut_off_until_it_is_taken_for_dead() {
    let NearAndFar {
        redis,
        way,
        near,
        far,
    } = NearAndFar::start();
    let mut ann = near.typed("ann");
    let mut hal = far.typed("hal");
    way.cut();
    hal_is_away(&redis, true);
    tell(&mut ann, "hal", "one");
    way.heal();
    assert_eq!(texts_up_to(&mut hal, "one"), ["one"]);
    tell(&mut ann, "hal", "two");
    assert_eq!(texts_up_to(&mut hal, "two"), ["two"]);
}

#[test]
fn many_invitations_come_while_the_recipients_instance_is_cut_off() {
    let NearAndFar {
        redis: _redis,
        way,
        near,
        far,
    } = NearAndFar::start();
    let mut hal = far.typed("hal");
    let names: Vec<String> = (0..20).map(|n| format!("friend-{n}")).collect();
    let mut friends: Vec<Client> = names.iter().map(|name| near.typed(name)).collect();
    way.cut();
    for (friend, name) in friends.iter_mut().zip(&names) {
        tell(friend, "hal", name);
    }
    way.heal();
    let mut heard: Vec<String> = names
        .iter()
        .map(|_| {
            let message = hal.gets_at_last(json!({"type": "chat", "text": null}));
            message["text"].as_str().unwrap().to_string()
        })
        .collect();
    heard.sort();
    let mut expected = names;
    expected.sort();
    assert_eq!(heard, expected);
}

#[test]
fn redis_falls_silent_for_the_recipients_instance_when_it_is_invited() {
    let NearAndFar {
        redis,
        way,
        near,
        far,
    } = NearAndFar::start();
    let mut ann = near.typed("ann");
    let mut hal = far.typed("hal");
    way.hold_commands(&redis.command(&["CLIENT", "LIST"]));
    tell(&mut ann, "hal", "one");
    // It connects again.
    assert_eq!(texts_up_to(&mut hal, "one"), ["one"]);
}

#[test]
fn who_can_not_be_sent_what_waits_is_closed_and_hears_it_later() {
    let redis = Redis::start();
    let server = TestServer::on(&redis);
    let mut ann = server.typed("ann");
    server.typed("hal").leave();
    hal_is_away(&redis, true);
    tell(&mut ann, "hal", "one");
    let join = json!({"type": "join", "room": "attic", "user": "hal", "session": "key of hal"});
    // Redis gives the name, and can't say which conversations there are.
    let noted = "{chat-users}:conversations:hal";
    redis.command(&["RENAME", noted, "elsewhere"]);
    redis.command(&["SET", noted, "damaged"]);
    let mut hal = server.json();
    hal.put(join.clone());
    hal.gets(json!({"type": "welcome", "userId": "hal"}));
    hal.is_closed(1013);
    redis.command(&["RENAME", "elsewhere", noted]);
    let mut hal = server.json();
    hal.put(join);
    assert_eq!(texts_up_to(&mut hal, "one"), ["one"]);
}

#[test]
fn who_can_not_be_sent_what_waits_is_sent_nothing_that_came_later() {
    let NearAndFar {
        redis,
        way,
        near,
        far,
    } = NearAndFar::start();
    let mut ann = near.typed("ann");
    let mut hal = far.typed("hal");
    tell(&mut ann, "hal", "zero");
    let zero = hal.gets_at_last(json!({"type": "chat", "text": "zero"}))["id"].clone();
    hal.leave();
    hal_is_away(&redis, true);
    tell(&mut ann, "hal", "one");
    let join = json!({"type": "join", "room": "attic", "user": "hal", "session": "key of hal",
        "private": {"ann": zero}});
    let mut hal = far.json();
    way.delay(Duration::from_millis(500));
    hal.put(join.clone());
    hal.gets(json!({"type": "welcome", "userId": "hal"}));
    // What waits is never read, and what comes now is.
    way.hold_commands(&redis.command(&["CLIENT", "LIST"]));
    tell(&mut ann, "hal", "two");
    while let Some(object) = hal.object_or_close(1013) {
        assert_ne!(object["type"], "chat", "{object}");
    }
    way.let_go();
    way.delay(Duration::ZERO);
    let mut hal = near.json();
    hal.put(join);
    assert_eq!(texts_up_to(&mut hal, "two"), ["one", "two"]);
}

#[test]
fn who_comes_elsewhere_and_is_cut_off_again_is_still_waited_for() {
    let NearAndFar {
        redis,
        way,
        near,
        far,
    } = NearAndFar::start();
    let mut ann = near.typed("ann");
    let mut pip = far.typed("pip");
    near.typed("hal").leave();
    hal_is_away(&redis, true);
    tell(&mut ann, "hal", "one");
    let join = json!({"type": "join", "room": "lobby", "user": "hal", "session": "key of hal",
        "private": {}});
    way.delay(Duration::from_secs(1));
    let mut first = far.json();
    first.put(join.clone());
    assert_eq!(texts_up_to(&mut first, "one"), ["one"]);
    // That nothing waits any more is on its way to Redis.
    way.hold_commands(&redis.command(&["CLIENT", "LIST"]));
    let mut second = near.json();
    second.put(join.clone());
    assert_eq!(texts_up_to(&mut second, "one"), ["one"]);
    drop(second);
    hal_is_here(&redis, false);
    way.let_go();
    way.delay(Duration::ZERO);
    tell(&mut pip, "ann", "it has come");
    tell(&mut ann, "hal", "two");
    let mut third = near.json();
    third.put(join);
    assert_eq!(texts_up_to(&mut third, "two"), ["one", "two"]);
}

/// hal comes, by a long way: Redis has given the name, and the reply is still on its way when ann tells something.
/// `begin`: what hal says first. `hears`: what hal hears up to a text.
#[track_caller]
fn told_in_the_moment_of_coming(
    meet_before: bool,
    begin: Value,
    hears: impl Fn(&mut Client, &str) -> Vec<String>,
) {
    let both = NearAndFar::start();
    let NearAndFar { near, far, way, .. } = &both;
    let mut ann = near.typed_in("ann", "lobby");
    let mut pip = far.typed_in("pip", "lobby");
    ann.put(json!({"type": "chat", "room": "lobby", "text": "hello"}));
    assert_eq!(texts_up_to(&mut pip, "hello"), ["hello"]);
    let mut before = meet_before.then(|| near.typed("hal"));
    if let Some(before) = &mut before {
        tell(&mut ann, "hal", "zero");
        assert_eq!(texts_up_to(before, "zero"), ["zero"]);
    }
    let mut hal = both.comes("hal", begin);
    tell(&mut ann, "hal", "one");
    // What comes by the other connection has come.
    ann.put(json!({"type": "chat", "room": "lobby", "text": "all"}));
    assert_eq!(texts_up_to(&mut pip, "all"), ["all"]);
    way.let_go();
    assert_eq!(hears(&mut hal, "one"), ["one"]);
    tell(&mut ann, "hal", "two");
    assert_eq!(hears(&mut hal, "two"), ["two"]);
}

fn join() -> Value {
    json!({"type": "join", "room": "lobby", "user": "hal", "session": "key of hal"})
}

#[test]
fn who_is_told_something_in_the_moment_of_coming_hears_it() {
    told_in_the_moment_of_coming(false, join(), texts_up_to);
}

#[test]
fn who_is_told_something_in_the_moment_of_coming_from_elsewhere_hears_it_once() {
    told_in_the_moment_of_coming(true, join(), texts_up_to);
}

#[test]
fn who_is_told_something_in_the_moment_of_saying_a_name_hears_it() {
    let hears = |hal: &mut Client, last: &str| {
        let message = format!("(private) {last}");
        hal.gets_at_last(json!({"username": "ann", "message": message}));
        vec![last.to_string()]
    };
    let begin = json!({"username": "hal", "message": "it is me"});
    told_in_the_moment_of_coming(false, begin, hears);
}

#[test]
fn who_takes_a_name_hears_nothing_that_was_said_to_or_by_its_last_holder() {
    let NearAndFar {
        redis,
        way,
        near,
        far,
    } = NearAndFar::start();
    let mut ann = near.typed("ann");
    // The conversation is open on both instances.
    let mut hal = far.join("hal");
    tell(&mut ann, "hal", "one");
    hal.hears("ann (private): one");
    hal.leave();
    hal_is_here(&redis, false);
    let mut hal = near.join("hal");
    // From here on the far instance hears late what is said.
    way.hold_subscribed(&redis.command(&["CLIENT", "LIST"]));
    tell(&mut ann, "hal", "two");
    hal.hears("ann (private): two");
    hal.say("/msg ann three");
    texts_up_to(&mut ann, "three");
    hal.leave();
    hal_is_here(&redis, false);
    thread::scope(|scope| {
        // It is let in when its instance hears of it.
        let coming = scope.spawn(|| far.join("hal"));
        hal_is_here(&redis, true);
        way.let_go();
        let mut hal = coming.join().unwrap();
        tell(&mut ann, "hal", "four");
        hal.hears("ann (private): four");
    });
}
