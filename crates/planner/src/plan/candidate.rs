//! Subjects and their tracks: what is to become of each one, or why it is not planned.
//!
//! Looks at subjects, roster standings, decisions and progress only; what needs entries is [`super::survey`].

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;
use untether_model::operation::{Stage, Track};
use untether_model::policy::{Admission, AuditPolicy, Mapping, PlanPolicy, Terms};
use untether_model::roster::Presence;
use untether_model::run::{CellStatus, Decision, DecisionId, RunState};
use untether_model::snapshot::{Account, Subject, SubjectKind};
use untether_model::{AttrName, Dn, EntityId, Side, StableId, SubjectId};

use super::Inputs;
use crate::report::{NotPlanned, Reason};
use crate::source::PlanError;

/// Why a candidate is out.
#[derive(Clone, Debug)]
pub(super) struct Out {
    pub reason: Reason,
    pub words: String,
    pub until: Option<Date>,
}

impl Out {
    pub(super) fn new(reason: Reason, words: impl Into<String>) -> Self {
        Self { reason, words: words.into(), until: None }
    }
}

/// One account in the shared store.
#[derive(Clone, Debug)]
pub(super) struct SharedAccount {
    pub dn: Dn,
    pub stable_id: Option<StableId>,
    pub primary: bool,
    pub secondary: bool,
    pub policy_effective: Option<bool>,
    pub ended: bool,
    /// Login, for `memberUid`; known after the survey.
    pub login: Option<Box<str>>,
    /// It was among the entries.
    pub seen: bool,
}

/// The account that a migrating subject gets.
#[derive(Clone, Debug)]
pub(super) struct NewAccount {
    pub dn: Dn,
    pub login: Option<Box<str>>,
}

/// A subject with at least one account in the shared store.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub id: SubjectId,
    pub kind: SubjectKind,
    pub entity: Option<EntityId>,
    pub track: Option<Track>,
    /// A person decided on the track: the policy's selectors do not count.
    pub decided: bool,
    pub active: bool,
    /// Departed, and protected by nothing but a group: it is taken out of that group.
    pub groups_only: bool,
    pub roster_ref: Option<String>,
    pub accounts: Vec<SharedAccount>,
    /// Its main account in the independent directory.
    pub independent: Option<(Dn, Option<StableId>)>,
    /// The entry that it gets (track `migrate`).
    pub new: Option<NewAccount>,
    /// The last stage that an earlier wave ended for it.
    pub ended: Option<Stage>,
    pub out: Option<Out>,
    /// Index of its wave in the policy.
    pub wave: Option<u32>,
    /// How that wave treats subjects of its entity.
    pub terms: Option<Arc<Terms>>,
    /// Index of its batch within the wave.
    pub batch: u32,
}

impl Candidate {
    pub(super) fn is_planned(&self) -> bool {
        self.out.is_none() && self.wave.is_some()
    }

    pub(super) fn drop_for(&mut self, reason: Reason, words: impl Into<String>) {
        if self.out.is_none() {
            self.out = Some(Out::new(reason, words));
        }
    }

    /// Index of its main account.
    pub(super) fn main(&self) -> usize {
        self.accounts.iter().position(|a| a.primary).unwrap_or(0)
    }

    pub(super) fn has_stage(&self, stage: Stage) -> bool {
        match self.track {
            Some(_) if self.groups_only => stage == Stage::Remove,
            Some(track) => track.has(stage),
            None => false,
        }
    }

    /// How its account is made.
    pub(super) fn mapping(&self) -> Option<&Mapping> {
        self.terms.as_ref()?.mapping.as_ref()
    }

    /// What admits it to relying systems.
    pub(super) fn admission(&self) -> Option<&Admission> {
        self.terms.as_ref()?.admission.as_ref()
    }

    /// Whether the retention list lets an attribute stay on its scrubbed record.
    pub(super) fn retains(&self, attr: &AttrName) -> bool {
        self.terms.as_ref().is_some_and(|terms| terms.retains(attr))
    }

    /// Where its account in the independent directory is or will be.
    pub(super) fn independent_dn(&self) -> Option<&Dn> {
        self.independent.as_ref().map(|(dn, _)| dn).or(self.new.as_ref().map(|n| &n.dn))
    }

