//! The situations that are planted, and where: each block of 1,000 people begins with a script
//! that has every situation once; the rest of the block is drawn by weight.

use super::account::{Access, Owner, Style, Target};
use super::world::{BLOCK, Dice, Entity};

/// A person at a known place of each block, to whom others refer.
pub(super) mod place {
    /// Already moved, still enabled in the shared store.
    pub(in super::super) const MOVED: u32 = 0;
    /// Departed, with accounts in both stores.
    pub(in super::super) const DEPARTED: u32 = 1;
    /// First of the people who are simply there.
    pub(in super::super) const PRESENT: u32 = 2;
    /// How many of these there are.
    pub(in super::super) const PRESENT_COUNT: u32 = 6;
    /// Contractor whose contract is over.
    pub(in super::super) const ENDED: u32 = 8;
}

/// What is planted for one person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Situation {
    Active(Active),
    Moved(Moved),
    Left(Left),
    Rowless(Rowless),
    Undecided(Pair, Half),
}

/// Active people who have not moved yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Active {
    Plain,
    NoNumber,
    NoMail,
    LoginOnly,
    FullWidthNumber,
    UnpaddedNumber,
    OtherCase,
    BlankInNumber,
    InternationalMail,
    With(Access),
    NoPassword,
    OnLeave,
    Seconded,
    SecondedWithTwoRows,
    LongUnused,
    NeverUsed,
    NewAndUnused,
    UnusedWithRecentPassword,
    NotYetStarted,
    NotYetStartedWithoutAccount,
    LastDayToday(Entity),
    LastDayTomorrow,
    StartedAgain,
    RegularWithContractOver,
    ContractEndsToday(Entity),
    Rehired,
    RehiredInOneRow,
    RehiredElsewhere,
    RehiredWithNewAccount,
    WrongSubtree,
    WrongAttribute,
    TwoAccounts,
    TwoAccountsOneLocked,
    Secondary,
    SecondaryPrivileged,
    SecondaryProtected,
    Privileged,
    Styled(Style),
    Big,
    Refers(&'static str, Target),
    OwnPassThrough,
    OwnPassThroughOtherCase,
    ForeignPassThrough,
    BarePassThrough,
    Kerberos,
    Radius,
    UnixPassThrough,
    Cleartext,
    Unix,
    OtherCaseMember,
}

/// People who are in the independent directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moved {
    Open,
    With(Access),
    NoPassword,
    Scrubbed,
    RetainedOnly,
    ByNumber,
    ByMail,
    ByLogin,
    OnLeave,
    MustChange,
    /// The independent account is not enabled.
    NotEnabled(Access),
    NotEnabledWithoutPassword,
    /// The independent account is locked, but its policy does not exist.
    LockIneffective,
    OwnPassThrough,
    ForeignPassThrough,
    NoFactor,
    WeakFactor,
    PrivilegedNoFactor,
    Privileged,
    OnlyIndependent,
    OnlyIndependentUnused,
    TwiceIndependent,
    TwiceShared,
    WithSecondary,
    WrongEntity,
    ReportsToDeparted,
    Mapped,
    SameHash,
    SameClearText,
    ClearTextInHistory,
    SameUnsaltedHash,
    HashInHistory,
    HistoryInHash,
    Styled(Style),
}

/// Leavers and people whose contract is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Left {
    With(Access),
    ContractOver(Access),
    Styled(Style),
    NoPassword,
    HistoryOnly,
    Cleartext,
    OwnPassThrough,
    ForeignPassThrough,
    Certificate,
    Pkcs12,
    Lean,
    LeanWithoutPassword,
    NoDate,
    ActiveWordPastDate,
    Yesterday(Entity),
    ContractYesterday(Entity),
    ContractAndDeparted,
    ContractAtOwn,
    NoNumber,
    LoginOnly,
    OtherCase,
    Privileged,
    DirectoryAdmin,
    Unique,
    Role,
    Unix,
    OtherCaseMember,
    BothOpen,
    BothLocked,
    WithSecondary,
    TwoAccounts,
    RehiredThenGone,
    DepartedThenContractOver,
    WrongAttribute,
}

/// Accounts of which the roster knows nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rowless {
    Orphan(Access),
    OrphanWithoutPassword,
    OrphanInBoth,
    OrphanIndependent(Access),
    Owned(Owner),
    Mailbox(Owner),
    Test(Owner),
    IndependentMailbox,
}

