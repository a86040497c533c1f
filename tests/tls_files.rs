//! The certificate under which the server speaks TLS: what may be wrong with it, and how a new one
//! comes into force while people chat.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::{Command, Output};

use rustls::version::TLS13;

use crate::support::{Certs, Client, Program, eventually, secure};

/// The flags for these files.
fn flags(cert: &str, key: &str) -> [String; 4] {
    ["--tls-cert", cert, "--tls-key", key].map(String::from)
}

fn path(certs: &Certs, name: &str) -> String {
    certs.path(name).display().to_string()
}

fn run(flags: &[String]) -> Output {
    let mut all = vec!["--listen", "127.0.0.1:0", "--log", "error"];
    all.extend(flags.iter().map(String::as_str));
    Program::run(&all, &[])
}

/// It does not start with these files, and says why in one line.
#[track_caller]
fn is_refused(certs: &Certs, cert: &str, key: &str, says: &str) {
    let output = run(&flags(&path(certs, cert), &path(certs, key)));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(stderr.contains(says), "{says:?} is not in {stderr}");
    assert!(
        stderr.contains(&path(certs, "")),
        "no file is named: {stderr}"
    );
    assert!(
        !stderr.contains("MI"),
        "what is in a key is not shown: {stderr}"
    );
}

/// Runs openssl in the folder of these certificates.
fn openssl(certs: &Certs, words: &str) {
    let output = Command::new("openssl")
        .args(words.split(' '))
        .current_dir(certs.path(""))
        .output()
        .expect("openssl must be installed: apt-get install openssl");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "openssl {words}: {stderr}");
}

#[test]
fn one_file_without_the_other_is_a_usage_error() {
    for (flag, says) in [
        ("--tls-cert", "--tls-cert needs --tls-key"),
        ("--tls-key", "--tls-key needs --tls-cert"),
    ] {
        let output = Program::run(&[flag, "/nowhere.pem"], &[]);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(
            stderr.lines().count() == 1 && stderr.contains(says),
            "{stderr}"
        );
    }
}

#[test]
fn a_byte_order_mark_before_a_certificate_or_key_is_no_part_of_it() {
    let certs = Certs::in_a_chain("localhost");
    let chain = certs.read("cert.pem");
    // As two files that were put together have it.
    let marked = chain.replace("-----BEGIN", "\u{feff}-----BEGIN");
    assert_eq!(marked.matches('\u{feff}').count(), 2);
    certs.write("cert.pem", &marked);
    certs.write("key.pem", &format!("\u{feff}{}", certs.read("key.pem")));
    let flags = flags(&path(&certs, "cert.pem"), &path(&certs, "key.pem"));
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let mut program = Program::start(&flags);
    let config = secure::trusting(&certs, &[&TLS13]);
    let mut foo = Client::secure(program.addr(), "/chat/foo", &config);
    foo.hears("Welcome foo!");
}

#[test]
fn every_error_in_a_file_is_one_line() {
    let certs = Certs::for_host("localhost");
    is_refused(&certs, "nowhere", "key.pem", "--tls-cert /");
    is_refused(&certs, "nowhere", "key.pem", "No such file");
    is_refused(&certs, "cert.pem", "nowhere", "--tls-key /");
    is_refused(
        &certs,
        "cert.pem",
        ".",
        "not a file of certificates or keys",
    );
    is_refused(
        &certs,
        "key.pem",
        "cert.pem",
        "are --tls-cert and --tls-key mixed up?",
    );
    is_refused(
        &certs,
        "cert.pem",
        "cert.pem",
        "are --tls-cert and --tls-key mixed up?",
    );
    certs.write("empty.pem", "\n");
    is_refused(&certs, "empty.pem", "key.pem", "no certificate in it");
    is_refused(&certs, "cert.pem", "empty.pem", "no key in it");
    for name in ["cert.pem", "key.pem"] {
        let whole = certs.read(name);
        certs.write(&format!("half-{name}"), &whole[..whole.len() / 2]);
        let odd = whole.replacen("MI", "?!", 1);
        certs.write(&format!("odd-{name}"), &odd);
    }
    is_refused(&certs, "half-cert.pem", "key.pem", "it ends in the middle");
    is_refused(&certs, "cert.pem", "half-key.pem", "it ends in the middle");
    is_refused(&certs, "odd-cert.pem", "key.pem", "not whole PEM");
    is_refused(&certs, "cert.pem", "odd-key.pem", "not whole PEM");
    let other = Certs::for_host("localhost");
    certs.write("other.pem", &other.read("key.pem"));
    is_refused(
        &certs,
        "cert.pem",
        "other.pem",
        "it does not belong to the first certificate",
    );
    certs.write(
        "no.pem",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    );
    is_refused(
        &certs,
        "no.pem",
        "key.pem",
        "its first certificate can't be read",
    );
    certs.write(
        "no.pem",
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
    );
    is_refused(
        &certs,
        "cert.pem",
        "no.pem",
        "not a kind of key that is known",
    );
    openssl(
        &certs,
        "pkcs8 -topk8 -in key.pem -out locked.pem -passout pass:sesame",
    );
    is_refused(&certs, "cert.pem", "locked.pem", "the key is encrypted");
    openssl(
        &certs,
        "ec -in key.pem -aes128 -out locked-old.pem -passout pass:sesame",
    );
    is_refused(&certs, "cert.pem", "locked-old.pem", "the key is encrypted");
    certs.renew(|params| {
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2020, 2, 1);
    });
    is_refused(&certs, "cert.pem", "key.pem", "the certificate ended ");
}

