//! Sealed files: whole or not there, and no byte of them can be changed.

use std::io::{Read as _, Write as _};

use untether_ledger::files::{CHUNK_BYTES, FileError};
use untether_ledger::keys::KeySort;
use untether_ledger::storage::{Crash, Fault};
use untether_ledger::{
    Area, Disk, JsonLinesReader, JsonLinesWriter, KeyStore, MemoryStorage, RecordReader, RecordWriter, SealedReader,
    SealedWriter, Shelf, StateDir,
};
use untether_model::digest::Digest;

struct Vault {
    storage: MemoryStorage,
    state: StateDir,
    keys: KeyStore,
    shelf: Shelf,
}

impl Vault {
    fn new() -> Self {
        let storage = MemoryStorage::new();
        let state = StateDir::create(Disk::new(storage.clone()), "/state").unwrap();
        let keys = KeyStore::create(&state).unwrap();
        Self { storage, state, keys, shelf: Shelf::of(Area::Snapshots) }
    }

    fn writer(&self) -> SealedWriter {
        let (id, key) = self.keys.new_key(KeySort::Snapshot, None).unwrap();
        SealedWriter::create(&self.state, &self.shelf, &id, &key).unwrap()
    }

    fn put(&self, content: &[u8]) -> Digest {
        let mut writer = self.writer();
        writer.write_all(content).unwrap();
        let published = writer.finish().unwrap();
        assert_eq!(published.digest, Digest::of(content));
        assert_eq!(published.plain_bytes, content.len() as u64);
        published.digest
    }

    fn get(&self, digest: &Digest) -> Result<Vec<u8>, FileError> {
        Ok(SealedReader::open(&self.state, &self.keys, &self.shelf, digest)?.read_all(usize::MAX)?.to_vec())
    }
}

/// Neither all alike nor all different.
fn content(length: usize) -> Vec<u8> {
    (0..length).map(|n| u8::try_from((n * n / 7 + n / 300) % 251).unwrap()).collect()
}

#[test]
fn contents_of_every_length_around_a_chunk_read_back() {
    let vault = Vault::new();
    for length in [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES, 3 * CHUNK_BYTES + 17] {
        let content = content(length);
        let digest = vault.put(&content);
        assert!(vault.get(&digest).unwrap() == content, "{length}");
        let mut read = Vec::new();
        SealedReader::open(&vault.state, &vault.keys, &vault.shelf, &digest).unwrap().read_to_end(&mut read).unwrap();
        assert!(read == content, "{length}");
    }
}

#[test]
fn a_changed_or_cut_off_file_is_refused() {
    let vault = Vault::new();
    let digest = vault.put(b"uid=taro,ou=people");
    let path = vault.shelf.path(&vault.state, &digest);
    let whole = vault.storage.content(&path).unwrap();
    assert!(!whole.windows(4).any(|window| window == b"taro"), "the content is sealed");
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        vault.storage.put(&path, changed);
        assert!(vault.get(&digest).is_err(), "byte {at}");
        vault.storage.put(&path, whole[..at].to_vec());
        assert!(vault.get(&digest).is_err(), "length {at}");
    }
    let mut longer = whole.clone();
    longer.push(0);
    vault.storage.put(&path, longer);
    assert!(vault.get(&digest).is_err());
}

#[test]
fn a_file_cut_off_between_chunks_and_reordered_chunks_are_refused() {
    let vault = Vault::new();
    let digest = vault.put(&content(3 * CHUNK_BYTES + 9));
    let path = vault.shelf.path(&vault.state, &digest);
    let whole = vault.storage.content(&path).unwrap();
    let header = 12 + u32::from_le_bytes(whole[8..12].try_into().unwrap()) as usize + 19;
    let mut starts = vec![header];
    while *starts.last().unwrap() < whole.len() {
        let at = *starts.last().unwrap();
        starts.push(at + 4 + u32::from_le_bytes(whole[at..at + 4].try_into().unwrap()) as usize);
    }
    assert_eq!(starts.len(), 5, "four chunks");
    for end in &starts[..4] {
        vault.storage.put(&path, whole[..*end].to_vec());
        assert!(vault.get(&digest).is_err(), "cut at {end}");
    }
    let swapped = [&whole[..starts[0]], &whole[starts[1]..starts[2]], &whole[starts[0]..starts[1]], &whole[starts[2]..]].concat();
    vault.storage.put(&path, swapped);
    assert!(vault.get(&digest).is_err());
}

#[test]
fn one_file_in_the_place_of_another_is_refused() {
    let vault = Vault::new();
    let (one, two) = (vault.put(b"one"), vault.put(b"two"));
    let other = vault.storage.content(&vault.shelf.path(&vault.state, &two)).unwrap();
    vault.storage.put(&vault.shelf.path(&vault.state, &one), other.clone());
    assert!(matches!(vault.get(&one), Err(FileError::Damaged { reason: "its content is not what its name says", .. })));
    let findings = Shelf::of(Area::Findings);
    vault.storage.put(&findings.path(&vault.state, &two), other);
    assert!(SealedReader::open(&vault.state, &vault.keys, &findings, &two).is_err());
}

