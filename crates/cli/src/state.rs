//! The state directory as commands use it: opened by one process for writing, or looked at without any lock.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use untether_cutover::{Ports, Recorder, Stores};
use untether_ledger::log::{Witness, read_created};
use untether_ledger::{Clock, ClockPolicy, Disk, KeyStore, LedgerError, Reader, StateDir, StateLock, SystemClock};
use untether_model::digest::Digest;
use untether_model::event::Event;
use untether_model::plan::{PlanHeader, Wave};
use untether_model::run::{RateSummary, Record, RunState, Summary, apply};
use untether_model::{Side, StateId, WaveId};

use crate::config::Config;
use crate::error::CliError;
use crate::output::Output;
use crate::wiring::display::Display;
use crate::wiring::handover::AgeHandover;
use crate::wiring::journal::{LiveJournal, SummaryPlace};
use crate::wiring::keys::StateKeyring;
use crate::wiring::opening::{self, Opening, Run};
use crate::wiring::records::{each_record, records_of, unreadable};
use crate::wiring::roster::LiveRoster;
use crate::wiring::stores::LiveStore;
use crate::wiring::waves::blob;

/// Version of the parts in the database.
pub const PARTS_VERSION: u32 = 4;

/// The system's clock, behind the trait that everything else is handed.
pub fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock::new())
}

/// The state, held by this process.
pub struct Opened {
    /// The directory.
    pub dir: StateDir,
    /// Its keys.
    pub keys: KeyStore,
    /// What was not as it should be when it was opened, and was put right without loss.
    pub repaired: Vec<String>,
    journal: Arc<LiveJournal>,
    recorder: Arc<Recorder>,
    clock: Arc<dyn Clock>,
}

/// How to open.
#[derive(Clone, Copy, Debug, Default)]
pub struct How {
    /// What a clock that is behind means.
    pub clock: ClockPolicy,
    /// A person accepted that the ledger's tail is lost.
    pub accept_loss: bool,
}

impl Opened {
    /// Opens the state for appending; refuses while another process has it (exit 6).
    pub async fn open(config: &Config) -> Result<Self, CliError> {
        Self::open_with(config, How::default(), &Output::new(false))
    }

    /// Opens the state, and tells what was found.
    pub fn open_with(config: &Config, how: How, output: &Output) -> Result<Self, CliError> {
        let dir = directory(config)?;
        let keys = keys(&dir)?;
        let opening = opening::everything(&dir, how, output)?;
        Self::start(dir, keys, opening)
    }

    /// Opens as much of the state as the run of a wave needs, and the wave.
    pub fn open_for_run(config: &Config, run: Run<'_>, output: &Output) -> Result<(Self, PlanHeader, Wave), CliError> {
        let dir = directory(config)?;
        let keys = keys(&dir)?;
        let (opening, header, wave) = opening::for_run(&dir, &keys, run, output)?;
        Ok((Self::start(dir, keys, opening)?, header, wave))
    }

    fn start(dir: StateDir, keys: KeyStore, opening: Opening) -> Result<Self, CliError> {
        let journal = Arc::new(opening.journal.start()?);
        let journal = Arc::new(LiveJournal::new(journal, dir.clone(), summary_of(&dir)?));
        let recorder = Arc::new(Recorder::new(journal.clone(), opening.state));
        Ok(Self { dir, keys, repaired: opening.repaired, journal, recorder, clock: clock() })
    }

    /// Looks at the state.
    pub fn look<T>(&self, look: impl FnOnce(&RunState) -> T) -> T {
        self.recorder.look(look)
    }

    /// The state as it is now.
    pub fn state_now(&self) -> RunState {
        self.look(Clone::clone)
    }

    /// Records durably.
    pub async fn record(&self, record: Record) -> Result<u64, CliError> {
        let seq = self.recorder.record(record).await?;
        self.journal.write_summary();
        Ok(seq)
    }

    /// Now.
    pub fn now(&self) -> Timestamp {
        self.clock.wall()
    }

    /// The journal's view of the ledger.
    pub fn ledger(&self) -> Arc<LiveJournal> {
        self.journal.clone()
    }

    /// The state directory's identity.
    pub fn state_id(&self) -> Result<StateId, CliError> {
        self.look(|state| state.general().state.clone())
            .ok_or_else(|| CliError::state("the ledger does not begin with its state's identity"))
    }

