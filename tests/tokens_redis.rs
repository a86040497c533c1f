//! Passwords of Redis that a command prints: tokens that end, as Microsoft Entra ID gives them out,
//! and are renewed in time without anybody's noticing.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use natterjack::config::RedisAddress;
use serde_json::json;

use crate::support::{Client, Program, Redis, TellsOver, TestServer, TokenService, eventually};

/// Longer than any of these tests.
const LONG: Duration = Duration::from_secs(3600);
/// Renewed while one waits.
const SHORT: Duration = Duration::from_secs(4);

fn users(redis: &Redis) -> Vec<String> {
    let chatters = redis.chatters().into_iter();
    chatters.map(|(_, user)| user).collect()
}

fn ids(redis: &Redis) -> Vec<String> {
    redis.chatters().into_iter().map(|(id, _)| id).collect()
}

/// Waits until every connection for chatting is signed in as this user.
#[track_caller]
fn signed_in_as(redis: &Redis, user: &str) {
    eventually(&format!("all are signed in as {user}"), || {
        are_signed_in_as(redis, user).then_some(())
    });
}

fn are_signed_in_as(redis: &Redis, user: &str) -> bool {
    let users = users(redis);
    !users.is_empty() && users.iter().all(|it| it == user)
}

#[test]
fn the_user_name_comes_from_the_token() {
    let redis = Redis::start();
    let tokens = TokenService::new();
    tokens.issue(&redis, "0a1b-2c3d", LONG);
    let server = TestServer::on_with(tokens.address(&redis), |_| {});
    assert_eq!(users(&redis), ["0a1b-2c3d", "0a1b-2c3d"]);
    // Both connections share one token.
    assert_eq!(tokens.asked(), 1);
    let mut foo = server.join("foo");
    let mut bar = server.join("bar");
    foo.hears("bar: has joined the chat!");
    bar.say("hello");
    foo.hears("bar: hello");
}

#[test]
fn a_user_name_that_is_set_wins_over_the_token() {
    let redis = Redis::start();
    let tokens = TokenService::new();
    let token = tokens.issue(&redis, "somebody", LONG);
    tokens.hand_out(&redis, "chatter", &token);
    let address = RedisAddress {
        username: Some("chatter".into()),
        ..tokens.address(&redis)
    };
    let _server = TestServer::on_with(address, |_| {});
    assert_eq!(users(&redis), ["chatter", "chatter"]);
}

#[test]
fn a_token_is_renewed_before_its_end_and_nobody_notices() {
    let redis = Redis::start();
    let tokens = TokenService::new();
    tokens.issue(&redis, "first", SHORT);
    let server = TestServer::on_with(tokens.address(&redis), |_| {});
    let mut ann = server.typed_in("ann", "attic");
    let mut foo = server.join_room("foo", "attic");
    ann.gets(json!({"type": "presence", "userId": "foo"}));
    let before = ids(&redis);
    tokens.issue(&redis, "second", LONG);
    signed_in_as(&redis, "second");
    // Not new ones: the same connections, of which one is subscribed.
    assert_eq!(ids(&redis), before);
    assert_eq!(tokens.asked(), 2);
    assert_eq!(
        redis.command(&["CLIENT", "KILL", "USER", "first"]),
        ":0\r\n"
    );
    // A room that is new to the instance can be subscribed to, and no status came in between.
    foo.say("still here");
    ann.gets(json!({"type": "chat", "text": "still here"}));
    let mut bar = server.join_room("bar", "cellar");
    bar.say("/msg ann psst");
    ann.gets(json!({"type": "chat", "to": "ann", "text": "psst"}));
    assert_eq!(server.ready().0, 200);
}

/// A token of just the rights that `--check` names is enough to sign in and to be renewed.
#[test]
fn the_rights_it_asks_for_are_enough_with_tokens() {
    let redis = Redis::start();
    let url = redis.url();
    let poor = TokenService::with_rights("+ping");
    poor.issue(&redis, "poor", LONG);
    let flags = ["--check", "--redis", &url];
    let check = |tokens: &TokenService| {
        let command = tokens.command();
        let output = Program::run(
            &[&flags[..], &["--redis-auth-command", &command]].concat(),
            &[],
        );
        String::from_utf8(output.stdout).unwrap()
    };
    let said = check(&poor);
    let needs = said.split("; its user needs ").nth(1);
    let needs = needs.unwrap_or_else(|| panic!("{said}")).lines().next();
    let tokens = TokenService::with_rights(needs.unwrap());
    tokens.issue(&redis, "first", SHORT);
    let server = TestServer::on_with(tokens.address(&redis), |_| {});
    let before = ids(&redis);
    tokens.issue(&redis, "second", LONG);
    signed_in_as(&redis, "second");
    assert_eq!(ids(&redis), before);
    server.join("foo").leave();
    let said = check(&tokens);
    assert!(
        said.contains("every command that is used is allowed"),
        "{said}"
    );
}

