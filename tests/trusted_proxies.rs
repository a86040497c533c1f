//! Which address counts behind reverse proxies that are trusted, and behind those that are not.

use natterjack::config::Network;
use serde_json::json;

use crate::support::{Client, Program, Raw, TestServer, connect_from};

const PROXY: [u8; 4] = [127, 0, 0, 9];

/// One peer from each address, and this proxy is believed.
fn one_each() -> TestServer {
    TestServer::with(|config| {
        config.max_peers_per_ip = Some(1);
        config.trust_proxy = vec![Network::parse("127.0.0.8/31").unwrap()];
    })
}

/// Joins from this address with this header.
fn knock(
    server: &TestServer,
    from: [u8; 4],
    user: &str,
    header: (&'static str, &str),
) -> Result<Client, u16> {
    let stream = connect_from(from, server.addr());
    Client::over(stream, &format!("/ws?user={user}"), |request| {
        let value = header.1.parse().unwrap();
        request.headers_mut().insert(header.0, value);
    })
}

#[test]
fn a_trusted_proxys_clients_are_counted_by_their_own_addresses() {
    let server = one_each();
    let join = |user: &str, header, value: &str| knock(&server, PROXY, user, (header, value));
    let _one = join("one", "x-forwarded-for", "203.0.113.1").unwrap();
    let _two = join("two", "x-forwarded-for", "203.0.113.2, 127.0.0.8").unwrap();
    let _three = join("three", "forwarded", "for=\"[2001:db8::3]:80\";proto=https").unwrap();
    for (header, value) in [
        ("x-forwarded-for", "203.0.113.1"),
        ("x-forwarded-for", "198.51.100.1, 203.0.113.2"),
        ("forwarded", "for=203.0.113.1"),
        ("x-forwarded-for", "2001:db8::4"),
    ] {
        let refused = join("more", header, value).err();
        assert_eq!(refused, Some(429), "{header}: {value}");
    }
    // What is no address counts as the proxy's own.
    let _unknown = join("unknown", "x-forwarded-for", "unknown").unwrap();
    assert_eq!(join("more", "x-forwarded-for", "garbage").err(), Some(429));
}

#[test]
fn forwarded_headers_of_untrusted_clients_are_ignored() {
    let server = one_each();
    let here = [127, 0, 0, 2];
    let join = |user: &str, header, value: &str| knock(&server, here, user, (header, value));
    let _one = join("one", "x-forwarded-for", "203.0.113.1").unwrap();
    assert_eq!(
        join("two", "x-forwarded-for", "203.0.113.2").err(),
        Some(429)
    );
    assert_eq!(join("two", "forwarded", "for=203.0.113.2").err(), Some(429));
}

#[test]
fn peers_without_a_name_have_the_rate_of_their_own_address() {
    let server = TestServer::with(|config| {
        config.rate = 1;
        config.trust_proxy = vec![Network::parse("127.0.0.1").unwrap()];
    });
    // None of them ever says who it is. The first message of each is heard in any case.
    let second = |from: &str| {
        let stream = connect_from([127, 0, 0, 1], server.addr());
        let mut nobody = Client::over(stream, "/ws", |request| {
            let value = from.parse().unwrap();
            request.headers_mut().insert("x-forwarded-for", value);
        })
        .unwrap();
        nobody.put(json!({"type": "nonsense"}));
        nobody.gets(json!({"code": "unknown_type"}));
        nobody.put(json!({"type": "nonsense"}));
        nobody.object()["code"].as_str().unwrap().to_string()
    };
    for n in 0..20 {
        assert_eq!(second(&format!("203.0.113.{n}")), "unknown_type");
    }
}

#[test]
fn the_log_names_the_client_and_not_the_proxy() {
    let mut program = Program::start(&["--trust-proxy", "127.0.0.1"]);
    let addr = program.addr();
    let request = "GET /chat/a:b HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 203.0.113.7\r\n\r\n";
    assert_eq!(Raw::request(addr, request.as_bytes()).0, 400);
    program.logs("203.0.113.7 was turned away: 400");
}