#[test]
fn a_destroyed_key_makes_the_file_gone() {
    let vault = Vault::new();
    let digest = vault.put(b"secret");
    let key = SealedReader::key_of(&vault.state, &vault.shelf, &digest).unwrap();
    vault.keys.destroy(&key).unwrap();
    assert!(vault.get(&digest).unwrap_err().is_gone());
    assert_eq!(vault.shelf.list(&vault.state).unwrap(), [digest]);
    assert!(vault.shelf.remove(&vault.state, &digest).unwrap());
    assert!(matches!(vault.get(&digest), Err(FileError::Missing(_))));
    assert!(vault.get(&digest).unwrap_err().is_gone());
}

#[test]
fn nothing_is_to_be_seen_of_a_file_before_it_is_finished() {
    let vault = Vault::new();
    let mut writer = vault.writer();
    writer.write_all(&content(2 * CHUNK_BYTES)).unwrap();
    assert_eq!(vault.shelf.list(&vault.state).unwrap(), []);
    drop(writer);
    assert_eq!(vault.state.disk().list(&vault.shelf.dir(&vault.state)).unwrap(), Vec::<String>::new());
    // A writer that could not tidy up.
    std::mem::forget(vault.writer());
    assert_eq!(vault.shelf.sweep(&vault.state, |pid| pid == std::process::id()).unwrap(), 0);
    assert_eq!(vault.shelf.sweep(&vault.state, |_| false).unwrap(), 1);
    assert_eq!(vault.state.disk().list(&vault.shelf.dir(&vault.state)).unwrap(), Vec::<String>::new());
}

#[test]
fn a_finished_file_survives_power_loss_and_an_unfinished_one_leaves_no_half() {
    let content = content(CHUNK_BYTES + 5);
    for operation in 0..12 {
        let vault = Vault::new();
        let (id, key) = vault.keys.new_key(KeySort::Snapshot, None).unwrap();
        vault.storage.fault_at(vault.storage.operations() + operation, Fault::Dies);
        let written = SealedWriter::create(&vault.state, &vault.shelf, &id, &key).and_then(|mut writer| {
            writer.write_all(&content).map_err(|_| FileError::Damaged { path: "/".into(), reason: "the process died" })?;
            writer.finish()
        });
        vault.storage.crash(Crash::Power);
        let there = vault.get(&Digest::of(&content));
        assert_eq!(there.is_ok(), written.is_ok(), "operation {operation}");
        assert!(there.is_ok_and(|read| read == content) || vault.shelf.list(&vault.state).unwrap().is_empty());
    }
}

#[test]
fn many_small_files_become_durable_together() {
    let vault = Vault::new();
    let (id, key) = vault.keys.new_key(KeySort::Wave, None).unwrap();
    let shelf = Shelf::within(Area::Blobs, &id);
    let mut digests = Vec::new();
    for n in 0..5u8 {
        let mut writer = SealedWriter::create(&vault.state, &shelf, &id, &key).unwrap();
        writer.write_all(&[n; 2000]).unwrap();
        digests.push(writer.finish_unsynced().unwrap().digest);
    }
    shelf.sync(&vault.state).unwrap();
    vault.storage.crash(Crash::Power);
    for digest in &digests {
        SealedReader::open(&vault.state, &vault.keys, &shelf, digest).unwrap().read_all(2000).unwrap();
        assert!(SealedReader::open(&vault.state, &vault.keys, &shelf, digest).unwrap().read_all(1999).is_err());
    }
}

#[test]
fn records_stream_through_sealed_files() {
    let vault = Vault::new();
    let rows: Vec<(u32, String)> = (0..50_000).map(|n| (n, format!("uid=user{n},ou=people,dc=example"))).collect();
    let mut writer = RecordWriter::new(vault.writer());
    rows.iter().for_each(|row| writer.push(row).unwrap());
    let digest = writer.into_inner().finish().unwrap().digest;
    let reader = SealedReader::open(&vault.state, &vault.keys, &vault.shelf, &digest).unwrap();
    let read: Vec<(u32, String)> = RecordReader::new(reader).map(Result::unwrap).collect();
    assert!(read == rows);

    let mut lines = JsonLinesWriter::new(vault.writer());
    rows.iter().for_each(|row| lines.push(row).unwrap());
    let digest = lines.into_inner().finish().unwrap().digest;
    let expected: String = rows.iter().map(|row| serde_json::to_string(row).unwrap() + "\n").collect();
    assert_eq!(digest, Digest::of(expected.as_bytes()), "the digest is over the exact lines");
    let path = vault.shelf.path(&vault.state, &digest);
    let mut damaged = vault.storage.content(&path).unwrap();
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    vault.storage.put(&path, damaged);
    let reader = SealedReader::open(&vault.state, &vault.keys, &vault.shelf, &digest).unwrap();
    let error = JsonLinesReader::<(u32, String), _>::new(reader).find_map(Result::err).unwrap();
    assert!(matches!(error.file_error(), Some(FileError::Damaged { .. })), "{error:?}");
}
