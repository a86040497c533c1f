//! `--check`: looks at everything that could be wrong, a line for each, and says by its exit code
//! whether the server would run well.

use std::net::TcpListener;

use crate::support::{Alone, Certs, Nodes, Program, Redis, free_port, is_before_7};

/// Checks these settings; whether they pass, and what was said.
pub fn check(flags: &[&str], env: &[(&str, &str)]) -> (bool, String) {
    let listen = format!("127.0.0.1:{}", free_port());
    let flags = [&["--check"], flags].concat();
    let env = [&[("NATTERJACK_LISTEN", listen.as_str())], env].concat();
    let output = Program::run(&flags, &env);
    let said = String::from_utf8(output.stdout).unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.is_empty(), "{stderr}");
    let code = output.status.code().unwrap();
    assert!(code <= 1, "{code}: {said}");
    let failed = said.lines().any(|line| line.starts_with("FAIL  "));
    assert_eq!(failed, code == 1, "{said}");
    (code == 0, said)
}

#[track_caller]
fn finds(flags: &[&str], env: &[(&str, &str)], line: &str) {
    let (_, said) = check(flags, env);
    assert!(
        said.lines().any(|found| found.starts_with(line)),
        "{line:?} is not in:\n{said}"
    );
}

#[test]
fn alone_it_needs_little() {
    let (passed, said) = check(&[], &[]);
    assert!(
        passed && said.lines().all(|line| line.starts_with("ok  ")),
        "{said}"
    );
    for line in [
        ": free\n",
        "files: enough",
        "clock: set",
        "host: any name is this server's own",
        "alone: no redis is set",
        "data: kept only in memory",
    ] {
        assert!(said.contains(line), "{line:?} is not in:\n{said}");
    }
}

#[test]
fn the_folder_for_what_is_said_is_looked_at() {
    let alone = Alone::start();
    alone.say("ann", "attic", &["hello"]);
    let folder = alone.data().display().to_string();
    let flags = ["--data", &folder];
    finds(
        &flags,
        &[],
        &format!("ok    data {folder}: a running server uses it"),
    );
    let copy = tempfile::tempdir().unwrap();
    std::fs::copy(&alone.files()[0], copy.path().join("000001.jsonl")).unwrap();
    let folder = copy.path().display().to_string();
    let (passed, said) = check(&["--data", &folder], &[]);
    assert!(passed, "{said}");
    for line in [": 4 lines", ": a sync takes ", " MiB are free"] {
        assert!(said.contains(line), "{said}");
    }
    let nowhere = copy.path().join("no/where").display().to_string();
    let (passed, said) = check(&["--data", &nowhere], &[]);
    assert!(!passed && said.contains("can't be created"), "{said}");
}

#[test]
fn configured_host_names_cause_no_warning() {
    let (passed, said) = check(&["--host", "chat.example"], &[]);
    assert!(passed && !said.contains("host: "), "{said}");
}

#[test]
fn a_page_that_anybody_may_frame_is_a_warning() {
    finds(&["--embed", "*"], &[], "warn  embed: any site");
    let (_, said) = check(&["--embed", "https://www.example.org"], &[]);
    assert!(!said.contains("embed"), "{said}");
}

#[test]
fn a_limit_per_address_needs_to_know_the_proxy() {
    let limit = ["--max-peers-per-ip", "5"];
    finds(&limit, &[], "warn  --max-peers-per-ip counts all who come");
    let (_, said) = check(&[&limit[..], &["--trust-proxy", "127.0.0.1"]].concat(), &[]);
    assert!(!said.contains("--trust-proxy"), "{said}");
}

#[test]
fn every_step_of_the_redis_check_is_reported() {
    let certs = Certs::for_host("localhost");
    let redis = Redis::with_tls(&certs, "hunter2");
    let ca = certs.path("ca.pem").display().to_string();
    let url = format!("rediss://localhost:{}", redis.port());
    let flags = [
        "--redis",
        &url,
        "--redis-ca",
        &ca,
        "--metrics",
        "127.0.0.1:0",
    ];
    let (passed, said) = check(&flags, &[("REDIS_PASSWORD", "hunter2")]);
    assert!(passed, "{said}");
    let redis_lines: Vec<_> = said
        .lines()
        .filter(|line| line.contains("redis "))
        .collect();
    let host = format!("ok    redis localhost:{} (TLS): ", redis.port());
    for (line, says) in redis_lines.iter().zip([
        "the name is 127.0.0.1",
        "TLS 1.3, its certificate is valid for ",
        "connected, signed in",
        "version ",
        "keeps its data (appendonly)",
        "every command that is used is allowed",
        "what is published under chat comes back, after ",
    ]) {
        let said = line.strip_prefix(&host).unwrap_or_else(|| panic!("{line}"));
        assert!(said.starts_with(says), "{says:?}: {said}");
    }
    assert_eq!(redis_lines.len(), 7, "{said}");
    assert!(!said.contains("hunter2"));
    // Nothing is left behind.
    assert_eq!(redis.command(&["DBSIZE"]), ":0\r\n");
}

