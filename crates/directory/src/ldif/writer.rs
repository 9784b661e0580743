//! The writer: entries become LDIF that `slapadd`, `ldapadd` and [`super::LdifReader`] read.

use std::io::{self, Write};

use data_encoding::BASE64;
use untether_model::Entry;

use crate::names::is_description;

/// Longest written line, its end not counted (RFC 2849, note 3).
const WIDTH: usize = 76;

/// Writes `version: 1` and an empty line. `slapadd` refuses it, `ldapadd` and most other tools want it.
pub fn write_version(out: &mut impl Write) -> io::Result<()> {
    out.write_all(b"version: 1\n\n")
}

/// Writes one record and the empty line after it; values in the entry's order, base64 where RFC 2849 asks for it.
///
/// An attribute description that LDIF cannot hold is an error of the kind [`io::ErrorKind::InvalidInput`].
pub fn write_entry(out: &mut impl Write, entry: &Entry) -> io::Result<()> {
    write_value(out, "dn", entry.dn.as_str().as_bytes())?;
    for (name, values) in &entry.attrs {
        if !is_description(name.as_str()) {
            let message = format!("'{name}' of '{}' is not an attribute description and cannot be written as LDIF", entry.dn);
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        for value in values {
            write_value(out, name.as_str(), value.as_bytes())?;
        }
    }
    out.write_all(b"\n")
}

fn write_value(out: &mut impl Write, name: &str, value: &[u8]) -> io::Result<()> {
    if value.is_empty() {
        return write_folded(out, name, ":", b"");
    }
    if is_safe(value) {
        write_folded(out, name, ": ", value)
    } else {
        write_folded(out, name, ":: ", BASE64.encode(value).as_bytes())
    }
}

/// SAFE-STRING of RFC 2849, and no blank at the end.
fn is_safe(value: &[u8]) -> bool {
    !matches!(value.first(), None | Some(b' ' | b':' | b'<'))
        && value.last() != Some(&b' ')
        && value.iter().all(|b| b.is_ascii() && !matches!(b, 0 | b'\n' | b'\r'))
}

/// Folds within the value only: `slapadd` refuses a line that is folded inside the attribute name.
fn write_folded(out: &mut impl Write, name: &str, separator: &str, value: &[u8]) -> io::Result<()> {
    out.write_all(name.as_bytes())?;
    out.write_all(separator.as_bytes())?;
    let room = WIDTH.saturating_sub(name.len() + separator.len()).min(value.len());
    let (first, mut rest) = value.split_at(room);
    out.write_all(first)?;
    while !rest.is_empty() {
        let (line, after) = rest.split_at((WIDTH - 1).min(rest.len()));
        out.write_all(b"\n ")?;
        out.write_all(line)?;
        rest = after;
    }
    out.write_all(b"\n")
}
