//! Wave files: lines in their final order, with digests over the exact bytes.
//!
//! Entries are read once more, in the order of the batches, so that the facts of one batch are in memory at a time.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::civil::Date;
use untether_model::digest::Digest;
use untether_model::operation::{Action, Operation, PlannedValue, Stage, Target, Track};
use untether_model::plan::{GateWhen, PlanHeader, PlannedBatch, PlannedGate, PlannedSubject, WaveHeader, WaveLine, WaveRef};
use untether_model::policy::{Span, WavePolicy};
use untether_model::run::GateKind;
use untether_model::snapshot::SnapshotEntry;
use untether_model::{AttrName, Dn, EntityId, Side, Value};

use super::Inputs;
use super::bind::{Binder, Bound};
use super::book::Book;
use super::candidate::Candidate;
use super::facts::{Facts, INLINE_BYTES, collect};
use super::index::{AccountRef, Index};
use super::links::Links;
use super::shared_ops::{self, Common, references_by_server};
use super::stages::{self, Frame, Operations};
use super::survey::Survey;
use super::waves::WaveBatches;
use crate::piece::{Hand, Part, Piece, Relay};
use crate::report::{Note, Remark};
use crate::source::{PlanError, Sink};

/// What the files are made from.
pub(super) struct Parts<'a> {
    pub book: &'a Book<'a>,
    pub candidates: &'a [Candidate],
    pub index: &'a Index,
    /// Attributes by which entries refer to accounts.
    pub references: &'a [AttrName],
    pub survey: &'a Survey,
    pub links: &'a Links,
    pub waves: &'a [WaveBatches],
    pub header: &'a PlanHeader,
}

/// One wave file.
pub(super) struct WrittenWave {
    /// Its place among the waves of the plan.
    pub number: usize,
    pub policy: usize,
    pub deadline: Option<Date>,
    pub soak: Span,
    pub canary_wait: Span,
    pub stages: BTreeSet<Stage>,
    pub by_entity: BTreeMap<EntityId, u64>,
}

/// All of them.
#[derive(Default)]
pub(super) struct Written {
    pub waves: Vec<WrittenWave>,
    pub bound: Bound,
    pub notes: BTreeSet<Note>,
}

impl Written {
    /// The waves with what was written of them.
    pub(super) fn waves(&self) -> impl Iterator<Item = (&WrittenWave, &WaveRef)> {
        self.waves.iter().filter_map(|wave| Some((wave, self.bound.waves.get(wave.number)?)))
    }
}

/// Writes all waves; what is written goes there by `relay`.
pub(super) fn write(
    inputs: &Inputs<'_>,
    parts: Parts<'_>,
    (sink, relay): (&mut dyn Sink, impl Relay),
) -> Result<Written, PlanError> {
    let references = references_by_server(parts.candidates, &parts.links.references);
    let before = ends_before(inputs);
    let common = Common {
        candidates: parts.candidates,
        links: parts.links,
        survey: parts.survey,
        references: &references,
        before: &before,
    };
    let waves = parts.waves.iter().map(|wave| reference(&inputs.policy.waves, wave));
    let mut binder = Binder::new(parts.header, waves, sink);
    let plan = |hand: Hand<'_>| {
        let blobs = vec![BTreeSet::new(); parts.waves.len()];
        let mut writer = Writer { inputs, parts: &parts, common: &common, hand, blobs, written: Written::default() };
        writer.all()?;
        Ok(writer.written)
    };
    let mut written = relay.run(plan, |piece| binder.put(piece))?;
    written.bound = binder.finish();
    written.notes.append(&mut written.bound.notes);
    written.notes.extend(missing_groups(&parts));
    written.notes.extend(parts.book.notes());
    Ok(written)
}

/// Groups of the mapping that do not exist, are not to be created, and would have got members.
fn missing_groups(parts: &Parts<'_>) -> Vec<Note> {
    let maps = parts.links.maps.iter().enumerate();
    maps.filter(|(_, map)| !map.create && !parts.survey.groups.contains_key(&map.independent))
        .filter_map(|(at, map)| {
            let at = u16::try_from(at).ok()?;
            let members = parts.links.members_by(at);
            let words = format!("{members} memberships of {} have no group to go to", map.shared);
            let note = Note { remark: Remark::GroupMissing, subject: None, dn: Some(map.independent.clone()), words };
            (members > 0).then_some(note)
        })
        .collect()
}

