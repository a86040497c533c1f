//! Two servers that are one chat, with tokens and open to guests.

use natterjack::config::{Config, RedisAddress};
use serde_json::{Value, json};

use super::{Client, Issuer, Redis, TestServer, connect_from};

/// Two servers that are one chat, or one server twice: with tokens, and open to guests.
#[derive(Clone, Copy)]
pub struct TwoServers<'a> {
    /// Makes the tokens.
    pub issuer: &'a Issuer,
    /// One server.
    pub here: &'a TestServer,
    /// The other one, or the same.
    pub there: &'a TestServer,
}

/// Runs the same script alone and over Redis, with an instance on each side.
pub fn on_one_and_on_two(script: impl Fn(TwoServers<'_>)) {
    let issuer = &Issuer::hs256();
    let alone = &TestServer::with(|config| open_to_guests(config, issuer));
    script(TwoServers::new(issuer, alone, alone));
    let redis = Redis::start();
    let (here, there) = (
        &serve(redis.address(), issuer),
        &serve(redis.address(), issuer),
    );
    script(TwoServers::new(issuer, here, there));
}

/// An instance behind Redis at this address.
pub fn serve(redis: RedisAddress, issuer: &Issuer) -> TestServer {
    TestServer::on_with(redis, |config| open_to_guests(config, issuer))
}

/// Settings: tokens, guests, and no limit of messages.
pub fn open_to_guests(config: &mut Config, issuer: &Issuer) {
    config.jwt_key = Some(issuer.file());
    config.guests = true;
    config.rate = 0;
}

impl<'a> TwoServers<'a> {
    /// Two instances of one chat, or one server twice.
    pub fn new(issuer: &'a Issuer, here: &'a TestServer, there: &'a TestServer) -> TwoServers<'a> {
        TwoServers {
            issuer,
            here,
            there,
        }
    }

    /// A moderator in the lobby.
    #[track_caller]
    pub fn moderator(&self) -> Client {
        self.with_token(self.here, &json!({"sub": "mod", "mod": true}))
    }

    /// Somebody with a token, in the lobby.
    #[track_caller]
    pub fn with_token(&self, server: &TestServer, claims: &Value) -> Client {
        let token = self.issuer.sign(claims.clone());
        let user = claims["sub"].as_str().unwrap();
        let target = format!("/ws?user={user}&room=lobby&token={token}");
        let mut client = Client::connect(server.addr(), &target);
        client.gets(json!({"type": "welcome", "userId": claims["sub"]}));
        client.gets(json!({"type": "joined"}));
        client
    }

    /// Connects to the other server from 127.0.0.N.
    #[track_caller]
    pub fn comes_from(&self, n: u8, target: &str) -> Client {
        let stream = connect_from([127, 0, 0, n], self.there.addr());
        Client::over(stream, target, |_| {}).unwrap()
    }

    /// A typed guest in the lobby of the other server, from there, with a session key.
    #[track_caller]
    pub fn typed(&self, n: u8, user: &str) -> Client {
        let target = format!("/ws?user={user}&room=lobby&session=key+of+{user}");
        let mut client = self.comes_from(n, &target);
        client.gets(json!({"type": "welcome", "userId": user}));
        client.gets(json!({"type": "joined"}));
        client
    }

    /// The same with a text client.
    #[track_caller]
    pub fn text(&self, n: u8, user: &str) -> Client {
        let mut client = self.comes_from(n, &format!("/chat/{user}"));
        client.hears(&format!("Welcome {user}!"));
        client
    }
}

/// Says something in the lobby and returns its id.
#[track_caller]
pub fn say(client: &mut Client, text: &str) -> String {
    client.put(json!({"type": "chat", "room": "lobby", "text": text, "ref": text}));
    let ack = client.gets_at_last(json!({"type": "ack", "ref": text}));
    ack["id"].as_str().unwrap().to_string()
}