#[test]
fn a_board_without_a_clock_starts_all_the_same() {
    let certs = Certs::for_host("localhost");
    certs.renew(|params| params.not_before = rcgen::date_time_ymd(2999, 1, 1));
    let [one, cert, two, key] = flags(&path(&certs, "cert.pem"), &path(&certs, "key.pem"));
    let mut program = Program::start(&[&one, &cert, &two, &key]);
    program.logs("the certificate is not valid yet; is the clock right?");
    program.logs("open https://");
}

#[test]
fn every_common_kind_of_key_is_taken() {
    let certs = Certs::for_host("localhost");
    let request = "-nodes -subj /CN=localhost -days 30 -out cert.pem -keyout key.pem";
    for kind in [
        "-newkey rsa:2048",
        "-newkey ec -pkeyopt ec_paramgen_curve:P-256",
        "-newkey ec -pkeyopt ec_paramgen_curve:P-384",
        "-newkey ed25519",
    ] {
        openssl(&certs, &format!("req -x509 {kind} {request}"));
        let mut keys = vec!["key.pem"];
        if kind.contains("rsa") {
            openssl(&certs, "rsa -in key.pem -traditional -out pkcs1.pem");
            assert!(
                certs
                    .read("pkcs1.pem")
                    .starts_with("-----BEGIN RSA PRIVATE KEY-----")
            );
            keys.push("pkcs1.pem");
        } else if kind.contains("ec ") {
            openssl(&certs, "ec -in key.pem -out sec1.pem");
            assert!(
                certs
                    .read("sec1.pem")
                    .starts_with("-----BEGIN EC PRIVATE KEY-----")
            );
            keys.push("sec1.pem");
        }
        for key in keys {
            let [one, cert, two, key] = flags(&path(&certs, "cert.pem"), &path(&certs, key));
            let mut program = Program::start(&[&one, &cert, &two, &key]);
            let addr = program.addr().to_string();
            let spoken = Command::new("openssl")
                .args(["s_client", "-connect", &addr])
                .stdin(std::process::Stdio::null())
                .output();
            assert!(spoken.unwrap().status.success(), "{kind}, {key}");
        }
    }
}

/// A server over these certificates, and somebody who chats there.
struct Chat {
    program: Program,
    ann: Client,
    certs: Certs,
}

impl Chat {
    fn start(certs: Certs, cert: &str, key: &str) -> Chat {
        let [one, cert, two, key] = flags(cert, key);
        let mut program = Program::start(&[&one, &cert, &two, &key]);
        let addr = program.addr();
        let config = secure::trusting(&certs, &[&TLS13]);
        let mut ann = Client::secure(addr, "/chat/ann", &config);
        ann.hears("Welcome ann!");
        Chat {
            program,
            ann,
            certs,
        }
    }

    fn in_files() -> Chat {
        let certs = Certs::for_host("localhost");
        let (cert, key) = (path(&certs, "cert.pem"), path(&certs, "key.pem"));
        Chat::start(certs, &cert, &key)
    }

    /// What a newcomer is shown.
    fn shown(&self) -> Vec<u8> {
        let addr = self.ann.stream().peer_addr().unwrap();
        // Nobody has been here before, so there is no ticket.
        let config = secure::trusting(&self.certs, &[&TLS13]);
        let stream = secure::connect(addr, &config).unwrap();
        secure::chain(&stream).remove(0)
    }

    /// Earlier connections still chat.
    #[track_caller]
    fn goes_on(&mut self, guest: &str) {
        let addr = self.ann.stream().peer_addr().unwrap();
        let config = secure::trusting(&self.certs, &[&TLS13]);
        let mut guest_client = Client::secure(addr, &format!("/chat/{guest}"), &config);
        guest_client.hears(&format!("Welcome {guest}!"));
        self.ann.hears(&format!("{guest}: has joined the chat!"));
        self.ann.say("still here");
        guest_client.hears("ann: still here");
        guest_client.leave();
        self.ann.hears(&format!("{guest}: has left the chat!"));
    }
}

