//! The operations that concern one subject alone, stage by stage.
//!
//! What concerns many at once (groups, references) is [`super::shared_ops`].

use untether_model::operation::{
    Action, Actor, Check, Desired, Expects, Operation, Phase, PlannedValue, Stage, Target, Touch, Track, UndoClass,
};
use untether_model::policy::{Admission, Capabilities};
use untether_model::time::{PERMANENT_LOCK, to_generalized};
use untether_model::{AttrName, Dn, Side, Value};

use super::Inputs;
use super::candidate::{Candidate, SharedAccount};
use super::facts::{AccountFacts, Facts};
use crate::undo;

/// Operations of a batch. They are moved while they are put in order, and each ends in a box of its line.
pub(super) type Operations = Vec<Box<Operation>>;

/// One batch's frame for its operations.
pub(super) struct Frame<'a> {
    pub inputs: &'a Inputs<'a>,
    pub batch: &'a str,
}

/// What an operation is, without its place in the batch.
pub(super) struct Draft {
    pub stage: Stage,
    pub phase: Phase,
    pub store: Side,
    pub actor: Actor,
    pub target: Target,
    pub action: Action,
    pub undo: UndoClass,
    pub reason: String,
}

impl Frame<'_> {
    pub(super) fn capabilities(&self, side: Side) -> Option<&Capabilities> {
        self.inputs.capabilities.get(&side)
    }

    fn manage(&self) -> bool {
        self.capabilities(Side::Shared).is_some_and(|c| c.manage)
    }

    pub(super) fn operation(&self, draft: Draft, subjects: Vec<untether_model::SubjectId>) -> Box<Operation> {
        Box::new(Operation {
            batch: self.batch.to_owned(),
            n: 0,
            stage: draft.stage,
            phase: draft.phase,
            store: draft.store,
            actor: draft.actor,
            target: draft.target,
            subjects,
            action: draft.action,
            secret: None,
            undo: draft.undo,
            undoes: Vec::new(),
            protected_group: false,
            reason: draft.reason,
        })
    }

    fn own(&self, candidate: &Candidate, draft: Draft) -> Box<Operation> {
        self.operation(draft, vec![candidate.id.clone()])
    }
}

/// Whether an earlier wave has already enrolled the subject and that still holds.
fn is_enrolled(candidate: &Candidate) -> bool {
    candidate.new.is_none() && candidate.ended.is_some_and(|ended| ended >= Stage::Enroll)
}

/// The stages in which there is something to do or to wait for.
pub(super) fn stages(candidate: &Candidate, has_links: bool) -> Vec<Stage> {
    Stage::ALL
        .into_iter()
        .filter(|stage| candidate.has_stage(*stage))
        .filter(|stage| match stage {
            Stage::Provision => candidate.new.is_some() || has_links,
            Stage::Enroll => !is_enrolled(candidate),
            Stage::Switch => candidate.admission().is_some(),
            _ => true,
        })
        .collect()
}

/// All operations of one subject that concern nobody else.
pub(super) fn operations(frame: &Frame<'_>, candidate: &Candidate, facts: Facts) -> Operations {
    let mut out = Operations::new();
    if candidate.groups_only {
        return out;
    }
    if candidate.track == Some(Track::Migrate) {
        let created = facts.create.as_deref();
        switch_attribute(frame, candidate, created, &mut out);
        enroll(frame, candidate, &mut out);
        provision(frame, candidate, facts.create, &mut out);
    }
    for (at, facts) in facts.accounts {
        let Some(account) = candidate.accounts.get(usize::from(at)) else { continue };
        let Some(target) = target_of(account) else { continue };
        let stage = |stage| candidate.has_stage(stage);
        if stage(Stage::Disable) {
            disable(frame, candidate, account, (&target, &facts), &mut out);
        }
        if stage(Stage::Scrub) {
            scrub(frame, candidate, (&target, facts), &mut out);
        }
        if stage(Stage::Remove) {
            let depth = account.dn.key().depth();
            out.push(frame.own(
                candidate,
                Draft {
                    stage: Stage::Remove,
                    phase: Phase::removal(depth),
                    store: Side::Shared,
                    actor: Actor::Writer,
                    target: target.clone(),
                    action: Action::Delete,
                    undo: undo::deletion(frame.capabilities(Side::Shared)),
                    reason: "the record leaves the shared store".to_owned(),
                },
            ));
        }
        if stage(Stage::Attest) {
            let checks = vec![Check::Absent, Check::CopiesPurged, Check::NegativeAuthentication, Check::Evidence];
            out.push(frame.own(
                candidate,
                Draft {
                    stage: Stage::Attest,
                    phase: Phase::PROOF,
                    store: Side::Shared,
                    actor: Actor::Writer,
                    target,
                    action: Action::Attest { checks },
                    undo: undo::proof(),
                    reason: "proof that the subject is gone".to_owned(),
                },
            ));
        }
    }
    out
}

