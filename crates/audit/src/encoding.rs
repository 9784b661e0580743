//! The character encodings in which people's systems write tables: telling them apart, and decoding as a stream. Nothing is ever
//! replaced: bytes that are no text end it. Knows nothing of what the text says.

use std::io::{self, BufRead as _, BufReader, Cursor, Read, Seek, SeekFrom};

use encoding_rs::{Decoder, DecoderResult, Encoding, SHIFT_JIS, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};
use untether_model::policy::RosterEncoding;

/// Bytes that are decoded at once.
const CHUNK_BYTES: usize = 64 << 10;

/// Longest line that is looked at as a whole where an encoding is guessed; a longer one is looked at in pieces.
const LINE_BYTES: u64 = 1 << 20;

/// How files begin that are no text.
const OTHERS: [(&[u8], &str); 5] = [
    (b"PK\x03\x04", "a ZIP archive or a workbook (.xlsx): save it as CSV"),
    (b"\xd0\xcf\x11\xe0", "an old workbook (.xls): save it as CSV"),
    (b"\x1f\x8b", "compressed (gzip): unpack it"),
    (b"%PDF", "a PDF"),
    (b"\x28\xb5\x2f\xfd", "compressed (zstd): unpack it"),
];

/// Why bytes are not taken as text.
#[derive(Debug, thiserror::Error)]
pub enum NoText {
    /// The system refused.
    #[error("it cannot be read: {0}")]
    Io(#[from] io::Error),
    /// It is a file of another kind.
    #[error("it is {0}")]
    Other(&'static str),
    /// It may be UTF-16, whose mark is missing.
    #[error("it holds zero bytes: it is no text, or UTF-16 without a byte order mark (encoding = \"utf-16\")")]
    Zeros,
    /// Its mark says another encoding than was configured.
    #[error("it begins with the byte order mark of {0}, which is not the configured encoding")]
    Mark(&'static str),
    /// Some lines are Japanese text in UTF-8, others are no UTF-8.
    #[error("line {utf8} is UTF-8 and line {other} is not: it mixes encodings")]
    Mixed {
        /// The first line that is UTF-8.
        utf8: u64,
        /// The first line that is not.
        other: u64,
    },
    /// Bytes that are no text of the encoding.
    #[error("line {line} (byte {byte}) is not {encoding}")]
    Line {
        /// The line, from 1.
        line: u64,
        /// The byte of the file, from 0.
        byte: u64,
        /// What it should have been.
        encoding: &'static str,
    },
    /// Bytes that are text of none of the encodings that are looked for.
    #[error("line {line} (byte {byte}) is neither UTF-8 nor Shift_JIS")]
    Neither {
        /// The line, from 1.
        line: u64,
        /// The byte of the file, from 0.
        byte: u64,
    },
}

/// An encoding, and how many bytes its mark takes.
#[derive(Clone, Copy)]
pub(crate) struct Chosen {
    encoding: &'static Encoding,
    mark: u64,
    guessed: bool,
}

impl Chosen {
    /// As people know it.
    pub(crate) fn name(self) -> &'static str {
        match (self.encoding.name(), self.mark) {
            ("UTF-8", 0) => "UTF-8",
            ("UTF-8", _) => "UTF-8 with byte order mark",
            (name, _) => name,
        }
    }
}

/// The encoding of a file: as configured, or as its bytes tell. The file is at its beginning before and after.
pub(crate) fn choose<F: Read + Seek>(file: &mut F, configured: RosterEncoding) -> Result<Chosen, NoText> {
    let mut head = Vec::new();
    (&mut *file).take(1024).read_to_end(&mut head)?;
    file.seek(SeekFrom::Start(0))?;
    if let Some((_, what)) = OTHERS.iter().find(|(magic, _)| head.starts_with(magic)) {
        return Err(NoText::Other(what));
    }
    let marked = Encoding::for_bom(&head).map(|(encoding, mark)| Chosen {
        encoding,
        mark: u64::try_from(mark).unwrap_or(0),
        guessed: false,
    });
    let plain = |encoding| Chosen { encoding, mark: 0, guessed: false };
    let is = |chosen: Chosen, wanted: &[&'static Encoding]| wanted.contains(&chosen.encoding);
    match (configured, marked) {
        (RosterEncoding::Auto, Some(marked)) => Ok(marked),
        (RosterEncoding::Auto, None) if head.contains(&0) => Err(NoText::Zeros),
        (RosterEncoding::Auto, None) => guess(file).map(|encoding| Chosen { guessed: true, ..plain(encoding) }),
        (RosterEncoding::Utf8, Some(marked)) if is(marked, &[UTF_8]) => Ok(marked),
        (RosterEncoding::Utf16, Some(marked)) if is(marked, &[UTF_16LE, UTF_16BE]) => Ok(marked),
        (_, Some(marked)) => Err(NoText::Mark(marked.encoding.name())),
        (RosterEncoding::Utf8, None) => Ok(plain(UTF_8)),
        (RosterEncoding::Utf16, None) => Ok(plain(UTF_16LE)),
        (RosterEncoding::ShiftJis, None) => Ok(plain(SHIFT_JIS)),
        (RosterEncoding::Windows1252, None) => Ok(plain(WINDOWS_1252)),
    }
}

/// UTF-8 where every line is, else Shift_JIS; refused where some lines are Japanese text in UTF-8 and others are not.
fn guess<F: Read + Seek>(file: &mut F) -> Result<&'static Encoding, NoText> {
    let mut utf8: Option<u64> = None;
    let mut other: Option<u64> = None;
    let mut number = 0;
    let mut line = Vec::new();
    let mut lines = BufReader::with_capacity(CHUNK_BYTES, &mut *file);
    loop {
        line.clear();
        if (&mut lines).take(LINE_BYTES).read_until(b'\n', &mut line)? == 0 {
            break;
        }
        number += 1;
        if line.is_ascii() {
            continue;
        }
        match std::str::from_utf8(&line) {
            // Two bytes of half-width kana in Shift_JIS can be one character of UTF-8; three bytes in a row never are.
            Ok(text) if text.chars().any(|c| c.len_utf8() > 2) => drop(utf8.get_or_insert(number)),
            Ok(_) => {}
            Err(_) => drop(other.get_or_insert(number)),
        }
    }
    file.seek(SeekFrom::Start(0))?;
    match (utf8, other) {
        (_, None) => Ok(UTF_8),
        (None, Some(_)) => Ok(SHIFT_JIS),
        (Some(utf8), Some(other)) => Err(NoText::Mixed { utf8, other }),
    }
}

/// Decodes a file to UTF-8.
pub(crate) struct Decoding<R> {
    below: R,
    decoder: Decoder,
    chosen: Chosen,
    input: Vec<u8>,
    /// What of `input` is not decoded yet.
    left: std::ops::Range<usize>,
    output: Vec<u8>,
    handed: usize,
    /// Bytes of the file before `left`.
    consumed: u64,
    lines: u64,
    ended: bool,
}

impl<R: Read> Decoding<R> {
    /// From the file's first byte on; the mark is skipped.
    pub(crate) fn new(mut below: R, chosen: Chosen) -> io::Result<Self> {
        io::copy(&mut (&mut below).take(chosen.mark), &mut io::sink())?;
        Ok(Self {
            below,
            decoder: chosen.encoding.new_decoder_without_bom_handling(),
            chosen,
            input: vec![0; CHUNK_BYTES],
            left: 0..0,
            output: Vec::new(),
            handed: 0,
            consumed: chosen.mark,
            lines: 0,
            ended: false,
        })
    }

    fn decode(&mut self) -> io::Result<()> {
        if self.left.is_empty() && !self.ended {
            let read = loop {
                match self.below.read(&mut self.input) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    read => break read?,
                }
            };
            self.left = 0..read;
            self.ended = read == 0;
        }
        self.handed = 0;
        self.output.resize(CHUNK_BYTES, 0);
        let input = self.input.get(self.left.clone()).unwrap_or_default();
        let (result, read, written) = self.decoder.decode_to_utf8_without_replacement(input, &mut self.output, self.ended);
        self.output.truncate(written);
        self.left.start += read;
        self.consumed += u64::try_from(read).unwrap_or(0);
        let breaks = self.output.iter().filter(|byte| **byte == b'\n').count();
        self.lines += u64::try_from(breaks).unwrap_or(0);
        if let DecoderResult::Malformed(bad, after) = result {
            let byte = self.consumed.saturating_sub(u64::from(bad) + u64::from(after));
            let line = self.lines + 1;
            return Err(io::Error::other(match self.chosen.guessed {
                true => NoText::Neither { line, byte },
                false => NoText::Line { line, byte, encoding: self.chosen.encoding.name() },
            }));
        }
        Ok(())
    }
}

impl<R: Read> Read for Decoding<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.handed == self.output.len() {
            if self.ended && self.left.is_empty() {
                return Ok(0);
            }
            self.decode()?;
        }
        let mut rest = self.output.get(self.handed..).unwrap_or_default();
        let taken = rest.read(buffer)?;
        self.handed += taken;
        Ok(taken)
    }
}

/// A file's text, and how it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// The text.
    pub text: String,
    /// It is Shift_JIS (code page 932), which has no sign for many characters.
    pub shift_jis: bool,
}

/// Decodes a whole file whose bytes tell their encoding.
///
/// # Errors
/// It is no text, or its encoding cannot be told.
pub fn decode(bytes: &[u8]) -> Result<Decoded, NoText> {
    let mut file = Cursor::new(bytes);
    let chosen = choose(&mut file, RosterEncoding::Auto)?;
    let mut text = String::new();
    let ended = Decoding::new(file, chosen)?.read_to_string(&mut text);
    ended.map_err(|error| error.downcast::<NoText>().unwrap_or_else(NoText::Io))?;
    Ok(Decoded { text, shift_jis: chosen.encoding == SHIFT_JIS })
}

/// Whether Shift_JIS (code page 932) has a sign for a character; Excel writes a question mark for one that it has none for.
pub fn is_in_shift_jis(c: char) -> bool {
    let mut buffer = [0; 4];
    !SHIFT_JIS.encode(c.encode_utf8(&mut buffer)).2
}
