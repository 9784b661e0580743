//! What the audit is told: scope, keys, lists, thresholds.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::Entity;
use crate::{AttrName, Dn, EntityId, Side};

/// A part of a store, by base and filter. Everything below the base is read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScopeBase {
    /// Where it starts.
    pub base: Dn,
    /// RFC 4515 filter of the entries that belong to it. Of the other entries below the base only the names are read, so that a
    /// reference to one of them is not taken for dangling.
    #[serde(default = "everything")]
    pub filter: String,
}

fn everything() -> String {
    "(objectClass=*)".to_owned()
}

impl ScopeBase {
    /// The whole subtree.
    pub fn all(base: Dn) -> Self {
        Self { base, filter: everything() }
    }

    /// Whether the filter takes every entry.
    pub fn is_everything(&self) -> bool {
        self.filter.trim().eq_ignore_ascii_case("(objectclass=*)")
    }
}

/// What an area of copies is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CopyKind {
    /// An access log of OpenLDAP (`reqDN`, `reqMod`, `reqOld`).
    AccessLog,
    /// A changelog (`targetDN`, `changes`).
    Changelog,
    /// Deleted entries that the server keeps.
    Tombstone,
    /// Copies of entries that somebody keeps in the directory.
    Backup,
}

/// An area that holds copies of entries or of changes. Its entries are not accounts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CopyArea {
    /// Where it starts, for instance `cn=accesslog`.
    pub base: Dn,
    /// What it is made of.
    pub kind: CopyKind,
}

/// The password policy that applies where the store does not tell one: an export does not hold it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DefaultPolicy {
    /// The `pwdPolicy` entry that applies to entries without `pwdPolicySubentry` (what `olcPPolicyDefault` names). Where it was
    /// read, its values count and those below do not.
    pub entry: Option<Dn>,
    /// `pwdLockout`: locks and their times are obeyed.
    pub lockout: Option<bool>,
    /// `pwdLockoutDuration` in seconds; 0: a lock does not end by itself.
    pub lockout_duration_secs: Option<u64>,
    /// `pwdMustChange`.
    pub must_change: Option<bool>,
}

/// Attributes by which accounts are recognized, matched and owned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StoreAttributes {
    /// Holds the entity; without it the subtree decides.
    pub entity: Option<AttrName>,
    /// Values of the entity attribute that are not themselves ids of configured entities.
    pub entity_values: BTreeMap<String, EntityId>,
    /// Holds the employee number.
    pub number: Option<AttrName>,
    /// Hold mail addresses.
    pub mail: Vec<AttrName>,
    /// Holds the login.
    pub login: AttrName,
    /// Immutable link. In the independent directory: the attribute that holds the shared account's link value. In the shared store:
    /// the attribute that this value is compared with; its stable id (`entryUUID`) where none is set.
    pub link: Option<AttrName>,
    /// Name the owners of a service or shared account by DN.
    pub owner: Vec<AttrName>,
    /// Holds the display name.
    pub name: AttrName,
}

impl Default for StoreAttributes {
    fn default() -> Self {
        Self {
            entity: None,
            entity_values: BTreeMap::new(),
            number: Some(AttrName::new("employeeNumber")),
            mail: vec![AttrName::new("mail")],
            login: AttrName::new("uid"),
            link: None,
            owner: vec![AttrName::new("owner")],
            name: AttrName::new("cn"),
        }
    }
}

