//! Orders beside plans, and who approved what.

use std::collections::BTreeSet;

use untether_model::approval::Subject;
use untether_model::digest::Digest;
use untether_model::plan::OrderKind;

use crate::compute::Base;
use crate::progress::{ApprovalEntry, OrderProgress};

/// Rollbacks, resolutions and other orders, oldest first.
pub(crate) fn orders(base: &Base<'_>) -> Vec<OrderProgress> {
    let state = base.inputs.state;
    let mut found: Vec<OrderProgress> = state
        .orders()
        .iter()
        .filter(|(_, order)| !matches!(order.kind, OrderKind::Plan))
        .map(|(id, order)| OrderProgress {
            id: id.clone(),
            kind: order.kind.clone(),
            status: order.status,
            recorded: base.inputs.history.orders.get(id).copied(),
            ended: base.inputs.history.orders_ended.get(id).copied(),
            approved_by: approvers(base, &order.digest),
        })
        .collect();
    found.sort_by_key(|order| order.recorded);
    found
}

fn approvers(base: &Base<'_>, digest: &Digest) -> Vec<String> {
    let is_it = |subject: &Subject| matches!(subject, Subject::Order { digest: of, .. } if of == digest);
    let valid = base.inputs.state.approvals().values().filter(|a| !a.revoked && is_it(&a.signed.statement.subject));
    let names: BTreeSet<&str> = valid.map(|a| a.signed.approver.as_str()).collect();
    names.into_iter().map(str::to_owned).collect()
}

/// Every approval, newest first.
pub(crate) fn approvals(base: &Base<'_>) -> Vec<ApprovalEntry> {
    let history = base.inputs.history;
    let name = |digest: &Digest| {
        let known = base.inputs.state.orders().iter().find(|(_, order)| order.digest == *digest);
        known.map_or_else(|| digest.to_hex().chars().take(10).collect(), |(id, _)| id.to_string())
    };
    let entry = |(record, approval): (&u64, &untether_model::run::Approval)| {
        let statement = &approval.signed.statement;
        let (object, through, round) = match &statement.subject {
            Subject::Order { digest, wave, round, through } => {
                (format!("{}/{wave}", name(digest)), Some(*through), Some(round.0))
            }
            Subject::Object { kind, object, .. } => (format!("{kind} {object}"), None, None),
        };
        ApprovalEntry {
            record: *record,
            at: history.written.get(record).copied(),
            by: approval.signed.approver.clone(),
            key: approval.signed.key.clone(),
            object,
            through,
            round,
            reason: statement.reason.clone(),
            until: statement.not_after,
            revoked: history.revocations.get(record).cloned().filter(|_| approval.revoked),
        }
    };
    base.inputs.state.approvals().iter().rev().map(entry).collect()
}
