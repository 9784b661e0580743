//! Watches the quotes of CSV on their way to the parser, which takes what is not closed for a field that goes on to the end.

use std::io::{self, Read};

/// Most text of one record: beyond it a quote was forgotten, or this is no roster.
const RECORD_BYTES: u64 = 1 << 20;

/// What is wrong with the quotes.
#[derive(Debug, thiserror::Error)]
pub(super) enum BadQuotes {
    /// The file ends within a quoted field.
    #[error("a quoted field that begins in line {line} does not end")]
    Open {
        /// Where it begins.
        line: u64,
    },
    /// Text follows a closing quote.
    #[error("a quoted field that begins in line {line} goes on behind its closing quote in line {end}")]
    Stray {
        /// Where it begins.
        line: u64,
        /// Where its quote ends.
        end: u64,
    },
    /// One record is longer than any.
    #[error("the row that begins in line {line} is longer than any: a quote does not end, or this is no roster")]
    Long {
        /// Where it begins.
        line: u64,
    },
}

impl BadQuotes {
    pub(super) fn line(&self) -> u64 {
        match self {
            Self::Open { line } | Self::Stray { line, .. } | Self::Long { line } => *line,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    /// The beginning of a field.
    Start,
    /// Within a field without quotes.
    Plain,
    /// Within quotes.
    Quoted,
    /// Behind a quote within quotes: the second of a pair, or the field's end.
    Quote,
}

/// Hands text on as long as its quotes are in order.
pub(super) struct Quotes<R> {
    below: R,
    delimiter: u8,
    at: At,
    line: u64,
    /// Where the present field, and the present record, began.
    field: u64,
    record: u64,
    record_bytes: u64,
    last: u8,
}

impl<R: Read> Quotes<R> {
    pub(super) fn new(below: R, delimiter: u8) -> Self {
        Self { below, delimiter, at: At::Start, line: 1, field: 1, record: 1, record_bytes: 0, last: b'\n' }
    }

    /// The text so far ends in the middle of a line, though it has several.
    pub(super) fn ends_within_a_line(&self) -> bool {
        self.last != b'\n' && self.line > 1
    }

    fn step(&mut self, byte: u8) -> Result<(), BadQuotes> {
        self.record_bytes += 1;
        let ends_record = matches!(byte, b'\n' | b'\r');
        self.at = match (self.at, byte) {
            (At::Start, b'"') => {
                self.field = self.line;
                At::Quoted
            }
            (At::Quoted, b'"') => At::Quote,
            (At::Quoted, _) => At::Quoted,
            (At::Quote, b'"') => At::Quoted,
            (_, byte) if byte == self.delimiter => At::Start,
            (_, _) if ends_record => At::Start,
            (At::Quote, _) => return Err(BadQuotes::Stray { line: self.field, end: self.line }),
            (At::Start | At::Plain, _) => At::Plain,
        };
        if byte == b'\n' {
            self.line += 1;
        }
        if ends_record && self.at == At::Start {
            (self.record, self.record_bytes) = (self.line, 0);
        }
        if self.record_bytes > RECORD_BYTES {
            return Err(BadQuotes::Long { line: self.record });
        }
        self.last = byte;
        Ok(())
    }
}

impl<R: Read> Read for Quotes<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.below.read(buffer)?;
        if read == 0 && self.at == At::Quoted {
            return Err(io::Error::other(BadQuotes::Open { line: self.field }));
        }
        for byte in buffer.get(..read).unwrap_or_default() {
            self.step(*byte).map_err(io::Error::other)?;
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(text: &str) -> Result<bool, String> {
        let mut quotes = Quotes::new(text.as_bytes(), b',');
        io::copy(&mut quotes, &mut io::sink()).map_err(|error| error.to_string())?;
        Ok(quotes.ends_within_a_line())
    }

    #[test]
    fn quotes_that_are_in_order_pass_and_others_are_named_by_their_line() {
        assert_eq!(look("a,b\n1,\"x\"\"y, z\n2\"\r\n3,5\" disk\n"), Ok(false));
        assert_eq!(look("a,b\n1,\"\"\n2,c"), Ok(true));
        assert!(look("a,b\n1,\"x\n2,y\n").unwrap_err().contains("line 2 does not end"));
        // Without the second quote two rows become one of the right length.
        let error = look("a,b\n1,\"x\n2,\"y\"\n").unwrap_err();
        assert!(error.contains("begins in line 2") && error.contains("in line 3"), "{error}");
        let long = format!("a,b\n1,\"{}", "x\n".repeat(1 << 20));
        assert!(look(&long).unwrap_err().contains("begins in line 2"), "a record is bounded");
    }
}
