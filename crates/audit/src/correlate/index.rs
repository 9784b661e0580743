//! The compact index of both stores, filled in one pass: accounts, names, keys.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use untether_model::roster::PersonIx;
use untether_model::snapshot::MatchKey;
use untether_model::{Dn, Side, SubjectId};

use super::matching::{Outcome, Undecided, weigh};
use super::{AccountKeys, Decisions, Doubt, Flags, KeyTable, People, Row, RowIx};

/// The hash of a comparable text. Only ever compared within one run.
pub fn hash_text(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

/// The hash of a name.
pub fn hash_dn(dn: &Dn) -> u64 {
    hash_text(dn.key().as_str())
}

/// One account as the index takes it.
pub struct Candidate<'a> {
    /// The store.
    pub side: Side,
    /// Its name.
    pub dn: &'a Dn,
    /// Its keys.
    pub keys: AccountKeys,
    /// Marks, times and entity.
    pub row: Row,
    /// Its anchor: [`super::account_anchor`].
    pub anchor: String,
}

/// Keys of an account that none of its own keys led to a person, as hashes.
#[derive(Clone, Debug, Default)]
pub(super) struct LooseKeys {
    pub number: Option<u64>,
    pub mails: Vec<u64>,
    pub logins: Vec<u64>,
}

/// Tables of one store.
#[derive(Clone, Debug, Default)]
pub(super) struct SideTables {
    /// Accounts by name.
    pub names: KeyTable,
    pub links: KeyTable,
    pub numbers: KeyTable,
    pub mails: KeyTable,
    pub logins: KeyTable,
}

/// The index, filled.
pub struct Index {
    pub(super) rows: Vec<Row>,
    pub(super) shared: SideTables,
    pub(super) independent: SideTables,
    pub(super) shared_rows: u32,
    /// Subject ids of accounts that were nobody's when they were read.
    pub(super) own_ids: BTreeMap<RowIx, SubjectId>,
    pub(super) loose: Vec<(RowIx, LooseKeys)>,
    /// Independent accounts with the shared accounts that their link points at.
    pub(super) linked: Vec<(RowIx, RowIx)>,
    /// Accounts that decisions name, by anchor, and the other way round.
    pub(super) anchors: BTreeMap<String, RowIx>,
    pub(super) anchor_of: BTreeMap<RowIx, String>,
    /// People to whom accounts do not belong, as somebody said.
    pub(super) not_theirs: BTreeMap<RowIx, BTreeSet<u32>>,
    /// The person of each group of anchors that are one subject, where one of them is a person's.
    pub(super) named: Vec<Option<u32>>,
    /// Candidates of accounts that are undecided.
    pub(super) doubts: BTreeMap<RowIx, Doubt>,
    pub(super) owners: Vec<OwnerClaim>,
    /// Number of people in the roster: the first subjects.
    pub(super) people: u32,
    /// For each subject that the roster does not know, the account that stands for it.
    pub(super) roots: Vec<RowIx>,
}

impl Index {
    /// Number of accounts.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is no account at all.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// One account.
    pub fn row(&self, row: RowIx) -> Option<&Row> {
        self.rows.get(usize::try_from(row).ok()?)
    }

    /// The id that an account gives a subject which the roster does not know, where it was known at once that it is nobody's.
    pub fn own_id(&self, row: RowIx) -> Option<SubjectId> {
        self.own_ids.get(&row).cloned()
    }

    /// Accounts that are undecided, in order, with their candidates.
    pub fn doubts(&self) -> impl Iterator<Item = (RowIx, &Doubt)> {
        self.doubts.iter().map(|(place, doubt)| (*place, doubt))
    }

    /// The candidates of an account that is undecided.
    pub fn doubt(&self, row: RowIx) -> Option<&Doubt> {
        self.doubts.get(&row)
    }

    /// Where the accounts of a store begin.
    pub fn first_row(&self, side: Side) -> RowIx {
        match side {
            Side::Shared => 0,
            Side::Independent => self.shared_rows,
        }
    }

    /// Sets marks of an account.
    pub fn mark(&mut self, row: RowIx, flags: Flags) {
        if let Some(row) = self.row_mut(row) {
            row.flags.set(flags, true);
        }
    }

    /// One account, to be marked.
    pub(super) fn row_mut(&mut self, row: RowIx) -> Option<&mut Row> {
        self.rows.get_mut(usize::try_from(row).ok()?)
    }

    /// All accounts with their places.
    pub fn rows(&self) -> impl Iterator<Item = (RowIx, &Row)> {
        (0u32..).zip(&self.rows)
    }

    /// The store of an account.
    pub fn side_of(&self, row: RowIx) -> Side {
        if row < self.shared_rows { Side::Shared } else { Side::Independent }
    }

    pub(super) fn tables(&self, side: Side) -> &SideTables {
        match side {
            Side::Shared => &self.shared,
            Side::Independent => &self.independent,
        }
    }

    /// The account of this name in a store.
    pub fn row_of(&self, side: Side, dn: &Dn) -> Option<RowIx> {
        self.tables(side).names.get(hash_dn(dn)).next()
    }

