//! The character encodings in which people's systems write tables: UTF-8 with or without its mark, and Shift_JIS as Excel writes it.

use std::borrow::Cow;

use encoding_rs::{SHIFT_JIS, UTF_8};
use untether_model::policy::RosterEncoding;

/// A file's text, and how it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded<'a> {
    /// The text.
    pub text: Cow<'a, str>,
    /// It is Shift_JIS (code page 932), which has no sign for many characters.
    pub shift_jis: bool,
}

/// Bytes that are no text of the encoding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadEncoding {
    /// The first line that is not.
    pub line: u64,
    /// What was tried.
    pub tried: &'static str,
}

const MARK: &[u8] = b"\xef\xbb\xbf";

/// Decodes a whole file.
///
/// # Errors
/// Its bytes are not text of this encoding.
pub fn decode(encoding: RosterEncoding, bytes: &[u8]) -> Result<Decoded<'_>, BadEncoding> {
    let unmarked = bytes.strip_prefix(MARK).unwrap_or(bytes);
    let utf8 = || {
        let text = UTF_8.decode_without_bom_handling_and_without_replacement(unmarked)?;
        Some(Decoded { text, shift_jis: false })
    };
    let shift_jis = || {
        let text = SHIFT_JIS.decode_without_bom_handling_and_without_replacement(bytes)?;
        Some(Decoded { text, shift_jis: true })
    };
    let (decoded, tried) = match encoding {
        RosterEncoding::Utf8 => (utf8(), "UTF-8"),
        RosterEncoding::ShiftJis => (shift_jis(), "Shift_JIS"),
        RosterEncoding::Auto if unmarked.len() != bytes.len() => (utf8(), "UTF-8, although it begins with its byte order mark"),
        RosterEncoding::Auto => (utf8().or_else(shift_jis), "UTF-8 or Shift_JIS"),
    };
    decoded.ok_or_else(|| BadEncoding { line: first_bad_line(encoding, unmarked), tried })
}

/// The line feed is one byte in both encodings and part of no other character, so lines can be tried one by one.
fn first_bad_line(encoding: RosterEncoding, unmarked: &[u8]) -> u64 {
    let codec = if encoding == RosterEncoding::ShiftJis { SHIFT_JIS } else { UTF_8 };
    let bad = |line: &[u8]| codec.decode_without_bom_handling_and_without_replacement(line).is_none();
    unmarked.split(|b| *b == b'\n').zip(1..).find(|(line, _)| bad(line)).map_or(1, |(_, n)| n)
}

/// Whether Shift_JIS (code page 932) has a sign for a character; Excel writes a question mark for one that it has none for.
pub fn is_in_shift_jis(c: char) -> bool {
    let mut buffer = [0; 4];
    !SHIFT_JIS.encode(c.encode_utf8(&mut buffer)).2
}
