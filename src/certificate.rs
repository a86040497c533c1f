//! Reads names and validity from a certificate (RFC 5280). It verifies nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

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
        read(der).ok()
    }

    /// Whole days until it ends; 0 if it has ended. `now` is in seconds since 1970.
    pub fn days_left(&self, now: u64) -> u64 {
        self.until.saturating_sub(now) / DAY
    }
}

fn read(der: &[u8]) -> der::Result<Certificate> {
    SliceReader::new(der)?.sequence(|certificate| {
        let found = certificate.sequence(|body| {
            // The version, if there is one, then serial number, algorithm and issuer.
            if AnyRef::tag(&body.decode::<AnyRef<'_>>()?) != Tag::Integer {
                body.decode::<AnyRef<'_>>()?;
            }
            body.decode::<AnyRef<'_>>()?;
            body.decode::<AnyRef<'_>>()?;
            let (from, until) =
                body.sequence(|validity| der::Result::Ok((time(validity)?, time(validity)?)))?;
            let mut names = Vec::new();
            // Subject, key and optional fields. The extensions are the last one, with the tag 3.
            while !body.is_finished() {
                let rest: AnyRef<'_> = body.decode()?;
                if matches!(rest.tag(), Tag::ContextSpecific { number, .. } if number.0 == 3) {
                    names = extensions(rest.value())?;
                }
            }
            Ok(Certificate { from, until, names })
        });
        skip(certificate)?;
        found
    })
}

fn time<'a>(reader: &mut impl Reader<'a>) -> der::Result<u64> {
    let time: AnyRef<'_> = reader.decode()?;
    let since: Duration = match time.tag() {
        Tag::UtcTime => time.decode_as::<UtcTime>()?.to_unix_duration(),
        _ => time.decode_as::<GeneralizedTime>()?.to_unix_duration(),
    };
    Ok(since.as_secs())
}

/// The names in the extensions.
fn extensions(der: &[u8]) -> der::Result<Vec<String>> {
    SliceReader::new(der)?.sequence(|all| {
        let mut names = Vec::new();
        while !all.is_finished() {
            all.sequence(|extension| {
                let id: AnyRef<'_> = extension.decode()?;
                // The flag `critical` may stand in between.
                let mut value: AnyRef<'_> = extension.decode()?;
                while !extension.is_finished() {
                    value = extension.decode()?;
                }
                if id.value() == NAMES {
                    SliceReader::new(value.value())?.sequence(|list| {
                        while !list.is_finished() {
                            names.extend(name(&list.decode()?));
                        }
                        der::Result::Ok(())
                    })?;
                }
                der::Result::Ok(())
            })?;
        }
        Ok(names)
    })
}

/// A host name or an IP address; `None` for other kinds of names.
fn name(name: &AnyRef<'_>) -> Option<String> {
    let Tag::ContextSpecific { number, .. } = name.tag() else {
        return None;
    };
    let value = name.value();
    if number.0 == HOST {
        return std::str::from_utf8(value).ok().map(Into::into);
    }
    let ip = match (number.0 == ADDRESS).then_some(value)? {
        value if value.len() == 4 => IpAddr::from(Ipv4Addr::from(<[u8; 4]>::try_from(value).ok()?)),
        value => IpAddr::from(Ipv6Addr::from(<[u8; 16]>::try_from(value).ok()?)),
    };
    Some(ip.to_string())
}

fn skip<'a>(rest: &mut impl Reader<'a>) -> der::Result<()> {
    while !rest.is_finished() {
        rest.decode::<AnyRef<'_>>()?;
    }
    Ok(())
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
