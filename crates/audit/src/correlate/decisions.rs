//! What people decided about matches and tracks.

use std::collections::{BTreeMap, BTreeSet};

use untether_model::operation::Track;
use untether_model::snapshot::SnapshotEntry;
use untether_model::{Side, SubjectId};

/// The anchor of an account: `shared/<stable id>`, or `shared/dn/<comparable DN>` where an export has no stable ids.
pub fn account_anchor(side: Side, entry: &SnapshotEntry) -> String {
    match &entry.stable_id {
        Some(id) => format!("{side}/{id}"),
        None => format!("{side}/dn/{}", entry.dn.key().as_str()),
    }
}

/// Decisions in force. Anchors are those of accounts ([`account_anchor`]) and of roster people
/// ([`untether_model::roster::Roster::anchor`]).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decisions {
    confirmed: BTreeMap<String, BTreeSet<String>>,
    denied: BTreeSet<(String, String)>,
    tracks: BTreeMap<SubjectId, Track>,
}

impl Decisions {
    /// Whether nobody decided anything about matches.
    pub fn no_matches(&self) -> bool {
        self.confirmed.is_empty() && self.denied.is_empty()
    }

    /// These anchors are one subject. A later decision wins over an earlier one.
    pub fn confirm(&mut self, anchors: &[String]) {
        for (a, b) in pairs(anchors) {
            self.denied.remove(&ordered(a, b));
            self.confirmed.entry(a.clone()).or_default().insert(b.clone());
            self.confirmed.entry(b.clone()).or_default().insert(a.clone());
        }
    }

    /// No two of these anchors are one subject.
    pub fn deny(&mut self, anchors: &[String]) {
        for (a, b) in pairs(anchors) {
            for (from, to) in [(a, b), (b, a)] {
                if let Some(set) = self.confirmed.get_mut(from) {
                    set.remove(to);
                }
            }
            self.denied.insert(ordered(a, b));
        }
        self.confirmed.retain(|_, set| !set.is_empty());
    }

    /// What is to become of a subject.
    pub fn track(&mut self, subject: SubjectId, track: Track) {
        self.tracks.insert(subject, track);
    }

    /// Whether any track was decided on.
    pub fn has_tracks(&self) -> bool {
        !self.tracks.is_empty()
    }

    /// The track that a person decided on.
    pub fn track_of(&self, subject: &SubjectId) -> Option<Track> {
        self.tracks.get(subject).copied()
    }

    /// What this anchor was confirmed to be one subject with.
    pub fn confirmed_with(&self, anchor: &str) -> impl Iterator<Item = &str> {
        self.confirmed.get(anchor).into_iter().flatten().map(String::as_str)
    }

    /// Whether these two were said not to be one subject.
    pub fn is_denied(&self, a: &str, b: &str) -> bool {
        !self.denied.is_empty() && self.denied.contains(&ordered(a, b))
    }

    /// Whether any decision names this anchor.
    pub fn mentions(&self, anchor: &str) -> bool {
        self.confirmed.contains_key(anchor) || self.denies_any(anchor)
    }

    /// Pairs of anchors that were confirmed, each once.
    pub fn confirmed_pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.confirmed.iter().flat_map(|(a, others)| others.iter().map(move |b| (a.as_str(), b.as_str()))).filter(|(a, b)| a < b)
    }

    /// Whether anything was denied of this anchor.
    pub fn denies_any(&self, anchor: &str) -> bool {
        self.denied.iter().any(|(a, b)| a == anchor || b == anchor)
    }
}

fn ordered(a: &str, b: &str) -> (String, String) {
    if a <= b { (a.to_owned(), b.to_owned()) } else { (b.to_owned(), a.to_owned()) }
}

fn pairs(anchors: &[String]) -> impl Iterator<Item = (&String, &String)> {
    anchors.iter().enumerate().flat_map(|(i, a)| anchors.iter().skip(i + 1).map(move |b| (a, b)))
}