/// For each wave of the policy the waves that end before it, followed to the end.
fn ends_before(inputs: &Inputs<'_>) -> BTreeMap<u32, BTreeSet<u32>> {
    let mut out: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
    for (at, wave) in inputs.policy.waves.iter().enumerate() {
        let mut all = BTreeSet::new();
        for name in &wave.after {
            let found = inputs.policy.waves.iter().position(|w| w.name == *name).and_then(|n| u32::try_from(n).ok());
            if let Some(found) = found {
                all.insert(found);
                all.extend(out.get(&found).into_iter().flatten().copied().collect::<Vec<_>>());
            }
        }
        out.insert(u32::try_from(at).unwrap_or(u32::MAX), all);
    }
    out
}

/// A wave before anything of it is written.
fn reference(policies: &[WavePolicy], wave: &WaveBatches) -> WaveRef {
    let subjects: usize = wave.batches.iter().map(Vec::len).sum();
    WaveRef {
        name: policies.get(wave.policy).map(|p| p.name.clone()).unwrap_or_default(),
        digest: Digest::of(b""),
        blobs: Vec::new(),
        subjects: subjects as u64,
        operations: 0,
        batches: wave.batches.len() as u64,
    }
}

struct Writer<'a> {
    inputs: &'a Inputs<'a>,
    parts: &'a Parts<'a>,
    common: &'a Common<'a>,
    hand: Hand<'a>,
    /// Large values that were handed over, wave by wave.
    blobs: Vec<BTreeSet<Digest>>,
    written: Written,
}

/// Accounts in the order in which their entries are wanted: batch by batch, and in it subject by subject.
struct Arrangement {
    /// Each account, with the place of its batch.
    accounts: Vec<(u32, AccountRef)>,
    /// Where the accounts of each candidate begin in that order, if they are wanted.
    first: Vec<Option<u32>>,
}

impl Arrangement {
    fn of<'m>(candidates: &[Candidate], batches: impl Iterator<Item = &'m [u32]>) -> Self {
        let mut arranged = Self { accounts: Vec::new(), first: vec![None; candidates.len()] };
        for (place, members) in (0..).zip(batches) {
            for candidate in members.iter().copied() {
                let Some(found) = candidates.get(candidate as usize) else { continue };
                if let Some(first) = arranged.first.get_mut(candidate as usize) {
                    *first = u32::try_from(arranged.accounts.len()).ok();
                }
                let accounts = found.accounts.iter().zip(0..);
                arranged.accounts.extend(accounts.map(|(_, account)| (place, AccountRef { candidate, account })));
            }
        }
        arranged
    }

    fn number_of(&self, account: AccountRef) -> Option<u32> {
        let first = *self.first.get(account.candidate as usize)?;
        first?.checked_add(account.account.into())
    }

    /// The place of the batch and the account that have this number.
    fn at(&self, number: u32) -> Option<(usize, AccountRef)> {
        self.accounts.get(number as usize).map(|(place, account)| (*place as usize, *account))
    }
}

