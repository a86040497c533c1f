//! Reads the file of `--jwt-key`: a secret, a public key, or a set of keys (RFC 7517).

mod jwks;
pub(super) mod pem;

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::key_set::{Key, KeySet};

/// The most KiB of a file of keys, so that a wrong file is not read to its end.
const FILE_KIB: u64 = 256;
/// The least bytes of a secret (RFC 7518, section 3.2).
const SECRET_BYTES: usize = 32;

/// Parses the keys that verify.
///
/// # Errors
/// What is wrong with them, without their content.
pub(super) fn parse(bytes: &[u8]) -> Result<KeySet, String> {
    if pem::is_pem(bytes) {
        return Ok(KeySet::one(pem::public(bytes)?, "a public key"));
    }
    match jwks::parse(bytes)? {
        Some(set) => Ok(set),
        None => Ok(KeySet::one(Key::secret(secret(bytes)?), "a secret")),
    }
}

/// Reads a file of keys and parses it.
///
/// # Errors
/// One line that names the file.
pub(super) fn read<T>(
    path: &Path,
    parse: impl FnOnce(&[u8]) -> Result<T, String>,
) -> Result<T, String> {
    let mut bytes = Vec::new();
    let most = FILE_KIB * 1024;
    let file = File::open(path).and_then(|file| file.take(most + 1).read_to_end(&mut bytes));
    let parsed = match file {
        Ok(_) if bytes.len() as u64 > most => Err(format!("it is longer than {FILE_KIB} KiB")),
        // Some editors begin a file with a byte order mark.
        Ok(_) => parse(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes)),
        Err(error) => Err(error.to_string()),
    };
    parsed.map_err(|why| format!("--jwt-key {}: {why}", path.display()))
}

/// The secret in a file: its content without white space around it.
///
/// # Errors
/// Why it is none. A public key must not become a secret, since others know it and could sign with it.
pub(super) fn secret(bytes: &[u8]) -> Result<&[u8], String> {
    let secret = bytes.trim_ascii();
    if secret.is_empty() {
        return Err("it is empty".into());
    }
    if pem::sequence(bytes).or(pem::sequence(secret)).is_some() {
        return Err("it is DER; write it as PEM: openssl pkey -pubin -inform DER".into());
    }
    if pem::is_bare(secret) {
        return Err(
            "it is a key without its PEM lines: put -----BEGIN PUBLIC KEY----- before it, and -----END PUBLIC KEY----- behind it"
                .into(),
        );
    }
    if secret.starts_with(b"ssh-") || secret.starts_with(b"ecdsa-sha2-") {
        return Err("this kind of key is not known; write it as PEM of a public key".into());
    }
    let length = secret.len();
    if length < SECRET_BYTES {
        return Err(format!(
            "the secret has {length} bytes, and needs {SECRET_BYTES}: openssl rand -hex 32"
        ));
    }
    Ok(secret)
}
