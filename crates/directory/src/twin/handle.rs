//! The capabilities of a twin.

use std::sync::Arc;

use async_trait::async_trait;
use untether_model::change::{Change, ModKind, Modification};
use untether_model::schema::{Equality, Schema};
use untether_model::{AttrName, Dn, Entry, Side, StableId, Value};

use super::fault::{Fault, ReadAttempt, ReadFault, WriteAttempt};
use super::policy::Policy;
use super::refusal::{Refusal, code, operation};
use super::store::{Bound, is_assertable};
use super::stream::TwinStream;
use super::view::project;
use super::{Identity, LateWrite, Twin};
use crate::filter::Filter;
use crate::{
    Condition, Control, DirectoryError, EntryStream, Failure, Features, Outcome, Probe, ProbeResult, Read, Search, Usability,
    Write, WriteOptions, Written,
};

/// A twin as one identity sees it: [`Read`], [`Probe`] and [`Write`].
#[derive(Clone)]
pub struct TwinHandle {
    pub(super) twin: Twin,
    pub(super) identity: Identity,
}

impl TwinHandle {
    fn error(&self, failure: Failure, operation: &'static str, dn: &Dn, message: impl Into<String>) -> DirectoryError {
        DirectoryError::new(failure, self.twin.config.side, operation, message).about(dn)
    }

    fn missing(&self, operation: &'static str, dn: &Dn) -> DirectoryError {
        Refusal::missing().error(self.twin.config.side, operation, dn)
    }

    /// Counts a read and lets the faults decide on it.
    pub(super) fn reading(&self, operation: &'static str, dn: &Dn) -> Outcome<()> {
        let (number, faults) = {
            let mut state = self.twin.lock();
            state.reads += 1;
            (state.reads - 1, Arc::clone(&state.faults))
        };
        match faults.on_read(&ReadAttempt { number, identity: self.identity, operation, dn }) {
            Some(ReadFault::Fail(failure)) => Err(self.injected(failure, operation, dn)),
            Some(ReadFault::Refuse(code)) => Err(refused(code).error(self.twin.config.side, operation, dn)),
            None => Ok(()),
        }
    }

    fn injected(&self, failure: Failure, operation: &'static str, dn: &Dn) -> DirectoryError {
        let error = self.error(failure, operation, dn, "a fault was injected");
        let answered = match failure {
            Failure::Refused => code::UNWILLING,
            Failure::ConditionFailed => code::ASSERTION_FAILED,
            Failure::NoSuchObject => code::NO_SUCH_OBJECT,
            Failure::Busy => code::BUSY,
            Failure::Credentials => code::INVALID_CREDENTIALS,
            Failure::Unknown | Failure::Unreachable | Failure::Invalid => return error,
        };
        error.with_code(answered)
    }

    fn carry_out(&self, operation: &'static str, dn: &Dn, write: LateWrite) -> Outcome<Written> {
        let (number, faults) = {
            let mut state = self.twin.lock();
            state.writes += 1;
            (state.writes - 1, Arc::clone(&state.faults))
        };
        let lost = || self.error(Failure::Unknown, operation, dn, "no answer");
        match faults.on_write(&WriteAttempt { number, identity: self.identity, changes: &write.changes }) {
            Fault::Proceed => self.twin.carry_out(&write),
            Fault::Fail(failure) => Err(self.injected(failure, operation, dn)),
            Fault::Refuse(code) => Err(match write.changes.first() {
                Some(change) => refused(code).write_error(self.twin.config.side, change),
                None => refused(code).error(self.twin.config.side, operation, dn),
            }),
            Fault::LoseReply => {
                // Whatever the server would have said, nobody heard it.
                let _ = self.twin.carry_out(&write);
                Err(lost())
            }
            Fault::ApplyLater => {
                self.twin.lock().late.push(write);
                Err(lost())
            }
        }
    }

    /// Refuses what the protocol has no form for.
    fn check_change(&self, change: &Change) -> Outcome<()> {
        let invalid = |message: String| Err(self.error(Failure::Invalid, operation(change), change.dn(), message));
        if change.dn().is_root() {
            return invalid("the root DSE cannot be written".to_owned());
        }
        match change {
            Change::Add { attrs, .. } if attrs.is_empty() => invalid("an entry needs attributes".to_owned()),
            Change::Add { attrs, .. } => match attrs.iter().find(|(_, values)| values.is_empty()) {
                Some((attr, _)) => invalid(format!("{attr} has no value")),
                None => Ok(()),
            },
            Change::Modify { mods, .. } if mods.is_empty() => invalid("nothing is to be modified".to_owned()),
            Change::Modify { mods, .. } => match mods.iter().find(|m| m.kind == ModKind::Add && m.values.is_empty()) {
                Some(m) => invalid(format!("no value of {} is to be added", m.attr)),
                None => Ok(()),
            },
            Change::Delete { .. } => Ok(()),
        }
    }

