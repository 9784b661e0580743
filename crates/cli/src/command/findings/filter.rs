//! Which findings a command is about.

use untether_audit::explain::catalog;
use untether_model::SubjectId;
use untether_model::finding::{Finding, Place, Severity};
use untether_model::run::RunState;

use crate::args::FilterArgs;
use crate::error::CliError;

/// A severity's name, or an error that lists them.
pub fn severity(text: &str) -> Result<Severity, CliError> {
    Severity::parse(text).ok_or_else(|| {
        CliError::usage(format!("'{text}' is no severity")).hint("severities are: critical, high, medium, low, info")
    })
}

/// The filters of a command line, checked.
pub struct Filter<'a> {
    args: &'a FilterArgs,
    severity: Option<Severity>,
}

impl<'a> Filter<'a> {
    /// Refuses words that name nothing.
    pub fn new(args: &'a FilterArgs) -> Result<Self, CliError> {
        for rule in &args.rule {
            if !catalog().iter().any(|doc| is_rule(doc.id, rule)) {
                return Err(unknown_rule(rule));
            }
        }
        let places = [Place::Shared, Place::Independent, Place::Roster, Place::System];
        if let Some(store) = args.store.as_deref().filter(|store| !places.iter().any(|p| p.as_str() == *store)) {
            return Err(CliError::usage(format!("'{store}' is no store")).hint("stores are: shared, independent, roster, system"));
        }
        Ok(Self { args, severity: args.severity.as_deref().map(severity).transpose()? })
    }

    /// Whether the filters take a finding.
    pub fn takes(&self, finding: &Finding, state: &RunState) -> bool {
        let args = self.args;
        let entity = finding.entity.as_ref().map_or("unassigned", |e| e.as_str());
        let is_subject = |wanted: &str| {
            let wanted = SubjectId::new(wanted);
            finding.subject.as_ref().is_some_and(|id| state.resolve_alias(id) == state.resolve_alias(&wanted))
        };
        (args.rule.is_empty() || args.rule.iter().any(|rule| is_rule(&finding.rule, rule)))
            && self.severity.is_none_or(|least| finding.severity >= least)
            && (args.entity.is_empty() || args.entity.iter().any(|e| e == entity))
            && args.store.as_deref().is_none_or(|store| finding.store.as_str() == store)
            && args.subject.as_deref().is_none_or(is_subject)
    }
}

/// Whether a rule is the one that was named, or of the family that was named (`residual`, `residual.*`).
fn is_rule(id: &str, named: &str) -> bool {
    let family = named.strip_suffix(".*").unwrap_or(named);
    id == named || id.strip_prefix(family).is_some_and(|rest| rest.starts_with('.'))
}

/// A name that no rule has, with the rule that was probably meant.
pub fn unknown_rule(named: &str) -> CliError {
    let all = catalog();
    let near =
        all.iter().map(|doc| doc.id).max_by(|a, b| strsim::jaro_winkler(a, named).total_cmp(&strsim::jaro_winkler(b, named)));
    let hint = match near.filter(|id| strsim::jaro_winkler(id, named) > 0.75) {
        Some(id) => format!("did you mean `{id}`?"),
        None => "`untether findings --explain all` lists the rules".to_owned(),
    };
    CliError::usage(format!("'{named}' is neither a rule nor a family of rules")).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_and_rules_are_told_apart() {
        assert!(is_rule("residual.departed", "residual"));
        assert!(is_rule("residual.departed", "residual.*"));
        assert!(is_rule("residual.departed", "residual.departed"));
        assert!(!is_rule("residual.departed", "residual.depart"));
        assert!(unknown_rule("residual.departd").hint.unwrap().contains("residual.departed"));
    }
}
