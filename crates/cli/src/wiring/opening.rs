//! Opening the state: the database is read as far as a command needs it, and brought up to the ledger.
//!
//! What is common to all (orders, approvals, waves, batches…) is always read. Of subjects there may be a million, most of them in
//! waves that have ended: a run reads those of running waves and of its own. Whatever a record of the ledger's tail is about
//! beside that is read when it comes.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::thread;

use untether_journal::{JournalError, OpenJournal, OpenReport, Opened, ReplayError, Stored};
use untether_ledger::{KeyStore, StateDir};
use untether_model::operation::Stage;
use untether_model::plan::{PlanHeader, Wave};
use untether_model::run::{Part, Record, RunState, WaveStatus, apply, concerned};
use untether_model::{BatchId, SubjectId, WaveId};

use crate::error::{CliError, chain};
use crate::output::Output;
use crate::state::{How, PARTS_VERSION, summary_witness};
use crate::wiring::journal::FoldError;
use crate::wiring::planning::{load_header, wave_of_plan};
use crate::wiring::waves::load_wave_through;

/// Which wave of which plan is to be run; the last plan where none is named.
#[derive(Clone, Copy)]
pub struct Run<'a> {
    /// The plan.
    pub plan: Option<&'a str>,
    /// The wave's name.
    pub wave: &'a str,
    /// The last stage that is asked for; all stages where absent.
    pub through: Option<Stage>,
}

/// A state that was opened, not yet for appending.
pub struct Opening {
    /// The journal.
    pub journal: Opened,
    /// Where everything stands, as far as it was read.
    pub state: RunState,
    /// What was not as it should be, and was put right without loss.
    pub repaired: Vec<String>,
}

/// Opens the state with all that is in it.
pub fn everything(dir: &StateDir, how: How, output: &Output) -> Result<Opening, CliError> {
    with_trust(dir, how, output, |partial| {
        partial.all = true;
        partial.read_common()?;
        let Partial { journal, state, .. } = partial;
        journal.each_subject_part(&mut |part| state.put(part))
    })
}

/// Opens the state for the run of a wave, and the wave with it.
pub fn for_run(dir: &StateDir, keys: &KeyStore, run: Run<'_>, output: &Output) -> Result<(Opening, PlanHeader, Wave), CliError> {
    let early = RefCell::new(None);
    let mut opening = with_trust(dir, How::default(), output, |partial| {
        partial.read_common()?;
        // A wave is as long to read as its subjects are, and what is common to all says which it most probably is.
        let needed = Needed::of(dir, keys, &partial.state, run).ok();
        thread::scope(|scope| {
            let loading = needed.map(|needed| scope.spawn(move || Some((needed.load(dir, keys).ok()?, needed))));
            partial.read_running()?;
            early.replace(loading.and_then(|loading| loading.join().ok().flatten()));
            Ok(())
        })
    })?;
    let needed = Needed::of(dir, keys, &opening.state, run)?;
    let (wave, header) = match early.into_inner() {
        Some((wave, loaded)) if loaded.holds(&needed) => (wave, needed.header),
        _ => (needed.load(dir, keys)?, needed.header),
    };
    let Opening { journal, state, .. } = &mut opening;
    let missing = unread(state, identities(state, &wave));
    read(journal, state, missing)?;
    let missing = beside(state, identities(state, &wave));
    read(journal, state, missing)?;
    Ok((opening, header, wave))
}

/// What a run needs of a plan.
struct Needed {
    wave: WaveId,
    header: PlanHeader,
    /// The last stage whose operations it looks at; all where absent.
    last: Option<Stage>,
}

impl Needed {
    fn of(dir: &StateDir, keys: &KeyStore, state: &RunState, run: Run<'_>) -> Result<Self, CliError> {
        let wave = wave_of_plan(state, run.plan, run.wave)?;
        let header = load_header(dir, keys, state, &wave.plan)?;
        let last = last_stage(state, &wave, run.through);
        Ok(Self { wave, header, last })
    }

    fn load(&self, dir: &StateDir, keys: &KeyStore) -> Result<Wave, CliError> {
        load_wave_through(dir, keys, &self.header, &self.wave, self.last)
    }

