//! `residual.attribute`: personal data that the shared store keeps beyond need.

use std::cell::OnceCell;
use std::collections::BTreeSet;

use untether_model::finding::{Evidence, Severity};
use untether_model::schema::Schema;
use untether_model::snapshot::SnapshotEntry;
use untether_model::{AttrName, Dn};

use super::super::{AccountCase, Draft, RuleDoc};
use super::credential::is_leftover;

/// The rule.
pub const ATTRIBUTE: RuleDoc = RuleDoc {
    id: "residual.attribute",
    raised: "User attributes that are not on the retention list, in the shared store, on accounts with a status finding or of a subject whose record the policy keeps. Operational attributes, objectClass, those of the RDN and credential material do not count; options are ignored (`cn` on the list covers `cn;lang-ja`).",
    severity: "Low: personal data, but no way in.",
    rationale: "Personal data of people who have left stays with another company for no purpose.",
    remedy: "Scrub the record to the retention list, or put what law or contract requires on the list.",
    answers: &[
        "NIST SP 800-53r5 SI-12",
        "Act on the Protection of Personal Information (Japan), articles 22 and 23",
        "Regulator: which data remain, and until when",
    ],
};

/// Operational attributes that an export without its schema shows; those that the schema knows need not be here.
const OPERATIONAL: [&str; 22] = [
    "authtimestamp",
    "authzfrom",
    "authzto",
    "contextcsn",
    "entrydn",
    "entryttl",
    "governingstructurerule",
    "hassubordinates",
    "nsuniqueid",
    "numsubordinates",
    "objectguid",
    "parentid",
    "pwdaccounttmplockoutend",
    "pwdfailuretime",
    "pwdgraceusetime",
    "pwdlastsuccess",
    "pwdpolicysubentry",
    "pwduniqueattempts",
    "structuralobjectclass",
    "subordinatecount",
    "subschemasubentry",
    "uniquemembership",
];

/// User attributes beyond the retention list.
pub(in super::super) fn beyond_retention<'e>(
    entry: &'e SnapshotEntry,
    retention: &'e [AttrName],
    schema: &'e Schema,
) -> impl Iterator<Item = &'e AttrName> {
    // Few attributes come as far as this.
    let types = OnceCell::new();
    let is_naming = move |attr: &AttrName| types.get_or_init(|| rdn_types(&entry.dn)).contains(attr.base());
    let is_operational =
        |attr: &AttrName| schema.get(attr).is_some_and(|known| known.operational) || OPERATIONAL.contains(&attr.base());
    let beyond = entry.attrs.iter().filter(move |(attr, values)| {
        !values.is_empty()
            && !attr.is("objectclass")
            && !retention.iter().any(|kept| attr.is_covered_by(kept))
            && !is_operational(attr)
            && !is_naming(attr)
    });
    beyond.map(|(attr, _)| attr)
}

fn rdn_types(dn: &Dn) -> BTreeSet<String> {
    dn.rdn().map(|rdn| rdn.0.iter().map(|ava| ava.attr.base().to_owned()).collect()).unwrap_or_default()
}

/// Judges one account; `None` too where no retention list is configured, which is the caller's to report.
pub fn check(case: &AccountCase<'_>) -> Option<Draft> {
    let retention = case.context.policy().retention.as_ref()?;
    if !is_leftover(case) {
        return None;
    }
    let mut beyond = beyond_retention(case.entry, retention, case.context.schema(case.side)).peekable();
    beyond.peek()?;
    let mut evidence = Evidence::new();
    beyond.for_each(|attr| evidence.add("attribute", attr.as_str()));
    Some(Draft::new(&ATTRIBUTE, Severity::Low, evidence))
}
