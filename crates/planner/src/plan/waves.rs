//! Which subject goes with which wave and batch; the canary is chosen for diversity.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest as _, Sha256};
use untether_model::operation::Stage;
use untether_model::snapshot::SubjectKind;
use untether_model::{EntityId, SubjectId};

use super::Inputs;
use super::book::Book;
use super::candidate::Candidate;
use super::links::Links;
use super::survey::{Below, Survey};
use crate::report::Reason;

/// A wave with its subjects: (index in the policy, candidates by batch, the canary first).
pub(super) struct WaveBatches {
    pub policy: usize,
    pub batches: Vec<Vec<u32>>,
}

impl WaveBatches {
    /// Name of a batch.
    pub(super) fn name(index: usize) -> String {
        format!("b{:02}", index.saturating_add(1))
    }
}

/// A number that depends on the seed and the subject only.
fn lot(seed: u64, id: &SubjectId) -> u64 {
    let mut hasher = Sha256::new();
    hasher.update(seed.to_be_bytes());
    hasher.update(id.as_str().as_bytes());
    hasher.finalize().iter().take(8).fold(0, |acc, byte| acc << 8 | u64::from(*byte))
}

/// Leaves out whoever is too many for a wave, by lot.
pub(super) fn limit(inputs: &Inputs<'_>, candidates: &mut [Candidate]) {
    let mut taken: BTreeMap<usize, Vec<(u64, usize)>> = BTreeMap::new();
    for (number, candidate) in candidates.iter().enumerate().filter(|(_, c)| c.is_planned()) {
        if let Some(wave) = candidate.wave {
            taken.entry(wave as usize).or_default().push((lot(inputs.seed, &candidate.id), number));
        }
    }
    for (wave, mut numbers) in taken {
        let Some(policy) = inputs.policy.waves.get(wave) else { continue };
        let Some(limit) = policy.limit.and_then(|l| usize::try_from(l).ok()) else { continue };
        numbers.sort_unstable();
        for (_, number) in numbers.into_iter().skip(limit) {
            if let Some(candidate) = candidates.get_mut(number) {
                candidate.drop_for(Reason::WaveLimit, format!("wave {} is limited to {limit} subjects", policy.name));
                candidate.wave = None;
            }
        }
    }
}

/// Takes out those whose record cannot go because something below it stays. What is left has a height: 0 without planned children,
/// else one more than its highest child.
pub(super) fn children(candidates: &mut [Candidate], survey: &Survey) -> BTreeMap<u32, u32> {
    loop {
        let mut stays: Vec<(u32, String)> = Vec::new();
        for (number, below) in &survey.below {
            let Some(parent) = candidates.get(*number as usize) else { continue };
            if !parent.is_planned() || !parent.has_stage(Stage::Remove) || parent.groups_only {
                continue;
            }
            let mut reasons: Vec<String> = below.iter().filter_map(|b| obstacle(candidates, *number, parent, b)).collect();
            reasons.sort();
            if let Some(first) = reasons.into_iter().next() {
                stays.push((*number, first));
            }
        }
        if stays.is_empty() {
            break;
        }
        for (number, words) in stays {
            if let Some(candidate) = candidates.get_mut(number as usize) {
                candidate.drop_for(Reason::Children, words);
                candidate.wave = None;
            }
        }
    }
    heights(candidates, survey)
}

fn obstacle(candidates: &[Candidate], number: u32, parent: &Candidate, below: &Below) -> Option<String> {
    match below {
        Below::Other(dn) => Some(format!("{dn} stands below its record and is no account of a planned subject")),
        Below::Account(child) if child.candidate == number => None,
        Below::Account(child) => {
            let found = candidates.get(child.candidate as usize)?;
            let goes = found.is_planned() && found.wave == parent.wave && found.has_stage(Stage::Remove) && !found.groups_only;
            (!goes).then(|| format!("subject {} stands below its record and does not go with the same wave", found.id))
        }
    }
}