#[test]
fn a_signal_brings_a_new_certificate_into_force() {
    let mut chat = Chat::in_files();
    let old = chat.shown();
    chat.certs.renew(|_| {});
    chat.program.signal("HUP");
    let line = chat.program.logs("a new certificate, valid for ");
    assert!(line.contains("cert.pem"), "{line}");
    assert_ne!(chat.shown(), old);
    chat.goes_on("bar");
}

#[test]
fn a_changed_file_brings_a_new_certificate_into_force() {
    let mut chat = Chat::in_files();
    let old = chat.shown();
    chat.certs.renew(|_| {});
    chat.program.logs("a new certificate, valid for ");
    assert_ne!(chat.shown(), old);
    chat.goes_on("bar");
}

#[test]
fn a_changed_link_brings_a_new_certificate_into_force() {
    let certs = Certs::for_host("localhost");
    // As certbot has them.
    let place = |number: usize| {
        for name in ["cert", "key"] {
            let archived = format!("{name}{number}.pem");
            fs::copy(certs.path(&format!("{name}.pem")), certs.path(&archived)).unwrap();
            let link = certs.path(&format!("live-{name}.pem"));
            let _ = fs::remove_file(&link);
            symlink(archived, link).unwrap();
        }
    };
    place(1);
    let (cert, key) = (path(&certs, "live-cert.pem"), path(&certs, "live-key.pem"));
    certs.renew(|_| {});
    place(2);
    let mut chat = Chat::start(certs, &cert, &key);
    let old = chat.shown();
    chat.certs.renew(|_| {});
    for name in ["cert", "key"] {
        let archived = chat.certs.path(&format!("{name}3.pem"));
        fs::copy(chat.certs.path(&format!("{name}.pem")), &archived).unwrap();
        let link = chat.certs.path(&format!("live-{name}.pem"));
        fs::remove_file(&link).unwrap();
        symlink(archived, link).unwrap();
    }
    chat.program.logs("a new certificate, valid for ");
    assert_ne!(chat.shown(), old);
}

#[test]
fn a_bad_certificate_leaves_the_old_one_in_force() {
    let mut chat = Chat::in_files();
    let old = chat.shown();
    let whole = chat.certs.read("cert.pem");
    chat.certs.write("cert.pem", &whole[..whole.len() / 2]);
    let line = chat.program.logs("the old certificate stays: --tls-cert ");
    assert!(line.contains("it ends in the middle"), "{line}");
    assert_eq!(chat.shown(), old);
    chat.goes_on("bar");
    chat.certs.renew(|_| {});
    chat.program.logs("a new certificate, valid for ");
    let complaints = chat.program.log().iter();
    let complaints = complaints.filter(|line| line.contains("the old certificate stays"));
    assert_eq!(complaints.count(), 1, "once, however often it is looked at");
    eventually("the new one is shown", || {
        (chat.shown() != old).then_some(())
    });
    chat.goes_on("bar");
}

#[test]
fn a_certificate_that_expires_soon_causes_a_warning() {
    let certs = Certs::for_host("localhost");
    openssl(
        &certs,
        "req -x509 -newkey ed25519 -nodes -subj /CN=a -days 5 -out cert.pem -keyout key.pem",
    );
    let [one, cert, two, key] = flags(&path(&certs, "cert.pem"), &path(&certs, "key.pem"));
    let mut program = Program::start(&[&one, &cert, &two, &key]);
    let line = program.logs("the certificate ends in ");
    assert!(line.contains("put a new one there"), "{line}");
}

#[test]
fn the_check_reads_the_certificate() {
    let certs = Certs::for_host("chat.example.org");
    let check = |cert: &str| {
        let mut flags = flags(&path(&certs, cert), &path(&certs, "key.pem")).to_vec();
        flags.push("--check".into());
        String::from_utf8(run(&flags).stdout).unwrap()
    };
    let said = check("cert.pem");
    let line = said.lines().find(|line| line.starts_with("ok    tls "));
    let line = line.unwrap_or_else(|| panic!("{said}"));
    assert!(line.contains("for chat.example.org; valid for "), "{line}");
    assert!(check("nowhere").contains("\nFAIL  --tls-cert "), "{said}");
    let day = 24 * 3600;
    let soon = std::time::SystemTime::now() + std::time::Duration::from_secs(5 * day + 60);
    certs.renew(|params| params.not_after = soon.into());
    let said = check("cert.pem");
    assert!(
        said.contains("\nwarn  tls ") && said.contains("valid for 5 more days; renew it"),
        "{said}"
    );
}
