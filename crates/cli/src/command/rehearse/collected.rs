//! What a rehearsal's journal told, gathered by wave.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde::Serialize;
use untether_model::event::Event;
use untether_model::operation::Stage;
use untether_model::plan::Wave;
use untether_model::run::{GateKind, GateScope, Observation, Outcome, OutcomeKind, Record, Summary, Verdict};
use untether_model::{BatchId, Dn, OpId, Side, SubjectId, WaveId};

use crate::output::Output;
use crate::wiring::display::Display;

/// An operation that would not be carried out.
#[derive(Clone, Debug, Serialize)]
pub struct Refusal {
    /// The operation.
    pub op: OpId,
    /// Its stage.
    pub stage: Stage,
    /// The store.
    pub store: Option<Side>,
    /// The entry.
    pub dn: Option<Dn>,
    /// Whom it serves.
    pub subjects: Vec<SubjectId>,
    /// `refused` or `conflict`.
    pub kind: OutcomeKind,
    /// The result code.
    pub code: Option<u32>,
    /// Why.
    pub message: String,
}

/// A subject that would leave its batch.
#[derive(Clone, Debug, Serialize)]
pub struct ParkedSubject {
    /// The subject.
    pub subject: SubjectId,
    /// Its batch.
    pub batch: BatchId,
    /// The stage.
    pub stage: Stage,
    /// `failed`, `conflict`, `held`, `roster`.
    pub reason: String,
    /// In words.
    pub details: String,
}

/// What a stage would do.
#[derive(Clone, Debug, Default, Serialize)]
pub struct StageCount {
    /// Operations that have an outcome.
    pub operations: u64,
    /// Cells by outcome.
    pub cells: BTreeMap<OutcomeKind, u64>,
}

/// How often a gate was asked, and how often it was assumed to pass.
#[derive(Clone, Debug, Default, Serialize)]
pub struct GateCount {
    /// It would pass by what the twins show.
    pub passed: u64,
    /// The plan leaves it out, by the reason that it gives.
    pub exempt: BTreeMap<String, u64>,
    /// It was assumed to pass.
    pub assumed: u64,
    /// Why it had to be assumed.
    pub why: BTreeMap<String, u64>,
}

/// One wave.
#[derive(Clone, Debug, Serialize)]
pub struct WaveTold {
    /// Its name.
    pub wave: String,
    /// Its operations.
    pub operations: u64,
    /// When it begins, on the clock of the rehearsal.
    pub begins: Timestamp,
    /// When it ends.
    pub ends: Timestamp,
    /// It comes to its end.
    pub complete: bool,
    /// What is done, by stage.
    pub stages: BTreeMap<Stage, StageCount>,
    /// What is refused or meets a conflict.
    pub refused: Vec<Refusal>,
    /// Who leaves the wave.
    pub parked: Vec<ParkedSubject>,
    /// Batches that would halt, and why.
    pub halts: Vec<(BatchId, String)>,
    /// What it does not get beyond.
    pub standstills: Vec<String>,
    /// Gates.
    pub gates: BTreeMap<GateKind, GateCount>,
}

/// Everything that was told.
#[derive(Clone, Debug, Default)]
pub struct Collected {
    /// The waves, in order.
    pub waves: Vec<WaveTold>,
}

impl Collected {
    /// Operations that were refused or met a conflict, and operations in all.
    pub fn refused_of(&self) -> (u64, u64) {
        let refused = self.waves.iter().flat_map(|w| &w.refused).map(|r| &r.op).collect::<BTreeSet<_>>().len();
        (u64::try_from(refused).unwrap_or(u64::MAX), self.waves.iter().map(|w| w.operations).sum())
    }
}

#[derive(Default)]
struct Inner {
    collected: Collected,
    wave: Option<WaveId>,
    operations: BTreeMap<OpId, BTreeMap<Option<SubjectId>, OutcomeKind>>,
    stages: BTreeMap<OpId, Stage>,
    gates: BTreeMap<(GateKind, GateScope), (Verdict, String)>,
    begun: bool,
}

/// Takes events in.
pub struct Collector {
    inner: Mutex<Inner>,
    output: Output,
    display: Option<Display>,
}

impl Collector {
    /// Tells progress on standard error, as a run does; nothing where JSON was asked for.
    pub fn new(output: &Output) -> Self {
        let display = (!output.is_json()).then(|| Display::new(output, Summary::default()));
        Self { inner: Mutex::default(), output: Output::new(output.is_json()), display }
    }