    /// A display for a run.
    pub fn display(&self, output: &Output) -> Display {
        Display::new(output, summary_of(&self.dir).unwrap_or_default())
    }

    /// Everything that the engine is handed.
    pub fn ports(&self, config: &Config, events: Arc<dyn Fn(Event) + Send + Sync>) -> Result<Ports, CliError> {
        let stores = Stores {
            shared: LiveStore::open(config, Side::Shared)?.for_writing()?,
            independent: LiveStore::open(config, Side::Independent)?.for_writing()?,
        };
        let files = self.look(wave_files);
        let (dir, keys) = (self.dir.clone(), KeyStore::open(&self.dir)?);
        let journal = self.journal.clone();
        let clock = self.clock.clone();
        let events: Arc<dyn Fn(Event) + Send + Sync> = Arc::new(move |event| {
            match &event {
                Event::Waiting { batch, stage, reason } => journal.waits(batch, format!("{stage}: {reason}")),
                Event::Rate { store, per_second, in_flight, limit, reason, .. } => {
                    let (at, why) = (Some(clock.wall()), reason.clone());
                    journal
                        .goes_at(*store, RateSummary { at, per_second: *per_second, in_flight: *in_flight, limit: *limit, why });
                }
                _ => {}
            }
            events(event);
        });
        self.journal.tell_witness(events.clone());
        self.recorder.listen(events);
        Ok(Ports {
            recorder: self.recorder.clone(),
            ledger: self.journal.clone(),
            keys: Arc::new(StateKeyring::new(self.dir.clone(), KeyStore::open(&self.dir)?, files.clone())),
            marks: Arc::new(self.keys.marks()),
            time: Arc::new(LiveTime(self.clock.clone())),
            stores,
            roster: Some(Arc::new(self.look(|state| LiveRoster::new(config.clone(), state)))),
            hook: Arc::new(AgeHandover::new(self.dir.clone(), config.clone())),
            blobs: Arc::new(move |wave, digest| {
                let file = files.get(wave).ok_or_else(|| format!("wave {wave} is in no recorded order"))?;
                blob(&dir, &keys, file, digest)
            }),
        })
    }

    /// Writes summary and second witness; tells the ledger's head.
    pub async fn finish(&self) -> String {
        self.journal.write_summary();
        match self.journal.journal().write_head().await {
            Ok(head) => format!("record {} ({})", head.seq, head.hash),
            Err(error) => format!("(the second witness was not written: {error})"),
        }
    }
}

/// The sealed file of each wave of the recorded orders.
fn wave_files(state: &RunState) -> BTreeMap<WaveId, Digest> {
    let orders = state.orders().iter();
    orders.flat_map(|(id, o)| o.waves.iter().map(|w| (WaveId::new(id.clone(), w.name.as_str()), w.digest))).collect()
}

/// The keys of a state, refused where the ledger beside them is another state's.
pub fn keys(dir: &StateDir) -> Result<KeyStore, CliError> {
    let keys = KeyStore::open(dir)?;
    match keys.refuse_foreign() {
        Err(error @ LedgerError::Foreign { .. }) => {
            let LedgerError::Foreign { state, .. } = &error else { return Err(error.into()) };
            let hint = match stored_summary(dir)?.and_then(|summary| summary.state) {
                Some(of) if of == *state => {
                    "the summary is of the ledger's state, so the key is the wrong one: restore keys/ from the backup of this state".to_owned()
                }
                Some(of) => format!(
                    "the summary is of state {of}, so ledger/ was copied here from another one: restore ledger/ from the backup of that state"
                ),
                None => "restore the whole state directory from one backup".to_owned(),
            };
            Err(CliError::from(error).hint(hint))
        }
        Err(error) => Err(error.into()),
        Ok(_) => Ok(keys),
    }
}

/// The clock and the timer of a live run.
struct LiveTime(Arc<dyn Clock>);

#[async_trait::async_trait]
impl untether_cutover::Time for LiveTime {
    fn now(&self) -> Timestamp {
        self.0.wall()
    }

    fn mono(&self) -> std::time::Duration {
        self.0.mono()
    }

    async fn sleep_until(&self, until: Timestamp) {
        let left = until.duration_since(self.0.wall());
        if let Ok(left) = std::time::Duration::try_from(left) {
            tokio::time::sleep(left).await;
        }
    }
}

