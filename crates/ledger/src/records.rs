//! Streams of records inside a file: postcard for speed, JSON Lines where a digest is over bytes that people can read.
//!
//! A postcard record is `u32le(length) ‖ postcard`. Whether the stream is whole is known to whatever lies below (see
//! [`crate::files`]).

use std::io::{self, BufRead, BufReader, Read, Write};
use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Upper bound of one record.
pub const MAX_RECORD_BYTES: usize = 64 << 20;

/// Why a record cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// What lies below failed.
    #[error("cannot {operation} record {number}")]
    Below {
        /// `read` or `write`.
        operation: &'static str,
        /// The record's number, from 1.
        number: u64,
        /// Why; a [`crate::files::FileError`] inside, where the file is a sealed one.
        #[source]
        source: io::Error,
    },
    /// The record cannot be written, or its bytes are no such record.
    #[error("record {number} is not well formed: {reason}")]
    Form {
        /// The record's number, from 1.
        number: u64,
        /// Why.
        reason: String,
    },
}

impl RecordError {
    /// The sealed file's own error, where that is the cause.
    pub fn file_error(&self) -> Option<&crate::files::FileError> {
        match self {
            Self::Below { source, .. } => source.get_ref()?.downcast_ref(),
            Self::Form { .. } => None,
        }
    }
}

/// Writes records in postcard.
#[derive(Debug)]
pub struct RecordWriter<T, W> {
    below: W,
    buffer: Vec<u8>,
    records: u64,
    of: PhantomData<fn(T)>,
}

impl<T: Serialize, W: Write> RecordWriter<T, W> {
    /// Writes to `below`, which should gather small writes.
    pub fn new(below: W) -> Self {
        Self { below, buffer: Vec::new(), records: 0, of: PhantomData }
    }

    /// Writes one record.
    pub fn push(&mut self, record: &T) -> Result<(), RecordError> {
        self.records += 1;
        let number = self.records;
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        buffer.extend_from_slice(&[0; 4]);
        buffer = postcard::to_extend(record, buffer).map_err(|error| RecordError::Form { number, reason: error.to_string() })?;
        let bytes = buffer.len() - 4;
        let length = u32::try_from(bytes).ok().filter(|_| bytes <= MAX_RECORD_BYTES);
        let Some(length) = length else { return Err(too_large(number)) };
        buffer.iter_mut().zip(length.to_le_bytes()).for_each(|(to, byte)| *to = byte);
        self.below.write_all(&buffer).map_err(|source| RecordError::Below { operation: "write", number, source })?;
        self.buffer = buffer;
        Ok(())
    }

    /// Writes one record that is in postcard already: what [`RecordWriter::push`] would make of it.
    pub fn push_written(&mut self, record: &[u8]) -> Result<(), RecordError> {
        self.records += 1;
        let number = self.records;
        let length = u32::try_from(record.len()).ok().filter(|_| record.len() <= MAX_RECORD_BYTES);
        let length = length.ok_or_else(|| too_large(number))?.to_le_bytes();
        let written = self.below.write_all(&length).and_then(|()| self.below.write_all(record));
        written.map_err(|source| RecordError::Below { operation: "write", number, source })
    }

    /// Records so far.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// What lies below, to be finished.
    pub fn into_inner(self) -> W {
        self.below
    }
}

/// Reads the bytes of records in postcard, for whoever needs to look at a part of each.
#[derive(Debug)]
pub struct RawRecords<R> {
    below: R,
    buffer: Vec<u8>,
    records: u64,
}

impl<R: Read> RawRecords<R> {
    /// Reads from `below`.
    pub fn new(below: R) -> Self {
        Self { below, buffer: Vec::new(), records: 0 }
    }

    /// The bytes of the next record, `None` after the last one.
    ///
    /// # Errors
    /// What lies below failed, or the stream is cut off; nothing sensible can be read after that.
    pub fn next_record(&mut self) -> Result<Option<&[u8]>, RecordError> {
        let number = self.records + 1;
        let below = |source| RecordError::Below { operation: "read", number, source };
        let mut length = [0u8; 4];
        // The end is clean only before a record.
        let begun = loop {
            match self.below.read(&mut length) {
                Ok(read) => break read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(below(error)),
            }
        };
        if begun == 0 {
            return Ok(None);
        }
        self.below.read_exact(length.get_mut(begun..).unwrap_or_default()).map_err(below)?;
        let length = u32::from_le_bytes(length) as usize;
        if length > MAX_RECORD_BYTES {
            return Err(too_large(number));
        }
        self.buffer.resize(length, 0);
        self.below.read_exact(&mut self.buffer).map_err(below)?;
        self.records = number;
        Ok(Some(&self.buffer))
    }
}

