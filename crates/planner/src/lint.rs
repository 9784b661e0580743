//! The linter: typed, ranked notes on a plan or another order, from its head and the lines of its waves.
//!
//! Runs over the stream of lines, when a plan is made and again before it runs; trusts nothing that the planner knew.

mod touched;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use untether_model::operation::{Action, Actor, Operation, PlannedValue, Stage, Target, Track, UndoClass};
use untether_model::plan::{GateWhen, OrderKind, PLAN_VERSION, PlanHeader, PlannedBatch, WaveHeader, WaveLine};
use untether_model::policy::{RetentionList, Terms, Thresholds};
use untether_model::run::GateKind;
use untether_model::snapshot::SubjectKind;
use untether_model::{AttrName, Dn, EntityId, Side, SubjectId};

use self::touched::{Touch, Touched};

/// How much a note matters. The order is from least to most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// Worth knowing.
    Info,
    /// To be looked at before approval.
    Warning,
    /// The order must not be run.
    Error,
}

/// What a note is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// An operation touches a protected identity.
    ProtectedTarget,
    /// A departed member is taken out of a protected group: approve it on its own.
    ProtectedGroup,
    /// An operation lies outside its store.
    OutsideStore,
    /// Two operations of a batch have the same number.
    DuplicateNumber,
    /// An operation is listed out of order.
    OutOfOrder,
    /// An operation depends on one that does not come before it.
    MissingCreator,
    /// An operation belongs to a batch that does not exist.
    UnknownBatch,
    /// An operation serves a subject that its batch does not hold, or whose track lacks its stage.
    ForeignSubject,
    /// An operation of a forward wave serves nobody.
    NoSubjects,
    /// An operation has not one value for each of its subjects.
    ValuesMismatch,
    /// Subjects of an operation are listed twice.
    RepeatedSubject,
    /// A subject is in two batches.
    SubjectTwice,
    /// A stage waits for nobody's operation.
    EmptyBatch,
    /// The canary is missing, not first, or there are several.
    Canary,
    /// A gate that the stages need is missing.
    MissingGate,
    /// The undo class promises too much.
    UndoClass,
    /// A large value stands in the line itself.
    LargeValue,
    /// A threshold is exceeded: the wave will not start.
    Threshold,
    /// The wave's line is missing or not the first.
    WaveLine,
    /// Service accounts go before people.
    ServicesFirst,
    /// The plan cannot be run.
    NotExecutable,
    /// Relying systems are told nothing: subjects migrate without a stage `switch`.
    NoAdmission,
    /// Nobody can say whether a factor is enrolled.
    NoMfaFilter,
    /// Some need not pass gate `mfa`.
    MfaExemption,
    /// What one word of the policy keeps on scrubbed records another one erases.
    Retention,
    /// The soak proves nothing.
    NoSoak,
}

/// One note.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LintNote {
    /// How much it matters.
    pub level: Level,
    /// What it is about.
    pub rule: Rule,
    /// Where: wave, batch and operation.
    pub at: String,
    /// In words.
    pub words: String,
}

impl fmt::Display for LintNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            Level::Info => "info",
            Level::Warning => "warning",
            Level::Error => "error",
        };
        write!(f, "{level}: {}: {}", self.at, self.words)
    }
}

/// Notes of one rule at one level beyond this number are only counted.
const MOST_OF_A_RULE: usize = 20;

/// Takes the lines of an order's waves, in order.
pub struct Linter {
    suffixes: BTreeMap<Side, Dn>,
    protected: BTreeMap<Side, HashSet<Dn>>,
    forward: bool,
    notes: Vec<LintNote>,
    counts: BTreeMap<(Level, Rule), usize>,
    /// The batch of each.
    subjects: HashMap<SubjectId, Arc<str>>,
    services_seen: bool,
    /// Retention lists of the waves so far that leave scrubbed records behind, by entity.
    retained: BTreeMap<EntityId, Vec<(String, Vec<AttrName>)>>,
    wave: Option<WaveState>,
}

