//! Brings source, correlation and rules together: two passes over the accounts, a few over what names them.

use std::collections::{BTreeMap, BTreeSet};

use untether_model::finding::Finding;
use untether_model::operation::Track;
use untether_model::roster::Zones;
use untether_model::run::EntityCounts;
use untether_model::snapshot::{Account, AccountState, EntryRole, SnapshotEntry, Subject, SubjectKind};
use untether_model::{Dn, EntityId, Side, SubjectId};

use super::context::Sides;
use super::doubts::{self, Seen, Wanted};
use super::identities::{BadFilter, Identities};
use super::pieces::{self, Piece};
use super::residual::{self, copy::Areas, lock::Verdict};
use super::survey::{self, Survey, Surveyed};
use super::{AccountCase, ConfigCase, Context, Inputs, NameCase, Sink, Skips, SubjectCase, access, correlation, coverage, link};
use crate::correlate::{Anchor, Flags, GroupGraph, Index, KeyReader, People, Row, RowIx, Subjects, account_anchor};
use crate::links::{Configuration, Servers};
use crate::source::Source;
use crate::spill::{Scratch, Sorter};
use crate::state::StoreState;

/// Bytes of accounts that are sorted in memory before a run goes to the scratch place.
const SORT_BYTES: usize = 16 << 20;