/// Two people (or one person and nobody) whose accounts cannot be told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pair {
    /// Two people with one number in one entity.
    SameNumber,
    /// Two people with one number in two entities, and an account whose entity is unknown.
    NumberInTwoEntities,
    /// Two people with one mail address in the roster, and an account with nothing else.
    SharedMail,
    /// Two independent accounts with one link value; the second half is an ordinary person.
    OneLinkTwice,
    /// Each has the mail address of the other.
    SwappedMail,
    /// The address of a leaver now belongs to a newcomer.
    NewcomersMail,
    /// The login of a leaver now belongs to a newcomer.
    NewcomersLogin,
    /// The independent account's link says one person, its number another.
    LinkAgainstNumber,
    /// An account with an ineffective lock that cannot be decided.
    UndecidedLockIneffective,
    /// The same salted hash on accounts of two people, across the stores: decided, but copied.
    SaltedTwin,
    /// The same unsalted hash on accounts of two people, across the stores: a coincidence.
    UnsaltedTwin,
}

/// Which of the two a person is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Half {
    First,
    Second,
}

use Situation::{Active as A, Left as L, Moved as M, Rowless as R};

/// Situations for one person each, in the order of their places. The first nine are those that
/// [`place`] names.
const SCRIPT: &[Situation] = &[
    M(Moved::Open),
    L(Left::BothOpen),
    A(Active::Plain),
    A(Active::Plain),
    A(Active::Plain),
    A(Active::Plain),
    A(Active::Plain),
    A(Active::Plain),
    L(Left::ContractOver(Access::Open)),
    // Leavers by the state of the account.
    L(Left::With(Access::Open)),
    L(Left::With(Access::ExpiredLock)),
    L(Left::With(Access::FutureLock)),
    L(Left::With(Access::FutureEnd)),
    L(Left::With(Access::NolockLocked)),
    L(Left::With(Access::DanglingLocked)),
    L(Left::With(Access::DanglingEnded)),
    L(Left::With(Access::Locked)),
    L(Left::With(Access::LockedAndEnded)),
    L(Left::With(Access::LockedWithoutEnd)),
    L(Left::With(Access::Ended)),
    L(Left::With(Access::NotBegun)),
    L(Left::With(Access::NolockEnded)),
    L(Left::ContractOver(Access::Locked)),
    L(Left::NoPassword),
    L(Left::HistoryOnly),
    L(Left::Cleartext),
    L(Left::OwnPassThrough),
    L(Left::ForeignPassThrough),
    L(Left::Certificate),
    L(Left::Pkcs12),
    L(Left::Lean),
    L(Left::LeanWithoutPassword),
    L(Left::Styled(Style::Comma)),
    L(Left::Styled(Style::Quotes)),
    L(Left::Styled(Style::Hash)),
    L(Left::Styled(Style::Blanks)),
    L(Left::Styled(Style::Symbols)),
    L(Left::Styled(Style::Japanese)),
    L(Left::Styled(Style::Multiple)),
    L(Left::Styled(Style::WithUnit)),
    L(Left::Styled(Style::UpperTypes)),
    L(Left::NoDate),
    L(Left::ActiveWordPastDate),
    L(Left::Yesterday(Entity::Own)),
    L(Left::Yesterday(Entity::Overseas)),
    L(Left::ContractYesterday(Entity::Contractor)),
    L(Left::ContractYesterday(Entity::Overseas)),
    L(Left::ContractAndDeparted),
    L(Left::ContractAtOwn),
    L(Left::NoNumber),
    L(Left::LoginOnly),
    L(Left::OtherCase),
    L(Left::Privileged),
    L(Left::DirectoryAdmin),
    L(Left::Unique),
    L(Left::Role),
    L(Left::Unix),
    L(Left::OtherCaseMember),
    L(Left::BothLocked),
    L(Left::WithSecondary),
    L(Left::TwoAccounts),
    L(Left::RehiredThenGone),
    L(Left::DepartedThenContractOver),
    L(Left::WrongAttribute),
    // Active people.
    A(Active::NoNumber),
    A(Active::NoMail),
    A(Active::LoginOnly),
    A(Active::FullWidthNumber),
    A(Active::UnpaddedNumber),
    A(Active::OtherCase),
    A(Active::BlankInNumber),
    A(Active::InternationalMail),
    A(Active::With(Access::ExpiredLock)),
    A(Active::With(Access::RunningLock)),
    A(Active::With(Access::NolockLocked)),
    A(Active::With(Access::Locked)),
    A(Active::With(Access::NotBegun)),
    A(Active::NoPassword),
    A(Active::OnLeave),
    A(Active::Seconded),
    A(Active::SecondedWithTwoRows),
    A(Active::LongUnused),
    A(Active::NeverUsed),
    A(Active::NewAndUnused),
    A(Active::UnusedWithRecentPassword),
    A(Active::NotYetStarted),
    A(Active::NotYetStartedWithoutAccount),
    A(Active::LastDayToday(Entity::Domestic)),
    A(Active::LastDayToday(Entity::Overseas)),
    A(Active::LastDayTomorrow),
    A(Active::StartedAgain),
    A(Active::RegularWithContractOver),
    A(Active::ContractEndsToday(Entity::Contractor)),
    A(Active::Rehired),
    A(Active::RehiredInOneRow),
    A(Active::RehiredElsewhere),
    A(Active::RehiredWithNewAccount),
    A(Active::WrongSubtree),
    A(Active::WrongAttribute),
    A(Active::TwoAccounts),
    A(Active::TwoAccountsOneLocked),
    A(Active::Secondary),
    A(Active::SecondaryPrivileged),
    A(Active::SecondaryProtected),
    A(Active::Privileged),
    A(Active::Styled(Style::Comma)),
    A(Active::Styled(Style::Symbols)),
    A(Active::Styled(Style::Blanks)),
    A(Active::Big),
    A(Active::Refers("manager", Target::PlaceOtherCase(place::DEPARTED))),
    A(Active::Refers("manager", Target::Place(place::ENDED))),
    A(Active::Refers("manager", Target::Missing)),
    A(Active::Refers("secretary", Target::Place(place::DEPARTED))),
    A(Active::Refers("seeAlso", Target::Missing)),
    A(Active::Refers("seeAlso", Target::Outside)),
    A(Active::OwnPassThrough),
    A(Active::OwnPassThroughOtherCase),
    A(Active::ForeignPassThrough),
    A(Active::BarePassThrough),
    A(Active::Kerberos),
    A(Active::Radius),
    A(Active::UnixPassThrough),
    A(Active::Cleartext),
    A(Active::Unix),
    A(Active::OtherCaseMember),
    // People who have moved, or are about to.
    M(Moved::With(Access::Locked)),
    M(Moved::With(Access::LockedAndEnded)),
    M(Moved::With(Access::NolockLocked)),
    M(Moved::NoPassword),
    M(Moved::Scrubbed),
    M(Moved::RetainedOnly),
    M(Moved::ByNumber),
    M(Moved::ByMail),
    M(Moved::ByLogin),
    M(Moved::OnLeave),
    M(Moved::MustChange),
    M(Moved::NotEnabled(Access::Locked)),
    M(Moved::NotEnabled(Access::Ended)),
    M(Moved::NotEnabledWithoutPassword),
    M(Moved::LockIneffective),
    M(Moved::OwnPassThrough),
    M(Moved::ForeignPassThrough),
    M(Moved::NoFactor),
    M(Moved::WeakFactor),
    M(Moved::PrivilegedNoFactor),
    M(Moved::Privileged),
    M(Moved::OnlyIndependent),
    M(Moved::OnlyIndependentUnused),
    M(Moved::TwiceIndependent),
    M(Moved::TwiceShared),
    M(Moved::WithSecondary),
    M(Moved::WrongEntity),
    M(Moved::ReportsToDeparted),
    M(Moved::Mapped),
    M(Moved::SameHash),
    M(Moved::SameClearText),
    M(Moved::ClearTextInHistory),
    M(Moved::SameUnsaltedHash),
    M(Moved::HashInHistory),
    M(Moved::HistoryInHash),
    M(Moved::Styled(Style::Quotes)),
    // Accounts without a roster row.
    R(Rowless::Orphan(Access::Open)),
    R(Rowless::Orphan(Access::Locked)),
    R(Rowless::OrphanWithoutPassword),
    R(Rowless::OrphanInBoth),
    R(Rowless::OrphanIndependent(Access::Open)),
    R(Rowless::OrphanIndependent(Access::Locked)),
    R(Rowless::Owned(Owner::Present)),
    R(Rowless::Owned(Owner::Departed)),
    R(Rowless::Mailbox(Owner::Present)),
    R(Rowless::Mailbox(Owner::Departed)),
    R(Rowless::Mailbox(Owner::Missing)),
    R(Rowless::Mailbox(Owner::Nobody)),
    R(Rowless::Test(Owner::Present)),
    R(Rowless::Test(Owner::Nobody)),
    R(Rowless::IndependentMailbox),
];

