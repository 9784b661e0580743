//! What `cn=config` says of a server: databases, overlays, and the identities that it names.
//!
//! A view over entries of the role `config`; raising findings from it is the rules' business.

use std::collections::BTreeSet;

use untether_model::auth::RemoteBind;
use untether_model::snapshot::SnapshotEntry;
use untether_model::{Dn, Side};

use super::servers::Servers;
use super::words::{key_values, without_order, words};
use super::{identities_in_access, uris};
use crate::source::texts;

/// One `olcDatabase` entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Database {
    /// Name of the configuration entry.
    pub dn: Dn,
    /// Backend type in lower case: `mdb`, `ldap`, `frontend`…
    pub kind: String,
    /// What it serves.
    pub suffixes: Vec<Dn>,
    /// Whether binds of its entries are answered by another server.
    pub remote: RemoteBind,
    /// The default password policy of its entries: `None` where no policy overlay stands over it, `Some(None)` where the overlay
    /// names no default.
    pub default_policy: Option<Option<Dn>>,
}

/// One `olcOverlay` entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overlay {
    /// Name of the configuration entry.
    pub dn: Dn,
    /// Overlay type in lower case: `ppolicy`, `pbind`…
    pub kind: String,
    /// The database that it stands on.
    pub database: Dn,
}

/// The configuration of one server.
#[derive(Clone, Debug, Default)]
pub struct Configuration {
    entries: Vec<SnapshotEntry>,
    databases: Vec<Database>,
    overlays: Vec<Overlay>,
}

fn is_true(entry: &SnapshotEntry, name: &str) -> bool {
    texts(entry, name).any(|v| v.trim().eq_ignore_ascii_case("TRUE"))
}

/// Whether the entry is switched off (`olcDisabled: TRUE`): it can be switched on again.
pub(crate) fn is_disabled(entry: &SnapshotEntry) -> bool {
    is_true(entry, "olcdisabled")
}

impl Configuration {
    /// The configuration that these entries make up.
    pub fn of(mut entries: Vec<SnapshotEntry>) -> Self {
        entries.sort_by(|a, b| a.dn.cmp(&b.dn));
        let kind =
            |entry: &SnapshotEntry, attr: &str| texts(entry, attr).next().map(|v| without_order(v).trim().to_ascii_lowercase());
        let databases: Vec<Database> = entries
            .iter()
            .filter_map(|entry| {
                let suffixes = texts(entry, "olcsuffix").filter_map(|s| Dn::parse(without_order(s)).ok()).collect();
                let kind = kind(entry, "olcdatabase")?;
                Some(Database { dn: entry.dn.clone(), kind, suffixes, remote: RemoteBind::None, default_policy: None })
            })
            .collect();
        let overlays = entries
            .iter()
            .filter_map(|entry| {
                let kind = kind(entry, "olcoverlay")?;
                // `olcChainDatabase` and the like stand below an overlay; the overlay itself below its database.
                let database = databases
                    .iter()
                    .filter(|d| entry.dn.is_within(&d.dn) && entry.dn != d.dn)
                    .max_by_key(|d| d.dn.key().depth())?;
                Some(Overlay { dn: entry.dn.clone(), kind, database: database.dn.clone() })
            })
            .collect();
        let mut configuration = Self { entries, databases, overlays };
        // Worked out once: these are asked for each account.
        let judged: Vec<_> =
            configuration.databases.iter().map(|d| (configuration.remote_over(d), configuration.policy_over(d))).collect();
        for (database, (remote, policy)) in configuration.databases.iter_mut().zip(judged) {
            database.remote = remote;
            database.default_policy = policy;
        }
        configuration
    }

    /// All entries, by name.
    pub fn entries(&self) -> &[SnapshotEntry] {
        &self.entries
    }

    /// The databases.
    pub fn databases(&self) -> &[Database] {
        &self.databases
    }

    /// The overlays.
    pub fn overlays(&self) -> &[Overlay] {
        &self.overlays
    }

    /// The entry of this name.
    pub fn entry(&self, dn: &Dn) -> Option<&SnapshotEntry> {
        self.entries.binary_search_by(|e| e.dn.cmp(dn)).ok().and_then(|at| self.entries.get(at))
    }

    /// Whether this configuration entry or one above it is switched off.
    pub fn is_disabled(&self, dn: &Dn) -> bool {
        self.entries.iter().any(|e| dn.is_within(&e.dn) && is_disabled(e))
    }

