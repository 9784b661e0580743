//! What the operations of one subject need from its entries, in a compact form: values above 1 KiB are digests already.

use std::collections::{BTreeMap, BTreeSet};

use untether_model::operation::{Desired, Expects, PlannedValue, Touch, Track};
use untether_model::snapshot::{CredentialKind, CredentialMark, SnapshotEntry};
use untether_model::{AttrName, Side, Value};

use super::Inputs;
use super::candidate::Candidate;
use super::mapping::draft;
use crate::attributes::{CREDENTIAL_CLASSES, is_operational, required_by, values};
use crate::source::PlanError;

/// Values up to this many bytes stand in the wave file itself.
pub(crate) const INLINE_BYTES: usize = 1_024;

const PASS_THROUGH: [&str; 4] = ["SASL", "KERBEROS", "RADIUS", "UNIX"];

/// Stores a large value as a blob of the wave and hands its digest back.
pub(super) type Blobs<'a> = dyn FnMut(&Value) -> Result<PlannedValue, PlanError> + 'a;

/// One account's entry.
pub(super) struct AccountFacts {
    /// `pwdPolicySubentry` as it was.
    pub policy: Expects,
    /// `pwdEndTime` as it was.
    pub end_time: Expects,
    /// Exact marks of its passwords.
    pub passwords: Vec<String>,
    /// Those that let in on other paths than the policy's: pass-through and clear text.
    pub sever: Vec<String>,
    /// One of these is clear text.
    pub severs_clear_text: bool,
    /// What a scrub takes.
    pub scrub: Vec<Touch>,
    /// It has, or a scrub makes, a password history.
    pub history: bool,
    /// Attributes that stay because a class requires them: (attribute, class).
    pub required: Vec<(AttrName, String)>,
}

/// What is known of one subject's entries.
#[derive(Default)]
pub(super) struct Facts {
    pub accounts: BTreeMap<u16, AccountFacts>,
    pub create: Option<Vec<(AttrName, Vec<PlannedValue>)>>,
}

