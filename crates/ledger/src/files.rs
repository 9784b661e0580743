//! Sealed files: immutable, compressed, content-addressed, published as a whole.
//!
//! ```text
//! magic    8 bytes, "UNTSEAL1"
//! length   u32, little-endian: bytes of the header
//! header   JSON: {"key":"<id of the key>","area":"snapshots","codec":"lz4-block","chunk_bytes":131072}
//! prefix   19 random bytes
//! chunks   each: length (u32, little-endian), ciphertext with its 16-byte tag
//! ```
//!
//! A chunk is XChaCha20-Poly1305 under nonce `prefix ‖ u32be(number from 0) ‖ last` (`last` is 1 for the file's last chunk, else
//! 0), with everything before the first chunk as additional data: a file that was cut off, also between chunks, does not open. Its
//! plain text is `u32le(plain length) ‖ one LZ4 block`. All chunks but the last hold `chunk_bytes` of content; the last one holds
//! fewer, and may be empty. The file's name is the SHA-256 of the content.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use chacha20poly1305::aead::AeadInOut as _;
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use serde::{Deserialize, Serialize};
use untether_model::digest::{Digest, Hasher};
use zeroize::Zeroizing;

use crate::error::{LedgerError, StorageError};
use crate::keys::{KeyError, KeyId, KeyStore};
use crate::seal::{Key, SealError};
use crate::state_dir::{Area, StateDir};
use crate::storage::{DiskFile, Open};

const MAGIC: &[u8; 8] = b"UNTSEAL1";
const CODEC: &str = "lz4-block";
const PREFIX_BYTES: usize = 19;
const TAG_BYTES: usize = 16;

/// Content in a chunk that is written: small enough to stay in a core's cache while it is hashed, packed and sealed, and for many files
/// to be merged at once.
pub const CHUNK_BYTES: usize = 128 << 10;

/// Content in a chunk that is read, at most; earlier versions wrote as much.
const MAX_CHUNK_BYTES: usize = 1 << 20;

/// Upper bound of a header that is read.
const MAX_HEADER_BYTES: u32 = 4096;

/// Where sealed files of one sort lie: an area, or the part of it that belongs to one wave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shelf {
    area: Area,
    within: Option<KeyId>,
}

impl Shelf {
    /// The area itself.
    pub fn of(area: Area) -> Self {
        Self { area, within: None }
    }

    /// The part of an area that is sealed with this key, and goes with it.
    pub fn within(area: Area, key: &KeyId) -> Self {
        Self { area, within: Some(key.clone()) }
    }

    /// Its directory.
    pub fn dir(&self, state: &StateDir) -> PathBuf {
        let area = state.area(self.area);
        match &self.within {
            Some(key) => area.join(key.as_str()),
            None => area,
        }
    }

    /// Where the file with this content is, if it exists.
    pub fn path(&self, state: &StateDir, digest: &Digest) -> PathBuf {
        self.dir(state).join(digest.to_hex())
    }

    /// Whether there is a file with this content.
    pub fn has(&self, state: &StateDir, digest: &Digest) -> Result<bool, FileError> {
        Ok(state.disk().exists(&self.path(state, digest))?)
    }

    /// The digests of all files, sorted.
    pub fn list(&self, state: &StateDir) -> Result<Vec<Digest>, FileError> {
        let dir = self.dir(state);
        if !state.disk().exists(&dir)? {
            return Ok(Vec::new());
        }
        Ok(state.disk().list(&dir)?.iter().filter_map(|name| Digest::from_hex(name)).collect())
    }

    /// Removes a file, durably; `false` where there is none. Its content is gone only when its key is destroyed.
    pub fn remove(&self, state: &StateDir, digest: &Digest) -> Result<bool, FileError> {
        let path = self.path(state, digest);
        if !state.disk().exists(&path)? {
            return Ok(false);
        }
        state.disk().remove(&path)?;
        state.disk().sync_dir(&self.dir(state))?;
        Ok(true)
    }

    /// Makes all files durable that were finished with [`SealedWriter::finish_unsynced`].
    pub fn sync(&self, state: &StateDir) -> Result<(), FileError> {
        Ok(state.disk().sync_everything(&self.dir(state))?)
    }

