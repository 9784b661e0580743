//! JSON Lines: one object a line, whose keys are the columns.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, BufRead, BufReader, Read};

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use untether_model::keys;
use untether_model::policy::RosterPolicy;
use untether_model::roster::RosterColumn;

/// Longest line that is taken.
const LINE_BYTES: u64 = 1 << 20;

/// A line that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("line {line} {what}")]
pub(super) struct BrokenLine {
    pub(super) line: u64,
    what: String,
}

/// Why reading ended early.
#[derive(Debug)]
pub(super) enum Failed {
    /// What lies below.
    Below(io::Error),
    /// A line.
    Line(BrokenLine),
}

/// The columns that are looked for.
pub(super) struct Keys {
    /// Their names, in the order of a record's fields.
    pub(super) names: Vec<String>,
    columns: Vec<RosterColumn>,
    places: BTreeMap<String, usize>,
    seen: Vec<bool>,
}

impl Keys {
    pub(super) fn of(policy: &RosterPolicy) -> Self {
        let wanted = RosterColumn::ALL.into_iter().filter_map(|column| Some((column, column.header(policy)?.to_owned())));
        let (columns, names): (Vec<RosterColumn>, Vec<String>) = wanted.unzip();
        let places = names.iter().enumerate().map(|(at, name)| (keys::fold(name), at)).collect();
        Self { seen: vec![false; names.len()], names, columns, places }
    }

    /// Columns that must be there and no object has.
    pub(super) fn missing(&self, policy: &RosterPolicy) -> Vec<&str> {
        let every = || self.columns.iter().zip(&self.names).zip(&self.seen);
        let required =
            every().filter(|((column, _), seen)| !**seen && column.is_required(policy)).map(|((_, name), _)| name.as_str());
        let missing: Vec<&str> = required.collect();
        let identifying = [RosterColumn::PersonId, RosterColumn::Number, RosterColumn::Mail, RosterColumn::Login];
        let any = every().any(|((column, _), seen)| *seen && identifying.contains(column));
        let number = || every().find(|((column, _), _)| **column == RosterColumn::Number).map(|((_, name), _)| name.as_str());
        if missing.is_empty() && !any { number().into_iter().collect() } else { missing }
    }
}

/// Reads a file's lines.
pub(super) struct Lines<R> {
    below: BufReader<R>,
    buffer: Vec<u8>,
    line: u64,
}

impl<R: Read> Lines<R> {
    pub(super) fn new(below: R) -> Self {
        Self { below: BufReader::new(below), buffer: Vec::new(), line: 0 }
    }

    /// The text so far ends in the middle of a line, though it has several.
    pub(super) fn ends_within_a_line(&self) -> bool {
        self.line > 1 && self.buffer.last().is_some_and(|byte| *byte != b'\n')
    }

    /// The next object's fields and line; `None` at the end. Empty lines are passed over.
    pub(super) fn next(&mut self, keys: &mut Keys, fields: &mut Vec<String>) -> Result<Option<u64>, Failed> {
        loop {
            let mut buffer = Vec::new();
            let read = (&mut self.below).take(LINE_BYTES + 1).read_until(b'\n', &mut buffer).map_err(Failed::Below)?;
            if read == 0 {
                return Ok(None);
            }
            self.buffer = buffer;
            self.line += 1;
            let line = self.line;
            let broken = |what: String| Failed::Line(BrokenLine { line, what });
            if u64::try_from(read).unwrap_or(u64::MAX) > LINE_BYTES {
                return Err(broken("is longer than any: this is no roster".to_owned()));
            }
            let text = self.buffer.trim_ascii();
            if text.is_empty() {
                continue;
            }
            if line == 1 && text.starts_with(b"[") {
                return Err(broken("begins an array; write one object a line (jq -c '.[]')".to_owned()));
            }
            fields.clear();
            fields.resize(keys.names.len(), String::new());
            let mut taken = vec![false; keys.names.len()];
            let mut json = serde_json::Deserializer::from_slice(text);
            let object = Object { keys, fields, taken: &mut taken };
            object.deserialize(&mut json).and_then(|()| json.end()).map_err(|error| {
                // The error's own place counts lines of this text, which is one.
                let words = error.to_string();
                let words = words.rsplit_once(" at line ").map_or(words.as_str(), |(words, _)| words);
                broken(format!("is no object of a roster: {words} (column {})", error.column()))
            })?;
            keys.seen.iter_mut().zip(taken).for_each(|(seen, taken)| *seen |= taken);
            return Ok(Some(line));
        }
    }
}

/// Takes the wanted values out of an object.
struct Object<'a> {
    keys: &'a Keys,
    fields: &'a mut Vec<String>,
    taken: &'a mut Vec<bool>,
}

impl<'de> DeserializeSeed<'de> for Object<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Object<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        use serde::de::Error as _;
        while let Some(key) = map.next_key::<String>()? {
            let Some(place) = self.keys.places.get(&keys::fold(&key)) else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let (Some(field), Some(taken)) = (self.fields.get_mut(*place), self.taken.get_mut(*place)) else { continue };
            if std::mem::replace(taken, true) {
                return Err(A::Error::custom(format_args!("the key '{key}' stands there twice")));
            }
            *field = map.next_value_seed(Text(&key))?;
        }
        Ok(())
    }
}

/// A value as text: numbers and truth values as they are written, nothing for null.
struct Text<'a>(&'a str);

impl<'de> DeserializeSeed<'de> for Text<'_> {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Text<'_> {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a text, a whole number or null for '{}'", self.0)
    }

    fn visit_str<E>(self, text: &str) -> Result<String, E> {
        Ok(text.to_owned())
    }

    fn visit_u64<E>(self, number: u64) -> Result<String, E> {
        Ok(number.to_string())
    }

    fn visit_i64<E>(self, number: i64) -> Result<String, E> {
        Ok(number.to_string())
    }

    fn visit_bool<E>(self, value: bool) -> Result<String, E> {
        Ok(value.to_string())
    }

    fn visit_unit<E>(self) -> Result<String, E> {
        Ok(String::new())
    }
}
