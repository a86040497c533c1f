//! TLS for the server's port: what its connections share. The certificate can change while the
//! server runs: new handshakes get the new one, and existing connections stay.
//!
//! It knows no chat and no HTTP. `connection` is one connection's state, [`files`] reads the
//! operator's files.

mod connection;
pub mod error;
pub mod files;

use std::convert::Infallible;
use std::fmt;
use std::future;
use std::io;
use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use rustls::crypto::ring::{Ticketer, default_provider};
use rustls::server::NoServerSessionStorage;
use rustls::sign::SingleCertAndKey;
use rustls::{ServerConfig, version};

use crate::certificate::{Certificate, SOON};
use crate::config::TlsFiles;
use crate::count::Counters;
use crate::count::text::MetricsText;
use crate::mutex::Mutex;
use crate::net::tls::error::HANDSHAKE_ERRORS;
use crate::reactor::Timer;
use crate::time::unix_millis;
pub use connection::TlsConnection;
use files::Stamp;

/// How often the files are checked for changes.
const LOOK: Duration = Duration::from_secs(5);
/// How often the files are checked after a change, until they no longer change: certificate and key
/// are seldom written at once.
const SETTLE: Duration = Duration::from_secs(1);
/// How often the log warns of a certificate that ends soon.
const REMIND: u64 = 24 * 3600;

/// What the connections of a TLS port share.
pub struct Tls {
    files: TlsFiles,
    current: Mutex<Current>,
    /// Failed handshakes, by reason.
    pub failures: Counters,
}

/// What new connections get.
struct Current {
    config: Arc<ServerConfig>,
    certificate: Certificate,
    /// The state of the files when they were last read, whether that succeeded or not.
    read: Stamp,
    /// When the log last warned of the certificate's end, in seconds since 1970.
    reminded: u64,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tls({})", self.files.cert.display())
    }
}

impl Tls {
    /// TLS 1.2 and 1.3 with the certificate in these files, or `None` if there are none.
    ///
    /// # Errors
    /// One line: which file, what is wrong with it, and what to do.
    pub fn open(files: Option<&TlsFiles>) -> Result<Option<Tls>, String> {
        let Some(files) = files else {
            return Ok(None);
        };
        let read = Stamp::of(files);
        let (key, certificate) = files::load(files, unix_millis() / 1000)?;
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&[&version::TLS13, &version::TLS12]);
        // There is one certificate for every server name, and for clients that send none.
        let mut config = config
            .map_err(|error| format!("TLS: {error}"))?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(key)));
        // In our order of preference: a client that offers both gets 1.1.
        config.alpn_protocols = vec![b"http/1.1".to_vec(), b"http/1.0".to_vec()];
        // A client resumes with a ticket that we have sealed, so the server stores no sessions. One
        // ticket is enough, since it can be used again.
        config.ticketer = Ticketer::new().map_err(|error| format!("TLS: {error}"))?;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 1;
        let tls = Tls {
            files: files.clone(),
            current: Mutex::new(Current {
                config: Arc::new(config),
                certificate,
                read,
                reminded: 0,
            }),
            failures: Counters::new(&HANDSHAKE_ERRORS),
        };
        tls.remind();
        Ok(Some(tls))
    }

    /// After a panic it is used all the same: every change is one assignment.
    fn current(&self) -> MutexGuard<'_, Current> {
        self.current.lock()
    }

    /// The TLS state of a new connection.
    ///
    /// # Errors
    /// The system has no randomness to give.
    pub fn connection(&self) -> io::Result<TlsConnection> {
        let config = self.current().config.clone();
        TlsConnection::new(config)
    }

    /// Reads the files again. If they are unusable, the old certificate stays.
    pub fn reload(&self) {
        let read = Stamp::of(&self.files);
        // The files are read before the lock is taken, since new connections wait for it.
        let loaded = files::load(&self.files, unix_millis() / 1000);
        let mut current = self.current();
        current.read = read;
        match loaded {
            Ok((key, certificate)) => {
                let days = certificate.days_left(unix_millis() / 1000);
                // Tickets stay valid, since the key that seals them stays.
                let config = Arc::make_mut(&mut current.config);
                config.cert_resolver = Arc::new(SingleCertAndKey::from(key));
                current.certificate = certificate;
                current.reminded = 0;
                let path = self.files.cert.display();
                log::info!("{path}: a new certificate, valid for {days} more days");
            }
            Err(line) => log::warn!("the old certificate stays: {line}"),
        }
    }

    /// Writes the metrics of handshakes and the certificate.
    pub fn write_metrics(&self, text: &mut MetricsText) {
        text.counters(
            "natterjack_tls_failures_total",
            "Handshakes that failed, and why.",
            "reason",
            &self.failures,
        );
        let name = "natterjack_tls_certificate_expires_timestamp_seconds";
        let help = "When the certificate ends, in seconds since 1970.";
        text.family(name, "gauge", help);
        text.sample(name, &[], &self.current().certificate.until);
    }

    /// Warns once a day that the certificate ends soon.
    fn remind(&self) {
        let now = unix_millis() / 1000;
        let mut current = self.current();
        let days = current.certificate.days_left(now);
        if days >= SOON || now < current.reminded + REMIND {
            return;
        }
        current.reminded = now;
        let path = self.files.cert.display();
        if now >= current.certificate.until {
            log::warn!("{path}: the certificate has ended; put a new one there");
        } else {
            log::warn!("{path}: the certificate ends in {days} days; put a new one there");
        }
    }
}

/// Reads the files again after each change, and warns of a certificate that ends soon, for as long
/// as it is polled.
pub async fn watch(tls: Option<&Tls>) -> Infallible {
    let Some(tls) = tls else {
        return future::pending().await;
    };
    loop {
        Timer::after(LOOK).await;
        let mut seen = Stamp::of(&tls.files);
        while seen != tls.current().read {
            Timer::after(SETTLE).await;
            let now = Stamp::of(&tls.files);
            if now == seen {
                tls.reload();
            }
            seen = now;
        }
        tls.remind();
    }
}