struct WaveState {
    header: WaveHeader,
    batches: BTreeMap<String, BTreeMap<SubjectId, Member>>,
    canaries: usize,
    last: Option<(String, Stage, untether_model::operation::Phase, u32)>,
    numbers: BTreeSet<u32>,
    created: BTreeMap<Dn, u32>,
    stages: BTreeSet<Stage>,
    tracks: BTreeSet<Track>,
    /// Subjects by entity, track and kind.
    who: BTreeMap<EntityId, BTreeMap<(Track, SubjectKind), u64>>,
    touched: Touched,
    /// Whom operations of other batches serve.
    served_elsewhere: HashSet<SubjectId>,
}

/// A subject in its batch.
struct Member {
    /// A bit for each stage.
    stages: u8,
    served: bool,
}

impl Member {
    fn of(stages: &[Stage]) -> Self {
        Self { stages: stages.iter().fold(0, |bits, stage| bits | 1 << *stage as u8), served: false }
    }

    fn has(&self, stage: Stage) -> bool {
        self.stages & 1 << stage as u8 != 0
    }
}

/// Where an operation stands; put in words only for a note.
struct At<'a> {
    wave: &'a str,
    batch: &'a str,
    n: u32,
}

impl<'a> At<'a> {
    fn of(wave: &'a WaveHeader, operation: &'a Operation) -> Self {
        Self { wave: &wave.name, batch: &operation.batch, n: operation.n }
    }
}

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.wave, self.batch, self.n)
    }
}

impl Linter {
    /// A linter for the order with this head.
    pub fn new(header: &PlanHeader) -> Self {
        let forward = matches!(header.kind, OrderKind::Plan | OrderKind::RetireTool);
        let mut linter = Self {
            suffixes: header.stores.iter().map(|(side, s)| (*side, s.identity.suffix.clone())).collect(),
            protected: header.stores.iter().map(|(side, s)| (*side, s.protected.iter().cloned().collect())).collect(),
            forward,
            notes: Vec::new(),
            counts: BTreeMap::new(),
            subjects: HashMap::new(),
            services_seen: false,
            retained: BTreeMap::new(),
            wave: None,
        };
        if header.version < PLAN_VERSION {
            let words = format!("it is of the older plan format {} and cannot be run: make a new plan", header.version);
            linter.note(Level::Error, Rule::NotExecutable, "plan".to_owned(), words);
        }
        for why in &header.not_executable {
            linter.note(Level::Warning, Rule::NotExecutable, "plan".to_owned(), format!("it can only be rehearsed: {why}"));
        }
        linter
    }

    fn note(&mut self, level: Level, rule: Rule, at: impl fmt::Display, words: String) {
        let count = self.counts.entry((level, rule)).or_default();
        *count += 1;
        if *count <= MOST_OF_A_RULE {
            self.notes.push(LintNote { level, rule, at: at.to_string(), words });
        }
    }

    /// Takes a line.
    pub fn line(&mut self, line: &WaveLine) {
        match line {
            WaveLine::Wave(header) => {
                self.end_wave();
                self.wave = Some(WaveState::new(header.as_ref().clone()));
            }
            WaveLine::Batch(batch) => self.batch(batch),
            WaveLine::Operation(operation) => self.operation(operation),
        }
    }

