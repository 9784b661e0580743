//! One frame of the ledger: how it is written and read back.
//!
//! ```text
//! length   u32, little-endian: bytes of the JSON object
//! crc      u32, little-endian: CRC-32C (Castagnoli) of the JSON object
//! json     one object in UTF-8, without a byte-order mark or a line break at its end:
//!          {"v":1,"seq":…,"prev":"…","wall":"…","mono":…,"boot":"…","kind":"…","body":{…}}
//! ```
//!
//! `prev` is the SHA-256, in lower-case hexadecimal, of the *whole* frame before: its 8 bytes of length and CRC and its JSON. The
//! chain goes across segments. The first frame, with sequence number 1, has 64 zeros. The module knows nothing of files, and
//! nothing of what kinds and bodies mean.

use std::borrow::Cow;
use std::io::Write as _;
use std::sync::LazyLock;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use smol_str::SmolStr;
use untether_model::digest::Digest;

use crate::error::{Damage, LedgerError};

/// Major version of the frame format. A reader ignores keys that it does not know; whatever it must understand raises this.
pub const VERSION: u32 = 1;

/// Bytes before the JSON.
pub const HEADER_BYTES: usize = 8;

/// Upper bound of a frame's JSON. The record of a wave's start names everybody in the wave, in some 150 bytes each: a million people fit.
pub const MAX_FRAME_BYTES: usize = 256 << 20;

/// What the first frame names as its predecessor.
pub static NO_FRAME: LazyLock<Digest> = LazyLock::new(|| Digest::from_bytes([0; 32]));

/// Kind of the first record: `{"state": UUID, "version": 1}`.
pub const STATE_CREATED: &str = "state-created";
/// Kind of the last record of a closed segment.
pub const SEGMENT_SEALED: &str = "segment-sealed";
/// Kind of the first record of every segment but the first.
pub const SEGMENT_OPENED: &str = "segment-opened";

/// Where a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Location {
    /// Its sequence number.
    pub seq: u64,
    /// The number of its segment file, from 1.
    pub segment: u32,
    /// Its offset in the segment, in bytes.
    pub offset: u64,
}

/// A record to be appended: its kind and its body as JSON, serialized once.
#[derive(Clone, Debug)]
pub struct NewFrame {
    kind: Cow<'static, str>,
    /// `"kind":"…","body":…}`: the end of the frame's JSON.
    tail: String,
    /// Where the body begins in it.
    body: usize,
}

/// What comes before the kind, and between kind and body, in a record's own JSON and in that of its frame.
const KIND_BEGINS: &str = r#""kind":""#;
const BODY_BEGINS: &str = r#"","body":"#;

impl NewFrame {
    /// A record whose body is serialized now.
    pub fn new(kind: impl Into<Cow<'static, str>>, body: &impl Serialize) -> Result<Self, LedgerError> {
        let kind = kind.into();
        match serde_json::to_string(body) {
            Ok(body) => Self::put_together(kind, &body),
            Err(source) => Err(LedgerError::Encode { kind: kind.into_owned(), source }),
        }
    }

    /// A record that serializes as `{"kind":"…","body":…}` (an enumeration that serde tags adjacently).
    pub fn of(record: &impl Serialize) -> Result<Self, LedgerError> {
        let failed = |source| LedgerError::Encode { kind: "unknown".to_owned(), source };
        let mut tail = serde_json::to_string(record).map_err(failed)?;
        let form = || failed(serde::ser::Error::custom("the record is not of the form {kind, body}"));
        let rest = tail.strip_prefix('{').and_then(|rest| rest.strip_prefix(KIND_BEGINS)).ok_or_else(form)?;
        let (kind, _) = rest.split_once(BODY_BEGINS).ok_or_else(form)?;
        let kind = kind.to_owned();
        let body = KIND_BEGINS.len() + kind.len() + BODY_BEGINS.len();
        tail.remove(0);
        Ok(Self { kind: kind.into(), tail, body })
    }

    /// A record whose body is JSON already.
    pub fn from_json(kind: impl Into<Cow<'static, str>>, body: &str) -> Result<Self, LedgerError> {
        let kind = kind.into();
        match serde_json::from_str::<&RawValue>(body) {
            Ok(body) => Self::put_together(kind, body.get()),
            Err(source) => Err(LedgerError::Encode { kind: kind.into_owned(), source }),
        }
    }

    fn put_together(kind: Cow<'static, str>, body: &str) -> Result<Self, LedgerError> {
        let written = match serde_json::to_string(&kind) {
            Ok(written) => written,
            Err(source) => return Err(LedgerError::Encode { kind: kind.into_owned(), source }),
        };
        let tail = format!(r#""kind":{written},"body":{body}}}"#);
        let body = tail.len() - body.len() - 1;
        Ok(Self { kind, tail, body })
    }

    /// The kind.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The body as JSON.
    pub fn body(&self) -> &str {
        self.tail.get(self.body..self.tail.len().saturating_sub(1)).unwrap_or_default()
    }
}

/// A frame that was read.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Where it is.
    pub location: Location,
    /// Its whole size in bytes, header included.
    pub size_bytes: u64,
    /// SHA-256 of the whole frame.
    pub hash: Digest,
    /// SHA-256 of the frame before.
    pub prev: Digest,
    /// Wall time.
    pub wall: Timestamp,
    /// Microseconds since the boot.
    pub mono_us: u64,
    /// The boot.
    pub boot: SmolStr,
    /// The record's kind.
    pub kind: SmolStr,
    body: Box<RawValue>,
}