/// Reads one account's entry; `references` are the attributes by which entries refer to accounts.
pub(super) fn collect(
    (inputs, references): (&Inputs<'_>, &[AttrName]),
    candidate: &Candidate,
    account: u16,
    entry: &SnapshotEntry,
    facts: &mut Facts,
    blobs: &mut Blobs<'_>,
) -> Result<(), PlanError> {
    let main = candidate.main() == usize::from(account);
    if main
        && candidate.track == Some(Track::Migrate)
        && candidate.new.is_some()
        && let (Some(mapping), Some(entity)) = (candidate.mapping(), &candidate.entity)
    {
        // It was made once already, when names were compared; the same entry gives the same draft.
        let made = draft(mapping, entry, entity, entry.stable_id.as_ref(), inputs.classes)
            .map_err(|cause| PlanError::Source { what: entry.dn.to_string(), cause })?;
        let mut attrs = Vec::with_capacity(made.attrs.len());
        for (attr, values) in made.attrs {
            attrs.push((attr, planned(&values, blobs)?));
        }
        facts.create = Some(attrs);
    }
    let account_facts = account_facts((inputs, references), candidate, entry, blobs)?;
    facts.accounts.insert(account, account_facts);
    Ok(())
}

fn planned(values: &[Value], blobs: &mut Blobs<'_>) -> Result<Vec<PlannedValue>, PlanError> {
    // Values are a set; their order in the snapshot is the server's.
    let sorted: BTreeSet<&Value> = values.iter().collect();
    sorted.into_iter().map(blobs).collect()
}

fn as_it_is(entry: &SnapshotEntry, attr: &str, blobs: &mut Blobs<'_>) -> Result<Expects, PlanError> {
    match values(entry, attr) {
        [] => Ok(Expects::Absent),
        values => Ok(Expects::Values(planned(values, blobs)?)),
    }
}

fn account_facts(
    (inputs, references): (&Inputs<'_>, &[AttrName]),
    candidate: &Candidate,
    entry: &SnapshotEntry,
    blobs: &mut Blobs<'_>,
) -> Result<AccountFacts, PlanError> {
    let is_password = |m: &&CredentialMark| m.attr.is("userpassword");
    let exact = |marks: Vec<&CredentialMark>| -> Vec<String> {
        marks.into_iter().map(|m| m.exact.clone()).collect::<BTreeSet<_>>().into_iter().collect()
    };
    let passwords = exact(entry.credentials.iter().filter(is_password).collect());
    let another_way =
        |m: &&CredentialMark| m.clear || m.pass_through || m.scheme.as_deref().is_some_and(|s| PASS_THROUGH.contains(&s));
    let sever = exact(entry.credentials.iter().filter(is_password).filter(another_way).collect());
    let history = !passwords.is_empty() || entry.credentials.iter().any(|m| m.kind == CredentialKind::History);
    let mut facts = AccountFacts {
        policy: as_it_is(entry, "pwdpolicysubentry", blobs)?,
        end_time: as_it_is(entry, "pwdendtime", blobs)?,
        passwords,
        sever,
        severs_clear_text: entry.credentials.iter().filter(is_password).any(|m| m.clear),
        scrub: Vec::new(),
        history,
        required: Vec::new(),
    };
    let scrubbed = candidate.has_stage(untether_model::operation::Stage::Scrub) && !candidate.groups_only;
    if scrubbed {
        scrub((inputs, references), (candidate, entry), &mut facts, blobs)?;
    }
    Ok(facts)
}

fn scrub(
    (inputs, references): (&Inputs<'_>, &[AttrName]),
    (candidate, entry): (&Candidate, &SnapshotEntry),
    facts: &mut AccountFacts,
    blobs: &mut Blobs<'_>,
) -> Result<(), PlanError> {
    let schema = inputs.schemas.get(&Side::Shared).filter(|s| !s.is_empty());
    let classes = values(entry, "objectclass");
    let rdn = entry.dn.rdn();
    let names_it =
        |attr: &AttrName| attr.as_str().find(';').is_none() && rdn.as_ref().is_some_and(|r| r.value(attr.base()).is_some());
    for (attr, values) in &entry.attrs {
        let stays = attr.is("objectclass") || names_it(attr) || candidate.retains(attr) || is_operational(schema, attr);
        if stays || values.is_empty() {
            continue;
        }
        if let Some(class) = required_by(classes, attr, inputs.classes) {
            // A subtype by option is not what the class asks for, unless nothing else is there.
            let plain = attr.as_str().find(';').is_none();
            if plain || !entry.attrs.contains_key(&AttrName::new(attr.base())) {
                facts.required.push((attr.clone(), class));
                continue;
            }
        }
        // Other operations of the same plan take references away, so what is left of them is not known now.
        let expects = match references.iter().any(|name| attr.is_covered_by(name)) {
            true => Expects::Any,
            false => Expects::Values(planned(values, blobs)?),
        };
        facts.scrub.push(Touch { attr: attr.clone(), expects, desired: Desired::Absent });
    }
    let mut marks: BTreeMap<&AttrName, (BTreeSet<String>, bool)> = BTreeMap::new();
    for mark in entry.credentials.iter().filter(|m| !m.attr.is("pwdhistory")) {
        let (exact, password) = marks.entry(&mark.attr).or_default();
        exact.insert(mark.exact.clone());
        *password |= mark.kind == CredentialKind::Password;
    }
    for (attr, (exact, password)) in marks {
        // Its owner may have changed a password up to the day of the disabling; it goes either way.
        let expects = if password { Expects::Any } else { Expects::Marks(exact.into_iter().collect()) };
        facts.scrub.push(Touch { attr: attr.clone(), expects, desired: Desired::Absent });
    }
    let goes = |class: &str| {
        CREDENTIAL_CLASSES
            .iter()
            .any(|(name, attr)| name.eq_ignore_ascii_case(class) && facts.scrub.iter().any(|t| t.attr.is(attr)))
    };
    let (gone, left): (Vec<&Value>, Vec<&Value>) = classes.iter().partition(|v| v.as_str().is_some_and(goes));
    if !gone.is_empty() {
        let left: Vec<Value> = left.into_iter().cloned().collect();
        let expects = Expects::Values(planned(classes, blobs)?);
        let desired = Desired::Values(planned(&left, blobs)?);
        facts.scrub.push(Touch { attr: AttrName::new("objectClass"), expects, desired });
    }
    facts.scrub.sort_by(|a, b| a.attr.cmp(&b.attr));
    Ok(())
}
