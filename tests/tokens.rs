//! Tokens: the name, the rooms and the time that they grant.

use natterjack::config::Config;
use serde_json::json;
use tungstenite::handshake::client::Request;

use crate::support::{
    Client, Issuer, NearAndFar, Program, Raw, TestServer, here_and_there_with, soon, upgrade,
};

/// A header of a request.
pub fn header(name: &'static str, value: String) -> impl FnOnce(&mut Request) {
    move |request| {
        let value = value.parse().unwrap();
        request.headers_mut().insert(name, value);
    }
}

/// How the server answers who connects with this token.
#[track_caller]
pub fn status(server: &TestServer, target: &str, token: &str) -> u16 {
    let bearer = header("authorization", format!("Bearer {token}"));
    Client::request(server.addr(), target, bearer).map_or_else(|status| status, |_| 101)
}

/// A text client in the lobby.
#[track_caller]
pub fn join(server: &TestServer, user: &str, token: &str) -> Client {
    let mut client = Client::connect(server.addr(), &format!("/chat/{user}?token={token}"));
    client.hears(&format!("Welcome {user}!"));
    client
}

#[test]
fn tokens_signed_with_each_kind_of_key_are_accepted() {
    for issuer in Issuer::all() {
        let server = issuer.serve();
        let mut ann = join(&server, "ann", &issuer.token("ann"));
        let mut bob = join(&server, "bob", &issuer.token("bob"));
        ann.hears("bob: has joined the chat!");
        bob.say("hello");
        ann.hears("bob: hello");
    }
}

#[test]
fn a_token_comes_in_a_header_or_as_a_subprotocol_or_in_the_address() {
    let issuer = Issuer::es256();
    let token = issuer.token("ann");
    for server in [issuer.serve(), TestServer::start()] {
        for target in ["/chat/ann", "/ws?user=ann", "/ws"] {
            for scheme in ["Bearer", "bearer", "BEARER"] {
                let bearer = header("authorization", format!("{scheme} {token}"));
                assert!(Client::request(server.addr(), target, bearer).is_ok());
            }
            // The client itself insists on an answer that names one of what it has offered.
            for offered in [format!("bearer.{token}"), format!("chat, bearer.{token}")] {
                let protocol = header("sec-websocket-protocol", offered);
                assert!(Client::request(server.addr(), target, protocol).is_ok());
            }
            let join = if target.contains('?') { '&' } else { '?' };
            Client::connect(server.addr(), &format!("{target}{join}token={token}"));
        }
    }
    // What a proxy asks for is none of our business.
    let server = issuer.serve();
    let target = format!("/chat/ann?token={token}");
    let basic = header("authorization", "Basic YTpi".into());
    assert!(Client::request(server.addr(), &target, basic).is_ok());
    // The first one counts: a bad one in the header is not made up for by the address.
    let bad = header("authorization", "Bearer x".into());
    assert_eq!(
        Client::request(server.addr(), &target, bad).err(),
        Some(401)
    );
}

#[test]
fn a_token_is_for_one_name() {
    let issuer = Issuer::eddsa();
    let server = issuer.serve();
    let token = issuer.token("ann");
    assert_eq!(status(&server, "/chat/bob", &token), 403);
    assert_eq!(status(&server, "/ws?user=bob", &token), 403);
    let mut ann = join(&server, "ann", &token);

    // Without a name in the URL, the token's name is used.
    let bob = issuer.token("bob");
    let mut typed = Client::connect(server.addr(), &format!("/ws?token={bob}"));
    let wrong = json!({"type": "join", "room": "lobby", "user": "eve"});
    typed.is_refused(wrong, "forbidden");
    typed.put(json!({"type": "join", "room": "lobby"}));
    typed.gets(json!({"type": "welcome", "userId": "bob"}));
    ann.hears("bob: has joined the chat!");

    let eve = issuer.token("eve");
    let mut simple = Client::connect(server.addr(), &format!("/ws?token={eve}"));
    let say = |user: &str, text: &str| json!({"username": user, "message": text});
    simple.put(say("ann", "it was me"));
    simple.gets(json!({"type": "error", "code": "forbidden"}));
    simple.put(say("eve", "hello"));
    ann.hears("eve: has joined the chat!");
    ann.hears("eve: hello");
    simple.gets(json!({"username": "eve", "message": "hello"}));
    simple.put(say("bob", "it was me"));
    simple.gets(json!({"type": "error", "code": "forbidden"}));

    // Everybody may be written to, also from no room.
    let mut fay = Client::connect(server.addr(), &format!("/ws?token={}", issuer.token("fay")));
    fay.put(json!({"type": "chat", "to": "ann", "text": "psst"}));
    fay.gets(json!({"type": "welcome", "userId": "fay"}));
    ann.hears("fay (private): psst");
}