#[test]
fn a_failed_check_names_the_problem_and_the_remedy() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let line = format!("FAIL  listen {taken}: Address already in use");
    finds(&["--listen", &taken], &[], &line);
    let line = format!("FAIL  metrics {taken}: Address already in use");
    finds(&["--metrics", &taken], &[], &line);

    let nobody = format!("redis://localhost:{}", free_port());
    let port = nobody.rsplit(':').next().unwrap();
    let line = format!("FAIL  redis localhost:{port}: can't connect: Connection refused");
    finds(&["--redis", &nobody], &[], &line);
    let line = "FAIL  redis nowhere.invalid:6379: the name can't be looked up: ";
    finds(&["--redis", "redis://nowhere.invalid"], &[], line);

    let certs = Certs::for_host("localhost");
    let redis = Redis::with_tls(&certs, "hunter2");
    let host = format!("redis localhost:{} (TLS)", redis.port());
    let url = format!("rediss://localhost:{}", redis.port());
    let line = format!("FAIL  {host}: its certificate is not trusted: ");
    finds(&["--redis", &url], &[], &line);
    let ca = certs.path("ca.pem").display().to_string();
    let flags = ["--redis", &url, "--redis-ca", &ca];
    let line = format!("FAIL  {host}: sign-in refused: ");
    finds(&flags, &[("REDIS_PASSWORD", "wrong")], &line);
    let line = format!("FAIL  {host}: refused: NOAUTH ");
    finds(&flags, &[], &line);
}

#[test]
fn a_redis_that_would_lose_messages_is_reported() {
    let redis = Redis::start();
    let url = redis.url();
    let host = url.strip_prefix("redis+unix://").unwrap();
    redis.command(&["CONFIG", "SET", "appendonly", "no"]);
    redis.command(&["CONFIG", "SET", "maxmemory", "100mb"]);
    redis.command(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
    for line in [
        format!("warn  redis {host}: its restart loses what it has not saved; set appendonly yes"),
        format!("warn  redis {host}: maxmemory-policy allkeys-lru may throw names and messages"),
    ] {
        finds(&["--redis", &url], &[], &line);
    }
    redis.allow("bob", "on >x ~chat* &* +@all -xadd -publish");
    let env = [("REDIS_USERNAME", "bob"), ("REDIS_PASSWORD", "x")];
    let line = format!("FAIL  redis {host}: not allowed to DEL, EXPIRE, GET, HDEL, ");
    finds(&["--redis", &url], &env, &line);
    redis.command(&["REPLICAOF", "127.0.0.1", "1"]);
    let line = format!("FAIL  redis {host}: it is a replica");
    finds(&["--redis", &url], &[], &line);
    let cluster = Redis::as_cluster();
    let host = &cluster.url()[13..];
    let line = format!("FAIL  redis {host}: the cluster has no slots yet");
    finds(&["--redis", &cluster.url()], &[], &line);
    cluster.allow("bob", "on >x ~* &* +@all -cluster");
    let line = format!("FAIL  redis {host}: it is a cluster, and does not say where its slots are");
    finds(&["--redis", &cluster.url()], &env, &line);
}

#[test]
fn a_redis_that_may_evict_keys_is_reported_even_without_a_memory_limit() {
    let redis = Redis::start();
    let url = redis.url();
    let host = url.strip_prefix("redis+unix://").unwrap();
    let (passed, said) = check(&["--redis", &url], &[]);
    assert!(passed && !said.contains("maxmemory"), "{said}");
    // Azure's default; a limit that comes from outside Redis is not seen here.
    redis.command(&["CONFIG", "SET", "maxmemory-policy", "volatile-lru"]);
    let (passed, said) = check(&["--redis", &url], &[]);
    assert!(passed, "{said}");
    let start = format!(
        "warn  redis {host}: maxmemory-policy volatile-lru may throw names and messages away"
    );
    let line = said.lines().find(|line| line.starts_with(&start));
    let line = line.unwrap_or_else(|| panic!("{start:?} is not in:\n{said}"));
    assert!(
        line.contains("; set noeviction (Azure: az redis update "),
        "{line}"
    );
}

#[test]
fn each_node_of_a_cluster_is_checked() {
    let nodes = Nodes::start();
    let (passed, said) = check(&["--redis", &nodes.url(3)], &[]);
    assert!(passed, "{said}");
    let host = format!("redis 127.0.0.1:{}", nodes.port(3));
    assert!(!said.contains("maxmemory-policy"), "{said}");
    nodes.command(1, &["CONFIG", "SET", "maxmemory-policy", "volatile-lru"]);
    let node = format!("node 127.0.0.1:{}", nodes.port(1));
    let line = format!("warn  {host}: {node}: maxmemory-policy volatile-lru may throw names");
    finds(&["--redis", &nodes.url(3)], &[], &line);
    let line = format!("ok    {host}: a cluster, and each of its 3 primaries can be reached");
    assert!(said.contains(&line), "{said}");
    if is_before_7() {
        return println!("skipped: the rest needs Redis 7");
    }
    nodes.announce_unreachable(2);
    let line = format!("FAIL  {host}: node 192.0.2.1:{}: ", nodes.port(2));
    finds(&["--redis", &nodes.url(3)], &[], &line);
}

#[test]
fn invalid_settings_are_usage_errors_in_a_check_too() {
    let output = Program::run(&["--check", "--rate", "fast"], &[]);
    assert_eq!(output.status.code(), Some(2));
}
