//! Asks a server what an identity may do, without changing anything: critical no-op (draft-zeilenga-ldap-noop), and changes that
//! would change nothing even where a server ignored it.

use std::collections::BTreeSet;

use untether_directory::{Condition, DirectoryError, Failure, Outcome, Read, Scope, Search, Write, WriteOptions};
use untether_ldap::Client;
use untether_model::change::{Change, Modification};
use untether_model::schema::Schema;
use untether_model::{AttrMap, AttrName, Dn, Entry, Side, StableId, Value};

use crate::config::Config;
use crate::rights::{Extent, Place};

const INSUFFICIENT_ACCESS: u32 = 50;
const NO_SUCH_CONTROL: u32 = 12;
const UNDEFINED_ATTRIBUTE: u32 = 17;
const OBJECT_CLASS_VIOLATION: u32 = 65;
const ASSERTION_FAILED: u32 = 122;

/// Answers that come after the rights were looked at: no such value, a value that is there already, a class that wants one, entries
/// below.
const AFTER_RIGHTS: [u32; 4] = [16, 20, 65, 66];

/// A hash that is no password of anybody.
const NO_PASSWORD: &str = "{SSHA}bm9ib2R5J3MgcGFzc3dvcmQgaXMgdGhpcyBvbmU=";

/// An id that no entry has.
const NOBODY: &str = "00000000-0000-0000-0000-000000000000";

/// Entries of a place that are looked at for one that may be asked about.
const LOOKED_AT: u32 = 20;

/// What a server answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It would do it.
    Allowed,
    /// It would refuse for lack of rights.
    Denied,
    /// It does not know the attribute.
    Undefined,
    /// It has no no-op, so it was not asked.
    NoControl,
    /// Something else.
    Other(String),
}

impl Answer {
    fn of(result: Outcome<untether_directory::Written>) -> Self {
        let Err(error) = result else { return Self::Allowed };
        match error.code {
            Some(INSUFFICIENT_ACCESS) => Self::Denied,
            Some(UNDEFINED_ATTRIBUTE) => Self::Undefined,
            Some(NO_SUCH_CONTROL) => Self::NoControl,
            Some(code) if AFTER_RIGHTS.contains(&code) => Self::Allowed,
            _ => Self::Other(error.to_string()),
        }
    }
}

/// An entry of a place, as the reading identity sees it: one that is not protected, and not the place's own where others are there.
pub async fn sample(config: &Config, side: Side, read: &Client, place: &Place) -> Outcome<Option<Entry>> {
    let protected = &config.audit.protected;
    let asked =
        |entry: &Entry| !protected.dns.contains(&entry.dn) && !protected.subtrees.iter().any(|base| entry.dn.is_within(base));
    let everything = [AttrName::new("*"), AttrName::new("+")];
    if place.extent == Extent::Exact {
        return read.read(&place.dn, &everything).await;
    }
    let search = Search {
        base: place.dn.clone(),
        scope: Scope::Subtree,
        filter: unprotected(config, side, place.filter.as_deref().unwrap_or("(objectClass=*)")),
        attrs: everything.to_vec(),
        page_size: Some(LOOKED_AT),
        manage_dsa_it: true,
    };
    let mut pages = match Read::search(read, search).await {
        Ok(pages) => pages,
        Err(error) if error.failure == Failure::NoSuchObject => return Ok(None),
        Err(error) => return Err(error),
    };
    let entries = match pages.next_page().await {
        Ok(page) => page.map(|page| page.entries).unwrap_or_default(),
        Err(error) if error.failure == Failure::NoSuchObject => return Ok(None),
        Err(error) => return Err(error),
    };
    let (own, others): (Vec<Entry>, Vec<Entry>) = entries.into_iter().filter(asked).partition(|entry| entry.dn == place.dn);
    Ok(others.into_iter().next().or_else(|| own.into_iter().next()))
}

/// The entries of a filter that no protecting filter takes in.
fn unprotected(config: &Config, side: Side, filter: &str) -> String {
    let but: String = config.audit.protected.filters(side).iter().map(|protected| format!("(!{protected})")).collect();
    if but.is_empty() { filter.to_owned() } else { format!("(&{filter}{but})") }
}

/// Whether an attribute of this entry may be changed. Asked is to leave it as it is, or to delete a value that it does not have.
pub async fn may_write(client: &Client, entry: &Entry, attr: &AttrName, relax: bool) -> Answer {
    let held = entry.values(attr.as_str());
    let modification = match (held.is_empty(), attr.is("userpassword")) {
        // Even a password that stays what it was counts as changed.
        (false, true) => Modification::delete(attr.clone(), vec![Value::from(NO_PASSWORD)]),
        _ => Modification::replace(attr.clone(), held.to_vec()),
    };
    let change = Change::Modify { dn: entry.dn.clone(), mods: vec![modification] };
    let options = WriteOptions { no_op: true, relax, ..WriteOptions::default() };
    Answer::of(Write::apply(client, &change, &options).await)
}

/// What a new entry is to be like.
pub struct Like<'a> {
    /// The entry that it is like.
    pub entry: &'a Entry,
    /// Below which entry it is made.
    pub parent: &'a Dn,
    /// Attributes that it must have too, so that it is of the same sort.
    pub also: &'a [AttrName],
}