    /// The account that a name which an entry of `side` mentions leads to: in its own store first, then in the other one.
    pub fn resolve(&self, side: Side, dn: &Dn) -> Option<RowIx> {
        self.resolve_hash(side, hash_dn(dn))
    }

    pub(super) fn resolve_hash(&self, side: Side, hash: u64) -> Option<RowIx> {
        [side, side.other()].into_iter().find_map(|s| self.tables(s).names.get(hash).next())
    }

    /// The accounts of a store with this login (comparable form).
    pub fn by_login(&self, side: Side, login: &str) -> impl Iterator<Item = RowIx> + '_ {
        // Services have a hash of their own in the table: they are matched with services only.
        let tables = &self.tables(side).logins;
        tables.get(login_hash(login, false)).chain(tables.get(login_hash(login, true)))
    }
}

/// An owner that an account names.
#[derive(Clone, Copy, Debug)]
pub(super) struct OwnerClaim {
    pub owned: RowIx,
    /// Hash of the owner's name.
    pub name: u64,
    /// An entry of that name exists.
    pub exists: bool,
}

fn tagged(kind: &str, text: &str, service: bool) -> u64 {
    let mut hasher = DefaultHasher::new();
    (kind, service, text).hash(&mut hasher);
    hasher.finish()
}

fn login_hash(login: &str, service: bool) -> u64 {
    tagged("login", login, service)
}

/// Fills the index; the shared store first, because links point there.
pub struct IndexBuilder<'a> {
    index: Index,
    people: &'a People<'a>,
    decisions: &'a Decisions,
    /// Roster anchors that decisions name.
    named_people: BTreeMap<String, PersonIx>,
    linking: bool,
    /// Hashes by which shared accounts that are nobody's may be found in the independent directory, sorted; no others are asked for.
    sought: Vec<u64>,
}

impl<'a> IndexBuilder<'a> {
    /// A builder for these people and decisions.
    pub fn new(people: &'a People<'a>, decisions: &'a Decisions) -> Self {
        let index = Index {
            rows: Vec::new(),
            shared: SideTables::default(),
            independent: SideTables::default(),
            shared_rows: 0,
            own_ids: BTreeMap::new(),
            loose: Vec::new(),
            linked: Vec::new(),
            anchors: BTreeMap::new(),
            anchor_of: BTreeMap::new(),
            not_theirs: BTreeMap::new(),
            named: Vec::new(),
            doubts: BTreeMap::new(),
            owners: Vec::new(),
            people: people.count(),
            roots: Vec::new(),
        };
        let named_people = if decisions.no_matches() { BTreeMap::new() } else { people.anchors() };
        let mut builder = Self { index, people, decisions, named_people, linking: false, sought: Vec::new() };
        let of_group = |group: &BTreeSet<String>| group.iter().find_map(|anchor| builder.named_people.get(anchor)).map(number);
        builder.index.named = decisions.groups().iter().map(of_group).collect();
        builder
    }

    /// Ends the shared store: what comes now is independent.
    pub fn end_shared(&mut self) {
        self.index.shared.links.seal();
        self.linking = true;
        self.sought = self.index.loose.iter().flat_map(|(_, keys)| keys.number.iter().chain(&keys.mails)).copied().collect();
        self.sought.sort_unstable();
    }

