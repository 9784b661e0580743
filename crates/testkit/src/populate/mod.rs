//! A state directory in the middle of a large departure, written by real records through the real ledger and journal: what commands
//! cost when a hundred thousand people are in hand.
//!
//! Every record passes [`untether_model::run::apply`], so that the state is one that a run could have left. Deliberately not here:
//! any directory. No server was ever asked, snapshots are empty, and signatures are no signatures.

mod audits;
mod book;
mod orders;
mod people;
mod story;
mod work;

use std::path::Path;

use jiff::{SignedDuration, Timestamp};

use crate::twins::Trouble;
use book::Book;
use people::Population;

/// Days that the story takes.
const DAYS: i64 = 210;

/// How a state is to be.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// People who have an account in the shared store at the beginning.
    pub subjects: u32,
    /// Subjects in a batch.
    pub batch: u32,
    /// When the story ends; it began some 210 days before.
    pub now: Timestamp,
}

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The last record.
    pub records: u64,
    /// Subjects that some wave has or had in hand.
    pub subjects: u64,
    /// Batches of started waves.
    pub batches: u64,
}

/// Makes `directory/state` and `directory/untether.toml`. A state that is there is refused.
///
/// # Errors
/// The directory cannot be written, or there is a state in it.
pub fn populate(options: &Options, directory: &Path) -> Result<Summary, Trouble> {
    std::fs::create_dir_all(directory).map_err(|e| Trouble::new(format!("{} cannot be made: {e}", directory.display())))?;
    let began = options.now.checked_sub(SignedDuration::from_hours(24 * DAYS)).map_err(Trouble::new)?;
    let population = Population::new(options);
    let mut book = Book::create(&directory.join("state"), began)?;
    story::tell(&mut book, &population, options.now)?;
    let summary = Summary {
        records: book.head(),
        subjects: book.state().subjects().len() as u64,
        batches: book.state().batches().len() as u64,
    };
    book.close()?;
    let path = directory.join("untether.toml");
    std::fs::write(&path, configuration(options))
        .map_err(|e| Trouble::new(format!("{} cannot be written: {e}", path.display())))?;
    Ok(summary)
}

/// A configuration with the entities and waves of the story. Its servers do not exist.
fn configuration(options: &Options) -> String {
    let mut text = String::from("# The configuration of a made-up state. Its servers do not exist.\n\nstate = \"state\"\n\n");
    for side in ["shared", "independent"] {
        text += &format!("[{side}]\nurl = \"ldaps://{side}.invalid\"\n[{side}.read]\ndn = \"cn=reader,dc={side}\"\n\n");
    }
    text += "[roster]\nfiles = [\"roster.csv\"]\n\n";
    for side in ["shared", "independent"] {
        text += &format!("[audit.{side}]\nsuffix = \"dc={side}\"\naccounts = [{{ base = \"dc={side}\" }}]\n\n");
    }
    for entity in people::ENTITIES {
        text += &format!(
            "[audit.entities.{}]\nname = \"{}\"\nname_ja = \"{}\"\ntime_zone = \"{}\"\ndeadline = \"{}\"\n\n",
            entity.id,
            entity.name,
            entity.name_ja,
            entity.zone,
            entity.deadline(options.now)
        );
    }
    text += "[plan]\nretention = [\"uid\", \"cn\"]\n\n";
    for wave in people::WAVES {
        let tracks: Vec<String> = wave.tracks.iter().map(|track| format!("\"{track}\"")).collect();
        let entities: Vec<String> = wave.entities.iter().map(|id| format!("\"{id}\"")).collect();
        text += &format!(
            "[[plan.waves]]\nname = \"{}\"\ntracks = [{}]\nentities = [{}]\nbatch_size = {}\n\n",
            wave.name,
            tracks.join(", "),
            entities.join(", "),
            options.batch
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use untether_ledger::{Disk, Reader, StateDir};
    use untether_model::run::{Record, RunState, apply};

    #[test]
    fn the_state_is_one_that_the_ledger_alone_gives() {
        let directory = tempfile::tempdir().unwrap();
        let now = "2027-01-15T03:00:00Z".parse().unwrap();
        let options = Options { subjects: 400, batch: 20, now };
        let summary = populate(&options, directory.path()).unwrap();
        let waits = |p: &&people::Person| p.entity == "contractor" && p.track == untether_model::operation::Track::Migrate;
        let population = Population::new(&options);
        let waiting = population.people.iter().filter(waits).count();
        assert_eq!(summary.subjects, 400 - waiting as u64, "the contractors who stay are planned and in nobody's hands");
        let dir = StateDir::open(Disk::real(), directory.path().join("state")).unwrap();
        let mut reader = Reader::open(dir.disk(), &dir.ledger()).unwrap();
        let mut state = RunState::new();
        let mut drifted = 0;
        while let Some(frame) = reader.next_frame().unwrap() {
            if frame.is_seam() {
                continue;
            }
            let record = Record::from_parts(&frame.kind, frame.body()).unwrap();
            drifted += u64::from(matches!(record, Record::Drift { .. }));
            let change = apply(&state, frame.seq(), frame.wall, &record).unwrap();
            state.commit(change);
            assert!(frame.wall <= now);
        }
        assert_eq!(reader.head().unwrap().seq, summary.records);
        assert!(state.batches().values().any(|b| b.current.is_some()), "a run was killed in the middle");
        assert_eq!(drifted, 1, "somebody else opened an account");
        assert!(populate(&options, directory.path()).is_err(), "a state is never written over");
    }
}
