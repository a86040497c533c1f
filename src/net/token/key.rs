//! The keys that tokens are verified with. The kind of a key alone decides the one algorithm that it
//! verifies: what a token's header says is only compared with it (RFC 8725, section 3.1).

mod jwks;
pub(super) mod pem;

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use ring::signature::RsaPublicKeyComponents;

use super::crypto::VerifyingKey;

/// No file of keys is longer than this; a name of a whole disk is not read to its end.
const FILE_KIB: u64 = 256;
/// A secret has at least this many bytes (RFC 7518, section 3.2).
const SECRET_BYTES: usize = 32;
/// An RSA key has at least so many bits (RFC 7518, section 3.3), and at most what ring verifies.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;
/// With so many keys at most a token is tried: each costs the sender of garbage nothing, and us time.
const TRIES: usize = 8;

/// A key and its name.
pub(super) struct Key {
    verifying: VerifyingKey,
    /// How a token names it. Only keys of a set have names.
    kid: Option<String>,
}

impl From<VerifyingKey> for Key {
    fn from(verifying: VerifyingKey) -> Key {
        Key {
            verifying,
            kid: None,
        }
    }
}

impl Key {
    /// Of RSA's modulus and exponent (RFC 8017, section 3.1).
    fn rsa(n: &[u8], e: &[u8]) -> Result<Key, String> {
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
        Ok(VerifyingKey::Rsa(RsaPublicKeyComponents { n, e }).into())
    }

    /// Whether the signature of the message is one of this key.
    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        self.verifying.verifies(message, signature)
    }

    /// The only algorithm that it is used with.
    fn algorithm(&self) -> &'static str {
        self.verifying.algorithm()
    }
}

fn without_zeros(mut number: &[u8]) -> &[u8] {
    while let [0, rest @ ..] = number {
        number = rest;
    }
    number
}

/// What kind of file the keys are from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Secret,
    Public,
    Set,
}

/// The keys of one file: a secret, a public key, or a set (RFC 7517).
pub(super) struct KeySet {
    kind: Kind,
    /// At least one.
    keys: Vec<Key>,
    /// Why keys of the set are not used.
    skipped: Vec<String>,
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeySet({self})")
    }
}

/// Which keys there are, for people; nothing of what is in them.
impl fmt::Display for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::Secret => return write!(f, "{} by a secret", self.keys[0].algorithm()),
            Kind::Public => return write!(f, "{} by a public key", self.keys[0].algorithm()),
            Kind::Set => {}
        }
        let s = if self.keys.len() == 1 { "" } else { "s" };
        write!(f, "{} key{s} of a set", self.keys.len())?;
        for (place, key) in self.keys.iter().enumerate() {
            f.write_str(if place == 0 { ": " } else { ", " })?;
            f.write_str(key.algorithm())?;
            if let Some(kid) = &key.kid {
                write!(f, " {kid:?}")?;
            }
        }
        if !self.skipped.is_empty() {
            let (count, why) = (self.skipped.len(), self.skipped.join(", "));
            write!(f, " ({count} not used: {why})")?;
        }
        Ok(())
    }
}

impl KeySet {
    /// Reads a file.
    ///
    /// # Errors
    /// One line about what is wrong with the file, and nothing of what is in it.
    pub(super) fn read(path: &Path) -> Result<KeySet, String> {
        read_file(path, KeySet::of)
    }

    /// The keys that are in these bytes.
    pub(super) fn of(bytes: &[u8]) -> Result<KeySet, String> {
        if pem::is_pem(bytes) {
            return Ok(KeySet::one(Kind::Public, pem::public(bytes)?));
        }
        if let Some(set) = jwks::read(bytes)? {
            return Ok(set);
        }
        let key = VerifyingKey::secret(secret(bytes)?);
        Ok(KeySet::one(Kind::Secret, key.into()))
    }

    fn one(kind: Kind, key: Key) -> KeySet {
        KeySet {
            kind,
            keys: vec![key],
            skipped: Vec::new(),
        }
    }