fn heights(candidates: &mut [Candidate], survey: &Survey) -> BTreeMap<u32, u32> {
    let mut heights: BTreeMap<u32, u32> = BTreeMap::new();
    let children: BTreeMap<u32, BTreeSet<u32>> = survey
        .below
        .iter()
        .filter(|(number, _)| candidates.get(**number as usize).is_some_and(Candidate::is_planned))
        .map(|(number, below)| {
            let of = |b: &Below| match b {
                Below::Account(child) if child.candidate != *number => Some(child.candidate),
                _ => None,
            };
            (*number, below.iter().filter_map(of).collect())
        })
        .collect();
    // Names nest at most so deep; what still moves afterwards stands below itself, by two accounts each.
    const DEEPEST: usize = 64;
    for pass in 0..=DEEPEST {
        let mut moved = Vec::new();
        for (number, below) in &children {
            let height = below.iter().map(|c| heights.get(c).copied().unwrap_or(0).saturating_add(1)).max().unwrap_or(0);
            if heights.get(number).copied().unwrap_or(0) != height {
                heights.insert(*number, height);
                moved.push(*number);
            }
        }
        if moved.is_empty() {
            break;
        }
        if pass == DEEPEST {
            for number in moved {
                if let Some(candidate) = candidates.get_mut(number as usize) {
                    candidate.drop_for(Reason::Children, "its records and those of another subject stand below each other");
                    candidate.wave = None;
                }
            }
        }
    }
    heights
}

/// Cuts the waves into batches.
pub(super) fn batches(
    book: &Book<'_>,
    candidates: &mut [Candidate],
    links: &Links,
    (heights, seed): (&BTreeMap<u32, u32>, u64),
) -> Vec<WaveBatches> {
    let mut by_wave: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for (number, candidate) in candidates.iter().enumerate().filter(|(_, c)| c.is_planned()) {
        if let (Some(wave), Ok(number)) = (candidate.wave, u32::try_from(number)) {
            by_wave.entry(wave).or_default().push(number);
        }
    }
    let mut waves = Vec::new();
    for (wave, mut members) in by_wave {
        let Some(pace) = book.pace(wave as usize) else { continue };
        let height = |n: u32| heights.get(&n).copied().unwrap_or(0);
        let key = |n: &u32| {
            let candidate = candidates.get(*n as usize);
            candidate.map(|c| (height(*n), c.kind, c.entity.clone(), c.track, lot(seed, &c.id), c.id.clone()))
        };
        members.sort_by_cached_key(key);
        let canary = canary(candidates, links, &members, pace.canary_size as usize, &height);
        let chosen: BTreeSet<u32> = canary.iter().copied().collect();
        let rest: Vec<u32> = members.into_iter().filter(|n| !chosen.contains(n)).collect();
        let mut batches = vec![canary];
        batches.extend(rest.chunks(pace.batch_size as usize).map(<[u32]>::to_vec));
        for (index, batch) in batches.iter().enumerate() {
            for number in batch {
                if let Some(candidate) = candidates.get_mut(*number as usize) {
                    candidate.batch = u32::try_from(index).unwrap_or(u32::MAX);
                }
            }
        }
        waves.push(WaveBatches { policy: wave as usize, batches });
    }
    waves
}

/// What makes a candidate unlike others.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Trait {
    Entity(Option<EntityId>),
    Kind(SubjectKind),
    Track(Option<untether_model::operation::Track>),
    Group(u32),
    Several,
}

/// Picks again and again the member that shows most of what has not been shown yet; `members` is in seeded order, and the first of
/// equals is taken. Parents of planned children are left to later batches.
fn canary(candidates: &[Candidate], links: &Links, members: &[u32], size: usize, height: &dyn Fn(u32) -> u32) -> Vec<u32> {
    let mut eligible: Vec<(u32, Vec<Trait>)> = members
        .iter()
        .filter(|n| height(**n) == 0)
        .filter_map(|n| candidates.get(*n as usize).map(|c| (*n, c)))
        .map(|(n, c)| {
            let mut traits = vec![Trait::Entity(c.entity.clone()), Trait::Kind(c.kind), Trait::Track(c.track)];
            traits.extend(links.groups_of(n).map(Trait::Group));
            if c.accounts.len() > 1 {
                traits.push(Trait::Several);
            }
            traits.dedup();
            (n, traits)
        })
        .collect();
    if eligible.is_empty() {
        return members.iter().copied().take(1).collect();
    }
    let mut shown: BTreeSet<Trait> = BTreeSet::new();
    let mut chosen = Vec::new();
    while chosen.len() < size && !eligible.is_empty() {
        let news = |traits: &[Trait]| traits.iter().filter(|t| !shown.contains(t)).count();
        let mut best = 0;
        let mut most = 0;
        for (at, (_, traits)) in eligible.iter().enumerate() {
            let found = news(traits);
            if found > most {
                (best, most) = (at, found);
            }
        }
        let (number, traits) = eligible.remove(best);
        shown.extend(traits);
        chosen.push(number);
        if most == 0 {
            shown.clear();
        }
    }
    chosen
}