#[test]
fn a_token_may_be_for_some_rooms_only() {
    let issuer = Issuer::hs256();
    let server = issuer.serve();
    let token = issuer.sign(json!({"sub": "ann", "rooms": ["attic", "fö o"]}));
    for (target, expected) in [
        ("/chat/ann", 403),
        ("/chat/ann?room=cellar", 403),
        ("/chat/ann?room=attic", 101),
        ("/chat/ann?room=f%C3%B6+o", 101),
        ("/ws", 403),
        ("/ws?room=attic", 101),
        ("/ws?user=ann&room=cellar", 403),
        ("/ws?user=ann&room=attic", 101),
        ("/ws?user=ann", 101),
    ] {
        assert_eq!(status(&server, target, &token), expected, "{target}");
    }
    let target = format!("/ws?user=ann&token={token}");
    let mut ann = Client::connect(server.addr(), &target);
    ann.gets(json!({"type": "welcome"}));
    for asked in [
        json!({"type": "join", "room": "lobby"}),
        json!({"type": "who", "room": "lobby"}),
        json!({"type": "history", "room": "lobby"}),
    ] {
        ann.is_refused(asked, "forbidden");
    }
    let chat = json!({"type": "chat", "room": "lobby", "text": "x"});
    ann.is_refused(chat, "not_in_room");
    ann.put(json!({"type": "join", "room": "attic"}));
    ann.gets(json!({"type": "joined", "room": "attic", "users": ["ann"]}));
    // Everybody may be written to.
    let _bob = join(&server, "bob", &issuer.token("bob"));
    ann.put(json!({"type": "chat", "to": "bob", "text": "psst"}));
    ann.gets(json!({"type": "chat", "to": "bob"}));
    let nowhere = issuer.sign(json!({"sub": "ann", "rooms": []}));
    assert_eq!(status(&server, "/chat/ann", &nowhere), 403);
}

#[test]
fn guests_are_let_in_without_a_token_where_the_server_says_so() {
    let issuer = Issuer::es256();
    let server = TestServer::with(|config| {
        config.jwt_key = Some(issuer.file());
        config.guests = true;
    });
    let mut ann = join(&server, "ann", &issuer.token("ann"));
    let mut bob = Client::connect(server.addr(), "/chat/bob");
    bob.hears("Welcome bob!");
    ann.hears("bob: has joined the chat!");
    bob.say("hello");
    ann.hears("bob: hello");
    let mut typed = Client::connect(server.addr(), "/ws");
    typed.put(json!({"type": "join", "room": "lobby", "user": "carol"}));
    typed.gets(json!({"type": "welcome", "userId": "carol"}));
    ann.hears("carol: has joined the chat!");
    // A guest gets no name that somebody else has.
    let mut eve = Client::connect(server.addr(), "/chat/ann");
    eve.hears("username ann is already taken. please retry with a different name");
    // A bad token is no guest's, and publishing needs a token.
    assert_eq!(status(&server, "/chat/dan", "x"), 401);
    assert_eq!(Raw::get(server.addr(), "/ws?token=x").0, 401);
    assert_eq!(Raw::get(server.addr(), "/ws").0, 426);
    let post = "POST /rooms/lobby HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi";
    assert_eq!(Raw::request(server.addr(), post.as_bytes()).0, 401);
}

#[test]
fn a_token_for_a_name_takes_it_over() {
    let issuer = Issuer::es256();
    let set = |config: &mut Config| config.jwt_key = Some(issuer.file());
    here_and_there_with(set, |here, there| {
        let token = issuer.token("ann");
        let mut bob = join(here, "bob", &issuer.token("bob"));
        let mut ann = join(here, "ann", &token);
        bob.hears("ann: has joined the chat!");
        // In every dialect from every dialect; each with a token of its own.
        let target = format!("/ws?user=ann&room=lobby&token={}", issuer.token("ann"));
        let mut typed = Client::connect(there.addr(), &target);
        typed.gets(json!({"type": "welcome", "userId": "ann"}));
        typed.gets(json!({"type": "joined", "room": "lobby"}));
        ann.is_closed(4001);
        let target = format!("/ws?token={token}");
        let mut simple = Client::connect(here.addr(), &target);
        simple.put(json!({"username": "ann", "message": "me again"}));
        typed.is_closed(4001);
        let mut last = join(there, "ann", &token);
        simple.is_closed(4001);
        bob.say("who is there?");
        last.hears_at_last("bob: who is there?");
        bob.is_taken();
    });
}