    /// Takes down one account, with the names of its owners and whether such an entry exists.
    pub fn account(&mut self, candidate: Candidate<'_>, owners: &[(Dn, bool)]) -> RowIx {
        let Candidate { side, dn, keys, mut row, anchor } = candidate;
        let place = u32::try_from(self.index.rows.len()).unwrap_or(u32::MAX);
        let service = row.flags.has(Flags::SERVICE);
        let loose = LooseKeys {
            number: keys.number.as_deref().map(|n| tagged("number", n, service)),
            mails: keys.mails.iter().map(|m| tagged("mail", m, service)).collect(),
            logins: keys.logins.iter().map(|l| login_hash(l, service)).collect(),
        };
        let link = keys.link.as_deref().map(|l| tagged("link", l, service));
        let mentioned = self.decisions.mentions(&anchor);
        let targets = self.link_targets(side, link, &anchor);
        let not_theirs: BTreeSet<u32> =
            self.decisions.denied_of(&anchor).filter_map(|other| self.named_people.get(other)).map(number).collect();
        let named = self.decisions.group_of(&anchor).and_then(|group| self.index.named.get(group).copied().flatten());
        let (outcome, leads) = match (named.and_then(|n| self.people.person(n)), targets.as_slice()) {
            (Some(person), _) => (Outcome::Decided(person, MatchKey::Decision), Vec::new()),
            (None, [_, _, ..]) => (Outcome::Undecided(Undecided::Ambiguous), self.leads(&keys, service, (&not_theirs, None))),
            (None, one) => {
                let leads = self.leads(&keys, service, (&not_theirs, one.first().copied()));
                (weigh(&leads), leads)
            }
        };
        let mut nobodys = false;
        match outcome {
            Outcome::Decided(person, key) => {
                row.subject = number(&person);
                row.matched_by = Some(key);
                row.flags.set(Flags::DECIDED_BY_PERSON, key == MatchKey::Decision);
            }
            Outcome::Undecided(why) => {
                row.flags.set(undecided_flag(why), true);
                let doubt = self.index.doubts.entry(place).or_default();
                leads
                    .iter()
                    .flat_map(|(key, found)| found.iter().map(|p| (number(p), *key)))
                    .for_each(|(p, key)| doubt.person(p, key));
                targets.iter().for_each(|shared| doubt.account(*shared, MatchKey::Link));
                nobodys = true;
            }
            Outcome::Nobody => nobodys = true,
        }
        if nobodys || mentioned {
            self.index.own_ids.insert(place, SubjectId::from_anchor(&anchor));
        }
        if nobodys && outcome == Outcome::Nobody {
            self.index.loose.push((place, loose.clone()));
        }
        if let [shared] = targets.as_slice() {
            self.index.linked.push((place, *shared));
        }
        if mentioned {
            self.index.anchor_of.insert(place, anchor.clone());
            self.index.anchors.insert(anchor, place);
        }
        if !not_theirs.is_empty() {
            self.index.not_theirs.insert(place, not_theirs);
        }
        let claims = owners.iter().map(|(owner, exists)| OwnerClaim { owned: place, name: hash_dn(owner), exists: *exists });
        self.index.owners.extend(claims);
        if side == Side::Shared {
            self.index.shared_rows += 1;
        }
        let sought = &self.sought;
        let is_sought = |hash: &u64| side == Side::Shared || sought.binary_search(hash).is_ok();
        let tables = match side {
            Side::Shared => &mut self.index.shared,
            Side::Independent => &mut self.index.independent,
        };
        tables.names.insert(hash_dn(dn), place);
        // Links lead from the independent directory to the shared store.
        if let Some(hash) = link.filter(|_| side == Side::Shared) {
            tables.links.insert(hash, place);
        }
        if let Some(hash) = loose.number.filter(is_sought) {
            tables.numbers.insert(hash, place);
        }
        loose.mails.iter().filter(|hash| is_sought(hash)).for_each(|hash| tables.mails.insert(*hash, place));
        loose.logins.iter().for_each(|hash| tables.logins.insert(*hash, place));
        self.index.rows.push(row);
        place
    }

    /// The shared accounts that an independent one points at, those left out that somebody said it is not.
    fn link_targets(&self, side: Side, link: Option<u64>, anchor: &str) -> Vec<RowIx> {
        let (Some(hash), Side::Independent, true) = (link, side, self.linking) else { return Vec::new() };
        let is_denied =
            |place: &RowIx| self.index.anchor_of.get(place).is_some_and(|other| self.decisions.is_denied(anchor, other));
        self.index.shared.links.get(hash).filter(|place| !is_denied(place)).collect()
    }

    /// What link and keys of an account lead to; people to whom it does not belong, as somebody said, are left out.
    fn leads(
        &self,
        keys: &AccountKeys,
        service: bool,
        (not_theirs, target): (&BTreeSet<u32>, Option<RowIx>),
    ) -> Vec<(MatchKey, Vec<PersonIx>)> {
        if service {
            return Vec::new();
        }
        let linked = target.and_then(|shared| self.index.row(shared)).filter(|row| !row.is_undecided());
        let by_link = linked.and_then(|row| self.people.person(row.subject)).map(|person| (MatchKey::Link, vec![person]));
        let by_keys = self.people.leads(keys).into_iter().map(|lead| (lead.key, lead.people));
        let mut leads: Vec<(MatchKey, Vec<PersonIx>)> = by_link.into_iter().chain(by_keys).collect();
        if !not_theirs.is_empty() {
            leads.iter_mut().for_each(|(_, people)| people.retain(|p| !not_theirs.contains(&number(p))));
            leads.retain(|(_, people)| !people.is_empty());
        }
        leads
    }

    /// Seals the tables and settles what depends on the whole: links with several claimants, accounts that only the other store
    /// explains, decisions between accounts.
    pub fn finish(self) -> Index {
        let Self { mut index, decisions, .. } = self;
        for tables in [&mut index.shared, &mut index.independent] {
            for table in [&mut tables.names, &mut tables.links, &mut tables.numbers, &mut tables.mails, &mut tables.logins] {
                table.seal();
            }
        }
        super::subjects::settle(&mut index, decisions);
        // Nobody asks for these any more.
        for tables in [&mut index.shared, &mut index.independent] {
            (tables.links, tables.numbers, tables.mails) = Default::default();
        }
        index
    }
}

/// A person's number among the subjects.
fn number(person: &PersonIx) -> u32 {
    u32::try_from(person.index()).unwrap_or(Row::UNMATCHED)
}

pub(super) fn undecided_flag(why: Undecided) -> Flags {
    match why {
        Undecided::Ambiguous => Flags::AMBIGUOUS,
        Undecided::Conflicting => Flags::CONFLICTING,
    }
}