    fn batch(&mut self, batch: &PlannedBatch) {
        let Some(mut wave) = self.wave.take() else {
            let at = format!("/{}", batch.name);
            return self.note(Level::Error, Rule::WaveLine, at, "a batch comes before the line of its wave".to_owned());
        };
        let at: Arc<str> = format!("{}/{}", wave.header.name, batch.name).into();
        if batch.canary {
            wave.canaries += 1;
        }
        if batch.canary != wave.batches.is_empty() {
            self.note(Level::Error, Rule::Canary, &at, "the canary is the first batch, and only that".to_owned());
        }
        if batch.subjects.is_empty() {
            self.note(Level::Error, Rule::EmptyBatch, &at, "it has no subjects".to_owned());
        }
        let mut members = BTreeMap::new();
        for subject in &batch.subjects {
            if let Some(before) = self.subjects.insert(subject.id.clone(), at.clone()) {
                let words = format!("subject {} is in {before} too", subject.id);
                self.note(Level::Error, Rule::SubjectTwice, &at, words);
            }
            if self.forward && subject.stages.iter().any(|stage| !subject.track.has(*stage)) {
                let words = format!("subject {} has a stage that track {} has not", subject.id, subject.track);
                self.note(Level::Error, Rule::ForeignSubject, &at, words);
            }
            match subject.kind {
                SubjectKind::Service => self.services_seen = true,
                SubjectKind::Person if self.services_seen && self.forward => {
                    let words = "people go after service accounts; services are meant to go last".to_owned();
                    self.note(Level::Warning, Rule::ServicesFirst, &at, words);
                    self.services_seen = false;
                }
                _ => {}
            }
            wave.stages.extend(subject.stages.iter().copied());
            wave.tracks.insert(subject.track);
            let who = wave.who.entry(subject.entity.clone()).or_default();
            *who.entry((subject.track, subject.kind)).or_default() += 1;
            members.insert(subject.id.clone(), Member::of(&subject.stages));
        }
        wave.batches.insert(batch.name.clone(), members);
        self.wave = Some(wave);
    }

    fn operation(&mut self, operation: &Operation) {
        let Some(mut wave) = self.wave.take() else {
            let at = At { wave: "", batch: &operation.batch, n: operation.n };
            return self.note(Level::Error, Rule::WaveLine, at, "an operation comes before the line of its wave".to_owned());
        };
        self.place(&mut wave, operation);
        self.target(&wave, operation);
        self.cells(&mut wave, operation);
        self.promise(&wave, operation);
        wave.touched.add(operation);
        self.wave = Some(wave);
    }

    fn place(&mut self, wave: &mut WaveState, operation: &Operation) {
        let at = At::of(&wave.header, operation);
        let same_batch = wave.last.as_ref().is_some_and(|(batch, ..)| *batch == operation.batch);
        if !same_batch {
            wave.numbers.clear();
            wave.created.clear();
        }
        if !wave.numbers.insert(operation.n) {
            self.note(Level::Error, Rule::DuplicateNumber, &at, "its number is taken in its batch".to_owned());
        }
        if let Some((_, stage, phase, n)) = wave.last.as_ref().filter(|_| same_batch) {
            let ordered = (*stage, *phase, *n) <= (operation.stage, operation.phase, operation.n);
            if !ordered {
                let words = "it is listed after an operation of a later stage, phase or number".to_owned();
                self.note(Level::Error, Rule::OutOfOrder, &at, words);
            }
        }
        let makes = matches!(operation.action, Action::Create { .. } | Action::Recreate { .. });
        if makes {
            wave.created.insert(operation.target.dn().clone(), operation.n);
        }
        if let Target::CreatedBy { n, dn } = &operation.target
            && wave.created.get(dn) != Some(n)
            && !makes
        {
            let words = format!("operation {n} of its batch does not create {dn} before it");
            self.note(Level::Error, Rule::MissingCreator, &at, words);
        }
        match &mut wave.last {
            Some((_, stage, phase, n)) if same_batch => (*stage, *phase, *n) = (operation.stage, operation.phase, operation.n),
            last => *last = Some((operation.batch.clone(), operation.stage, operation.phase, operation.n)),
        }
    }

