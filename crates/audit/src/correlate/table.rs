//! Rows by the hash of a key.

/// Pairs of (hash, row), sorted once and then searched. 16 bytes a pair.
#[derive(Clone, Debug, Default)]
pub struct KeyTable {
    pairs: Vec<(u64, u32)>,
}

impl KeyTable {
    /// Takes one pair down; to be found only after [`KeyTable::seal`].
    pub fn insert(&mut self, hash: u64, row: u32) {
        self.pairs.push((hash, row));
    }

    /// Sorts what was taken down.
    pub fn seal(&mut self) {
        self.pairs.sort_unstable();
        self.pairs.dedup();
        self.pairs.shrink_to_fit();
    }

    /// The rows with this hash, in order.
    pub fn get(&self, hash: u64) -> impl Iterator<Item = u32> + '_ {
        let from = self.pairs.partition_point(|(h, _)| *h < hash);
        self.pairs.iter().skip(from).take_while(move |(h, _)| *h == hash).map(|(_, row)| *row)
    }

    /// Whether any row has this hash.
    pub fn contains(&self, hash: u64) -> bool {
        self.get(hash).next().is_some()
    }
}
