//! Wave files: lines in their final order, with digests over the exact bytes.
//!
//! Entries are read once more, in the order of the batches, so that the facts of one batch are in memory at a time.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::civil::Date;
use untether_model::digest::{Digest, Hasher};
use untether_model::operation::{Action, Operation, PlannedValue, Stage, Target, Track, UndoClass};
use untether_model::plan::{GateWhen, PlanHeader, PlannedBatch, PlannedGate, PlannedSubject, WaveHeader, WaveLine, WaveRef};
use untether_model::policy::{Span, WavePolicy};
use untether_model::run::GateKind;
use untether_model::snapshot::SnapshotEntry;
use untether_model::{Dn, EntityId, Side, Value};

use super::Inputs;
use super::book::Book;
use super::candidate::Candidate;
use super::facts::{Facts, INLINE_BYTES, collect};
use super::links::Links;
use super::shared_ops::{self, Common, references_by_server};
use super::stages::{self, Frame};
use super::survey::{Index, Survey};
use super::waves::WaveBatches;
use crate::lint::{LintNote, Linter};
use crate::report::{Note, PointOfNoReturn, Remark};
use crate::source::{PlanError, Sink};

/// What the files are made from.
pub(super) struct Parts<'a> {
    pub book: &'a Book<'a>,
    pub candidates: &'a [Candidate],
    pub index: &'a Index,
    pub survey: &'a Survey,
    pub links: &'a Links,
    pub waves: &'a [WaveBatches],
    pub header: &'a PlanHeader,
}

/// One wave file.
pub(super) struct WrittenWave {
    pub reference: WaveRef,
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
    pub operations: BTreeMap<Stage, u64>,
    pub undo: BTreeMap<String, u64>,
    pub points_of_no_return: Vec<PointOfNoReturn>,
    pub notes: BTreeSet<Note>,
    pub lint: Vec<LintNote>,
}

struct Open {
    reference: WaveRef,
    hasher: Hasher,
    blobs: BTreeSet<Digest>,
}

/// Writes all waves.
pub(super) fn write(inputs: &Inputs<'_>, parts: Parts<'_>, sink: &mut dyn Sink) -> Result<Written, PlanError> {
    let references = references_by_server(parts.candidates, &parts.links.references);
    let before = ends_before(inputs);
    let common = Common {
        candidates: parts.candidates,
        links: parts.links,
        survey: parts.survey,
        references: &references,
        before: &before,
    };
    let mut writer = Writer {
        inputs,
        parts: &parts,
        common: &common,
        sink,
        linter: Linter::new(parts.header),
        written: Written::default(),
        open: parts.waves.iter().map(|wave| Open::new(&inputs.policy.waves, wave)).collect(),
    };
    writer.all()?;
    let Writer { mut written, linter, .. } = writer;
    written.lint = linter.finish();
    written.notes.extend(parts.links.notes.iter().cloned());
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
            let members = parts.links.memberships.values().filter(|maps| maps.contains(&at)).count();
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

impl Open {
    fn new(policies: &[WavePolicy], wave: &WaveBatches) -> Self {
        let subjects: usize = wave.batches.iter().map(Vec::len).sum();
        Self {
            reference: WaveRef {
                name: policies.get(wave.policy).map(|p| p.name.clone()).unwrap_or_default(),
                digest: Digest::of(b""),
                blobs: Vec::new(),
                subjects: subjects as u64,
                operations: 0,
                batches: wave.batches.len() as u64,
            },
            hasher: Hasher::new(),
            blobs: BTreeSet::new(),
        }
    }
}

struct Writer<'a> {
    inputs: &'a Inputs<'a>,
    parts: &'a Parts<'a>,
    common: &'a Common<'a>,
    sink: &'a mut dyn Sink,
    linter: Linter,
    written: Written,
    open: Vec<Open>,
}

