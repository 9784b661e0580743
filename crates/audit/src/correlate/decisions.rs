//! What people decided about matches and tracks, and whether a further decision fits.
//!
//! Knows anchors only, not who is there: a decision about an account that has gone has no effect until it is back.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use untether_model::operation::Track;
use untether_model::run::{DecisionId, Match, MatchVerb};
use untether_model::snapshot::{Account, SnapshotEntry};
use untether_model::{Dn, Side, StableId, SubjectId};

/// The anchor of an account: `shared/<stable id>`, or `shared/dn/<comparable DN>` where an export has no stable ids.
pub fn account_anchor(side: Side, entry: &SnapshotEntry) -> String {
    anchor(side, &entry.dn, entry.stable_id.as_ref())
}

/// [`account_anchor`] of an account as its subject holds it.
pub fn anchor_of(account: &Account) -> String {
    anchor(account.side, &account.dn, account.stable_id.as_ref())
}

fn anchor(side: Side, dn: &Dn, stable_id: Option<&StableId>) -> String {
    match stable_id {
        Some(id) => format!("{side}/{id}"),
        None => format!("{side}/dn/{}", dn.key().as_str()),
    }
}

/// Whether an anchor is that of a person in the roster.
pub fn is_person(anchor: &str) -> bool {
    anchor.starts_with("roster/")
}

/// A decision that cannot stand beside earlier ones.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct Contradiction {
    /// The earlier decisions, any of which would have to be taken back.
    pub earlier: Vec<DecisionId>,
    /// What does not fit, in words.
    pub why: String,
}

/// A decision by which anchors are one subject.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Joined {
    id: DecisionId,
    merges: bool,
    anchors: Vec<String>,
}

/// Decisions in force. Anchors are those of accounts ([`account_anchor`]) and of roster people
/// ([`untether_model::roster::Roster::anchor`]).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decisions {
    joined: Vec<Joined>,
    /// Anchors that are one subject, all together.
    groups: Vec<BTreeSet<String>>,
    group_of: BTreeMap<String, usize>,
    denied: BTreeMap<(String, String), DecisionId>,
    denied_of: BTreeMap<String, BTreeSet<String>>,
    tracks: BTreeMap<SubjectId, Track>,
}

impl Decisions {
    /// Whether nobody decided anything about matches.
    pub fn no_matches(&self) -> bool {
        self.groups.is_empty() && self.denied.is_empty()
    }

    /// Takes a decision in.
    ///
    /// # Errors
    /// It contradicts earlier ones; nothing is taken in.
    pub fn decide(&mut self, id: DecisionId, decided: &Match) -> Result<(), Contradiction> {
        match decided.verb.joins() {
            true => self.join(id, decided),
            false => self.keep_apart(id, decided),
        }
    }

    /// The decision by which everything that this one says is said already.
    pub fn said_before(&self, decided: &Match) -> Option<DecisionId> {
        let first = decided.these.first()?;
        if decided.verb.joins() {
            let group = self.group_of.get(first)?;
            let all = decided.these.iter().chain(&decided.others).all(|a| self.group_of.get(a) == Some(group));
            let other = decided.others.first().filter(|_| all)?;
            return self.path(first, other).first().copied();
        }
        let mut pairs = decided.these.iter().flat_map(|a| decided.others.iter().map(move |b| self.denied.get(&ordered(a, b))));
        let all: Option<Vec<DecisionId>> = pairs.by_ref().map(Option::<&DecisionId>::copied).collect();
        all?.first().copied()
    }

    fn join(&mut self, id: DecisionId, decided: &Match) -> Result<(), Contradiction> {
        let anchors: Vec<String> = decided.these.iter().chain(&decided.others).cloned().collect();
        let mut together: BTreeSet<String> = anchors.iter().cloned().collect();
        for anchor in &anchors {
            if let Some(group) = self.group_of.get(anchor).and_then(|g| self.groups.get(*g)) {
                together.extend(group.iter().cloned());
            }
        }
        let apart = self.denied.iter().find(|((a, b), _)| together.contains(a) && together.contains(b));
        if let Some(((a, b), earlier)) = apart {
            let why = format!("decision {earlier} says that {a} and {b} are not one subject");
            return Err(Contradiction { earlier: vec![*earlier], why });
        }
        let merges = decided.verb == MatchVerb::Merge;
        let mut joined = self.joined.clone();
        joined.push(Joined { id, merges, anchors });
        if let Some((one, other)) = two_people(&joined, &together) {
            let mut earlier = self.path(&one, &other);
            if earlier.is_empty() {
                // The new decision brings the second person in: what brought the first one is in the way.
                let of_one = |person: &String| self.joined.iter().filter(|j| j.anchors.contains(person)).map(|j| j.id).collect();
                let found: Vec<DecisionId> = of_one(&one);
                earlier = if found.is_empty() { of_one(&other) } else { found };
            }
            let why = match earlier.first() {
                Some(id) => format!("decision {id} says otherwise: {one} and {other} would be one person"),
                None => format!("{one} and {other} are two people of the roster; if they are one, merge them"),
            };
            return Err(Contradiction { earlier, why });
        }
        self.joined = joined;
        self.regroup();
        Ok(())
    }