    /// Refuses a condition that this server cannot be asked to check.
    fn check_condition(&self, operation: &'static str, dn: &Dn, condition: Option<&Condition>) -> Outcome<()> {
        let Some(condition) = condition.filter(|c| **c != Condition::default()) else { return Ok(()) };
        let config = &self.twin.config;
        if !config.has_control(Control::ASSERTION) {
            return Err(self
                .error(Failure::Invalid, operation, dn, "the server has no assertion control (RFC 4528)")
                .with_hint("express the condition as delete-the-old-value plus add-the-new-value in one modify"));
        }
        match condition.attrs.iter().find(|(attr, values)| !values.is_empty() && !is_assertable(&config.schema, attr)) {
            Some((attr, _)) => Err(self
                .error(
                    Failure::Invalid,
                    operation,
                    dn,
                    format!("{attr} has no equality rule; an assertion of its value is never true"),
                )
                .with_hint("assert the change marker instead")),
            None => Ok(()),
        }
    }
}

#[async_trait]
impl Read for TwinHandle {
    fn side(&self) -> Side {
        self.twin.config.side
    }

    async fn features(&self) -> Outcome<Features> {
        let config = &self.twin.config;
        let transactions = config.transactions.then(|| Control::TRANSACTION_START.to_owned());
        Ok(Features {
            controls: config.controls.clone(),
            extensions: transactions.into_iter().collect(),
            sasl_mechanisms: config.sasl_mechanisms.clone(),
            naming_contexts: vec![config.suffix.clone()],
            vendor: Some("OpenLDAProotDSE".to_owned()),
        })
    }

    async fn schema(&self) -> Outcome<Arc<Schema>> {
        Ok(Arc::clone(&self.twin.config.schema))
    }

    async fn search(&self, search: Search) -> Outcome<Box<dyn EntryStream>> {
        let filter = Filter::parse(&search.filter)
            .map_err(|error| self.error(Failure::Invalid, "search", &search.base, error.to_string()))?;
        Ok(Box::new(TwinStream { handle: self.clone(), search, filter, cursor: None, sent: 0, ended: false }))
    }

    async fn read(&self, dn: &Dn, attrs: &[AttrName]) -> Outcome<Option<Entry>> {
        self.reading("read", dn)?;
        let state = self.twin.lock();
        let tree = &state.store.tree;
        Ok(tree.get(dn).map(|stored| project(stored, attrs, tree, &self.twin.config.schema)))
    }

    async fn find(&self, base: &Dn, id: &StableId, attrs: &[AttrName]) -> Outcome<Option<Entry>> {
        self.reading("find", base)?;
        let state = self.twin.lock();
        let tree = &state.store.tree;
        if !base.is_root() && tree.get(base).is_none() {
            return Err(self.missing("find", base));
        }
        let mut found = tree.with_id(base, id.as_str());
        match (found.next(), found.next()) {
            (None, _) => Ok(None),
            (Some(stored), None) => Ok(Some(project(stored, attrs, tree, &self.twin.config.schema))),
            (Some(_), Some(_)) => {
                Err(self.error(Failure::Refused, "find", base, format!("several entries have the stable id {id}")))
            }
        }
    }

    async fn compare(&self, dn: &Dn, attr: &AttrName, value: &Value) -> Outcome<Option<bool>> {
        self.reading("compare", dn)?;
        let schema = &self.twin.config.schema;
        let state = self.twin.lock();
        let Some(stored) = state.store.tree.get(dn) else { return Ok(None) };
        if schema.equality(attr) == Equality::None {
            let refusal = Refusal::new(code::INAPPROPRIATE_MATCHING, "inappropriate matching request");
            return Err(refusal.error(self.twin.config.side, "compare", dn));
        }
        let Some(values) = stored.attrs.get(attr) else { return Ok(None) };
        Ok(Some(values.contains(schema.equality(attr), &schema.normalize(attr, value))))
    }

    async fn present(&self, dn: &Dn, attr: &AttrName, values: &[Value]) -> Outcome<Vec<Value>> {
        if values.is_empty() {
            return Ok(Vec::new());
        }
        self.reading("present", dn)?;
        let schema = &self.twin.config.schema;
        let state = self.twin.lock();
        let stored = state.store.tree.get(dn).ok_or_else(|| self.missing("read values", dn))?;
        let Some(held) = stored.attrs.get(attr) else { return Ok(Vec::new()) };
        let rule = schema.equality(attr);
        Ok(values.iter().filter(|value| held.contains(rule, &schema.normalize(attr, value))).cloned().collect())
    }

    /// As slapd answers it: nothing for an entry without a password or whose policy does not resolve.
    async fn usability(&self, dn: &Dn) -> Outcome<Usability> {
        if !self.twin.config.has_control(Control::ACCOUNT_USABILITY) {
            return Ok(Usability::Unknown);
        }
        self.reading("usability", dn)?;
        let now = self.twin.now();
        let state = self.twin.lock();
        let tree = &state.store.tree;
        let stored = tree.get(dn).ok_or_else(|| self.missing("ask for usability", dn))?;
        let policy = Policy::of(stored, tree, &self.twin.config);
        Ok(if !policy.resolves || !stored.has("userPassword") {
            Usability::Unknown
        } else if policy.refuses(stored, now) {
            Usability::Unavailable
        } else {
            Usability::Available
        })
    }
}

