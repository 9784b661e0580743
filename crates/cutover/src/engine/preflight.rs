//! Before the first write of a wave: the right stores, enough approvals, thresholds, and a world that has not moved away.

use futures::StreamExt;
use untether_model::operation::{Action, Operation, Stage, Target};
use untether_model::plan::{PLAN_VERSION, PlanHeader, Wave};
use untether_model::run::{ClaimedSubject, Decision, Record, WaveClaim, WaveStatus, apply, missing_approvals};
use untether_model::{Round, Side};

use super::look::LOOKS;
use super::{Engine, Standstill};
use crate::act::STABLE_ID;
use crate::error::CutoverError;
use crate::execute::Task;

/// Entries or subjects that a refusal lists.
const LISTED: usize = 20;

impl Engine {
    /// Checks what must hold before anything is written, and records the wave's start. `Some`: it must not run.
    pub(super) async fn preflight(&self, header: &PlanHeader, wave: &Wave) -> Result<Option<Standstill>, CutoverError> {
        let refused = |reason: String| Ok(Some(Standstill::Refused { reason }));
        if header.version < PLAN_VERSION {
            let words = "does not say how each entity's subjects are treated: audit and plan again, what is done counts";
            return refused(format!("plan {} is of the older format {}, which {words}", wave.id.plan, header.version));
        }
        if !header.executable {
            return refused(format!("the plan can only be rehearsed: {}", header.not_executable.join("; ")));
        }
        if self.recorder.look(|state| state.orders().get(&wave.id.plan).is_some_and(|order| !order.executable)) {
            return refused(format!("plan {} has errors: `untether plan lint` lists them", wave.id.plan));
        }
        if let Some(reason) = self.other_store(header).await? {
            return refused(reason);
        }
        let started = self.recorder.look(|state| state.waves().get(&wave.id).map(|w| w.status));
        match started {
            Some(WaveStatus::Running) => return Ok(None),
            Some(WaveStatus::Ended) => return Ok(None),
            Some(WaveStatus::Aborted) => return refused(format!("wave {} was aborted; make a new plan", wave.id)),
            None => {}
        }
        if let Some(reason) = self.waits_for(wave) {
            return refused(reason);
        }
        if let Some(reason) = self.decided_since(wave) {
            return refused(reason);
        }
        if let Some(reason) = over_threshold(wave) {
            return refused(reason);
        }
        if let Some(standstill) = self.first_approval(wave) {
            return Ok(Some(standstill));
        }
        if let Some(reason) = self.moved(wave).await? {
            return refused(reason);
        }
        let record = start_record(header, wave);
        let now = self.ports.time.now();
        if let Some(taken) = self.recorder.look(|state| apply(state, 0, now, &record).err()) {
            return refused(format!("{} {}; make a new plan", taken.object, taken.reason));
        }
        self.recorder.record(record).await?;
        Ok(None)
    }

    /// Another server under the same URL is another store.
    async fn other_store(&self, header: &PlanHeader) -> Result<Option<String>, CutoverError> {
        for (side, planned) in &header.stores {
            let Some(wanted) = &planned.identity.stable_id else { continue };
            let store = self.ports.stores.get(*side);
            let base = store.reader().read(&planned.identity.suffix, std::slice::from_ref(&STABLE_ID)).await?;
            let found = base.as_ref().and_then(|e| e.text(STABLE_ID.as_str()));
            if !found.is_some_and(|found| found.eq_ignore_ascii_case(wanted.as_str())) {
                return Ok(Some(format!(
                    "the {side} store is not the one that was audited: its base entry '{}' has the id {}, the plan expects {wanted}",
                    planned.identity.suffix,
                    found.unwrap_or("(none that this identity may read)"),
                )));
            }
        }
        Ok(None)
    }

    fn waits_for(&self, wave: &Wave) -> Option<String> {
        self.recorder.look(|state| {
            let unfinished = wave.header.after.iter().find(|name| {
                let id = untether_model::WaveId::new(wave.id.plan.clone(), name.as_str());
                state.waves().get(&id).is_none_or(|w| w.status != WaveStatus::Ended)
            });
            unfinished.map(|name| format!("wave {} must end first", name))
        })
    }

    /// What people decided on the wave's subjects after its plan was made: the plan knows nothing of it.
    fn decided_since(&self, wave: &Wave) -> Option<String> {
        self.recorder.look(|state| {
            let plan = state.orders().get(&wave.id.plan).map(|order| order.record)?;
            let decided = state.decided_after(plan, |d| matches!(d, Decision::Match(_) | Decision::Track { .. }));
            let subjects = wave.batches.iter().flat_map(|batch| &batch.subjects);
            let mut about: Vec<String> =
                subjects.filter_map(|s| Some(format!("{} (decision {})", s.id, decided.get(&s.id)?))).collect();
            let count = about.len();
            if count > LISTED {
                about.truncate(LISTED);
                about.push(format!("and {} more", count - LISTED));
            }
            (count > 0).then(|| {
                format!(
                    "people have decided on {count} of the wave's subjects since the plan; audit and plan again: {}",
                    about.join(", ")
                )
            })
        })
    }