/// What is ours in one store, and how to tell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreAudit {
    /// The suffix of the directory.
    pub suffix: Dn,
    /// Where our accounts are.
    pub accounts: Vec<ScopeBase>,
    /// Bases whose entries may name our accounts, for instance that of the groups. Whatever else below the suffix is group-like, an
    /// alias, a referral or a password policy is read anyway; but only below these bases and those of the accounts is a name that
    /// leads to no entry a finding.
    #[serde(default)]
    pub others: Vec<ScopeBase>,
    /// Areas that hold copies: access logs, changelogs, backups.
    #[serde(default)]
    pub copies: Vec<CopyArea>,
    /// A known entry below the suffix: a read that lacks it is incomplete. If it has a password, seeing that proves the right to see
    /// passwords.
    #[serde(default)]
    pub canary: Option<Dn>,
    /// How many entries the owner of the store says there are below the suffix; fewer is incomplete.
    #[serde(default)]
    pub stated_count: Option<u64>,
    /// Host names and addresses of this store's own servers. A server in neither store's list is foreign.
    #[serde(default)]
    pub own_servers: Vec<String>,
    /// SASL and Kerberos realms of this store's own.
    #[serde(default)]
    pub own_realms: Vec<String>,
    /// The password policy of a store that is read from an export, or whose `cn=config` cannot be read.
    #[serde(default)]
    pub default_policy: Option<DefaultPolicy>,
    /// SASL mechanisms on offer, where the store cannot be asked (an export). Absent: that path is not judged
    /// (`coverage.skipped`). An empty list: none is on offer.
    #[serde(default)]
    pub sasl_mechanisms: Option<Vec<String>>,
    /// Attributes by which accounts are recognized and matched.
    #[serde(default)]
    pub attributes: StoreAttributes,
    /// Hours after which an export counts as old (`coverage.stale`); absent: an export's age is not judged.
    #[serde(default)]
    pub max_age_hours: Option<u32>,
}

impl StoreAudit {
    /// A store with this suffix and nothing else configured.
    pub fn new(suffix: Dn) -> Self {
        Self {
            suffix,
            accounts: Vec::new(),
            others: Vec::new(),
            copies: Vec::new(),
            canary: None,
            stated_count: None,
            own_servers: Vec::new(),
            own_realms: Vec::new(),
            default_policy: None,
            sasl_mechanisms: None,
            attributes: StoreAttributes::default(),
            max_age_hours: None,
        }
    }

    /// Whether the name lies below a configured base: there a name that leads to no entry is a finding, elsewhere it is the other
    /// company's affair.
    pub fn covers(&self, dn: &Dn) -> bool {
        self.accounts.iter().chain(&self.others).any(|scope| dn.is_within(&scope.base))
    }
}

/// Recognizes accounts: any login pattern, subtree or object class that matches is enough.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AccountPattern {
    /// Logins; `*` stands for any text (`svc-*`). Compared without case.
    pub logins: Vec<String>,
    /// Subtrees; the subtree's own entry included.
    pub subtrees: Vec<Dn>,
    /// Object classes, compared without case.
    pub classes: Vec<String>,
}

impl AccountPattern {
    /// Whether an account with these logins, this name and these classes is meant.
    pub fn matches<'a>(
        &self,
        dn: &Dn,
        logins: impl IntoIterator<Item = &'a str>,
        classes: impl IntoIterator<Item = &'a str>,
    ) -> bool {
        self.subtrees.iter().any(|base| dn.is_within(base))
            || logins.into_iter().any(|login| self.logins.iter().any(|pattern| glob(pattern, login)))
            || classes.into_iter().any(|class| self.classes.iter().any(|c| c.eq_ignore_ascii_case(class)))
    }
}

/// Whether `text` has the form of `pattern`, in which `*` stands for any text. Compared as keys are: without case, width and outer
/// blanks.
pub fn glob(pattern: &str, text: &str) -> bool {
    let pattern = crate::keys::fold(pattern);
    let text = crate::keys::fold(text);
    let mut pieces = pattern.split('*');
    let Some(first) = pieces.next() else { return text.is_empty() };
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut pieces: Vec<&str> = pieces.collect();
    let Some(last) = pieces.pop() else { return rest.is_empty() };
    for piece in pieces {
        match rest.split_once(piece) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// Identities whose existence, credential, state and own memberships are never touched.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProtectedPolicy {
    /// Entries by name, in either store.
    pub dns: Vec<Dn>,
    /// Subtrees, in either store.
    pub subtrees: Vec<Dn>,
    /// RFC 4515 filters over entries of the shared store.
    pub shared_filters: Vec<String>,
    /// RFC 4515 filters over entries of the independent directory.
    pub independent_filters: Vec<String>,
    /// Groups whose members (nested ones too) are protected, in either store.
    pub groups: Vec<Dn>,
    /// The lists above are complete: plans may be made although `cn=config`, which names further identities, cannot be read.
    pub explicit: bool,
}

impl ProtectedPolicy {
    /// Whether a name is protected as configured, whatever the entry holds.
    pub fn names(&self, dn: &Dn) -> bool {
        self.dns.contains(dn) || self.groups.contains(dn) || self.subtrees.iter().any(|base| dn.is_within(base))
    }

    /// The filters that apply to one store.
    pub fn filters(&self, side: Side) -> &[String] {
        match side {
            Side::Shared => &self.shared_filters,
            Side::Independent => &self.independent_filters,
        }
    }
}

/// Records that must stay although their login must not: track `keep`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeepRule {
    /// Which accounts of the shared store.
    pub accounts: AccountPattern,
    /// Why: the law or rule that asks for it.
    pub reason: String,
    /// Last day of the retention.
    #[serde(default)]
    pub until: Option<Date>,
}

