//! Distinguished names (RFC 4514): parsing, writing, and comparison.
//!
//! Comparison here is the one that holds without a schema: attribute types without case, values with case folded and runs of
//! blanks collapsed (`caseIgnoreMatch`, which every naming attribute of the standard schemas uses). It deliberately knows no
//! schema and no aliases of attribute types beyond the short names of RFC 4514.

use std::borrow::Cow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{AttrName, Value};

/// Why a text is not a distinguished name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{text}' is not a distinguished name: {reason} at byte {at}; write it as RFC 4514 says, for instance uid=a\\,b,ou=people,dc=example"
)]
pub struct BadDn {
    /// What was given.
    pub text: String,
    /// Where reading stopped, in bytes.
    pub at: usize,
    /// What was wrong there.
    pub reason: &'static str,
}

/// An attribute type and value of an RDN.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ava {
    /// The attribute type.
    pub attr: AttrName,
    /// Its value, unescaped.
    pub value: Value,
}

/// A relative distinguished name: one or several attribute values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rdn(pub Vec<Ava>);

/// A distinguished name. Equality, order and hash use [`Dn::key`]; the spelling is kept.
#[derive(Clone)]
pub struct Dn {
    spelled: String,
    key: DnKey,
}

/// The comparable form of a DN. Sorting by it puts each entry after its ancestors.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct DnKey(String);

/// Separates the RDNs within a key, root first; sorts below every character that a key can hold.
const LEVEL: char = '\u{1}';

impl DnKey {
    /// The key as text: RDNs from the root down, each ended by U+0001.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A key read back from [`DnKey::as_str`].
    pub fn from_stored(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Whether this is `base` or below it.
    pub fn is_within(&self, base: &DnKey) -> bool {
        self.0.starts_with(&base.0)
    }

    /// The key of the entry above, as text; empty for the root and for what lies directly below it.
    pub fn above(&self) -> &str {
        let own = self.0.strip_suffix(LEVEL).unwrap_or(&self.0);
        own.rfind(LEVEL).and_then(|end| self.0.get(..=end)).unwrap_or_default()
    }

    /// How many RDNs the name has.
    pub fn depth(&self) -> usize {
        self.0.matches(LEVEL).count()
    }
}

impl fmt::Debug for DnKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.replace(LEVEL, "/"))
    }
}

impl Dn {
    /// The empty name (the root DSE).
    pub fn root() -> Self {
        Self { spelled: String::new(), key: DnKey::default() }
    }

    /// Reads a name as RFC 4514 writes it; blanks around separators and the older `;` separator are accepted.
    pub fn parse(text: &str) -> Result<Self, BadDn> {
        let key = match plain_key(text) {
            Some(key) => key,
            None => key_of(&parse_rdns(text)?),
        };
        Ok(Self { spelled: text.to_owned(), key })
    }

    /// The spelling.
    pub fn as_str(&self) -> &str {
        &self.spelled
    }

    /// The comparable form.
    pub fn key(&self) -> &DnKey {
        &self.key
    }

    /// Whether this is the empty name.
    pub fn is_root(&self) -> bool {
        self.key.0.is_empty()
    }

    /// Whether this is `base` or below it.
    pub fn is_within(&self, base: &Dn) -> bool {
        self.key.is_within(&base.key)
    }

    /// The RDNs, the entry's own first.
    pub fn rdns(&self) -> Vec<Rdn> {
        // The spelling was parsed when the name was made, so this cannot fail; an empty list would be the root.
        parse_rdns(&self.spelled).unwrap_or_default()
    }

    /// The entry's own RDN; `None` for the root.
    pub fn rdn(&self) -> Option<Rdn> {
        self.rdns().into_iter().next()
    }

    /// The name of the entry above; `None` for the root.
    pub fn parent(&self) -> Option<Self> {
        let rdns = self.rdns();
        let (_, above) = rdns.split_first()?;
        Some(Self::from_rdns(above))
    }