/// Reads records in postcard.
#[derive(Debug)]
pub struct RecordReader<T, R> {
    raw: RawRecords<R>,
    /// A `T` is only what each record begins with.
    parts: bool,
    failed: bool,
    of: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned, R: Read> RecordReader<T, R> {
    /// Reads from `below`.
    pub fn new(below: R) -> Self {
        Self { raw: RawRecords::new(below), parts: false, failed: false, of: PhantomData }
    }

    /// Reads from `below` records that begin with a `T` (a tuple of their first fields) and go on.
    pub fn of_parts(below: R) -> Self {
        Self { parts: true, ..Self::new(below) }
    }

    /// Bytes of the record that was read last.
    pub fn record_bytes(&self) -> usize {
        self.raw.buffer.len()
    }

    fn take(&mut self) -> Result<Option<T>, RecordError> {
        let number = self.raw.records + 1;
        let Some(bytes) = self.raw.next_record()? else { return Ok(None) };
        match postcard::take_from_bytes(bytes) {
            Ok((record, rest)) if rest.is_empty() || self.parts => Ok(Some(record)),
            Ok(_) => Err(RecordError::Form { number, reason: "bytes are left over".to_owned() }),
            Err(error) => Err(RecordError::Form { number, reason: error.to_string() }),
        }
    }
}

impl<T: DeserializeOwned, R: Read> Iterator for RecordReader<T, R> {
    type Item = Result<T, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let taken = self.take();
        self.failed = taken.is_err();
        taken.transpose()
    }
}

/// Writes records as JSON Lines.
#[derive(Debug)]
pub struct JsonLinesWriter<T, W> {
    below: W,
    buffer: Vec<u8>,
    records: u64,
    of: PhantomData<fn(T)>,
}

impl<T: Serialize, W: Write> JsonLinesWriter<T, W> {
    /// Writes to `below`, which should gather small writes.
    pub fn new(below: W) -> Self {
        Self { below, buffer: Vec::new(), records: 0, of: PhantomData }
    }

    /// Writes one record.
    pub fn push(&mut self, record: &T) -> Result<(), RecordError> {
        self.records += 1;
        let number = self.records;
        self.buffer.clear();
        serde_json::to_writer(&mut self.buffer, record)
            .map_err(|error| RecordError::Form { number, reason: error.to_string() })?;
        if self.buffer.len() > MAX_RECORD_BYTES {
            return Err(too_large(number));
        }
        self.buffer.push(b'\n');
        self.below.write_all(&self.buffer).map_err(|source| RecordError::Below { operation: "write", number, source })
    }

    /// Writes one record that is JSON already, in one line: what [`JsonLinesWriter::push`] would make of it.
    pub fn push_written(&mut self, record: &[u8]) -> Result<(), RecordError> {
        self.records += 1;
        let number = self.records;
        if record.len() > MAX_RECORD_BYTES {
            return Err(too_large(number));
        }
        let written = self.below.write_all(record).and_then(|()| self.below.write_all(b"\n"));
        written.map_err(|source| RecordError::Below { operation: "write", number, source })
    }

    /// Records so far.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// What lies below, to be finished.
    pub fn into_inner(self) -> W {
        self.below
    }
}

/// Reads records from JSON Lines. Every line ends with a line feed, the last one too; an empty line is an error.
#[derive(Debug)]
pub struct JsonLinesReader<T, R> {
    below: BufReader<R>,
    buffer: Vec<u8>,
    records: u64,
    failed: bool,
    of: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned, R: Read> JsonLinesReader<T, R> {
    /// Reads from `below`.
    pub fn new(below: R) -> Self {
        Self { below: BufReader::new(below), buffer: Vec::new(), records: 0, failed: false, of: PhantomData }
    }

    fn take(&mut self) -> Result<Option<T>, RecordError> {
        let number = self.records + 1;
        self.buffer.clear();
        let bound = MAX_RECORD_BYTES as u64 + 1;
        let read = (&mut self.below).take(bound).read_until(b'\n', &mut self.buffer);
        read.map_err(|source| RecordError::Below { operation: "read", number, source })?;
        self.records = number;
        match self.buffer.split_last() {
            None => Ok(None),
            Some((b'\n', line)) => {
                serde_json::from_slice(line).map(Some).map_err(|error| RecordError::Form { number, reason: error.to_string() })
            }
            Some(_) if self.buffer.len() as u64 >= bound => Err(too_large(number)),
            Some(_) => Err(RecordError::Form { number, reason: "the last line is cut off".to_owned() }),
        }
    }
}

impl<T: DeserializeOwned, R: Read> Iterator for JsonLinesReader<T, R> {
    type Item = Result<T, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let taken = self.take();
        self.failed = taken.is_err();
        taken.transpose()
    }
}

