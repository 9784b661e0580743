//! Syntaxes of RFC 4517 as far as a server refuses values by them (result 21). What is not listed takes any value.

use untether_model::time::generalized;
use untether_model::{Dn, Value};

/// Whether a value is one of the syntax with this number.
pub(super) fn is_valid(syntax: &str, value: &Value) -> bool {
    const SYNTAXES: &str = "1.3.6.1.4.1.1466.115.121.1.";
    if syntax == "1.3.6.1.1.16.1" {
        return value.as_str().is_some_and(is_uuid);
    }
    let text = value.as_str();
    let bytes = value.as_bytes();
    match syntax.strip_prefix(SYNTAXES) {
        Some("12") => text.is_some_and(|text| Dn::parse(text).is_ok()),
        Some("34") => text.is_some_and(|text| Dn::parse(without_uid(text)).is_ok()),
        Some("24") => generalized(value).is_some(),
        // Directory String, UTF-8 and not empty.
        Some("15") => text.is_some_and(|text| !text.is_empty()),
        Some("26") => bytes.is_ascii(),
        Some("27") => text.is_some_and(is_integer),
        Some("7") => matches!(text, Some("TRUE" | "FALSE")),
        Some("36") => !bytes.is_empty() && bytes.iter().all(|b| b.is_ascii_digit() || *b == b' '),
        Some("44" | "50") => !bytes.is_empty() && bytes.iter().all(|b| is_printable(*b)),
        _ => true,
    }
}

/// PrintableString (RFC 4517, section 3.2).
fn is_printable(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"'()+,-./:? =".contains(&byte)
}

fn is_integer(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let canonical = digits == "0" && digits == text || !digits.starts_with('0');
    !digits.is_empty() && canonical && digits.bytes().all(|b| b.is_ascii_digit())
}

fn is_uuid(text: &str) -> bool {
    let parts: Vec<usize> = text.split('-').map(str::len).collect();
    parts == [8, 4, 4, 4, 12] && text.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-')
}

/// A name without the bit string of `uniqueMember` (`DN#'0101'B`).
fn without_uid(text: &str) -> &str {
    match text.rsplit_once('#') {
        Some((name, uid)) if uid.starts_with('\'') && uid.ends_with("'B") => name,
        _ => text,
    }
}
