//! The files of an export, and what they say of themselves.

use std::fs::File;
use std::io::{BufReader, ErrorKind};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::ldif::{LdifError, LdifLimits, LdifReader, Met, Trailer};

/// Bytes that are read from a file at once.
const BUFFER: usize = 1 << 18;

/// References that are kept of a file; more are only counted.
const REFERENCES: usize = 1000;

/// A file that is refused as an export.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// It cannot be opened or read.
    #[error("cannot read the export '{}': {source}; check the path and the rights of the file", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It is no LDIF.
    #[error("the export '{}' is refused: {source}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line and what is wrong with it.
        #[source]
        source: LdifError,
    },
}

/// One file of an export, read once from beginning to end.
#[derive(Clone, Debug)]
pub struct ExportFile {
    /// The file.
    pub path: PathBuf,
    /// What it says of its completeness, and how many entries it holds.
    pub trailer: Trailer,
    /// References to other servers that it holds instead of entries: the first thousand.
    pub references: Vec<String>,
    /// All references that it holds.
    pub reference_count: u64,
    /// When the file was last written, as far as the file system tells. Copying a file may change it.
    pub written_at: Option<Timestamp>,
}

impl ExportFile {
    /// Reads a file to its end and refuses it where it is malformed.
    pub(super) fn inspect(path: &Path, limits: LdifLimits) -> Result<Self, ExportError> {
        let mut reader = open(path, limits)?;
        let mut references = Vec::new();
        let mut reference_count = 0;
        while let Some(met) = reader.advance(|_| true) {
            match met {
                Ok(Met::Entry) => {}
                Ok(Met::Reference { url, .. }) => {
                    reference_count += 1;
                    if references.len() < REFERENCES {
                        references.push(url);
                    }
                }
                Err(source) => return Err(ExportError::Malformed { path: path.to_owned(), source }),
            }
        }
        let written = std::fs::metadata(path).and_then(|data| data.modified()).ok();
        Ok(Self {
            path: path.to_owned(),
            trailer: reader.trailer().clone(),
            references,
            reference_count,
            written_at: written.and_then(|at| Timestamp::try_from(at).ok()),
        })
    }

    /// Why it is not complete, as far as the file tells.
    pub fn truncation(&self) -> Option<String> {
        self.trailer.truncation().map(|reason| format!("'{}': {reason}", self.path.display()))
    }
}

/// A reader at the beginning of a file.
pub(super) fn open(path: &Path, limits: LdifLimits) -> Result<LdifReader<BufReader<File>>, ExportError> {
    let io = |source| ExportError::Io { path: path.to_owned(), source };
    let file = File::open(path).map_err(io)?;
    if file.metadata().map_err(io)?.is_dir() {
        return Err(io(ErrorKind::IsADirectory.into()));
    }
    Ok(LdifReader::with_limits(BufReader::with_capacity(BUFFER, file), limits))
}