    /// Removes what writers of processes that no longer run left unfinished; gives how many files that were.
    pub fn sweep(&self, state: &StateDir, is_running: impl Fn(u32) -> bool) -> Result<u64, FileError> {
        let dir = self.dir(state);
        let mut removed = 0;
        for name in state.disk().list(&dir)? {
            let pid = name.strip_prefix(UNFINISHED).and_then(|rest| rest.split('-').next()).and_then(|pid| pid.parse().ok());
            if pid.is_some_and(|pid| !is_running(pid)) {
                state.disk().remove(&dir.join(name))?;
                removed += 1;
            }
        }
        Ok(removed)
    }
}

/// How the names of unfinished files begin; the process's id follows.
const UNFINISHED: &str = ".unfinished-";

/// Why a sealed file cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The system refused a file operation.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// Its key cannot be had.
    #[error("cannot open '{}'", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: KeyError,
    },
    /// No random bytes, or too large.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// There is no such file.
    #[error("'{}' is not there", .0.display())]
    Missing(PathBuf),
    /// The file is not what was written.
    #[error("'{}' is damaged: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: &'static str,
    },
}

impl FileError {
    /// The file is not there, or its key is not: it has to be made again, or was forgotten.
    pub fn is_gone(&self) -> bool {
        matches!(self, Self::Missing(_) | Self::Key { source: KeyError::Gone(_), .. })
    }

    /// A person must look at the state directory.
    pub fn is_state(&self) -> bool {
        match self {
            Self::Damaged { .. } => true,
            Self::Key { source: KeyError::State(error), .. } => LedgerError::is_state(error),
            Self::Storage(_) | Self::Key { .. } | Self::Seal(_) | Self::Missing(_) => false,
        }
    }
}

impl From<FileError> for io::Error {
    fn from(error: FileError) -> Self {
        let kind = match &error {
            FileError::Storage(storage) => storage.source.kind(),
            FileError::Missing(_) => io::ErrorKind::NotFound,
            FileError::Key { .. } | FileError::Seal(_) | FileError::Damaged { .. } => io::ErrorKind::InvalidData,
        };
        Self::new(kind, error)
    }
}

#[derive(Serialize, Deserialize)]
struct Header {
    key: KeyId,
    area: String,
    codec: String,
    chunk_bytes: usize,
}

/// A file that was published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// SHA-256 of its content, which is also its name.
    pub digest: Digest,
    /// Bytes of content.
    pub plain_bytes: u64,
    /// Bytes of the file.
    pub file_bytes: u64,
    /// The key that seals it.
    pub key: KeyId,
    /// Where it is.
    pub path: PathBuf,
    /// What its chunks are bound to.
    prefix: [u8; PREFIX_BYTES],
}

/// Writes a sealed file. Nothing is to be seen of it until it is finished; dropped before, it leaves nothing behind.
pub struct SealedWriter {
    state: StateDir,
    shelf: Shelf,
    key: KeyId,
    file: Option<DiskFile>,
    temporary: PathBuf,
    chunks: Chunks,
    hasher: Hasher,
    chunk_bytes: usize,
    content: Zeroizing<Vec<u8>>,
    sealed: Vec<u8>,
    plain_bytes: u64,
    file_bytes: u64,
}

struct Chunks {
    cipher: XChaCha20Poly1305,
    /// Everything before the first chunk.
    head: Vec<u8>,
    prefix: [u8; PREFIX_BYTES],
    number: u32,
}

impl Chunks {
    fn nonce(&mut self, last: bool) -> Option<XNonce> {
        let number = self.number.to_be_bytes();
        self.number = self.number.checked_add(1)?;
        let mut nonce = [0u8; 24];
        let parts = self.prefix.iter().chain(&number).copied().chain([u8::from(last)]);
        nonce.iter_mut().zip(parts).for_each(|(to, byte)| *to = byte);
        Some(nonce.into())
    }
}

impl std::fmt::Debug for SealedWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SealedWriter").field("file", &self.temporary).finish_non_exhaustive()
    }
}

impl SealedWriter {
    /// Begins a file on a shelf, sealed with this key.
    pub fn create(state: &StateDir, shelf: &Shelf, id: &KeyId, key: &Key) -> Result<Self, FileError> {
        Self::create_in_chunks(state, shelf, (id, key), CHUNK_BYTES)
    }

