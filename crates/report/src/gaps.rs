//! What is missing from a report: said at its top, so that nobody takes missing for none.

use crate::compute::{Base, is_complete};
use crate::entity::UNASSIGNED;
use crate::history::StateEventKind;
use crate::progress::Gap;

/// Days without a record after which a report says that nothing was recorded.
const OLD_DAYS: i64 = 14;

/// Everything that is missing, the gravest first.
pub(crate) fn gaps(base: &Base<'_>) -> Vec<Gap> {
    let mut gaps = Vec::new();
    let history = base.inputs.history;
    match (base.basis, base.audits.last()) {
        (Some((basis, audit)), Some((newest, newest_audit))) => {
            if !is_complete(audit) {
                gaps.push(Gap::NoCompleteAudit { record: basis });
            } else if !is_complete(newest_audit) {
                gaps.push(Gap::IncompleteAudit { record: *newest, instead: basis });
            }
            let sum = |rules: &[&str]| -> u64 {
                audit.counts.iter().filter(|c| rules.contains(&c.rule.as_str())).map(|c| c.findings).sum()
            };
            let skipped = sum(&["coverage.skipped"]);
            if skipped > 0 {
                gaps.push(Gap::RulesSkipped { record: basis, findings: skipped });
            }
            if audit.entities.is_none() {
                gaps.push(Gap::NotCounted { record: basis });
            }
            let accounts = sum(&["correlation.ambiguous", "correlation.conflicting"]);
            if accounts > 0 {
                gaps.push(Gap::Undecided { accounts, record: basis });
            }
            let nobodys = audit.subjects.iter().filter(|(entity, presence, _)| entity == UNASSIGNED && presence != "tool");
            let subjects: u64 = nobodys.map(|(_, _, n)| n).sum();
            if subjects > 0 {
                gaps.push(Gap::Unassigned { subjects, record: basis });
            }
            let operations = history.applied_since(basis);
            if operations > 0 {
                gaps.push(Gap::WorkSince { record: basis, operations });
            }
        }
        _ => gaps.push(Gap::NoAudit),
    }
    let open = base.inputs.state.batches().values().map(|b| u64::from(b.open)).sum::<u64>()
        + base.inputs.state.orders().values().map(|o| u64::from(o.open)).sum::<u64>();
    if open > 0 {
        gaps.push(Gap::OpenOperations { operations: open });
    }
    for event in &history.events {
        if let StateEventKind::Repaired { lost_from, .. } = event.what {
            gaps.push(Gap::LostRecords { record: event.cite.record, lost_from });
        }
    }
    if base.plan.is_none_or(|(_, order)| order.forecast.is_none()) {
        gaps.push(Gap::NoForecast);
    }
    let days = base.inputs.now.duration_since(history.head.at).as_hours() / 24;
    if days > OLD_DAYS {
        gaps.push(Gap::Old { days });
    }
    gaps
}