/// Situations for two people each; they follow the script.
const PAIRS: &[Pair] = &[
    Pair::SameNumber,
    Pair::NumberInTwoEntities,
    Pair::SharedMail,
    Pair::OneLinkTwice,
    Pair::SwappedMail,
    Pair::NewcomersMail,
    Pair::NewcomersLogin,
    Pair::LinkAgainstNumber,
    Pair::UndecidedLockIneffective,
    Pair::SaltedTwin,
    Pair::UnsaltedTwin,
];

/// Situations drawn for everybody else, with their weights.
const ORDINARY: &[(u64, Situation)] = &[
    (560, A(Active::Plain)),
    (15, A(Active::OnLeave)),
    (10, A(Active::Seconded)),
    (15, A(Active::LongUnused)),
    (10, A(Active::NoMail)),
    (10, A(Active::OtherCase)),
    (10, A(Active::NotYetStarted)),
    (10, A(Active::Rehired)),
    (15, A(Active::TwoAccounts)),
    (15, A(Active::OwnPassThrough)),
    (60, M(Moved::Open)),
    (30, M(Moved::With(Access::LockedAndEnded))),
    (15, M(Moved::Scrubbed)),
    (20, M(Moved::NotEnabled(Access::Locked))),
    (10, M(Moved::NoFactor)),
    (15, M(Moved::OnlyIndependent)),
    (55, L(Left::With(Access::Open))),
    (35, L(Left::With(Access::Locked))),
    (10, L(Left::NoPassword)),
    (35, L(Left::ContractOver(Access::Open))),
    (15, L(Left::ContractOver(Access::LockedAndEnded))),
    (10, L(Left::BothOpen)),
    (15, R(Rowless::Orphan(Access::Open))),
    (5, R(Rowless::Mailbox(Owner::Present))),
];

