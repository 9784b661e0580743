//! What cannot be read back as an entry's state: proofs at attest, and deliveries through hooks.

use untether_model::Side;
use untether_model::operation::Check;
use untether_model::run::{CellStand, Observation, Observed, OutcomeKind, Record, Started};

use super::{Ending, Executor, Task};
use crate::act::{STABLE_ID, Seen};
use crate::error::CutoverError;
use crate::image::{BEFORE, DESIRED, Image};

impl Executor {
    pub(super) async fn run_attest(&self, task: &Task<'_>, checks: &[Check]) -> Result<(), CutoverError> {
        let subject = task.subjects.first();
        if let CellStand::Done(_) = self.stand(task, subject) {
            return Ok(());
        }
        let from = self.ports.time.now();
        let mut proved = Vec::new();
        let mut missing = Vec::new();
        for check in checks {
            match check {
                Check::Absent => {
                    let attrs = [STABLE_ID.clone()];
                    let store = self.ports.stores.get(Side::Shared);
                    let by_name = self.answered(task, store.reader().read(task.op.target.dn(), &attrs).await)?.map(Seen::of);
                    let by_id = match self.wanted_id(task) {
                        Some(id) => self.answered(task, store.reader().find(store.suffix(), &id, &attrs).await)?,
                        None => None,
                    };
                    if by_name.is_some() || by_id.is_some() {
                        if !self.is_worked_on(task, subject) {
                            return Ok(());
                        }
                        let words = "the entry exists again in the shared store: something brought it back";
                        let result = Ending::new(OutcomeKind::Conflict, words);
                        return self.record_outcome(task, None, &task.subjects, result).await;
                    }
                    proved.push("absent by name and by stable id".to_owned());
                }
                Check::CopiesPurged => missing.push("copies in access logs and changelogs were not read".to_owned()),
                Check::NegativeAuthentication => missing.push("no probe account was disabled with this wave".to_owned()),
                Check::Evidence => missing.push("not included in a signed evidence log".to_owned()),
            }
        }
        if !self.is_worked_on(task, subject) {
            return Ok(());
        }
        let to = self.ports.time.now();
        let words = if missing.is_empty() { "complete".to_owned() } else { format!("partial: {}", missing.join("; ")) };
        if let Some(subject) = subject {
            let what = Observation::Proof { subject: subject.clone(), proved, missing };
            let coverage = "the shared store, by name and by stable id below its suffix".to_owned();
            let observed = Observed { what, source: "attest".to_owned(), coverage, from, to, expires: None };
            self.recorder.record(Record::Observed { observed }).await?;
        }
        self.record_outcome(task, None, &task.subjects, Ending::new(OutcomeKind::Succeeded, words)).await
    }

    pub(super) async fn run_delivery(&self, task: &Task<'_>, hook: &str, repeatable: bool) -> Result<(), CutoverError> {
        let Some(subject) = task.subjects.first() else {
            return Err(self.plan_error(task, "a delivery needs a subject"));
        };
        let (resumed, attempts) = match self.stand(task, Some(subject)) {
            CellStand::Done(_) => return Ok(()),
            CellStand::Observe { started, attempts } => (Some(started), attempts),
            CellStand::Fresh | CellStand::Failed(_) => (None, 0),
        };
        if let Some(started) = resumed
            && !repeatable
        {
            let words =
                "it was interrupted and nobody can see whether it arrived; ask the person, then `resolve --skip` or `retry`";
            return self.record_outcome(task, Some(started), &task.subjects, Ending::new(OutcomeKind::Conflict, words)).await;
        }
        let key = self.key(task)?;
        let empty = Image { dn: task.op.target.dn().clone(), attrs: Default::default(), secret: None };
        let sealed =
            |purpose| empty.seal(&key, purpose, &task.id).map_err(|source| CutoverError::Sealed { op: task.id.clone(), source });
        if !self.is_worked_on(task, Some(subject)) {
            return Ok(());
        }
        let started = self
            .record_started(Started {
                op: task.id.clone(),
                stage: task.op.stage,
                subjects: task.subjects.clone(),
                attempt: attempts + 1,
                store: task.op.store,
                stable_id: None,
                change_marker: None,
                before: sealed(BEFORE)?,
                desired: sealed(DESIRED)?,
                marks: Default::default(),
            })
            .await?;
        let result = match self.ports.hook.deliver(hook, &task.id.to_string(), subject).await {
            Ok(()) => Ending::new(OutcomeKind::Succeeded, "the hook said that it was delivered"),
            Err(words) => Ending::new(OutcomeKind::Refused, format!("hook {hook}: {words}")),
        };
        self.record_outcome(task, Some(started), &task.subjects, result).await
    }
}