    /// The database that holds an entry.
    pub fn database_of(&self, dn: &Dn) -> Option<&Database> {
        let depth = |d: &Database| d.suffixes.iter().filter(|s| dn.is_within(s)).map(|s| s.key().depth()).max();
        self.databases.iter().filter(|d| depth(d).is_some()).max_by_key(|d| depth(d))
    }

    /// Overlays of this type over a database, those of the frontend included.
    fn overlays_over<'a>(&'a self, database: &'a Database, kind: &'a str) -> impl Iterator<Item = &'a Overlay> {
        let is_frontend = |dn: &Dn| self.databases.iter().any(|d| d.kind == "frontend" && d.dn == *dn);
        self.overlays.iter().filter(move |o| {
            o.kind == kind && (o.database == database.dn || is_frontend(&o.database)) && !self.is_disabled(&o.dn)
        })
    }

    fn policy_over(&self, database: &Database) -> Option<Option<Dn>> {
        let overlay = self.overlays_over(database, "ppolicy").next()?;
        Some(self.entry(&overlay.dn).and_then(|e| texts(e, "olcppolicydefault").find_map(|d| Dn::parse(d).ok())))
    }

    fn remote_over(&self, database: &Database) -> RemoteBind {
        if self.overlays_over(database, "pbind").next().is_some() {
            RemoteBind::Every
        } else if self.overlays_over(database, "remoteauth").next().is_some() {
            RemoteBind::WithoutPassword
        } else {
            RemoteBind::None
        }
    }

    /// Suffixes of logs that overlays write (`olcAccessLogDB`).
    pub fn log_areas(&self) -> BTreeSet<Dn> {
        self.entries.iter().flat_map(|e| texts(e, "olcaccesslogdb")).filter_map(|d| Dn::parse(d).ok()).collect()
    }

    /// Identities that the configuration names: those that replication, chaining and proxies bind as, those with limits or the right
    /// to write, and the databases' own.
    pub fn identities(&self) -> BTreeSet<Dn> {
        let mut found = BTreeSet::new();
        for entry in &self.entries {
            for attr in ["olcrootdn", "olcupdatedn"] {
                found.extend(texts(entry, attr).filter_map(|d| Dn::parse(d).ok()));
            }
            for attr in ["olcsyncrepl", "olcdbidassertbind", "olcdbaclbind", "olcdbpseudorootbind"] {
                let bound = texts(entry, attr).filter_map(|text| key_values(text).remove("binddn"));
                found.extend(bound.filter_map(|d| Dn::parse(&d).ok()));
            }
            for limit in texts(entry, "olclimits") {
                // `dn.exact="…" size=…`; patterns name nobody in particular.
                let named = words(&limit.replace('\\', r"\\")).into_iter().next();
                let exact = named
                    .as_deref()
                    .and_then(|w| w.split_once('='))
                    .filter(|(style, _)| ["dn", "dn.exact", "dn.base"].contains(&style.to_ascii_lowercase().as_str()));
                found.extend(exact.and_then(|(_, d)| Dn::parse(d).ok()));
            }
            found.extend(texts(entry, "olcaccess").flat_map(identities_in_access));
        }
        found.retain(|dn| !dn.is_root());
        found
    }

    /// The servers that a proxy entry names: its own URLs and those of the target entries below it.
    pub fn proxied_servers(&self, dn: &Dn) -> Vec<String> {
        let below = self.entries.iter().filter(|e| e.dn.is_within(dn));
        let mut found: Vec<String> = below.flat_map(|e| texts(e, "olcdburi")).flat_map(uris).collect();
        found.retain(|url| url.contains(':'));
        found.sort();
        found.dedup();
        found
    }

    /// The database that a relay database relays to.
    pub fn relay_target(&self, entry: &SnapshotEntry) -> Option<&Database> {
        let target = texts(entry, "olcrelay").find_map(|d| Dn::parse(d).ok())?;
        self.database_of(&target).filter(|d| d.dn != entry.dn)
    }

    /// Of these servers, those that are not the store's own.
    pub fn foreign(servers: &Servers, side: Side, urls: &[String]) -> Vec<String> {
        urls.iter().filter(|url| servers.is_foreign(side, url)).cloned().collect()
    }
}
