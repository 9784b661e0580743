//! The waves of a plan, as their files hold them: line by line, or put together for a run.

use std::io::{BufRead, BufReader, Read as _};

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
    serde_json::from_str(line).map_err(|e| CliError::state(format!("a line of a wave's file cannot be read: {e}")))
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
        let later = last.is_some_and(|last| stage_of(&line).is_some_and(|stage| stage > last));
        let bytes = line.len() as u64;
        if !later && !wanted.push(line, bytes) {
            return Ok(());
        }
    }
    wanted.finish();
    Ok(())
}

/// The stage of the operation that a line holds, told from how untether writes one; `None` where the line is otherwise. In a string a
/// quotation mark has a backslash before it, so that nothing but the name of the field reads like that.
fn stage_of(line: &str) -> Option<Stage> {
    let (_, behind) = line.strip_prefix(r#"{"operation":{"#)?.split_once(r#""stage":""#)?;
    Stage::parse(behind.split_once('"')?.0)
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
    fn the_stage_of_an_operation_is_told_from_the_beginning_of_its_line() {
        let operation = r#"{"operation":{"batch":"the \"stage\":\"remove\"","n":1,"stage":"scrub","phase":"#;
        assert_eq!(stage_of(operation), Some(Stage::Scrub));
        for other in [
            r#"{"batch":{"name":"b01","subjects":[]}}"#,
            r#"{"wave":{"gates":[{"gate":"mfa","stage":"disable"}]}}"#,
            r#"{"operation":{"n":1"#,
            r#"{"operation":{"stage":"later"}}"#,
            "",
        ] {
            assert_eq!(stage_of(other), None, "{other}");
        }
    }

    #[test]
    fn every_stage_is_told_from_what_is_written() {
        for stage in Stage::ALL {
            let written = serde_json::json!({ "operation": { "batch": "b01", "n": 1, "stage": stage } }).to_string();
            assert_eq!(stage_of(&written), Some(stage), "{written}");
        }
    }
}