    fn target(&mut self, wave: &WaveState, operation: &Operation) {
        let at = At::of(&wave.header, operation);
        let dn = operation.target.dn();
        if !self.suffixes.get(&operation.store).is_some_and(|suffix| dn.is_within(suffix)) {
            let words = format!("{dn} is outside the {} store", operation.store);
            self.note(Level::Error, Rule::OutsideStore, &at, words);
        }
        let protected = self.protected.get(&operation.store).is_some_and(|set| set.contains(dn));
        let membership = matches!(operation.action, Action::Ensure { .. });
        if operation.protected_group {
            let words = format!("a departed member is taken out of the protected group {dn}; approve it on its own");
            self.note(Level::Warning, Rule::ProtectedGroup, &at, words);
        }
        if protected && !(membership && operation.protected_group) {
            self.note(Level::Error, Rule::ProtectedTarget, &at, format!("{dn} is a protected identity"));
        }
        if let Action::Ensure { values, .. } = &operation.action {
            let named = |v: &&untether_model::Value| {
                v.as_str()
                    .and_then(|t| Dn::parse(t).ok())
                    .is_some_and(|dn| self.protected.get(&operation.store).is_some_and(|set| set.contains(&dn)))
            };
            if !operation.protected_group && values.iter().any(|v| named(&v)) {
                let words = format!("it changes the memberships of a protected identity in {dn}");
                self.note(Level::Error, Rule::ProtectedTarget, &at, words);
            }
        }
        if !wave.batches.contains_key(&operation.batch) {
            self.note(Level::Error, Rule::UnknownBatch, &at, format!("batch {} does not exist", operation.batch));
        }
    }

    fn cells(&mut self, wave: &mut WaveState, operation: &Operation) {
        let at = At::of(&wave.header, operation);
        if operation.subjects.is_empty() && self.forward {
            self.note(Level::Error, Rule::NoSubjects, &at, "it serves no subject".to_owned());
        }
        let repeated = |subjects: &[SubjectId]| subjects.iter().collect::<HashSet<_>>().len() != subjects.len();
        if operation.subjects.len() > 1 && repeated(&operation.subjects) {
            self.note(Level::Error, Rule::RepeatedSubject, &at, "a subject is listed twice".to_owned());
        }
        match &operation.action {
            Action::Ensure { values, .. } if values.len() != operation.subjects.len() => {
                let words = format!("{} values for {} subjects", values.len(), operation.subjects.len());
                self.note(Level::Error, Rule::ValuesMismatch, &at, words);
            }
            Action::Ensure { .. } => {}
            _ if operation.subjects.len() > 1 => {
                let words = "only memberships and references serve several subjects".to_owned();
                self.note(Level::Error, Rule::ValuesMismatch, &at, words);
            }
            _ => {}
        }
        let Some(members) = wave.batches.get_mut(&operation.batch) else { return };
        let mut foreign = None;
        for id in &operation.subjects {
            let member = members.get_mut(id);
            if !member.as_ref().is_some_and(|member| !self.forward || member.has(operation.stage)) {
                foreign.get_or_insert(id);
            }
            match member {
                Some(member) => member.served = true,
                None => drop(wave.served_elsewhere.insert(id.clone())),
            }
        }
        if let Some(id) = foreign {
            let words = format!("subject {id} is not in its batch, or has no stage {}", operation.stage);
            self.note(Level::Error, Rule::ForeignSubject, at, words);
        }
    }

    fn promise(&mut self, wave: &WaveState, operation: &Operation) {
        let at = At::of(&wave.header, operation);
        let proof = matches!(operation.action, Action::Attest { .. } | Action::Deliver { .. });
        if proof && operation.undo == UndoClass::Full {
            self.note(Level::Error, Rule::UndoClass, &at, "what is sent or proved cannot be taken back".to_owned());
        }
        if operation.actor == Actor::Undo && matches!(operation.action, Action::Ensure { .. }) {
            let words = "memberships need no more than the writing bind".to_owned();
            self.note(Level::Warning, Rule::UndoClass, &at, words);
        }
        let large = |v: &PlannedValue| matches!(v, PlannedValue::Inline(v) if v.as_bytes().len() > 1_024);
        if let Action::Create { attrs } = &operation.action
            && attrs.iter().any(|(_, values)| values.iter().any(large))
        {
            self.note(Level::Error, Rule::LargeValue, &at, "values above 1 KiB are blobs".to_owned());
        }
    }