    pub(super) fn report(&self, out: &Out) -> NotPlanned {
        NotPlanned {
            subject: self.id.clone(),
            kind: self.kind,
            entity: self.entity.clone(),
            track: self.track,
            dn: self.accounts.get(self.main()).map(|a| a.dn.clone()),
            reason: out.reason,
            words: out.words.clone(),
            waits_for: out.reason.waits_for().to_owned(),
            until: out.until,
        }
    }
}

/// The day that counts for a subject of this entity.
pub(super) fn today(inputs: &Inputs<'_>, entity: Option<&EntityId>) -> Date {
    untether_model::policy::today(&inputs.audit.entities, entity, inputs.now)
}

/// What is known of subjects beside the snapshot: people's decisions, and the ids that they had before.
struct Known<'a> {
    /// Decisions on tracks, the newest of each subject.
    tracks: BTreeMap<SubjectId, (Track, Date, String)>,
    /// Subjects on whose accounts somebody decided after the snapshot was taken.
    rematched: BTreeMap<&'a SubjectId, DecisionId>,
    /// When accounts were last joined to a subject by somebody's decision.
    joined: BTreeMap<&'a SubjectId, Timestamp>,
    earlier_ids: BTreeMap<&'a SubjectId, Vec<&'a SubjectId>>,
}

impl<'a> Known<'a> {
    fn of(inputs: &Inputs<'a>) -> Self {
        let progress = inputs.progress;
        let mut tracks = BTreeMap::new();
        let mut joined = BTreeMap::new();
        for (_, state) in progress.decisions() {
            match &state.decision {
                Decision::Track { subject, track, until, .. } => {
                    let words = format!("{} decided '{track}' until {until}: {}", state.by, state.reason);
                    tracks.insert(progress.resolve_alias(subject).clone(), (*track, *until, words));
                }
                Decision::Match(decided) if decided.verb.joins() => {
                    let ids = decided.subjects.iter().map(|id| (progress.resolve_alias(id), state.at));
                    joined.extend(ids);
                }
                Decision::Match(_) | Decision::Waive(_) | Decision::Withdraw { .. } => {}
            }
        }
        let audit = progress.audits().iter().rev().find(|(_, audit)| audit.snapshot == inputs.snapshot_digest);
        let rematched = audit.map(|(seq, _)| progress.decided_after(*seq, |d| matches!(d, Decision::Match(_))));
        Self { tracks, rematched: rematched.unwrap_or_default(), joined, earlier_ids: progress.earlier_ids() }
    }

    /// The ids under which something may be recorded of a subject, the present one first.
    fn ids<'s>(&'s self, id: &'s SubjectId) -> impl Iterator<Item = &'s SubjectId> {
        std::iter::once(id).chain(self.earlier_ids.get(id).into_iter().flatten().copied())
    }
}

/// All subjects that have an account in the shared store, ordered by id; the others are counted in the second part.
pub(super) fn collect(inputs: &Inputs<'_>) -> Result<(Vec<Candidate>, u64), PlanError> {
    let known = Known::of(inputs);
    let protected: HashMap<Side, std::collections::HashSet<&str>> =
        inputs.protected.iter().map(|(side, dns)| (*side, dns.iter().map(|dn| dn.key().as_str()).collect())).collect();
    let is_protected =
        |account: &Account| protected.get(&account.side).is_some_and(|set| set.contains(account.dn.key().as_str()));
    let mut all = Vec::new();
    let mut elsewhere = 0;
    for subject in inputs.source.subjects() {
        let subject = subject.map_err(|cause| PlanError::Source { what: "the subjects".to_owned(), cause })?;
        if subject.accounts_in(Side::Shared).next().is_none() {
            elsewhere += 1;
            continue;
        }
        let protected = subject.protected || subject.accounts.iter().any(is_protected);
        all.push(classify(inputs, subject, protected, &known));
    }
    all.sort_by(|a, b| a.id.cmp(&b.id));
    if let Some(pair) = all.windows(2).find(|pair| matches!(pair, [a, b] if a.id == b.id)) {
        return Err(PlanError::Duplicate(pair.first().map(|c| c.id.clone()).unwrap_or_else(|| SubjectId::new(""))));
    }
    Ok((all, elsewhere))
}

