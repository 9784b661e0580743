//! The waves of a plan, as their files hold them: line by line, or put together for a run.

use std::cell::Cell;
use std::fmt;
use std::io::{BufRead, BufReader, Read as _};

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use untether_ledger::{Area, KeyStore, SealedReader, Shelf, StateDir};
use untether_model::WaveId;
use untether_model::digest::Digest;
use untether_model::operation::Stage;
use untether_model::plan::{NoHead, PlanHeader, Wave, WaveDraft, WaveLine};

use crate::error::{CliError, chain};
use crate::wiring::lane::{LaneIn, pipeline};

/// A wave's file, line by line.
pub fn wave_lines(
    dir: &StateDir,
    keys: &KeyStore,
    digest: &Digest,
) -> Result<impl Iterator<Item = Result<WaveLine, CliError>> + use<>, CliError> {
    Ok(raw_lines(dir, keys, digest)?.map(|line| read_line(&line?)))
}

fn raw_lines(
    dir: &StateDir,
    keys: &KeyStore,
    digest: &Digest,
) -> Result<impl Iterator<Item = Result<String, CliError>> + use<>, CliError> {
    let reader = SealedReader::open(dir, keys, &Shelf::of(Area::Plans), digest).map_err(|e| CliError::state(chain(&e)))?;
    let lines = BufReader::with_capacity(1 << 20, reader).lines();
    Ok(lines.map(|line| line.map_err(|e| CliError::state(format!("a wave's file cannot be read: {e}")))))
}

fn read_line(line: &str) -> Result<WaveLine, CliError> {
    serde_json::from_str(line).map_err(|e| unreadable(&e))
}

fn unreadable(error: &serde_json::Error) -> CliError {
    CliError::state(format!("a line of a wave's file cannot be read: {error}"))
}

/// A wave, as a run needs it.
pub fn load_wave(dir: &StateDir, keys: &KeyStore, header: &PlanHeader, id: &WaveId) -> Result<Wave, CliError> {
    load_wave_through(dir, keys, header, id, None)
}

/// A wave without the operations of stages after `last`, which are most of what it needs in memory. One thread opens and checks the
/// file, one decodes what is wanted of it, the caller's puts it together.
pub fn load_wave_through(
    dir: &StateDir,
    keys: &KeyStore,
    header: &PlanHeader,
    id: &WaveId,
    last: Option<Stage>,
) -> Result<Wave, CliError> {
    let found = header.waves.iter().find(|w| w.name == id.wave).ok_or_else(|| {
        let names: Vec<&str> = header.waves.iter().map(|w| w.name.as_str()).collect();
        let hint = match names.as_slice() {
            [] => "it has none: `untether plan show --not-planned` says why nobody is planned".to_owned(),
            names => format!("it has: {}", names.join(", ")),
        };
        CliError::usage(format!("plan {} has no wave '{}'", id.plan, id.wave)).hint(hint)
    })?;
    let lines = raw_lines(dir, keys, &found.digest)?;
    let mut draft = WaveDraft::new(id.clone());
    let no_wave = |error: NoHead| CliError::state(error.to_string());
    pipeline(
        |wanted| pick(lines, last, wanted),
        |line: &String| Ok((read_line(line)?, line.len() as u64)),
        |lines| lines.drain(..).try_for_each(|line| draft.add(line)).map_err(no_wave),
    )?;
    draft.finish().map_err(no_wave)
}

/// The lines of no later stage than `last`.
fn pick(
    lines: impl Iterator<Item = Result<String, CliError>>,
    last: Option<Stage>,
    mut wanted: LaneIn<String>,
) -> Result<(), CliError> {
    for line in lines {
        let line = line?;
        let later = match last {
            Some(last) => stage_of(&line)?.is_some_and(|stage| stage > last),
            None => false,
        };
        let bytes = line.len() as u64;
        if !later && !wanted.push(line, bytes) {
            return Ok(());
        }
    }
    wanted.finish();
    Ok(())
}

/// The stage of the operation that a line holds, `None` where it holds something else. Nothing is read behind the stage.
fn stage_of(line: &str) -> Result<Option<Stage>, CliError> {
    let seen = Cell::new(None);
    match (Glance(&seen).deserialize(&mut serde_json::Deserializer::from_str(line)), seen.get()) {
        (Ok(()), stage) | (Err(_), stage @ Some(_)) => Ok(stage),
        (Err(error), None) => Err(unreadable(&error)),
    }
}

/// Looks into a line, and into the operation in it, as far as its stage.
#[derive(Clone, Copy)]
struct Glance<'a>(&'a Cell<Option<Stage>>);

impl<'de> DeserializeSeed<'de> for Glance<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Glance<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a line of a wave's file")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "kebab-case")]
        enum Key {
            Operation,
            Stage,
            #[serde(other)]
            Other,
        }
        while let Some(key) = map.next_key()? {
            match key {
                Key::Operation => map.next_value_seed(self)?,
                Key::Stage => {
                    self.0.set(Some(map.next_value()?));
                    return Err(A::Error::custom("what follows the stage is not read"));
                }
                Key::Other => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

/// A blob of a wave.
pub fn blob(dir: &StateDir, keys: &KeyStore, wave_file: &Digest, digest: &Digest) -> Result<Vec<u8>, String> {
    let id = SealedReader::key_of(dir, &Shelf::of(Area::Plans), wave_file).map_err(|e| chain(&e))?;
    let mut reader = SealedReader::open(dir, keys, &Shelf::within(Area::Blobs, &id), digest).map_err(|e| chain(&e))?;
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).map_err(|e| e.to_string())?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stage_of_an_operation_is_told_without_reading_what_follows_it() {
        let stage = |line: &str| stage_of(line).map_err(|e| e.to_string());
        let operation = r#"{"operation":{"batch":"the \"stage\":\"remove\"","n":1,"stage":"scrub","phase":"#;
        assert_eq!(stage(operation), Ok(Some(Stage::Scrub)));
        assert_eq!(stage(r#"{"batch":{"name":"b01","subjects":[]}}"#), Ok(None));
        for broken in ["", "[]", r#"{"operation":{"n":1"#, r#"{"operation":{"stage":"later"}}"#] {
            assert!(stage(broken).unwrap_err().contains("cannot be read"), "{broken}");
        }
    }
}