    /// A name below this one.
    pub fn child(&self, attr: &str, value: impl Into<Value>) -> Self {
        let mut rdns = vec![Rdn(vec![Ava { attr: AttrName::new(attr), value: value.into() }])];
        rdns.extend(self.rdns());
        Self::from_rdns(&rdns)
    }

    /// The name with these RDNs, the entry's own first.
    pub fn from_rdns(rdns: &[Rdn]) -> Self {
        let spelled = rdns.iter().map(Rdn::to_string).collect::<Vec<_>>().join(",");
        Self { spelled, key: key_of(rdns) }
    }
}

impl Rdn {
    /// The value of this attribute, if the RDN has it.
    pub fn value(&self, attr: &str) -> Option<&Value> {
        self.0.iter().find(|ava| ava.attr.is(attr)).map(|ava| &ava.value)
    }
}

impl fmt::Display for Rdn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, ava) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("+")?;
            }
            write!(f, "{}={}", ava.attr, escape(&ava.value))?;
        }
        Ok(())
    }
}

/// A value as RFC 4514, section 2.4 escapes it.
pub fn escape(value: &Value) -> String {
    let Some(text) = value.as_str() else {
        return value.as_bytes().iter().map(|b| format!("\\{b:02x}")).collect();
    };
    let mut out = String::with_capacity(text.len());
    let last = text.chars().count().saturating_sub(1);
    for (i, c) in text.chars().enumerate() {
        match c {
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            ' ' if i == 0 || i == last => out.push_str("\\20"),
            '#' if i == 0 => out.push_str("\\#"),
            '=' => out.push('='),
            c if c.is_control() => {
                let mut buffer = [0; 4];
                for byte in c.encode_utf8(&mut buffer).bytes() {
                    out.push_str(&format!("\\{byte:02x}"));
                }
            }
            c => out.push(c),
        }
    }
    out
}

fn key_of(rdns: &[Rdn]) -> DnKey {
    let mut key = String::new();
    for rdn in rdns.iter().rev() {
        let mut parts: Vec<String> =
            rdn.0.iter().map(|ava| format!("{}={}", canonical_type(ava.attr.folded()), fold(&ava.value))).collect();
        // A set (RFC 4512, section 2.3.1): what is written twice is there once.
        parts.sort();
        parts.dedup();
        key.push_str(&parts.join("\u{2}"));
        key.push(LEVEL);
    }
    DnKey(key)
}

/// The key of a name that is written plainly, as nearly all are: made in one pass, without taking the name apart. `None` where
/// something is escaped, quoted, encoded or joined, and where the name is malformed: such names are read in full.
fn plain_key(text: &str) -> Option<DnKey> {
    if text.bytes().any(|b| matches!(b, b'\\' | b'"' | b'#' | b'+' | b';')) {
        return None;
    }
    let mut key = String::with_capacity(text.len() + 1);
    let mut rest = text;
    loop {
        let comma = rest.bytes().rposition(|b| b == b',');
        let rdn = comma.map_or(Some(rest), |at| rest.get(at + 1..))?;
        let equals = rdn.bytes().position(|b| b == b'=')?;
        let attr = rdn.get(..equals)?.trim_matches(' ');
        if attr.is_empty() || !attr.bytes().all(is_type_byte) {
            return None;
        }
        let at = key.len();
        key.push_str(attr);
        key.get_mut(at..)?.make_ascii_lowercase();
        if let Some(short) = short_name(key.get(at..)?) {
            key.truncate(at);
            key.push_str(short);
        }
        key.push('=');
        fold_text(rdn.get(equals + 1..)?, &mut key);
        key.push(LEVEL);
        match comma {
            Some(at) => rest = rest.get(..at)?,
            None => return Some(DnKey(key)),
        }
    }
}

fn canonical_type(folded: &str) -> &str {
    short_name(folded).unwrap_or(folded)
}

