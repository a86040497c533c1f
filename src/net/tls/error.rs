//! Why a handshake fails, and what a read returns. A [socket](super::super::socket) uses these also
//! in builds without TLS.

#[cfg(feature = "full")]
use rustls::{AlertDescription, Error, PeerIncompatible};

/// The client speaks neither TLS 1.2 nor 1.3.
pub const VERSION: &str = "no TLS version in common";
/// The client offers no cipher of ours.
pub const CIPHER: &str = "no cipher in common";
/// The client offers no key exchange of ours.
pub const EXCHANGE: &str = "no key exchange in common";
/// The client supports no signature scheme of our key.
pub const SIGNATURE: &str = "no signature scheme in common";
/// The client wants another protocol than HTTP/1.1.
pub const PROTOCOL: &str = "no protocol in common";
/// The client rejects our certificate.
pub const DISTRUST: &str = "the certificate is not trusted there";
/// The client ended the handshake for another reason.
pub const ENDED: &str = "ended by the other side";
/// The client disconnected during the handshake.
pub const HUNG_UP: &str = "it hung up";
/// The handshake takes too long.
pub const SLOW: &str = "not done within 10 seconds";
/// The client does not speak TLS.
pub const PLAIN: &str = "plain HTTP";
/// The client broke the protocol.
pub const BROKEN: &str = "broken TLS";

/// The client never sent anything. It is neither logged nor counted.
pub const SILENT: &str = "silent";

/// All reasons for failed handshakes, as the metrics name them.
pub const HANDSHAKE_ERRORS: [&str; 11] = [
    VERSION, CIPHER, EXCHANGE, SIGNATURE, PROTOCOL, DISTRUST, ENDED, HUNG_UP, SLOW, PLAIN, BROKEN,
];

/// The result of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadOutcome {
    /// The number of bytes; 0 is the end.
    pub bytes: usize,
    /// The socket is empty: wait before the next read.
    pub drained: bool,
}

/// The reason of a failed handshake, as the metrics name it.
#[cfg(feature = "full")]
pub(super) fn reason(error: &Error) -> &'static str {
    use PeerIncompatible as Odd;
    match error {
        Error::PeerIncompatible(odd) => match odd {
            // Since TLS 1.2 every client sends its signature schemes, and rustls checks that first.
            Odd::SignatureAlgorithmsExtensionRequired
            | Odd::Tls12NotOffered
            | Odd::Tls12NotOfferedOrEnabled
            | Odd::SupportedVersionsExtensionRequired
            | Odd::ServerTlsVersionIsDisabledByOurConfig
            | Odd::ServerDoesNotSupportTls12Or13 => VERSION,
            Odd::NoCipherSuitesInCommon => CIPHER,
            Odd::NoKxGroupsInCommon
            | Odd::NoEcPointFormatsInCommon
            | Odd::NamedGroupsExtensionRequired
            | Odd::KeyShareExtensionRequired => EXCHANGE,
            Odd::NoSignatureSchemesInCommon => SIGNATURE,
            _ => BROKEN,
        },
        Error::NoApplicationProtocol => PROTOCOL,
        Error::AlertReceived(
            AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown,
        ) => DISTRUST,
        Error::AlertReceived(_) => ENDED,
        _ => BROKEN,
    }
}
