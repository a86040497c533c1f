//! How the library signs and verifies: with ring, which is here for TLS anyway, and compares in constant
//! time.

use std::sync::Arc;

use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::signature::{self, Signer, Verifier};
use jsonwebtoken::{Algorithm, DecodingKeyKind};
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair,
    Ed25519KeyPair, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair,
    RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm,
};

/// Makes ring what the library uses; to be called before it is used. A second time changes nothing.
pub(super) fn install() {
    let _ = PROVIDER.install_default();
}

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: |algorithm, key| Ok(Box::new(Signing::new(*algorithm, key.as_bytes())?)),
    verifier_factory: |algorithm, key| {
        let check: Check = match (algorithm, key.kind()) {
            (Algorithm::HS256, DecodingKeyKind::SecretOrDer(secret)) => {
                Check::Secret(hmac::Key::new(hmac::HMAC_SHA256, secret))
            }
            (Algorithm::ES256, DecodingKeyKind::SecretOrDer(point)) => {
                Check::point(&ECDSA_P256_SHA256_FIXED, point)
            }
            (Algorithm::EdDSA, DecodingKeyKind::SecretOrDer(point)) => {
                Check::point(&ED25519, point)
            }
            (Algorithm::RS256, DecodingKeyKind::RsaModulusExponent { n, e }) => {
                let (n, e) = (Arc::from(&n[..]), Arc::from(&e[..]));
                Check::Rsa(RsaPublicKeyComponents { n, e })
            }
            _ => return Err(ErrorKind::UnsupportedAlgorithm.into()),
        };
        Ok(Box::new(Verifying(*algorithm, check)))
    },
    // For keys within tokens, which nobody asks for.
    key_utils: KeyUtils::new_unimplemented(),
};

struct Verifying(Algorithm, Check);

enum Check {
    Secret(hmac::Key),
    Point(UnparsedPublicKey<Arc<[u8]>>),
    Rsa(RsaPublicKeyComponents<Arc<[u8]>>),
}

impl Check {
    fn point(how: &'static dyn VerificationAlgorithm, point: &[u8]) -> Check {
        Check::Point(UnparsedPublicKey::new(how, Arc::from(point)))
    }
}

impl Verifier<Vec<u8>> for Verifying {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), signature::Error> {
        let verified = match &self.1 {
            Check::Secret(key) => hmac::verify(key, message, signature),
            Check::Point(key) => key.verify(message, signature),
            Check::Rsa(key) => key.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature),
        };
        verified.map_err(|_| signature::Error::new())
    }
}

impl JwtVerifier for Verifying {
    fn algorithm(&self) -> Algorithm {
        self.0
    }
}

/// What signs: a secret, or a private key in PKCS #8.
enum Signing {
    Secret(hmac::Key),
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(Box<RsaKeyPair>),
}

impl Signing {
    fn new(algorithm: Algorithm, key: &[u8]) -> Result<Signing, ErrorKind> {
        let signing = match algorithm {
            Algorithm::HS256 => Some(Signing::Secret(hmac::Key::new(hmac::HMAC_SHA256, key))),
            Algorithm::ES256 => p256(key).map(Signing::P256),
            Algorithm::EdDSA => ed25519(key).map(Signing::Ed25519),
            Algorithm::RS256 => {
                let pair = RsaKeyPair::from_pkcs8(key).ok();
                pair.map(|pair| Signing::Rsa(Box::new(pair)))
            }
            _ => None,
        };
        signing.ok_or(ErrorKind::InvalidKeyFormat)
    }
}

impl Signer<Vec<u8>> for Signing {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, signature::Error> {
        let random = SystemRandom::new();
        let signed = match self {
            Signing::Secret(key) => Ok(hmac::sign(key, message).as_ref().to_vec()),
            Signing::P256(pair) => {
                let signed = pair.sign(&random, message);
                signed.map(|signature| signature.as_ref().to_vec())
            }
            Signing::Ed25519(pair) => Ok(pair.sign(message).as_ref().to_vec()),
            Signing::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                let signed = pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature);
                signed.map(|()| signature)
            }
        };
        signed.map_err(|_| signature::Error::new())
    }
}

impl JwtSigner for Signing {
    fn algorithm(&self) -> Algorithm {
        match self {
            Signing::Secret(_) => Algorithm::HS256,
            Signing::P256(_) => Algorithm::ES256,
            Signing::Ed25519(_) => Algorithm::EdDSA,
            Signing::Rsa(_) => Algorithm::RS256,
        }
    }
}

fn p256(pkcs8: &[u8]) -> Option<EcdsaKeyPair> {
    let (how, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
    EcdsaKeyPair::from_pkcs8(how, pkcs8, &random).ok()
}

/// OpenSSL leaves the public half out, which then can't be compared.
fn ed25519(pkcs8: &[u8]) -> Option<Ed25519KeyPair> {
    Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8).ok()
}

/// What a private key in PKCS #8 signs with.
///
/// # Errors
/// One line about what is wrong with the key.
pub(super) fn algorithm_of(pkcs8: &[u8]) -> Result<Algorithm, String> {
    if p256(pkcs8).is_some() {
        return Ok(Algorithm::ES256);
    }
    if ed25519(pkcs8).is_some() {
        return Ok(Algorithm::EdDSA);
    }
    match RsaKeyPair::from_pkcs8(pkcs8) {
        Ok(_) => Ok(Algorithm::RS256),
        Err(rejected) => Err(match rejected.to_string().as_str() {
            "TooSmall" => "the RSA key has less than 2,048 bits".into(),
            "TooLarge" => {
                "the RSA key has more than 4,096 bits, which is too much to sign with".into()
            }
            _ => "the private key is not P-256, Ed25519 or RSA, or it is damaged".into(),
        }),
    }
}
