//! What entries of the shared store say of accounts: gathered while it is not yet known who is planned, as a few numbers a link.
//!
//! What becomes of a link is decided in [`super::links`].

use std::collections::HashSet;

use untether_model::operation::Track;
use untether_model::snapshot::{EntryRole, SnapshotEntry};
use untether_model::{AttrName, Dn, Side, StableId, Value};

use super::Inputs;
use super::candidate::Candidate;
use super::index::{AccountRef, Index};
use crate::attributes::GROUP_ATTRS;

/// An entry of the shared store that names accounts.
pub(super) struct Holder {
    name: HolderName,
    /// The candidate whose account it is.
    pub account: Option<AccountRef>,
    /// It is a protected identity.
    pub protected: bool,
    /// It makes its members protected identities, or is one.
    pub protected_group: bool,
    /// The configured placeholder is among its members already, so that no last value can go.
    pub has_placeholder: bool,
}

enum HolderName {
    /// That of the account that it is.
    Account(AccountRef),
    Own(Box<(Dn, Option<StableId>)>),
}

impl Holder {
    /// Its name.
    pub(super) fn dn<'a>(&'a self, candidates: &'a [Candidate]) -> Option<&'a Dn> {
        match &self.name {
            HolderName::Account(account) => account.of(candidates).map(|found| &found.dn),
            HolderName::Own(own) => Some(&own.0),
        }
    }

    /// Its stable id.
    pub(super) fn stable_id<'a>(&'a self, candidates: &'a [Candidate]) -> Option<&'a StableId> {
        match &self.name {
            HolderName::Account(account) => account.of(candidates)?.stable_id.as_ref(),
            HolderName::Own(own) => own.1.as_ref(),
        }
    }
}

/// One value that names somebody.
pub(super) struct Link {
    pub holder: u32,
    pub attr: u16,
    pub kind: Kind,
    pub to: To,
}

/// What a value says of whom it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Member,
    Reference,
    Alias,
    AccessRule,
}

/// Whom a value names.
#[derive(Clone, Copy)]
pub(super) enum To {
    /// An account, by its own spelling.
    Account { account: u16, candidate: u32 },
    /// What is known of it is among the texts.
    Text(u32),
}

/// A value whose text is wanted: a login, or a name that is nobody's or is spelled in another way.
pub(super) struct Text {
    pub text: Box<str>,
    pub account: Option<AccountRef>,
}

/// What was gathered, in the order of the entries.
#[derive(Default)]
pub(super) struct Gathered {
    pub holders: Vec<Holder>,
    pub attrs: Vec<AttrName>,
    pub links: Vec<Link>,
    pub texts: Vec<Text>,
}

impl Gathered {
    /// Names of attributes are told apart by their spelling: which one is written, is decided later.
    fn attr(&mut self, attr: &AttrName) -> u16 {
        let at = self.attrs.iter().position(|a| a.as_str() == attr.as_str()).unwrap_or_else(|| {
            self.attrs.push(attr.clone());
            self.attrs.len() - 1
        });
        u16::try_from(at).unwrap_or(u16::MAX)
    }

    fn text(&mut self, text: impl Into<Box<str>>, account: Option<AccountRef>) -> To {
        self.texts.push(Text { text: text.into(), account });
        To::Text(u32::try_from(self.texts.len() - 1).unwrap_or(u32::MAX))
    }
}

/// Looks at entries.
pub(super) struct Gatherer<'a> {
    inputs: &'a Inputs<'a>,
    index: &'a Index,
    /// Attributes by which entries refer to accounts.
    references: &'a [AttrName],
    protected: HashSet<&'a str>,
}

/// An entry that is being looked at, and its number once it names somebody.
struct Looked<'a> {
    entry: &'a SnapshotEntry,
    own: Option<AccountRef>,
    holder: Option<u32>,
}

impl<'a> Gatherer<'a> {
    pub(super) fn new(inputs: &'a Inputs<'a>, index: &'a Index, references: &'a [AttrName]) -> Self {
        let protected = inputs.protected.get(&Side::Shared).into_iter().flatten().map(|dn| dn.key().as_str());
        Self { inputs, index, references, protected: protected.collect() }
    }

