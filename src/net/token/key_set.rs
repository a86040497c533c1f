//! The keys that verify tokens. The kind of a key alone decides its one algorithm: the algorithm in a
//! token's header is only compared with it (RFC 8725, section 3.1).

use std::fmt;

use super::crypto::VerifyingKey;

/// A token is tried with at most this many keys: a try costs the server more than the sender.
const TRIES: usize = 8;

/// A key and its name.
pub(super) struct Key {
    pub(super) verifying: VerifyingKey,
    /// How a token names it. Only keys of a set have names.
    pub(super) kid: Option<String>,
}

/// The kind of the file that the keys are from.
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

/// Describes the keys without their content.
impl fmt::Display for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::Secret => return write!(f, "{} by a secret", self.keys[0].verifying.algorithm()),
            Kind::Public => {
                return write!(f, "{} by a public key", self.keys[0].verifying.algorithm());
            }
            Kind::Set => {}
        }
        let s = if self.keys.len() == 1 { "" } else { "s" };
        write!(f, "{} key{s} of a set", self.keys.len())?;
        for (place, key) in self.keys.iter().enumerate() {
            f.write_str(if place == 0 { ": " } else { ", " })?;
            f.write_str(key.verifying.algorithm())?;
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
    /// A secret.
    pub(super) fn secret(secret: &[u8]) -> KeySet {
        KeySet::one(Kind::Secret, VerifyingKey::secret(secret))
    }

    /// One public key.
    pub(super) fn public(key: VerifyingKey) -> KeySet {
        KeySet::one(Kind::Public, key)
    }

    /// The keys of a set, which are not none, and why others are not used.
    pub(super) fn set(keys: Vec<Key>, skipped: Vec<String>) -> KeySet {
        KeySet {
            kind: Kind::Set,
            keys,
            skipped,
        }
    }

    fn one(kind: Kind, verifying: VerifyingKey) -> KeySet {
        let kid = None;
        KeySet {
            kind,
            keys: vec![Key { verifying, kid }],
            skipped: Vec::new(),
        }
    }

    /// The keys that may have signed a token with this header: those for its algorithm, and of these
    /// the ones with its `kid`, or those without a name if no key has it. Only keys of a set have names.
    ///
    /// # Errors
    /// Why there is none, or that there are too many to try.
    pub(super) fn candidates(
        &self,
        alg: &str,
        kid: Option<&str>,
    ) -> Result<Vec<&VerifyingKey>, String> {
        let fits = |key: &&Key| key.verifying.algorithm() == alg;
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
        Ok(fitting.iter().map(|key| &key.verifying).collect())
    }

    fn algorithms(&self) -> String {
        let mut known: Vec<&str> = Vec::new();
        for algorithm in self.keys.iter().map(|key| key.verifying.algorithm()) {
            if !known.contains(&algorithm) {
                known.push(algorithm);
            }
        }
        format!("the key is for {}", known.join(" or "))
    }
}