    fn keep_apart(&mut self, id: DecisionId, decided: &Match) -> Result<(), Contradiction> {
        for a in &decided.these {
            for b in &decided.others {
                let same = self.group_of.get(a).is_some_and(|group| self.group_of.get(b) == Some(group));
                if same || a == b {
                    let earlier = self.path(a, b);
                    let why = match earlier.first() {
                        Some(id) => format!("decision {id} says that {a} and {b} are one subject"),
                        None => format!("{a} cannot be kept apart from itself"),
                    };
                    return Err(Contradiction { earlier, why });
                }
            }
        }
        for a in &decided.these {
            for b in &decided.others {
                self.denied.entry(ordered(a, b)).or_insert(id);
                for (from, to) in [(a, b), (b, a)] {
                    self.denied_of.entry(from.clone()).or_default().insert(to.clone());
                }
            }
        }
        Ok(())
    }

    fn regroup(&mut self) {
        let mut groups: Vec<BTreeSet<String>> = Vec::new();
        for joined in &self.joined {
            let mut together: BTreeSet<String> = joined.anchors.iter().cloned().collect();
            groups.retain(|group| {
                let touches = group.iter().any(|anchor| together.contains(anchor));
                if touches {
                    together.extend(group.iter().cloned());
                }
                !touches
            });
            groups.push(together);
        }
        self.group_of = groups.iter().enumerate().flat_map(|(g, group)| group.iter().map(move |a| (a.clone(), g))).collect();
        self.groups = groups;
    }

    /// The decisions by which two anchors come to be one subject, from the first to the second.
    fn path(&self, from: &str, to: &str) -> Vec<DecisionId> {
        let mut reached: BTreeMap<&str, (&str, DecisionId)> = BTreeMap::new();
        let mut queue = VecDeque::from([from]);
        while let Some(at) = queue.pop_front() {
            for joined in self.joined.iter().filter(|j| j.anchors.iter().any(|a| a == at)) {
                for next in joined.anchors.iter().map(String::as_str) {
                    if next != from && !reached.contains_key(next) {
                        reached.insert(next, (at, joined.id));
                        queue.push_back(next);
                    }
                }
            }
        }
        let mut path = Vec::new();
        let mut at = to;
        while let Some((before, id)) = reached.get(at).filter(|_| at != from) {
            path.push(*id);
            at = before;
        }
        path.reverse();
        path.dedup();
        path
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

    /// Anchors that are one subject, group by group.
    pub fn groups(&self) -> &[BTreeSet<String>] {
        &self.groups
    }

    /// The group of an anchor.
    pub fn group_of(&self, anchor: &str) -> Option<usize> {
        self.group_of.get(anchor).copied()
    }

    /// People of the roster who are one person, as somebody said by merging them.
    pub fn merged_people(&self) -> Vec<Vec<String>> {
        people_by_merging(&self.joined).into_iter().filter(|people| people.len() > 1).collect()
    }

    /// Whether these two were said not to be one subject.
    pub fn is_denied(&self, a: &str, b: &str) -> bool {
        self.denied_of.get(a).is_some_and(|others| others.contains(b))
    }

    /// What this anchor was said not to be one subject with.
    pub fn denied_of(&self, anchor: &str) -> impl Iterator<Item = &str> {
        self.denied_of.get(anchor).into_iter().flatten().map(String::as_str)
    }

    /// Pairs that were said not to be one subject.
    pub fn denied_pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.denied.keys().map(|(a, b)| (a.as_str(), b.as_str()))
    }

    /// Whether any decision names this anchor.
    pub fn mentions(&self, anchor: &str) -> bool {
        self.group_of.contains_key(anchor) || self.denied_of.contains_key(anchor)
    }
}