impl Frame {
    /// The sequence number.
    pub fn seq(&self) -> u64 {
        self.location.seq
    }

    /// The body as JSON.
    pub fn body(&self) -> &str {
        self.body.get()
    }

    /// The body as a type.
    pub fn read_body<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.body.get())
    }

    /// Written by the ledger itself between segments: of no meaning to a fold.
    pub fn is_seam(&self) -> bool {
        self.kind == SEGMENT_SEALED || self.kind == SEGMENT_OPENED
    }
}

/// Body of the first record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateCreated {
    /// The state's UUID.
    pub state: untether_model::StateId,
    /// Format version of the state directory.
    pub version: u32,
    /// Keyed mark of the UUID under the state key: which key the ledger belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark: Option<String>,
}

/// Body of a seal, and of the record that repeats it at the head of the next segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seam {
    /// Bytes of the closed segment before its seal.
    pub length: u64,
    /// Hash of the last frame before the seal.
    pub last: Digest,
    /// In a `segment-opened`: all kinds of records in the segments before, so that a reader of the last segment knows whether it
    /// understands the whole ledger.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<String>,
}

/// What a frame says beside kind and body.
#[derive(Clone, Copy, Debug)]
pub struct Stamp<'a> {
    /// Sequence number.
    pub seq: u64,
    /// Hash of the frame before.
    pub prev: Digest,
    /// Wall time; written with milliseconds.
    pub wall: Timestamp,
    /// Microseconds since the boot.
    pub mono_us: u64,
    /// The boot.
    pub boot: &'a str,
}

#[derive(Deserialize)]
struct Wire<'a> {
    v: u32,
    seq: u64,
    prev: Digest,
    #[serde(borrow)]
    wall: Cow<'a, str>,
    mono: u64,
    #[serde(borrow)]
    boot: Cow<'a, str>,
    #[serde(borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    body: &'a RawValue,
}

#[derive(Deserialize)]
struct OnlyVersion {
    v: u32,
}

/// Appends the frame's bytes to `out` and gives its hash.
pub fn encode(stamp: &Stamp<'_>, record: &NewFrame, out: &mut Vec<u8>) -> Result<Digest, LedgerError> {
    encode_within(MAX_FRAME_BYTES, stamp, record, out)
}

fn encode_within(most: usize, stamp: &Stamp<'_>, record: &NewFrame, out: &mut Vec<u8>) -> Result<Digest, LedgerError> {
    let begin = out.len();
    out.extend_from_slice(&[0; HEADER_BYTES]);
    let written = put_stamp(stamp, out);
    out.extend_from_slice(record.tail.as_bytes());
    let json = out.get(begin + HEADER_BYTES..).unwrap_or_default();
    let refused = match (written, u32::try_from(json.len())) {
        (Err(source), _) => Some(LedgerError::Encode { kind: record.kind().to_owned(), source }),
        (Ok(()), Ok(length)) if json.len() <= most => {
            let crc = crc32c::crc32c(json);
            let header = length.to_le_bytes().into_iter().chain(crc.to_le_bytes());
            out.iter_mut().skip(begin).zip(header).for_each(|(to, byte)| *to = byte);
            None
        }
        (Ok(()), _) => Some(LedgerError::TooLarge { kind: record.kind().to_owned(), bytes: json.len() }),
    };
    match refused {
        Some(error) => {
            out.truncate(begin);
            Err(error)
        }
        None => Ok(Digest::of(out.get(begin..).unwrap_or_default())),
    }
}

/// The keys before the kind.
fn put_stamp(stamp: &Stamp<'_>, out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
    let Stamp { seq, prev, wall, mono_us, boot } = stamp;
    // Writing to memory does not fail.
    let _ = write!(out, r#"{{"v":{VERSION},"seq":{seq},"prev":"{prev}","wall":"{wall:.3}","mono":{mono_us},"boot":"#);
    serde_json::to_writer(&mut *out, boot)?;
    out.push(b',');
    Ok(())
}

/// The length and the CRC at the beginning of these bytes; `None` where there are fewer than eight.
pub fn header(bytes: &[u8]) -> Option<(u32, u32)> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let crc = rest.first_chunk::<4>()?;
    Some((u32::from_le_bytes(*length), u32::from_le_bytes(*crc)))
}

/// What [`decode`] makes of bytes that are no frame of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unread {
    /// They are damaged.
    Damaged(Damage),
    /// They have a newer major version.
    Newer(u32),
}