#[test]
fn without_resp_3_a_new_token_needs_a_new_connection() {
    let redis = Redis::without_hello();
    let tokens = TokenService::new();
    tokens.issue(&redis, "first", SHORT);
    let server = TestServer::on_with(tokens.address(&redis), |_| {});
    let mut ann = server.typed_in("ann", "attic");
    let mut foo = server.join_room("foo", "attic");
    ann.gets(json!({"type": "presence", "userId": "foo"}));
    let before = ids(&redis);
    tokens.issue(&redis, "second", LONG);
    signed_in_as(&redis, "second");
    assert!(ids(&redis).iter().all(|id| !before.contains(id)));
    foo.say("still here");
    ann.gets_at_last(json!({"type": "chat", "text": "still here"}));
    assert_eq!(server.ready().0, 200);
}

#[test]
fn while_no_new_token_is_available_the_old_one_is_used() {
    let redis = Redis::start();
    let tokens = TokenService::new();
    tokens.issue(&redis, "first", Duration::from_secs(8));
    let command = tokens.command();
    let flags = ["--redis", &redis.url(), "--redis-auth-command", &command];
    let mut program = Program::start(&flags);
    let addr = program.addr();
    let before = ids(&redis);
    tokens.fail();
    let line = program.logs("the last token is good for");
    assert!(
        line.contains("redis auth command: exited with 1: cat: "),
        "{line}"
    );
    let asked = tokens.asked();
    eventually("it tries again", || {
        (tokens.asked() > asked + 1).then_some(())
    });
    let mut foo = Client::connect(addr, "/chat/foo");
    foo.hears("Welcome foo!");
    tokens.issue(&redis, "second", LONG);
    program.logs("redis auth command: works again");
    signed_in_as(&redis, "second");
    assert_eq!(ids(&redis), before);
    // Said when it begins and when it is over, and not in between.
    let warnings = program
        .log()
        .iter()
        .filter(|line| line.contains("is good for"));
    assert_eq!(warnings.count(), 1);
}

#[test]
fn a_password_without_an_expiry_is_fetched_for_each_connection() {
    let redis = Redis::start();
    let tokens = TokenService::new();
    let address = RedisAddress {
        username: Some("chatter".into()),
        ..tokens.address(&redis)
    };
    tokens.hand_out(&redis, "chatter", "monday");
    let server = TestServer::on_with(address, |_| {});
    for (times, password) in [(2, "tuesday"), (3, "wednesday")] {
        tokens.hand_out(&redis, "chatter", password);
        let before = ids(&redis);
        redis.command(&["CLIENT", "KILL", "USER", "chatter"]);
        eventually("it is connected again", || {
            let now = ids(&redis);
            (now.len() == 2 && now.iter().all(|id| !before.contains(id))).then_some(())
        });
        server.becomes(200);
        assert_eq!(tokens.asked(), times);
    }
}

#[test]
fn a_token_that_is_refused_is_not_used_again() {
    let redis = Redis::start();
    let tokens = TokenService::new();
    tokens.issue(&redis, "first", LONG);
    let server = TestServer::on_with(tokens.address(&redis), |_| {});
    // It would have lived for long, but its user is gone, and so are its connections.
    redis.command(&["ACL", "DELUSER", "first"]);
    server.becomes(503);
    eventually("it asks for another one", || {
        (tokens.asked() > 1).then_some(())
    });
    tokens.issue(&redis, "second", LONG);
    server.becomes(200);
    signed_in_as(&redis, "second");
}

