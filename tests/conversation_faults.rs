//! Private messages that Redis sends where their recipient is not: they are heard where the recipient is.

use serde_json::json;

use crate::conversations::tell;
use crate::support::{Client, Program, Proxy, Redis, TestServer, eventually};

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
    let expected = format!(":{}\r\n", u8::from(away));
    eventually("hal comes or goes", || {
        let found = redis.command(&["EXISTS", "{chat-users}:away:hal"]);
        (found == expected).then_some(())
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
    assert_eq!(texts_up_to(&mut hal, "one"), ["one"]);
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
    let redis = Redis::on_tcp();
    let way = Proxy::to(redis.port());
    let here = TestServer::on(&redis);
    let there = TestServer::on_with(way.address(), |_| {});
    let mut ann = here.typed("ann");
    let mut hal = there.typed("hal");
    way.cut();
    hal_is_away(&redis, true);
    tell(&mut ann, "hal", "one");
    way.heal();
    assert_eq!(texts_up_to(&mut hal, "one"), ["one"]);
    tell(&mut ann, "hal", "two");
    assert_eq!(texts_up_to(&mut hal, "two"), ["two"]);
}
