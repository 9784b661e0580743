//! Accounts of which the roster knows nothing: orphans, mailboxes, test accounts.

use super::super::account::{Account, Kind, Owner};
use super::super::person::{Fate, Person};
use super::super::situation::Rowless;
use super::super::world::World;

/// Accounts without a row.
pub(super) fn play(world: &World, person: &mut Person, situation: Rowless) {
    person.fate = Fate::Unlisted;
    // Beyond the numbers of all entities.
    person.number = format!("{}", 80_000_000 + person.index);
    person.mail = format!("{}@gone.example", person.uid);
    match situation {
        Rowless::Orphan(access) => {
            let mut account = person.shared(world);
            account.access = access;
            person.accounts.push(account);
        }
        Rowless::OrphanWithoutPassword => {
            let mut account = person.shared(world);
            account.secret = None;
            account.history = Vec::new();
            person.accounts.push(account);
        }
        Rowless::OrphanInBoth => {
            let account = person.shared(world);
            person.accounts.push(account);
            let own = person.independent(world);
            person.accounts.push(own);
        }
        Rowless::OrphanIndependent(access) => {
            let mut account = person.independent(world);
            account.access = access;
            person.accounts.push(account);
        }
        Rowless::Owned(owner) => {
            let mut account = person.shared(world);
            account.owner = Some(owner);
            person.accounts.push(account);
        }
        Rowless::Mailbox(owner) => named(world, person, Kind::Mailbox, owner),
        Rowless::Test(owner) => named(world, person, Kind::Test, owner),
        Rowless::IndependentMailbox => {
            let mut account = person.independent(world);
            account.factors = &[];
            account.owner = Some(Owner::Present);
            dress(&mut account, Kind::Mailbox, person.index);
            person.accounts.push(account);
        }
    }
}

fn named(world: &World, person: &mut Person, kind: Kind, owner: Owner) {
    let mut account = person.shared(world);
    account.owner = Some(owner);
    dress(&mut account, kind, person.index);
    person.accounts.push(account);
}

/// Makes the account look like what its login says.
fn dress(account: &mut Account, kind: Kind, index: u32) {
    let (prefix, cn) = match kind {
        Kind::Test => ("test-", "Acceptance Test"),
        _ => ("mbx-", "Shared Mailbox"),
    };
    account.kind = kind;
    account.uid = format!("{prefix}{index}");
    account.cn = format!("{cn} {index}");
    account.mail = Some(format!("{prefix}{index}@corp.example"));
    account.number = None;
    account.references = Vec::new();
    account.clubs = Vec::new();
    account.photo = false;
    account.posix = false;
    account.phonetic = false;
}