fn classify(inputs: &Inputs<'_>, subject: Subject, protected: bool, known: &Known<'_>) -> Candidate {
    let id = inputs.progress.resolve_alias(&subject.id).clone();
    let presence = subject.standing.as_ref().map(|s| s.presence);
    let mut accounts: Vec<SharedAccount> = subject
        .accounts_in(Side::Shared)
        .map(|a| SharedAccount {
            dn: a.dn.clone(),
            stable_id: a.stable_id.clone(),
            primary: a.primary,
            secondary: a.secondary,
            policy_effective: a.state.policy_effective,
            ended: a.state.ended,
            login: None,
            seen: false,
        })
        .collect();
    accounts.sort_by(|a, b| b.primary.cmp(&a.primary).then_with(|| a.dn.cmp(&b.dn)));
    let independent = subject.primary_in(Side::Independent).or_else(|| subject.accounts_in(Side::Independent).next());
    let mut candidate = Candidate {
        id,
        kind: subject.kind,
        entity: subject.entity.clone(),
        track: None,
        decided: false,
        active: presence.is_some_and(Presence::is_active),
        groups_only: false,
        roster_ref: subject.roster_ref.clone(),
        independent: independent.map(|a| (a.dn.clone(), a.stable_id.clone())),
        accounts,
        new: None,
        ended: None,
        out: None,
        wave: None,
        terms: None,
        batch: 0,
    };
    match track(inputs, &subject, &candidate, protected, known) {
        Ok(Chosen { track, decided, groups_only }) => {
            candidate.track = Some(track);
            candidate.decided = decided;
            candidate.groups_only = groups_only;
            progress(inputs.progress, &mut candidate, known);
            if candidate.out.is_none()
                && !groups_only
                && let Some(out) = unfit(inputs.policy, &candidate)
            {
                candidate.out = Some(out);
            }
        }
        Err((track, out)) => {
            candidate.track = track;
            candidate.out = Some(out);
        }
    }
    candidate
}

struct Chosen {
    track: Track,
    decided: bool,
    groups_only: bool,
}

type NoTrack = (Option<Track>, Out);

/// The order of these questions is the order of precedence.
fn track(
    inputs: &Inputs<'_>,
    subject: &Subject,
    candidate: &Candidate,
    protected: bool,
    known: &Known<'_>,
) -> Result<Chosen, NoTrack> {
    let out = |reason, words: &str| (None, Out::new(reason, words));
    let presence = subject.standing.as_ref().map(|s| s.presence);
    if subject.kind == SubjectKind::Tool {
        return Err(out(Reason::Tool, "an account of the tool itself"));
    }
    if protected {
        let ended = presence.is_some_and(Presence::has_ended);
        if ended && subject.entity.is_some() && !explicitly_protected(inputs.audit, subject) {
            return Ok(Chosen { track: Track::Retire, decided: false, groups_only: true });
        }
        return Err(out(Reason::Protected, "a protected identity: never touched"));
    }
    if !subject.undecided.is_empty() {
        return Err(out(Reason::Undecided, &format!("correlation is undecided: {}", subject.undecided.join(", "))));
    }
    if let Some(decision) = known.rematched.get(&candidate.id) {
        let words = format!("decision {decision} is about whose accounts these are, and newer than the audit: audit again");
        return Err(out(Reason::Undecided, &words));
    }
    if subject.entity.is_none() {
        return Err(out(Reason::Unassigned, "no entity by roster, subtree or attribute"));
    }
    if let Some((track, until, words)) = known.tracks.get(&candidate.id)
        && *until >= today(inputs, subject.entity.as_ref())
    {
        return decided(*track, *until, words, presence);
    }
    let stays = |track| Ok(Chosen { track, decided: false, groups_only: false });
    let present = if candidate.independent.is_some() && !resumes_migration(inputs.progress, candidate, known) {
        Track::Finish
    } else {
        Track::Migrate
    };
    match presence {
        Some(Presence::NotYetStarted) => {
            Err((Some(Track::Hold), Out::new(Reason::NotYetStarted, "all of its roster rows start in the future")))
        }
        Some(Presence::Departed | Presence::ContractEnded) => stays(Track::Retire),
        Some(Presence::Active | Presence::OnLeave) => stays(present),
        None if subject.owned == Some(true) => stays(present),
        None if subject.kind == SubjectKind::Service => {
            Err(out(Reason::Unowned, "a service account without an owner who is there"))
        }
        None => Err(out(Reason::Orphan, "no roster row and no owner who is there")),
    }
}

