//! A record while it is read: its values lie in one piece of memory that the next record uses again.
//!
//! A search over an export passes over most entries, so nothing is made of a record before somebody wants it.

use untether_model::{AttrMap, AttrName, Dn, Entry, Value};

use crate::filter::Attributes;

/// Memory that is kept for the next record. One that was larger, a group of many members, gives its own back.
const KEPT_BYTES: usize = 1 << 20;

/// An entry as its lines say it.
#[derive(Debug)]
pub(crate) struct Draft {
    /// The line of its `dn:`, counted from 1.
    pub(super) line: u64,
    /// Its name.
    pub(crate) dn: Dn,
    /// Its length as written, in bytes.
    pub(super) written_bytes: usize,
    /// All values, one behind the other.
    values: Vec<u8>,
    /// Each value's attribute and where it ends, in the order of the lines.
    ends: Vec<(AttrName, usize)>,
}

impl Default for Draft {
    fn default() -> Self {
        Self { line: 0, dn: Dn::root(), written_bytes: 0, values: Vec::new(), ends: Vec::new() }
    }
}

impl Draft {
    /// Begins the next record.
    pub(super) fn begin(&mut self, line: u64, dn: Dn, written_bytes: usize) {
        (self.line, self.dn, self.written_bytes) = (line, dn, written_bytes);
        self.values.clear();
        self.values.shrink_to(KEPT_BYTES);
        self.ends.clear();
        self.ends.shrink_to(KEPT_BYTES / size_of::<(AttrName, usize)>());
    }

    /// Where the bytes of the next value go, behind all that is there.
    pub(super) fn room(&mut self) -> &mut Vec<u8> {
        &mut self.values
    }

    /// Everything that was put behind the last value is a value of this attribute.
    pub(super) fn end_value(&mut self, name: AttrName) {
        self.ends.push((name, self.values.len()));
    }

    fn iter(&self) -> impl Iterator<Item = (&AttrName, &[u8])> {
        let mut start = 0;
        self.ends.iter().map(move |(name, end)| {
            let from = std::mem::replace(&mut start, *end);
            (name, self.values.get(from..*end).unwrap_or_default())
        })
    }

    /// Bytes of all values.
    pub(crate) fn value_bytes(&self) -> usize {
        self.values.len()
    }

    /// Whether the entry is of this object class, compared without case.
    pub(crate) fn is_class(&self, class: &str) -> bool {
        self.iter().any(|(name, value)| name.folded() == "objectclass" && value.eq_ignore_ascii_case(class.as_bytes()))
    }

    /// The entry, with those of its attributes that are wanted.
    pub(crate) fn to_entry(&self, wanted: impl Fn(&AttrName) -> bool) -> Entry {
        let mut attrs = AttrMap::new();
        let mut values = self.iter().peekable();
        while let Some((name, value)) = values.next() {
            let is_wanted = wanted(name);
            // Values of one attribute stand together, as every exporter writes them.
            let mut of_name = is_wanted.then(|| attrs.entry(name.clone()).or_default());
            if let Some(held) = &mut of_name {
                held.push(Value::new(value));
            }
            while let Some((_, value)) = values.next_if(|(next, _)| *next == name) {
                if let Some(held) = &mut of_name {
                    held.push(Value::new(value));
                }
            }
        }
        Entry { dn: self.dn.clone(), attrs }
    }
}

impl Attributes for Draft {
    fn any(&self, attr: &AttrName, test: &mut dyn FnMut(&Value) -> bool) -> bool {
        self.iter().filter(|(name, _)| name.is_covered_by(attr)).any(|(_, value)| test(&Value::new(value)))
    }
}
