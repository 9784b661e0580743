//! What we have closed: no account that we disabled has a way in, unless somebody else opened it, and then the next look at it
//! records drift.

use std::collections::{BTreeMap, BTreeSet};

use untether_model::dn::DnKey;
use untether_model::operation::{Action, Stage};
use untether_model::run::{OutcomeKind, Record, WaveClaim};
use untether_model::{BatchId, Dn, OpId, Side, SubjectId, WaveId};

use crate::simulate::logins::opens;
use crate::twins::World;

/// A lock that is in place by the records.
#[derive(Clone)]
struct Lock {
    dn: Dn,
    /// We have put it there; else somebody had before us.
    ours: bool,
    drifted: bool,
}

/// Locks, who has touched them since, and when the engine last looked.
#[derive(Default)]
pub(super) struct Closed {
    tick: u64,
    locks: BTreeMap<(SubjectId, OpId), Lock>,
    deeds: BTreeMap<DnKey, u64>,
    looks: BTreeMap<DnKey, u64>,
    ended: BTreeMap<BatchId, u64>,
}

impl Closed {
    fn now(&mut self) -> u64 {
        self.tick += 1;
        self.tick
    }

    /// Somebody else did something to an account of the shared store.
    pub fn deed(&mut self, dn: &DnKey) {
        let now = self.now();
        self.deeds.insert(dn.clone(), now);
    }

    /// The engine has looked at the lock of an account of the shared store.
    pub fn look(&mut self, dn: &DnKey) {
        let now = self.now();
        self.looks.insert(dn.clone(), now);
    }

    /// A new wave has these subjects: what was locked before us is counted on by the wave that had them only.
    pub fn taken(&mut self, wave: &WaveId, claims: &[WaveClaim]) {
        let taken: BTreeSet<&SubjectId> = claims.iter().flat_map(|claim| &claim.subjects).map(|subject| &subject.id).collect();
        self.locks.retain(|(id, op), lock| lock.ours || op.wave() == wave || !taken.contains(id));
    }

    pub fn record(&mut self, world: &World, record: &Record) {
        match record {
            Record::Outcome { outcome } if outcome.stage == Stage::Disable => {
                let Some(dn) = world.operation(&outcome.op).filter(locks).map(|op| op.target.dn().clone()) else { return };
                let planned =
                    world.wave(outcome.op.wave()).is_some_and(|(head, _)| head.kind == untether_model::plan::OrderKind::Plan);
                for (subject, kind) in outcome.cells.iter().filter_map(|cell| Some((cell.subject.clone()?, cell.kind))) {
                    let key = (subject, outcome.op.clone());
                    let there = matches!(kind, OutcomeKind::Already | OutcomeKind::Succeeded | OutcomeKind::Observed);
                    if there && planned {
                        let ours = kind != OutcomeKind::Already || self.locks.get(&key).is_some_and(|lock| lock.ours);
                        self.locks.insert(key, Lock { dn: dn.clone(), ours, drifted: false });
                    } else {
                        self.locks.remove(&key);
                    }
                }
            }
            Record::RolledBack { subjects, to, kept, .. } if *to <= Stage::Disable => {
                self.locks.retain(|(id, op), _| !subjects.contains(id) || kept.iter().any(|(kept, of)| kept == op && of == id))
            }
            Record::Resolved { op, subject: Some(subject), verb, .. } => {
                let key = (subject.clone(), op.clone());
                match verb.as_str() {
                    "force" => drop(self.locks.get_mut(&key).map(|lock| lock.drifted = false)),
                    _ => drop(self.locks.remove(&key)),
                }
            }
            Record::Drift { op, subject: Some(subject), over, .. } => {
                if let Some(lock) = self.locks.get_mut(&(subject.clone(), op.clone())) {
                    lock.drifted = !over;
                }
            }
            // Its new wave looks after it.
            Record::Reopened { subject, .. } => self.locks.retain(|(id, _), lock| id != subject || !lock.drifted),
            Record::StageEnded { batch, .. } => {
                let now = self.now();
                self.ended.insert(batch.clone(), now);
            }
            _ => {}
        }
    }

    /// What is wrong when a batch begins its next stage with these subjects.
    pub fn stage_started(&self, world: &World, batch: &BatchId, standing: &BTreeSet<SubjectId>) -> Vec<String> {
        let mut wrong = Vec::new();
        let here = self.locks.iter().filter(|((id, op), _)| op.batch == *batch && standing.contains(id));
        for ((id, _), lock) in here.filter(|(_, lock)| !lock.drifted) {
            let Some(ended) = self.ended.get(batch) else { continue };
            let looked = self.looks.get(lock.dn.key());
            if looked.is_none_or(|looked| looked < ended) {
                wrong.push(format!("{batch} goes on and nobody has looked whether {id} is still closed"));
            }
            if is_open(world, &lock.dn) && self.deeds.get(lock.dn.key()) < looked {
                wrong.push(format!("{batch} goes on although the look saw the account of {id} open"));
            }
        }
        wrong
    }

    /// What is wrong after an audit: accounts that we closed, that somebody has opened, and of which no record says so.
    pub fn audited(&self, world: &World, under_way: impl Fn(&SubjectId) -> bool) -> Vec<String> {
        let silent = self.locks.iter().filter(|((id, _), lock)| !lock.drifted && !under_way(id) && is_open(world, &lock.dn));
        silent.map(|((id, op), _)| format!("the audit saw the account of {id} open and recorded no drift of {op}")).collect()
    }

    /// Whether a lock of this account is in place by the records.
    pub fn holds(&self, dn: &Dn) -> bool {
        self.locks.values().any(|lock| lock.dn.key() == dn.key())
    }

    /// Accounts that we closed and that have a way in.
    pub fn open<'a>(&'a self, world: &'a World) -> impl Iterator<Item = (&'a SubjectId, &'a Dn)> {
        let open = self.locks.iter().filter(|(_, lock)| opens(world, Side::Shared, world.entry(Side::Shared, &lock.dn).as_ref()));
        open.map(|((id, _), lock)| (id, &lock.dn))
    }
}

fn locks(op: &untether_model::operation::Operation) -> bool {
    let Action::Set { touches } = &op.action else { return false };
    op.store == Side::Shared && touches.iter().any(|touch| touch.attr.is("pwdaccountlockedtime"))
}

/// The lock is gone, or does not hold.
fn is_open(world: &World, dn: &Dn) -> bool {
    let entry = world.entry(Side::Shared, dn);
    entry.as_ref().is_some_and(|e| !e.has("pwdAccountLockedTime")) || opens(world, Side::Shared, entry.as_ref())
}