impl Writer<'_> {
    /// Each batch is written when the last entry of its subjects was there.
    fn all(&mut self) -> Result<(), PlanError> {
        let (inputs, parts) = (self.inputs, self.parts);
        let waves = parts.waves.iter().enumerate();
        let order: Vec<(usize, usize)> =
            waves.flat_map(|(wave, w)| (0..w.batches.len()).map(move |batch| (wave, batch))).collect();
        let arranged = Arrangement::of(parts.candidates, order.iter().map(|(wave, batch)| self.members(*wave, *batch)));
        let mut batches = order.iter();
        let mut next = 0;
        let mut facts: HashMap<u32, Facts> = HashMap::new();
        let mut number_of = |dn: &Dn| arranged.number_of(parts.index.by_key(parts.candidates, dn.key().as_str())?);
        inputs.source.each_arranged(Side::Shared, &mut number_of, &mut |number, entry| {
            let Some((place, account)) = arranged.at(number) else { return Ok(()) };
            for (wave, batch) in batches.by_ref().take(place.saturating_sub(next)) {
                self.whole_batch(*wave, *batch, &mut facts)?;
            }
            next = place;
            let wave = order.get(place).map_or(0, |(wave, _)| *wave);
            self.fact(wave, account, &entry, &mut facts)
        })?;
        batches.try_for_each(|(wave, batch)| self.whole_batch(*wave, *batch, &mut facts))
    }

    fn members(&self, wave: usize, batch: usize) -> &[u32] {
        self.parts.waves.get(wave).and_then(|w| w.batches.get(batch)).map_or(&[], Vec::as_slice)
    }

    fn fact(
        &mut self,
        wave: usize,
        found: AccountRef,
        entry: &SnapshotEntry,
        facts: &mut HashMap<u32, Facts>,
    ) -> Result<(), PlanError> {
        let (inputs, parts) = (self.inputs, self.parts);
        let Some(candidate) = parts.candidates.get(found.candidate as usize) else { return Ok(()) };
        let Some(seen) = self.blobs.get_mut(wave) else { return Ok(()) };
        let hand = &mut *self.hand;
        let mut blobs = |value: &Value| planned_value((wave, seen), hand, value);
        let context = (inputs, parts.references);
        collect(context, candidate, found.account, entry, facts.entry(found.candidate).or_default(), &mut blobs)
    }

    fn whole_batch(&mut self, wave: usize, batch: usize, facts: &mut HashMap<u32, Facts>) -> Result<(), PlanError> {
        if batch == 0 {
            self.begin(wave)?;
        }
        self.batch(wave, batch, facts)?;
        match self.parts.waves.get(wave) {
            Some(w) if batch + 1 == w.batches.len() => (self.hand)(Piece(Part::End(wave))),
            _ => Ok(()),
        }
    }

    fn begin(&mut self, wave: usize) -> Result<(), PlanError> {
        let Some(batches) = self.parts.waves.get(wave) else { return Ok(()) };
        let Some(policy) = self.inputs.policy.waves.get(batches.policy) else { return Ok(()) };
        let Some(header) = wave_header(self.inputs, self.parts, policy, batches) else { return Ok(()) };
        let mut shape = WrittenWave {
            number: wave,
            policy: batches.policy,
            deadline: header.deadline,
            soak: header.soak,
            canary_wait: header.canary_wait,
            stages: BTreeSet::new(),
            by_entity: BTreeMap::new(),
        };
        self.line(wave, WaveLine::Wave(Box::new(header)))?;
        for (at, members) in batches.batches.iter().enumerate() {
            let mut subjects: Vec<PlannedSubject> = members.iter().filter_map(|n| self.subject(*n)).collect();
            subjects.sort_by(|a, b| a.id.cmp(&b.id));
            for subject in &subjects {
                shape.stages.extend(subject.stages.iter().copied());
                *shape.by_entity.entry(subject.entity.clone()).or_default() += 1;
            }
            let batch = PlannedBatch { name: WaveBatches::name(at), canary: at == 0, subjects };
            self.line(wave, WaveLine::Batch(batch))?;
        }
        self.written.waves.push(shape);
        Ok(())
    }

    fn subject(&self, number: u32) -> Option<PlannedSubject> {
        let candidate = self.parts.candidates.get(number as usize)?;
        let main = candidate.accounts.get(candidate.main());
        let links = self.parts.links.has_memberships(number) || self.common.references.contains_key(&number);
        Some(PlannedSubject {
            id: candidate.id.clone(),
            track: candidate.track?,
            kind: candidate.kind,
            entity: candidate.entity.clone()?,
            roster_ref: candidate.roster_ref.clone(),
            shared_dn: main.map(|a| a.dn.clone()),
            shared_id: main.and_then(|a| a.stable_id.clone()),
            independent_dn: candidate.independent_dn().cloned(),
            stages: stages::stages(candidate, links),
        })
    }

    fn batch(&mut self, wave: usize, batch: usize, facts: &mut HashMap<u32, Facts>) -> Result<(), PlanError> {
        let members = self.members(wave, batch).to_vec();
        let name = WaveBatches::name(batch);
        let frame = Frame { inputs: self.inputs, batch: &name };
        let mut operations = shared_ops::operations(&frame, self.common, &members);
        for number in &members {
            let Some(candidate) = self.parts.candidates.get(*number as usize) else { continue };
            let own = facts.remove(number).unwrap_or_default();
            remarks(self.inputs, candidate, &own, &mut self.written.notes);
            operations.extend(stages::operations(&frame, candidate, own));
        }
        number(&mut operations);
        operations.into_iter().try_for_each(|operation| self.line(wave, WaveLine::Operation(operation)))
    }

    fn line(&mut self, wave: usize, line: WaveLine) -> Result<(), PlanError> {
        (self.hand)(Piece(Part::Line(wave, line)))
    }
}

/// In line, or a blob of the wave.
fn planned_value((wave, seen): (usize, &mut BTreeSet<Digest>), hand: Hand<'_>, value: &Value) -> Result<PlannedValue, PlanError> {
    if value.as_bytes().len() <= INLINE_BYTES {
        return Ok(PlannedValue::Inline(value.clone()));
    }
    let digest = Digest::of(value.as_bytes());
    if seen.insert(digest) {
        hand(Piece(Part::Blob(wave, digest, value.as_bytes().to_vec())))?;
    }
    Ok(PlannedValue::Blob(digest))
}