    fn create_in_chunks(
        state: &StateDir,
        shelf: &Shelf,
        (id, key): (&KeyId, &Key),
        chunk_bytes: usize,
    ) -> Result<Self, FileError> {
        let header = Header { key: id.clone(), area: shelf.area.as_str().to_owned(), codec: CODEC.to_owned(), chunk_bytes };
        let header = serde_json::to_vec(&header).map_err(|_| SealError::TooLarge)?;
        let mut random = [0u8; PREFIX_BYTES + 8];
        getrandom::fill(&mut random).map_err(SealError::Random)?;
        let mut prefix = [0u8; PREFIX_BYTES];
        prefix.iter_mut().zip(&random).for_each(|(to, byte)| *to = *byte);
        let mut head = MAGIC.to_vec();
        head.extend_from_slice(&u32::try_from(header.len()).unwrap_or(u32::MAX).to_le_bytes());
        head.extend_from_slice(&header);
        head.extend_from_slice(&prefix);

        let dir = shelf.dir(state);
        state.disk().ensure_dir(&dir)?;
        let unique = data_encoding::HEXLOWER.encode(random.get(PREFIX_BYTES..).unwrap_or_default());
        let temporary = dir.join(format!("{UNFINISHED}{}-{unique}", std::process::id()));
        let mut file = state.disk().open(&temporary, Open::Create)?;
        file.append(&head)?;
        Ok(Self {
            state: state.clone(),
            shelf: shelf.clone(),
            key: id.clone(),
            file: Some(file),
            temporary,
            file_bytes: head.len() as u64,
            chunks: Chunks { cipher: key.cipher(), head, prefix, number: 0 },
            hasher: Hasher::new(),
            chunk_bytes,
            content: Zeroizing::new(Vec::with_capacity(chunk_bytes)),
            sealed: Vec::new(),
            plain_bytes: 0,
        })
    }

    /// Makes the file durable and publishes it under its digest.
    pub fn finish(self) -> Result<Published, FileError> {
        self.publish(true)
    }

    /// Publishes the file without making it durable: for many small files, made durable together by [`Shelf::sync`] before
    /// anything refers to them.
    pub fn finish_unsynced(self) -> Result<Published, FileError> {
        self.publish(false)
    }

    fn publish(mut self, sync: bool) -> Result<Published, FileError> {
        self.put_chunk(true)?;
        if sync && let Some(file) = &mut self.file {
            file.sync()?;
        }
        let digest = std::mem::take(&mut self.hasher).finish();
        let path = self.shelf.path(&self.state, &digest);
        self.state.disk().rename(&self.temporary, &path)?;
        self.file = None;
        if sync {
            self.state.disk().sync_dir(&self.shelf.dir(&self.state))?;
        }
        Ok(Published {
            digest,
            plain_bytes: self.plain_bytes,
            file_bytes: self.file_bytes,
            key: self.key.clone(),
            path,
            prefix: self.chunks.prefix,
        })
    }

    /// Compresses, seals and writes what is gathered.
    fn put_chunk(&mut self, last: bool) -> Result<(), FileError> {
        let Some(file) = &mut self.file else { return Ok(()) };
        self.hasher.update(&self.content);
        self.plain_bytes += self.content.len() as u64;
        let plain = u32::try_from(self.content.len()).map_err(|_| SealError::TooLarge)?;
        self.sealed.clear();
        self.sealed.extend_from_slice(&plain.to_le_bytes());
        self.sealed.resize(4 + lz4_flex::block::get_maximum_output_size(self.content.len()), 0);
        let room = self.sealed.get_mut(4..).unwrap_or_default();
        let packed = lz4_flex::block::compress_into(&self.content, room).map_err(|_| SealError::TooLarge)?;
        self.sealed.truncate(4 + packed);
        self.content.clear();
        let nonce = self.chunks.nonce(last).ok_or(SealError::TooLarge)?;
        let Chunks { cipher, head, .. } = &self.chunks;
        cipher.encrypt_in_place(&nonce, head, &mut self.sealed).map_err(|_| SealError::TooLarge)?;
        let length = u32::try_from(self.sealed.len()).map_err(|_| SealError::TooLarge)?;
        file.append(&length.to_le_bytes())?;
        file.append(&self.sealed)?;
        self.file_bytes += 4 + u64::from(length);
        Ok(())
    }
}