/// Reads a whole frame, header included, that lies at `segment` and `offset`.
pub fn decode(bytes: &[u8], segment: u32, offset: u64) -> Result<Frame, Unread> {
    let (length, crc) = header(bytes).ok_or(Unread::Damaged(Damage::Incomplete))?;
    let json = bytes.get(HEADER_BYTES..).unwrap_or_default();
    if json.len() != usize::try_from(length).unwrap_or(usize::MAX) {
        return Err(Unread::Damaged(Damage::Incomplete));
    }
    if crc32c::crc32c(json) != crc {
        return Err(Unread::Damaged(Damage::Checksum));
    }
    let wire: Wire<'_> = match serde_json::from_slice(json) {
        Ok(wire) => wire,
        Err(error) => {
            return Err(match serde_json::from_slice::<OnlyVersion>(json) {
                Ok(OnlyVersion { v }) if v > VERSION => Unread::Newer(v),
                Ok(_) | Err(_) => Unread::Damaged(Damage::Json(error.to_string())),
            });
        }
    };
    if wire.v > VERSION {
        return Err(Unread::Newer(wire.v));
    }
    let wall = wire.wall.parse().map_err(|error: jiff::Error| Unread::Damaged(Damage::Json(error.to_string())))?;
    Ok(Frame {
        location: Location { seq: wire.seq, segment, offset },
        size_bytes: bytes.len() as u64,
        hash: Digest::of(bytes),
        prev: wire.prev,
        wall,
        mono_us: wire.mono,
        boot: wire.boot.into(),
        kind: wire.kind.into(),
        body: wire.body.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one() -> (Vec<u8>, Digest) {
        let record = NewFrame::from_json("paused", r#"{"by":"山田 \"花子\"","reason":"x"}"#).unwrap();
        let stamp = Stamp {
            seq: 7,
            prev: Digest::of(b"before"),
            wall: "2026-11-20T01:02:03.4567Z".parse().unwrap(),
            mono_us: 12,
            boot: "b",
        };
        let mut out = Vec::new();
        let hash = encode(&stamp, &record, &mut out).unwrap();
        (out, hash)
    }

    #[test]
    fn keys_come_in_the_documented_order_and_read_back() {
        let (bytes, hash) = one();
        let json = std::str::from_utf8(&bytes[HEADER_BYTES..]).unwrap();
        let prev = Digest::of(b"before").to_hex();
        let expected = format!(
            r#"{{"v":1,"seq":7,"prev":"{prev}","wall":"2026-11-20T01:02:03.456Z","mono":12,"boot":"b","kind":"paused","body":{{"by":"山田 \"花子\"","reason":"x"}}}}"#
        );
        assert_eq!(json, expected);
        let frame = decode(&bytes, 3, 40).unwrap();
        assert_eq!(frame.location, Location { seq: 7, segment: 3, offset: 40 });
        assert_eq!(frame.hash, hash);
        assert_eq!(frame.hash, Digest::of(&bytes), "the hash is over the whole frame, header included");
        assert_eq!(frame.body(), r#"{"by":"山田 \"花子\"","reason":"x"}"#);
    }

    #[test]
    fn a_tagged_record_is_taken_apart_and_anything_else_refused() {
        #[derive(Serialize)]
        #[serde(tag = "kind", content = "body", rename_all = "kebab-case")]
        enum Tagged {
            OfThisKind { body: &'static str },
        }
        let frame = NewFrame::of(&Tagged::OfThisKind { body: "\",\"body\":" }).unwrap();
        assert_eq!(frame.kind(), "of-this-kind");
        assert_eq!(frame.body(), r#"{"body":"\",\"body\":"}"#);
        assert!(NewFrame::of(&"text").is_err());
        assert_eq!(NewFrame::new("no\"kind", &1).unwrap().body(), "1");
        assert!(NewFrame::from_json("kind", "{").is_err());
    }

    #[test]
    fn any_flipped_bit_is_seen() {
        let (bytes, _) = one();
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut broken = bytes.clone();
                broken[at] ^= 1 << bit;
                assert!(decode(&broken, 1, 0).is_err(), "byte {at} bit {bit}");
            }
        }
    }

    #[test]
    fn a_newer_major_version_is_told_from_damage() {
        let json = br#"{"v":2,"new":true}"#;
        let mut bytes = u32::try_from(json.len()).unwrap().to_le_bytes().to_vec();
        bytes.extend(crc32c::crc32c(json).to_le_bytes());
        bytes.extend(json);
        assert_eq!(decode(&bytes, 1, 0).unwrap_err(), Unread::Newer(2));
    }

    #[test]
    fn a_frame_that_is_too_large_is_refused_and_leaves_nothing_behind() {
        let record = NewFrame::new("observed", &"x".repeat(1000)).unwrap();
        let stamp = Stamp { seq: 1, prev: *NO_FRAME, wall: Timestamp::UNIX_EPOCH, mono_us: 0, boot: "b" };
        let mut out = vec![1, 2, 3];
        assert!(matches!(encode_within(1000, &stamp, &record, &mut out), Err(LedgerError::TooLarge { .. })));
        assert_eq!(out, [1, 2, 3]);
        assert!(encode_within(2000, &stamp, &record, &mut out).is_ok());
    }
}
