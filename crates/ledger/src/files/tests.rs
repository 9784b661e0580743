use super::*;
use crate::keys::KeySort;
use crate::storage::{Disk, MemoryStorage};

/// A state directory in memory, and a key.
struct Place {
    state: StateDir,
    keys: KeyStore,
    id: KeyId,
    key: Key,
    shelf: Shelf,
}

impl Place {
    fn new() -> Self {
        let state = StateDir::create(Disk::new(MemoryStorage::new()), "/state").unwrap();
        let keys = KeyStore::create(&state).unwrap();
        let (id, key) = keys.new_key(KeySort::Snapshot, None).unwrap();
        Self { state, keys, id, key, shelf: Shelf::of(Area::Snapshots) }
    }

    fn publish(&self, content: &[u8], chunk_bytes: usize) -> Published {
        let mut writer = SealedWriter::create_in_chunks(&self.state, &self.shelf, (&self.id, &self.key), chunk_bytes).unwrap();
        writer.write_all(content).unwrap();
        writer.finish().unwrap()
    }

    fn open(&self, published: &Published) -> Result<SealedReader, FileError> {
        SealedReader::open(&self.state, &self.keys, &self.shelf, &published.digest)
    }
}

#[test]
fn files_are_read_whatever_the_size_of_their_chunks() {
    let place = Place::new();
    let content: Vec<u8> = (0..2 * MAX_CHUNK_BYTES + 7).map(|n| u8::try_from(n % 251).unwrap()).collect();
    for chunk_bytes in [1 << 12, CHUNK_BYTES, MAX_CHUNK_BYTES] {
        let published = place.publish(&content, chunk_bytes);
        assert!(*place.open(&published).unwrap().read_all(usize::MAX).unwrap() == content, "{chunk_bytes}");
    }
    let refused = place.open(&place.publish(b"", MAX_CHUNK_BYTES + 1)).unwrap_err();
    assert!(refused.to_string().contains("in a way that this version does not know"), "{refused}");
}

#[test]
fn another_file_in_the_place_of_ones_own_is_told_by_its_content() {
    let place = Place::new();
    let (own, other) = (place.publish(b"own", CHUNK_BYTES), place.publish(b"other", CHUNK_BYTES));
    let read = || SealedReader::open_own(&place.state, &place.keys, &place.shelf, &own)?.read_all(usize::MAX);
    assert_eq!(**read().unwrap(), *b"own");
    // The same content once more is another file of the same name.
    assert_eq!(place.publish(b"own", CHUNK_BYTES).path, own.path);
    assert_eq!(**read().unwrap(), *b"own");
    place.state.disk().rename(&other.path, &own.path).unwrap();
    let refused = read().unwrap_err();
    assert!(refused.to_string().contains("its content is not what its name says"), "{refused}");
}
