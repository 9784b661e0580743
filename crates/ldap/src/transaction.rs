//! Transactions (RFC 5805): several modifications, all or none.
//!
//! slapd (2.5 and 2.6, `txn_preop` in `servers/slapd/txn.c`) puts a change into the transaction and answers it afterwards, without
//! holding a lock; the end of the transaction frees it. An end that arrives while the thread that answered is not through yet
//! makes that thread use freed memory, and the server crashes. No operation of the protocol waits for that thread, so the end is
//! held back for a moment, which is long for a thread that has nothing left to do.
//!
//! Worse, back-mdb forgets on rollback the number of an attribute that the transaction was the first to use, while the running
//! server remembers it: entries that are written with it afterwards cannot be read any more. So transactions are not offered on
//! OpenLDAP unless the settings insist; two conditional changes, of which the first leaves the account refused, do the same work.

use std::time::Duration;

use ldap3::LdapResult;
use untether_directory::{Control, DirectoryError, Failure, Outcome, WriteOptions};
use untether_model::Dn;
use untether_model::change::{Change, Modification};

use crate::ber::{BOOLEAN, Element, INTEGER, OCTET_STRING, SEQUENCE, element, put};
use crate::client::Inner;
use crate::connection::{Connection, Lost};
use crate::controls;
use crate::outcome::Subject;
use crate::write::check;

/// How long the server is given between its answer to the last change and the end of the transaction.
const SETTLE: Duration = Duration::from_millis(50);
/// The extended operation that ends a transaction.
const END: &str = "1.3.6.1.1.21.3";

impl Inner {
    pub(crate) async fn transaction(&self, changes: &[(Dn, Vec<Modification>)], options: &WriteOptions) -> Outcome<()> {
        let Some((first, _)) = changes.first() else { return Ok(()) };
        let subject = self.subject("transaction").about(first);
        let changes: Vec<Change> =
            changes.iter().map(|(dn, mods)| Change::Modify { dn: dn.clone(), mods: mods.clone() }).collect();
        for change in &changes {
            check(subject.about(change.dn()), change)?;
        }
        if options.no_op {
            return Err(subject.error(Failure::Invalid, "the parts of a transaction cannot be tried by no-op"));
        }
        if !self.features().await?.has_transactions() {
            return Err(subject
                .error(Failure::Invalid, "transactions (RFC 5805) are not offered here; on OpenLDAP they are not safe")
                .with_hint("send two changes, the first of which leaves the account refused"));
        }
        let assertion = match &options.condition {
            Some(condition) => self.condition(subject, condition).await?,
            None => None,
        };
        let mut own = self.transactions.take(&self.connector, subject).await?;
        let mut begun = self.begin(own.connection(), subject).await;
        if own.used_before && matches!(&begun, Err(Begin::Lost(lost)) if lost.allows_another_try()) {
            // The server closed a connection that lay idle; a transaction that was only begun has no effect.
            own.renew(&self.connector).await?;
            begun = self.begin(own.connection(), subject).await;
        }
        let id = begun.map_err(|begin| match begin {
            Begin::Lost(lost) => lost.of_write(subject),
            Begin::Refused(error) => error,
        })?;
        let Some(connection) = own.connection() else { return Err(Lost::NotSent.of_read(subject)) };

        let mut carried = Vec::new();
        for change in &changes {
            let mut sent = vec![controls::in_transaction(&id)];
            sent.extend(assertion.clone().filter(|_| carried.is_empty()));
            sent.extend(options.relax.then(controls::relax));
            let (result, message) = self.one_write(connection, change, &sent).await.map_err(|lost| lost.of_write(subject))?;
            if result.rc != 0 {
                // Not taken into the transaction. Closing the connection gives the transaction up.
                connection.close().await;
                return Err(subject.about(change.dn()).write_refusal(change, &result));
            }
            carried.push((message, change));
        }
        // See the module's head: nothing tells when the server's thread is through with the last change.
        tokio::time::sleep(SETTLE).await;
        let bound = self.settings.timeouts.operation;
        let ended = connection.extended(bound, END, Some(commit(&id))).await;
        let (result, value) = ended.map_err(|lost| lost.of_write(subject))?;
        if result.rc != 0 {
            return Err(failed(subject, &carried, &result, &value));
        }
        own.give_back();
        Ok(())
    }

    /// Begins a transaction: its identifier (empty on OpenLDAP, where a connection has one at a time).
    async fn begin(&self, connection: Option<&Connection>, subject: Subject<'_>) -> Result<Vec<u8>, Begin> {
        let connection = connection.ok_or(Begin::Lost(Lost::NotSent))?;
        let bound = self.settings.timeouts.operation;
        let (result, id) = connection.extended(bound, Control::TRANSACTION_START, None).await.map_err(Begin::Lost)?;
        if result.rc == 0 { Ok(id) } else { Err(Begin::Refused(subject.refusal(&result))) }
    }
}

/// Why a transaction did not begin.
enum Begin {
    Lost(Lost),
    Refused(DirectoryError),
}

/// `TxnEndReq` with `commit TRUE`.
fn commit(id: &[u8]) -> Vec<u8> {
    let mut parts = element(BOOLEAN, &[0xff]);
    put(&mut parts, OCTET_STRING, id);
    element(SEQUENCE, &parts)
}

/// The error of a transaction that the server rolled back, about the change that failed where the server names it.
fn failed(subject: Subject<'_>, carried: &[(i32, &Change)], result: &LdapResult, value: &[u8]) -> DirectoryError {
    let named = Element::only(value).and_then(Element::children).and_then(|parts| {
        let id = parts.first().filter(|part| part.tag == INTEGER)?;
        let id = id.content.iter().try_fold(0_i32, |sum, &b| sum.checked_mul(256)?.checked_add(i32::from(b)))?;
        carried.iter().find(|(message, _)| *message == id).map(|(_, change)| *change)
    });
    match named.or_else(|| carried.first().map(|(_, change)| *change)) {
        Some(change) => subject.about(change.dn()).write_refusal(change, result),
        None => subject.refusal(result),
    }
}