#[async_trait]
impl Probe for TwinHandle {
    fn side(&self) -> Side {
        self.twin.config.side
    }

    async fn bind(&self, dn: &Dn, secret: &[u8]) -> Outcome<ProbeResult> {
        if secret.is_empty() {
            return Err(self.error(Failure::Invalid, "bind", dn, "an empty password would be an unauthenticated bind"));
        }
        self.reading("bind", dn)?;
        let now = self.twin.now();
        let bound = self.twin.lock().store.bind(dn, secret, now);
        let told = bound == Bound::Locked && self.twin.config.tells_lockout;
        Ok(match bound {
            Bound::Opened => ProbeResult { code: 0, message: String::new(), locked: false },
            Bound::Refused | Bound::Locked => {
                ProbeResult { code: code::INVALID_CREDENTIALS, message: "invalid credentials".to_owned(), locked: told }
            }
        })
    }
}

#[async_trait]
impl Write for TwinHandle {
    fn side(&self) -> Side {
        self.twin.config.side
    }

    async fn apply(&self, change: &Change, options: &WriteOptions) -> Outcome<Written> {
        self.check_change(change)?;
        let operation = operation(change);
        if options.condition.is_some() && matches!(change, Change::Add { .. }) {
            let message = "an add cannot carry a condition; it fails with 68 if the entry exists";
            return Err(self.error(Failure::Invalid, operation, change.dn(), message));
        }
        self.check_condition(operation, change.dn(), options.condition.as_ref())?;
        let changes = vec![received(&self.twin.config.schema, change)];
        let write = LateWrite { identity: self.identity, changes, options: options.clone(), transaction: false };
        self.carry_out(operation, change.dn(), write)
    }

    /// The condition is asserted with the first change; no entry is read back.
    async fn transaction(&self, changes: &[(Dn, Vec<Modification>)], options: &WriteOptions) -> Outcome<()> {
        const OPERATION: &str = "transaction";
        let Some((first, _)) = changes.first() else { return Ok(()) };
        let changes: Vec<Change> =
            changes.iter().map(|(dn, mods)| Change::Modify { dn: dn.clone(), mods: mods.clone() }).collect();
        let changes: Vec<Change> = changes.iter().map(|change| received(&self.twin.config.schema, change)).collect();
        changes.iter().try_for_each(|change| self.check_change(change))?;
        if options.no_op {
            let message = "a transaction cannot be tried without being carried out";
            return Err(self.error(Failure::Invalid, OPERATION, first, message));
        }
        if !self.twin.config.transactions {
            return Err(self.error(Failure::Invalid, OPERATION, first, "the server has no transactions (RFC 5805)"));
        }
        self.check_condition(OPERATION, first, options.condition.as_ref())?;
        let first = first.clone();
        let write = LateWrite { identity: self.identity, changes, options: options.clone(), transaction: true };
        self.carry_out(OPERATION, &first, write).map(|_| ())
    }
}

/// An answer that a test wants to be given.
fn refused(code: u32) -> Refusal {
    Refusal::new(code, "a fault was injected")
}

/// A change as it arrives: the client sends values as a set of bytes, and the server writes the types in names as its schema spells
/// them.
fn received(schema: &Schema, change: &Change) -> Change {
    let arrive = |attr: &AttrName, values: &[Value]| {
        let mut arrived: Vec<Value> = Vec::with_capacity(values.len());
        let mut seen = std::collections::BTreeSet::new();
        for value in values.iter().filter(|value| seen.insert(value.as_bytes().to_vec())) {
            let spelled = value.as_str().filter(|_| schema.equality(attr) == Equality::DistinguishedName);
            arrived.push(spelled.and_then(|text| spelled_as(schema, text)).unwrap_or_else(|| value.clone()));
        }
        arrived
    };
    match change {
        Change::Add { dn, attrs } => {
            let attrs = attrs.iter().map(|(attr, values)| (attr.clone(), arrive(attr, values).into())).collect();
            Change::Add { dn: dn.clone(), attrs }
        }
        Change::Modify { dn, mods } => {
            let arrived = mods.iter().map(|m| Modification { values: arrive(&m.attr, &m.values), ..m.clone() });
            Change::Modify { dn: dn.clone(), mods: arrived.collect() }
        }
        Change::Delete { .. } => change.clone(),
    }
}

/// A name in the schema's spelling; `None` where it is spelled so already, or escapes characters (servers differ in how).
fn spelled_as(schema: &Schema, text: &str) -> Option<Value> {
    let name = Dn::parse(text).ok().filter(|_| !text.contains(['\\', '"']))?;
    let mut rdns = name.rdns();
    for ava in rdns.iter_mut().flat_map(|rdn| &mut rdn.0) {
        if let Some(known) = schema.get(&ava.attr) {
            ava.attr = AttrName::new(&known.name);
        }
    }
    let spelled = Dn::from_rdns(&rdns);
    (spelled.as_str() != text).then(|| spelled.as_str().into())
}
