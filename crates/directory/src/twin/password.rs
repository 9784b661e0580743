//! Stored passwords: which of them a secret opens.
//!
//! Knows clear text, `{CLEARTEXT}` and `{SSHA}`. Anything else, pass-through values included, opens to nobody.

use data_encoding::BASE64;
use sha1::{Digest as _, Sha1};
use untether_model::Value;

/// Length of a SHA-1 digest, in bytes; what follows it is salt.
const DIGEST: usize = 20;

/// A value taken apart: its scheme in upper case, and what follows.
fn scheme(value: &[u8]) -> Option<(String, &[u8])> {
    let rest = value.strip_prefix(b"{")?;
    let end = rest.iter().position(|b| *b == b'}')?;
    let (name, tail) = rest.split_at(end);
    let name = std::str::from_utf8(name).ok().filter(|name| !name.is_empty())?;
    Some((name.to_ascii_uppercase(), tail.get(1..).unwrap_or_default()))
}

/// Whether a value is clear text.
pub(super) fn clear_text(value: &Value) -> Option<&[u8]> {
    match scheme(value.as_bytes()) {
        None => Some(value.as_bytes()),
        Some((name, rest)) if name == "CLEARTEXT" => Some(rest),
        Some(_) => None,
    }
}

/// Whether `secret` opens `value`.
pub(super) fn opens(value: &Value, secret: &[u8]) -> bool {
    if let Some(clear) = clear_text(value) {
        return clear == secret;
    }
    match scheme(value.as_bytes()) {
        Some((name, encoded)) if name == "SSHA" => {
            let Ok(stored) = BASE64.decode(encoded) else { return false };
            let Some((digest, salt)) = stored.split_at_checked(DIGEST) else { return false };
            let mut hasher = Sha1::new();
            hasher.update(secret);
            hasher.update(salt);
            hasher.finalize().as_slice() == digest
        }
        _ => false,
    }
}