fn too_large(number: u64) -> RecordError {
    RecordError::Form { number, reason: format!("it has more than {MAX_RECORD_BYTES} bytes") }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Row = (String, Option<u32>, Vec<u8>);

    fn rows() -> Vec<Row> {
        vec![("山田".to_owned(), None, vec![0, 10, 255]), (String::new(), Some(7), Vec::new())]
    }

    #[test]
    fn records_read_back_and_a_cut_stream_is_an_error() {
        let mut writer = RecordWriter::new(Vec::new());
        rows().iter().for_each(|row| writer.push(row).unwrap());
        let bytes = writer.into_inner();
        let read: Result<Vec<Row>, _> = RecordReader::new(bytes.as_slice()).collect();
        assert_eq!(read.unwrap(), rows());
        for length in 1..bytes.len() {
            let read: Vec<Result<Row, _>> = RecordReader::new(&bytes[..length]).collect();
            let whole = read.len() == 1 && read[0].is_ok();
            assert!(whole || read.last().unwrap().is_err(), "{length}");
        }
    }

    #[test]
    fn the_beginning_of_records_can_be_read_alone() {
        let mut writer = RecordWriter::new(Vec::new());
        rows().iter().for_each(|row| writer.push(row).unwrap());
        let bytes = writer.into_inner();
        let names: Vec<(String,)> = RecordReader::of_parts(bytes.as_slice()).collect::<Result<_, _>>().unwrap();
        assert!(names.iter().map(|(name,)| name).eq(rows().iter().map(|(name, ..)| name)));
        assert!(RecordReader::<(String,), _>::new(bytes.as_slice()).next().unwrap().is_err(), "a whole record is more");
    }

    #[test]
    fn what_is_written_already_is_written_as_it_would_be() {
        let (mut made, mut taken) = (RecordWriter::<Row, _>::new(Vec::new()), RecordWriter::<Row, _>::new(Vec::new()));
        let (mut lines, mut taken_lines) =
            (JsonLinesWriter::<Row, _>::new(Vec::new()), JsonLinesWriter::<Row, _>::new(Vec::new()));
        for row in rows() {
            made.push(&row).unwrap();
            taken.push_written(&postcard::to_stdvec(&row).unwrap()).unwrap();
            lines.push(&row).unwrap();
            taken_lines.push_written(&serde_json::to_vec(&row).unwrap()).unwrap();
        }
        assert_eq!((made.records(), lines.records()), (taken.records(), taken_lines.records()));
        assert_eq!((made.into_inner(), lines.into_inner()), (taken.into_inner(), taken_lines.into_inner()));
        let long = vec![b'a'; MAX_RECORD_BYTES + 1];
        assert!(RecordWriter::<Row, _>::new(Vec::new()).push_written(&long).is_err());
        assert!(JsonLinesWriter::<Row, _>::new(Vec::new()).push_written(&long).is_err());
    }

    #[test]
    fn lines_read_back_and_a_cut_line_is_an_error() {
        let mut writer = JsonLinesWriter::new(Vec::new());
        rows().iter().for_each(|row| writer.push(row).unwrap());
        assert_eq!(writer.records(), 2);
        let bytes = writer.into_inner();
        assert_eq!(bytes.iter().filter(|byte| **byte == b'\n').count(), 2);
        let read: Result<Vec<Row>, _> = JsonLinesReader::new(bytes.as_slice()).collect();
        assert_eq!(read.unwrap(), rows());
        let read: Result<Vec<Row>, _> = JsonLinesReader::new(&bytes[..bytes.len() - 1]).collect();
        assert!(read.unwrap_err().to_string().contains("cut off"));
        let read: Result<Vec<Row>, _> = JsonLinesReader::new(b"\n".as_slice()).collect();
        assert!(read.is_err());
    }
}
