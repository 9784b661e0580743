//! Logical lines: physical lines put together again where they were folded. Knows nothing of what they say.

use std::io::{BufRead, ErrorKind, Read};

use memchr::memchr;

use super::error::{LdifError, LdifProblem};

/// Reads one logical line after the other into one buffer.
pub(super) struct Lines<R> {
    input: R,
    limit: usize,
    /// The current logical line, without its end.
    line: Vec<u8>,
    /// Physical lines that were read.
    physical: u64,
    /// The last physical line ended with the file, not with a newline.
    cut_off: bool,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(input: R, limit: usize) -> Self {
        Self { input, limit, line: Vec::with_capacity(4096), physical: 0, cut_off: false }
    }

    /// The line that [`Lines::advance`] read.
    pub(super) fn current(&self) -> &[u8] {
        &self.line
    }

    /// Whether the current line ended with the file and not with a newline.
    pub(super) fn is_cut_off(&self) -> bool {
        self.cut_off
    }

    /// Reads the next logical line and says at which physical line it begins; `None` at the end.
    pub(super) fn advance(&mut self) -> Result<Option<u64>, LdifError> {
        self.line.clear();
        let start = self.physical + 1;
        let whole = self.take_whole();
        if !whole && !self.append_physical(start)? {
            return Ok(None);
        }
        if start == 1 {
            self.drop_mark()?;
        }
        if self.line.first() == Some(&b' ') {
            return Err(LdifProblem::StrayContinuation.at(start));
        }
        // An empty line ends a record and cannot be continued.
        while !whole && !self.line.is_empty() && self.peek(start)? == Some(b' ') {
            self.input.consume(1);
            self.append_physical(start)?;
        }
        if memchr(0, &self.line).is_some() {
            return Err(LdifProblem::ZeroByte.at(start));
        }
        Ok(Some(start))
    }

    /// Takes a logical line that was read ahead to its end, as nearly all were. False, and nothing was taken, where that is not to be
    /// seen: such a line is put together piece by piece.
    fn take_whole(&mut self) -> bool {
        // What fails here fails again where it is reported.
        let Ok(buffer) = self.input.fill_buf() else { return false };
        let (mut taken, mut physical) = (0, 0);
        loop {
            let rest = buffer.get(taken..).unwrap_or_default();
            let Some(end) = memchr(b'\n', rest) else { break };
            let Some(next) = rest.get(end + 1) else { break };
            let piece = rest.get(..end).unwrap_or_default();
            self.line.extend_from_slice(piece.strip_suffix(b"\r").unwrap_or(piece));
            physical += 1;
            taken += end + 1;
            if self.line.len() > self.limit {
                break;
            }
            // An empty line ends a record and cannot be continued.
            if *next != b' ' || self.line.is_empty() {
                self.input.consume(taken);
                self.physical += physical;
                self.cut_off = false;
                return true;
            }
            taken += 1;
        }
        self.line.clear();
        false
    }

    /// Appends one physical line without its end; false at the end of the file.
    fn append_physical(&mut self, start: u64) -> Result<bool, LdifError> {
        let before = self.line.len();
        // Two more than the bound leave room for the line's end.
        let room = self.limit.saturating_sub(before).saturating_add(2);
        let taken = self
            .input
            .by_ref()
            .take(u64::try_from(room).unwrap_or(u64::MAX))
            .read_until(b'\n', &mut self.line)
            .map_err(|error| LdifProblem::Io(error).at(start))?;
        if taken == 0 && before == 0 {
            return Ok(false);
        }
        self.physical += 1;
        self.cut_off = self.line.last() != Some(&b'\n') || taken == 0;
        if !self.cut_off {
            self.line.pop();
            if self.line.len() > before && self.line.last() == Some(&b'\r') {
                self.line.pop();
            }
        }
        if self.line.len() > self.limit {
            return Err(LdifProblem::LineTooLong { limit: self.limit }.at(start));
        }
        Ok(true)
    }

    fn peek(&mut self, start: u64) -> Result<Option<u8>, LdifError> {
        loop {
            match self.input.fill_buf() {
                Ok(buffer) => return Ok(buffer.first().copied()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(LdifProblem::Io(error).at(start)),
            }
        }
    }

    /// Takes a UTF-8 byte-order mark off the first line and refuses the marks of UTF-16.
    fn drop_mark(&mut self) -> Result<(), LdifError> {
        if self.line.starts_with(b"\xff\xfe") || self.line.starts_with(b"\xfe\xff") {
            return Err(LdifProblem::Utf16.at(1));
        }
        if self.line.starts_with(b"\xef\xbb\xbf") {
            self.line.drain(..3);
        }
        Ok(())
    }
}
