//! TLS and passwords towards Redis: what works, and what is refused in one line.

use std::path::PathBuf;

use natterjack::config::{RedisAddress, RedisHost};

use crate::support::{Certs, Redis, TestServer};

fn address(host: &str, redis: &Redis, tls: bool, ca: Option<PathBuf>) -> RedisAddress {
    let host = RedisHost::Tcp {
        host: host.into(),
        port: redis.port(),
        tls,
    };
    RedisAddress {
        host,
        username: None,
        password: Some("sesame".into()),
        auth_command: None,
        ca,
    }
}

/// The one line with which a server refuses to start.
#[track_caller]
fn refused(address: RedisAddress) -> String {
    match TestServer::try_with(|config| config.redis = Some(address)) {
        Ok(_) => panic!("it must not start"),
        Err(line) => {
            assert!(!line.contains('\n') && !line.contains("sesame"), "{line}");
            line
        }
    }
}

#[test]
fn two_instances_talk_over_tls() {
    let certs = Certs::for_host("localhost");
    let redis = Redis::with_tls(&certs, "sesame");
    let [one, two] = [1, 2].map(|_| {
        TestServer::on_with(
            address("localhost", &redis, true, Some(certs.path("ca.pem"))),
            |_| {},
        )
    });
    let mut foo = one.join("foo");
    let mut bar = two.join("bar");
    foo.hears("bar: has joined the chat!");
    let long = "x".repeat(4096);
    for text in ["hello", &long] {
        foo.say(text);
        bar.hears(&format!("foo: {text}"));
    }
    assert_eq!(one.ready(), (200, "ok\n".into()));
}

#[test]
fn a_byte_order_mark_before_a_ca_is_no_part_of_it() {
    let certs = Certs::for_host("localhost");
    let redis = Redis::with_tls(&certs, "sesame");
    // Two CAs in one file, as an editor on Windows leaves them.
    let other = Certs::for_host("localhost").read("ca.pem");
    let both = format!("\u{feff}{other}\u{feff}{}", certs.read("ca.pem"));
    certs.write("both.pem", &both);
    let ca = Some(certs.path("both.pem"));
    let server = TestServer::on_with(address("localhost", &redis, true, ca), |_| {});
    assert_eq!(server.ready().0, 200);
}

#[test]
fn an_acl_user_signs_in_by_name() {
    let certs = Certs::for_host("localhost");
    let redis = Redis::with_tls(&certs, "sesame");
    redis.allow("chatter", "on >opensesame ~* &* +@all");
    let mut address = address("localhost", &redis, true, Some(certs.path("ca.pem")));
    address.username = Some("chatter".into());
    let line = refused(address.clone());
    assert!(
        line.contains("sign-in refused: ") && line.contains("WRONGPASS"),
        "{line}"
    );
    address.password = Some("opensesame".into());
    let server = TestServer::on_with(address, |_| {});
    server.join("foo");
}

#[test]
fn an_untrusted_certificate_is_refused() {
    let certs = Certs::for_host("localhost");
    let redis = Redis::with_tls(&certs, "sesame");
    let other = Certs::for_host("localhost");
    for ca in [None, Some(other.path("ca.pem"))] {
        let line = refused(address("localhost", &redis, true, ca));
        assert!(line.contains("its certificate is not trusted"), "{line}");
    }
    // The certificate is for another name.
    let line = refused(address(
        "127.0.0.1",
        &redis,
        true,
        Some(certs.path("ca.pem")),
    ));
    assert!(line.contains("not valid for name"), "{line}");
}

#[test]
fn a_wrong_or_missing_password_is_refused() {
    let redis = Redis::with_password("sesame");
    let mut address = redis.address();
    address.password = Some("open".into());
    let line = refused(address.clone());
    assert!(line.contains("WRONGPASS"), "{line}");
    address.password = None;
    let line = refused(address);
    assert!(
        line.contains("NOAUTH") && line.contains("REDIS_PASSWORD"),
        "{line}"
    );
}

#[test]
fn plain_and_tls_are_told_apart() {
    let certs = Certs::for_host("localhost");
    let redis = Redis::with_tls(&certs, "sesame");
    let plain = Redis::on_tcp();
    // Neither port says what is wrong; it could as well be a Redis that is restarting.
    for (redis, tls, hint) in [
        (&redis, false, "if this is a TLS port"),
        (&plain, true, "if this is no TLS port"),
    ] {
        let server = TestServer::on_with(address("localhost", redis, tls, None), |_| {});
        let (status, line) = server.ready();
        assert!(status == 503 && line.contains(hint), "{line}");
    }
}

#[test]
fn a_ca_that_can_not_be_read_is_named() {
    let certs = Certs::for_host("localhost");
    let redis = Redis::with_tls(&certs, "sesame");
    for file in ["nowhere.pem", "key.pem"] {
        let path = certs.path(file);
        let line = refused(address("localhost", &redis, true, Some(path.clone())));
        assert!(
            line.starts_with(&format!("--redis-ca {}", path.display())),
            "{line}"
        );
    }
}