/// The short name of a naming attribute whose long name or OID servers and people write too (RFC 4519).
fn short_name(folded: &str) -> Option<&'static str> {
    Some(match folded {
        "commonname" | "2.5.4.3" => "cn",
        "surname" | "2.5.4.4" => "sn",
        "countryname" | "2.5.4.6" => "c",
        "localityname" | "2.5.4.7" => "l",
        "stateorprovincename" | "2.5.4.8" => "st",
        "organizationname" | "2.5.4.10" => "o",
        "organizationalunitname" | "2.5.4.11" => "ou",
        "userid" | "0.9.2342.19200300.100.1.1" => "uid",
        "domaincomponent" | "0.9.2342.19200300.100.1.25" => "dc",
        _ => return None,
    })
}

/// Case folded, outer blanks dropped, inner blanks collapsed; bytes that are no text in hexadecimal after `\#`, which no text gives.
fn fold(value: &Value) -> String {
    let mut out = String::new();
    match value.as_str() {
        Some(text) => fold_text(text, &mut out),
        None => {
            out.push_str("\\#");
            out.extend(value.as_bytes().iter().map(|b| format!("{b:02x}")));
        }
    }
    out
}

fn fold_text(text: &str, out: &mut String) {
    // Most values are one word of plain letters and digits.
    if text.bytes().all(|b| b.is_ascii_graphic() && b != b'\\') {
        let start = out.len();
        out.push_str(text);
        if let Some(folded) = out.get_mut(start..) {
            folded.make_ascii_lowercase();
        }
        return;
    }
    let lower: Cow<'_, str> = if text.is_ascii() { Cow::Borrowed(text) } else { Cow::Owned(text.to_lowercase()) };
    let start = out.len();
    for word in lower.split(' ').filter(|word| !word.is_empty()) {
        if out.len() > start {
            out.push(' ');
        }
        // Keeps U+0001 and U+0002 for the structure of the key, and the backslash for what is written here.
        if word.bytes().all(|b| b > 2 && b != b'\\') {
            out.push_str(word);
        } else {
            for c in word.chars() {
                match c {
                    '\u{0}'..='\u{2}' | '\\' => out.push_str(&format!("\\{:02x}", u32::from(c))),
                    c => out.push(c),
                }
            }
        }
    }
    if let Some(folded) = out.get_mut(start..) {
        folded.make_ascii_lowercase();
    }
}