    /// Gathers what an entry says; `own` is the account that it is, about which everything that depends on its own entry is known.
    pub(super) fn entry(
        &self,
        gathered: &mut Gathered,
        candidates: &[Candidate],
        (entry, own): (&SnapshotEntry, Option<AccountRef>),
    ) {
        let mut looked = Looked { entry, own, holder: None };
        for (attr, values) in &entry.attrs {
            let kind = match entry.role {
                EntryRole::Config if attr.is("olcaccess") => Kind::AccessRule,
                EntryRole::Config => continue,
                _ if GROUP_ATTRS.contains(&attr.base()) => Kind::Member,
                _ if self.references.iter().any(|name| attr.is_covered_by(name)) => Kind::Reference,
                _ if attr.is("aliasedobjectname") => Kind::Alias,
                _ => continue,
            };
            let by_login = kind == Kind::Member && attr.is("memberuid");
            let follows = kind == Kind::Reference && follows(candidates, own, attr);
            let mut put = |gathered: &mut Gathered, to: To| self.put(gathered, candidates, &mut looked, (attr, kind, to));
            for value in values {
                if kind == Kind::AccessRule {
                    // Access rules are text; the names that they quote are looked up.
                    for quoted in value.as_str().into_iter().flat_map(|rule| rule.split('"').skip(1).step_by(2)) {
                        if let Some(to) = self.account(candidates, &Value::from(quoted)) {
                            put(gathered, to);
                        }
                    }
                } else if by_login {
                    if let Some(login) = value.as_str() {
                        let to = gathered.text(login, None);
                        put(gathered, to);
                    }
                } else if follows {
                    let found = self.index.by_value(candidates, value);
                    let spelled = found.and_then(|found| found.of(candidates)).map(|found| found.dn.as_str());
                    let to = match found {
                        Some(AccountRef { candidate, account }) if value.as_str() == spelled => {
                            To::Account { account, candidate }
                        }
                        _ => gathered.text(value.to_lossy(), found),
                    };
                    put(gathered, to);
                } else if let Some(to) = self.account(candidates, value) {
                    put(gathered, to);
                }
            }
        }
    }

    /// The account that a value names, unless it is known already that nothing is planned for it.
    fn account(&self, candidates: &[Candidate], value: &Value) -> Option<To> {
        let AccountRef { candidate, account } = self.index.by_value(candidates, value)?;
        candidates.get(candidate as usize).is_some_and(|c| c.out.is_none()).then_some(To::Account { account, candidate })
    }

    fn put(
        &self,
        gathered: &mut Gathered,
        candidates: &[Candidate],
        looked: &mut Looked<'_>,
        (attr, kind, to): (&AttrName, Kind, To),
    ) {
        let holder = *looked.holder.get_or_insert_with(|| {
            gathered.holders.push(self.holder(candidates, looked.entry, looked.own));
            u32::try_from(gathered.holders.len() - 1).unwrap_or(u32::MAX)
        });
        let attr = gathered.attr(attr);
        gathered.links.push(Link { holder, attr, kind, to });
    }

    fn holder(&self, candidates: &[Candidate], entry: &SnapshotEntry, own: Option<AccountRef>) -> Holder {
        let is_as_known = |account: &AccountRef| {
            let known = account.of(candidates);
            known.is_some_and(|known| known.dn.as_str() == entry.dn.as_str() && known.stable_id == entry.stable_id)
        };
        let protected = self.protected.contains(entry.dn.key().as_str());
        Holder {
            name: match own.filter(is_as_known) {
                Some(account) => HolderName::Account(account),
                None => HolderName::Own(Box::new((entry.dn.clone(), entry.stable_id.clone()))),
            },
            account: own,
            protected,
            protected_group: protected || self.inputs.audit.protected.groups.contains(&entry.dn),
            has_placeholder: self.has_placeholder(entry),
        }
    }

    fn has_placeholder(&self, entry: &SnapshotEntry) -> bool {
        let Some(placeholder) = &self.inputs.policy.group_placeholder else { return false };
        let members = entry.attrs.iter().filter(|(attr, _)| attr.is("member") || attr.is("uniquemember"));
        members.flat_map(|(_, values)| values).filter_map(Value::as_str).any(|v| Dn::parse(v).ok().as_ref() == Some(placeholder))
    }
}

/// Whether references of this entry may follow it to the independent directory.
pub(super) fn follows(candidates: &[Candidate], own: Option<AccountRef>, attr: &AttrName) -> bool {
    let Some(own) = own else { return false };
    let Some(candidate) = candidates.get(own.candidate as usize) else { return false };
    candidate.is_planned()
        && candidate.track == Some(Track::Migrate)
        && usize::from(own.account) == candidate.main()
        && candidate.mapping().is_some_and(|m| m.references.iter().any(|name| attr.is_covered_by(name)))
}
