//! The columns of a roster: what they are called, and where they stand in a file.

use super::problem::{Problem, ProblemKind};
use crate::keys;
use crate::policy::{RosterColumns, RosterPolicy};

/// A column that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RosterColumn {
    /// The person's own id.
    PersonId,
    /// Employee number.
    Number,
    /// Employee number before a transfer or a rehire.
    PreviousNumber,
    /// Name.
    Name,
    /// Reading of the name.
    NameKana,
    /// Mail address.
    Mail,
    /// Login.
    Login,
    /// Entity.
    Entity,
    /// Status word.
    Status,
    /// Kind of employment.
    Employment,
    /// First day.
    Start,
    /// Last valid day of the employment.
    LastDay,
    /// Last valid day of the contract.
    ContractEnd,
    /// Employee number of the manager.
    ManagerNumber,
    /// Department.
    Department,
}

/// How many there are.
const COLUMNS: usize = 15;

impl RosterColumn {
    /// All of them.
    pub const ALL: [Self; COLUMNS] = [
        Self::PersonId,
        Self::Number,
        Self::PreviousNumber,
        Self::Name,
        Self::NameKana,
        Self::Mail,
        Self::Login,
        Self::Entity,
        Self::Status,
        Self::Employment,
        Self::Start,
        Self::LastDay,
        Self::ContractEnd,
        Self::ManagerNumber,
        Self::Department,
    ];

    fn default_header(self) -> &'static str {
        match self {
            Self::PersonId => "person_id",
            Self::Number => "employee_number",
            Self::PreviousNumber => "previous_number",
            Self::Name => "name",
            Self::NameKana => "name_kana",
            Self::Mail => "mail",
            Self::Login => "login",
            Self::Entity => "entity",
            Self::Status => "status",
            Self::Employment => "employment",
            Self::Start => "start_date",
            Self::LastDay => "last_day",
            Self::ContractEnd => "contract_end",
            Self::ManagerNumber => "manager_number",
            Self::Department => "department",
        }
    }

    fn configured(self, columns: &RosterColumns) -> Option<&str> {
        match self {
            Self::PersonId => &columns.person_id,
            Self::Number => &columns.number,
            Self::PreviousNumber => &columns.previous_number,
            Self::Name => &columns.name,
            Self::NameKana => &columns.name_kana,
            Self::Mail => &columns.mail,
            Self::Login => &columns.login,
            Self::Entity => &columns.entity,
            Self::Status => &columns.status,
            Self::Employment => &columns.employment,
            Self::Start => &columns.start,
            Self::LastDay => &columns.last_day,
            Self::ContractEnd => &columns.contract_end,
            Self::ManagerNumber => &columns.manager_number,
            Self::Department => &columns.department,
        }
        .as_deref()
    }

    /// The word that stands for the column in every row of the file.
    pub fn constant(self, policy: &RosterPolicy) -> Option<&str> {
        match self {
            Self::Entity => policy.constants.entity.as_deref(),
            Self::Status => policy.constants.status.as_deref(),
            Self::Employment => policy.constants.employment.as_deref(),
            _ => None,
        }
    }

    /// The header under which the column is looked for; `None` where it is not read, because the configuration says so or gives a
    /// constant.
    pub fn header(self, policy: &RosterPolicy) -> Option<&str> {
        let header = self.configured(&policy.columns).unwrap_or(self.default_header());
        (!header.is_empty() && self.constant(policy).is_none()).then_some(header)
    }

    /// It must be there: the configuration names it, or nothing can be judged without it.
    pub fn is_required(self, policy: &RosterPolicy) -> bool {
        self == Self::Status || self.configured(&policy.columns).is_some_and(|header| !header.is_empty())
    }
}

/// Where the columns of a file stand.
#[derive(Clone, Debug)]
pub(super) struct Columns {
    places: [Option<usize>; COLUMNS],
    headers: [String; COLUMNS],
}

impl Columns {
    /// Finds the columns in a header.
    ///
    /// # Errors
    /// What is missing or stands there twice.
    pub(super) fn find(policy: &RosterPolicy, file: &str, header: &[&str]) -> Result<Self, Vec<Problem>> {
        let mut columns = Self { places: [None; COLUMNS], headers: std::array::from_fn(|_| String::new()) };
        let folded: Vec<String> = header.iter().map(|h| keys::fold(h)).collect();
        let (mut missing, mut double) = (Vec::new(), Vec::new());
        for (column, (slot, name)) in RosterColumn::ALL.iter().zip(columns.places.iter_mut().zip(&mut columns.headers)) {
            let Some(wanted) = column.header(policy) else { continue };
            let key = keys::fold(wanted);
            let mut places = folded.iter().enumerate().filter(|(_, h)| **h == key).map(|(at, _)| at);
            *slot = places.next();
            wanted.clone_into(name);
            match (*slot, places.next()) {
                (None, _) if column.is_required(policy) => missing.push(wanted.to_owned()),
                (Some(_), Some(_)) => double.push(wanted.to_owned()),
                _ => {}
            }
        }
        let status_unread = columns.place(RosterColumn::Status).is_none() && RosterColumn::Status.constant(policy).is_none();
        if missing.is_empty() && status_unread {
            missing.push(RosterColumn::Status.default_header().to_owned());
        }
        // Without any of these no row could ever be matched to an account.
        let identifying = [RosterColumn::PersonId, RosterColumn::Number, RosterColumn::Mail, RosterColumn::Login];
        if missing.is_empty() && identifying.iter().all(|column| columns.place(*column).is_none()) {
            missing.push(RosterColumn::Number.default_header().to_owned());
        }
        let found = || header.iter().map(|h| format!("'{}'", h.trim())).collect::<Vec<_>>().join(", ");
        let problem = |kind, column: String, about: Option<String>| Problem {
            kind,
            file: file.to_owned(),
            column: Some(column),
            about,
            count: 0,
            seen: Vec::new(),
        };
        let mut problems: Vec<Problem> = missing
            .into_iter()
            .map(|name| problem(ProblemKind::MissingColumn, name, Some(format!("the header is: {}", found()))))
            .collect();
        problems.extend(double.into_iter().map(|name| problem(ProblemKind::DoubleColumn, name, None)));
        if problems.is_empty() { Ok(columns) } else { Err(problems) }
    }

    /// Where a column stands.
    pub(super) fn place(&self, column: RosterColumn) -> Option<usize> {
        self.places.get(column as usize).copied().flatten()
    }

    /// Its header; empty where it is not read.
    pub(super) fn header(&self, column: RosterColumn) -> &str {
        self.headers.get(column as usize).map_or("", String::as_str)
    }

    /// Its field, as it stands there; empty where the file does not have it.
    pub(super) fn field<'a>(&self, column: RosterColumn, fields: &[&'a str]) -> &'a str {
        self.place(column).and_then(|at| fields.get(at)).copied().unwrap_or("")
    }
}
