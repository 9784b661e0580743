//! Rows by the hash of a key. A hit is compared with the key itself, so that a hash that two keys share does no harm.

use std::hash::{DefaultHasher, Hash, Hasher as _};

use super::rows::{RowView, Rows};
use crate::hashed::first_at;
use crate::keys;

/// How a row is found: eight bytes a row that has the key.
#[derive(Clone, Debug, Default)]
pub(super) struct Index(Vec<(u32, u32)>);

/// A row's comparable form of something that people are known by.
pub(super) type KeyOf = fn(&RowView<'_>) -> Option<String>;

impl Index {
    /// Of all rows that have the key.
    pub(super) fn of(rows: &Rows, key: KeyOf) -> Self {
        Self::of_some(rows, key, |_| true)
    }

    /// Of these rows, where they have the key.
    pub(super) fn of_some(rows: &Rows, key: KeyOf, wanted: impl Fn(&RowView<'_>) -> bool) -> Self {
        let hashed = |row: RowView<'_>| Some((hash(&key(&row).filter(|_| wanted(&row))?), row.ix().0));
        let mut entries: Vec<(u32, u32)> = rows.iter().filter_map(hashed).collect();
        entries.sort_unstable();
        entries.shrink_to_fit();
        Self(entries)
    }

    /// Bytes that it takes in memory.
    pub(super) fn memory_bytes(&self) -> usize {
        self.0.capacity() * size_of::<(u32, u32)>()
    }

    /// Rows whose key has the hash of this one, in order.
    pub(super) fn rows(&self, key: &str) -> impl Iterator<Item = u32> {
        let wanted = hash(key);
        let from = first_at(&self.0, u64::from(wanted) << 32, |(h, _)| u64::from(*h) << 32);
        self.0.iter().skip(from).take_while(move |(h, _)| *h == wanted).map(|(_, row)| *row)
    }

    /// Rows that share a key with others, key by key in the order of hashes.
    pub(super) fn shared<'a>(&'a self, rows: &'a Rows, key: KeyOf) -> impl Iterator<Item = (String, Vec<usize>)> + 'a {
        let alike = self.0.chunk_by(|a, b| a.0 == b.0).filter(|chunk| chunk.len() > 1);
        alike.flat_map(move |chunk| {
            let mut keyed: Vec<(String, usize)> = chunk
                .iter()
                .filter_map(|(_, row)| usize::try_from(*row).ok())
                .filter_map(|row| Some((key(&rows.get(row)?)?, row)))
                .collect();
            keyed.sort_unstable();
            let groups = keyed.chunk_by(|a, b| a.0 == b.0).filter(|group| group.len() > 1);
            let named = |group: &[(String, usize)]| Some((group.first()?.0.clone(), group.iter().map(|(_, row)| *row).collect()));
            groups.filter_map(named).collect::<Vec<_>>()
        })
    }
}

/// Half of the hash: of a million keys some hundred share one.
fn hash(key: &str) -> u32 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    u32::try_from(hasher.finish() >> 32).unwrap_or_default()
}

pub(super) fn person_id_key(row: &RowView<'_>) -> Option<String> {
    row.person_id().and_then(keys::login)
}

pub(super) fn number_key(row: &RowView<'_>) -> Option<String> {
    row.number().and_then(keys::number)
}

pub(super) fn previous_key(row: &RowView<'_>) -> Option<String> {
    row.previous_number().and_then(keys::number)
}

pub(super) fn mail_key(row: &RowView<'_>) -> Option<String> {
    row.mail().and_then(keys::mail)
}

pub(super) fn login_key(row: &RowView<'_>) -> Option<String> {
    row.login().and_then(keys::login)
}
