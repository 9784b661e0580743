//! The pure half of the operation protocol: from what is observed and what is desired to what is sent.
//!
//! Knows no server and no journal; everything here is a function of its arguments.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use untether_directory::Condition;
use untether_ledger::Marks;
use untether_model::change::{Change, Modification};
use untether_model::operation::Expects;
use untether_model::run::Mark;
use untether_model::schema::{Equality, Schema};
use untether_model::{AttrMap, AttrName, Dn, Entry, StableId, Value};

use crate::secret;

/// The attribute that names the entry for good (OpenLDAP).
pub static STABLE_ID: LazyLock<AttrName> = LazyLock::new(|| AttrName::new("entryUUID"));
/// The attribute that tells its version.
pub static CHANGE_MARKER: LazyLock<AttrName> = LazyLock::new(|| AttrName::new("entryCSN"));
/// Everything that an entry holds: user attributes and operational ones.
pub static EVERYTHING: LazyLock<[AttrName; 2]> = LazyLock::new(|| ["*", "+"].map(AttrName::new));

/// What OpenLDAP's password policy changes by itself when a password is written or deleted: kept in the before-image of such an
/// operation, so that its undo can put it back.
pub static CREDENTIAL_COMPANIONS: LazyLock<[AttrName; 6]> = LazyLock::new(|| {
    ["pwdAccountLockedTime", "pwdReset", "pwdChangedTime", "pwdHistory", "pwdFailureTime", "pwdGraceUseTime"].map(AttrName::new)
});

/// The attributes that a change of these moves with them, and that are not among them.
pub fn companions<'a>(touched: impl IntoIterator<Item = &'a AttrName> + Clone) -> Vec<AttrName> {
    if !touched.clone().into_iter().any(|attr| attr.is("userpassword")) {
        return Vec::new();
    }
    let untouched = |name: &&AttrName| touched.clone().into_iter().all(|attr| attr != *name);
    CREDENTIAL_COMPANIONS.iter().filter(untouched).cloned().collect()
}

/// A touched attribute with concrete values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aim {
    /// The attribute.
    pub attr: AttrName,
    /// What it must be for a first attempt.
    pub expects: Expectation,
    /// What it is to be.
    pub desired: Vec<Value>,
    /// It is a condition alone: what it is to be is what is seen, but only where that is as expected.
    pub kept: bool,
}

/// What an attribute must be before a first attempt, resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expectation {
    /// Anything.
    Any,
    /// Exactly these values (empty: absent).
    Values(Vec<Value>),
    /// The values with these marks.
    Marks(Vec<String>),
}

/// The entry as observed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Where it is now.
    pub dn: Dn,
    /// Its stable id.
    pub stable_id: Option<StableId>,
    /// Its change marker.
    pub change_marker: Option<String>,
    /// What was asked for.
    pub entry: Entry,
}

impl Seen {
    /// Takes an entry that was read.
    pub fn of(entry: Entry) -> Self {
        Self {
            dn: entry.dn.clone(),
            stable_id: text(&entry, &STABLE_ID).map(StableId::new),
            change_marker: text(&entry, &CHANGE_MARKER).map(str::to_owned),
            entry,
        }
    }

    /// The values of an attribute description, exactly.
    pub fn values(&self, attr: &AttrName) -> &[Value] {
        self.entry.attrs.values_of(attr)
    }
}

fn text<'a>(entry: &'a Entry, attr: &AttrName) -> Option<&'a str> {
    entry.attrs.get(attr)?.first()?.as_str()
}

/// Whether an attribute's values are these: by its equality rule, and a password also where the server stores a hash of it.
pub fn same(schema: &Schema, attr: &AttrName, found: &[Value], wanted: &[Value]) -> bool {
    if schema.same_values(attr, found, wanted) {
        return true;
    }
    attr.is("userpassword")
        && found.len() == wanted.len()
        && wanted.iter().all(|wanted| found.iter().any(|found| secret::is_stored_as(wanted, found)))
}

/// Whether all touched attributes are as desired.
pub fn is_reached(schema: &Schema, seen: &Seen, aims: &[Aim]) -> bool {
    aims.iter().all(|aim| same(schema, &aim.attr, seen.values(&aim.attr), &aim.desired))
}

