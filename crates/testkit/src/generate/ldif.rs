//! LDIF content records (RFC 2849) as slapcat writes them: folded at 76 columns, base64 where
//! needed, passwords always in base64. Distinguished names are escaped as RFC 4514 says.

use data_encoding::BASE64;
use std::io::{self, Write};

/// Column at which lines are folded; the continuation's leading blank is not counted.
const WIDTH: usize = 76;

/// Writes `name: value` or, where RFC 2849 asks for it, `name:: base64`, folded.
///
/// The attribute name is never split: slapadd refuses that.
pub(super) fn attribute(out: &mut dyn Write, name: &str, value: &[u8]) -> io::Result<()> {
    let line = if is_safe(value) && !name.eq_ignore_ascii_case("userPassword") {
        let mut line = Vec::with_capacity(name.len() + value.len() + 2);
        line.extend_from_slice(name.as_bytes());
        line.extend_from_slice(b": ");
        line.extend_from_slice(value);
        line
    } else {
        format!("{name}:: {}", BASE64.encode(value)).into_bytes()
    };
    let (first, mut rest) = line.split_at(line.len().min(WIDTH.max(name.len() + 3)));
    out.write_all(first)?;
    while !rest.is_empty() {
        let (part, after) = rest.split_at(rest.len().min(WIDTH - 1));
        out.write_all(b"\n ")?;
        out.write_all(part)?;
        rest = after;
    }
    out.write_all(b"\n")
}

/// SAFE-STRING of RFC 2849, trailing blanks excluded (they are lost in editors).
fn is_safe(value: &[u8]) -> bool {
    let starts_safely = !matches!(value.first(), Some(b' ' | b':' | b'<'));
    starts_safely && value.last() != Some(&b' ') && value.iter().all(|byte| byte.is_ascii() && !matches!(byte, 0 | b'\n' | b'\r'))
}

/// A value within a distinguished name, escaped as slapd writes it.
pub(super) fn escape(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len() + 4);
    let last = value.chars().count().saturating_sub(1);
    for (at, character) in value.chars().enumerate() {
        match character {
            ',' | '+' | '"' | '\\' | '<' | '>' | ';' | '=' => {
                escaped.push_str(&format!("\\{:02X}", u32::from(character)));
            }
            '#' if at == 0 => escaped.push_str("\\23"),
            ' ' if at == 0 || at == last => escaped.push_str("\\20"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(name: &str, value: &[u8]) -> String {
        let mut out = Vec::new();
        attribute(&mut out, name, value).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn unsafe_values_are_base64_and_long_lines_are_folded() {
        assert_eq!(written("cn", b"Taro"), "cn: Taro\n");
        assert_eq!(written("cn", "花".as_bytes()), "cn:: 6Iqx\n");
        assert_eq!(written("cn", b" Mori"), "cn:: IE1vcmk=\n");
        assert_eq!(written("userPassword", b"x"), "userPassword:: eA==\n");
        let folded = written("description", &[b'x'; 150]);
        assert!(folded.lines().all(|line| line.len() <= WIDTH));
        assert_eq!(folded.replace("\n ", "").len(), "description: ".len() + 150 + 1);
    }

    #[test]
    fn names_are_escaped_where_they_must_be() {
        assert_eq!(escape("Sato, \"Ken\""), "Sato\\2C \\22Ken\\22");
        assert_eq!(escape("#1"), "\\231");
        assert_eq!(escape(" a "), "\\20a\\20");
    }
}
