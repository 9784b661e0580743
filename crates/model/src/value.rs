//! Attribute values: bytes that are usually text.
//!
//! Knows nothing of matching rules; those are [`crate::schema`].

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

use data_encoding::BASE64;
use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// One attribute value as the server holds it.
///
/// Serialized as a string: text that does not begin with `:` as it is, everything else as `:` followed by base64, so that each
/// value has exactly one written form.
#[derive(Clone, Default)]
pub struct Value(Bytes);

/// Most values of a directory are short: these lie where the value itself lies.
#[derive(Clone)]
enum Bytes {
    Short { length: u8, bytes: [u8; SHORT] },
    Long(Box<[u8]>),
}

/// As many bytes as a value is large anyway.
const SHORT: usize = 22;

impl Default for Bytes {
    fn default() -> Self {
        Self::Short { length: 0, bytes: [0; SHORT] }
    }
}

impl Value {
    /// A value of these bytes.
    pub fn new(bytes: impl Into<Vec<u8>> + AsRef<[u8]>) -> Self {
        match short(bytes.as_ref()) {
            Some(short) => Self(short),
            None => Self(Bytes::Long(bytes.into().into_boxed_slice())),
        }
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Bytes::Short { length, bytes } => bytes.get(..usize::from(*length)).unwrap_or_default(),
            Bytes::Long(bytes) => bytes,
        }
    }

    /// The bytes, owned.
    pub fn into_bytes(self) -> Vec<u8> {
        match self.0 {
            Bytes::Short { .. } => self.as_bytes().to_vec(),
            Bytes::Long(bytes) => bytes.into_vec(),
        }
    }

    /// The value as text, if it is UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(self.as_bytes()).ok()
    }

    /// Text for people: UTF-8 with replacement characters.
    pub fn to_lossy(&self) -> String {
        String::from_utf8_lossy(self.as_bytes()).into_owned()
    }

    /// The written form (see the type).
    pub fn encode(&self) -> String {
        match self.as_str() {
            Some(text) if !text.starts_with(':') => text.to_owned(),
            _ => format!(":{}", BASE64.encode(self.as_bytes())),
        }
    }

    /// Reads the written form; `None` if the base64 is malformed.
    pub fn decode(written: &str) -> Option<Self> {
        match written.strip_prefix(':') {
            Some(encoded) => BASE64.decode(encoded.as_bytes()).ok().map(Self::new),
            None => Some(Self::new(written)),
        }
    }
}

fn short(value: &[u8]) -> Option<Bytes> {
    let mut bytes = [0; SHORT];
    bytes.get_mut(..value.len())?.copy_from_slice(value);
    Some(Bytes::Short { length: u8::try_from(value.len()).ok()?, bytes })
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Value {}

impl PartialOrd for Value {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Value {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl Hash for Value {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Self {
        Self::new(bytes)
    }
}

/// Prints the length only: a value may be a password hash, and debug output reaches logs.
impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Value({} bytes)", self.as_bytes().len())
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Most values are written as they are.
        match self.as_str() {
            Some(text) if !text.starts_with(':') => serializer.serialize_str(text),
            _ => serializer.serialize_str(&self.encode()),
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Written;

        impl Visitor<'_> for Written {
            type Value = Value;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_str<E: serde::de::Error>(self, written: &str) -> Result<Value, E> {
                Value::decode(written).ok_or_else(|| E::custom("a value that begins with ':' must go on in base64"))
            }
        }

        deserializer.deserialize_str(Written)
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
            let written = serde_json::to_string(&value).unwrap();
            assert_eq!(written, serde_json::to_string(&value.encode()).unwrap());
            assert_eq!(serde_json::from_str::<Value>(&written).unwrap(), value);
        }
        assert!(Value::decode(":not base64!").is_none());
        assert!(serde_json::from_str::<Value>("\":not base64!\"").is_err());
    }

    #[test]
    fn long_and_short_values_compare_by_their_bytes() {
        let lengths = [0, 1, SHORT - 1, SHORT, SHORT + 1, 1000];
        let values: Vec<Value> = lengths.iter().map(|length| Value::new(vec![b'a'; *length])).collect();
        for (one, length) in values.iter().zip(lengths) {
            assert_eq!(one.as_bytes(), vec![b'a'; length]);
            assert_eq!(one.clone().into_bytes(), one.as_bytes());
            for (other, than) in values.iter().zip(lengths) {
                assert_eq!(one.cmp(other), length.cmp(&than));
            }
        }
        assert_eq!(size_of::<Value>(), size_of::<Vec<u8>>());
    }

    #[test]
    fn debug_output_holds_no_value() {
        assert_eq!(format!("{:?}", Value::from("{SSHA}secret")), "Value(12 bytes)");
    }
}