    /// The keys that may have signed a token with this header: those for its algorithm, and of these, if
    /// it names one, those of that name, or the nameless where there is none. The names of keys are
    /// heeded in a set only; elsewhere there is but one key.
    ///
    /// # Errors
    /// Says why there are none, or too many to try all.
    pub(super) fn candidates(&self, alg: &str, kid: Option<&str>) -> Result<Vec<&Key>, String> {
        let fits = |key: &&Key| key.algorithm() == alg;
        let mut fitting: Vec<&Key> = self.keys.iter().filter(fits).collect();
        if fitting.is_empty() {
            return Err(self.algorithms());
        }
        if self.kind == Kind::Set && kid.is_some() {
            let named = |key: &Key| key.kid.as_deref() == kid;
            if fitting.iter().any(|key| named(key)) {
                fitting.retain(|key| named(key));
            } else {
                fitting.retain(|key| key.kid.is_none());
            }
            if fitting.is_empty() {
                return Err("no key has its kid".into());
            }
        }
        if fitting.len() > TRIES {
            return Err("it has no kid that says which of many keys it is".into());
        }
        Ok(fitting)
    }

    fn algorithms(&self) -> String {
        let mut known: Vec<&str> = Vec::new();
        for algorithm in self.keys.iter().map(Key::algorithm) {
            if !known.contains(&algorithm) {
                known.push(algorithm);
            }
        }
        format!("the key is for {}", known.join(" or "))
    }
}

/// Reads a file of keys, and makes of its bytes what `read` makes of them.
///
/// # Errors
/// One line that names the file.
pub(super) fn read_file<T>(
    path: &Path,
    read: impl FnOnce(&[u8]) -> Result<T, String>,
) -> Result<T, String> {
    let mut bytes = Vec::new();
    let most = FILE_KIB * 1024;
    let file = File::open(path).and_then(|file| file.take(most + 1).read_to_end(&mut bytes));
    let made = match file {
        Ok(_) if bytes.len() as u64 > most => Err(format!("it is longer than {FILE_KIB} KiB")),
        // Some editors begin a file with a byte order mark.
        Ok(_) => read(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes)),
        Err(error) => Err(error.to_string()),
    };
    made.map_err(|why| format!("--jwt-key {}: {why}", path.display()))
}

/// The secret in a file: all of it but white space around it.
///
/// # Errors
/// Says why it is none. What can be known to others must not become a secret: they could sign with it.
pub(super) fn secret(bytes: &[u8]) -> Result<&[u8], String> {
    let secret = bytes.trim_ascii();
    if secret.is_empty() {
        return Err("it is empty".into());
    }
    if sequence(bytes).or(sequence(secret)).is_some() {
        return Err("it is DER; write it as PEM: openssl pkey -pubin -inform DER".into());
    }
    if pem::is_bare(secret) {
        return Err(
            "it is a key without its PEM lines: put -----BEGIN PUBLIC KEY----- before it, and -----END PUBLIC KEY----- behind it"
                .into(),
        );
    }
    let public = [&b"ssh-"[..], b"ecdsa-sha2-"];
    if public.iter().any(|begin| secret.starts_with(begin)) {
        return Err("this kind of key is not known; write it as PEM of a public key".into());
    }
    if secret.len() < SECRET_BYTES {
        return Err(format!(
            "the secret has {} bytes, and needs {SECRET_BYTES}: openssl rand -hex 32",
            secret.len()
        ));
    }
    Ok(secret)
}

/// What is in these bytes, if they are one DER sequence, as all keys are.
fn sequence(der: &[u8]) -> Option<&[u8]> {
    let (start, length) = match der {
        [0x30, length @ 0..=0x7f, ..] => (2, usize::from(*length)),
        [0x30, 0x81, length, ..] => (3, usize::from(*length)),
        [0x30, 0x82, high, low, ..] => (4, usize::from(u16::from_be_bytes([*high, *low]))),
        _ => return None,
    };
    der.get(start..).filter(|content| content.len() == length)
}