/// The first touched attribute that is neither as expected nor as desired; `None`: the operation may go ahead.
pub fn unexpected<'a>(schema: &Schema, marks: &Marks, seen: &Seen, aims: &'a [Aim]) -> Option<&'a AttrName> {
    aims.iter()
        .find(|aim| {
            let found = seen.values(&aim.attr);
            if !aim.kept && same(schema, &aim.attr, found, &aim.desired) {
                return false;
            }
            match &aim.expects {
                Expectation::Any => false,
                Expectation::Values(values) => !same(schema, &aim.attr, found, values),
                Expectation::Marks(expected) => !has_marks(marks, &aim.attr, found, expected),
            }
        })
        .map(|aim| &aim.attr)
}

/// Whether the values are the ones with these marks: one mark a value, or one mark of the whole set.
fn has_marks(marks: &Marks, attr: &AttrName, values: &[Value], expected: &[String]) -> bool {
    let mut each: Vec<String> = values.iter().map(|v| marks.value(attr.as_str(), v.as_bytes())).collect();
    let mut wanted: Vec<String> = expected.to_vec();
    each.sort();
    wanted.sort();
    each == wanted || matches!(expected, [whole] if *whole == marks.set(attr.as_str(), values.iter().map(Value::as_bytes)))
}

/// The smallest modification that takes what is seen to what is desired.
///
/// The order matters on OpenLDAP. A password value that only goes is deleted by value, which keeps the lock for the right `write`.
/// A password that comes takes the lock away, wherever the same change states it: so where the account is to stay locked, the
/// change leaves the lock and the end of validity for the next one, and the end refuses in between.
pub fn modify(schema: &Schema, seen: &Seen, aims: &[Aim]) -> Change {
    let mut mods = Vec::new();
    let (credentials, others): (Vec<&Aim>, Vec<&Aim>) = aims.iter().partition(|aim| aim.attr.is("userpassword"));
    let differs = |aim: &&Aim| !same(schema, &aim.attr, seen.values(&aim.attr), &aim.desired);
    let comes = credentials.iter().any(|aim| differs(aim) && !aim.desired.is_empty());
    let stays_locked = aims.iter().any(|aim| aim.attr.is("pwdaccountlockedtime") && !aim.desired.is_empty());
    // A password that comes takes the duty to change it away too, unless the same change states it.
    let stated = |aim: &&Aim| comes && aim.attr.is("pwdreset") && !aim.desired.is_empty();
    for aim in credentials.into_iter().chain(others).filter(|aim| differs(aim) || stated(aim)) {
        let found = seen.values(&aim.attr);
        if comes && stays_locked && (aim.attr.is("pwdaccountlockedtime") || aim.attr.is("pwdendtime") && !found.is_empty()) {
            continue;
        }
        let gone: Vec<Value> = found.iter().filter(|v| !schema.contains(&aim.attr, &aim.desired, v)).cloned().collect();
        let come: Vec<Value> = aim.desired.iter().filter(|v| !schema.contains(&aim.attr, found, v)).cloned().collect();
        let by_value = schema.equality(&aim.attr) != Equality::None;
        mods.push(if aim.desired.is_empty() && aim.attr.is("pwdreset") {
            // A password write of the same modify has taken it away already, and then a delete would fail (slapd 2.5, result 16).
            Modification::replace(aim.attr.clone(), Vec::new())
        } else if aim.desired.is_empty() {
            Modification::delete(aim.attr.clone(), Vec::new())
        } else if found.is_empty() {
            Modification::add(aim.attr.clone(), aim.desired.clone())
        } else if come.is_empty() && gone.is_empty() {
            Modification::replace(aim.attr.clone(), aim.desired.clone())
        } else if come.is_empty() && by_value {
            Modification::delete(aim.attr.clone(), gone)
        } else {
            Modification::replace(aim.attr.clone(), aim.desired.clone())
        });
    }
    Change::Modify { dn: seen.dn.clone(), mods }
}

/// The condition under which that modification is applied: the stable id and each touched attribute as it was seen. An attribute
/// without equality rule cannot be asserted (result 122), so there the change marker stands in.
///
/// `versioned`: the change marker beside them. A write that was given up and lands late then finds another version, even where a
/// rollback has meanwhile made every touched attribute as it was.
pub fn condition(schema: &Schema, seen: &Seen, attrs: &[AttrName], versioned: bool) -> Condition {
    let asserted = |attr: &&AttrName| schema.equality(attr) != Equality::None || seen.values(attr).is_empty();
    let marked = versioned || !attrs.iter().all(|attr| asserted(&attr));
    Condition {
        stable_id: seen.stable_id.clone(),
        attrs: attrs.iter().filter(asserted).map(|attr| (attr.clone(), seen.values(attr).to_vec())).collect(),
        change_marker: seen.change_marker.clone().filter(|_| marked),
    }
}