    /// Ends the wave that is being read.
    pub fn end_wave(&mut self) {
        let Some(wave) = self.wave.take() else { return };
        let at = wave.header.name.clone();
        if wave.canaries != 1 {
            self.note(Level::Error, Rule::Canary, at.clone(), format!("it has {} canaries", wave.canaries));
        }
        if self.forward {
            self.gates(&wave, &at);
            self.terms(&wave, &at);
            let members = wave.batches.values().flatten();
            let mut idle =
                members.filter(|(id, member)| !member.served && !wave.served_elsewhere.contains(*id)).map(|(id, _)| id);
            if let Some(first) = idle.next() {
                let words = format!("{} subjects have no operation, for instance {first}", 1 + idle.count());
                self.note(Level::Warning, Rule::NoSubjects, at.clone(), words);
            }
            self.thresholds(&wave, &at);
        }
    }

    fn gates(&mut self, wave: &WaveState, at: &str) {
        let has = |gate, stage, when| wave.header.gates.iter().any(|g| g.gate == gate && g.stage == stage && g.when == when);
        let moves = wave.tracks.contains(&Track::Migrate);
        let mut missing = Vec::new();
        if moves && wave.stages.contains(&Stage::Enroll) && !has(GateKind::Mfa, Stage::Enroll, GateWhen::After) {
            missing.push("mfa after enroll");
        }
        let own = moves || wave.tracks.contains(&Track::Finish);
        if own && wave.stages.contains(&Stage::Disable) && !has(GateKind::OwnAccount, Stage::Disable, GateWhen::Before) {
            missing.push("own-account before disable");
        }
        if wave.stages.contains(&Stage::Soak) && !has(GateKind::Silence, Stage::Soak, GateWhen::After) {
            missing.push("silence after soak");
        }
        for gate in missing {
            self.note(Level::Error, Rule::MissingGate, at.to_owned(), format!("gate {gate} is missing"));
        }
        if wave.stages.contains(&Stage::Soak) && wave.header.soak.seconds == 0 {
            let words = "a soak of no time proves no silence".to_owned();
            self.note(Level::Warning, Rule::NoSoak, at.to_owned(), words);
        }
    }

    /// How the subjects of each entity are treated.
    fn terms(&mut self, wave: &WaveState, at: &str) {
        for (entity, who) in &wave.who {
            let Some(terms) = wave.header.terms.get(entity) else { continue };
            let at = format!("{at}, {entity}");
            self.migration(who, terms, &at);
            if who.keys().any(|(track, _)| track.has(Stage::Scrub)) {
                let stays = who.keys().any(|(track, _)| *track == Track::Keep);
                self.retention((wave, entity), (terms, stays), &at);
            }
        }
    }

    fn migration(&mut self, who: &BTreeMap<(Track, SubjectKind), u64>, terms: &Terms, at: &str) {
        let migrating = who.iter().filter(|((track, _), _)| *track == Track::Migrate).map(|((_, kind), count)| (*kind, *count));
        if migrating.clone().next().is_none() {
            return;
        }
        if terms.admission.is_none() {
            let words = "no admission is configured: nothing tells relying systems to admit the new accounts".to_owned();
            self.note(Level::Warning, Rule::NoAdmission, at.to_owned(), words);
        }
        let mut asked = false;
        for (kind, count) in migrating {
            match terms.exempt_from_mfa(kind) {
                Some(reason) => {
                    let kind = format!("{kind:?}").to_lowercase();
                    let words = format!("{count} of the kind {kind} need not pass gate mfa: {reason}");
                    self.note(Level::Warning, Rule::MfaExemption, at.to_owned(), words);
                }
                None => asked = true,
            }
        }
        if asked && terms.mfa_filter.is_none() {
            let words = "no `mfa_filter` is configured: gate mfa stays unknown until it is accepted".to_owned();
            self.note(Level::Warning, Rule::NoMfaFilter, at.to_owned(), words);
        }
    }

