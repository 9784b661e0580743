//! Deterministic generator of the laboratory's data: two stores, a roster, and the ground truth.
//!
//! It plants *situations* (`situation.rs`): each block of 1,000 people begins with a script that has every situation once, the
//! rest is drawn by weight. A person is a pure function of (seed, index), so nothing is kept in memory. Labels are derived from
//! what was planted (`truth.rs`); the generator neither reads a store back nor knows the crate that audits.
//!
//! # Data directory
//!
//! | file | content |
//! |---|---|
//! | `shared.ldif`, `independent.ldif` | for `slapadd -q`; without `ou=system` and `ou=canaries`, which the laboratory adds |
//! | `shared-canary.ldif`, `independent-canary.ldif` | these two containers with placeholder and canary, for reading the stores offline |
//! | `roster.csv` | the roster |
//! | `truth.jsonl`, `truth-summary.json` | one label a line; counts by rule |
//! | `passwords.jsonl` | clear texts of the accounts' passwords (mode 0600) |
//! | `manifest.json` | options, counts, canaries, and the configuration of the audit that the labels assume |
//! | `*-config.ldif` | (links) change records for `ldapmodify` against `cn=config` of the laboratory's servers, by EXTERNAL over LDAPI |
//! | `*-config-export.ldif` | (links) the same as `slapcat -n0` shows it, for reading offline |
//! | `shared-accesslog.ldif` | (links) content of the access log |
//!
//! # How the audit's rules are read
//!
//! Situations are chosen so that few readings matter. Where one does, it is this:
//!
//! 1. *Status finding*: departed, contract-ended, already-separated, orphan. Dormant is none.
//! 2. *Open* is what a real slapd lets in by simple bind, and every pass-through value on an account that nothing refuses.
//!    *Enabled* is "not refused". A running temporary lockout is not disabled; no label depends on it. No SASL mechanism is on
//!    offer (`sasl_mechanisms = []`); clear text stands on unlocked accounts only, so that a live server that offers some changes
//!    nothing. No label depends on `{CLEARTEXT}` values being open: slapd 2.5 refuses a simple bind with them.
//! 3. *Usable* credential material (high) stands on an open account. Certificates and PKCS#12 occur only beside a password.
//! 4. *Scrubbed*: refused by a lock or validity time, no credential material at all, no attribute beyond the retention list.
//!    An account that is merely without a password is "refused".
//! 5. `residual.attribute`: attributes of the RDN do not count, options are ignored (`cn;lang-ja;phonetic` is `cn`).
//!    `labEntity` and the like are not on the retention list.
//! 6. `residual.dormant` holds for both stores and for secondary accounts; not for somebody who has not yet started.
//! 7. `residual.duplicate`: two accounts of one roster person are duplicates, not ambiguous, although they carry one number: the
//!    number leads to one subject. Candidates "on either side" are several people for one key, or several independent accounts
//!    for one link value. Accounts of people who are gone are no duplicates.
//! 8. Undecided accounts have no status, so groups and references that name them are not reported.
//! 9. `correlation.conflicting` includes the login key. A key with several candidates does not contradict one of them.
//! 10. `correlation.entity` holds in both stores; against the row that describes the person (the valid one with the latest start).
//!     Raised if either subtree or attribute differs; they never contradict each other where one agrees with the roster, except
//!     where the label says so.
//! 11. Bases that are read: people, services, `ou=groups` (with `ou=aliases` below it), see `manifest.json`. A DN below
//!     `ou=partner` or `ou=system` is never dangling. Below `ou=accounts` only `inetOrgPerson` is an account; a device and a referral
//!     are there too. Below `ou=services` every entry with a `uid` is one.
//! 12. `residual.membership` looks at the direct values of a group; high in a *configured* privileged group. All privileged
//!     groups are configured, nested ones too. `residual.reference` does not look at the owner attribute (`labOwner`), which
//!     `access.service-account` and `residual.orphan` judge, nor at `pwdPolicySubentry`.
//! 13. An owner counts if the account exists in the same store and its person has not departed; one who has moved or is on leave
//!     counts. Owners whose contract is over do not occur.
//! 14. Accounts are exactly one of: service (subtree or `svc-`), mailbox (`mbx-`), test (`test-`), secondary (`adm-`), person. Only persons
//!     and secondary accounts can lack a factor or be dormant. Unlisted and not-started people never lack one.
//! 15. Break-glass accounts and members of `cn=directory-admins` are protected: they are never orphans or dormant; a departed one is
//!     still departed.
//! 16. Links are reported on the configuration entry that names the foreign server: the target of a meta database, the child
//!     database of chain and translucent overlays, the overlay itself for pbind and remoteauth, the relay database for a relay.
//!     pbind and remoteauth stand on databases of their own, so the state of the stores' accounts does not change.
//! 17. `coverage.skipped` has no DN; `about` names the rule that could not run. Only what the data themselves call for is
//!     labelled (a referral entry that leads outside, a sock database); what a test withholds (`cn=config`, the access log) is the
//!     test's own to expect.
//! 18. `link.shared-secret`: services of both stores with one login are one subject. `residual.copy` has the DN `cn=accesslog`.

mod account;
mod cast;
mod entry;
mod fixed;
mod groups;
mod ldif;
mod links;
mod manifest;
mod names;
mod options;
mod output;
mod person;
mod roster;
mod run;
mod secret;
mod services;
mod situation;
#[cfg(test)]
mod tests;
mod truth;
mod world;

pub use options::{Error, Options, Summary};
pub use run::generate;
