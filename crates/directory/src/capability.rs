//! The three capabilities: read, probe, write.

use async_trait::async_trait;
use untether_model::change::{Change, Modification};
use untether_model::schema::Schema;
use untether_model::{AttrName, Dn, Entry, Side, StableId, Value};

use crate::{DirectoryError, Failure};

/// Result of a directory operation.
pub type Outcome<T> = Result<T, DirectoryError>;

/// How far below the base a search looks (RFC 4511, section 4.5.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The base entry only.
    Base,
    /// Its immediate children.
    One,
    /// The base and everything below it.
    Subtree,
}

/// A search. An empty `attrs` asks for all user attributes; `+` asks for the operational ones.
#[derive(Clone, Debug)]
pub struct Search {
    /// Where it starts.
    pub base: Dn,
    /// How far it goes.
    pub scope: Scope,
    /// RFC 4515 filter.
    pub filter: String,
    /// Attributes to return.
    pub attrs: Vec<AttrName>,
    /// Entries a page (500 to 1,000 is usual). `None` asks without paging, for single entries.
    pub page_size: Option<u32>,
    /// Treats referral and alias objects as ordinary entries (ManageDsaIT, RFC 3296).
    pub manage_dsa_it: bool,
}

/// One page of a search.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// The entries.
    pub entries: Vec<Entry>,
    /// Continuation references that the server returned instead of entries: something outside was not read.
    pub references: Vec<String>,
}

/// A running paged search. A page is processed before the next is asked for, so memory is bounded by one page.
#[async_trait]
pub trait EntryStream: Send {
    /// The next page; `None` after the server's final, successful result. Anything short of complete is an error that says how
    /// it ended: result codes 3, 4, 11 ([`crate::Failure::Busy`]), referral (10), denied (50), connection lost (`Unknown`).
    async fn next_page(&mut self) -> Outcome<Option<Page>>;
}

/// What a server can do, found by asking it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Features {
    /// `supportedControl` of the root DSE.
    pub controls: Vec<String>,
    /// `supportedExtension` of the root DSE.
    pub extensions: Vec<String>,
    /// `supportedSASLMechanisms` of the root DSE.
    pub sasl_mechanisms: Vec<String>,
    /// `namingContexts`.
    pub naming_contexts: Vec<Dn>,
    /// `vendorName` and version, or what the structural class of the root DSE tells (`OpenLDAProotDSE`).
    pub vendor: Option<String>,
}

/// Object identifiers of controls and extensions.
pub struct Control;

impl Control {
    /// Assertion (RFC 4528).
    pub const ASSERTION: &'static str = "1.3.6.1.1.12";
    /// Pre-read (RFC 4527).
    pub const PRE_READ: &'static str = "1.3.6.1.1.13.1";
    /// Post-read (RFC 4527).
    pub const POST_READ: &'static str = "1.3.6.1.1.13.2";
    /// Matched values (RFC 3876).
    pub const MATCHED_VALUES: &'static str = "1.2.826.0.1.3344810.2.3";
    /// Simple paged results (RFC 2696).
    pub const PAGED_RESULTS: &'static str = "1.2.840.113556.1.4.319";
    /// Transactions (RFC 5805): the extended operation that starts one.
    pub const TRANSACTION_START: &'static str = "1.3.6.1.1.21.1";
    /// Relax rules (draft-zeilenga-ldap-relax), not listed by OpenLDAP 2.5.
    pub const RELAX: &'static str = "1.3.6.1.4.1.4203.666.5.12";
    /// No-op (draft-zeilenga-ldap-noop), not listed by OpenLDAP 2.5.
    pub const NO_OP: &'static str = "1.3.6.1.4.1.4203.666.5.2";
    /// Account usability (Sun, implemented by OpenLDAP's ppolicy).
    pub const ACCOUNT_USABILITY: &'static str = "1.3.6.1.4.1.42.2.27.9.5.8";
    /// Password policy (draft-behera-ldap-password-policy).
    pub const PASSWORD_POLICY: &'static str = "1.3.6.1.4.1.42.2.27.8.5.1";
}

impl Features {
    /// Whether the root DSE lists this control.
    pub fn has_control(&self, oid: &str) -> bool {
        self.controls.iter().any(|c| c == oid)
    }

    /// Whether the server has transactions (RFC 5805).
    pub fn has_transactions(&self) -> bool {
        self.extensions.iter().any(|e| e == Control::TRANSACTION_START)
    }
}

/// What the account-usability control says of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usability {
    /// A bind with the right credential would be let in.
    Available,
    /// The account is locked or disabled.
    Unavailable,
    /// The server did not answer the control for this entry (rights, no support).
    Unknown,
}

/// Reads entries. Nothing that is handed this can write.
#[async_trait]
pub trait Read: Send + Sync {
    /// Which store this is.
    fn side(&self) -> Side;

    /// What the server can do (asked once, then remembered).
    async fn features(&self) -> Outcome<Features>;

    /// The server's schema (asked once, then remembered).
    async fn schema(&self) -> Outcome<std::sync::Arc<Schema>>;

    /// Starts a paged search on a connection of its own.
    async fn search(&self, search: Search) -> Outcome<Box<dyn EntryStream>>;

    /// One entry with these attributes; `None` if it does not exist (32). A right that is missing looks like absence.
    async fn read(&self, dn: &Dn, attrs: &[AttrName]) -> Outcome<Option<Entry>>;