fn target_of(account: &SharedAccount) -> Option<Target> {
    Some(Target::Existing { dn: account.dn.clone(), stable_id: account.stable_id.clone()? })
}

/// The subject's entry in the independent directory; the number of a creating operation is filled in when the batch is numbered.
pub(super) fn independent_target(candidate: &Candidate) -> Option<Target> {
    match (&candidate.independent, &candidate.new) {
        (Some((dn, Some(id))), _) => Some(Target::Existing { dn: dn.clone(), stable_id: id.clone() }),
        (Some((dn, None)), _) => Some(Target::New { dn: dn.clone() }),
        (None, Some(new)) => Some(Target::CreatedBy { n: 0, dn: new.dn.clone() }),
        (None, None) => None,
    }
}

fn inline(text: &str) -> PlannedValue {
    PlannedValue::Inline(Value::from(text))
}

fn touch(attr: &str, expects: Expects, desired: Desired) -> Touch {
    Touch { attr: AttrName::new(attr), expects, desired }
}

fn provision(frame: &Frame<'_>, candidate: &Candidate, create: Option<Vec<(AttrName, Vec<PlannedValue>)>>, out: &mut Operations) {
    let (Some(new), Some(attrs)) = (&candidate.new, create) else { return };
    out.push(frame.own(
        candidate,
        Draft {
            stage: Stage::Provision,
            phase: Phase::ENTRIES,
            store: Side::Independent,
            actor: Actor::Writer,
            target: Target::New { dn: new.dn.clone() },
            action: Action::Create { attrs },
            undo: UndoClass::Full,
            reason: "the subject gets an account of its own, locked".to_owned(),
        },
    ));
}

fn enroll(frame: &Frame<'_>, candidate: &Candidate, out: &mut Operations) {
    let Some(target) = independent_target(candidate).filter(|_| !is_enrolled(candidate)) else { return };
    let Some(credential) = candidate.terms.as_ref().map(|terms| &terms.credential) else { return };
    // An entry that an earlier wave of ours made may hold an unused one-time credential.
    let password = if candidate.new.is_some() { Expects::Absent } else { Expects::Any };
    let mut touches = vec![
        touch("pwdAccountLockedTime", Expects::Any, Desired::Absent),
        touch("pwdEndTime", Expects::Any, Desired::Absent),
        touch("userPassword", password, Desired::OneTimeSecret),
    ];
    if credential.must_change {
        let desired = Desired::Values(vec![inline("TRUE")]);
        touches.insert(2, touch("pwdReset", Expects::Any, desired));
    }
    let mut operation = frame.own(
        candidate,
        Draft {
            stage: Stage::Enroll,
            phase: Phase::ENTRIES,
            store: Side::Independent,
            actor: Actor::Writer,
            target,
            action: Action::Set { touches },
            undo: undo::credential(frame.capabilities(Side::Independent)),
            reason: "a new one-time credential; the account opens for password change and enrolment".to_owned(),
        },
    );
    operation.secret = Some(credential.shape());
    out.push(operation);
}

