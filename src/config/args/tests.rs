//! Flags, variables, and errors of both.

use super::*;
use crate::config::origins;

fn config(args: &[&str], env: &[(&str, &str)]) -> Result<Config, EarlyExit> {
    let args: Vec<String> = args.iter().map(ToString::to_string).collect();
    read(&args, |name| {
        env.iter()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value.to_string())
    })
}

fn usage(args: &[&str], env: &[(&str, &str)]) -> String {
    match config(args, env) {
        Err(EarlyExit { output, .. }) => output,
        other => panic!("{args:?} {env:?}: {other:?}"),
    }
}

#[test]
fn flags_win_over_variables_and_these_over_port() {
    let port = |args: &[&str], env: &[(&str, &str)]| {
        let listen = config(args, env).unwrap().listen;
        assert_eq!(listen.len(), 1);
        listen[0].port()
    };
    let both = [("PORT", "1"), ("NATTERJACK_LISTEN", "127.0.0.1:2")];
    assert_eq!(port(&[], &[]), 8080);
    assert_eq!(port(&[], &both[..1]), 1);
    assert_eq!(port(&[], &both), 2);
    assert_eq!(port(&["--listen", ":3"], &both), 3);
    assert_eq!(port(&["--listen=[::1]:4"], &both), 4);
    assert_eq!(port(&[], &[("NATTERJACK_LISTEN", ""), ("PORT", "5")]), 5);
}

#[test]
fn every_number_has_its_flag_and_its_variable() {
    let args = [
        "--max-message=100",
        "--rate=0",
        "--outbox=1",
        "--ping=2",
        "--threads=3",
        "--history=4",
        "--notices=5",
        "--max-queued=7",
        "--max-peers-per-ip=8",
    ];
    let some = config(&args, &[("NATTERJACK_MAX_PEERS", "6")]).unwrap();
    assert_eq!(some.max_queued, 7 * 1024 * 1024);
    assert_eq!(some.max_peers_per_ip, Some(8));
    assert_eq!(
        (some.max_message, some.rate, some.outbox, some.ping),
        (100, 0, 1024, 2)
    );
    assert_eq!(
        (some.threads, some.history, some.notices, some.max_peers),
        (3, 4, 5, 6)
    );
    let variable = [("NATTERJACK_ORIGIN", "https://a.example, https://b.example")];
    let allowed = config(&[], &variable).unwrap().origins;
    assert!(origins::allow(&allowed, "https://b.example", None));
}

#[test]
fn a_bad_value_is_named_in_one_line() {
    for (args, says) in [
        (
            &["--rate", "fast"][..],
            "--rate \"fast\" is not allowed: a whole number from 0",
        ),
        (&["--rate", "-1"], "--rate \"-1\" is not allowed"),
        (
            &["--ping", "0"],
            "--ping \"0\" is not allowed: a whole number from 1 to 3600",
        ),
        (
            &["--max-queued", "0"],
            "--max-queued \"0\" is not allowed: a whole number from 1 to",
        ),
        (
            &["--listen", "nowhere"],
            "--listen \"nowhere\" is not allowed: ADDRESS:PORT",
        ),
        (
            &["--log", "off"],
            "--log \"off\" is not allowed: error, warn, info",
        ),
        (&["--prefix", "a b"], "--prefix \"a b\" is not allowed"),
        (
            &["--prefix", "chat:x"],
            "--prefix \"chat:x\" is not allowed",
        ),
        (
            &["--origin", "me"],
            "--origin \"me\" is not allowed: *, null, file:// or scheme://host",
        ),
        (
            &["--host", "http://me"],
            "--host \"http://me\" is not allowed: NAME or NAME:PORT",
        ),
        (&["--redis-ca", "x"], "--redis-ca needs --redis"),
        (&["--nonsense"], "--nonsense"),
        (&["stray"], "stray"),
        (&["--rate"], "--rate"),
    ] {
        let line = usage(args, &[]);
        assert!(
            line.contains(says) && !line.contains('\n'),
            "{args:?}: {line}"
        );
    }
    let line = usage(&[], &[("NATTERJACK_RATE", "x")]);
    assert!(
        line.starts_with("NATTERJACK_RATE \"x\" is not allowed"),
        "{line}"
    );
    assert!(usage(&[], &[("PORT", "66000")]).starts_with("PORT \"66000\""));
}

#[cfg(feature = "full")]
#[test]
fn only_sites_may_embed_the_page() {
    for bad in [
        "null",
        "file://",
        "tauri://localhost",
        "me",
        "https://a.example/path",
    ] {
        let line = usage(&["--embed", bad], &[]);
        assert!(
            line.contains("is not allowed: * or http[s]://host"),
            "{line}"
        );
    }
    let variable = [("NATTERJACK_EMBED", "https://a.example,http://b.example:81")];
    assert_eq!(config(&[], &variable).unwrap().embed.len(), 2);
}

#[cfg(feature = "full")]
#[test]
fn a_certificate_and_its_key_come_together() {
    let variable = [("NATTERJACK_TLS_KEY", "k")];
    let files = config(&["--tls-cert", "c"], &variable)
        .unwrap()
        .tls_files()
        .unwrap();
    assert_eq!((files.cert, files.key), ("c".into(), "k".into()));
    assert!(usage(&["--tls-cert", "c"], &[]).starts_with("--tls-cert needs --tls-key"));
    assert!(usage(&[], &variable).starts_with("NATTERJACK_TLS_KEY needs --tls-cert"));
}

#[cfg(feature = "full")]
#[test]
fn a_ca_is_of_no_use_without_tls() {
    let plain = ["--redis-ca", "x", "--redis", "redis://localhost"];
    assert!(usage(&plain, &[]).starts_with("--redis-ca is for TLS"));
    let tls = ["--redis-ca", "x", "--redis", "rediss://localhost"];
    assert!(config(&tls, &[]).is_ok());
}

#[test]
fn help_and_version_are_asked_for() {
    let wrong = [("NATTERJACK_RATE", "x")];
    let help = config(&["--help"], &wrong).unwrap_err();
    assert!(help.status.is_ok() && help.output.contains("--max-peers"));
    let version = config(&["--version"], &wrong).unwrap_err();
    let expected = format!("natterjack {}", env!("CARGO_PKG_VERSION"));
    assert_eq!((version.status, version.output), (Ok(()), expected));
}

#[test]
fn listening_addresses_come_one_by_one_or_as_a_list() {
    let listen = |args: &[&str], variable: &str, value: &str| {
        let config = config(args, &[(variable, value)]);
        config.map(|config| format!("{:?}", config.listen))
    };
    assert_eq!(listen(&[], "PORT", "").unwrap(), "[[::]:8080]");
    assert_eq!(listen(&[], "PORT", "1").unwrap(), "[[::]:1]");
    let list = ("NATTERJACK_LISTEN", ":1, 127.0.0.1:2,[::1]:3");
    let listed = listen(&[], list.0, list.1).unwrap();
    assert_eq!(listed, "[[::]:1, 127.0.0.1:2, [::1]:3]");
    let flags = ["--listen", ":4", "--listen=0.0.0.0:5"];
    let flags = listen(&flags, list.0, list.1).unwrap();
    assert_eq!(flags, "[[::]:4, 0.0.0.0:5]");
    let line = usage(&[], &[(list.0, ":1,,:2")]);
    assert!(
        line.starts_with("NATTERJACK_LISTEN \"\" is not allowed: "),
        "{line}"
    );
}
