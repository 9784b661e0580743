//! The ground truth of generated and hand-labelled data, read back, and what an audit found compared with it.
//!
//! Knows the labels' form, not the crate that audits.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use untether_model::Dn;

/// Differences that are told one by one; the counts by rule tell all of them.
const TOLD: usize = 60;

/// One expected finding: a line of `truth.jsonl`.
#[derive(Clone, Debug, Deserialize)]
pub struct Label {
    /// The rule.
    pub rule: String,
    /// How grave.
    pub severity: String,
    /// `shared` or `independent`.
    pub store: String,
    /// The entry; none for a finding about a whole store.
    pub dn: Option<String>,
    /// The rule that could not run, of a `coverage.skipped`.
    #[serde(default)]
    pub about: Option<String>,
    /// The entity.
    pub entity: Option<String>,
    /// The roster's person.
    pub person_id: Option<String>,
    /// Why it is expected.
    pub note: String,
}

/// One finding of an audit.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// The rule.
    pub rule: String,
    /// How grave.
    pub severity: String,
    /// `shared` or `independent`.
    pub store: String,
    /// The entry.
    pub dn: Option<String>,
    /// The rule that could not run, of a `coverage.skipped`.
    pub about: Option<String>,
    /// The entity.
    pub entity: Option<String>,
    /// What is told of it when nobody expected it.
    pub evidence: String,
}

/// What makes a finding the labelled one: rule, severity, store, entry (or the rule that could not run), entity.
type Fact = (String, String, String, String, Option<String>);

/// The entry in its normalized form: case and spelling of a name do not matter.
fn place(dn: Option<&str>, about: Option<&str>) -> String {
    match dn {
        Some(name) => Dn::parse(name).map_or_else(|_| name.to_owned(), |dn| format!("{:?}", dn.key())),
        None => about.unwrap_or_default().to_owned(),
    }
}

impl Label {
    fn fact(&self) -> Fact {
        let place = place(self.dn.as_deref(), self.about.as_deref());
        (self.rule.clone(), self.severity.clone(), self.store.clone(), place, self.entity.clone())
    }
}

impl Found {
    fn fact(&self) -> Fact {
        let place = place(self.dn.as_deref(), self.about.as_deref());
        (self.rule.clone(), self.severity.clone(), self.store.clone(), place, self.entity.clone())
    }
}

/// The labels of a data directory.
///
/// # Errors
/// `truth.jsonl` that cannot be read, or a line that is no label.
pub fn labels(directory: &Path) -> std::io::Result<Vec<Label>> {
    let text = std::fs::read_to_string(directory.join("truth.jsonl"))?;
    text.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}

/// Every difference between what was found and what is labelled, in words; `None`: there is none.
#[must_use]
pub fn differences(found: &[Found], labels: &[Label]) -> Option<String> {
    let mut open: BTreeMap<Fact, Vec<&Label>> = BTreeMap::new();
    for label in labels {
        open.entry(label.fact()).or_default().push(label);
    }
    let mut extra = Vec::new();
    for finding in found {
        let fact = finding.fact();
        if open.get_mut(&fact).and_then(Vec::pop).is_none() {
            extra.push((fact, finding));
        }
    }
    let missing: Vec<(&Fact, &Label)> = open.iter().flat_map(|(fact, labels)| labels.iter().map(move |l| (fact, *l))).collect();
    if missing.is_empty() && extra.is_empty() {
        return None;
    }
    let mut out = format!("{} missing, {} extra of {} labels\n", missing.len(), extra.len(), labels.len());
    for (fact, label) in missing.iter().take(TOLD) {
        let _ = writeln!(out, "MISSING {fact:?} person {:?}: {}", label.person_id, label.note);
    }
    for (fact, finding) in extra.iter().take(TOLD) {
        let _ = writeln!(out, "EXTRA   {fact:?} {}", finding.evidence);
    }
    let mut by_rule: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    missing.iter().for_each(|(fact, _)| by_rule.entry(&fact.0).or_default().0 += 1);
    extra.iter().for_each(|(fact, _)| by_rule.entry(&fact.0).or_default().1 += 1);
    let _ = writeln!(out, "(missing, extra) by rule: {by_rule:?}");
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(dn: &str) -> Label {
        let line = serde_json::json!({
            "rule": "residual.orphan", "severity": "high", "store": "shared", "dn": dn, "entity": null, "person_id": null, "note": "planted",
        });
        serde_json::from_value(line).unwrap()
    }

    fn found(dn: &str, severity: &str) -> Found {
        let text = |t: &str| t.to_owned();
        Found {
            rule: text("residual.orphan"),
            severity: text(severity),
            store: text("shared"),
            dn: Some(text(dn)),
            ..Found::default()
        }
    }

    #[test]
    fn spelling_does_not_matter_and_everything_else_does() {
        let labels = [label("uid=Aoki, ou=a")];
        assert_eq!(differences(&[found("UID=aoki,OU=A", "high")], &labels), None);
        let told = differences(&[found("uid=aoki,ou=a", "low")], &labels).unwrap();
        assert!(told.starts_with("1 missing, 1 extra of 1 labels") && told.contains("\"residual.orphan\": (1, 1)"), "{told}");
        assert!(differences(&[], &labels).is_some() && differences(&[found("uid=b", "high")], &[]).is_some());
    }
}