    /// Tells no progress: for what was shown already.
    pub fn quiet(output: &Output) -> Self {
        Self { inner: Mutex::default(), output: Output::new(output.is_json()), display: None }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A wave begins.
    pub fn begin(&self, wave: &Wave, at: Timestamp) {
        let operations = u64::try_from(wave.operations().len()).unwrap_or(u64::MAX);
        if self.display.is_some() {
            self.output.note(format!(
                "rehearsing wave {}: {} batches, {operations} operations",
                wave.id.wave,
                wave.batches.len()
            ));
        }
        let mut inner = self.lock();
        inner.wave = Some(wave.id.clone());
        inner.begun = true;
        inner.collected.waves.push(WaveTold {
            wave: wave.id.wave.to_string(),
            operations,
            begins: at,
            ends: at,
            complete: false,
            stages: BTreeMap::new(),
            refused: Vec::new(),
            parked: Vec::new(),
            halts: Vec::new(),
            standstills: Vec::new(),
            gates: BTreeMap::new(),
        });
    }

    /// A batch would halt.
    pub fn halted(&self, batch: &BatchId, reason: &str) {
        if let Some(wave) = self.lock().collected.waves.last_mut() {
            wave.halts.push((batch.clone(), reason.to_owned()));
        }
    }

    /// A wave ended, or does not go on.
    pub fn end(&self, wave: &Wave, at: Timestamp, complete: bool, standstills: Vec<String>) {
        let mut inner = self.lock();
        inner.wave = None;
        let (operations, stages) = (std::mem::take(&mut inner.operations), std::mem::take(&mut inner.stages));
        let gates = std::mem::take(&mut inner.gates);
        let Some(told) = inner.collected.waves.last_mut() else { return };
        told.ends = at;
        told.complete = complete;
        told.standstills = standstills;
        for (op, cells) in operations {
            let Some(stage) = stages.get(&op) else { continue };
            let count = told.stages.entry(*stage).or_default();
            count.operations += 1;
            for kind in cells.into_values() {
                *count.cells.entry(kind).or_default() += 1;
            }
        }
        for ((gate, _), (verdict, why)) in gates {
            let count = told.gates.entry(gate).or_default();
            match verdict {
                Verdict::Pass => count.passed += 1,
                Verdict::Exempt => *count.exempt.entry(why).or_default() += 1,
                Verdict::Hold | Verdict::Unknown => {
                    count.assumed += 1;
                    *count.why.entry(why).or_default() += 1;
                }
            }
        }
        let known: BTreeMap<OpId, _> = wave.operations().iter().map(|op| (wave.op_id(op), op)).collect();
        for refusal in &mut told.refused {
            if let Some(op) = known.get(&refusal.op) {
                refusal.store = Some(op.store);
                refusal.dn = Some(op.target.dn().clone());
            }
        }
    }

    /// What the journal told.
    pub fn take_in(&self, event: Event) {
        // How fast a twin is says nothing of a server.
        let Event::Step { at, .. } = &event else { return };
        let mut inner = self.lock();
        if let Some(display) = self.display.as_ref().filter(|_| inner.begun) {
            display.show(&event, *at);
        }
        let Event::Step { record, .. } = event else { return };
        if inner.wave.is_none() {
            return;
        }
        match *record {
            Record::Outcome { outcome } => inner.outcome(outcome),
            Record::Parked { subject, batch, reason, stage, details, .. } => {
                let reason = reason.as_str().to_owned();
                if let Some(wave) = inner.collected.waves.last_mut() {
                    wave.parked.push(ParkedSubject { subject, batch, stage, reason, details });
                }
            }
            Record::Observed { observed } => {
                if let Observation::Gate { gate, scope, verdict, why } = observed.what {
                    inner.gates.insert((gate, scope), (verdict, why));
                }
            }
            _ => {}
        }
    }

    /// Takes the display away.
    pub fn finish(&self) {
        if let Some(display) = &self.display {
            display.finish();
        }
    }

    /// Everything that was told.
    pub fn take(&self) -> Collected {
        std::mem::take(&mut self.lock().collected)
    }
}

impl Inner {
    fn outcome(&mut self, outcome: Outcome) {
        let mut bad: BTreeMap<OutcomeKind, Vec<SubjectId>> = BTreeMap::new();
        for cell in &outcome.cells {
            self.operations.entry(outcome.op.clone()).or_default().insert(cell.subject.clone(), cell.kind);
            if matches!(cell.kind, OutcomeKind::Refused | OutcomeKind::Conflict) {
                bad.entry(cell.kind).or_default().extend(cell.subject.clone());
            }
        }
        self.stages.insert(outcome.op.clone(), outcome.stage);
        let Some(wave) = self.collected.waves.last_mut() else { return };
        for (kind, subjects) in bad {
            wave.refused.push(Refusal {
                op: outcome.op.clone(),
                stage: outcome.stage,
                store: None,
                dn: None,
                subjects,
                kind,
                code: outcome.code,
                message: outcome.message.clone(),
            });
        }
    }
}
