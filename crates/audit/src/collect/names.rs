//! A set of names with marks, in 16 bytes a name whatever their lengths: what a store's entries are called is most of what collecting
//! has to remember.
//!
//! A place holds the first 15 bytes of the name's SHA-256, so nobody can make two names collide, and a byte of marks. It knows no
//! servers and not what the marks lead to.

use std::hash::{BuildHasher as _, RandomState};

use untether_model::digest::Digest;
use untether_model::dn::DnKey;
use untether_model::hashed::first_at;

/// An entry of this name exists.
const EXISTS: u128 = 1;
/// It was kept.
const KEPT: u128 = 1 << 1;
/// The number of the reading in which it was met last.
const READING: u128 = 0b1111_1100;
const READING_SHIFT: u32 = 2;
const MARKS: u128 = 0xff;

/// Names with what is known of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    /// Digest and marks; 0 is an empty place. Names lie in the order of their digests, behind one another where they meet.
    places: Vec<u128>,
    used: usize,
    existing: u64,
    /// The reading that goes on.
    reading: u128,
}

/// A name that was met.
#[derive(Debug)]
pub(super) struct Sighting<'a> {
    place: &'a mut u128,
    existing: &'a mut u64,
    again: bool,
}

impl Sighting<'_> {
    /// The same name was met before in this reading.
    pub(super) fn is_again(&self) -> bool {
        self.again
    }

    /// An entry of this name exists.
    pub(super) fn exists(&mut self) {
        *self.existing += u64::from(*self.place & EXISTS == 0);
        *self.place |= EXISTS;
    }

    /// Keeps it; `false` if it was kept before.
    pub(super) fn keep(&mut self) -> bool {
        let first = *self.place & KEPT == 0;
        *self.place |= KEPT;
        first
    }
}

impl Names {
    /// A new reading begins: no name was met in it yet.
    pub(super) fn begin_reading(&mut self) {
        self.reading += 1 << READING_SHIFT;
        if self.reading > READING {
            // Numbers are used again: no name may look as if it was met.
            self.places.iter_mut().for_each(|place| *place &= !READING);
            self.reading = 1 << READING_SHIFT;
        }
    }

    /// Meets a name.
    pub(super) fn sight(&mut self, key: &DnKey) -> Sighting<'_> {
        if self.used * 5 >= self.places.len() * 4 {
            self.grow();
        }
        let digest = shortened(key);
        let at = find(&self.places, digest);
        let place = &mut self.places[at];
        let again = *place != 0 && *place & READING == self.reading && self.reading != 0;
        if *place == 0 {
            self.used += 1;
            *place = digest;
        }
        *place = (*place & !READING) | self.reading;
        Sighting { place, existing: &mut self.existing, again }
    }

    /// Whether somebody said that an entry of this name exists.
    pub(super) fn exists(&self, key: &DnKey) -> bool {
        !self.places.is_empty() && self.places[find(&self.places, shortened(key))] & EXISTS != 0
    }

    /// Of how many names somebody said that.
    pub(super) fn existing(&self) -> u64 {
        self.existing
    }

    /// Half as many places more.
    fn grow(&mut self) {
        let mut places = vec![0; (self.places.len() + self.places.len() / 2).max(64)];
        for place in std::mem::take(&mut self.places).into_iter().filter(|place| *place != 0) {
            let at = find(&places, place & !MARKS);
            places[at] = place;
        }
        self.places = places;
    }
}

/// The names of entries that exist, in 8 bytes a name: what is left of [`Names`] when reading has come to its end. They are hashed with
/// a key that nobody knows, so that nobody can make two names collide here either.
#[derive(Clone, Debug, Default)]
pub(super) struct Existing {
    hashes: Vec<u64>,
    key: RandomState,
}

impl Existing {
    pub(super) fn of(names: &Names) -> Self {
        let key = RandomState::new();
        let mut hashes = Vec::with_capacity(usize::try_from(names.existing).unwrap_or_default());
        let existing = names.places.iter().filter(|place| *place & EXISTS != 0);
        hashes.extend(existing.map(|place| key.hash_one(place & !MARKS)));
        hashes.sort_unstable();
        Self { hashes, key }
    }

    pub(super) fn contains(&self, name: &DnKey) -> bool {
        let wanted = self.key.hash_one(shortened(name));
        self.hashes.get(first_at(&self.hashes, wanted, |hash| *hash)) == Some(&wanted)
    }

    /// How many names.
    pub(super) fn len(&self) -> usize {
        self.hashes.len()
    }
}

/// The digest's first 15 bytes, with no marks. Never 0: that is an empty place.
fn shortened(key: &DnKey) -> u128 {
    let digest = Digest::of(key.as_str().as_bytes());
    let whole = digest.as_bytes().iter().take(16).fold(0u128, |sum, byte| (sum << 8) | u128::from(*byte));
    (whole & !MARKS).max(MARKS + 1)
}

/// Where a digest is, or the empty place where it is to go. A fifth of the places is always empty.
fn find(places: &[u128], digest: u128) -> usize {
    let of = u128::try_from(places.len()).unwrap_or(u128::MAX);
    let first = usize::try_from(((digest >> 64) * of) >> 64).unwrap_or(usize::MAX);
    let (before, from) = places.split_at(first);
    let is_it = |place: &u128| *place == 0 || place & !MARKS == digest;
    match from.iter().position(is_it) {
        Some(at) => first + at,
        None => before.iter().position(is_it).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn key(number: u32) -> DnKey {
        DnKey::from_stored(format!("dc=x\u{1}uid={number}\u{1}"))
    }

    /// Whatever is done to it, it holds what a map of names holds.
    #[test]
    fn it_knows_what_a_map_knows() {
        let mut names = Names::default();
        let mut map: HashMap<u32, (bool, bool, u32)> = HashMap::new();
        let mut state = 1u32;
        for reading in 1..200 {
            names.begin_reading();
            for _ in 0..50 {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let (number, exists, keep) = ((state >> 8) % 3000, state >> 30 & 1 == 1, state >> 29 & 1 == 1);
                let known = map.entry(number).or_default();
                let mut sighting = names.sight(&key(number));
                assert_eq!(sighting.is_again(), known.2 == reading);
                known.2 = reading;
                if exists {
                    sighting.exists();
                    known.0 = true;
                }
                if keep {
                    assert_eq!(sighting.keep(), !known.1);
                    known.1 = true;
                }
            }
        }
        for number in 0..3000 {
            assert_eq!(names.exists(&key(number)), map.get(&number).is_some_and(|known| known.0), "{number}");
        }
        assert_eq!(names.existing(), map.values().filter(|known| known.0).count() as u64);
        let existing = Existing::of(&names);
        assert_eq!(existing.len() as u64, names.existing());
        assert!((0..3000).all(|number| existing.contains(&key(number)) == names.exists(&key(number))));
        assert_eq!(names.used, map.len());
    }

    #[test]
    fn a_name_takes_less_than_32_bytes() {
        let mut names = Names::default();
        assert!(!names.exists(&key(0)));
        for number in 0..100_000 {
            names.sight(&key(number));
            assert!(number < 100 || names.places.len() * 16 < (names.used + 1) * 32);
        }
    }
}