#[test]
fn a_first_message_under_a_name_that_another_connection_takes_over_moves_nobody() {
    let issuer = Issuer::es256();
    let both = NearAndFar::start_with(|config| config.jwt_key = Some(issuer.file()));
    let mut bob = join(&both.near, "bob", &issuer.token("bob"));
    let mut eve = join(&both.far, "eve", &issuer.token("eve"));
    bob.say("where is ann?");
    eve.hears("bob: where is ann?");
    let token = issuer.token("ann");
    let mut simple = Client::connect(both.far.addr(), &format!("/ws?token={token}"));
    let first = json!({"username": "ann", "message": "me again"});
    both.begins("ann", &mut simple, first);
    // The far instance hears of the takeover before Redis' answer to the first message.
    let mut last = join(&both.near, "ann", &token);
    bob.hears_at_last("ann: has joined the chat!");
    bob.say("there");
    eve.hears_at_last("bob: there");
    both.way.let_go();
    simple.is_closed(4001);
    eve.say("gone");
    // The room is told of one who has come, and not that she has left.
    let mut heard = String::new();
    while heard != "eve: gone" {
        heard = bob.next();
        assert_ne!(heard, "ann: has left the chat!");
    }
    last.say("/who");
    last.hears_at_last("in lobby: ann, bob, eve");
}

#[test]
fn a_token_takes_its_name_over_from_a_guest_who_is_here_or_away() {
    let issuer = Issuer::es256();
    let with_guests = |config: &mut Config| {
        config.jwt_key = Some(issuer.file());
        config.guests = true;
    };
    here_and_there_with(with_guests, |here, there| {
        let mut text = Client::connect(here.addr(), "/chat/ann");
        text.hears("Welcome ann!");
        let mut ann = join(there, "ann", &issuer.token("ann"));
        text.is_closed(4001);
        // A guest with a session key is no stronger, whether here or cut off.
        let mut here_still = Client::connect(here.addr(), "/ws?user=bob&session=key");
        here_still.gets(json!({"type": "welcome", "userId": "bob"}));
        let mut bob = join(there, "bob", &issuer.token("bob"));
        here_still.is_closed(4001);
        ann.hears("bob: has joined the chat!");
        let mut cut_off = Client::connect(here.addr(), "/ws?user=carol&session=key&room=lobby");
        cut_off.gets(json!({"type": "welcome", "userId": "carol"}));
        ann.hears("carol: has joined the chat!");
        drop(cut_off);
        ann.hears("carol: has left the chat!");
        let mut carol = join(there, "carol", &issuer.token("carol"));
        ann.hears("carol: has joined the chat!");
        // And takes nothing back.
        let mut back = Client::connect(here.addr(), "/ws?user=carol&session=key");
        back.gets(json!({"type": "error", "code": "name_taken"}));
        carol.say("it is me");
        ann.hears("carol: it is me");
        bob.hears_at_last("carol: it is me");
    });
}

#[test]
fn a_connection_ends_with_its_token() {
    let issuer = Issuer::hs256();
    let server = issuer.serve();
    let mut bob = join(&server, "bob", &issuer.token("bob"));
    // Half a minute is granted, for clocks that differ.
    let target = |at: &str, user: &str| {
        let token = issuer.sign(json!({"sub": user, "exp": soon(5 - 30)}));
        format!("{at}token={token}")
    };
    let mut plain = Client::connect(server.addr(), &target("/chat/ann?", "ann"));
    let mut typed = Client::connect(server.addr(), &target("/ws?user=eve&", "eve"));
    let mut nobody = Client::connect(server.addr(), &target("/ws?", "fay"));
    let mut raw = Raw::connect(server.addr());
    let head = upgrade("gil").replace("/gil", &target("/gil?", "gil"));
    raw.send(head.as_bytes());
    bob.hears("ann: has joined the chat!");
    plain.is_closed(1008);
    typed.is_closed(1008);
    nobody.is_closed(1008);
    bob.hears_at_last("ann: has left the chat!");
    let end = raw.rest();
    let reason = b"token expired";
    assert!(end.windows(reason.len()).any(|part| part == reason));
}

#[test]
fn a_new_key_is_read_at_sighup_and_connections_stay() {
    let (old, new) = (Issuer::hs256(), Issuer::eddsa());
    let file = old.file();
    let mut program = Program::start(&["--jwt-key", file.to_str().unwrap()]);
    let addr = program.addr();
    let knock = |token: &str| Client::connect(addr, &format!("/ws?token={token}"));
    let answer = |token: &str| Raw::get(addr, &format!("/ws?token={token}")).0;
    let mut ann = knock(&old.token("ann"));
    std::fs::write(&file, "too short").unwrap();
    program.signal("HUP");
    program.logs("the old key stays: --jwt-key ");
    assert_eq!(answer(&old.token("bob")), 426);
    std::fs::write(&file, new.published()).unwrap();
    program.signal("HUP");
    program.logs("tokens need this key from now on");
    assert_eq!(
        (answer(&old.token("bob")), answer(&new.token("bob"))),
        (401, 426)
    );
    let mut bob = knock(&new.token("bob"));
    ann.put(json!({"email": "", "username": "ann", "message": "still here"}));
    bob.gets(json!({"username": "ann", "message": "still here"}));
}
