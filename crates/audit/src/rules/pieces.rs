//! Accounts on their way from the entries to their subjects.

use serde::{Deserialize, Serialize};
use untether_model::snapshot::{Account, Subject, SubjectKind};
use untether_model::{Side, SubjectId};

use super::Context;
use super::secrets::SecretMatches;
use crate::correlate::{Anchor, Flags, Row, RowIx, StatusRule};

/// One account with what its subject needs of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Piece {
    /// Its place in the index.
    pub place: RowIx,
    /// The account.
    pub account: Account,
    /// Its name for people.
    pub name: Option<String>,
    /// What the account's own id would make its subject's.
    pub anchor: String,
    /// Where its secrets stand in the other store.
    pub secrets: SecretMatches,
    /// Ids of the subjects that own it, where they are known.
    pub owners: Vec<SubjectId>,
}

/// Puts a subject together from its accounts.
pub(super) fn subject(context: &Context<'_>, id: SubjectId, pieces: &[(Piece, Row)]) -> Option<Subject> {
    let (first, row) = pieces.first()?;
    let person = match context.subjects.anchor(row.subject)? {
        Anchor::Person(person) => context.people.person(person),
        Anchor::Account(_) => None,
    };
    let judgement = person.and_then(|p| context.people.judgement(p));
    let roster_row = judgement.as_ref().and_then(|j| context.people.row(j));
    let anchor = person.and_then(|p| context.people.anchor(p)).unwrap_or_else(|| root_anchor(context, row, pieces, first));
    let any = |flag: Flags| pieces.iter().any(|(_, row)| row.flags.has(flag));
    let kind = if any(Flags::CANARY) {
        SubjectKind::Tool
    } else if any(Flags::SERVICE) {
        SubjectKind::Service
    } else if person.is_none() && any(Flags::MAILBOX) {
        SubjectKind::Mailbox
    } else if person.is_none() && any(Flags::TEST) {
        SubjectKind::Test
    } else {
        SubjectKind::Person
    };
    let mut undecided = Vec::new();
    for (flag, rule) in [(Flags::AMBIGUOUS, "correlation.ambiguous"), (Flags::CONFLICTING, "correlation.conflicting")] {
        if any(flag) {
            undecided.push(rule.to_owned());
        }
    }
    let mut owners: Vec<SubjectId> = pieces.iter().flat_map(|(piece, _)| piece.owners.iter().cloned()).collect();
    owners.sort();
    owners.dedup();
    let entity = match roster_row.as_ref() {
        Some(row) => row.entity().cloned(),
        None => pieces.iter().find_map(|(_, row)| context.entities.get(usize::from(row.entity)).cloned()),
    };
    Some(Subject {
        id,
        anchor,
        kind,
        entity,
        standing: judgement.map(|j| j.standing),
        roster_ref: roster_row.as_ref().map(|row| row.reference()),
        name: roster_row.and_then(|row| row.name().map(str::to_owned)).or_else(|| name_of(pieces)),
        accounts: pieces.iter().map(|(piece, _)| piece.account.clone()).collect(),
        undecided,
        protected: any(Flags::PROTECTED),
        owned: (kind == SubjectKind::Service).then(|| pieces.iter().all(|(_, row)| row.flags.has(Flags::OWNED))),
        owners,
        status_rule: pieces.iter().filter_map(|(_, row)| row.status).min().map(|rule: StatusRule| rule.id().to_owned()),
    })
}

fn root_anchor(context: &Context<'_>, row: &Row, pieces: &[(Piece, Row)], first: &Piece) -> String {
    let root = match context.subjects.anchor(row.subject) {
        Some(Anchor::Account(root)) => pieces.iter().map(|(piece, _)| piece).find(|piece| piece.place == root),
        Some(Anchor::Person(_)) | None => None,
    };
    root.unwrap_or(first).anchor.clone()
}

fn name_of(pieces: &[(Piece, Row)]) -> Option<String> {
    let of = |side: Side| pieces.iter().filter(move |(p, _)| p.account.side == side);
    let main = |side: Side| of(side).find(|(p, _)| p.account.primary);
    [Side::Shared, Side::Independent].into_iter().find_map(|side| main(side).and_then(|(p, _)| p.name.clone()))
}
