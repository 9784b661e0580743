//! Service accounts of each block, and the break-glass accounts of the world.

use super::account::{Access, Account, Club, Kind, Owner, Style, Target, Twin};
use super::person::Person;
use super::secret::{Scheme, Secret};
use super::situation::place;
use super::world::{BLOCK, OWN_REALM, Store, World};

/// A service account with those who answer for it.
pub(super) struct Service {
    pub account: Account,
    pub owners: Vec<Target>,
}

/// What one service is like.
struct Cast {
    store: Store,
    name: &'static str,
    owner: Owner,
    owners: &'static [Target],
    access: Access,
}

const PRESENT: &[Target] = &[Target::Place(place::PRESENT)];
const TWO: &[Target] = &[Target::Place(place::PRESENT), Target::Place(place::PRESENT + 1)];
const MOVED: &[Target] = &[Target::Place(place::MOVED)];
const DEPARTED: &[Target] = &[Target::Place(place::DEPARTED)];
const MISSING: &[Target] = &[Target::Missing];

const fn cast(store: Store, name: &'static str, owner: Owner, owners: &'static [Target], access: Access) -> Cast {
    Cast { store, name, owner, owners, access }
}

/// Names that begin with `batch` are recognized by their place below `ou=services` alone.
const CASTS: &[Cast] = &[
    cast(Store::Shared, "svc-backup", Owner::Present, PRESENT, Access::Open),
    cast(Store::Shared, "batch", Owner::Present, PRESENT, Access::Open),
    cast(Store::Shared, "svc-two", Owner::Present, TWO, Access::Open),
    cast(Store::Shared, "svc-moved", Owner::Present, MOVED, Access::Open),
    cast(Store::Shared, "svc-print", Owner::Departed, DEPARTED, Access::Open),
    cast(Store::Shared, "svc-scan", Owner::Departed, DEPARTED, Access::Locked),
    cast(Store::Shared, "svc-legacy", Owner::Nobody, &[], Access::Open),
    cast(Store::Shared, "svc-idle", Owner::Nobody, &[], Access::Open),
    cast(Store::Shared, "svc-ghost", Owner::Missing, MISSING, Access::Open),
    cast(Store::Shared, "svc-lock", Owner::Present, PRESENT, Access::NolockLocked),
    cast(Store::Shared, "svc-sasl", Owner::Present, PRESENT, Access::Open),
    cast(Store::Shared, "svc-desk", Owner::Nobody, &[], Access::Open),
    cast(Store::Shared, "svc-kiosk", Owner::Present, PRESENT, Access::Open),
    cast(Store::Independent, "svc-backup", Owner::Present, MOVED, Access::Open),
    cast(Store::Independent, "svc-report", Owner::Departed, DEPARTED, Access::Open),
    cast(Store::Independent, "svc-queue", Owner::Nobody, &[], Access::Locked),
    cast(Store::Independent, "svc-mail", Owner::Missing, MISSING, Access::Open),
    cast(Store::Independent, "svc-door", Owner::Nobody, &[], Access::Open),
    cast(Store::Independent, "svc-realm", Owner::Present, MOVED, Access::Open),
];

/// The service accounts of a block. `bearer` supplies the draws.
pub(super) fn of_block(world: &World, bearer: &mut Person, block: u32) -> Vec<Service> {
    let mut services = Vec::new();
    for cast in CASTS {
        let mut account = bearer.service(world, cast.store, &format!("{}-{block}", cast.name));
        account.owner = Some(cast.owner);
        account.access = cast.access;
        match cast.name {
            "svc-backup" => {
                // One salted hash in both stores: the job was copied with its password.
                let key = world.options.seed ^ (u64::from(block) << 24) ^ 0x5EC2;
                account.secret = Some(Secret { scheme: Scheme::Ssha, key, login: String::new() });
                account.twin = (cast.store == Store::Shared).then_some(Twin::Current);
            }
            "svc-idle" => account.secret = None,
            "svc-sasl" => account.secret = Some(bearer.secret(Scheme::Sasl(OWN_REALM))),
            "svc-realm" => account.secret = Some(bearer.secret(Scheme::Sasl(OWN_REALM))),
            // Recognized by the prefix, among people.
            "svc-desk" | "svc-kiosk" => "ou=own,ou=accounts".clone_into(&mut account.parent),
            "svc-door" => "ou=people".clone_into(&mut account.parent),
            _ => {}
        }
        services.push(Service { account, owners: cast.owners.to_vec() });
    }
    services
}

/// Break-glass accounts: two in the shared store, one in the independent directory.
pub(super) fn break_glass(world: &World, bearer: &mut Person) -> Vec<Account> {
    let mut accounts = Vec::new();
    for (store, uid) in [(Store::Shared, "breakglass1"), (Store::Shared, "breakglass2"), (Store::Independent, "breakglass1")] {
        let mut account = bearer.service(world, store, uid);
        account.kind = Kind::BreakGlass;
        account.style = Style::Uid;
        account.cn = format!("Break Glass {}", uid.trim_start_matches("breakglass"));
        account.protected = true;
        account.changed = Some(700);
        match store {
            Store::Shared => {
                "ou=own,ou=accounts".clone_into(&mut account.parent);
                account.clubs = vec![Club::DirectoryAdmins];
                if uid == "breakglass1" {
                    account.clubs.push(Club::Admins);
                }
            }
            Store::Independent => {
                "ou=people".clone_into(&mut account.parent);
                account.clubs = vec![Club::OwnAdmins];
            }
        }
        accounts.push(account);
    }
    accounts
}

/// DNs of the break-glass accounts, which the audit's configuration protects.
pub(super) fn break_glass_dns() -> Vec<(Store, String)> {
    let dn = |store: Store, uid: &str, parent: &str| (store, format!("uid={uid},{parent},{}", store.suffix()));
    vec![
        dn(Store::Shared, "breakglass1", "ou=own,ou=accounts"),
        dn(Store::Shared, "breakglass2", "ou=own,ou=accounts"),
        dn(Store::Independent, "breakglass1", "ou=people"),
    ]
}

/// Index of the bearer of a block's services; far from those of people.
pub(super) const fn bearer_index(block: u32) -> u32 {
    u32::MAX - block
}

/// The block of a person.
pub(super) const fn block_of(index: u32) -> u32 {
    index / BLOCK
}
