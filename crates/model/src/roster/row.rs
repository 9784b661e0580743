//! One row of a roster.

use jiff::civil::Date;

use crate::EntityId;

/// What the status word means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// Works here.
    Active,
    /// On leave: active, but nobody expects a login.
    Leave,
    /// Seconded elsewhere: active.
    Seconded,
    /// Has left.
    Departed,
}

/// One row, its words understood. Fields that are empty are `None`; texts are trimmed and otherwise as they were written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Number of its file, in the order in which they were read.
    pub file: u16,
    /// Where it stands there, counted from 1, the header included.
    pub line: u64,
    /// The person's own id.
    pub person_id: Option<String>,
    /// Entity; `None` where the field is empty.
    pub entity: Option<EntityId>,
    /// Employee number.
    pub number: Option<String>,
    /// Employee number before a transfer or a rehire.
    pub previous_number: Option<String>,
    /// Name.
    pub name: Option<String>,
    /// Reading of the name.
    pub name_kana: Option<String>,
    /// Mail address.
    pub mail: Option<String>,
    /// Login.
    pub login: Option<String>,
    /// Employee number of the manager.
    pub manager_number: Option<String>,
    /// Department.
    pub department: Option<String>,
    /// What the status word means.
    pub status: Status,
    /// Ends with the contract.
    pub contractor: bool,
    /// First day.
    pub start: Option<Date>,
    /// Last valid day of the employment.
    pub last_day: Option<Date>,
    /// Last valid day of the contract.
    pub contract_end: Option<Date>,
}