/// Attributes whose values are credential material. Of such a value nothing but its scheme and an HMAC is kept. The lists that are
/// configured are added to the built-in ones.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CredentialAttributes {
    /// Passwords, beside `userPassword`, `unixUserPassword`, `sambaClearTextPassword`, `pwdAdminPassword` and the like.
    pub password: Vec<AttrName>,
    /// Password histories, beside `pwdHistory`, `sambaPasswordHistory`.
    pub history: Vec<AttrName>,
    /// Kerberos keys, beside `krbPrincipalKey`, `krb5Key`, `krbExtraData`.
    pub kerberos_key: Vec<AttrName>,
    /// NT and LM hashes, beside `sambaNTPassword`, `sambaLMPassword`, `ntUserNtPassword`, `ipaNTHash`.
    pub nt_hash: Vec<AttrName>,
    /// SSH keys, beside `sshPublicKey`, `ipaSshPubKey`.
    pub ssh_key: Vec<AttrName>,
    /// Certificates, beside `userCertificate`, `userSMIMECertificate`, `msDS-KeyCredentialLink`, `altSecurityIdentities`.
    pub certificate: Vec<AttrName>,
    /// PKCS#12 containers, beside `userPKCS12`.
    pub pkcs12: Vec<AttrName>,
    /// Cached remote passwords, beside `ds-pta-cached-password`.
    pub cached_remote: Vec<AttrName>,
}

/// What the audit is told. Everything that the rules call configurable is here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditPolicy {
    /// The entities that leave, by id.
    #[serde(default)]
    pub entities: BTreeMap<EntityId, Entity>,
    /// The shared store.
    pub shared: StoreAudit,
    /// The independent directory.
    pub independent: StoreAudit,
    /// Service accounts (`access.service-account` instead of `residual.orphan`).
    #[serde(default)]
    pub services: AccountPattern,
    /// Shared mailboxes.
    #[serde(default)]
    pub mailboxes: AccountPattern,
    /// Test accounts.
    #[serde(default)]
    pub tests: AccountPattern,
    /// Secondary accounts that people rightly have beside their main one (`adm-*`): no `residual.duplicate`.
    #[serde(default)]
    pub secondary: AccountPattern,
    /// Identities that are never touched.
    #[serde(default)]
    pub protected: ProtectedPolicy,
    /// Groups whose members are privileged (nested ones too), in either store.
    #[serde(default)]
    pub privileged_groups: Vec<Dn>,
    /// RFC 4515 filter over the independent directory's accounts: an acceptable factor is enrolled. Absent:
    /// `access.mfa-missing` is `coverage.skipped`.
    #[serde(default)]
    pub mfa_filter: Option<String>,
    /// User attributes that may stay on a record of the shared store; `cn` covers `cn;lang-ja`. Absent: `residual.attribute` is
    /// `coverage.skipped`.
    #[serde(default)]
    pub retention: Option<Vec<AttrName>>,
    /// Records that must stay although their login must not.
    #[serde(default)]
    pub keep: Vec<KeepRule>,
    /// Days without use after which an open account is dormant.
    #[serde(default = "dormant_days")]
    pub dormant_days: u32,
    /// Most that the active people of the roster, or the accounts of a store, may have become fewer since the last complete
    /// audit, in percent; beyond it the audit counts as incomplete.
    #[serde(default = "max_shrink_percent")]
    pub max_shrink_percent: u32,
    /// Further attributes that hold credential material.
    #[serde(default)]
    pub credentials: CredentialAttributes,
    /// Entries a page when a server is read.
    #[serde(default = "page_size")]
    pub page_size: u32,
}

fn dormant_days() -> u32 {
    180
}

fn max_shrink_percent() -> u32 {
    20
}

