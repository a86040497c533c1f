//! Redis Sentinel: who is asked, who is believed, what is said when nobody knows. What people see
//! of a failover is in `failover`.

use natterjack::config::{RedisAddress, RedisHost};

use crate::support::{Certs, Program, Redis, Sentinels, TestServer, eventually, free_port};

/// The one line with which a server refuses to start.
#[track_caller]
fn refused(address: RedisAddress) -> String {
    match TestServer::try_with(|config| config.redis = Some(address)) {
        Ok(_) => panic!("it must not start"),
        Err(line) => line,
    }
}

/// The same sentinels under another name of the primary.
fn called(sentinels: &Sentinels, name: &str) -> RedisAddress {
    let mut address = sentinels.address();
    if let RedisHost::Sentinel(sentinels) = &mut address.host {
        sentinels.name = name.into();
    }
    address
}

#[test]
fn unreachable_sentinels_are_skipped() {
    let redis = Redis::on_tcp();
    let mut sentinels = Sentinels::over(&redis, 0);
    sentinels.kill(0);
    sentinels.kill(1);
    let [one, two] = [1, 2].map(|_| TestServer::on_with(sentinels.address(), |_| {}));
    let mut foo = one.join("foo");
    let mut bar = two.join("bar");
    foo.hears("bar: has joined the chat!");
    // Nobody is left to ask, and nobody needs to be asked.
    sentinels.kill(2);
    for n in 0..10 {
        foo.say(&format!("hello {n}"));
        bar.hears(&format!("foo: hello {n}"));
    }
    assert_eq!(one.ready(), (200, "ok\n".into()));
    // The next connect does need one.
    redis.command(&["CLIENT", "KILL", "TYPE", "normal"]);
    let why = eventually("it asks in vain", || {
        let (_, why) = one.ready();
        why.contains("no sentinel knows the primary: ")
            .then_some(why)
    });
    for i in 0..3 {
        let sentinel = format!("sentinel 127.0.0.1:{}: can't connect: ", sentinels.port(i));
        assert!(why.contains(&sentinel), "{why}");
    }
}

#[test]
fn a_name_that_no_sentinel_knows_is_refused_at_the_start() {
    let redis = Redis::on_tcp();
    let mut sentinels = Sentinels::over(&redis, 0);
    let line = refused(called(&sentinels, "lake"));
    assert!(line.contains("no such master \"lake\""), "{line}");
    assert!(!line.contains('\n'), "{line}");
    // Where one can't be asked, it might know.
    sentinels.kill(1);
    let server = TestServer::on_with(called(&sentinels, "lake"), |_| {});
    let (code, why) = server.ready();
    assert_eq!(code, 503);
    assert!(why.contains("no such master \"lake\""), "{why}");
}

#[test]
fn a_server_that_is_no_sentinel_is_recognised() {
    let redis = Redis::on_tcp();
    let url = format!("redis+sentinel://127.0.0.1:{}/pond", redis.port());
    let output = Program::run(&["--redis", &url], &[]);
    assert_eq!(output.status.code(), Some(1));
    let line = String::from_utf8(output.stderr).unwrap();
    assert!(line.contains(": it is no sentinel"), "{line}");
}

#[test]
fn with_tls_the_name_that_was_given_for_the_sentinels_is_verified() {
    let certs = Certs::for_host("localhost");
    let redis = Redis::with_tls(&certs, "sesame");
    let sentinels = Sentinels::with_tls(&redis, &certs, "sesame");
    let address = RedisAddress {
        ca: Some(certs.path("ca.pem")),
        ..sentinels.address()
    };
    let [one, two] = [1, 2].map(|_| TestServer::on_with(address.clone(), |_| {}));
    let mut foo = one.join("foo");
    let mut bar = two.join("bar");
    foo.hears("bar: has joined the chat!");
    foo.say("hello");
    bar.hears("foo: hello");

    let line = refused(RedisAddress {
        ca: None,
        ..address.clone()
    });
    assert!(line.contains("its certificate is not trusted"), "{line}");
    let line = refused(RedisAddress {
        password: Some("wrong".into()),
        ..address.clone()
    });
    assert!(line.contains("sign-in refused"), "{line}");
    let line = refused(RedisAddress {
        password: None,
        ..address.clone()
    });
    assert!(line.contains("set REDIS_PASSWORD"), "{line}");
    let mut by_address = address;
    if let RedisHost::Sentinel(sentinels) = &mut by_address.host {
        for (host, _) in &mut sentinels.hosts {
            *host = "127.0.0.1".into();
        }
    }
    let line = refused(by_address);
    assert!(line.contains("its certificate is not trusted"), "{line}");
}

#[test]
fn the_check_tells_what_each_sentinel_says() {
    let certs = Certs::for_host("localhost");
    let redis = Redis::with_tls(&certs, "sesame");
    let mut sentinels = Sentinels::with_tls(&redis, &certs, "sesame");
    sentinels.kill(1);
    let ca = certs.path("ca.pem").display().to_string();
    let listen = format!("127.0.0.1:{}", free_port());
    let check = |url: &str| {
        let flags = [
            "--check",
            "--listen",
            &listen,
            "--redis",
            url,
            "--redis-ca",
            &ca,
        ];
        let output = Program::run(&flags, &[("REDIS_PASSWORD", "sesame")]);
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(!said.contains("sesame"), "{said}");
        (output.status.code(), said)
    };
    let url = sentinels.url();
    let (code, said) = check(&url);
    assert_eq!(code, Some(0), "{said}");
    let [a, b, c] = [0, 1, 2].map(|i| format!("sentinel localhost:{}", sentinels.port(i)));
    let primary = format!("127.0.0.1:{}", redis.port());
    let mut lines = said.lines();
    for line in [
        format!("ok    {a}: the primary of pond is {primary}"),
        format!("ok    {a}: TLS 1.3, its certificate is valid for "),
        format!("warn  {b}: can't connect: "),
        format!("ok    {c}: the primary of pond is {primary}"),
        format!("ok    redis {primary}: TLS 1.3, its certificate is valid for "),
        "ok    redis pond by sentinels ".into(),
    ] {
        assert!(lines.any(|said| said.starts_with(&line)), "{line}: {said}");
    }
    let (code, said) = check(&url.replace("/pond", "/lake"));
    assert_eq!(code, Some(1), "{said}");
    let line = format!("warn  {a}: no such master \"lake\"");
    assert!(said.lines().any(|said| said.starts_with(&line)), "{said}");
}