/// People talk through two instances while tokens come and go as on Azure: each lives for some
/// seconds, then its user is gone and every connection that still has it is cut. In the midst no
/// token is to be had for a while, so that this happens.
#[test]
fn tokens_come_and_go_under_load_and_nothing_is_lost_or_doubled() {
    let redis = Redis::start();
    let tokens = TokenService::new();
    let life = Duration::from_secs(3);
    tokens.issue(&redis, "user-0", life);
    let servers =
        [1, 2].map(|_| TestServer::on_with(tokens.address(&redis), |config| config.rate = 0));
    // Both are there before anybody says a word.
    let names = ["talker0", "talker1"];
    let clients = [0, 1].map(|n| servers[n].typed_in(names[n], "attic"));
    let over = AtomicBool::new(false);
    let mut cut = 0;
    let pages = thread::scope(|scope| {
        let tells_over = TellsOver(&over);
        let talkers: Vec<_> = names
            .into_iter()
            .zip(clients)
            .map(|(name, client)| {
                let over = &over;
                scope.spawn(move || talk(client, name, over))
            })
            .collect();
        let mut issued = vec![("user-0".to_string(), Instant::now() + life)];
        let retire = |issued: &mut Vec<(String, Instant)>| {
            let mut cut = 0;
            issued.retain(|(user, ends)| {
                let lives = Instant::now() < *ends;
                if !lives {
                    cut += redis.chatters().iter().filter(|(_, it)| it == user).count();
                    redis.command(&["ACL", "DELUSER", user]);
                }
                lives
            });
            cut
        };
        for n in 1..=8 {
            let user = format!("user-{n}");
            let mut ends = Instant::now();
            eventually(&format!("all are signed in as {user}"), || {
                // However slow the machine is, some of its life is left.
                if ends < Instant::now() + life / 2 {
                    tokens.issue(&redis, &user, life);
                    ends = Instant::now() + life;
                }
                are_signed_in_as(&redis, &user).then_some(())
            });
            // A pace, not a wait for anything.
            thread::sleep(Duration::from_millis(500));
            assert_eq!(retire(&mut issued), 0, "a connection had an old token");
            issued.push((user, ends));
            if n == 5 {
                tokens.fail();
                eventually("no token is good any more", || {
                    cut += retire(&mut issued);
                    issued.is_empty().then_some(())
                });
            }
        }
        drop(tells_over);
        let pages = talkers.into_iter().map(|talker| talker.join().unwrap());
        pages.collect::<Vec<_>>()
    });
    assert!(cut > 0, "nobody was ever cut");
    let said: usize = pages.iter().map(|page| page.said).sum();
    assert!(said > 100, "only {said} messages");
    // Both heard each acknowledged message once, under its id, and in order.
    let mut acknowledged: Vec<_> = pages.iter().flat_map(|page| page.acks.clone()).collect();
    acknowledged.sort();
    assert_eq!(acknowledged.len(), said);
    for page in &pages {
        assert!(page.heard.is_sorted_by_key(|(n, _)| *n), "out of order");
        assert_eq!(page.heard, acknowledged);
    }
}

/// What one has said and heard: places and texts.
#[derive(Default)]
struct Page {
    said: usize,
    acks: Vec<(u64, String)>,
    heard: Vec<(u64, String)>,
}

/// Talks until it is over, and listens until the other has said goodbye, too.
fn talk(mut client: Client, name: &str, over: &AtomicBool) -> Page {
    let mut page = Page::default();
    let (mut waiting, mut byes) = (0, 0);
    let mut leaving = false;
    loop {
        // A few at a time, so that some are always under way.
        while waiting < 5 && !leaving {
            leaving = over.load(Ordering::Relaxed);
            let word = if leaving { "bye" } else { "word" };
            let text = format!("{name}: {word} {}", page.said);
            client.put(json!({"type": "chat", "room": "attic", "text": text, "ref": text}));
            page.said += 1;
            waiting += 1;
        }
        if byes == 2 && waiting == 0 {
            return page;
        }
        let object = client.object();
        let text = |key: &str| object[key].as_str().unwrap().to_string();
        let number = || text("id").split('-').nth(1).unwrap().parse().unwrap();
        match object["type"].as_str().unwrap() {
            "chat" => {
                byes += usize::from(text("text").contains("bye"));
                page.heard.push((number(), text("text")));
            }
            "ack" => {
                waiting -= 1;
                page.acks.push((number(), text("ref")));
            }
            "error" => panic!("{object}"),
            _ => {}
        }
    }
}
