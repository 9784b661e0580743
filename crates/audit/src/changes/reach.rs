//! What an audit could have seen: where it did not look, absence says nothing.

use serde_json::Value;
use untether_model::snapshot::{BaseRead, SnapshotHeader, StoreRead};
use untether_model::{Dn, Side};

use super::rows::Why;

/// A part of a store that was read.
struct Base {
    dn: Dn,
    complete: bool,
    filter: Option<String>,
}

/// The bases of one store.
struct Bases {
    /// Where accounts were read, as it was configured; every base where that was not recorded.
    accounts: Vec<Base>,
    /// Everything that was read: groups and the like are looked for everywhere.
    all: Vec<Base>,
}

/// What one audit read of both stores.
pub(super) struct Reach {
    shared: Bases,
    independent: Bases,
}

impl Reach {
    pub(super) fn of(header: &SnapshotHeader) -> Self {
        Self { shared: bases(header, &header.shared, "shared"), independent: bases(header, &header.independent, "independent") }
    }

    fn of_store(&self, side: Side) -> &Bases {
        match side {
            Side::Shared => &self.shared,
            Side::Independent => &self.independent,
        }
    }

    /// Why this audit may lack an entry that the other one saw.
    pub(super) fn lacks(&self, side: Side, dn: &Dn, other: &Self) -> Option<Why> {
        let (here, there) = (self.of_store(side), other.of_store(side));
        // What was an account there would be one here.
        let filters_there: Vec<&Option<String>> =
            there.accounts.iter().filter(|base| dn.is_within(&base.dn)).map(|base| &base.filter).collect();
        let bases = if filters_there.is_empty() { &here.all } else { &here.accounts };
        let mut here = bases.iter().filter(|base| dn.is_within(&base.dn)).peekable();
        if here.peek().is_none() {
            return Some(Why::OutOfScope);
        }
        if here.clone().all(|base| !base.complete) {
            return Some(Why::NotReadWhole);
        }
        let known = here.any(|base| base.filter.is_none() || filters_there.contains(&&base.filter));
        (!filters_there.is_empty() && !known).then_some(Why::OtherFilter)
    }
}

fn bases(header: &SnapshotHeader, read: &StoreRead, side: &str) -> Bases {
    let all = || {
        let base = |base: &BaseRead| Base { dn: base.base.clone(), complete: base.complete, filter: None };
        read.bases.iter().map(base).collect::<Vec<_>>()
    };
    let configured = header.settings.as_ref().and_then(|settings| settings.pointer(&format!("/audit/{side}/accounts")));
    let scope = |scope: &Value| {
        let dn = Dn::parse(scope.get("base")?.as_str()?).ok()?;
        let complete = read.bases.iter().filter(|base| base.base == dn).all(|base| base.complete);
        Some(Base { dn, complete, filter: scope.get("filter").and_then(Value::as_str).map(str::to_owned) })
    };
    let accounts = match configured.and_then(Value::as_array) {
        Some(scopes) => scopes.iter().filter_map(scope).collect(),
        None => all(),
    };
    Bases { accounts, all: all() }
}
