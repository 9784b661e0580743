//! What the casts of all situations have in common.

use super::super::Error;
use super::super::account::{Account, Target};
use super::super::person::Person;
use super::super::situation::{Active, Left, Moved, Pair, Rowless, Situation, place};
use super::super::world::{Dice, Entity, World};
use super::{active, left, moved, pairs, rowless};

/// Gives the person its rows and accounts.
pub(in super::super) fn play(world: &World, person: &mut Person) -> Result<(), Error> {
    match person.situation {
        Situation::Active(situation) => active::play(world, person, situation),
        Situation::Moved(situation) => moved::play(world, person, situation),
        Situation::Left(situation) => left::play(world, person, situation),
        Situation::Rowless(situation) => {
            rowless::play(world, person, situation);
            Ok(())
        }
        Situation::Undecided(pair, half) => pairs::play(world, person, pair, half),
    }
}

/// The entity of a person: what the situation needs, else drawn.
pub(in super::super) fn entity(situation: Situation, dice: &mut Dice) -> Entity {
    // Drawn in any case, so that later draws do not depend on the situation.
    let drawn = match dice.below(100) {
        0..=44 => Entity::Own,
        45..=69 => Entity::Domestic,
        70..=84 => Entity::Overseas,
        _ => Entity::Contractor,
    };
    let employer = if drawn == Entity::Contractor { Entity::Own } else { drawn };
    match situation {
        Situation::Active(active) => match active {
            Active::LastDayToday(entity) | Active::ContractEndsToday(entity) => entity,
            Active::OtherCase => Entity::Domestic,
            Active::FullWidthNumber
            | Active::UnpaddedNumber
            | Active::BlankInNumber
            | Active::SecondedWithTwoRows
            | Active::RehiredElsewhere
            | Active::WrongSubtree
            | Active::WrongAttribute
            | Active::Unix => Entity::Own,
            Active::OnLeave
            | Active::Seconded
            | Active::RegularWithContractOver
            | Active::LastDayTomorrow
            | Active::StartedAgain
            | Active::Rehired
            | Active::RehiredInOneRow
            | Active::RehiredWithNewAccount => employer,
            _ => drawn,
        },
        Situation::Moved(moved) => match moved {
            Moved::WrongEntity => Entity::Own,
            Moved::OnLeave => employer,
            _ => drawn,
        },
        Situation::Left(left) => match left {
            Left::Yesterday(entity) | Left::ContractYesterday(entity) => entity,
            Left::ContractOver(_) | Left::ContractAndDeparted | Left::DepartedThenContractOver => Entity::Contractor,
            Left::ContractAtOwn | Left::RehiredThenGone | Left::WrongAttribute | Left::Unix => Entity::Own,
            Left::OtherCase => Entity::Domestic,
            _ => employer,
        },
        Situation::Rowless(Rowless::Mailbox(_) | Rowless::Test(_) | Rowless::IndependentMailbox) => Entity::Own,
        Situation::Rowless(_) => drawn,
        Situation::Undecided(pair, half) => match (pair, half) {
            (Pair::NumberInTwoEntities, super::super::situation::Half::Second) => Entity::Overseas,
            _ => Entity::Own,
        },
    }
}

/// Whom a person in the shared store reports to.
pub(in super::super) fn superior(dice: &mut Dice) -> Target {
    match dice.below(20) {
        0 | 1 => Target::Place(place::MOVED),
        2 => Target::Place(place::DEPARTED),
        draw => Target::Place(place::PRESENT + (draw as u32 % place::PRESENT_COUNT)),
    }
}

/// Leaves only what the retention list names.
pub(in super::super) fn make_lean(account: &mut Account) {
    account.lean = true;
    account.entity = None;
    account.link = None;
    account.owner = None;
    account.references = Vec::new();
    account.photo = false;
    account.posix = false;
    account.big = false;
}
