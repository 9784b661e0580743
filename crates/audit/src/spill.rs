//! Sorting more records than fit into memory: sorted runs go to a scratch place and are merged on the way out.
//!
//! Where the runs are kept (memory, sealed temporary files) is the caller's business.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::ops::Range;

/// Records of a sorted run, read back in order.
pub type Run<'a, E> = Box<dyn Iterator<Item = Result<Vec<u8>, E>> + 'a>;

/// A place for sorted runs.
pub trait Scratch {
    /// Why a run could not be written or read back.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Keeps one run: records in the order in which they are handed over.
    fn keep(&mut self, records: &mut dyn Iterator<Item = &[u8]>) -> Result<(), Self::Error>;

    /// The kept runs, in the order in which they were kept.
    fn runs<'a>(&'a self) -> Result<Vec<Run<'a, Self::Error>>, Self::Error>;
}

/// Runs in memory.
#[derive(Clone, Debug, Default)]
pub struct MemoryScratch {
    runs: Vec<Vec<Vec<u8>>>,
}

impl Scratch for MemoryScratch {
    type Error = std::convert::Infallible;

    fn keep(&mut self, records: &mut dyn Iterator<Item = &[u8]>) -> Result<(), Self::Error> {
        self.runs.push(records.map(<[u8]>::to_vec).collect());
        Ok(())
    }

    fn runs<'a>(&'a self) -> Result<Vec<Run<'a, Self::Error>>, Self::Error> {
        Ok(self.runs.iter().map(|run| Box::new(run.iter().cloned().map(Ok)) as Run<'a, Self::Error>).collect())
    }
}

/// Records that lie one behind the other, and where: however many there are, they are a few pieces of memory.
#[derive(Debug, Default)]
struct Heaped {
    bytes: Vec<u8>,
    places: Vec<Range<usize>>,
}

impl Heaped {
    fn push(&mut self, key: &[u8], payload: &[u8]) {
        let begin = self.bytes.len();
        let length = u32::try_from(key.len()).unwrap_or(u32::MAX);
        self.bytes.extend_from_slice(&length.to_be_bytes());
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(payload);
        self.places.push(begin..self.bytes.len());
    }

    /// What it takes in memory.
    fn size(&self) -> usize {
        self.bytes.len() + self.places.len() * size_of::<Range<usize>>()
    }

    fn sort(&mut self) {
        let Self { bytes, places } = self;
        places.sort_unstable_by(|a, b| order(record(bytes, a), record(bytes, b)));
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.places.clear();
    }
}

fn record<'b>(bytes: &'b [u8], place: &Range<usize>) -> &'b [u8] {
    bytes.get(place.clone()).unwrap_or_default()
}

/// Takes records with their sort keys in any order; memory is bounded by one run.
pub struct Sorter<'s, S: Scratch> {
    scratch: &'s mut S,
    heaped: Heaped,
    limit_bytes: usize,
}

/// A record that comes out of a sorter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record(Vec<u8>);

impl Record {
    /// What it was sorted by.
    pub fn key(&self) -> &[u8] {
        split(&self.0).0
    }

    /// What was handed over with the key.
    pub fn payload(&self) -> &[u8] {
        split(&self.0).1
    }
}

/// A record is its key's length (four bytes, big endian), the key, the payload; records sort by key, then payload.
fn split(record: &[u8]) -> (&[u8], &[u8]) {
    let Some((head, rest)) = record.split_first_chunk::<4>() else { return (&[], &[]) };
    let length = usize::try_from(u32::from_be_bytes(*head)).unwrap_or(usize::MAX);
    rest.split_at_checked(length).unwrap_or((rest, &[]))
}

fn order(left: &[u8], right: &[u8]) -> Ordering {
    split(left).cmp(&split(right))
}

impl<'s, S: Scratch> Sorter<'s, S> {
    /// A sorter that keeps at most about `limit_bytes` of records in memory.
    pub fn new(scratch: &'s mut S, limit_bytes: usize) -> Self {
        Self { scratch, heaped: Heaped::default(), limit_bytes }
    }

    /// Takes one record.
    pub fn push(&mut self, key: &[u8], payload: &[u8]) -> Result<(), S::Error> {
        self.heaped.push(key, payload);
        match self.heaped.size() > self.limit_bytes {
            true => self.spill(),
            false => Ok(()),
        }
    }

    fn spill(&mut self) -> Result<(), S::Error> {
        self.heaped.sort();
        let Heaped { bytes, places } = &self.heaped;
        self.scratch.keep(&mut places.iter().map(|place| record(bytes, place)))?;
        self.heaped.clear();
        Ok(())
    }

    /// All records in order. What was never spilled is not written to the scratch place.
    pub fn finish(mut self) -> Result<Sorted<'s, S::Error>, S::Error> {
        self.heaped.sort();
        let scratch: &'s S = self.scratch;
        let mut runs = scratch.runs()?;
        let Heaped { bytes, places } = self.heaped;
        runs.push(Box::new(places.into_iter().map(move |place| Ok(record(&bytes, &place).to_vec()))));
        let first = |(run, records): (usize, &mut Run<'s, S::Error>)| {
            records.next().map(|record| record.map(|record| Head { record, run }))
        };
        let heads = runs.iter_mut().enumerate().filter_map(first).collect::<Result<_, _>>()?;
        Ok(Sorted { runs, heads })
    }
}

/// The head of one run; the heap gives the least first.
struct Head {
    record: Vec<u8>,
    run: usize,
}

impl PartialEq for Head {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Head {}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Head {
    fn cmp(&self, other: &Self) -> Ordering {
        order(&other.record, &self.record).then(other.run.cmp(&self.run))
    }
}

/// Sorted records.
pub struct Sorted<'a, E> {
    runs: Vec<Run<'a, E>>,
    heads: BinaryHeap<Head>,
}

impl<E> Iterator for Sorted<'_, E> {
    type Item = Result<Record, E>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut head = self.heads.peek_mut()?;
        Some(match self.runs.get_mut(head.run).and_then(Iterator::next).transpose() {
            Ok(Some(record)) => Ok(Record(std::mem::replace(&mut head.record, record))),
            Ok(None) => Ok(Record(PeekMut::pop(head).record)),
            Err(error) => Err(error),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_out_in_order_whether_they_were_spilled_or_not() {
        for limit in [0, 100, 1 << 20] {
            let mut scratch = MemoryScratch::default();
            let mut sorter = Sorter::new(&mut scratch, limit);
            for n in [5u8, 1, 4, 1, 9, 0] {
                sorter.push(&[n], &[n, n]).unwrap();
            }
            let keys: Vec<u8> = sorter.finish().unwrap().map(|r| r.unwrap().key()[0]).collect();
            assert_eq!(keys, [0, 1, 1, 4, 5, 9], "limit {limit}");
        }
    }
}
