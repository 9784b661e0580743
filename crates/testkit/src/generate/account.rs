//! An account as it is planted: its intended state, from which both the directory entry and the
//! labels follow. Nothing here reads an entry back.

use super::ldif::escape;
use super::secret::Secret;
use super::world::{Entity, Store};

/// What kind of identity an account is, as the audit's configuration would recognize it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The account of a person.
    Person,
    /// A person's declared second account (`adm-*`).
    Secondary,
    /// A shared mailbox (`mbx-*`).
    Mailbox,
    /// A test account (`test-*`).
    Test,
    /// A service account (`svc-*` or below `ou=services`).
    Service,
    /// A break-glass account, protected by its DN.
    BreakGlass,
}

/// How the password policy attributes of an account stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Nothing refuses.
    Open,
    /// Locked two days ago under a policy that locks for 15 minutes; slapd leaves the value.
    ExpiredLock,
    /// Locked a minute ago under the same policy: not disabled.
    RunningLock,
    /// A lock time in the future, which has no effect.
    FutureLock,
    /// `pwdEndTime` in the future.
    FutureEnd,
    /// Permanent lock, but the account's policy does not lock.
    NolockLocked,
    /// Permanent lock, but the account's policy does not exist.
    DanglingLocked,
    /// `pwdEndTime` in the past, but the account's policy does not exist.
    DanglingEnded,
    /// Permanent lock.
    Locked,
    /// Permanent lock and `pwdEndTime` in the past.
    LockedAndEnded,
    /// Locked months ago under a policy without lockout duration.
    LockedWithoutEnd,
    /// `pwdEndTime` in the past.
    Ended,
    /// `pwdStartTime` in the future.
    NotBegun,
    /// Permanent lock that the policy ignores, and `pwdEndTime` in the past, which it does not.
    NolockEnded,
}

impl Access {
    /// Whether a right password gets in.
    pub(super) const fn lets_in(self) -> bool {
        match self {
            Self::Open
            | Self::ExpiredLock
            | Self::RunningLock
            | Self::FutureLock
            | Self::FutureEnd
            | Self::NolockLocked
            | Self::DanglingLocked
            | Self::DanglingEnded => true,
            Self::Locked | Self::LockedAndEnded | Self::LockedWithoutEnd | Self::Ended | Self::NotBegun | Self::NolockEnded => {
                false
            }
        }
    }

    /// Whether somebody meant to lock the account for good and yet it lets in.
    pub(super) const fn is_ineffective(self) -> bool {
        matches!(self, Self::NolockLocked | Self::DanglingLocked | Self::DanglingEnded)
    }
}

/// Who answers for an account that is nobody's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    /// No owner is named.
    Nobody,
    /// A person who is there.
    Present,
    /// A person who has departed.
    Departed,
    /// A DN without an entry.
    Missing,
}

/// The two ways in which an account is left undecided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Undecided {
    Ambiguous,
    Conflicting,
}

/// A salted or otherwise equal secret in both stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Twin {
    /// Both values are current.
    Current,
    /// One of the values is in a history.
    History,
}

/// Form of an account's distinguished name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// `uid=…`.
    Uid,
    /// `cn=Sato\2C Hanako 12`.
    Comma,
    /// `cn=Hanako \22Hana\22 Sato 12`.
    Quotes,
    /// `cn=\2312 Sato`.
    Hash,
    /// `cn=\20Sato 12\20`: leading and trailing blank.
    Blanks,
    /// `cn=Sato\2B12\3B R\26D \5C West`: plus, semicolon, backslash, angle brackets, equals sign.
    Symbols,
    /// `cn=佐藤 花子 12`.
    Japanese,
    /// `uid=…+employeeNumber=…`, where there is a number, else `uid=…+sn=…`.
    Multiple,
    /// `uid=…+ou=Sales`: an attribute of the RDN that no retention list names.
    WithUnit,
    /// `UID=…,OU=…`: attribute types in another case.
    UpperTypes,
}

/// The entry that an attribute of an account refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// First account, in the same store, of the person at this place of the block.
    Place(u32),
    /// The same, with the DN in another case.
    PlaceOtherCase(u32),
    /// A DN without an entry, in a base that is read completely.
    Missing,
    /// A DN without an entry, outside of what is read.
    Outside,
}