fn page_size() -> u32 {
    500
}

impl AuditPolicy {
    /// A policy for two stores with nothing else configured.
    pub fn new(shared: StoreAudit, independent: StoreAudit) -> Self {
        Self {
            entities: BTreeMap::new(),
            shared,
            independent,
            services: AccountPattern::default(),
            mailboxes: AccountPattern::default(),
            tests: AccountPattern::default(),
            secondary: AccountPattern::default(),
            protected: ProtectedPolicy::default(),
            privileged_groups: Vec::new(),
            mfa_filter: None,
            retention: None,
            keep: Vec::new(),
            dormant_days: dormant_days(),
            max_shrink_percent: max_shrink_percent(),
            credentials: CredentialAttributes::default(),
            page_size: page_size(),
        }
    }

    /// What is configured for one store.
    pub fn store(&self, side: Side) -> &StoreAudit {
        match side {
            Side::Shared => &self.shared,
            Side::Independent => &self.independent,
        }
    }

    /// The entity of an account that no roster row and no attribute decides: the most specific configured subtree.
    pub fn entity_of_subtree(&self, side: Side, dn: &Dn) -> Option<&EntityId> {
        self.entities
            .iter()
            .flat_map(|(id, entity)| {
                let subtrees = match side {
                    Side::Shared => &entity.shared_subtrees,
                    Side::Independent => &entity.independent_subtrees,
                };
                subtrees.iter().map(move |base| (base, id))
            })
            .filter(|(base, _)| dn.is_within(base))
            .max_by_key(|(base, _)| base.key().depth())
            .map(|(_, id)| id)
    }

    /// The entity that a value of the entity attribute names: a configured word, or the id itself. Compared as keys are.
    pub fn entity_of_value(&self, side: Side, value: &str) -> Option<&EntityId> {
        let wanted = crate::keys::fold(value);
        self.store(side)
            .attributes
            .entity_values
            .iter()
            .find(|(word, _)| crate::keys::fold(word) == wanted)
            .map(|(_, id)| id)
            .or_else(|| self.entities.keys().find(|id| crate::keys::fold(id.as_str()) == wanted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dn(text: &str) -> Dn {
        Dn::parse(text).unwrap()
    }

    #[test]
    fn patterns_match_whole_logins_without_case() {
        let pattern = AccountPattern { logins: vec!["svc-*".into(), "*-bot".into(), "a*b*c".into()], ..Default::default() };
        let matches = |login: &str| pattern.matches(&dn("uid=x,dc=a"), [login], []);
        assert!(matches("SVC-backup"));
        assert!(matches("build-bot"));
        assert!(matches("axbyc"));
        assert!(matches("abc"));
        assert!(!matches("xsvc-backup"));
        assert!(!matches("ab"));
        assert!(!matches("svc"));
        assert!(!glob("svc", "svc-1"));
        assert!(!glob("aba*ab", "abab"), "the two ends must not share characters");
    }

    #[test]
    fn the_most_specific_subtree_names_the_entity() {
        let entity = |subtree: &str| Entity {
            name: "x".into(),
            name_ja: None,
            time_zone: "UTC".into(),
            deadline: None,
            shared_subtrees: vec![dn(subtree)],
            independent_subtrees: vec![],
        };
        let mut policy = AuditPolicy::new(StoreAudit::new(dn("dc=a")), StoreAudit::new(dn("dc=b")));
        policy.entities.insert("all".into(), entity("dc=a"));
        policy.entities.insert("part".into(), entity("ou=part,dc=a"));
        assert_eq!(policy.entity_of_subtree(Side::Shared, &dn("uid=x,OU=Part,dc=a")).unwrap().as_str(), "part");
        assert_eq!(policy.entity_of_subtree(Side::Shared, &dn("uid=x,dc=a")).unwrap().as_str(), "all");
        assert_eq!(policy.entity_of_subtree(Side::Independent, &dn("uid=x,dc=a")), None);
        assert_eq!(policy.entity_of_value(Side::Shared, " PART ").unwrap().as_str(), "part");
    }

    #[test]
    fn an_unknown_key_is_refused() {
        let error = serde_json::from_str::<ScopeBase>(r#"{"base":"dc=a","filtre":"(uid=*)"}"#).unwrap_err();
        assert!(error.to_string().contains("filtre"));
    }
}