/// What an attribute type is written with.
fn is_type_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b';' | b'_')
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn bad(&self, reason: &'static str) -> BadDn {
        BadDn { text: self.text.to_owned(), at: self.at, reason }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_blanks(&mut self) {
        while self.peek() == Some(b' ') {
            self.at += 1;
        }
    }

    fn attr(&mut self) -> Result<AttrName, BadDn> {
        let start = self.at;
        while self.peek().is_some_and(is_type_byte) {
            self.at += 1;
        }
        if self.at == start {
            return Err(self.bad("an attribute type is missing"));
        }
        let name = AttrName::new(&self.text[start..self.at]);
        self.skip_blanks();
        if self.peek() != Some(b'=') {
            return Err(self.bad("'=' is missing"));
        }
        self.at += 1;
        self.skip_blanks();
        Ok(name)
    }

    fn value(&mut self) -> Result<Value, BadDn> {
        match self.peek() {
            Some(b'#') => self.hex_value(),
            Some(b'"') => self.quoted_value(),
            _ => self.plain_value(),
        }
    }

    /// `#` and the BER encoding in hexadecimal; only the contents of a short string are taken out of it.
    fn hex_value(&mut self) -> Result<Value, BadDn> {
        self.at += 1;
        let mut bytes = Vec::new();
        while let Some(byte) = self.hex_pair() {
            bytes.push(byte);
        }
        if bytes.is_empty() {
            return Err(self.bad("'#' must be followed by pairs of hexadecimal digits"));
        }
        self.skip_blanks();
        match bytes.as_slice() {
            [_, length, contents @ ..] if usize::from(*length) == contents.len() => Ok(Value::new(contents)),
            _ => Ok(Value::new(bytes)),
        }
    }

    fn hex_pair(&mut self) -> Option<u8> {
        let pair = self.text.get(self.at..self.at + 2)?;
        let byte = pair.bytes().all(|b| b.is_ascii_hexdigit()).then(|| u8::from_str_radix(pair, 16).ok())??;
        self.at += 2;
        Some(byte)
    }

    /// The older form `"a, b"` (RFC 1779).
    fn quoted_value(&mut self) -> Result<Value, BadDn> {
        self.at += 1;
        let mut bytes = Vec::new();
        loop {
            match self.peek() {
                None => return Err(self.bad("the closing quote is missing")),
                Some(b'"') => {
                    self.at += 1;
                    self.skip_blanks();
                    return Ok(Value::new(bytes));
                }
                Some(b'\\') => bytes.extend(self.escaped()?),
                Some(b) => {
                    bytes.push(b);
                    self.at += 1;
                }
            }
        }
    }

    fn plain_value(&mut self) -> Result<Value, BadDn> {
        let mut bytes = Vec::new();
        let mut kept = 0;
        loop {
            match self.peek() {
                None | Some(b',' | b';' | b'+') => break,
                Some(b'"') => return Err(self.bad("a quote inside a value must be escaped")),
                Some(b'\\') => {
                    bytes.extend(self.escaped()?);
                    kept = bytes.len();
                }
                Some(b) => {
                    bytes.push(b);
                    self.at += 1;
                    if b != b' ' {
                        kept = bytes.len();
                    }
                }
            }
        }
        bytes.truncate(kept);
        Ok(Value::new(bytes))
    }

    fn escaped(&mut self) -> Result<Vec<u8>, BadDn> {
        self.at += 1;
        if let Some(byte) = self.hex_pair() {
            return Ok(vec![byte]);
        }
        let Some(c) = self.text.get(self.at..).and_then(|rest| rest.chars().next()) else {
            return Err(self.bad("a backslash must be followed by a character"));
        };
        self.at += c.len_utf8();
        let mut buffer = [0; 4];
        Ok(c.encode_utf8(&mut buffer).as_bytes().to_vec())
    }
}

fn parse_rdns(text: &str) -> Result<Vec<Rdn>, BadDn> {
    let mut reader = Reader { text, at: 0 };
    let mut rdns = Vec::new();
    reader.skip_blanks();
    if reader.peek().is_none() {
        return Ok(rdns);
    }
    loop {
        let mut avas = Vec::new();
        loop {
            reader.skip_blanks();
            let attr = reader.attr()?;
            let value = reader.value()?;
            avas.push(Ava { attr, value });
            if reader.peek() == Some(b'+') {
                reader.at += 1;
            } else {
                break;
            }
        }
        rdns.push(Rdn(avas));
        match reader.peek() {
            None => return Ok(rdns),
            Some(b',' | b';') => reader.at += 1,
            Some(_) => return Err(reader.bad("',' or the end is missing")),
        }
    }
}

impl PartialEq for Dn {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for Dn {}

impl PartialOrd for Dn {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Dn {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key.cmp(&other.key)
    }
}

impl Hash for Dn {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key.hash(state);
    }
}

impl fmt::Display for Dn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.spelled)
    }
}

impl fmt::Debug for Dn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.spelled)
    }
}

impl FromStr for Dn {
    type Err = BadDn;

    fn from_str(text: &str) -> Result<Self, BadDn> {
        Self::parse(text)
    }
}

impl Serialize for Dn {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.spelled)
    }
}

