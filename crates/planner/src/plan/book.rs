//! What the policy says of each wave and entity, put together once: whom a wave takes, how it runs, and how its subjects are treated.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use untether_model::policy::{Admission, GroupMap, Pace, PlanPolicy, Terms, WavePolicy};
use untether_model::snapshot::{SnapshotEntry, SubjectKind};
use untether_model::{AttrName, Dn, EntityId, Value, keys};

use super::Inputs;
use super::candidate::Candidate;
use crate::attributes::{REFERENCE_ATTRS, values};
use crate::report::{Note, Remark};
use crate::source::PlanError;

/// Lines of a file that names nobody, as many as are told one by one.
const MOST_NAMES: usize = 20;

/// The policy, wave by wave.
pub(super) struct Book<'a> {
    waves: Vec<Chapter<'a>>,
}

struct Chapter<'a> {
    policy: &'a WavePolicy,
    pace: Pace,
    terms: BTreeMap<&'a EntityId, Arc<Terms>>,
    list: Option<List<'a>>,
}

/// The people whom a wave's file lists.
struct List<'a> {
    file: &'a str,
    lines: &'a [String],
    by_number: HashMap<String, usize>,
    by_login: HashMap<String, usize>,
    /// Lines that name an account of the shared store.
    met: BTreeSet<usize>,
}

impl<'a> List<'a> {
    fn of(wave: &'a WavePolicy) -> Option<Self> {
        let file = wave.people_file.as_deref()?;
        let by = |key: fn(&str) -> Option<String>| {
            wave.people.iter().enumerate().filter_map(|(at, line)| Some((key(line)?, at))).collect()
        };
        let (by_number, by_login) = (by(keys::number), by(keys::login));
        Some(Self { file, lines: &wave.people, by_number, by_login, met: BTreeSet::new() })
    }

    /// The lines that name this account.
    fn lines_of(&self, names: &Names) -> impl Iterator<Item = usize> + use<> {
        let number = names.number.as_ref().and_then(|number| self.by_number.get(number)).copied();
        let login = names.login.as_ref().and_then(|login| self.by_login.get(login)).copied();
        number.into_iter().chain(login)
    }
}

/// What a list may know an account by, in comparable form.
struct Names {
    number: Option<String>,
    login: Option<String>,
}

impl Names {
    fn of(inputs: &Inputs<'_>, entry: &SnapshotEntry) -> Self {
        let attributes = &inputs.audit.shared.attributes;
        let text = |attr: &AttrName| values(entry, attr.folded()).iter().filter_map(Value::as_str).min();
        Self {
            number: attributes.number.as_ref().and_then(text).and_then(keys::number),
            login: text(&attributes.login).and_then(keys::login),
        }
    }
}

impl<'a> Book<'a> {
    /// The book of a policy that contradicts itself nowhere.
    pub(super) fn new(inputs: &Inputs<'a>) -> Result<Self, PlanError> {
        let (policy, audit) = (inputs.policy, inputs.audit);
        policy.check(audit).map_err(|bad| PlanError::Policy(format!("{} ({})", bad.what, bad.hint)))?;
        let waves = policy.waves.iter().map(|wave| Chapter {
            policy: wave,
            pace: policy.pace(audit, wave),
            terms: PlanPolicy::entities_of(audit, wave)
                .map(|entity| (entity, Arc::new(policy.terms(audit, wave, entity))))
                .collect(),
            list: List::of(wave),
        });
        Ok(Self { waves: waves.collect() })
    }

    /// How a wave runs.
    pub(super) fn pace(&self, wave: usize) -> Option<&Pace> {
        self.waves.get(wave).map(|chapter| &chapter.pace)
    }

    /// How the subjects of an entity are treated in a wave.
    pub(super) fn terms(&self, wave: u32, entity: &EntityId) -> Option<&Arc<Terms>> {
        self.waves.get(wave as usize)?.terms.get(entity)
    }

    /// Remembers which lines of the waves' lists name this account.
    pub(super) fn meet(&mut self, inputs: &Inputs<'_>, entry: &SnapshotEntry) {
        let mut lists = self.waves.iter_mut().filter_map(|chapter| chapter.list.as_mut()).peekable();
        if lists.peek().is_none() {
            return;
        }
        let names = Names::of(inputs, entry);
        for list in lists {
            let lines = list.lines_of(&names);
            list.met.extend(lines);
        }
    }