/// Marks of each touched attribute before and after; of what moves with a credential only before.
pub fn marks_of(marks: &Marks, seen: &Seen, aims: &[Aim]) -> BTreeMap<AttrName, Mark> {
    let of = |attr: &AttrName, values: &[Value]| {
        (!values.is_empty()).then(|| marks.set(attr.as_str(), values.iter().map(Value::as_bytes)))
    };
    let touched = aims.iter().map(|aim| {
        let mark = Mark { before: of(&aim.attr, seen.values(&aim.attr)), after: of(&aim.attr, &aim.desired) };
        (aim.attr.clone(), mark)
    });
    let moved = companions(aims.iter().map(|aim| &aim.attr)).into_iter().map(|attr| {
        let mark = Mark { before: of(&attr, seen.values(&attr)), after: None };
        (attr, mark)
    });
    touched.chain(moved).collect()
}

/// The touched attributes, and those that move with a credential, as they were seen; absent ones with an empty list.
pub fn before_image(seen: &Seen, aims: &[Aim]) -> AttrMap {
    let touched = aims.iter().map(|aim| aim.attr.clone());
    touched.chain(companions(aims.iter().map(|aim| &aim.attr))).map(|attr| (attr.clone(), seen.values(&attr).into())).collect()
}

/// Attributes that the server computes and nobody can set (OpenLDAP, result 19 even with relax), left out when an entry is
/// created again.
pub fn is_computed(attr: &AttrName) -> bool {
    const COMPUTED: [&str; 10] = [
        "entrydn",
        "subschemasubentry",
        "hassubordinates",
        "numsubordinates",
        "entrycsn",
        "structuralobjectclass",
        "memberof",
        "pwdlastsuccess",
        "contextcsn",
        "entryttl",
    ];
    COMPUTED.contains(&attr.base())
}

/// Resolves what a plan expects of an attribute.
pub fn expectation(
    expects: &Expects,
    value: impl Fn(&untether_model::operation::PlannedValue) -> Result<Value, String>,
) -> Result<Expectation, String> {
    Ok(match expects {
        Expects::Any => Expectation::Any,
        Expects::Absent => Expectation::Values(Vec::new()),
        Expects::Values(values) => Expectation::Values(values.iter().map(value).collect::<Result<_, _>>()?),
        Expects::Marks(marks) => Expectation::Marks(marks.clone()),
    })
}

#[cfg(test)]
mod tests {
    use untether_ledger::Key;

    use super::*;

    fn seen(attrs: &[(&str, &[&str])]) -> Seen {
        let mut entry = Entry::new(Dn::parse("uid=a,dc=x").unwrap());
        for (name, values) in attrs {
            entry.attrs.insert(AttrName::new(name), values.iter().map(|v| Value::from(*v)).collect::<untether_model::Values>());
        }
        Seen::of(entry)
    }

    fn aim(attr: &str, expects: Expectation, desired: &[&str]) -> Aim {
        Aim { attr: attr.into(), expects, desired: desired.iter().map(|v| Value::from(*v)).collect(), kept: false }
    }

    #[test]
    fn a_moved_attribute_is_unexpected_unless_it_is_already_as_desired() {
        let schema = Schema::standard();
        let marks = Marks::new(&Key::from_bytes([7; 32]));
        let expects = Expectation::Values(vec!["old".into()]);
        let aims = [aim("mail", expects, &["new"])];
        assert!(unexpected(&schema, &marks, &seen(&[("mail", &["OLD"])]), &aims).is_none());
        assert!(unexpected(&schema, &marks, &seen(&[("mail", &["New"])]), &aims).is_none());
        assert_eq!(unexpected(&schema, &marks, &seen(&[("mail", &["theirs"])]), &aims).unwrap().as_str(), "mail");
        assert!(unexpected(&schema, &marks, &seen(&[]), &aims).is_some());
    }