impl<'de> Deserialize<'de> for Dn {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl Visitor<'_> for Text {
            type Value = Dn;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Dn, E> {
                Dn::parse(text).map_err(E::custom)
            }
        }

        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dn(text: &str) -> Dn {
        Dn::parse(text).unwrap()
    }

    #[test]
    fn names_compare_without_case_blanks_and_escaping_style() {
        assert_eq!(dn("UID=Taro ,  OU=People,dc=Example"), dn("uid=taro,ou=people,dc=example"));
        assert_eq!(dn(r"cn=a\2cb,dc=x"), dn(r"cn=a\,b,dc=x"));
        assert_eq!(dn(r#"cn="a,b",dc=x"#), dn(r"cn=a\,b,dc=x"));
        assert_eq!(dn("cn=a+uid=b,dc=x"), dn("uid=b+cn=A,dc=x"));
        assert_eq!(dn("cn=a+cn=A,dc=x"), dn("cn=a,dc=x"));
        assert_ne!(dn("uid=a,dc=x"), dn("uid=b,dc=x"));
        assert_eq!(dn("userid=a,dc=x"), dn("uid=a,dc=x"));
    }

    /// Names that were once taken for each other.
    #[test]
    fn different_values_are_never_the_same_name() {
        for (one, other) in [(r"cn=\23ff,dc=x", r"cn=\ff,dc=x"), (r"cn=\5c01,dc=x", r"cn=\01,dc=x"), (r"cn=\5c\23ff", r"cn=\ff")]
        {
            assert_ne!(dn(one), dn(other));
        }
    }

    #[test]
    fn nasty_values_survive_writing_and_reading() {
        for value in ["a,b", " lead", "trail ", "#hash", "a\"b", "a\\b", "a+b=c;d<e>", "山田 太郎", "x\u{1}y", " "] {
            let name = dn("dc=example").child("cn", value);
            let back = dn(name.as_str());
            assert_eq!(back.rdn().unwrap().value("cn").unwrap().as_str(), Some(value), "{name}");
            assert_eq!(back, name);
            assert_eq!(back.parent().unwrap(), dn("dc=example"));
        }
    }

    #[test]
    fn ancestors_sort_before_their_descendants_and_siblings_are_not_within() {
        let base = dn("ou=people,dc=x");
        assert!(dn("uid=a,ou=People,dc=x").is_within(&base));
        assert!(!dn("uid=a,ou=people2,dc=x").is_within(&base));
        assert!(base.is_within(&base));
        let mut names = [dn("uid=a,ou=people,dc=x"), dn("ou=people2,dc=x"), dn("ou=people,dc=x"), dn("dc=x")];
        names.sort();
        assert_eq!(
            names.iter().map(Dn::as_str).collect::<Vec<_>>(),
            ["dc=x", "ou=people,dc=x", "uid=a,ou=people,dc=x", "ou=people2,dc=x"]
        );
    }

    /// The short way to a key and the long one never differ, and the short one takes nothing that the long one refuses.
    #[test]
    fn plainly_written_names_have_the_key_of_the_full_reading() {
        // All texts of up to five of these pieces: separators, blanks, cases, long names, what is folded, what is escaped.
        let pieces = ["uid=", "CommonName=", "A b", "  ", ",", "É\u{130}", "\u{1}", "=", "\\", "2.5.4.3", "-"];
        let choices = pieces.len() + 1;
        let mut plain = 0;
        for number in 0..choices.pow(5) {
            let picked = (0..5).map(|place| number / choices.pow(place) % choices);
            let text: String = picked.filter_map(|which| pieces.get(which)).copied().collect();
            if let Some(key) = plain_key(&text) {
                plain += 1;
                assert_eq!(key, key_of(&parse_rdns(&text).unwrap()), "{text:?}");
            }
        }
        assert!(plain > 1000, "{plain}");
        for text in ["uid=a.b,ou=People,dc=Example", "cn=山田 太郎,dc=x", "OU = two  words ,dc=x", "userid=a=b,dc=x"] {
            assert_eq!(plain_key(text).unwrap(), key_of(&parse_rdns(text).unwrap()));
        }
    }

    #[test]
    fn malformed_names_are_refused_with_the_place() {
        for text in ["uid", "=x", "uid=a,", "uid=a\\", "cn=\"open", "cn=#zz", "uid=a,,dc=x"] {
            assert!(Dn::parse(text).is_err(), "{text}");
        }
    }
}
