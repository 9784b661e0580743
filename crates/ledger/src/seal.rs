//! Sealing of single values: XChaCha20-Poly1305 under a 256-bit key, as base64.
//!
//! Sealed text is standard base64 with padding of `01 ‖ nonce (24 bytes) ‖ ciphertext ‖ tag (16 bytes)`. The additional data is
//! `"untether-seal-1" ‖ u32le(len(purpose)) ‖ purpose ‖ object`, so that a sealed part opens only for what it was made for. The
//! module knows no files and no ids of keys.

use std::fmt;

use chacha20poly1305::aead::{Aead as _, AeadInOut as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use data_encoding::BASE64;
use zeroize::{Zeroize as _, ZeroizeOnDrop, Zeroizing};

/// A 256-bit key. Wiped from memory when dropped, never printed.
#[derive(Clone, ZeroizeOnDrop)]
pub struct Key([u8; 32]);

impl Key {
    /// The key with these bytes.
    pub fn from_bytes(mut bytes: [u8; 32]) -> Self {
        let key = Self(bytes);
        bytes.zeroize();
        key
    }

    /// A random key.
    pub fn random() -> Result<Self, SealError> {
        let mut key = Self([0; 32]);
        getrandom::fill(&mut key.0).map_err(SealError::Random)?;
        Ok(key)
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    pub(crate) fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new((&self.0).into())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

/// Why something could not be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The system gives no random bytes.
    #[error("the system gives no random bytes ({0})")]
    Random(getrandom::Error),
    /// Too large for one message.
    #[error("the value is too large to be sealed")]
    TooLarge,
    /// Not sealed text of this version.
    #[error("the sealed part of {purpose} is not sealed text of this version")]
    Form {
        /// What it was to be.
        purpose: String,
    },
    /// Another key, another purpose or object, or changed bytes.
    #[error("the sealed part of {purpose} does not open: it was made with another key, for something else, or was changed")]
    Refused {
        /// What it was to be.
        purpose: String,
    },
}

const FORM: u8 = 1;
const NONCE_BYTES: usize = 24;
const TAG_BYTES: usize = 16;

/// Seals a value for a purpose (`before-image`, `secret`…) and the object that it belongs to (an operation's id…).
pub fn seal(key: &Key, purpose: &str, object: &str, plain: &[u8]) -> Result<String, SealError> {
    Ok(BASE64.encode(&seal_bytes(key, purpose, object, plain)?))
}

/// Opens what [`seal`] made, for the same purpose and object. The result is wiped from memory when dropped.
pub fn unseal(key: &Key, purpose: &str, object: &str, sealed: &str) -> Result<Zeroizing<Vec<u8>>, SealError> {
    let bytes = BASE64.decode(sealed.as_bytes()).map_err(|_| form_of(purpose))?;
    unseal_bytes(key, purpose, object, &bytes)
}

/// Seals like [`seal`], without making text of it: for what no person and no JSON has to carry.
pub fn seal_bytes(key: &Key, purpose: &str, object: &str, plain: &[u8]) -> Result<Vec<u8>, SealError> {
    let mut nonce = [0u8; NONCE_BYTES];
    getrandom::fill(&mut nonce).map_err(SealError::Random)?;
    let mut sealed = Vec::with_capacity(1 + NONCE_BYTES + plain.len() + TAG_BYTES);
    sealed.push(FORM);
    sealed.extend_from_slice(&nonce);
    sealed.extend_from_slice(plain);
    let message = sealed.get_mut(1 + NONCE_BYTES..).unwrap_or_default();
    let tag = key.cipher().encrypt_inout_detached(&XNonce::from(nonce), &additional(purpose, object), message.into());
    match tag {
        Ok(tag) => sealed.extend_from_slice(&tag),
        Err(_) => {
            sealed.zeroize();
            return Err(SealError::TooLarge);
        }
    }
    Ok(sealed)
}

/// Opens what [`seal_bytes`] made. The result is wiped from memory when dropped.
pub fn unseal_bytes(key: &Key, purpose: &str, object: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
    let (first, rest) = sealed.split_first().ok_or_else(|| form_of(purpose))?;
    let (nonce, message) = rest.split_first_chunk::<NONCE_BYTES>().ok_or_else(|| form_of(purpose))?;
    if *first != FORM || message.len() < TAG_BYTES {
        return Err(form_of(purpose));
    }
    let aad = additional(purpose, object);
    let opened = key.cipher().decrypt(&XNonce::from(*nonce), Payload { msg: message, aad: &aad });
    opened.map(Zeroizing::new).map_err(|_| SealError::Refused { purpose: purpose.to_owned() })
}

fn form_of(purpose: &str) -> SealError {
    SealError::Form { purpose: purpose.to_owned() }
}

fn additional(purpose: &str, object: &str) -> Vec<u8> {
    let mut aad = b"untether-seal-1".to_vec();
    aad.extend_from_slice(&u32::try_from(purpose.len()).unwrap_or(u32::MAX).to_le_bytes());
    aad.extend_from_slice(purpose.as_bytes());
    aad.extend_from_slice(object.as_bytes());
    aad
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_only_with_the_same_key_purpose_and_object() {
        let key = Key::random().unwrap();
        let sealed = seal(&key, "before-image", "p/w/b/1", b"uid=x").unwrap();
        assert_eq!(unseal(&key, "before-image", "p/w/b/1", &sealed).unwrap().as_slice(), b"uid=x");
        assert!(unseal(&key, "before-image", "p/w/b/2", &sealed).is_err());
        assert!(unseal(&key, "desired", "p/w/b/1", &sealed).is_err());
        assert!(unseal(&key, "before-imagep", "/w/b/1", &sealed).is_err());
        assert!(unseal(&Key::random().unwrap(), "before-image", "p/w/b/1", &sealed).is_err());
    }

    #[test]
    fn any_changed_byte_is_refused() {
        let key = Key::from_bytes([7; 32]);
        let sealed = BASE64.decode(seal(&key, "x", "y", b"value").unwrap().as_bytes()).unwrap();
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(unseal(&key, "x", "y", &BASE64.encode(&changed)).is_err(), "byte {at}");
        }
        for length in 0..sealed.len() {
            assert!(unseal(&key, "x", "y", &BASE64.encode(&sealed[..length])).is_err(), "length {length}");
        }
        assert!(unseal(&key, "x", "y", "not base64").is_err());
    }

    #[test]
    fn equal_values_look_different_and_keys_are_not_printed() {
        let key = Key::from_bytes([7; 32]);
        assert_ne!(seal(&key, "x", "y", b"value").unwrap(), seal(&key, "x", "y", b"value").unwrap());
        assert_eq!(format!("{key:?}"), "Key(…)");
    }
}
