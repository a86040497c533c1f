//! The keys that verify tokens, with ring, which the server needs for TLS anyway. ring compares in
//! constant time.
//!
//! The kind of a key alone decides its one algorithm: the algorithm in a token's header is only
//! compared with it (RFC 8725, section 3.1).

use std::fmt;

use ring::hmac;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
    UnparsedPublicKey, VerificationAlgorithm,
};

/// The names of the algorithms (RFC 7518, section 3.1; RFC 8037).
pub(super) const HS256: &str = "HS256";
pub(super) const ES256: &str = "ES256";
pub(super) const EDDSA: &str = "EdDSA";
pub(super) const RS256: &str = "RS256";

/// A token is tried with at most this many keys: a try costs the server more than the sender.
const TRIES: usize = 8;
/// An RSA key has at least this many bits (RFC 7518, section 3.3), and at most what ring verifies.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// Whether a message, the first argument, has the signature that is the second one.
type Verifies = dyn Fn(&[u8], &[u8]) -> bool + Send + Sync;

/// A key that verifies.
pub(super) struct Key {
    /// The only algorithm that the key is used with.
    pub(super) algorithm: &'static str,
    /// How a token names it. Only keys of a set have names.
    pub(super) kid: Option<String>,
    pub(super) verifies: Box<Verifies>,
}

impl Key {
    fn new(
        algorithm: &'static str,
        verifies: impl Fn(&[u8], &[u8]) -> bool + Send + Sync + 'static,
    ) -> Key {
        Key {
            algorithm,
            kid: None,
            verifies: Box::new(verifies),
        }
    }

    pub(super) fn secret(secret: &[u8]) -> Key {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        Key::new(HS256, move |message, signature| {
            hmac::verify(&key, message, signature).is_ok()
        })
    }

    /// `None` if it is no uncompressed point (RFC 5480, section 2.2).
    pub(super) fn p256(point: Vec<u8>) -> Option<Key> {
        (point.len() == 65).then(|| Key::curve(ES256, &ECDSA_P256_SHA256_FIXED, point))
    }

    /// `None` if it is no point.
    pub(super) fn ed25519(point: Vec<u8>) -> Option<Key> {
        (point.len() == 32).then(|| Key::curve(EDDSA, &ED25519, point))
    }

    fn curve(
        algorithm: &'static str,
        verification: &'static dyn VerificationAlgorithm,
        point: Vec<u8>,
    ) -> Key {
        let key = UnparsedPublicKey::new(verification, point);
        Key::new(algorithm, move |message, signature| {
            key.verify(message, signature).is_ok()
        })
    }

    /// `n` and `e` are RSA's modulus and exponent (RFC 8017, section 3.1).
    ///
    /// # Errors
    /// What the key is that it can't be used.
    pub(super) fn rsa(n: &[u8], e: &[u8]) -> Result<Key, String> {
        let without_zeros = |number: &[u8]| -> Vec<u8> {
            let number = number.iter().skip_while(|byte| **byte == 0);
            number.copied().collect()
        };
        let (n, e) = (without_zeros(n), without_zeros(e));
        let spare = n.first().map_or(0, |first| first.leading_zeros() as usize);
        let bits = n.len() * 8 - spare;
        if bits < *RSA_BITS.start() {
            return Err(format!("an RSA key of {bits} bits, and needs 2048"));
        }
        let odd = |number: &[u8]| number.last().is_some_and(|last| last % 2 == 1);
        if bits > *RSA_BITS.end() || !odd(&n) || !odd(&e) || e == [1] || e.len() > 4 {
            return Err("an RSA key that can't be used".into());
        }
        let key = RsaPublicKeyComponents { n, e };
        Ok(Key::new(RS256, move |message, signature| {
            key.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
                .is_ok()
        }))
    }
}

/// The keys of one file: a secret, a public key, or a set (RFC 7517).
pub(super) struct KeySet {
    /// Describes the keys without their content.
    pub(super) description: String,
    /// At least one.
    keys: Vec<Key>,
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeySet({})", self.description)
    }
}

impl KeySet {
    /// One key, which is this kind of thing.
    pub(super) fn one(key: Key, kind: &str) -> KeySet {
        KeySet {
            description: format!("{} by {kind}", key.algorithm),
            keys: vec![key],
        }
    }

    /// The keys of a set, which are not none, and why others are not used.
    pub(super) fn set(keys: Vec<Key>, skipped: &[String]) -> KeySet {
        let described = keys.iter().map(|key| match &key.kid {
            Some(kid) => format!("{} {kid:?}", key.algorithm),
            None => key.algorithm.into(),
        });
        let described: Vec<String> = described.collect();
        let s = if keys.len() == 1 { "" } else { "s" };
        let mut description = format!("{} key{s} of a set: {}", keys.len(), described.join(", "));
        if !skipped.is_empty() {
            let (count, why) = (skipped.len(), skipped.join(", "));
            description += &format!(" ({count} not used: {why})");
        }
        KeySet { description, keys }
    }

    /// The keys that may have signed a token with this header: those for its algorithm, and of these
    /// the ones with its `kid`, or those without a name if no key has it.
    ///
    /// # Errors
    /// Why there is none, or that there are too many to try.
    pub(super) fn candidates(&self, alg: &str, kid: Option<&str>) -> Result<Vec<&Key>, String> {
        let mut fitting: Vec<&Key> = self
            .keys
            .iter()
            .filter(|key| key.algorithm == alg)
            .collect();
        if fitting.is_empty() {
            let mut known: Vec<&str> = Vec::new();
            for key in &self.keys {
                if !known.contains(&key.algorithm) {
                    known.push(key.algorithm);
                }
            }
            return Err(format!("the key is for {}", known.join(" or ")));
        }
        if kid.is_some() {
            let known = fitting.iter().any(|key| key.kid.as_deref() == kid);
            let wanted = kid.filter(|_| known);
            fitting.retain(|key| key.kid.as_deref() == wanted);
        }
        match fitting.len() {
            0 => Err("no key has its kid".into()),
            1..=TRIES => Ok(fitting),
            _ => Err("it has no kid that says which of many keys it is".into()),
        }
    }
}
