//! `residual.duplicate`: more accounts than one person needs.

use untether_model::finding::{Evidence, Severity};

use super::super::evidence::{add_last_use, add_state};
use super::super::{Draft, RuleDoc, SubjectCase};
use crate::correlate::Flags;

/// The rule.
pub const DUPLICATE: RuleDoc = RuleDoc {
    id: "residual.duplicate",
    raised: "Two or more accounts of one active person in one store: on each but the main one (open first, then latest use, then oldest, then least DN). Secondary accounts declared by pattern do not count.",
    severity: "Medium: two ways in for one person, of which one is watched less.",
    rationale: "The one that is not used is the one that is forgotten when the person leaves, and migrating both gives the person two identities.",
    remedy: "Merge what is needed into the main account and retire the other, or declare the pattern of secondary accounts in the configuration.",
    answers: &["NIST SP 800-53r5 AC-2", "NIST SP 800-53r5 IA-4"],
};

/// Judges each account of a subject.
pub fn check(case: &SubjectCase<'_>) -> Vec<Option<Draft>> {
    case.pieces
        .iter()
        .map(|(piece, row)| {
            if !row.flags.has(Flags::DUPLICATE) {
                return None;
            }
            let mut evidence = Evidence::new();
            if let Some(main) = case.subject.primary_in(piece.account.side) {
                evidence.add("main-account", main.dn.to_string());
            }
            add_state(&mut evidence, &piece.account.state);
            add_last_use(&mut evidence, row.last_use);
            Some(Draft::new(&DUPLICATE, Severity::Medium, evidence))
        })
        .collect()
}
