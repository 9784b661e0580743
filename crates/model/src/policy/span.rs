//! Lengths of time, as the configuration writes them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A length of time, written `30s`, `15m`, `12h`, `14d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Span {
    /// The length in seconds.
    pub seconds: u64,
}

impl Span {
    /// A span of this many seconds.
    pub const fn from_seconds(seconds: u64) -> Self {
        Self { seconds }
    }
}

impl TryFrom<String> for Span {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let bad = || format!("'{text}' is not a length of time; write 30s, 15m, 12h or 14d");
        let unit = text.chars().last().ok_or_else(bad)?;
        let factor = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            _ => return Err(bad()),
        };
        let number: u64 = text.strip_suffix(unit).and_then(|n| n.trim().parse().ok()).ok_or_else(bad)?;
        number.checked_mul(factor).map(|seconds| Self { seconds }).ok_or_else(bad)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let s = self.seconds;
        match s {
            0 => f.pad("0s"),
            _ if s.is_multiple_of(86_400) => write!(f, "{}d", s / 86_400),
            _ if s.is_multiple_of(3_600) => write!(f, "{}h", s / 3_600),
            _ if s.is_multiple_of(60) => write!(f, "{}m", s / 60),
            _ => write!(f, "{s}s"),
        }
    }
}

impl From<Span> for String {
    fn from(span: Span) -> Self {
        span.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_back_and_refuse_what_has_no_unit() {
        for text in ["30s", "15m", "12h", "14d", "0s"] {
            assert_eq!(String::from(Span::try_from(text.to_owned()).unwrap()), text);
        }
        for text in ["", "5", "d", "1w", "-1d", "99999999999999999999d"] {
            assert!(Span::try_from(text.to_owned()).is_err(), "{text}");
        }
    }
}
