//! The program as an operator meets it: flags, variables, one line for each error.

use std::net::TcpListener;
use std::process::Output;

use crate::support::{Program, Raw};

#[track_caller]
fn one_line(output: &Output, code: i32, says: &str) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(stderr.contains(says), "{stderr}");
    assert!(output.stdout.is_empty());
}

#[test]
fn the_first_log_line_says_where_to_connect() {
    let mut program = Program::start(&["--threads", "1"]);
    let addr = program.addr();
    assert_eq!(Raw::get(addr, "/healthz").0, 200);
}

#[test]
fn help_and_version_go_to_stdout() {
    let help = Program::run(&["--help"], &[]);
    assert!(help.status.success() && help.stderr.is_empty());
    let help = String::from_utf8(help.stdout).unwrap();
    for flag in [
        "--listen",
        "--redis",
        "--redis-ca",
        "--redis-auth-command",
        "--prefix",
        "--history",
        "--origin",
        "--max-message",
        "--rate",
        "--outbox",
        "--max-queued",
        "--max-peers",
        "--max-peers-per-ip",
        "--trust-proxy",
        "--ping",
        "--notices",
        "--threads",
        "--tls-cert",
        "--tls-key",
        "--jwt-key",
        "--jwt-audience",
        "--jwt-issuer",
        "--jwt-name",
        "--issue",
        "--days",
        "--rooms",
        "--mod",
        "--log",
        "--probe",
        "--version",
    ] {
        assert!(help.contains(flag), "{flag} is not in {help}");
    }
    let version = Program::run(&["--version"], &[]);
    let expected = format!("natterjack {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(String::from_utf8(version.stdout).unwrap(), expected);
}

#[test]
fn a_bad_value_is_a_usage_error() {
    one_line(
        &Program::run(&["--rate", "fast"], &[]),
        2,
        "--rate \"fast\" is not allowed",
    );
    one_line(
        &Program::run(&["--listen", "x"], &[]),
        2,
        "--listen \"x\" is not allowed",
    );
    one_line(&Program::run(&["--nonsense"], &[]), 2, "--nonsense");
    one_line(
        &Program::run(&["--redis", "http://a"], &[]),
        2,
        "--redis is not usable",
    );
    one_line(
        &Program::run(&[], &[("NATTERJACK_PING", "0")]),
        2,
        "NATTERJACK_PING \"0\"",
    );
    one_line(&Program::run(&[], &[("PORT", "http")]), 2, "PORT \"http\"");
    one_line(
        &Program::run(&[], &[("REDIS_HOST", ":1")]),
        2,
        "REDIS_HOST \":1\"",
    );
}

#[test]
fn a_failure_at_start_is_one_line_too() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    let output = Program::run(&["--listen", &addr, "--log", "error"], &[]);
    one_line(&output, 1, &format!("can't listen on {addr}"));
    let redis = [
        "--redis",
        "rediss://localhost:1",
        "--redis-ca",
        "/nowhere.pem",
        "--log",
        "error",
    ];
    let output = Program::run(&redis, &[("NATTERJACK_LISTEN", "127.0.0.1:0")]);
    one_line(&output, 1, "--redis-ca /nowhere.pem");
}
