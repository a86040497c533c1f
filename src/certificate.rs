//! Reads names and validity from a certificate (RFC 5280). It verifies nothing.

use std::net::{Ipv4Addr, Ipv6Addr};

use der::asn1::{AnyRef, GeneralizedTime, UtcTime};
use der::{Reader, SliceReader, Tag, Tagged};

/// A certificate that ends within this many days is worth a warning.
pub const SOON: u64 = 14;

const DAY: u64 = 24 * 3600;
/// The object identifier of the extension `subjectAltName`, 2.5.29.17.
const NAMES: &[u8] = &[0x55, 0x1d, 0x11];
/// The tag of a host name in `subjectAltName`.
const HOST: u32 = 2;
/// The tag of an IP address in `subjectAltName`.
const ADDRESS: u32 = 7;

/// Removes the byte order marks that some editors write. A certificate or key behind one would be
/// skipped silently. Concatenated files have them in the middle, too.
pub fn without_boms(pem: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(pem);
    text.replace('\u{feff}', "").into_bytes()
}

/// The parts of a certificate that the server uses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Certificate {
    /// The beginning of its validity, in seconds since 1970.
    pub from: u64,
    /// The end of its validity, in seconds since 1970.
    pub until: u64,
    /// Its host names and IP addresses; empty if it has none.
    pub names: Vec<String>,
}

impl Certificate {
    /// Parses DER. `None` if it is no certificate.
    pub fn read(der: &[u8]) -> Option<Certificate> {
        let [certificate] = der_items(der)?[..] else {
            return None;
        };
        let body = der_items(der_items(certificate.value())?.first()?.value())?;
        // The version, if there is one, then serial number, algorithm, issuer and validity.
        let version = usize::from(body.first()?.tag() != Tag::Integer);
        let [from, until] = der_items(body.get(version + 3)?.value())?[..] else {
            return None;
        };
        let mut names = Vec::new();
        // Subject, key and optional fields follow. The extensions have the tag 3.
        for field in body.iter().filter(|field| context(field) == Some(3)) {
            for extension in der_items(der_items(field.value())?.first()?.value())? {
                // The identifier, perhaps the flag `critical`, and the value.
                let parts = der_items(extension.value())?;
                if parts.first()?.value() == NAMES {
                    let list = der_items(parts.last()?.value())?;
                    names.extend(der_items(list.first()?.value())?.iter().filter_map(name));
                }
            }
        }
        let (from, until) = (seconds(from)?, seconds(until)?);
        Some(Certificate { from, until, names })
    }

    /// Whole days until it ends; 0 if it has ended. `now` is in seconds since 1970.
    pub fn days_left(&self, now: u64) -> u64 {
        self.until.saturating_sub(now) / DAY
    }
}

/// The items in a stretch of DER; `None` if it is none.
pub fn der_items(der: &[u8]) -> Option<Vec<AnyRef<'_>>> {
    let mut reader = SliceReader::new(der).ok()?;
    let mut items = Vec::new();
    while !reader.is_finished() {
        items.push(reader.decode().ok()?);
    }
    Some(items)
}

/// The number of a context-specific tag.
fn context(item: &AnyRef<'_>) -> Option<u32> {
    match item.tag() {
        Tag::ContextSpecific { number, .. } => Some(number.0),
        _ => None,
    }
}

/// A time in seconds since 1970.
fn seconds(time: AnyRef<'_>) -> Option<u64> {
    let since = match time.tag() {
        Tag::UtcTime => time.decode_as::<UtcTime>().ok()?.to_unix_duration(),
        _ => time.decode_as::<GeneralizedTime>().ok()?.to_unix_duration(),
    };
    Some(since.as_secs())
}

/// A host name or an IP address; `None` for other kinds of names.
fn name(name: &AnyRef<'_>) -> Option<String> {
    let value = name.value();
    match (context(name)?, value.len()) {
        (HOST, _) => str::from_utf8(value).ok().map(Into::into),
        (ADDRESS, 4) => Some(Ipv4Addr::from(<[u8; 4]>::try_from(value).ok()?).to_string()),
        (ADDRESS, _) => Some(Ipv6Addr::from(<[u8; 16]>::try_from(value).ok()?).to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_says_for_whom_and_until_when() {
        for (year, seconds) in [(2030, 1_893_456_000), (2060, 2_840_140_800)] {
            let names = ["a.example", "10.0.0.1", "::1"].map(String::from);
            let mut params = rcgen::CertificateParams::new(names).unwrap();
            params.not_before = rcgen::date_time_ymd(2020, 1, 1);
            params.not_after = rcgen::date_time_ymd(year, 1, 1);
            let key = rcgen::KeyPair::generate().unwrap();
            let certificate = params.self_signed(&key).unwrap();
            let found = Certificate::read(certificate.der()).unwrap();
            assert_eq!(
                (found.from, found.until),
                (1_577_836_800, seconds),
                "{year}"
            );
            assert_eq!(found.names, ["a.example", "10.0.0.1", "::1"]);
            for cut in 0..certificate.der().len() {
                assert_eq!(Certificate::read(&certificate.der()[..cut]), None);
            }
        }
        assert_eq!(Certificate::read(b""), None);
    }

    #[test]
    fn days_left_are_whole_and_never_negative() {
        let until = Certificate {
            until: 2 * DAY,
            ..Certificate::default()
        };
        for (now, days) in [(0, 2), (1, 1), (DAY, 1), (DAY + 1, 0), (9 * DAY, 0)] {
            assert_eq!(until.days_left(now), days, "at {now}");
        }
    }
}
