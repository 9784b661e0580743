//! What `cn=config` says of the databases: where their rules are kept, and what these say now.

use untether_directory::{Read, Scope, Search};
use untether_ldap::Client;
use untether_model::{AttrName, Dn, Entry};

use crate::rights::Database;
use crate::wiring::asking::{Hidden, hidden};

/// The database entries of a server.
pub struct Layout {
    entries: Vec<Entry>,
}

impl Layout {
    /// Reads them; an error says why nothing is known. Rules that are not shown are asked about: what is denied must not count as
    /// absent, or it would be put there once more.
    pub async fn read(reader: &Client) -> Result<Self, String> {
        let base = Dn::parse("cn=config").map_err(|e| e.to_string())?;
        let attrs = ["objectClass", "olcDatabase", "olcSuffix", "olcRootDN", "olcAccess", "olcLimits", "olcAddContentAcl"];
        let search = Search {
            base,
            scope: Scope::One,
            filter: "(objectClass=olcDatabaseConfig)".to_owned(),
            attrs: attrs.map(AttrName::new).to_vec(),
            page_size: None,
            manage_dsa_it: true,
        };
        let mut stream = Read::search(reader, search).await.map_err(|e| e.to_string())?;
        let mut entries = Vec::new();
        while let Some(page) = stream.next_page().await.map_err(|e| e.to_string())? {
            entries.extend(page.entries);
        }
        if entries.is_empty() {
            return Err("nothing of cn=config is shown to the config identity".to_owned());
        }
        for entry in &entries {
            for attr in ["olcAccess", "olcLimits"].into_iter().filter(|attr| !entry.has(attr)) {
                match hidden(reader, &entry.dn, &AttrName::new(attr)).await {
                    Hidden::Absent => {}
                    Hidden::Unknown(why) => return Err(format!("{attr} of {} is not shown: {why}", entry.dn)),
                    Hidden::Denied | Hidden::Undefined => return Err(format!("{attr} of {} is not shown", entry.dn)),
                }
            }
        }
        Ok(Self { entries })
    }

    /// The entry that configures a database; `suffix` is that of the store.
    pub fn of(&self, database: &Database, suffix: &Dn) -> Option<&Entry> {
        self.entries.iter().find(|entry| match database {
            Database::Main => holds(entry, "olcSuffix", suffix),
            Database::Copies(base) => holds(entry, "olcSuffix", base),
            Database::Config => is_numbered(entry, "{0}config"),
            Database::Monitor => entry.is_class("olcMonitorConfig"),
        })
    }

    /// Rights are checked on each attribute of an entry that is added to the store.
    pub fn checks_added(&self, suffix: &Dn) -> bool {
        let text = self.of(&Database::Main, suffix).and_then(|entry| entry.text("olcAddContentAcl"));
        text.is_some_and(|text| text.eq_ignore_ascii_case("TRUE"))
    }

    /// A database without any rule lets everybody read everything (slapd.access(5)); the first rule ends that.
    pub fn lacks_rules(&self, entry: &Entry) -> bool {
        !entry.has("olcAccess") && self.frontend().next().is_none()
    }

    /// Whether a rule that somebody else made gives this identity the right to do everything in a database.
    pub fn administers(&self, entry: &Entry, who: &str) -> bool {
        let named = who.trim_start_matches("dn.exact=").trim_matches('"').to_lowercase();
        entry.texts("olcAccess").chain(self.frontend()).any(|rule| {
            let rule = rule.to_lowercase();
            let after = rule.split_once(&named).map(|(_, after)| after.trim_start_matches('"'));
            after.is_some_and(|after| after.split_whitespace().next() == Some("manage"))
        })
    }

    /// The rules that follow those of each database.
    fn frontend(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().filter(|entry| is_numbered(entry, "{-1}frontend")).flat_map(|entry| entry.texts("olcAccess"))
    }
}

/// Whether no rule counts for this identity.
pub fn is_root(entry: &Entry, identity: &Dn) -> bool {
    holds(entry, "olcRootDN", identity)
}

fn holds(entry: &Entry, attr: &str, wanted: &Dn) -> bool {
    entry.texts(attr).any(|text| Dn::parse(text).is_ok_and(|dn| dn == *wanted))
}

fn is_numbered(entry: &Entry, name: &str) -> bool {
    entry.text("olcDatabase").is_some_and(|text| text.eq_ignore_ascii_case(name))
}

/// A value of an ordered attribute without its index (`{0}`).
pub fn without_index(value: &str) -> &str {
    match value.strip_prefix('{').and_then(|rest| rest.split_once('}')) {
        Some((index, rest)) if index.bytes().all(|b| b.is_ascii_digit()) => rest,
        _ => value,
    }
}
