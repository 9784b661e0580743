//! Files of the data directory: each is written front to back, buffered, and counted.

use super::Error;
use serde::Serialize;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// One file in the making.
pub(super) struct Output {
    path: PathBuf,
    name: &'static str,
    file: BufWriter<File>,
    /// Entries or records so far.
    pub entries: u64,
}

impl Output {
    /// Makes (or empties) a file; `mode` as for open(2).
    pub(super) fn create(directory: &Path, name: &'static str, mode: u32) -> Result<Self, Error> {
        let path = directory.join(name);
        // An older file keeps its mode when it is opened for writing, so it goes first.
        remove(directory, name)?;
        let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&path);
        match file {
            Ok(file) => Ok(Self { path, name, file: BufWriter::with_capacity(1 << 16, file), entries: 0 }),
            Err(source) => Err(Error::Write { path, source }),
        }
    }

    /// Writes with `write`, naming the file where that fails.
    pub(super) fn write(&mut self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), Error> {
        write(&mut self.file).map_err(|source| Error::Write { path: self.path.clone(), source })
    }

    /// Writes text as it is.
    pub(super) fn text(&mut self, text: &str) -> Result<(), Error> {
        self.write(|out| out.write_all(text.as_bytes()))
    }

    /// Writes one JSON object and a line end, and counts it.
    pub(super) fn json(&mut self, value: &impl Serialize) -> Result<(), Error> {
        self.entries += 1;
        let line = serde_json::to_string(value).map_err(|source| Error::Json { file: self.name, source })?;
        self.write(|out| writeln!(out, "{line}"))
    }

    /// Writes out what is buffered; without it errors of the last bytes would go unseen.
    pub(super) fn finish(mut self) -> Result<u64, Error> {
        self.write(|out| out.flush())?;
        Ok(self.entries)
    }
}

/// Removes a file that an earlier run may have left.
pub(super) fn remove(directory: &Path, name: &str) -> Result<(), Error> {
    let path = directory.join(name);
    match std::fs::remove_file(&path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(Error::Write { path, source }),
    }
}
