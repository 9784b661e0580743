//! `link.shared-secret`: the same credential value in both stores.

use std::collections::BTreeMap;

use untether_model::finding::{Evidence, Severity};

use super::super::{Draft, RuleDoc, SubjectCase};
use crate::correlate::RowIx;

/// The rule.
pub const SHARED_SECRET: RuleDoc = RuleDoc {
    id: "link.shared-secret",
    raised: "The same credential value on accounts of one subject in both stores (history included), or the same salted value on any two accounts across the stores: salts do not coincide, so it was copied. Raised on the shared account. Values are normalized before they are compared; clear text is not tried against hashes, and equal unsalted values of different people are not raised.",
    severity: "Critical; medium where it stands only in a history.",
    rationale: "Who breaks into the shared store has the keys of the independent one.",
    remedy: "Issue a new credential on the independent side (`handover issue`) and scrub the shared account.",
    answers: &["NIST SP 800-53r5 IA-5", "NIST SP 800-53r5 IA-5(8)", "Regulator: technical separation, authentication included"],
};

/// Judges each account of a subject. `strangers` gives the names of other subjects' accounts.
pub fn check(case: &SubjectCase<'_>, strangers: &BTreeMap<RowIx, String>) -> Vec<Option<Draft>> {
    case.pieces
        .iter()
        .map(|(piece, _)| {
            if piece.secrets.matches.is_empty() {
                return None;
            }
            let mut evidence = Evidence::new();
            let mut current = false;
            for found in &piece.secrets.matches {
                current |= found.current;
                let own = case.pieces.iter().find(|(other, _)| other.place == found.row).map(|(o, _)| o.account.dn.to_string());
                let name = own.or_else(|| strangers.get(&found.row).cloned()).unwrap_or_else(|| "an account".to_owned());
                let fact = match (found.stranger, found.current) {
                    (false, true) => "same-value-on",
                    (false, false) => "same-value-in-history-of",
                    (true, true) => "copied-to-or-from",
                    (true, false) => "copied-in-history-of",
                };
                evidence.add(fact, name);
            }
            if piece.secrets.strangers > 0 {
                evidence.add("accounts-of-others", piece.secrets.strangers.to_string());
            }
            let severity = if current { Severity::Critical } else { Severity::Medium };
            Some(Draft::new(&SHARED_SECRET, severity, evidence))
        })
        .collect()
}