    /// Whether all that `other` needs is in what this has loaded.
    fn holds(&self, other: &Self) -> bool {
        self.wave == other.wave && self.header == other.header && reaches(self.last, other.last)
    }
}

/// Whether operations through the stage `loaded` are all that is needed through `needed`; absent means all.
fn reaches(loaded: Option<Stage>, needed: Option<Stage>) -> bool {
    loaded.is_none_or(|last| needed.is_some_and(|needed| needed <= last))
}

/// The last stage whose operations a run looks at: the last one that is asked for, or that somebody has begun. A wave that has not
/// started is needed as a whole (`None`), because its thresholds are about all of it.
fn last_stage(state: &RunState, wave: &WaveId, through: Option<Stage>) -> Option<Stage> {
    let batches = state.waves().get(wave)?.batches.iter().filter_map(|id| state.batches().get(id));
    let begun = batches.filter_map(|batch| {
        let alone = batch.subjects.iter().filter_map(|id| state.subjects().get(id)?.ended).max();
        batch.current.max(batch.ended).max(alone)
    });
    Some(through?).max(begun.max())
}

/// The wave's subjects under all their ids: under an earlier one, another wave may have them in hand.
fn identities<'a>(state: &'a RunState, wave: &'a Wave) -> impl Iterator<Item = &'a SubjectId> {
    let planned = wave.batches.iter().flat_map(|batch| &batch.subjects);
    planned.flat_map(|subject| state.identities(&subject.id).into_iter().chain([&subject.id]))
}

/// Those of these subjects that were not read yet.
fn unread<'a>(state: &RunState, subjects: impl IntoIterator<Item = &'a SubjectId>) -> BTreeSet<SubjectId> {
    subjects.into_iter().filter(|id| !state.subjects().contains_key(id)).cloned().collect()
}

fn read(journal: &Opened, state: &mut RunState, subjects: BTreeSet<SubjectId>) -> Result<(), JournalError> {
    for id in subjects {
        journal.records().each_part_of(&id, &mut |part| state.put(part))?;
    }
    Ok(())
}

/// Who was in a batch, or in an order, with these subjects before, and was not read yet: a hand-over file that is written again holds all
/// of them.
fn beside<'a>(state: &RunState, subjects: impl Iterator<Item = &'a SubjectId>) -> BTreeSet<SubjectId> {
    let mut units: BTreeSet<&BatchId> = BTreeSet::new();
    let mut last = None;
    for (op, _) in subjects.flat_map(|id| state.cells_of(id)) {
        // Neighbours are mostly of one batch.
        if last.replace(&op.batch) != Some(&op.batch) {
            units.insert(&op.batch);
        }
    }
    let mut found = BTreeSet::new();
    for unit in units {
        if let Some(batch) = state.batches().get(unit) {
            found.append(&mut unread(state, batch.subjects.iter()));
        } else if let Some(order) = state.orders().get(&unit.wave.plan) {
            found.append(&mut unread(state, order.concerns.iter().flat_map(|(_, subjects)| subjects)));
        }
    }
    found
}

/// A state of which a part is read.
struct Partial {
    journal: Opened,
    state: RunState,
    /// All subjects are read.
    all: bool,
    /// Those that are.
    read: BTreeSet<SubjectId>,
}

impl Partial {
    fn read_common(&mut self) -> Result<(), JournalError> {
        let Self { journal, state, .. } = self;
        journal.each_common_part(&mut |part| state.put(part))
    }

    /// Subjects that a running wave has, or had, in hand.
    fn read_running(&mut self) -> Result<(), JournalError> {
        let running = self.state.waves().values().filter(|wave| wave.status == WaveStatus::Running);
        let batches: Vec<(BatchId, Vec<SubjectId>)> = running
            .flat_map(|wave| &wave.batches)
            .filter_map(|id| Some((id.clone(), self.state.batches().get(id)?.subjects.to_vec())))
            .collect();
        let Self { journal, state, read, .. } = self;
        journal
            .each_part_of_batches(batches.iter().map(|(id, subjects)| (id, subjects.as_slice())), &mut |part| state.put(part))?;
        read.extend(batches.into_iter().flat_map(|(_, subjects)| subjects));
        Ok(())
    }