fn decided(track: Track, until: Date, words: &str, presence: Option<Presence>) -> Result<Chosen, NoTrack> {
    let active = presence.is_some_and(Presence::is_active);
    let against = match track {
        Track::Retire => active,
        Track::Migrate | Track::Finish => presence.is_some_and(Presence::has_ended),
        Track::Keep | Track::Hold => false,
    };
    if track == Track::Hold {
        let out = Out { reason: Reason::DecidedHold, words: words.to_owned(), until: Some(until) };
        return Err((Some(track), out));
    }
    if against {
        let words = format!("{words}; the roster says that the person {}", if active { "is active" } else { "has left" });
        return Err((Some(track), Out::new(Reason::DecisionAgainstRoster, words)));
    }
    Ok(Chosen { track, decided: true, groups_only: false })
}

/// Whether something other than a group makes the subject a protected identity, as far as the policy's lists tell.
fn explicitly_protected(audit: &AuditPolicy, subject: &Subject) -> bool {
    if audit.protected.groups.is_empty() || Side::ALL.iter().any(|side| !audit.protected.filters(*side).is_empty()) {
        return true;
    }
    subject
        .accounts
        .iter()
        .any(|a| audit.protected.dns.contains(&a.dn) || audit.protected.subtrees.iter().any(|base| a.dn.is_within(base)))
}

/// An account in the independent directory that an unfinished migration of ours made is no reason to skip what is left of it.
fn resumes_migration(progress: &RunState, candidate: &Candidate, known: &Known<'_>) -> bool {
    known
        .ids(&candidate.id)
        .filter_map(|id| progress.subjects().get(id))
        .any(|s| s.track == Track::Migrate && !s.is_finished() && s.ended.is_none_or(|ended| ended < Stage::Switch))
}

/// What earlier waves have done with it, under any of its ids.
fn progress(progress: &RunState, candidate: &mut Candidate, known: &Known<'_>) {
    let id = candidate.id.clone();
    let open = |id: &SubjectId| progress.cells_of(id).any(|(_, cell)| cell.status == CellStatus::Open);
    if known.ids(&id).any(open) {
        candidate.drop_for(Reason::OpenOperation, "an operation on it has no known outcome yet");
        return;
    }
    let states: Vec<_> = known.ids(&id).filter_map(|id| progress.subjects().get_key_value(id)).collect();
    let Some((of, state)) = states.iter().find(|(_, s)| s.claimed).or(states.first()).copied() else { return };
    let last = match state.track {
        Track::Keep => Stage::Scrub,
        _ => Stage::Attest,
    };
    let through = state.parked.is_none() && state.is_finished() && state.stages.last() == Some(&last);
    if state.claimed && state.parked.is_none() && !progress.is_unstarted(of) {
        candidate.drop_for(Reason::Claimed, format!("batch {} has it", state.batch));
        return;
    }
    // An account that somebody joined to the subject afterwards has been through nothing yet.
    let ended_at = progress.batches().get(&state.batch).and_then(|batch| batch.ended_at);
    let joined_since = known.joined.get(&id).is_some_and(|at| ended_at.is_none_or(|ended| *at > ended));
    if through && Some(state.track) == candidate.track && !joined_since {
        let words = format!("batch {} ended all of its stages; if the record is back, `untether verify` reopens it", state.batch);
        candidate.drop_for(Reason::Finished, words);
        return;
    }
    if Some(state.track) == candidate.track && !joined_since {
        candidate.ended = state.ended;
    }
}

/// What the accounts themselves forbid.
fn unfit(policy: &PlanPolicy, candidate: &Candidate) -> Option<Out> {
    if let Some(account) = candidate.accounts.iter().find(|a| a.stable_id.is_none()) {
        return Some(Out::new(Reason::NoStableId, format!("{} was read without a stable id", account.dn)));
    }
    let ignoring = candidate.accounts.iter().find(|a| a.policy_effective != Some(true))?;
    if policy.locking_policy.is_some() {
        return None;
    }
    let words = match ignoring.policy_effective {
        Some(_) => format!("the password policy of {} does not resolve or does not lock: a lock would be ignored", ignoring.dn),
        None => format!("whether the password policy of {} locks is not known", ignoring.dn),
    };
    Some(Out::new(Reason::PolicyNotLocking, words))
}
