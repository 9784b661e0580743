//! Effective members of groups: nested ones too, cycles are fine.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use untether_model::snapshot::{EntryRole, SnapshotEntry};
use untether_model::{Dn, Side, keys};

use super::index::{Index, hash_dn};
use super::{KeyTable, RowIx};
use crate::source::{Source, texts, values};

/// Attributes that name members, as they are written and in lower case: three by DN, one by login.
pub const MEMBER_ATTRIBUTES: [(&str, &str); 4] =
    [("member", "member"), ("uniqueMember", "uniquemember"), ("roleOccupant", "roleoccupant"), ("memberUid", "memberuid")];

/// A member as a group names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Membership {
    /// By DN, as it is spelled.
    Entry(Dn),
    /// By login, as it is spelled.
    Login(String),
}

/// What a group-like entry names; values that are no names are left out.
pub fn members(entry: &SnapshotEntry) -> impl Iterator<Item = (&'static str, Membership)> + '_ {
    MEMBER_ATTRIBUTES.into_iter().flat_map(|(attr, folded)| {
        texts(entry, folded).filter_map(move |text| {
            let member = match attr {
                "memberUid" => Membership::Login(text.to_owned()),
                "uniqueMember" => Membership::Entry(Dn::parse(without_uid(text)).ok()?),
                _ => Membership::Entry(Dn::parse(text).ok()?),
            };
            Some((attr, member))
        })
    })
}

/// The name of a value with an optional UID behind it: `…#'0101'B` (RFC 4517, section 3.3.21).
fn without_uid(text: &str) -> &str {
    let is_uid = |uid: &str| {
        let bits = uid.strip_prefix('\'').and_then(|rest| rest.strip_suffix("'B"));
        bits.is_some_and(|bits| bits.bytes().all(|b| matches!(b, b'0' | b'1')))
    };
    match text.rsplit_once('#') {
        Some((name, uid)) if is_uid(uid) => name,
        _ => text,
    }
}

fn is_group(entry: &SnapshotEntry) -> bool {
    MEMBER_ATTRIBUTES.iter().any(|(_, folded)| !values(entry, folded).is_empty())
}

/// Whether the members are computed from a search (`groupOfURLs`, dynamic lists): they cannot be seen in the entry.
pub fn is_dynamic(entry: &SnapshotEntry) -> bool {
    !values(entry, "memberurl").is_empty()
}

/// The groups of one store that lead down from a set of roots, and the accounts in them.
#[derive(Clone, Debug, Default)]
pub struct GroupGraph {
    /// Names of the reachable groups.
    names: BTreeMap<u32, String>,
    /// Hashes of these names.
    hashes: BTreeSet<u64>,
    /// Which roots, by their place in the list that was asked for, reach a group.
    reached_by: BTreeMap<u32, BTreeSet<usize>>,
    /// Accounts and the reachable groups that name them.
    members: Vec<(RowIx, u32)>,
    /// Roots that were not seen.
    pub missing: Vec<Dn>,
    /// Reachable groups whose members are computed.
    pub dynamic: Vec<String>,
}

impl GroupGraph {
    /// Follows `roots` down in one store: three passes over its entries that are no accounts.
    pub fn follow<S: Source>(source: &S, index: &Index, side: Side, roots: &[Dn]) -> Result<Self, S::Error> {
        let mut graph = Self::default();
        if roots.is_empty() {
            return Ok(graph);
        }
        let mut groups = KeyTable::default();
        let mut count: u32 = 0;
        for entry in source.entries(side, &[EntryRole::Other])? {
            let entry = entry?;
            if is_group(&entry) || is_dynamic(&entry) {
                groups.insert(hash_dn(&entry.dn), count);
                count += 1;
            }
        }
        groups.seal();
        let edges = edges(source, side, &groups)?;
        for (at, root) in roots.iter().enumerate() {
            match groups.get(hash_dn(root)).next() {
                Some(group) => graph.reach(at, group, &edges),
                None => graph.missing.push(root.clone()),
            }
        }
        if !graph.reached_by.is_empty() {
            graph.collect(source, index, side, &groups)?;
        }
        Ok(graph)
    }

    fn reach(&mut self, root: usize, group: u32, edges: &[(u32, u32)]) {
        let mut queue = VecDeque::from([group]);
        while let Some(group) = queue.pop_front() {
            if !self.reached_by.entry(group).or_default().insert(root) {
                continue;
            }
            let from = edges.partition_point(|(outer, _)| *outer < group);
            queue.extend(edges.iter().skip(from).take_while(|(outer, _)| *outer == group).map(|(_, inner)| *inner));
        }
    }

    fn collect<S: Source>(&mut self, source: &S, index: &Index, side: Side, groups: &KeyTable) -> Result<(), S::Error> {
        for entry in source.entries(side, &[EntryRole::Other])? {
            let entry = entry?;
            let Some(group) = groups.get(hash_dn(&entry.dn)).next().filter(|g| self.reached_by.contains_key(g)) else { continue };
            self.names.insert(group, entry.dn.to_string());
            self.hashes.insert(hash_dn(&entry.dn));
            if is_dynamic(&entry) {
                self.dynamic.push(entry.dn.to_string());
            }
            for (_, member) in members(&entry) {
                match member {
                    Membership::Entry(dn) => self.members.extend(index.row_of(side, &dn).map(|row| (row, group))),
                    Membership::Login(login) => {
                        let login = keys::login(&login).unwrap_or_default();
                        self.members.extend(index.by_login(side, &login).map(|row| (row, group)));
                    }
                }
            }
        }
        self.members.sort_unstable();
        self.members.dedup();
        Ok(())
    }

    /// The accounts that are effective members of any root.
    pub fn accounts(&self) -> impl Iterator<Item = RowIx> + '_ {
        self.members.chunk_by(|a, b| a.0 == b.0).filter_map(|chunk| chunk.first().map(|(row, _)| *row))
    }

    /// The groups that name an account directly.
    pub fn groups_of(&self, row: RowIx) -> impl Iterator<Item = &str> {
        let from = self.members.partition_point(|(r, _)| *r < row);
        let of = self.members.iter().skip(from).take_while(move |(r, _)| *r == row);
        of.filter_map(|(_, group)| self.names.get(group)).map(String::as_str)
    }

    /// The roots, by their place in the list, that an account is an effective member of.
    pub fn roots_of(&self, row: RowIx) -> BTreeSet<usize> {
        let from = self.members.partition_point(|(r, _)| *r < row);
        let of = self.members.iter().skip(from).take_while(move |(r, _)| *r == row);
        of.filter_map(|(_, group)| self.reached_by.get(group)).flatten().copied().collect()
    }

    /// Whether a group is one of those that lead down from the roots.
    pub fn is_reached(&self, dn: &Dn) -> bool {
        self.hashes.contains(&hash_dn(dn))
    }
}

fn edges<S: Source>(source: &S, side: Side, groups: &KeyTable) -> Result<Vec<(u32, u32)>, S::Error> {
    let mut edges = Vec::new();
    for entry in source.entries(side, &[EntryRole::Other])? {
        let entry = entry?;
        let Some(outer) = groups.get(hash_dn(&entry.dn)).next() else { continue };
        for (_, member) in members(&entry) {
            if let Membership::Entry(dn) = member {
                edges.extend(groups.get(hash_dn(&dn)).map(|inner| (outer, inner)));
            }
        }
    }
    edges.sort_unstable();
    edges.dedup();
    Ok(edges)
}