/// Admission by an attribute of the account; admission by group is one operation a batch.
fn switch_attribute(
    frame: &Frame<'_>,
    candidate: &Candidate,
    created: Option<&[(AttrName, Vec<PlannedValue>)]>,
    out: &mut Operations,
) {
    let Some(Admission::Attribute { name, value }) = candidate.admission() else { return };
    let Some(target) = independent_target(candidate) else { return };
    let before: Option<Vec<PlannedValue>> =
        created.and_then(|attrs| attrs.iter().find(|(attr, _)| attr == name).map(|(_, values)| values.clone()));
    let mut after = before.clone().unwrap_or_default();
    if !after.contains(&inline(value)) {
        after.push(inline(value));
    }
    let expects = match before {
        _ if candidate.new.is_none() => Expects::Any,
        Some(values) => Expects::Values(values),
        None => Expects::Absent,
    };
    let touches = vec![Touch { attr: name.clone(), expects, desired: Desired::Values(after) }];
    out.push(frame.own(
        candidate,
        Draft {
            stage: Stage::Switch,
            phase: Phase::ENTRIES,
            store: Side::Independent,
            actor: Actor::Writer,
            target,
            action: Action::Set { touches },
            undo: UndoClass::Full,
            reason: "relying systems admit the new account".to_owned(),
        },
    ));
}

fn disable(
    frame: &Frame<'_>,
    candidate: &Candidate,
    account: &SharedAccount,
    (target, facts): (&Target, &AccountFacts),
    out: &mut Operations,
) {
    if let (Some(policy), true) = (&frame.inputs.policy.locking_policy, account.policy_effective != Some(true)) {
        let desired = Desired::Values(vec![inline(policy.as_str())]);
        let touches = vec![touch("pwdPolicySubentry", facts.policy.clone(), desired)];
        out.push(frame.own(
            candidate,
            Draft {
                stage: Stage::Disable,
                phase: Phase::POLICY,
                store: Side::Shared,
                actor: Actor::Writer,
                target: target.clone(),
                action: Action::Set { touches },
                undo: UndoClass::Full,
                reason: "its password policy does not lock, so a lock would be ignored".to_owned(),
            },
        ));
    }
    let lock = Desired::Values(vec![inline(PERMANENT_LOCK)]);
    let mut touches = vec![touch("pwdAccountLockedTime", Expects::Any, lock)];
    // An end that has passed already says more than ours would.
    if !account.ended {
        let end = Desired::Values(vec![inline(&to_generalized(frame.inputs.now))]);
        touches.push(touch("pwdEndTime", facts.end_time.clone(), end));
    }
    let severs = !facts.sever.is_empty();
    if severs {
        let expects = Expects::Marks(facts.passwords.clone());
        touches.push(touch("userPassword", expects, Desired::WithoutMarks(facts.sever.clone())));
    }
    let capabilities = frame.capabilities(Side::Shared);
    out.push(frame.own(
        candidate,
        Draft {
            stage: Stage::Disable,
            phase: Phase::ENTRIES,
            store: Side::Shared,
            actor: Actor::Writer,
            target: target.clone(),
            action: Action::Set { touches },
            undo: match (severs, facts.severs_clear_text) {
                (true, true) => undo::clear_text(capabilities),
                (true, false) => undo::credential(capabilities),
                (false, _) => UndoClass::Full,
            },
            reason: match severs {
                true => "no way in: locked, ended, and its pass-through or clear-text passwords severed".to_owned(),
                false => "no way in: locked and ended".to_owned(),
            },
        },
    ));
}

fn scrub(frame: &Frame<'_>, candidate: &Candidate, (target, facts): (&Target, AccountFacts), out: &mut Operations) {
    let capabilities = frame.capabilities(Side::Shared);
    if !facts.scrub.is_empty() {
        out.push(frame.own(
            candidate,
            Draft {
                stage: Stage::Scrub,
                phase: Phase::ENTRIES,
                store: Side::Shared,
                actor: Actor::Writer,
                target: target.clone(),
                action: Action::Set { touches: facts.scrub },
                undo: undo::scrub(capabilities),
                reason: "only retained attributes stay on the record".to_owned(),
            },
        ));
    }
    if facts.history && frame.manage() {
        let touches = vec![touch("pwdHistory", Expects::Any, Desired::Absent)];
        out.push(frame.own(
            candidate,
            Draft {
                stage: Stage::Scrub,
                phase: Phase::HISTORY,
                store: Side::Shared,
                actor: Actor::Undo,
                target: target.clone(),
                action: Action::Set { touches },
                undo: undo::scrub(capabilities),
                reason: "old passwords leave the record".to_owned(),
            },
        ));
    }
}

/// The DN as a value.
pub(super) fn dn_value(dn: &Dn) -> Value {
    Value::from(dn.as_str())
}