/// The state, looked at while anybody may hold it: the fold of the ledger's durable records.
pub struct Looked {
    /// The directory.
    pub dir: StateDir,
    /// Its keys.
    pub keys: KeyStore,
    /// The fold.
    pub state: RunState,
    last: Option<Timestamp>,
}

impl Looked {
    /// Folds the ledger.
    pub fn look(config: &Config) -> Result<Self, CliError> {
        let dir = directory(config)?;
        let keys = keys(&dir)?;
        let (mut state, mut last) = (RunState::new(), None);
        each_record(&dir, |seq, at, record| {
            let change = apply(&state, seq, at, record).map_err(|e| unreadable(seq, &e))?;
            state.commit(change);
            last = Some(at);
            Ok(())
        })?;
        Ok(Self { dir, keys, state, last })
    }

    /// Now: never before the last record, so that a clock that was set back brings nothing back that has ended.
    pub fn now(&self) -> Timestamp {
        now_after(self.last)
    }
}

/// Now, but not before a record that exists.
pub fn now_after(last: Option<Timestamp>) -> Timestamp {
    let wall = clock().wall();
    last.map_or(wall, |last| last.max(wall))
}

/// The state directory of a configuration.
pub fn directory(config: &Config) -> Result<StateDir, CliError> {
    if !config.state.exists() {
        return Err(CliError::usage(format!("there is no state directory '{}'", config.state.display()))
            .hint("make one with `untether init`"));
    }
    Ok(StateDir::open(Disk::real(), &config.state)?)
}

/// The process that holds a state and since when, as far as they can be told.
type HeldBy = (Option<u32>, Option<Timestamp>);

/// Who holds the state: process and since when.
pub fn holder(config: &Config) -> Result<Option<HeldBy>, CliError> {
    let dir = directory(config)?;
    Ok(StateLock::holder(&dir)?.map(|h| (h.pid, h.since)))
}

/// What `status` shows.
pub fn summary(config: &Config) -> Result<Summary, CliError> {
    let dir = directory(config)?;
    let ledger = read_created(dir.disk(), &dir.ledger())?.state;
    // `status` asks for no key, so this is all that it can tell by.
    if let Some(other) = stored_summary(&dir)?.and_then(|summary| summary.state).filter(|state| *state != ledger) {
        return Err(CliError::state(format!(
            "the summary is of state {other} and the ledger of state {ledger}: one of them was copied from another state"
        ))
        .hint("`untether state check` tells which"));
    }
    summary_of(&dir)
}

/// The summary file, where there is one that can be read.
fn stored_summary(dir: &StateDir) -> Result<Option<Summary>, CliError> {
    Ok(dir.read_summary()?.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
}

/// The summary says how far the ledger went at least: it only tells what is durable.
pub fn summary_witness(dir: &StateDir) -> Result<Option<Witness>, CliError> {
    let witness = |summary: Summary| Some(Witness { name: "the summary", state: summary.state?, seq: summary.seq });
    Ok(stored_summary(dir)?.and_then(witness))
}

/// The summary file with the ledger's tail folded onto it; the whole ledger where there is no summary of it.
fn summary_of(dir: &StateDir) -> Result<Summary, CliError> {
    let state = read_created(dir.disk(), &dir.ledger())?.state;
    let mut summary = stored_summary(dir)?.filter(|summary| summary.state.as_ref() == Some(&state)).unwrap_or_default();
    let reader = match after(dir, summary.seq)? {
        Some(reader) => reader,
        None => {
            summary = Summary::default();
            Reader::open(dir.disk(), &dir.ledger())?
        }
    };
    records_of(reader, |seq, at, record| {
        summary.fold(seq, at, record);
        Ok(())
    })?;
    Ok(summary)
}

/// A reader of the records after this one: from its place, where the summary's file says that and it is there, else by a walk through its
/// segment. `None`: it is not to be found, or there is none.
fn after(dir: &StateDir, seq: u64) -> Result<Option<Reader>, CliError> {
    if seq == 0 {
        return Ok(None);
    }
    let place = dir.read_summary()?.and_then(|bytes| SummaryPlace::of(&bytes)).filter(|place| place.seq == seq);
    let at_place = place.and_then(|place| {
        let mut reader = Reader::open_at(dir.disk(), &dir.ledger(), place).ok()?;
        reader.next_frame().ok()?.map(|_| reader)
    });
    Ok(at_place.or_else(|| Reader::open_after(dir.disk(), &dir.ledger(), seq).ok()))
}