// Two hundred people have room for the whole script.
const _: () = assert!(SCRIPT.len() + 2 * PAIRS.len() <= 200);

/// The situation of the person with this index in a world of `people`.
pub(super) fn situation(index: u32, people: u32, dice: &mut Dice) -> Situation {
    let place = (index % BLOCK) as usize;
    if let Some(found) = SCRIPT.get(place) {
        return *found;
    }
    let paired = place - SCRIPT.len();
    if let Some(pair) = PAIRS.get(paired / 2) {
        return match paired % 2 {
            // A pair that the end of the world would cut in two is not begun.
            0 if index + 1 >= people => A(Active::Plain),
            0 => Situation::Undecided(*pair, Half::First),
            _ => Situation::Undecided(*pair, Half::Second),
        };
    }
    let total: u64 = ORDINARY.iter().map(|(weight, _)| weight).sum();
    let mut draw = dice.below(total);
    for (weight, found) in ORDINARY {
        if draw < *weight {
            return *found;
        }
        draw -= weight;
    }
    A(Active::Plain)
}

/// Every situation of the script, for tests.
#[cfg(test)]
pub(super) fn all() -> impl Iterator<Item = Situation> {
    let pairs = PAIRS.iter().flat_map(|pair| [Half::First, Half::Second].map(|half| Situation::Undecided(*pair, half)));
    SCRIPT.iter().copied().chain(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_places_are_those_that_others_refer_to() {
        assert_eq!(SCRIPT[place::MOVED as usize], M(Moved::Open));
        assert_eq!(SCRIPT[place::DEPARTED as usize], L(Left::BothOpen));
        assert_eq!(SCRIPT[place::ENDED as usize], L(Left::ContractOver(Access::Open)));
        for offset in 0..place::PRESENT_COUNT {
            assert_eq!(SCRIPT[(place::PRESENT + offset) as usize], A(Active::Plain));
        }
    }
}
