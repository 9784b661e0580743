//! What a twin is like: whose store it stands for, its schema, overlays and limits.

use std::sync::Arc;

use untether_model::schema::Schema;
use untether_model::{AttrName, Dn, Side};

use crate::Control;

/// As whom a handle acts. The rights are those of the laboratory: read; write; manage; everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Identity {
    /// Reads everything, writes nothing (result 50).
    Reader,
    /// ACL `write`: cannot relax rules, is no password administrator.
    Writer,
    /// ACL `manage`: may relax rules, is a password administrator. The undoing identity.
    Manager,
    /// The rootdn: as the manager, and no policy applies to what it writes.
    Root,
}

impl Identity {
    /// Whether it has the right `manage`.
    pub(super) fn manages(self) -> bool {
        matches!(self, Self::Manager | Self::Root)
    }
}

/// What a twin is like.
#[derive(Clone, Debug)]
pub struct TwinConfig {
    /// Which store it stands for.
    pub side: Side,
    /// The suffix. Entries outside it can be loaded (`cn=config`, an access log) but not added.
    pub suffix: Dn,
    /// The schema. Attributes that it does not describe are accepted and compare as bytes.
    pub schema: Arc<Schema>,
    /// The password policy of entries that name none (`olcPPolicyDefault`).
    pub default_policy: Option<Dn>,
    /// Tells by the password-policy control that an account is locked (`olcPPolicyUseLockout`).
    pub tells_lockout: bool,
    /// Records `pwdLastSuccess` at each bind (`olcLastBind`).
    pub last_bind: bool,
    /// Maintains `memberOf` (overlay memberof, without referential integrity of its own).
    pub member_of: bool,
    /// Attributes that the overlay refint keeps; empty without it.
    pub references: Vec<AttrName>,
    /// `supportedControl`. Relax and no-op work although OpenLDAP does not list them.
    pub controls: Vec<String>,
    /// Has transactions (RFC 5805).
    pub transactions: bool,
    /// `supportedSASLMechanisms`.
    pub sasl_mechanisms: Vec<String>,
    /// Most entries that a search returns, pages together (`olcSizeLimit`).
    pub size_limit: Option<usize>,
    /// The first part of the stable ids that it gives, so that two twins never give the same one.
    pub seed: u32,
}

impl TwinConfig {
    /// A store as OpenLDAP 2.5 with ppolicy (told lockouts), memberof and `olcLastBind`; the independent one with refint too.
    pub fn openldap(side: Side, suffix: Dn) -> Self {
        let references: &[&str] = match side {
            Side::Shared => &[],
            Side::Independent => &["member", "manager", "secretary", "seeAlso", "owner"],
        };
        Self {
            side,
            default_policy: Some(suffix.child("ou", "policies").child("cn", "default")),
            suffix,
            schema: Arc::new(Schema::standard()),
            tells_lockout: true,
            last_bind: true,
            member_of: true,
            references: references.iter().map(AttrName::new).collect(),
            controls: [
                Control::ASSERTION,
                Control::PRE_READ,
                Control::POST_READ,
                Control::MATCHED_VALUES,
                Control::PAGED_RESULTS,
                Control::ACCOUNT_USABILITY,
                Control::PASSWORD_POLICY,
            ]
            .map(str::to_owned)
            .to_vec(),
            transactions: true,
            sasl_mechanisms: Vec::new(),
            size_limit: None,
            seed: match side {
                Side::Shared => 1,
                Side::Independent => 2,
            },
        }
    }

    /// The name under which an identity writes (`modifiersName`).
    pub fn name_of(&self, identity: Identity) -> Dn {
        let system = self.suffix.child("ou", "system");
        match identity {
            Identity::Reader => system.child("cn", "untether-reader"),
            Identity::Writer => system.child("cn", "untether-writer"),
            Identity::Manager => system.child("cn", "untether-undo"),
            Identity::Root => self.suffix.child("cn", "root"),
        }
    }

    pub(super) fn has_control(&self, oid: &str) -> bool {
        self.controls.iter().any(|c| c == oid)
    }
}
