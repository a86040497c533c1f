//! Verifies and signs tokens with ring, which the server needs for TLS anyway. ring compares in constant
//! time.

use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair,
    Ed25519KeyPair, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair,
    RsaPublicKeyComponents, UnparsedPublicKey,
};

/// The names of the algorithms (RFC 7518, section 3.1; RFC 8037).
pub(super) const HS256: &str = "HS256";
pub(super) const ES256: &str = "ES256";
pub(super) const EDDSA: &str = "EdDSA";
pub(super) const RS256: &str = "RS256";

/// An RSA key has at least this many bits (RFC 7518, section 3.3), and at most what ring verifies.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// A key that verifies. Its kind decides the algorithm.
pub(super) enum VerifyingKey {
    Secret(hmac::Key),
    P256(UnparsedPublicKey<Vec<u8>>),
    Ed25519(UnparsedPublicKey<Vec<u8>>),
    Rsa(RsaPublicKeyComponents<Vec<u8>>),
}

impl VerifyingKey {
    pub(super) fn secret(secret: &[u8]) -> VerifyingKey {
        VerifyingKey::Secret(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// `point` is uncompressed (RFC 5480, section 2.2).
    pub(super) fn p256(point: Vec<u8>) -> VerifyingKey {
        VerifyingKey::P256(UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point))
    }

    pub(super) fn ed25519(point: Vec<u8>) -> VerifyingKey {
        VerifyingKey::Ed25519(UnparsedPublicKey::new(&ED25519, point))
    }

    /// `n` and `e` are RSA's modulus and exponent (RFC 8017, section 3.1).
    ///
    /// # Errors
    /// What the key is that it can't be used.
    pub(super) fn rsa(n: &[u8], e: &[u8]) -> Result<VerifyingKey, String> {
        let (n, e) = (without_zeros(n), without_zeros(e));
        let spare = n.first().map_or(0, |first| first.leading_zeros() as usize);
        let bits = n.len() * 8 - spare;
        if bits < *RSA_BITS.start() {
            return Err(format!("an RSA key of {bits} bits, and needs 2048"));
        }
        let odd = |number: &[u8]| number.last().is_some_and(|last| last % 2 == 1);
        if bits > *RSA_BITS.end() || !odd(n) || !odd(e) || e == [1] || e.len() > 4 {
            return Err("an RSA key that can't be used".into());
        }
        let (n, e) = (n.to_vec(), e.to_vec());
        Ok(VerifyingKey::Rsa(RsaPublicKeyComponents { n, e }))
    }

    /// The only algorithm that the key is used with.
    pub(super) fn algorithm(&self) -> &'static str {
        match self {
            VerifyingKey::Secret(_) => HS256,
            VerifyingKey::P256(_) => ES256,
            VerifyingKey::Ed25519(_) => EDDSA,
            VerifyingKey::Rsa(_) => RS256,
        }
    }

    /// Whether the signature of the message is one of this key.
    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let verified = match self {
            VerifyingKey::Secret(key) => hmac::verify(key, message, signature),
            VerifyingKey::P256(key) | VerifyingKey::Ed25519(key) => key.verify(message, signature),
            VerifyingKey::Rsa(key) => key.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature),
        };
        verified.is_ok()
    }
}

fn without_zeros(mut number: &[u8]) -> &[u8] {
    while let [0, rest @ ..] = number {
        number = rest;
    }
    number
}

/// A key that signs.
pub(super) enum SigningKey {
    Secret(hmac::Key),
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(Box<RsaKeyPair>),
}

impl SigningKey {
    pub(super) fn secret(secret: &[u8]) -> SigningKey {
        SigningKey::Secret(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// A private key in PKCS #8 (RFC 5958).
    ///
    /// # Errors
    /// One line about what is wrong with the key.
    pub(super) fn private(pkcs8: &[u8]) -> Result<SigningKey, String> {
        let (how, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
        if let Ok(pair) = EcdsaKeyPair::from_pkcs8(how, pkcs8, &random) {
            return Ok(SigningKey::P256(pair));
        }
        // OpenSSL leaves the public half out, which then can't be compared.
        if let Ok(pair) = Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8) {
            return Ok(SigningKey::Ed25519(pair));
        }
        match RsaKeyPair::from_pkcs8(pkcs8) {
            Ok(pair) => Ok(SigningKey::Rsa(Box::new(pair))),
            Err(rejected) => Err(match rejected.to_string().as_str() {
                "TooSmall" => "the RSA key has less than 2,048 bits".into(),
                "TooLarge" => {
                    "the RSA key has more than 4,096 bits, which is too much to sign with".into()
                }
                _ => "the private key is not P-256, Ed25519 or RSA, or it is damaged".into(),
            }),
        }
    }

    pub(super) fn algorithm(&self) -> &'static str {
        match self {
            SigningKey::Secret(_) => HS256,
            SigningKey::P256(_) => ES256,
            SigningKey::Ed25519(_) => EDDSA,
            SigningKey::Rsa(_) => RS256,
        }
    }

    /// The signature of a message; `None` if ring can't sign.
    pub(super) fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        let random = SystemRandom::new();
        match self {
            SigningKey::Secret(key) => Some(hmac::sign(key, message).as_ref().to_vec()),
            SigningKey::P256(pair) => Some(pair.sign(&random, message).ok()?.as_ref().to_vec()),
            SigningKey::Ed25519(pair) => Some(pair.sign(message).as_ref().to_vec()),
            SigningKey::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                let signed = pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature);
                signed.ok().map(|()| signature)
            }
        }
    }
}
