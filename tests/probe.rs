//! `--probe`: asks the server that runs with the same settings whether it is ready, and says so by its
//! exit code. Containers have no other program to ask with.

use std::net::{SocketAddr, TcpListener};

use crate::support::{Certs, Program, free_port};

/// Asks for the server at this address.
#[track_caller]
fn probe(listen: &str, flags: &[&str]) -> Result<(), String> {
    let flags = [&["--probe", "--listen", listen], flags].concat();
    asked(&flags, &[])
}

/// The answer: by the exit code, and one line if it is not ready.
#[track_caller]
fn asked(flags: &[&str], env: &[(&str, &str)]) -> Result<(), String> {
    let output = Program::run(flags, env);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.stdout.is_empty());
    match output.status.code() {
        Some(0) => {
            assert_eq!(stderr, "");
            Ok(())
        }
        Some(1) => {
            assert_eq!(stderr.lines().count(), 1, "{stderr}");
            Err(stderr.trim_end().to_string())
        }
        other => panic!("{other:?}: {stderr}"),
    }
}

#[track_caller]
fn says(answer: Result<(), String>, addr: SocketAddr, why: &str) {
    let line = answer.expect_err("it is not ready");
    let expected = format!("natterjack: {addr}: {why}");
    assert!(line.starts_with(&expected), "{expected:?}: {line}");
}

#[test]
fn a_server_that_is_ready_is_found_at_the_address_of_the_settings() {
    let mut program = Program::start(&[]);
    let addr = program.addr();
    let port = addr.port();
    assert_eq!(probe(&addr.to_string(), &[]), Ok(()));
    // Every address is one of this machine, too.
    assert_eq!(probe(&format!("0.0.0.0:{port}"), &[]), Ok(()));
    assert_eq!(probe(&format!("[::]:{port}"), &[]), Ok(()));
    let port = port.to_string();
    assert_eq!(asked(&["--probe"], &[("PORT", &port)]), Ok(()));
    let listen = addr.to_string();
    let listen = [("NATTERJACK_LISTEN", listen.as_str()), ("PORT", "1")];
    assert_eq!(asked(&["--probe"], &listen), Ok(()));
}

#[test]
fn over_tls_the_probe_ignores_the_names_in_the_certificate() {
    let certs = Certs::for_host("chat.example.org");
    let path = |name: &str| certs.path(name).display().to_string();
    let (cert, key) = (path("cert.pem"), path("key.pem"));
    let tls = ["--tls-cert", &cert, "--tls-key", &key];
    let mut program = Program::start(&tls);
    let addr = program.addr();
    assert_eq!(probe(&addr.to_string(), &tls), Ok(()));
    let answer = probe(&addr.to_string(), &[]);
    says(answer, addr, "not ready, 400: this port speaks TLS");
    let mut plain = Program::start(&[]);
    let addr = plain.addr();
    says(
        probe(&addr.to_string(), &tls),
        addr,
        "received corrupt message",
    );
}

#[test]
fn the_probe_sends_a_host_name_that_the_server_accepts() {
    let mut program = Program::start(&["--host", "chat.example.org", "--host", "localhost"]);
    let addr = program.addr();
    let named = ["--host", "chat.example.org"];
    assert_eq!(probe(&addr.to_string(), &named), Ok(()));
    says(probe(&addr.to_string(), &[]), addr, "not ready, 421: ");
}

#[test]
fn a_server_that_is_not_ready_says_why() {
    let redis = format!("redis://localhost:{}", free_port());
    let mut program = Program::start(&["--redis", &redis]);
    let addr = program.addr();
    let answer = probe(&addr.to_string(), &["--redis", &redis]);
    says(answer, addr, "not ready, 503: ");
}

#[test]
fn the_probe_ends_when_no_server_answers() {
    let nobody = SocketAddr::from(([127, 0, 0, 1], free_port()));
    says(probe(&nobody.to_string(), &[]), nobody, "can't connect: ");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = listener.local_addr().unwrap();
    says(probe(&silent.to_string(), &[]), silent, "no answer within ");
    let answer = asked(&["--probe", "--listen", "127.0.0.1:0"], &[]);
    let line = answer.unwrap_err();
    assert!(
        line.starts_with("natterjack: --listen has port 0"),
        "{line}"
    );
}

#[test]
fn the_probe_reads_settings_like_the_server() {
    let output = Program::run(&["--probe", "--ping", "0"], &[]);
    assert_eq!(output.status.code(), Some(2));
}