    /// The entry with this stable id below `base`, wherever it was moved to.
    async fn find(&self, base: &Dn, id: &StableId, attrs: &[AttrName]) -> Outcome<Option<Entry>>;

    /// Whether the entry holds this value (LDAP compare). `None`: no such entry or attribute.
    async fn compare(&self, dn: &Dn, attr: &AttrName, value: &Value) -> Outcome<Option<bool>>;

    /// Of `values`, those that the attribute holds: matched values where the server has it, else pipelined compares. Never reads
    /// the whole attribute.
    async fn present(&self, dn: &Dn, attr: &AttrName, values: &[Value]) -> Outcome<Vec<Value>>;

    /// Asks whether the account could be used, without any password.
    async fn usability(&self, dn: &Dn) -> Outcome<Usability>;

    /// [`Read::find`] for several ids at once, in their order. One that is not found here may still be found alone, by its name or
    /// its id: a server may let an identity read an entry that it does not let it search for, and where it keeps no index of ids
    /// this finds nothing.
    async fn find_all(&self, base: &Dn, ids: &[StableId], attrs: &[AttrName]) -> Outcome<Vec<Option<Entry>>> {
        let mut found = Vec::with_capacity(ids.len());
        for id in ids {
            found.push(self.find(base, id, attrs).await?);
        }
        Ok(found)
    }

    /// [`Read::read`] for several names at once, in their order; the same holds for one that is not found.
    async fn read_all(&self, names: &[Dn], attrs: &[AttrName]) -> Outcome<Vec<Option<Entry>>> {
        let mut found = Vec::with_capacity(names.len());
        for dn in names {
            found.push(self.read(dn, attrs).await?);
        }
        Ok(found)
    }

    /// Whether entries match an RFC 4515 filter, asked of the server; `None` for one that does not exist.
    async fn match_all(&self, names: &[Dn], filter: &str) -> Outcome<Vec<Option<bool>>> {
        let none = [AttrName::new("1.1")];
        let mut found = Vec::with_capacity(names.len());
        for dn in names {
            if self.read(dn, &none).await?.is_none() {
                found.push(None);
                continue;
            }
            let search = Search {
                base: dn.clone(),
                scope: Scope::Base,
                filter: filter.to_owned(),
                attrs: none.to_vec(),
                page_size: None,
                manage_dsa_it: true,
            };
            let mut stream = self.search(search).await?;
            let mut matches = false;
            while let Some(page) = stream.next_page().await? {
                matches |= !page.entries.is_empty();
            }
            found.push(Some(matches));
        }
        Ok(found)
    }

    /// [`Read::usability`] for several accounts at once, in their order; `Unknown` also for one that is not found.
    async fn usability_all(&self, names: &[Dn]) -> Outcome<Vec<Usability>> {
        let mut found = Vec::with_capacity(names.len());
        for dn in names {
            found.push(match self.usability(dn).await {
                Err(error) if error.failure == Failure::NoSuchObject => Usability::Unknown,
                answer => answer?,
            });
        }
        Ok(found)
    }
}

/// The answer to a bind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeResult {
    /// Result code: 0 success, 49 invalid credentials or locked, 53, …
    pub code: u32,
    /// The server's words.
    pub message: String,
    /// The server said by the password-policy control that the account is locked (draft-behera, error 1).
    pub locked: bool,
}

/// Binds with known credentials. Never used with a person's password.
#[async_trait]
pub trait Probe: Send + Sync {
    /// Which store this is.
    fn side(&self) -> Side;

    /// One simple bind on a connection that serves nothing but such binds, closed if it let somebody in. `secret` must not be empty (that would be an
    /// unauthenticated bind and is refused).
    async fn bind(&self, dn: &Dn, secret: &[u8]) -> Outcome<ProbeResult>;
}

/// The condition under which a write is applied; sent as a critical assertion (RFC 4528) where the server has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    /// The entry has this stable id.
    pub stable_id: Option<StableId>,
    /// Each of these attributes has exactly these values (asserted value by value), or none.
    pub attrs: Vec<(AttrName, Vec<Value>)>,
    /// The entry's change marker (`entryCSN`) is this.
    pub change_marker: Option<String>,
}

/// How a write is to be sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WriteOptions {
    /// The condition; `None` for an add, which relies on result 68.
    pub condition: Option<Condition>,
    /// Attributes to return as they were before (pre-read); empty for none.
    pub pre_read: Vec<AttrName>,
    /// Attributes to return as they are afterwards (post-read); empty for none.
    pub post_read: Vec<AttrName>,
    /// Sends the relax control (needs the right `manage` on OpenLDAP).
    pub relax: bool,
    /// Sends the critical no-op control: the server checks and changes nothing.
    pub no_op: bool,
}

/// What a write returned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// The entry before, where pre-read was asked for and the server has it.
    pub before: Option<Entry>,
    /// The entry afterwards, where post-read was asked for and the server has it.
    pub after: Option<Entry>,
}

/// Writes. Handed to `cutover` only.
#[async_trait]
pub trait Write: Send + Sync {
    /// Which store this is.
    fn side(&self) -> Side;

    /// Applies one change under its condition. On [`crate::Failure::Unknown`] the connection that carried it is closed before
    /// this returns, so that what is observed afterwards on a new one is not overtaken by the same stream.
    async fn apply(&self, change: &Change, options: &WriteOptions) -> Outcome<Written>;

    /// Applies several modifications of entries as one transaction (RFC 5805): all or none.
    async fn transaction(&self, changes: &[(Dn, Vec<Modification>)], options: &WriteOptions) -> Outcome<()>;
}