impl Write for SealedWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.content.len() == self.chunk_bytes {
            self.put_chunk(false)?;
        }
        let taken = bytes.len().min(self.chunk_bytes - self.content.len());
        self.content.extend_from_slice(bytes.get(..taken).unwrap_or_default());
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for SealedWriter {
    fn drop(&mut self) {
        if self.file.take().is_some() {
            // Whoever drops it has an error to report already; what is left is swept up later.
            let _ = self.state.disk().remove(&self.temporary);
        }
    }
}

/// Reads a sealed file. Each chunk is authentic when it is handed out; that the whole is the file asked for is known at its end,
/// which is an error otherwise.
pub struct SealedReader {
    file: DiskFile,
    key: KeyId,
    chunks: Chunks,
    offset: u64,
    length: u64,
    chunk_bytes: usize,
    content: Zeroizing<Vec<u8>>,
    used: usize,
    sealed: Vec<u8>,
    /// `None` where the content is known without it.
    hasher: Option<Hasher>,
    expected: Digest,
    ended: bool,
}

impl std::fmt::Debug for SealedReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SealedReader").field("file", &self.file.path()).finish_non_exhaustive()
    }
}

impl SealedReader {
    /// Opens the file with this content; its key is looked up by the id in its header.
    pub fn open(state: &StateDir, keys: &KeyStore, shelf: &Shelf, digest: &Digest) -> Result<Self, FileError> {
        let path = shelf.path(state, digest);
        let damaged = |reason| FileError::Damaged { path: path.clone(), reason };
        let Some(file) = state.disk().open_if_there(&path)? else { return Err(FileError::Missing(path)) };
        let (header, head) = read_header(&file)?;
        if header.area != shelf.area.as_str() {
            return Err(damaged("it was made for another directory"));
        }
        if header.codec != CODEC || !(1..=MAX_CHUNK_BYTES).contains(&header.chunk_bytes) {
            return Err(damaged("it was written in a way that this version does not know"));
        }
        let key = keys.key(&header.key).map_err(|source| FileError::Key { path: path.clone(), source })?;
        let mut prefix = [0u8; PREFIX_BYTES];
        let at = head.len().saturating_sub(PREFIX_BYTES);
        prefix.iter_mut().zip(head.get(at..).unwrap_or_default()).for_each(|(to, byte)| *to = *byte);
        Ok(Self {
            offset: head.len() as u64,
            length: file.length()?,
            chunk_bytes: header.chunk_bytes,
            file,
            key: header.key,
            chunks: Chunks { cipher: key.cipher(), head, prefix, number: 0 },
            content: Zeroizing::new(Vec::new()),
            used: 0,
            sealed: Vec::new(),
            hasher: Some(Hasher::new()),
            expected: *digest,
            ended: false,
        })
    }

    /// Opens a file that whoever asks has just written. Its chunks are authentic under a random prefix that no other file has, so where it
    /// is still that very file its content is not hashed once more.
    pub fn open_own(state: &StateDir, keys: &KeyStore, shelf: &Shelf, published: &Published) -> Result<Self, FileError> {
        let mut reader = Self::open(state, keys, shelf, &published.digest)?;
        if reader.chunks.prefix == published.prefix {
            reader.hasher = None;
        }
        Ok(reader)
    }

    /// The id of the key that seals a file, without opening it.
    pub fn key_of(state: &StateDir, shelf: &Shelf, digest: &Digest) -> Result<KeyId, FileError> {
        let path = shelf.path(state, digest);
        let Some(file) = state.disk().open_if_there(&path)? else { return Err(FileError::Missing(path)) };
        Ok(read_header(&file)?.0.key)
    }

    /// The id of the key that seals this file.
    pub fn key(&self) -> &KeyId {
        &self.key
    }

