//! Who gets in where: told from what the stores hold, with none of the engine's own judgements.

use untether_model::change::Change;
use untether_model::operation::Track;
use untether_model::{Entry, Side};

use crate::twins::{Password, Person, World};

/// Whether an entry lets its owner in: a password is there, and no effective policy refuses it.
pub(super) fn opens(world: &World, side: Side, entry: Option<&Entry>) -> bool {
    let Some(entry) = entry.filter(|e| e.has("userPassword")) else { return false };
    let lax = world.estate.suffix(side).child("ou", "policies").child("cn", "lax");
    let locks = entry.text("pwdPolicySubentry").is_none_or(|name| !name.eq_ignore_ascii_case(lax.as_str()));
    // An end has no fractions of a second: the server refuses from the next one on. Until then an account that has its password back, and
    // its lock not yet (the server takes that away with each new password), would count as a login that we took.
    let ended = entry.values("pwdEndTime").iter().filter_map(untether_model::time::generalized).any(|at| at <= world.clock.now());
    !(ended || locks && entry.has("pwdAccountLockedTime"))
}

/// Somebody who is there, and whose last login goes with this write.
pub(super) fn lost<'a>(
    world: &'a World,
    side: Side,
    (before, after): (Option<&Entry>, Option<&Entry>),
    change: &Change,
) -> Option<&'a Person> {
    let estate = &world.estate;
    let person = estate.people.iter().find(|p| match side {
        Side::Shared => estate.shared_dn(p) == *change.dn(),
        Side::Independent => estate.own_dn(p) == *change.dn(),
    })?;
    let active = world.roster.presences().get(&person.uid).is_some_and(|p| p.is_active());
    // Whoever had no login to begin with may be without one again.
    if person.password == Password::Absent || !active || !matches!(person.track, Some(Track::Migrate | Track::Finish)) {
        return None;
    }
    let other = match side {
        Side::Shared => world.entry(Side::Independent, &estate.own_dn(person)),
        Side::Independent => world.entry(Side::Shared, &estate.shared_dn(person)),
    };
    let had = opens(world, side, before) || opens(world, side.other(), other.as_ref());
    let has = opens(world, side, after) || opens(world, side.other(), other.as_ref());
    (had && !has).then_some(person)
}

/// Whether a secret opens an entry's `{SSHA}` password.
pub(super) fn fits(entry: &Entry, secret: &str) -> bool {
    use sha1::Digest as _;
    entry.texts("userPassword").any(|text| {
        let bytes = text.strip_prefix("{SSHA}").and_then(|t| data_encoding::BASE64.decode(t.as_bytes()).ok());
        bytes.as_deref().and_then(|bytes| bytes.split_at_checked(20)).is_some_and(|(digest, salt)| {
            sha1::Sha1::new().chain_update(secret).chain_update(salt).finalize().as_slice() == digest
        })
    })
}