    #[test]
    fn credentials_are_expected_by_mark() {
        let schema = Schema::standard();
        let marks = Marks::new(&Key::from_bytes([7; 32]));
        let value = "{SASL}a@B";
        let aims = [aim("userPassword", Expectation::Marks(vec![marks.value("userPassword", value.as_bytes())]), &[])];
        assert!(unexpected(&schema, &marks, &seen(&[("userPassword", &[value])]), &aims).is_none());
        assert!(unexpected(&schema, &marks, &seen(&[("userPassword", &["{SASL}b@B"])]), &aims).is_some());
    }

    #[test]
    fn the_smallest_modification_is_sent() {
        let schema = Schema::standard();
        let seen = seen(&[("userPassword", &["{SASL}a", "{SSHA}b"]), ("mail", &["a@x"]), ("jpegPhoto", &["1", "2"])]);
        let aims = [
            aim("userPassword", Expectation::Any, &["{SSHA}b"]),
            aim("mail", Expectation::Any, &["A@x"]),
            aim("jpegPhoto", Expectation::Any, &["1"]),
            aim("pwdEndTime", Expectation::Any, &["20260101000000Z"]),
            aim("pwdReset", Expectation::Any, &[]),
        ];
        let Change::Modify { mods, .. } = modify(&schema, &seen, &aims) else { panic!("a modify") };
        assert_eq!(
            mods,
            vec![
                Modification::delete("userPassword".into(), vec!["{SASL}a".into()]),
                Modification::replace("jpegPhoto".into(), vec!["1".into()]),
                Modification::add("pwdEndTime".into(), vec!["20260101000000Z".into()]),
            ]
        );
    }

    #[test]
    fn a_password_comes_back_before_the_lock_that_it_would_take_away() {
        let schema = Schema::standard();
        let aims = [
            aim("pwdAccountLockedTime", Expectation::Any, &["000001010000Z"]),
            aim("pwdEndTime", Expectation::Any, &[]),
            aim("userPassword", Expectation::Any, &["{SSHA}b"]),
        ];
        let disabled = seen(&[("pwdAccountLockedTime", &["000001010000Z"]), ("pwdEndTime", &["20260101000000Z"])]);
        let Change::Modify { mods, .. } = modify(&schema, &disabled, &aims) else { panic!("a modify") };
        assert_eq!(mods, vec![Modification::add("userPassword".into(), vec!["{SSHA}b".into()])]);
        let between = seen(&[("userPassword", &["{SSHA}b"]), ("pwdEndTime", &["20260101000000Z"])]);
        let Change::Modify { mods, .. } = modify(&schema, &between, &aims) else { panic!("a modify") };
        assert_eq!(
            mods,
            vec![
                Modification::add("pwdAccountLockedTime".into(), vec!["000001010000Z".into()]),
                Modification::delete("pwdEndTime".into(), vec![]),
            ]
        );
    }

    #[test]
    fn only_what_the_password_would_take_away_waits_for_the_next_change() {
        let schema = Schema::standard();
        let comes = || aim("userPassword", Expectation::Any, &["{SSHA}b"]);
        let stays_locked = [
            aim("pwdAccountLockedTime", Expectation::Any, &["000001010000Z"]),
            aim("pwdEndTime", Expectation::Any, &["20260101000000Z"]),
            aim("mail", Expectation::Any, &["new@x"]),
            comes(),
        ];
        let Change::Modify { mods, .. } = modify(&schema, &seen(&[("mail", &["old@x"])]), &stays_locked) else {
            panic!("a modify")
        };
        assert_eq!(
            mods,
            vec![
                Modification::add("userPassword".into(), vec!["{SSHA}b".into()]),
                Modification::add("pwdEndTime".into(), vec!["20260101000000Z".into()]),
                Modification::replace("mail".into(), vec!["new@x".into()]),
            ]
        );
        // An account that is opened is opened at once.
        let opened = [
            aim("pwdAccountLockedTime", Expectation::Any, &[]),
            aim("pwdEndTime", Expectation::Any, &[]),
            aim("mail", Expectation::Any, &["old@x"]),
            comes(),
        ];
        let locked =
            seen(&[("mail", &["old@x"]), ("pwdAccountLockedTime", &["000001010000Z"]), ("pwdEndTime", &["20260101000000Z"])]);
        let Change::Modify { mods, .. } = modify(&schema, &locked, &opened) else { panic!("a modify") };
        assert_eq!(
            mods,
            vec![
                Modification::add("userPassword".into(), vec!["{SSHA}b".into()]),
                Modification::delete("pwdAccountLockedTime".into(), vec![]),
                Modification::delete("pwdEndTime".into(), vec![]),
            ]
        );
    }