/// Classes of people that merging makes.
fn people_by_merging(joined: &[Joined]) -> Vec<Vec<String>> {
    let mut classes: Vec<BTreeSet<String>> = Vec::new();
    for merged in joined.iter().filter(|j| j.merges) {
        let mut together: BTreeSet<String> = merged.anchors.iter().filter(|a| is_person(a)).cloned().collect();
        classes.retain(|class| {
            let touches = class.iter().any(|person| together.contains(person));
            if touches {
                together.extend(class.iter().cloned());
            }
            !touches
        });
        classes.push(together);
    }
    classes.into_iter().map(|class| class.into_iter().collect()).collect()
}

/// Two people who would be one subject although nobody merged them.
fn two_people(joined: &[Joined], together: &BTreeSet<String>) -> Option<(String, String)> {
    let classes = people_by_merging(joined);
    let class = |person: &String| classes.iter().position(|class| class.contains(person));
    let mut people = together.iter().filter(|a| is_person(a));
    let first = people.next()?;
    let other = people.find(|other| class(other).is_none() || class(other) != class(first))?;
    Some((first.clone(), other.clone()))
}

fn ordered(a: &str, b: &str) -> (String, String) {
    if a <= b { (a.to_owned(), b.to_owned()) } else { (b.to_owned(), a.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(verb: MatchVerb, these: &[&str], others: &[&str]) -> Match {
        let list = |anchors: &[&str]| anchors.iter().map(|a| (*a).to_owned()).collect();
        Match { verb, these: list(these), others: list(others), subjects: Vec::new() }
    }

    fn taken(list: &[(u64, Match)]) -> Decisions {
        let mut decisions = Decisions::default();
        list.iter().for_each(|(id, decided)| decisions.decide(DecisionId::alone(*id), decided).unwrap());
        decisions
    }

    #[test]
    fn what_contradicts_an_earlier_decision_names_it() {
        use MatchVerb::{Confirm, Deny, Merge, Split};
        let mut decisions = taken(&[
            (1, says(Confirm, &["shared/a"], &["roster/own/1"])),
            (2, says(Confirm, &["independent/x"], &["shared/a"])),
            (3, says(Deny, &["shared/b"], &["roster/own/2"])),
        ]);
        let mut refuse = |decided: Match, earlier: &[u64]| {
            let before = decisions.clone();
            let found = decisions.decide(DecisionId::alone(9), &decided).unwrap_err();
            assert_eq!(found.earlier, earlier.iter().map(|id| DecisionId::alone(*id)).collect::<Vec<_>>(), "{found}");
            assert_eq!(decisions, before, "nothing is taken in");
        };
        refuse(says(Deny, &["shared/a"], &["roster/own/1"]), &[1]);
        refuse(says(Split, &["independent/x"], &["roster/own/1"]), &[2, 1]);
        refuse(says(Confirm, &["shared/b"], &["roster/own/2"]), &[3]);
        refuse(says(Confirm, &["shared/a"], &["roster/own/2"]), &[1]);
        // By way of others: b would come to person 2 through c.
        decisions.decide(DecisionId::alone(4), &says(Confirm, &["shared/c"], &["roster/own/2"])).unwrap();
        let found = decisions.decide(DecisionId::alone(9), &says(Merge, &["shared/b"], &["shared/c"])).unwrap_err();
        assert_eq!(found.earlier, [DecisionId::alone(3)]);
    }

    #[test]
    fn people_are_one_only_where_somebody_merged_them() {
        let mut decisions = taken(&[(1, says(MatchVerb::Merge, &["roster/own/1"], &["roster/dom/1"]))]);
        assert_eq!(decisions.merged_people(), [["roster/dom/1", "roster/own/1"]]);
        decisions.decide(DecisionId::alone(2), &says(MatchVerb::Confirm, &["shared/a"], &["roster/own/1"])).unwrap();
        decisions.decide(DecisionId::alone(3), &says(MatchVerb::Confirm, &["shared/b"], &["roster/dom/1"])).unwrap();
        assert_eq!(decisions.groups().len(), 1);
        assert_eq!(decisions.merged_people().len(), 1);
    }

    #[test]
    fn what_was_said_is_recognized() {
        let decisions = taken(&[
            (1, says(MatchVerb::Confirm, &["shared/a"], &["roster/own/1"])),
            (2, says(MatchVerb::Split, &["shared/b"], &["shared/c", "roster/own/1"])),
        ]);
        assert_eq!(
            decisions.said_before(&says(MatchVerb::Confirm, &["shared/a"], &["roster/own/1"])),
            Some(DecisionId::alone(1))
        );
        assert_eq!(decisions.said_before(&says(MatchVerb::Deny, &["shared/b"], &["roster/own/1"])), Some(DecisionId::alone(2)));
        assert_eq!(decisions.said_before(&says(MatchVerb::Deny, &["shared/b"], &["shared/d"])), None);
    }
}