    fn first_approval(&self, wave: &Wave) -> Option<Standstill> {
        let first = first_stage(wave)?;
        let batch = wave.batch_id(&wave.batches.first()?.name);
        let digest = self.recorder.look(|state| state.orders().get(&wave.id.plan).map(|o| o.digest));
        let Some(digest) = digest else {
            return Some(Standstill::Refused {
                reason: format!("plan {} is not recorded in this state directory", wave.id.plan),
            });
        };
        let now = self.ports.time.now();
        let gap =
            self.recorder.look(|state| missing_approvals(state, &digest, &wave.id.wave, (Round::FIRST, 0, first), (1, now)));
        gap.map(|gap| Standstill::Approval { batch, stage: first, reason: super::stage::gap_words(&gap) })
    }

    /// How many of the entries that the first stage touches are no longer as the plan expects; a list if they are too many.
    async fn moved(&self, wave: &Wave) -> Result<Option<String>, CutoverError> {
        let Some(first) = first_stage(wave) else { return Ok(None) };
        let touched: Vec<&Operation> = wave
            .operations()
            .iter()
            .filter(|op| {
                op.stage == first && matches!(op.action, Action::Set { .. }) && matches!(op.target, Target::Existing { .. })
            })
            .collect();
        let mut looks = futures::stream::iter(touched.iter().map(|op| self.has_moved(wave, op))).buffer_unordered(LOOKS);
        let mut moved = Vec::new();
        while let Some(found) = looks.next().await {
            moved.extend(found?);
        }
        moved.sort();
        let count = u32::try_from(moved.len()).unwrap_or(u32::MAX);
        let all = u32::try_from(touched.len().max(1)).unwrap_or(u32::MAX);
        if f64::from(count) * 100.0 <= f64::from(all) * wave.header.moved_percent {
            return Ok(None);
        }
        let mut listed: Vec<String> = moved.iter().take(LISTED).cloned().collect();
        if moved.len() > LISTED {
            listed.push(format!("and {} more", moved.len() - LISTED));
        }
        Ok(Some(format!(
            "{count} of {all} entries that the wave touches have moved since the plan (more than {} %); audit and plan again. Moved: {}",
            wave.header.moved_percent,
            listed.join("; ")
        )))
    }

    async fn has_moved(&self, wave: &Wave, op: &Operation) -> Result<Option<String>, CutoverError> {
        let task = Task { id: wave.op_id(op), op, subjects: op.subjects.clone() };
        Ok(self.executor.moved(&task).await?.map(|why| format!("{} ({why})", op.target.dn())))
    }
}

fn first_stage(wave: &Wave) -> Option<Stage> {
    wave.batches.iter().flat_map(|b| b.subjects.iter()).flat_map(|s| s.stages.iter().copied()).min()
}

fn start_record(header: &PlanHeader, wave: &Wave) -> Record {
    let claims = wave
        .batches
        .iter()
        .map(|batch| WaveClaim {
            batch: batch.name.clone(),
            canary: batch.canary,
            subjects: batch
                .subjects
                .iter()
                .map(|s| ClaimedSubject { id: s.id.clone(), track: s.track, entity: s.entity.clone(), stages: s.stages.clone() })
                .collect(),
        })
        .collect();
    let digest = header.waves.iter().find(|w| w.name == wave.id.wave).map(|w| w.digest);
    Record::WaveStarted {
        wave: wave.id.clone(),
        digest: digest.unwrap_or_else(|| untether_model::digest::Digest::of(b"")),
        claims,
        failure_tolerance: wave.header.failure_tolerance,
    }
}

/// Counts what the wave would change and compares with its limits.
fn over_threshold(wave: &Wave) -> Option<String> {
    let limits = &wave.header.thresholds;
    for side in Side::ALL {
        let scope = wave.header.in_scope.get(&side).copied().unwrap_or(0);
        let count = |wanted: &dyn Fn(&Operation) -> bool| {
            let names: std::collections::BTreeSet<_> = wave
                .operations()
                .iter()
                .filter(|op| op.store == side && wanted(op))
                .map(|op| op.target.dn().key().clone())
                .collect();
            u64::try_from(names.len()).unwrap_or(u64::MAX)
        };
        // What is created is not changed; the linter counts the same way.
        let changed = count(&|op| {
            matches!(op.target, Target::Existing { .. })
                && !matches!(op.action, Action::Attest { .. } | Action::Deliver { .. } | Action::Create { .. })
        });
        let disabled = count(&|op| op.stage == Stage::Disable && matches!(op.action, Action::Set { .. }));
        let removed = count(&|op| op.action == Action::Delete);
        let checks = [
            ("changed", changed, limits.max_changed, limits.max_changed_percent),
            ("disabled", disabled, limits.max_disabled, limits.max_disabled_percent),
            ("removed", removed, limits.max_removed, limits.max_removed_percent),
        ];
        for (what, found, count, percent) in checks {
            if let Some(max) = count.filter(|max| found > *max) {
                return Some(format!("{found} entries of the {side} store would be {what}, the threshold is {max}"));
            }
            // Counts are far below 2^52, so the conversion is exact.
            #[expect(clippy::cast_precision_loss, reason = "counts of entries are far below 2^52")]
            let share = if scope == 0 { 0.0 } else { found as f64 * 100.0 / scope as f64 };
            if share > percent {
                return Some(format!(
                    "{found} of {scope} accounts of the {side} store ({share:.1} %) would be {what}, the threshold is {percent} %"
                ));
            }
        }
    }
    None
}