    #[test]
    fn a_password_that_comes_again_states_the_duty_to_change_it_again() {
        let schema = Schema::standard();
        let aims = [
            aim("pwdReset", Expectation::Any, &["TRUE"]),
            aim("pwdAccountLockedTime", Expectation::Any, &[]),
            aim("userPassword", Expectation::Any, &["{SSHA}second"]),
        ];
        let unused = seen(&[("userPassword", &["{SSHA}first"]), ("pwdReset", &["TRUE"])]);
        let Change::Modify { mods, .. } = modify(&schema, &unused, &aims) else { panic!("a modify") };
        assert_eq!(
            mods,
            vec![
                Modification::replace("userPassword".into(), vec!["{SSHA}second".into()]),
                Modification::replace("pwdReset".into(), vec!["TRUE".into()]),
            ]
        );
    }

    #[test]
    fn a_condition_alone_is_asserted_and_never_written() {
        let schema = Schema::standard();
        let marks = Marks::new(&Key::from_bytes([7; 32]));
        let expects = || Expectation::Marks(vec![marks.value("userPassword", b"{SSHA}first")]);
        let kept = |found: &str| Aim { kept: true, ..aim("userPassword", expects(), &[found]) };
        let lock = || aim("pwdAccountLockedTime", Expectation::Any, &["000001010000Z"]);
        let unused = seen(&[("entryUUID", &["u"]), ("userPassword", &["{SSHA}first"])]);
        let aims = [kept("{SSHA}first"), lock()];
        assert!(unexpected(&schema, &marks, &unused, &aims).is_none());
        let Change::Modify { mods, .. } = modify(&schema, &unused, &aims) else { panic!("a modify") };
        assert_eq!(mods, vec![Modification::add("pwdAccountLockedTime".into(), vec!["000001010000Z".into()])]);
        let touched: Vec<AttrName> = aims.iter().map(|a| a.attr.clone()).collect();
        let asserted = condition(&schema, &unused, &touched, false).attrs;
        assert!(asserted.contains(&(AttrName::new("userPassword"), vec!["{SSHA}first".into()])));
        // Its owner was faster: what is there now is desired by nobody, however it came to be.
        let used = seen(&[("userPassword", &["{SSHA}chosen"])]);
        assert_eq!(unexpected(&schema, &marks, &used, &[kept("{SSHA}chosen"), lock()]).unwrap().as_str(), "userPassword");
    }

    #[test]
    fn what_moves_with_a_credential_is_in_its_before_image() {
        let seen = seen(&[("userPassword", &["{SSHA}b"]), ("pwdChangedTime", &["20260101000000Z"])]);
        let image = before_image(&seen, &[aim("userPassword", Expectation::Any, &[])]);
        assert_eq!(image.len(), 1 + CREDENTIAL_COMPANIONS.len());
        assert_eq!(image.get(&AttrName::new("pwdChangedTime")).unwrap().len(), 1);
        assert!(image.get(&AttrName::new("pwdHistory")).unwrap().is_empty());
        assert_eq!(before_image(&seen, &[aim("mail", Expectation::Any, &[])]).len(), 1);
    }

    #[test]
    fn the_condition_asserts_values_and_falls_back_to_the_change_marker_for_photos() {
        let schema = Schema::standard();
        let with_photo = seen(&[("entryUUID", &["u"]), ("entryCSN", &["c1"]), ("jpegPhoto", &["1"])]);
        let attrs = ["jpegPhoto".into(), "mail".into()];
        let of_photo = condition(&schema, &with_photo, &attrs, false);
        assert_eq!(of_photo.change_marker.as_deref(), Some("c1"));
        assert_eq!(of_photo.attrs, vec![(AttrName::new("mail"), vec![])]);
    }

    #[test]
    fn a_versioned_condition_does_not_hold_for_the_same_values_of_another_version() {
        let entry = seen(&[("entryUUID", &["u"]), ("entryCSN", &["c1"]), ("mail", &["a@x"])]);
        let of = |versioned| condition(&Schema::standard(), &entry, &["mail".into()], versioned);
        assert_eq!(of(true).change_marker.as_deref(), Some("c1"));
        assert_eq!(of(false), Condition { change_marker: None, ..of(true) });
    }
}
