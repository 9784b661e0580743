//! Rows by the hash of a key.

use untether_model::hashed::first_at;

/// Pairs of hash and row, sorted once and then searched. 12 bytes a pair: the hash's halves, the row.
#[derive(Clone, Debug, Default)]
pub struct KeyTable {
    pairs: Vec<[u32; 3]>,
}

fn whole((upper, lower): (u32, u32)) -> u64 {
    (u64::from(upper) << 32) | u64::from(lower)
}

/// The upper and the lower half.
fn halves(hash: u64) -> (u32, u32) {
    let half = |part: u64| u32::try_from(part & u64::from(u32::MAX)).unwrap_or_default();
    (half(hash >> 32), half(hash))
}

impl KeyTable {
    /// Takes one pair down; to be found only after [`KeyTable::seal`].
    pub fn insert(&mut self, hash: u64, row: u32) {
        let (upper, lower) = halves(hash);
        self.pairs.push([upper, lower, row]);
    }

    /// Sorts what was taken down.
    pub fn seal(&mut self) {
        self.pairs.sort_unstable();
        self.pairs.dedup();
        self.pairs.shrink_to_fit();
    }

    /// The rows with this hash, in order.
    pub fn get(&self, hash: u64) -> impl Iterator<Item = u32> + '_ {
        let of = |[upper, lower, _]: &[u32; 3]| whole((*upper, *lower));
        let from = first_at(&self.pairs, hash, of);
        self.pairs.iter().skip(from).take_while(move |pair| of(pair) == hash).map(|[_, _, row]| *row)
    }

    /// Whether any row has this hash.
    pub fn contains(&self, hash: u64) -> bool {
        self.get(hash).next().is_some()
    }
}
