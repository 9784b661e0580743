//! Attribute values: bytes that are usually text.
//!
//! Knows nothing of matching rules; those are [`crate::schema`].

use std::fmt;

use data_encoding::BASE64;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// One attribute value as the server holds it.
///
/// Serialized as a string: text that does not begin with `:` as it is, everything else as `:` followed by base64, so that each
/// value has exactly one written form.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Value(Vec<u8>);

impl Value {
    /// A value of these bytes.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes, owned.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// The value as text, if it is UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    /// Text for people: UTF-8 with replacement characters.
    pub fn to_lossy(&self) -> String {
        String::from_utf8_lossy(&self.0).into_owned()
    }

    /// The written form (see the type).
    pub fn encode(&self) -> String {
        match self.as_str() {
            Some(text) if !text.starts_with(':') => text.to_owned(),
            _ => format!(":{}", BASE64.encode(&self.0)),
        }
    }

    /// Reads the written form; `None` if the base64 is malformed.
    pub fn decode(written: &str) -> Option<Self> {
        match written.strip_prefix(':') {
            Some(encoded) => BASE64.decode(encoded.as_bytes()).ok().map(Self),
            None => Some(Self(written.as_bytes().to_vec())),
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self(text.as_bytes().to_vec())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self(text.into_bytes())
    }
}

impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

/// Prints the length only: a value may be a password hash, and debug output reaches logs.
impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Value({} bytes)", self.0.len())
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.encode())
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = String::deserialize(deserializer)?;
        Self::decode(&written).ok_or_else(|| D::Error::custom("a value that begins with ':' must go on in base64"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_has_one_written_form_that_reads_back() {
        for bytes in [&b"plain"[..], b":colon", b"", b"\xff\x00", "山田".as_bytes()] {
            let value = Value::new(bytes);
            assert_eq!(Value::decode(&value.encode()).unwrap(), value);
        }
        assert!(Value::decode(":not base64!").is_none());
    }

    #[test]
    fn debug_output_holds_no_value() {
        assert_eq!(format!("{:?}", Value::from("{SSHA}secret")), "Value(12 bytes)");
    }
}