impl Writer<'_> {
    /// Each batch is written when the last entry of its subjects was there.
    fn all(&mut self) -> Result<(), PlanError> {
        let (inputs, parts) = (self.inputs, self.parts);
        let waves = parts.waves.iter().enumerate();
        let order: Vec<(usize, usize)> =
            waves.flat_map(|(wave, w)| (0..w.batches.len()).map(move |batch| (wave, batch))).collect();
        let mut places: Vec<Option<u32>> = vec![None; parts.candidates.len()];
        for (place, (wave, batch)) in (0..).zip(&order) {
            for number in self.members(*wave, *batch) {
                if let Some(slot) = places.get_mut(*number as usize) {
                    *slot = Some(place);
                }
            }
        }
        let mut batches = order.iter();
        let mut next = 0;
        let mut facts: HashMap<u32, Facts> = HashMap::new();
        let mut place_of = |dn: &Dn| *places.get(parts.index.by_key(dn.key().as_str())?.candidate as usize)?;
        inputs.source.each_arranged(Side::Shared, &mut place_of, &mut |place, entry| {
            for (wave, batch) in batches.by_ref().take(place.saturating_sub(next) as usize) {
                self.whole_batch(*wave, *batch, &mut facts)?;
            }
            next = place;
            let wave = order.get(place as usize).map_or(0, |(wave, _)| *wave);
            self.fact(wave, &entry, &mut facts)
        })?;
        batches.try_for_each(|(wave, batch)| self.whole_batch(*wave, *batch, &mut facts))
    }

    fn members(&self, wave: usize, batch: usize) -> &[u32] {
        self.parts.waves.get(wave).and_then(|w| w.batches.get(batch)).map_or(&[], Vec::as_slice)
    }

    fn fact(&mut self, wave: usize, entry: &SnapshotEntry, facts: &mut HashMap<u32, Facts>) -> Result<(), PlanError> {
        let (inputs, parts) = (self.inputs, self.parts);
        let Some(found) = parts.index.by_key(entry.dn.key().as_str()) else { return Ok(()) };
        let Some(candidate) = parts.candidates.get(found.candidate as usize) else { return Ok(()) };
        let Some(open) = self.open.get_mut(wave) else { return Ok(()) };
        let sink = &mut *self.sink;
        let mut blobs = |value: &Value| planned_value(open, sink, value);
        let context = (inputs, parts.links.reference_attrs.as_slice());
        collect(context, candidate, found.account, entry, facts.entry(found.candidate).or_default(), &mut blobs)
    }

    fn whole_batch(&mut self, wave: usize, batch: usize, facts: &mut HashMap<u32, Facts>) -> Result<(), PlanError> {
        if batch == 0 {
            self.begin(wave)?;
        }
        self.batch(wave, batch, facts)?;
        if self.parts.waves.get(wave).is_some_and(|w| batch + 1 == w.batches.len()) {
            self.end(wave);
        }
        Ok(())
    }

    fn begin(&mut self, wave: usize) -> Result<(), PlanError> {
        let Some(batches) = self.parts.waves.get(wave) else { return Ok(()) };
        let Some(policy) = self.inputs.policy.waves.get(batches.policy) else { return Ok(()) };
        let Some(header) = wave_header(self.inputs, self.parts, policy, batches) else { return Ok(()) };
        let mut shape = WrittenWave {
            reference: Open::new(&self.inputs.policy.waves, batches).reference,
            policy: batches.policy,
            deadline: header.deadline,
            soak: header.soak,
            canary_wait: header.canary_wait,
            stages: BTreeSet::new(),
            by_entity: BTreeMap::new(),
        };
        self.line(wave, &WaveLine::Wave(Box::new(header)))?;
        for (at, members) in batches.batches.iter().enumerate() {
            let mut subjects: Vec<PlannedSubject> = members.iter().filter_map(|n| self.subject(*n)).collect();
            subjects.sort_by(|a, b| a.id.cmp(&b.id));
            for subject in &subjects {
                shape.stages.extend(subject.stages.iter().copied());
                *shape.by_entity.entry(subject.entity.clone()).or_default() += 1;
            }
            let batch = PlannedBatch { name: WaveBatches::name(at), canary: at == 0, subjects };
            self.line(wave, &WaveLine::Batch(batch))?;
        }
        self.written.waves.push(shape);
        Ok(())
    }

    fn subject(&self, number: u32) -> Option<PlannedSubject> {
        let candidate = self.parts.candidates.get(number as usize)?;
        let main = candidate.accounts.get(candidate.main());
        let links = self.parts.links.memberships.contains_key(&number) || self.common.references.contains_key(&number);
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
        self.count(wave, &name, &operations);
        for operation in operations {
            self.line(wave, &WaveLine::Operation(Box::new(operation)))?;
        }
        Ok(())
    }

    fn count(&mut self, wave: usize, batch: &str, operations: &[Operation]) {
        let wave = self.open.get(wave).map(|o| o.reference.name.clone()).unwrap_or_default();
        let mut point: Option<PointOfNoReturn> = None;
        for operation in operations {
            *self.written.operations.entry(operation.stage).or_default() += 1;
            let class = match &operation.undo {
                UndoClass::Full => "full",
                UndoClass::Partial(_) => "partial",
                UndoClass::None(_) => "none",
            };
            *self.written.undo.entry(class.to_owned()).or_default() += 1;
            if is_irreversible(operation) {
                let found = point.get_or_insert_with(|| PointOfNoReturn {
                    wave: wave.clone(),
                    batch: batch.to_owned(),
                    stage: operation.stage,
                    first: operation.n,
                    operations: 0,
                });
                found.operations += 1;
            }
            if operation.protected_group {
                for subject in &operation.subjects {
                    let dn = operation.target.dn().clone();
                    let words = format!("a departed member is taken out of the protected group {dn}");
                    let note = Note { remark: Remark::ProtectedGroup, subject: Some(subject.clone()), dn: Some(dn), words };
                    self.written.notes.insert(note);
                }
            }
        }
        self.written.points_of_no_return.extend(point);
    }

    fn line(&mut self, wave: usize, line: &WaveLine) -> Result<(), PlanError> {
        let Some(open) = self.open.get_mut(wave) else { return Ok(()) };
        let mut bytes = serde_json::to_vec(line).map_err(|cause| PlanError::Json { what: "a line of a wave", cause })?;
        bytes.push(b'\n');
        if matches!(line, WaveLine::Operation(_)) {
            open.reference.operations += 1;
        }
        self.linter.line(line);
        open.hasher.update(&bytes);
        let name = &open.reference.name;
        self.sink.wave_line(name, &bytes).map_err(|cause| PlanError::Sink { what: format!("wave {name}"), cause })
    }

    fn end(&mut self, wave: usize) {
        let Some(open) = self.open.get_mut(wave) else { return };
        let mut reference = open.reference.clone();
        reference.digest = std::mem::take(&mut open.hasher).finish();
        reference.blobs = std::mem::take(&mut open.blobs).into_iter().collect();
        if let Some(last) = self.written.waves.last_mut() {
            last.reference = reference;
        }
        self.linter.end_wave();
    }
}

