//! The writing capability: single changes, many in flight on a few connections, and transactions.

use async_trait::async_trait;
use ldap3::LdapResult;
use ldap3::controls::RawControl;
use untether_directory::{Condition, Control, Failure, Outcome, Write, WriteOptions, Written};
use untether_model::change::{Change, ModKind, Modification};
use untether_model::schema::Equality;
use untether_model::{AttrName, Dn, Side};

use crate::client::{Client, Inner, unreadable};
use crate::connection::{Connection, GivenUp, Lost};
use crate::outcome::{NO_OPERATION, Subject};
use crate::{controls, decode};

#[async_trait]
impl Write for Client {
    fn side(&self) -> Side {
        self.inner.settings.side
    }

    async fn apply(&self, change: &Change, options: &WriteOptions) -> Outcome<Written> {
        let subject = self.inner.subject(operation(change)).about(change.dn());
        check(subject, change)?;
        let sent = self.inner.write_controls(subject, change, options).await?;
        let result = self.inner.send_write(subject, change, &sent).await?;
        judge(subject, change, options, &result)
    }

    /// The condition is asserted with the first change: it holds or not before the transaction, and later changes of the same
    /// entry would see what the first one did. No entry is read back.
    async fn transaction(&self, changes: &[(Dn, Vec<Modification>)], options: &WriteOptions) -> Outcome<()> {
        self.inner.transaction(changes, options).await
    }
}

impl Inner {
    /// The controls that the options ask for, as far as the server has them; a condition that it cannot check is refused.
    async fn write_controls(&self, subject: Subject<'_>, change: &Change, options: &WriteOptions) -> Outcome<Vec<RawControl>> {
        let mut sent = Vec::new();
        if let Some(condition) = &options.condition {
            if matches!(change, Change::Add { .. }) {
                return Err(
                    subject.error(Failure::Invalid, "an add cannot carry a condition; it fails with 68 if the entry exists")
                );
            }
            sent.extend(self.condition(subject, condition).await?);
        }
        let reads_before = !options.pre_read.is_empty() && !matches!(change, Change::Add { .. });
        if reads_before && self.features().await?.has_control(Control::PRE_READ) {
            sent.push(controls::pre_read(&options.pre_read));
        }
        let reads_after = !options.post_read.is_empty() && !matches!(change, Change::Delete { .. });
        if reads_after && self.features().await?.has_control(Control::POST_READ) {
            sent.push(controls::post_read(&options.post_read));
        }
        if options.relax {
            sent.push(controls::relax());
        }
        if options.no_op {
            sent.push(controls::no_op());
        }
        Ok(sent)
    }

    /// The assertion of a condition; none for a condition that says nothing.
    pub(crate) async fn condition(&self, subject: Subject<'_>, condition: &Condition) -> Outcome<Option<RawControl>> {
        if *condition == Condition::default() {
            return Ok(None);
        }
        if !self.features().await?.has_control(Control::ASSERTION) {
            return Err(subject
                .error(Failure::Invalid, "the server has no assertion control (RFC 4528)")
                .with_hint("express the condition as delete-the-old-value plus add-the-new-value in one modify"));
        }
        let names = condition.attrs.iter().map(|(attr, _)| attr);
        check_names(subject, names)?;
        if condition.attrs.iter().any(|(_, values)| !values.is_empty()) {
            let schema = self.schema().await?;
            let unmatched = condition.attrs.iter().find(|(attr, values)| {
                !values.is_empty() && schema.get(attr).is_some_and(|kind| kind.equality == Equality::None)
            });
            if let Some((attr, _)) = unmatched {
                return Err(subject
                    .error(Failure::Invalid, format!("{attr} has no equality rule; an assertion of its value is never true"))
                    .with_hint("assert the change marker instead"));
            }
        }
        Ok(Some(controls::assertion(condition)))
    }

    /// Sends one write. Only one that certainly never left is sent again.
    async fn send_write(&self, subject: Subject<'_>, change: &Change, sent: &[RawControl]) -> Outcome<LdapResult> {
        let mut again = true;
        loop {
            let place = self.writes.place(subject).await?;
            let connection = place.connection(&self.connector).await?;
            match self.one_write(&connection, change, sent).await {
                Ok((result, _)) => return Ok(result),
                Err(Lost::NotSent) if again => again = false,
                Err(lost) => return Err(lost.of_write(subject)),
            }
        }
    }

    /// One write on this connection: the answer and the id of the message that carried it.
    pub(crate) async fn one_write(
        &self,
        connection: &Connection,
        change: &Change,
        sent: &[RawControl],
    ) -> Result<(LdapResult, i32), Lost> {
        let guard = GivenUp::watch(connection);
        let result = connection.write(self.settings.timeouts.operation, change, sent).await;
        guard.answered();
        result
    }
}

fn operation(change: &Change) -> &'static str {
    match change {
        Change::Add { .. } => "add",
        Change::Modify { .. } => "modify",
        Change::Delete { .. } => "delete",
    }
}

/// Refuses what the protocol has no form for.
pub(crate) fn check(subject: Subject<'_>, change: &Change) -> Outcome<()> {
    let invalid = |what: String| Err(subject.error(Failure::Invalid, what));
    if change.dn().is_root() {
        return invalid("the root DSE cannot be written".to_owned());
    }
    match change {
        Change::Add { attrs, .. } => {
            check_names(subject, attrs.keys())?;
            if attrs.is_empty() {
                return invalid("an entry needs attributes".to_owned());
            }
            match attrs.iter().find(|(_, values)| values.is_empty()) {
                Some((attr, _)) => invalid(format!("{attr} has no value")),
                None => Ok(()),
            }
        }
        Change::Modify { mods, .. } => {
            check_names(subject, mods.iter().map(|m| &m.attr))?;
            if mods.is_empty() {
                return invalid("nothing is to be modified".to_owned());
            }
            match mods.iter().find(|m| m.kind == ModKind::Add && m.values.is_empty()) {
                Some(m) => invalid(format!("no value of {} is to be added", m.attr)),
                None => Ok(()),
            }
        }
        Change::Delete { .. } => Ok(()),
    }
}

/// Attribute descriptions (RFC 4512, section 2.5): a name or OID and options.
fn check_names<'n>(subject: Subject<'_>, names: impl Iterator<Item = &'n AttrName>) -> Outcome<()> {
    for name in names {
        let text = name.as_str();
        let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b';' | b'_'));
        if !plain || !text.starts_with(|c: char| c.is_ascii_alphanumeric()) {
            return Err(subject.error(Failure::Invalid, format!("'{text}' is not the name of an attribute")));
        }
    }
    Ok(())
}

/// What the server's answer says of the change, and the entries that came with it.
fn judge(subject: Subject<'_>, change: &Change, options: &WriteOptions, result: &LdapResult) -> Outcome<Written> {
    if options.no_op {
        return match result.rc {
            NO_OPERATION => Ok(Written::default()),
            0 => {
                Err(subject.error(Failure::Unknown, "the server answered a no-op with success; the change may have been applied"))
            }
            _ => Err(subject.write_refusal(change, result)),
        };
    }
    if result.rc != 0 {
        return Err(subject.write_refusal(change, result));
    }
    let entry = |oid: &str| {
        let value = controls::answer(&result.ctrls, oid);
        value.map(decode::read_entry).transpose().map_err(|malformed| unreadable(subject, &malformed))
    };
    Ok(Written { before: entry(Control::PRE_READ)?, after: entry(Control::POST_READ)? })
}