    /// The first wave that takes a candidate with this main entry; the error says why none does.
    pub(super) fn choose(
        &self,
        inputs: &Inputs<'_>,
        candidate: &Candidate,
        entry: &SnapshotEntry,
    ) -> Result<Result<u32, String>, PlanError> {
        let mut left_out = Vec::new();
        for (at, chapter) in self.waves.iter().enumerate().filter(|(_, chapter)| chapter.takes(candidate)) {
            if chapter.selects(inputs, entry)? {
                return Ok(Ok(u32::try_from(at).unwrap_or(u32::MAX)));
            }
            left_out.push(chapter.policy.name.as_str());
        }
        Ok(Err(match left_out.as_slice() {
            [] => format!("no wave takes {:?} on this track from this entity", candidate.kind).to_lowercase(),
            names => format!("the filter or the list of each wave that could take it leaves it out: {}", names.join(", ")),
        }))
    }

    /// All groups that any mapping names, each map once.
    pub(super) fn groups(&self) -> BTreeSet<&GroupMap> {
        self.all_terms().filter_map(|terms| terms.mapping.as_ref()).flat_map(|mapping| &mapping.groups).collect()
    }

    /// Groups of the independent directory that admit.
    pub(super) fn admitting(&self) -> impl Iterator<Item = &Dn> {
        self.all_terms().filter_map(|terms| match &terms.admission {
            Some(Admission::Group { dn }) => Some(dn),
            _ => None,
        })
    }

    /// Attributes by which entries of the shared store refer to accounts.
    pub(super) fn references(&self, inputs: &Inputs<'_>) -> Vec<AttrName> {
        let mapped = self.all_terms().filter_map(|terms| terms.mapping.as_ref()).flat_map(|mapping| &mapping.references);
        let all: BTreeSet<AttrName> = REFERENCE_ATTRS
            .iter()
            .map(AttrName::new)
            .chain(inputs.audit.shared.attributes.owner.iter().cloned())
            .chain(mapped.cloned())
            .collect();
        all.into_iter().collect()
    }

    /// What people should know of the lists.
    pub(super) fn notes(&self) -> impl Iterator<Item = Note> {
        self.waves.iter().filter_map(|chapter| {
            let list = chapter.list.as_ref()?;
            let unmet: Vec<&str> =
                list.lines.iter().enumerate().filter(|(at, _)| !list.met.contains(at)).map(|(_, line)| line.as_str()).collect();
            let first = unmet.get(..unmet.len().min(MOST_NAMES)).unwrap_or_default().join(", ");
            let more = unmet.len().saturating_sub(MOST_NAMES);
            let words = format!(
                "{} of {} lines of '{}' (wave {}) name no account of the shared store: {first}{}",
                unmet.len(),
                list.lines.len(),
                list.file,
                chapter.policy.name,
                if more > 0 { format!(" and {more} more") } else { String::new() },
            );
            (!unmet.is_empty()).then_some(Note { remark: Remark::ListedUnknown, subject: None, dn: None, words })
        })
    }

    fn all_terms(&self) -> impl Iterator<Item = &Arc<Terms>> {
        self.waves.iter().flat_map(|chapter| chapter.terms.values())
    }
}

impl Chapter<'_> {
    fn takes(&self, candidate: &Candidate) -> bool {
        let wave = self.policy;
        let kind = match wave.kinds.is_empty() {
            true => candidate.kind == SubjectKind::Person,
            false => wave.kinds.contains(&candidate.kind),
        };
        kind && candidate.track.is_some_and(|t| wave.tracks.contains(&t))
            && candidate.entity.as_ref().is_some_and(|e| self.terms.contains_key(e))
    }

    fn selects(&self, inputs: &Inputs<'_>, entry: &SnapshotEntry) -> Result<bool, PlanError> {
        if self.list.as_ref().is_some_and(|list| list.lines_of(&Names::of(inputs, entry)).next().is_none()) {
            return Ok(false);
        }
        let Some(filter) = &self.policy.filter else { return Ok(true) };
        inputs.filters.matches(filter, entry).map_err(|cause| PlanError::Filter {
            filter: filter.clone(),
            of: format!("wave {}", self.policy.name),
            cause,
        })
    }
}