/// Why the rules could not be run.
#[derive(Debug, thiserror::Error)]
pub enum AssessError<S, C, K>
where
    S: std::error::Error + 'static,
    C: std::error::Error + 'static,
    K: std::error::Error + 'static,
{
    /// What was collected could not be read back.
    #[error("running the rules: the snapshot could not be read back; audit again")]
    Source(#[source] S),
    /// The scratch place failed.
    #[error("running the rules: the scratch files could not be written or read back; is the disk full?")]
    Scratch(#[source] C),
    /// The results could not be kept.
    #[error("running the rules: findings or subjects could not be kept")]
    Sink(#[source] K),
    /// A filter of the configuration.
    #[error(transparent)]
    Filter(#[from] BadFilter),
    /// A subject's record could not be written or read back.
    #[error("running the rules: an account could not be written to the scratch files")]
    Record(#[source] postcard::Error),
}

/// What came out, in numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Assessment {
    /// Accounts in both stores.
    pub accounts: u64,
    /// Subjects.
    pub subjects: u64,
    /// Findings by rule.
    pub findings: BTreeMap<String, u64>,
    /// Accounts and unmoved people by entity.
    pub entities: BTreeMap<Option<EntityId>, EntityCounts>,
}

impl Assessment {
    fn entity(&mut self, id: Option<&EntityId>) -> &mut EntityCounts {
        let entity = id.cloned();
        self.entities.entry(entity.clone()).or_insert_with(|| EntityCounts { entity, ..EntityCounts::default() })
    }

    fn count(&mut self, side: Side, id: Option<&EntityId>, flags: Flags) {
        if flags.has(Flags::CANARY) {
            return;
        }
        let entity = self.entity(id);
        let counts = match side {
            Side::Shared => &mut entity.shared,
            Side::Independent => &mut entity.independent,
        };
        counts.accounts += 1;
        counts.open += u64::from(flags.has(Flags::OPEN));
        counts.credentials += u64::from(flags.has(Flags::CREDENTIAL));
        counts.protected += u64::from(flags.has(Flags::PROTECTED));
    }
}

/// Who is there, and whose only way in leads through the shared store.
fn is_unmoved(subject: &Subject) -> bool {
    subject.kind == SubjectKind::Person
        && subject.standing.as_ref().is_some_and(|standing| standing.presence.is_active())
        && subject.accounts_in(Side::Shared).next().is_some()
        && !subject.accounts_in(Side::Independent).any(|account| account.state.counts_as_open())
}

type Failed<S, C, K> = AssessError<<S as Source>::Error, <C as Scratch>::Error, <K as Sink>::Error>;

/// Runs correlation and all rules. Findings and subjects go to the sink; the order of findings depends on the snapshot alone, subjects
/// are sorted by id.
///
/// # Errors
/// The snapshot, the scratch place or the sink fails, or a filter of the configuration cannot be read.
pub fn assess<S: Source, C: Scratch, K: Sink>(
    inputs: &Inputs<'_>,
    source: &S,
    scratch: &mut C,
    sink: &mut K,
) -> Result<Assessment, Failed<S, C, K>> {
    let mut skips = Skips::default();
    let entry_gaps = coverage::findings(inputs.gaps, &mut skips);
    let configurations = survey::configurations(source, inputs).map_err(AssessError::Source)?;
    let policies = Sides {
        shared: survey::policies(source, Side::Shared, &mut skips).map_err(AssessError::Source)?,
        independent: survey::policies(source, Side::Independent, &mut skips).map_err(AssessError::Source)?,
    };
    let states = survey::states(inputs, &configurations, policies);
    let named: BTreeSet<Dn> =
        Side::ALL.into_iter().filter_map(|side| configurations.get(side).as_ref()).flat_map(Configuration::identities).collect();
    let identities = Identities::new(inputs.policy, named)?;
    let people = People::new(inputs.roster, Zones::of(&inputs.policy.entities), inputs.when);
    let reader = |side| KeyReader::new(inputs.policy, side);
    let readers = Sides { shared: reader(Side::Shared), independent: reader(Side::Independent) };
    let survey = Survey { inputs, people: &people, identities: &identities, states: &states, readers: &readers };
    let Surveyed { mut index, mut secrets } = survey.run(source, &mut skips).map_err(AssessError::Source)?;

    let subjects = Subjects::of(&index);
    let privileged = groups(source, inputs, &mut index, &mut skips).map_err(AssessError::Source)?;
    keep(inputs, &people, &mut index, &subjects);
    let names = survey::tied_names(source, &index, &subjects).map_err(AssessError::Source)?;
    subjects.mark_primaries(&mut index, &names);
    index.mark_status(&people, &subjects);
    secrets.seal(|place| index.row(place).map_or(u32::MAX, |row| row.subject));

    let (entities, _) = Context::number_entities(inputs.policy);
    let servers = Servers::of(inputs.policy);
    let context = Context { inputs, people: &people, index, subjects, servers, privileged, readers, secrets, entities };
    let run = Run {
        context: &context,
        states: &states,
        identities: &identities,
        skips,
        out: Out { sink, assessment: Assessment::default() },
        wanted: Wanted::of(&context),
        strangers: BTreeMap::new(),
    };
    run.all(source, scratch, &configurations, entry_gaps)
}

/// Marks members of privileged and of protected groups.
fn groups<S: Source>(
    source: &S,
    inputs: &Inputs<'_>,
    index: &mut Index,
    skips: &mut Skips,
) -> Result<Sides<GroupGraph>, S::Error> {
    let mut privileged: Sides<GroupGraph> = Sides::default();
    for side in Side::ALL {
        let suffix = &inputs.policy.store(side).suffix;
        let here = |list: &[Dn]| -> Vec<Dn> { list.iter().filter(|dn| dn.is_within(suffix)).cloned().collect() };
        let protecting = GroupGraph::follow(source, index, side, &here(&inputs.policy.protected.groups))?;
        protecting.accounts().for_each(|place| index.mark(place, Flags::PROTECTED));
        let graph = GroupGraph::follow(source, index, side, &here(&inputs.policy.privileged_groups))?;
        graph.accounts().for_each(|place| index.mark(place, Flags::PRIVILEGED));
        for group in &graph.missing {
            skips.add(side, access::PRIVILEGED.id, format!("the configured group {group} was not found"));
        }
        for group in &graph.dynamic {
            skips.add(side, access::PRIVILEGED.id, format!("{group} is a dynamic group: its members were not seen"));
        }
        *privileged.get_mut(side) = graph;
    }
    Ok(privileged)
}

/// A record that the policy or a person keeps is kept for the whole subject.
fn keep(inputs: &Inputs<'_>, people: &People<'_>, index: &mut Index, subjects: &Subjects) {
    let by_person = |group: &[RowIx]| {
        let subject = group.first().and_then(|place| index.row(*place)).map(|row| row.subject)?;
        let id = match subjects.anchor(subject)? {
            Anchor::Person(person) => SubjectId::from_anchor(&people.anchor(people.person(person)?)?),
            Anchor::Account(root) => index.own_id(root)?,
        };
        inputs.decisions.track_of(&id)
    };
    let asks_people = inputs.decisions.has_tracks();
    let kept: Vec<RowIx> = subjects
        .groups(index)
        .filter(|group| {
            group.iter().any(|place| index.row(*place).is_some_and(|row| row.flags.has(Flags::KEEP)))
                || (asks_people && by_person(group) == Some(Track::Keep))
        })
        .flatten()
        .copied()
        .collect();
    kept.into_iter().for_each(|place| index.mark(place, Flags::KEEP));
}

/// What is sorted: pieces of subjects before cards of undecided matches.
const PIECE: u8 = 0;
const CARD: u8 = 1;

/// A sort key: the kind, what the record belongs to, the account's place.
fn sort_key(kind: u8, of: &[u8], place: RowIx) -> Vec<u8> {
    let mut key = Vec::with_capacity(5 + of.len());
    key.push(kind);
    key.extend_from_slice(of);
    key.extend_from_slice(&place.to_be_bytes());
    key
}

/// The kind and the owner of a [`sort_key`].
fn owner(key: &[u8]) -> Option<(u8, &[u8])> {
    let (kind, rest) = key.split_first()?;
    Some((*kind, rest.get(..rest.len().checked_sub(4)?)?))
}

/// A subject on its way: its id, and its accounts with what the index keeps of them.
type Gathered = Option<(Vec<u8>, Vec<(Piece, Row)>)>;

struct Out<'a, K> {
    sink: &'a mut K,
    assessment: Assessment,
}

impl<K: Sink> Out<'_, K> {
    fn finding(&mut self, finding: Finding) -> Result<(), K::Error> {
        // Findings are many and rules are few.
        match self.assessment.findings.get_mut(&finding.rule) {
            Some(count) => *count += 1,
            None => drop(self.assessment.findings.insert(finding.rule.clone(), 1)),
        }
        self.sink.finding(finding)
    }
}

struct Run<'a, 'k, K> {
    context: &'a Context<'a>,
    states: &'a Sides<StoreState<'a>>,
    identities: &'a Identities<'a>,
    skips: Skips,
    out: Out<'k, K>,
    /// Accounts that are in undecided matches.
    wanted: Wanted,
    /// Accounts of the independent directory that share a secret with somebody else's, with their names once they are met.
    strangers: BTreeMap<RowIx, String>,
}

impl<'a, K: Sink> Run<'a, '_, K> {
    fn all<S: Source, C: Scratch>(
        mut self,
        source: &S,
        scratch: &mut C,
        configurations: &Sides<Option<Configuration>>,
        entry_gaps: Vec<Finding>,
    ) -> Result<Assessment, Failed<S, C, K>> {
        let mut sorter = Sorter::new(scratch, SORT_BYTES);
        for side in Side::ALL {
            self.accounts(source, side, &mut sorter)?;
            self.names::<S, C>(source, side)?;
        }
        self.subjects::<S, C>(sorter)?;
        for side in Side::ALL {
            if let Some(configuration) = configurations.get(side) {
                self.configuration(side, configuration).map_err(AssessError::Sink)?;
            }
            let mut areas = Areas::new(self.context, side);
            for copy in source.copies(side).map_err(AssessError::Source)? {
                areas.take(&copy.map_err(AssessError::Source)?);
            }
            areas.findings().try_for_each(|finding| self.out.finding(finding)).map_err(AssessError::Sink)?;
        }
        self.unconfigured();
        let skipped = std::mem::take(&mut self.skips).findings();
        entry_gaps.into_iter().chain(skipped).try_for_each(|f| self.out.finding(f)).map_err(AssessError::Sink)?;
        Ok(self.out.assessment)
    }

    /// Rules that the configuration gives nothing to judge by.
    fn unconfigured(&mut self) {
        let policy = self.context.policy();
        if policy.retention.is_none() {
            self.skips.add(Side::Shared, residual::attribute::ATTRIBUTE.id, "no retention list is configured");
        }
        if policy.mfa_filter.is_none() {
            self.skips.add(Side::Independent, access::MFA_MISSING.id, "no multi-factor filter is configured");
        }
    }

    fn accounts<S: Source, C: Scratch>(
        &mut self,
        source: &S,
        side: Side,
        sorter: &mut Sorter<'_, C>,
    ) -> Result<(), Failed<S, C, K>> {
        let mut place = self.context.index.first_row(side);
        for entry in source.entries(side, &[EntryRole::Account]).map_err(AssessError::Source)? {
            let entry = entry.map_err(AssessError::Source)?;
            let Some(row) = self.context.index.row(place).copied() else { break };
            self.out.assessment.accounts += 1;
            let state = self.states.get(side).judge(&entry, self.context.now());
            let anchor = account_anchor(side, &entry);
            let case = AccountCase {
                context: self.context,
                side,
                entry: &entry,
                place,
                row,
                state: &state,
                subject: self.context.subject_id(row.subject, place, &anchor),
                entity: self.context.entity(&row),
            };
            self.out.assessment.count(side, case.entity.as_ref(), row.flags);
            self.account(&case).map_err(AssessError::Sink)?;
            for (of, seen) in self.wanted.cards(&case) {
                let payload = postcard::to_stdvec(&seen).map_err(AssessError::Record)?;
                sorter.push(&sort_key(CARD, &of.to_be_bytes(), place), &payload).map_err(AssessError::Scratch)?;
            }
            if let Some(id) = case.subject.clone() {
                let piece = self.piece(&case, anchor, state.clone());
                let payload = postcard::to_stdvec(&piece).map_err(AssessError::Record)?;
                sorter.push(&sort_key(PIECE, id.as_str().as_bytes(), place), &payload).map_err(AssessError::Scratch)?;
            }
            place = place.saturating_add(1);
        }
        Ok(())
    }

    /// Everything that one account's entry decides.
    fn account(&mut self, case: &AccountCase<'_>) -> Result<(), K::Error> {
        let lock = match residual::lock::check(case) {
            Verdict::Ineffective(draft) => Some(draft),
            // Reported once for the store, by the first pass.
            Verdict::Fine | Verdict::NotKnown(_) => None,
        };
        let drafts = [
            correlation::check_undecided(case),
            correlation::check_entity(case),
            residual::dormant::check(case),
            residual::credential::check(case),
            residual::attribute::check(case),
            lock,
            access::check_privileged(case),
            access::check_service(case),
            access::check_factor(case),
            link::pass_through::check(case),
        ];
        for draft in drafts.into_iter().flatten() {
            self.out.finding(case.finding(draft))?;
        }
        let names = NameCase {
            context: case.context,
            side: case.side,
            entry: case.entry,
            protected: case.is(Flags::PROTECTED),
            subject: case.subject.clone(),
            entity: case.entity.clone(),
        };
        self.names_in(&names)
    }

    /// Everything that the names in one entry decide.
    fn names_in(&mut self, case: &NameCase<'_>) -> Result<(), K::Error> {
        let drafts = [residual::membership::check(case), residual::reference::check(case), link::mapping::check(case)];
        for draft in drafts.into_iter().flatten() {
            self.out.finding(case.finding(draft))?;
        }
        if let Some(reason) = link::referral::leads_outside(self.context, case.side, case.entry) {
            self.skips.add(case.side, link::referral::REFERRAL.id, reason);
        }
        Ok(())
    }

    fn names<S: Source, C: Scratch>(&mut self, source: &S, side: Side) -> Result<(), Failed<S, C, K>> {
        for entry in source.entries(side, &[EntryRole::Other]).map_err(AssessError::Source)? {
            let entry = entry.map_err(AssessError::Source)?;
            let protected = self.identities.is_protected_name(&entry.dn);
            let case = NameCase { context: self.context, side, entry: &entry, protected, subject: None, entity: None };
            self.names_in(&case).map_err(AssessError::Sink)?;
        }
        Ok(())
    }

    fn piece(&mut self, case: &AccountCase<'_>, anchor: String, state: AccountState) -> Piece {
        let (entry, row, place) = (case.entry, &case.row, case.place);
        let context = self.context;
        let secrets = match case.side {
            Side::Shared => context.secrets.matches(&entry.credentials, row.subject),
            Side::Independent => Default::default(),
        };
        for found in secrets.matches.iter().filter(|found| found.stranger) {
            self.strangers.entry(found.row).or_default();
        }
        if let Some(name) = self.strangers.get_mut(&place) {
            *name = entry.dn.to_string();
        }
        let reader = context.readers.get(case.side);
        let told = case.side == Side::Independent && context.policy().mfa_filter.is_some();
        Piece {
            place,
            account: Account {
                side: case.side,
                dn: entry.dn.clone(),
                stable_id: entry.stable_id.clone(),
                primary: row.flags.has(Flags::PRIMARY),
                secondary: row.flags.has(Flags::SECONDARY),
                matched_by: row.matched_by,
                state,
                last_use: super::evidence::at(row.last_use),
                factor: told.then(|| row.flags.has(Flags::FACTOR)),
            },
            name: reader.name(entry),
            anchor,
            secrets,
            owners: owners(context, case.side, entry, reader),
        }
    }

    /// Everything that was sorted: pieces to subjects, then cards to undecided matches.
    fn subjects<S: Source, C: Scratch>(&mut self, sorter: Sorter<'_, C>) -> Result<(), Failed<S, C, K>> {
        let mut current: Gathered = None;
        let mut cards: Vec<Seen> = Vec::new();
        let mut case = None;
        for record in sorter.finish().map_err(AssessError::Scratch)? {
            let record = record.map_err(AssessError::Scratch)?;
            let Some((kind, id)) = owner(record.key()) else { continue };
            if kind == CARD {
                let of = id.try_into().map(RowIx::from_be_bytes).unwrap_or(RowIx::MAX);
                if case.replace(of).is_some_and(|before| before != of) {
                    self.case(&mut cards).map_err(AssessError::Sink)?;
                }
                cards.push(postcard::from_bytes(record.payload()).map_err(AssessError::Record)?);
                continue;
            }
            let piece: Piece = postcard::from_bytes(record.payload()).map_err(AssessError::Record)?;
            let Some(row) = self.context.index.row(piece.place).copied() else { continue };
            match &mut current {
                Some((known, pieces)) if known == id => pieces.push((piece, row)),
                _ => {
                    let done = current.replace((id.to_vec(), vec![(piece, row)]));
                    self.subject(done).map_err(AssessError::Sink)?;
                }
            }
        }
        self.subject(current).map_err(AssessError::Sink)?;
        self.case(&mut cards).map_err(AssessError::Sink)
    }

    fn case(&mut self, cards: &mut Vec<Seen>) -> Result<(), K::Error> {
        match doubts::assemble(self.context, &std::mem::take(cards)) {
            Some(case) => self.out.sink.case(case),
            None => Ok(()),
        }
    }

    fn subject(&mut self, done: Gathered) -> Result<(), K::Error> {
        let Some((id, pieces)) = done else { return Ok(()) };
        let id = SubjectId::new(String::from_utf8_lossy(&id));
        let Some(subject) = pieces::subject(self.context, id, &pieces) else { return Ok(()) };
        let case = SubjectCase { context: self.context, subject: &subject, pieces: &pieces };
        let judged = [
            residual::status::check(&case),
            residual::duplicate::check(&case),
            link::shared_secret::check(&case, &self.strangers),
        ];
        for drafts in judged {
            for ((piece, row), draft) in pieces.iter().zip(drafts) {
                if let Some(draft) = draft {
                    self.out.finding(case.finding(piece, row, draft))?;
                }
            }
        }
        self.out.assessment.subjects += 1;
        if is_unmoved(&subject) {
            self.out.assessment.entity(subject.entity.as_ref()).unmoved += 1;
        }
        self.out.sink.subject(subject)
    }

    fn configuration(&mut self, side: Side, configuration: &Configuration) -> Result<(), K::Error> {
        for entry in configuration.entries() {
            let disabled = configuration.is_disabled(&entry.dn);
            let case = ConfigCase { context: self.context, side, configuration, entry, disabled };
            let drafts = [
                link::replication::check(&case),
                link::proxy::check(&case),
                link::pass_through::check_overlay(&case),
                link::referral::check(&case),
                link::mapping::check_config(&case),
                residual::reference::check_access(&case),
            ];
            for draft in drafts.into_iter().flatten() {
                self.out.finding(case.finding(draft))?;
            }
            if let Some(reason) = link::proxy::opaque(&case) {
                self.skips.add(side, link::proxy::PROXY.id, reason);
            }
        }
        let areas = self.context.inputs.store(side).areas;
        for log in configuration.log_areas() {
            if !areas.iter().any(|read| read.area.base == log) {
                let reason = format!("an overlay logs to {log}, which was not read (configure it as an area of copies)");
                self.skips.add(side, residual::copy::COPY.id, reason);
            }
        }
        Ok(())
    }
}

/// Subjects that own an account, where they are known.
fn owners(context: &Context<'_>, side: Side, entry: &SnapshotEntry, reader: &KeyReader<'_>) -> Vec<SubjectId> {
    let owner = |dn: &Dn| {
        let place = context.index.resolve(side, dn)?;
        let subject = context.index.row(place)?.subject;
        match context.subjects.anchor(subject)? {
            Anchor::Person(person) => Some(SubjectId::from_anchor(&context.people.anchor(context.people.person(person)?)?)),
            Anchor::Account(root) => context.index.own_id(root),
        }
    };
    reader.owners(entry).filter_map(|text| Dn::parse(text).ok()).filter_map(|dn| owner(&dn)).collect()
}
