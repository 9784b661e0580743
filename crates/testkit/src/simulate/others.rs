//! What others do to the stores meanwhile: owners, a help desk, administrators. None of it is ours.

use futures::FutureExt as _;
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;
use untether_directory::twin::Identity;
use untether_directory::{Probe as _, Write as _};
use untether_model::change::{Change, Modification};
use untether_model::time::PERMANENT_LOCK;
use untether_model::{AttrName, Dn, Side, Value};

use super::auditor::Auditor;
use crate::twins::{Person, World};

/// What was done, for the summary.
pub(super) type Deed = &'static str;

fn replace(attr: &str, value: &str) -> Modification {
    Modification::replace(AttrName::new(attr), vec![Value::from(value)])
}

/// Anybody; more often somebody who is being rolled back or whom we have closed.
fn whom<'a>(world: &'a World, auditor: &Auditor, rng: &mut ChaCha8Rng) -> Option<&'a Person> {
    let estate = &world.estate;
    let rolling = |person: &&Person| {
        let places = [(Side::Shared, estate.shared_dn(person)), (Side::Independent, estate.own_dn(person))];
        places.iter().any(|(side, dn)| auditor.is_rolling(*side, dn.key()))
    };
    let closed = |person: &&Person| auditor.is_closed(&estate.shared_dn(person));
    let mut among: Vec<&Person> = estate.people.iter().filter(rolling).collect();
    if among.is_empty() || rng.random_bool(0.3) {
        among = estate.people.iter().filter(closed).collect();
    }
    if among.is_empty() || rng.random_bool(0.5) {
        among = estate.people.iter().collect();
    }
    among.get(rng.random_range(0..among.len())).copied()
}

/// One of them does something; `None` where it did not come to it.
pub(super) fn act(world: &World, auditor: &Auditor, rng: &mut ChaCha8Rng, violent: bool) -> Option<Deed> {
    let estate = world.estate.clone();
    let person = whom(world, auditor, rng)?;
    let (shared, own) = (estate.shared_dn(person), estate.own_dn(person));
    let number = rng.random_range(0..1_000_000u32);
    let modify = |side: Side, dn: Dn, mods: Vec<Modification>| -> bool {
        auditor.note_other(side, dn.key());
        let handle = world.twin(side).handle(Identity::Root);
        handle.apply(&Change::Modify { dn, mods }, &Default::default()).now_or_never().is_some_and(|r| r.is_ok())
    };
    let done = |done: bool, deed: Deed| done.then_some(deed);
    match rng.random_range(0..if violent { 12 } else { 6 }) {
        0 => {
            let secret = world.handed.secrets(&person.subject()).pop()?;
            let bound = world.independent.handle(Identity::Reader).bind(&own, secret.as_bytes()).now_or_never()?;
            done(bound.is_ok_and(|b| b.code == 0), "a person logs in")
        }
        1 => {
            let bound = world.shared.handle(Identity::Reader).bind(&shared, b"a wrong one").now_or_never()?;
            done(bound.is_ok(), "somebody fails to log in")
        }
        2 => {
            let entry = world.entry(Side::Independent, &own).filter(|e| e.has("userPassword") && e.has("pwdReset"))?;
            let hash = format!("{{SSHA}}chosen-{number}");
            let mut mods = vec![replace("userPassword", &hash), replace("labFactor", "totp")];
            mods.extend(entry.has("pwdReset").then(|| Modification::replace(AttrName::new("pwdReset"), vec![])));
            done(modify(Side::Independent, own, mods), "an owner changes a password")
        }
        3 => {
            let mods = vec![replace("telephoneNumber", &format!("+81 {number}"))];
            done(modify(Side::Shared, shared, mods), "somebody edits a record of the shared store")
        }
        4 => {
            let mods = vec![replace("mail", &format!("{}-{number}@own.example", person.uid))];
            done(modify(Side::Independent, own, mods), "somebody edits an entry of the independent directory")
        }
        5 => {
            let group = estate.group_dn(rng.random_range(0..estate.groups.len()));
            let value = Value::from(shared.as_str());
            let there = world.entry(Side::Shared, &group)?.values("member").contains(&value);
            let attr = AttrName::new("member");
            let m = if there { Modification::delete(attr, vec![value]) } else { Modification::add(attr, vec![value]) };
            world.entry(Side::Shared, &shared)?;
            auditor.note_other(Side::Shared, shared.key());
            done(modify(Side::Shared, group, vec![m]), "somebody changes a group")
        }
        6 => {
            let mods = vec![replace("userPassword", &format!("{{SSHA}}reset-{number}"))];
            done(modify(Side::Shared, shared, mods), "a help desk resets a password of the shared store")
        }
        7 => {
            world.entry(Side::Shared, &shared).filter(|e| e.has("pwdAccountLockedTime"))?;
            let gone = |attr: &str| Modification::replace(AttrName::new(attr), vec![]);
            let mods = vec![replace("userPassword", &format!("{{SSHA}}opened-{number}")), gone("pwdEndTime")];
            done(modify(Side::Shared, shared, mods), "a help desk opens an account that was disabled")
        }
        8 => {
            if world.entry(Side::Shared, &shared).is_some() {
                return None;
            }
            let entry = estate.entries(Side::Shared).into_iter().find(|entry| entry.dn == shared)?;
            auditor.note_other(Side::Shared, shared.key());
            world.shared.load([entry]);
            Some("somebody restores a record of the shared store")
        }
        9 => {
            world.entry(Side::Shared, &shared).filter(|e| !e.has("pwdAccountLockedTime"))?;
            if !auditor.is_closed(&shared) {
                return None;
            }
            let mods = vec![replace("pwdAccountLockedTime", PERMANENT_LOCK), replace("pwdEndTime", "20260101000000Z")];
            done(modify(Side::Shared, shared, mods), "somebody closes an account again")
        }
        10 => {
            world.entry(Side::Independent, &own)?;
            auditor.note_other(Side::Independent, own.key());
            let change = Change::Delete { dn: own };
            let gone = world.independent.handle(Identity::Root).apply(&change, &Default::default()).now_or_never()?;
            done(gone.is_ok(), "somebody deletes an entry of the independent directory")
        }
        _ => {
            person.track?;
            auditor.note_other(Side::Shared, shared.key());
            let change = Change::Delete { dn: shared };
            let gone = world.shared.handle(Identity::Root).apply(&change, &Default::default()).now_or_never()?;
            done(gone.is_ok(), "somebody deletes a record of the shared store")
        }
    }
}