    /// Folds what the database has not seen yet, in order.
    fn replay(&mut self) -> Result<u64, ReplayError<FoldError>> {
        let Self { journal, state, all, read } = self;
        journal.replay(|frame, records| {
            let record = Record::from_parts(&frame.kind, frame.body())?;
            if !*all {
                for id in concerned(state, &record) {
                    if read.insert(id.clone()) {
                        let mut parts: Vec<Part> = Vec::new();
                        records.each_part_of(&id, &mut |part| parts.push(part))?;
                        parts.into_iter().for_each(|part| state.put(part));
                    }
                }
            }
            let change = apply(state, frame.seq(), frame.wall, &record)?;
            let stored = Stored::of(&change);
            state.commit(change);
            Ok(stored)
        })
    }
}

/// Opens and reads; where the database turns out to have lost something, once more with one that is made again from the ledger.
fn with_trust(
    dir: &StateDir,
    how: How,
    output: &Output,
    read: impl Fn(&mut Partial) -> Result<(), JournalError>,
) -> Result<Opening, CliError> {
    let mut distrust = false;
    let mut repaired = Vec::new();
    loop {
        let journal = open(dir, how, distrust)?;
        let report = journal.report().clone();
        let found = repairs(&report);
        found.iter().for_each(|line| output.note(line));
        repaired.extend(found);
        if let Some(host) = &report.moved_from {
            output.note(moved(host));
        }
        let mut partial = Partial { journal, state: RunState::new(), all: report.rebuilt.is_some(), read: BTreeSet::new() };
        let done = if report.rebuilt.is_some() { Ok(()) } else { read(&mut partial) };
        match done {
            Err(JournalError::Lost | JournalError::Layout(_)) if !distrust => {
                distrust = true;
                continue;
            }
            other => other?,
        }
        partial.replay().map_err(|error| match error {
            ReplayError::Journal(error) => CliError::from(error),
            error @ ReplayError::Fold { .. } => CliError::state(chain(&error)).hint("`untether state check`"),
        })?;
        return Ok(Opening { journal: partial.journal, state: partial.state, repaired });
    }
}

fn open(dir: &StateDir, how: How, distrust: bool) -> Result<Opened, CliError> {
    Ok(Opened::open(OpenJournal {
        state: dir.clone(),
        clock: crate::state::clock(),
        clock_policy: how.clock,
        segment_bytes: untether_ledger::log::SEGMENT_BYTES,
        known_kind: &Record::knows,
        accept_loss: how.accept_loss,
        witness: summary_witness(dir)?,
        parts_version: PARTS_VERSION,
        distrust,
    })?)
}

/// What opening put right, in words.
fn repairs(report: &OpenReport) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(torn) = &report.torn {
        lines.push(format!(
            "the ledger's last {} bytes were no whole record, as a crash leaves them: they have been cut off; nothing that was acknowledged is lost",
            torn.bytes
        ));
    }
    if report.witness_missing {
        lines.push("ledger/HEAD was missing: it has been written again".to_owned());
    }
    if let Some(why) = report.rebuilt.as_ref().filter(|_| report.head.seq > 1) {
        lines.push(format!("{why}: it is made again from the ledger"));
    }
    lines.extend(report.made.iter().map(|dir| {
        format!(
            "the directory '{}' was missing: it has been made again, empty; `untether state check` says what lacks",
            dir.display()
        )
    }));
    lines
}

/// What a person should know of a state that comes from another machine.
fn moved(host: &str) -> String {
    format!(
        "the state was last used on machine '{host}': see to it that nothing goes on with a copy of it there, two copies that go on apart cannot be joined"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wave_that_was_read_too_short_is_read_again() {
        let (switch, disable) = (Some(Stage::Switch), Some(Stage::Disable));
        for (loaded, needed) in [(None, None), (None, switch), (switch, switch), (disable, switch)] {
            assert!(reaches(loaded, needed), "{loaded:?} {needed:?}");
        }
        for (loaded, needed) in [(switch, None), (switch, disable)] {
            assert!(!reaches(loaded, needed), "{loaded:?} {needed:?}");
        }
    }
}