/// Puts a batch's operations in their order for reading and numbers them; later ones find the number of the one that creates their
/// target.
fn number(operations: &mut Operations) {
    fn attr(operation: &Operation) -> Option<&AttrName> {
        match &operation.action {
            Action::Ensure { attr, .. } => Some(attr),
            _ => None,
        }
    }
    operations.sort_by(|a, b| {
        let key = |o: &Operation| (o.stage, o.phase, o.store);
        key(a)
            .cmp(&key(b))
            .then_with(|| a.target.dn().cmp(b.target.dn()))
            .then_with(|| attr(a).cmp(&attr(b)))
            .then_with(|| a.subjects.cmp(&b.subjects))
    });
    let mut created: BTreeMap<Dn, u32> = BTreeMap::new();
    for (at, operation) in operations.iter_mut().enumerate() {
        operation.n = u32::try_from(at).unwrap_or(u32::MAX - 1) + 1;
        if matches!(operation.action, Action::Create { .. }) {
            created.insert(operation.target.dn().clone(), operation.n);
        }
        if let Target::CreatedBy { n, dn } = &mut operation.target {
            *n = created.get(dn).copied().unwrap_or(0);
        }
    }
}

fn wave_header(inputs: &Inputs<'_>, parts: &Parts<'_>, policy: &WavePolicy, batches: &WaveBatches) -> Option<WaveHeader> {
    let pace = parts.book.pace(batches.policy)?;
    let members = || batches.batches.iter().flatten().filter_map(|n| parts.candidates.get(*n as usize));
    let any = |tracks: &[Track]| members().any(|c| !c.groups_only && c.track.is_some_and(|t| tracks.contains(&t)));
    let mut gates = Vec::new();
    if any(&[Track::Migrate]) {
        gates.push(PlannedGate { gate: GateKind::Mfa, stage: Stage::Enroll, when: GateWhen::After });
    }
    let keeps_active = members().any(|c| c.track == Some(Track::Keep) && c.active);
    if keeps_active || any(&[Track::Migrate, Track::Finish]) {
        gates.push(PlannedGate { gate: GateKind::OwnAccount, stage: Stage::Disable, when: GateWhen::Before });
    }
    if members().any(|c| c.has_stage(Stage::Soak)) {
        gates.push(PlannedGate { gate: GateKind::Silence, stage: Stage::Soak, when: GateWhen::After });
    }
    let deadlines = members().filter_map(|c| inputs.audit.entities.get(c.entity.as_ref()?)?.deadline);
    let entities: BTreeSet<&EntityId> = members().filter_map(|c| c.entity.as_ref()).collect();
    let terms = |entity: &EntityId| parts.book.terms(u32::try_from(batches.policy).ok()?, entity);
    let terms = entities.into_iter().filter_map(|entity| Some((entity.clone(), terms(entity)?.as_ref().clone()))).collect();
    Some(WaveHeader {
        name: policy.name.clone(),
        canary_wait: pace.canary_wait,
        canary_share_percent: pace.canary_share_percent,
        soak: pace.soak,
        failure_tolerance: pace.failure_tolerance,
        hold_bound: pace.hold_bound,
        thresholds: pace.thresholds.clone(),
        moved_percent: inputs.policy.moved_percent,
        in_scope: parts.survey.in_scope.clone(),
        gates,
        selector: policy.selector(),
        terms,
        after: policy.after.clone(),
        deadline: policy.deadline.or_else(|| deadlines.min()),
    })
}

/// What people should know of a planned subject.
fn remarks(inputs: &Inputs<'_>, candidate: &Candidate, facts: &Facts, notes: &mut BTreeSet<Note>) {
    let mut note = |remark, dn: Option<&Dn>, words: String| {
        notes.insert(Note { remark, subject: Some(candidate.id.clone()), dn: dn.cloned(), words });
    };
    let manage = inputs.capabilities.get(&Side::Shared).is_some_and(|c| c.manage);
    for (at, account) in &facts.accounts {
        let dn = candidate.accounts.get(usize::from(*at)).map(|a| &a.dn);
        for (attr, class) in &account.required {
            let words = format!("{attr} stays, because {class} requires it; put it on the retention list");
            note(Remark::RequiredAttribute, dn, words);
        }
        if account.history && !manage && candidate.has_stage(Stage::Scrub) && !candidate.groups_only {
            note(Remark::HistoryStays, dn, "without the right `manage` the password history cannot be emptied".to_owned());
        }
    }
    if candidate.track == Some(Track::Migrate) {
        for account in candidate.accounts.iter().filter(|a| a.secondary) {
            note(Remark::SecondaryRetired, Some(&account.dn), "retired with its subject; nothing takes its place".to_owned());
        }
    }
    if let (Some(Track::Retire), Some((dn, _))) = (candidate.track, &candidate.independent) {
        note(Remark::IndependentAccount, Some(dn), "its account in the independent directory is not touched".to_owned());
    }
}