/// Whether an entry may be made; under relax with a stable id of its own. Only for servers that are known to honour no-op.
pub async fn may_add(client: &Client, like: &Like<'_>, schema: &Schema, relax: bool) -> Answer {
    let name = "untether-doctor-asks";
    let mut attrs = AttrMap::new();
    let classes = like.entry.values("objectClass");
    attrs.insert(AttrName::new("objectClass"), classes.to_vec());
    let required = required(schema, classes.iter().filter_map(Value::as_str));
    for attr in required.iter().map(AttrName::new).chain(like.also.iter().cloned()) {
        let held = like.entry.values(attr.as_str());
        if attr.is("userpassword") {
            attrs.insert(attr, vec![Value::from(NO_PASSWORD)]);
        } else if !held.is_empty() {
            attrs.insert(attr, held.to_vec());
        }
    }
    let rdn = like.entry.dn.rdn().and_then(|rdn| rdn.0.first().map(|ava| ava.attr.clone()));
    let Some(rdn) = rdn else { return Answer::Other("the entry has no name".to_owned()) };
    attrs.insert(rdn.clone(), vec![Value::from(name)]);
    if relax {
        attrs.insert(AttrName::new("entryUUID"), vec![Value::from("5c1f7d0e-9f3b-4a53-8c63-0a5b8f1d2e47")]);
    }
    let change = Change::Add { dn: like.parent.child(rdn.as_str(), name), attrs };
    let options = WriteOptions { no_op: true, relax, ..WriteOptions::default() };
    match Write::apply(client, &change, &options).await {
        // A new entry's classes are looked at before anybody's rights.
        Err(error) if error.code == Some(OBJECT_CLASS_VIOLATION) => Answer::Other(error.to_string()),
        result => Answer::of(result),
    }
}

/// What entries of these classes must have, the classes above them included.
fn required<'a>(schema: &'a Schema, classes: impl Iterator<Item = &'a str>) -> BTreeSet<String> {
    let mut open: Vec<&str> = classes.collect();
    let (mut seen, mut required) = (BTreeSet::new(), BTreeSet::new());
    while let Some(name) = open.pop() {
        let Some(class) = schema.class(name).filter(|class| seen.insert(class.name.as_str())) else { continue };
        required.extend(class.must.iter().cloned());
        open.extend(class.above.iter().map(String::as_str));
    }
    required
}

/// Whether this entry may be deleted, which takes the same right as to make it. Only for servers that are known to honour no-op.
pub async fn may_delete(client: &Client, entry: &Entry) -> Answer {
    let Some(id) = entry.text("entryUUID") else { return Answer::Other("the entry shows no entryUUID".to_owned()) };
    let condition = Condition { stable_id: Some(StableId::new(id)), ..Condition::default() };
    let options = WriteOptions { no_op: true, condition: Some(condition), ..WriteOptions::default() };
    Answer::of(Write::apply(client, &Change::Delete { dn: entry.dn.clone() }, &options).await)
}

/// Whether entries may come and go beside this one. slapd looks at the parent's `children` before it looks at the condition, and the
/// condition holds for no entry.
pub async fn may_delete_beside(client: &Client, entry: &Dn) -> Answer {
    let condition = Condition { stable_id: Some(StableId::new(NOBODY)), ..Condition::default() };
    let options = WriteOptions { no_op: true, condition: Some(condition), ..WriteOptions::default() };
    match Write::apply(client, &Change::Delete { dn: entry.clone() }, &options).await {
        Err(DirectoryError { code: Some(ASSERTION_FAILED), .. }) => Answer::Allowed,
        result => Answer::of(result),
    }
}

/// Why an attribute of an entry is not shown.
pub enum Hidden {
    /// It is not there.
    Absent,
    /// The identity may not see it.
    Denied,
    /// The server does not know it.
    Undefined,
    /// It cannot be told.
    Unknown(String),
}

/// Asks by compare: a denied attribute is refused, an absent one is not. Values of several syntaxes are tried, because a value that
/// the syntax refuses (21) is refused before rights are looked at.
pub async fn hidden(read: &Client, entry: &Dn, attr: &AttrName) -> Hidden {
    let tried = ["x", "19700101000000Z", entry.as_str(), "TRUE", NOBODY, "1"];
    let mut why = String::new();
    for value in tried {
        match Read::compare(read, entry, attr, &Value::from(value)).await {
            Ok(None) => return Hidden::Absent,
            // It is there and can be compared with, but is not shown.
            Ok(Some(_)) => return Hidden::Denied,
            Err(error) => match error.code {
                Some(INSUFFICIENT_ACCESS) => return Hidden::Denied,
                Some(UNDEFINED_ATTRIBUTE) => return Hidden::Undefined,
                Some(21) => why = error.message,
                // No equality rule: such an attribute cannot be asked about; photos and the like decide nothing.
                Some(18) => return Hidden::Absent,
                _ => return Hidden::Unknown(error.message),
            },
        }
    }
    Hidden::Unknown(why)
}
