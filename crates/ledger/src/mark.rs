//! Marks: keyed digests that tell equal values from different ones without saying what they are.
//!
//! HMAC-SHA256 under a key that is derived from the state key, the first 16 bytes, in lower-case hexadecimal.

use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::seal::Key;

/// Makes marks of one state directory; those of another one do not compare.
#[derive(Clone)]
pub struct Marks(Hmac<Sha256>);

impl std::fmt::Debug for Marks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Marks(…)")
    }
}

/// Bytes of the HMAC that are kept.
const MARK_BYTES: usize = 16;

impl Marks {
    /// Marks under this key.
    pub fn new(key: &Key) -> Self {
        // A key of the block's size is taken as it is: this construction cannot fail, whatever HMAC's key length.
        let mut block = [0u8; 64];
        block.iter_mut().zip(key.as_bytes()).for_each(|(to, byte)| *to = *byte);
        let mac = Hmac::<Sha256>::new(&block.into());
        zeroize::Zeroize::zeroize(&mut block);
        Self(mac)
    }

    /// The mark of one value of an attribute; the attribute's name compares without case. Over
    /// `"value" ‖ 0 ‖ attribute in lower case ‖ 0 ‖ value`.
    pub fn value(&self, attribute: &str, value: &[u8]) -> String {
        let mut mac = self.begin("value", attribute);
        mac.update(value);
        finish(mac)
    }

    /// The mark of an attribute's whole value set, in whatever order it is given. Over
    /// `"set" ‖ 0 ‖ attribute in lower case ‖ 0 ‖` each value, sorted, as `u64le(length) ‖ value`.
    pub fn set<'a>(&self, attribute: &str, values: impl IntoIterator<Item = &'a [u8]>) -> String {
        let mut sorted: Vec<&[u8]> = values.into_iter().collect();
        sorted.sort_unstable();
        let mut mac = self.begin("set", attribute);
        for value in sorted {
            mac.update(&(value.len() as u64).to_le_bytes());
            mac.update(value);
        }
        finish(mac)
    }

    fn begin(&self, form: &str, attribute: &str) -> Hmac<Sha256> {
        let mut mac = self.0.clone();
        mac.update(form.as_bytes());
        mac.update(&[0]);
        mac.update(attribute.to_ascii_lowercase().as_bytes());
        mac.update(&[0]);
        mac
    }
}

fn finish(mac: Hmac<Sha256>) -> String {
    let full = mac.finalize().into_bytes();
    HEXLOWER.encode(full.get(..MARK_BYTES).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_compare_values_attributes_and_sets() {
        let marks = Marks::new(&Key::from_bytes([1; 32]));
        let one = marks.value("userPassword", b"{SSHA}x");
        assert_eq!(one.len(), 32);
        assert_eq!(one, marks.value("USERPASSWORD", b"{SSHA}x"));
        assert_ne!(one, marks.value("userPassword", b"{SSHA}y"));
        assert_ne!(one, marks.value("sambaNTPassword", b"{SSHA}x"));
        assert_ne!(one, Marks::new(&Key::from_bytes([2; 32])).value("userPassword", b"{SSHA}x"));
        let set = marks.set("mail", [b"a".as_slice(), b"b"]);
        assert_eq!(set, marks.set("mail", [b"b".as_slice(), b"a"]));
        assert_ne!(set, marks.set("mail", [b"ab".as_slice()]));
        assert_ne!(marks.set("mail", []), marks.set("mail", [b"".as_slice()]));
    }

    #[test]
    fn the_construction_is_plain_hmac_sha256() {
        // HMAC-SHA256 under 32 bytes of 0x0b over "value\0a\0b", computed with another implementation.
        let marks = Marks::new(&Key::from_bytes([0x0b; 32]));
        assert_eq!(marks.value("A", b"b"), "78f4e89607f628c1062963cddd84ae5a");
    }
}