    /// The whole content, checked; refused where it has more bytes than `limit_bytes`.
    pub fn read_all(mut self, limit_bytes: usize) -> Result<Zeroizing<Vec<u8>>, FileError> {
        let mut all = Zeroizing::new(Vec::new());
        while self.next_chunk()? {
            if all.len() + self.content.len() > limit_bytes {
                return Err(self.damaged("it is larger than anything of its sort"));
            }
            all.extend_from_slice(&self.content);
        }
        Ok(all)
    }

    /// Opens the next chunk; `false` at the end, where the digest has been checked.
    fn next_chunk(&mut self) -> Result<bool, FileError> {
        self.content.clear();
        self.used = 0;
        if self.ended {
            return Ok(false);
        }
        let mut length = [0u8; 4];
        if self.file.read_at(self.offset, &mut length)? < length.len() {
            return Err(self.damaged("it is cut off"));
        }
        let bytes = u32::from_le_bytes(length) as usize;
        let most = 4 + lz4_flex::block::get_maximum_output_size(self.chunk_bytes) + TAG_BYTES;
        if !(4 + TAG_BYTES..=most).contains(&bytes) {
            return Err(self.damaged("a chunk cannot have the length that is written"));
        }
        self.sealed.resize(bytes, 0);
        if self.file.read_at(self.offset + 4, &mut self.sealed)? < bytes {
            return Err(self.damaged("it is cut off"));
        }
        self.offset += 4 + bytes as u64;
        self.ended = self.offset == self.length;
        let Some(nonce) = self.chunks.nonce(self.ended) else { return Err(self.damaged("it is too long")) };
        let Chunks { cipher, head, .. } = &self.chunks;
        if cipher.decrypt_in_place(&nonce, head, &mut self.sealed).is_err() {
            return Err(self.damaged("a chunk is not authentic: it was changed, or the file is cut off"));
        }
        let Some((plain, packed)) = self.sealed.split_first_chunk::<4>() else {
            return Err(self.damaged("a chunk is too short"));
        };
        let plain = u32::from_le_bytes(*plain) as usize;
        if plain > self.chunk_bytes {
            return Err(self.damaged("a chunk is too long"));
        }
        self.content.resize(plain, 0);
        match lz4_flex::block::decompress_into(packed, &mut self.content) {
            Ok(unpacked) if unpacked == plain => {}
            Ok(_) | Err(_) => return Err(self.damaged("a chunk does not unpack")),
        }
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&self.content);
        }
        if self.ended && self.hasher.take().is_some_and(|hasher| hasher.finish() != self.expected) {
            return Err(self.damaged("its content is not what its name says"));
        }
        Ok(true)
    }

    fn damaged(&self, reason: &'static str) -> FileError {
        FileError::Damaged { path: self.file.path().to_path_buf(), reason }
    }
}

/// The header, and everything before the first chunk.
fn read_header(file: &DiskFile) -> Result<(Header, Vec<u8>), FileError> {
    let path: &Path = file.path();
    let damaged = |reason| FileError::Damaged { path: path.to_path_buf(), reason };
    let mut fixed = [0u8; 12];
    if file.read_at(0, &mut fixed)? < fixed.len() {
        return Err(damaged("it is cut off"));
    }
    let (magic, length) = fixed.split_at(MAGIC.len());
    if magic != MAGIC {
        return Err(damaged("it is not a sealed file of this version"));
    }
    let length = u32::from_le_bytes(length.try_into().unwrap_or_default());
    if length > MAX_HEADER_BYTES {
        return Err(damaged("its header is too long"));
    }
    let mut head = vec![0; fixed.len() + length as usize + PREFIX_BYTES];
    if file.read_at(0, &mut head)? < head.len() {
        return Err(damaged("it is cut off"));
    }
    let json = head.get(fixed.len()..head.len() - PREFIX_BYTES).unwrap_or_default();
    let header = serde_json::from_slice(json).map_err(|_| damaged("its header is not readable"))?;
    Ok((header, head))
}

impl Read for SealedReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.used == self.content.len() {
            if !self.next_chunk()? {
                return Ok(0);
            }
        }
        let mut rest = self.content.get(self.used..).unwrap_or_default();
        let taken = rest.read(buffer)?;
        self.used += taken;
        Ok(taken)
    }
}

#[cfg(test)]
mod tests;