/// Groups that only particular accounts belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Club {
    /// Privileged; has `VpnAdmins` nested.
    Admins,
    /// Privileged; has `Admins` nested (a cycle).
    VpnAdmins,
    /// Configured admin group: its members are protected.
    DirectoryAdmins,
    /// groupOfUniqueNames, which the memberof overlay does not follow.
    Unique,
    /// organizationalRole with roleOccupant.
    Role,
    /// posixGroup with memberUid.
    Unix,
    /// groupOfNames whose member values are written in another case.
    OtherCase,
    /// Independent: those whom relying systems let in.
    Admitted,
    /// Independent, privileged.
    OwnAdmins,
}

/// One account.
#[derive(Debug, Clone)]
pub(super) struct Account {
    pub store: Store,
    pub kind: Kind,
    /// DN of the parent without the suffix, such as `ou=own,ou=accounts`.
    pub parent: String,
    pub style: Style,
    pub uuid: String,
    pub uid: String,
    pub cn: String,
    pub number: Option<String>,
    pub mail: Option<String>,
    /// `labEntity`.
    pub entity: Option<&'static str>,
    /// `labSourceId`.
    pub link: Option<String>,
    pub factors: &'static [&'static str],
    pub access: Access,
    pub secret: Option<Secret>,
    pub history: Vec<Secret>,
    pub certificate: bool,
    pub pkcs12: bool,
    pub must_change: bool,
    /// Only attributes of the retention list (besides those of the RDN).
    pub lean: bool,
    pub big: bool,
    pub photo: bool,
    pub posix: bool,
    pub phonetic: bool,
    /// Days since creation, last login and last password change.
    pub created: i64,
    pub used: Option<i64>,
    pub changed: Option<i64>,
    pub owner: Option<Owner>,
    pub references: Vec<(&'static str, Target)>,
    pub clubs: Vec<Club>,
    /// Whether an `authzTo` names an identity of the other store.
    pub mapped: bool,
    pub protected: bool,
    pub undecided: Option<Undecided>,
    /// The roster says another entity than subtree or attribute.
    pub wrong_entity: bool,
    /// One of several accounts of a subject, and not the primary one.
    pub spare: bool,
    pub twin: Option<Twin>,
}

impl Account {
    /// Whether somebody who knows the password gets in.
    pub(super) fn is_open(&self) -> bool {
        self.secret.is_some() && self.access.lets_in()
    }

    /// The entity that the account's place says, else its attribute.
    pub(super) fn stated_entity(&self) -> Option<&'static str> {
        let of_unit = |entity: &Entity| self.parent.eq_ignore_ascii_case(&format!("ou={},ou=accounts", entity.unit()));
        let place = [Entity::Own, Entity::Domestic, Entity::Overseas, Entity::Contractor].into_iter().find(of_unit);
        place.map(Entity::id).or(self.entity)
    }

    /// Value of `cn`, as the form of the DN asks for it.
    pub(super) fn common_name(&self) -> String {
        let cn = &self.cn;
        let tail = self.uid.rsplit('.').next().unwrap_or_default();
        match self.style {
            Style::Uid | Style::Multiple | Style::WithUnit | Style::UpperTypes => cn.clone(),
            Style::Comma => match cn.split_once(' ') {
                Some((first, second)) => format!("{second}, {first} {tail}"),
                None => format!("{cn}, {tail}"),
            },
            Style::Quotes => format!("{cn} \"Chief\" {tail}"),
            Style::Hash => format!("#{tail} {cn}"),
            Style::Blanks => format!(" {cn} {tail} "),
            Style::Symbols => format!("{cn}+{tail}; R&D \\ <West>=1"),
            Style::Japanese => format!("{cn}（{tail}）"),
        }
    }

    /// Distinguished name, as the store returns it.
    pub(super) fn dn(&self) -> String {
        let suffix = self.store.suffix();
        let uid = escape(&self.uid);
        let parent = &self.parent;
        match self.style {
            Style::Uid => format!("uid={uid},{parent},{suffix}"),
            Style::Multiple => match &self.number {
                Some(number) => format!("uid={uid}+employeeNumber={},{parent},{suffix}", escape(number)),
                None => format!("uid={uid}+sn={},{parent},{suffix}", escape(self.family())),
            },
            Style::WithUnit => format!("uid={uid}+ou=Sales,{parent},{suffix}"),
            Style::UpperTypes => format!("UID={uid},{},{suffix}", parent.replace("ou=", "OU=")),
            Style::Comma | Style::Quotes | Style::Hash | Style::Blanks | Style::Symbols | Style::Japanese => {
                format!("cn={},{parent},{suffix}", escape(&self.common_name()))
            }
        }
    }

    /// Value of `sn`.
    pub(super) fn family(&self) -> &str {
        self.cn.split(' ').next_back().unwrap_or(&self.cn)
    }
}
