//! One-time credentials in the fold: which one of a subject counts, whether it was expired, and how its hand-over goes on.

use jiff::Timestamp;

use super::delivery::{Delivery, DeliveryStatus};
use super::state::{CellState, RunState, SubjectState};
use crate::operation::Stage;
use crate::plan::OrderKind;
use crate::{OpId, SubjectId};

/// An operation that set or closed a one-time credential, and the number of its intent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Issue<'a> {
    /// The operation.
    pub op: &'a OpId,
    /// Its last intent.
    pub started: u64,
}

impl RunState {
    /// The subject's one-time credentials that were set and not taken back, the oldest first. All but the last are superseded.
    pub fn issues<'a>(&'a self, subject: &SubjectId) -> Vec<Issue<'a>> {
        // An order that is not there is a wave of a plan, whose start checks that.
        let issues = |kind: Option<&OrderKind>| !matches!(kind, Some(OrderKind::Expire { .. } | OrderKind::Rollback { .. }));
        self.enrolling(subject, issues)
    }

    /// The subject's last one-time credential that was set and not taken back.
    pub fn issue<'a>(&'a self, subject: &SubjectId) -> Option<Issue<'a>> {
        self.issues(subject).pop()
    }

    /// The number of the intent of [`RunState::issue`].
    pub fn issued(&self, subject: &SubjectId) -> Option<u64> {
        self.issue(subject).map(|issue| issue.started)
    }

    /// The operation that made the subject's last one-time credential unusable, where one has since it was issued.
    pub fn expired<'a>(&'a self, subject: &SubjectId) -> Option<Issue<'a>> {
        let issued = self.issued(subject)?;
        let expires = |kind: Option<&OrderKind>| matches!(kind, Some(OrderKind::Expire { .. }));
        self.enrolling(subject, expires).pop().filter(|expiry| expiry.started > issued)
    }

    fn enrolling<'a>(&'a self, subject: &SubjectId, by: impl Fn(Option<&OrderKind>) -> bool) -> Vec<Issue<'a>> {
        let stands = |cell: &CellState| cell.stage == Stage::Enroll && cell.applied && !cell.undone;
        let cells = self.cells_of(subject).filter(|(_, cell)| stands(cell));
        let cells = cells.filter(|(op, _)| by(self.orders().get(&op.batch.wave.plan).map(|order| &order.kind)));
        let mut found: Vec<Issue<'a>> = cells.filter_map(|(op, cell)| Some(Issue { op, started: cell.started? })).collect();
        found.sort_by_key(|issue| issue.started);
        found
    }
}

/// The subject with its last credential in a hand-over file, or delivered by a hook that keeps no record of single people.
pub(super) fn written(state: &RunState, (id, subject): (&SubjectId, SubjectState), at: Timestamp, file: &str) -> SubjectState {
    let Some(issued) = state.issued(id) else { return SubjectState { delivery: None, ..subject } };
    let since = subject.delivery.as_ref().filter(|d| d.issued == issued).map_or(at, |d| d.since);
    let way = file.to_owned();
    let delivery = Delivery { issued, status: DeliveryStatus::Delivered, since, at, way, message: String::new() };
    SubjectState { delivery: Some(delivery), ..subject }
}

/// The subject with the hook begun for its last credential; or why that may not be.
pub(super) fn begun(
    state: &RunState,
    (id, subject): (&SubjectId, SubjectState),
    (issued, way): (u64, &str),
    at: Timestamp,
) -> Result<SubjectState, String> {
    if state.issued(id) != Some(issued) {
        return Err(format!("has no one-time credential of intent {issued}"));
    }
    let before = subject.delivery.as_ref().filter(|d| d.issued == issued);
    if before.is_some_and(|d| d.status == DeliveryStatus::Delivered) {
        return Err(format!("got the credential of intent {issued} already"));
    }
    let since = before.map_or(at, |d| d.since);
    let (status, way, message) = (DeliveryStatus::Begun, way.to_owned(), String::new());
    Ok(SubjectState { delivery: Some(Delivery { issued, status, since, at, way, message }), ..subject })
}

/// The subject with the end of what was begun; or why nothing can end.
pub(super) fn ended(
    subject: SubjectState,
    issued: u64,
    (delivered, message): (bool, &str),
    at: Timestamp,
) -> Result<SubjectState, String> {
    let before = subject.delivery.clone().filter(|d| d.issued == issued && d.status != DeliveryStatus::Delivered);
    let Some(before) = before else { return Err(format!("has no hand-over of intent {issued} under way")) };
    let status = if delivered { DeliveryStatus::Delivered } else { DeliveryStatus::Failed };
    let delivery = Delivery { status, at, message: message.to_owned(), ..before };
    Ok(SubjectState { delivery: Some(delivery), ..subject })
}