/// In line, or a blob of the wave.
fn planned_value(open: &mut Open, sink: &mut dyn Sink, value: &Value) -> Result<PlannedValue, PlanError> {
    if value.as_bytes().len() <= INLINE_BYTES {
        return Ok(PlannedValue::Inline(value.clone()));
    }
    let digest = Digest::of(value.as_bytes());
    if open.blobs.insert(digest) {
        let name = &open.reference.name;
        sink.blob(name, &digest, value.as_bytes())
            .map_err(|cause| PlanError::Sink { what: format!("a blob of wave {name}"), cause })?;
    }
    Ok(PlannedValue::Blob(digest))
}

/// Whether an operation lies behind the point of no return.
pub(crate) fn is_irreversible(operation: &Operation) -> bool {
    let destroys = !matches!(operation.action, Action::Deliver { .. } | Action::Attest { .. });
    operation.stage.is_irreversible() || (destroys && matches!(operation.undo, UndoClass::None(_)))
}

/// Puts a batch's operations in their order for reading and numbers them; later ones find the number of the one that creates their
/// target.
fn number(operations: &mut [Operation]) {
    operations.sort_by(|a, b| {
        let key = |o: &Operation| (o.stage, o.phase, o.store);
        let attr = |o: &Operation| match &o.action {
            Action::Ensure { attr, .. } => Some(attr.clone()),
            _ => None,
        };
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