    /// Records that stay are to be scrubbed by one list, whatever wave their subjects go with; the audit looks at those records by its own.
    fn retention(&mut self, (wave, entity): (&WaveState, &EntityId), (terms, stays): (&Terms, bool), at: &str) {
        let named = |attrs: &[AttrName]| attrs.iter().map(AttrName::as_str).collect::<Vec<_>>().join(", ");
        for (list, attrs) in &terms.retained_against {
            if *list != RetentionList::Audit || stays {
                let words = format!("scrubbed records keep {}, which {} would erase", named(attrs), list.as_str());
                self.note(Level::Warning, Rule::Retention, at.to_owned(), words);
            }
        }
        if !stays {
            return;
        }
        let beyond = |kept: &[AttrName], list: &[AttrName]| -> Vec<AttrName> {
            kept.iter().filter(|attr| !list.iter().any(|name| attr.is_covered_by(name))).cloned().collect()
        };
        let earlier = self.retained.entry(entity.clone()).or_default();
        let mut differences = Vec::new();
        for (other, list) in earlier.iter() {
            let (kept, erased) = (beyond(&terms.retention, list), beyond(list, &terms.retention));
            if !kept.is_empty() {
                differences.push(format!("records that stay keep {}, which wave {other} erases", named(&kept)));
            }
            if !erased.is_empty() {
                differences.push(format!("records that stay lose {}, which wave {other} keeps", named(&erased)));
            }
        }
        earlier.push((wave.header.name.clone(), terms.retention.clone()));
        for words in differences {
            self.note(Level::Warning, Rule::Retention, at.to_owned(), words);
        }
    }

    fn thresholds(&mut self, wave: &WaveState, at: &str) {
        let limits = &wave.header.thresholds;
        let Thresholds { max_changed, max_changed_percent, max_disabled, max_disabled_percent, max_removed, max_removed_percent } =
            limits;
        for side in Side::ALL {
            let scope = wave.header.in_scope.get(&side).copied().unwrap_or(0);
            let mut checks = vec![("changed", wave.touched.count(side, Touch::Changed), *max_changed, *max_changed_percent)];
            if side == Side::Shared {
                checks.push(("disabled", wave.touched.count(side, Touch::Disabled), *max_disabled, *max_disabled_percent));
                checks.push(("removed", wave.touched.count(side, Touch::Removed), *max_removed, *max_removed_percent));
            }
            for (what, count, most, percent) in checks {
                #[expect(clippy::cast_precision_loss, reason = "counts of entries are far below 2^52")]
                let allowed = if scope == 0 { f64::INFINITY } else { scope as f64 * percent / 100.0 };
                #[expect(clippy::cast_precision_loss, reason = "counts of entries are far below 2^52")]
                let share = count as f64 > allowed;
                if share || most.is_some_and(|most| count > most) {
                    let words = format!(
                        "{count} entries of the {side} store ({scope} accounts in scope) would be {what}; the thresholds allow {} and {percent} %",
                        most.map_or_else(|| "any number".to_owned(), |m| m.to_string())
                    );
                    self.note(Level::Error, Rule::Threshold, at.to_owned(), words);
                }
            }
        }
    }

    /// The notes, the worst first.
    pub fn finish(mut self) -> Vec<LintNote> {
        self.end_wave();
        for ((level, rule), count) in std::mem::take(&mut self.counts) {
            if count > MOST_OF_A_RULE {
                let words = format!("and {} more of this kind", count - MOST_OF_A_RULE);
                self.notes.push(LintNote { level, rule, at: "plan".to_owned(), words });
            }
        }
        // Stable: notes of one level stay in the order of the lines.
        self.notes.sort_by(|a, b| b.level.cmp(&a.level).then(a.rule.cmp(&b.rule)));
        self.notes
    }
}

impl WaveState {
    fn new(header: WaveHeader) -> Self {
        Self {
            header,
            batches: BTreeMap::new(),
            canaries: 0,
            last: None,
            numbers: BTreeSet::new(),
            created: BTreeMap::new(),
            stages: BTreeSet::new(),
            tracks: BTreeSet::new(),
            who: BTreeMap::new(),
            touched: Touched::default(),
            served_elsewhere: HashSet::new(),
        }
    }
}
