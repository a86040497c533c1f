//! The command that prints the password of Redis: valid output, errors, and secrecy.

use std::fs;
use std::path::Path;
use std::time::Duration;

use natterjack::config::RedisAddress;
use serde_json::json;

use crate::support::{Program, Redis, TestServer, TokenService, eventually, token};

/// Longer than any of these tests.
const LONG: Duration = Duration::from_secs(3600);
/// Renewed while one waits.
const SHORT: Duration = Duration::from_secs(4);

/// How Redis is reached by this command.
fn by(redis: &Redis, command: &str) -> RedisAddress {
    RedisAddress {
        password: None,
        auth_command: Some(command.into()),
        ..redis.address()
    }
}

#[test]
fn the_json_of_token_endpoints_is_accepted() {
    let redis = Redis::start();
    let tokens = TokenService::new();
    let token = tokens.issue(&redis, "managed", LONG);
    for answer in [
        json!({"access_token": token, "client_id": "x", "expires_in": "3600", "expires_on": "1",
            "resource": "https://redis.azure.com", "token_type": "Bearer"}),
        json!({"accessToken": token, "expiresOn": "2026-11-23 08:00:00.000000", "expires_on": 1}),
    ] {
        tokens.print(&format!("{answer:#}\n"));
        let _server = TestServer::on_with(tokens.address(&redis), |_| {});
        let users = redis.chatters().into_iter().map(|(_, user)| user);
        assert_eq!(users.collect::<Vec<_>>(), ["managed", "managed"]);
    }
}

#[test]
fn a_lasting_error_is_reported_in_one_line() {
    let redis = Redis::with_password("sesame");
    let large = "head -c 70000 /dev/zero | tr '\\0' x";
    let ended = format!("echo {}", token("me", Duration::ZERO));
    for (command, says) in [
        ("no-such-program", "exited with 127: "),
        ("/etc/passwd", "exited with 126: "),
        ("true", "it prints nothing"),
        ("echo sesame; echo sesame", "it prints several lines"),
        ("printf 'ses\\033ame'", "it prints control characters"),
        ("printf 'sesame\\377'", "it prints what is not UTF-8"),
        (
            "echo '{\"token\": \"sesame\"}'",
            "it prints JSON without an access_token",
        ),
        (large, "it prints more than 64 KiB"),
    ] {
        let address = by(&redis, command);
        match TestServer::try_with(|config| config.redis = Some(address)) {
            Ok(_) => panic!("{command}: it must not start"),
            Err(line) => {
                assert!(
                    line.contains(&format!("redis auth command: {says}")),
                    "{line}"
                );
                assert!(!line.contains('\n') && !line.contains("sesame"), "{line}");
            }
        }
    }
    let wrong = by(&redis, "echo parsley");
    match TestServer::try_with(|config| config.redis = Some(wrong)) {
        Ok(_) => panic!("it must not start"),
        Err(line) => assert!(line.contains("sign-in refused: "), "{line}"),
    }
    // These may pass: no network yet, a clock that is not set yet.
    for (command, says) in [
        (
            "echo 'no \x1b[31mroute\nsesame' >&2; exit 7",
            "exited with 7: no [31mroute",
        ),
        ("kill -9 $$", "killed by signal 9"),
        (&ended, "its token ended "),
    ] {
        let server = TestServer::on_with(by(&redis, command), |_| {});
        let (status, line) = server.ready();
        assert_eq!(status, 503, "{line}");
        assert!(
            line.contains(&format!("redis auth command: {says}")),
            "{line}"
        );
        assert!(!line.contains("sesame") && !line.contains('\x1b'), "{line}");
    }
    let server = TestServer::on_with(by(&redis, "echo sesame"), |_| {});
    assert_eq!(server.ready().0, 200);
}

#[test]
fn a_command_that_hangs_is_killed_with_its_children() {
    let redis = Redis::start();
    let folder = tempfile::tempdir().unwrap();
    let [shell, child] = ["shell", "child"].map(|name| folder.path().join(name));
    let command = format!(
        "echo $$ > {}; sleep 1000 & echo $! > {}; sleep 1000",
        shell.display(),
        child.display()
    );
    let server = TestServer::on_with(by(&redis, &command), |_| {});
    let (status, line) = server.ready();
    assert_eq!(status, 503);
    assert!(
        line.contains("redis auth command: not done within 10s, killed"),
        "{line}"
    );
    let id = |path: &Path| fs::read_to_string(path).unwrap().trim().to_string();
    // The next one is under way by now, or soon, and nobody would wait for it.
    let (first_shell, first_child) = (id(&shell), id(&child));
    eventually("the child is gone", || gone(&first_child).then_some(()));
    // The shell has not even left its corpse, unless it is the next one.
    let second = eventually("it is tried again", || {
        Some(id(&shell)).filter(|id| !id.is_empty() && *id != first_shell)
    });
    assert!(!Path::new("/proc").join(&first_shell).exists());
    let second_child = eventually("it has a child", || {
        Some(id(&child)).filter(|id| !id.is_empty() && *id != first_child)
    });
    // A server that stops does not leave it behind either.
    drop(server);
    for id in [second, second_child] {
        eventually("nothing is left behind", || gone(&id).then_some(()));
    }
}

/// Whether the process has ended. It may still be a zombie.
fn gone(id: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{id}/stat"));
    stat.map_or(true, |stat| stat.contains(") Z "))
}

#[test]
fn tokens_are_shown_nowhere() {
    let redis = Redis::start();
    let tokens = TokenService::new();
    let first = tokens.issue(&redis, "first", SHORT);
    let (command, url) = (tokens.command(), redis.url());
    let settings = [
        ("NATTERJACK_REDIS", url.as_str()),
        ("NATTERJACK_REDIS_AUTH_COMMAND", &command),
    ];
    let mut program = Program::start_with(&["--log", "debug"], &settings);
    program.addr();
    let second = tokens.issue(&redis, "second", LONG);
    program.logs("signed in with a new token");
    redis.command(&["ACL", "DELUSER", "second"]);
    program.logs("trying again until it works");
    // Redis refused it, so the command runs again.
    eventually("it asks again", || (tokens.asked() > 2).then_some(()));
    let third = tokens.issue(&redis, "third", LONG);
    program.logs("connected");
    let line = fs::read_to_string(format!("/proc/{}/cmdline", program.id())).unwrap();
    let check = Program::run(&["--check", "--listen", "127.0.0.1:0"], &settings);
    let check = String::from_utf8(check.stdout).unwrap();
    assert!(
        check.contains("connected, signed in as third with a token that lives for 59 min"),
        "{check}"
    );
    let log = program.log().join("\n");
    for token in [first, second, third] {
        for part in token.split('.') {
            assert!(![&line, &check, &log].iter().any(|text| text.contains(part)));
        }
    }
}

#[test]
fn a_password_besides_the_command_is_a_usage_error() {
    let flags = ["--redis", "redis://localhost", "--redis-auth-command", "x"];
    let output = Program::run(&flags, &[("REDIS_PASSWORD", "hunter2")]);
    let line = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{line}");
    assert!(
        line.lines().count() == 1 && !line.contains("hunter2"),
        "{line}"
    );
}
