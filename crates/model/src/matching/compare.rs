//! What agrees between an account and a candidate.

use serde::Serialize;

use super::name::{Likeness, likeness};
use super::{Card, Fact};
use crate::keys;

/// How two cards compare in one fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Agreement {
    /// A value is the same, in the form in which keys are compared.
    Same,
    /// Both have values, and none is the same.
    Differs,
    /// The candidate has none.
    OnlyHere,
    /// The account has none.
    OnlyThere,
}

/// One fact of an account and of a candidate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Line {
    /// The fact.
    pub fact: Fact,
    /// How they compare; `None` for what is shown and not compared (dates and states tell different things of both).
    pub agreement: Option<Agreement>,
}

/// An account beside a candidate.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// The facts that either of them has.
    pub lines: Vec<Line>,
    /// How alike their names are: a hint, never a proof. `None`: there is nothing to compare.
    pub names: Option<Likeness>,
}

/// Compares an account with a candidate.
pub fn compare(account: &Card, candidate: &Card) -> Comparison {
    let lines = Fact::ALL.into_iter().filter_map(|fact| {
        let (here, there) = (account.values(fact), candidate.values(fact));
        if here.is_empty() && there.is_empty() {
            return None;
        }
        Some(Line { fact, agreement: agreement(fact, account, candidate) })
    });
    Comparison { lines: lines.collect(), names: likeness(&account.names, &candidate.names) }
}

fn agreement(fact: Fact, account: &Card, candidate: &Card) -> Option<Agreement> {
    let form: fn(&str) -> Option<String> = match fact {
        Fact::Number | Fact::PreviousNumber => keys::number,
        Fact::Mail => keys::mail,
        Fact::Login | Fact::Department | Fact::Entity => keys::login,
        Fact::Status | Fact::Start | Fact::LastDay | Fact::Created | Fact::LastUse | Fact::State => return None,
    };
    let (mut here, mut there) = (account.values(fact).to_vec(), candidate.values(fact).to_vec());
    // A number that somebody had before is a number of theirs.
    match fact {
        Fact::PreviousNumber => here.extend_from_slice(account.values(Fact::Number)),
        Fact::Number if !here.is_empty() && there.is_empty() => there.extend_from_slice(candidate.values(Fact::PreviousNumber)),
        _ => {}
    }
    match (here.is_empty(), there.is_empty()) {
        (true, true) => None,
        (false, true) => Some(Agreement::OnlyHere),
        (true, false) => Some(Agreement::OnlyThere),
        (false, false) => {
            let here: Vec<String> = here.iter().filter_map(|v| form(v)).collect();
            let same = there.iter().filter_map(|v| form(v)).any(|v| here.contains(&v));
            Some(if same { Agreement::Same } else { Agreement::Differs })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Who;
    use super::*;

    fn card(facts: &[(Fact, &str)]) -> Card {
        let mut card = Card::new(Who::Person { reference: "own/1".to_owned() }, "roster/own/1".to_owned());
        facts.iter().for_each(|(fact, value)| card.add(*fact, *value));
        card
    }

    fn agreement_of(here: &[(Fact, &str)], there: &[(Fact, &str)], fact: Fact) -> Option<Agreement> {
        compare(&card(here), &card(there)).lines.into_iter().find(|l| l.fact == fact).and_then(|l| l.agreement)
    }

    #[test]
    fn values_agree_in_the_form_in_which_keys_are_compared() {
        use Agreement::{Differs, OnlyHere, OnlyThere, Same};
        assert_eq!(agreement_of(&[(Fact::Number, "００１２")], &[(Fact::Number, "12")], Fact::Number), Some(Same));
        assert_eq!(agreement_of(&[(Fact::Mail, "A@X.example")], &[(Fact::Mail, "a@x.EXAMPLE")], Fact::Mail), Some(Same));
        let mails = [(Fact::Mail, "a@x"), (Fact::Mail, "b@x")];
        assert_eq!(agreement_of(&mails, &[(Fact::Mail, "b@x")], Fact::Mail), Some(Same));
        assert_eq!(agreement_of(&[(Fact::Login, "a")], &[(Fact::Login, "b")], Fact::Login), Some(Differs));
        assert_eq!(agreement_of(&[(Fact::Login, "a")], &[], Fact::Login), Some(OnlyHere));
        assert_eq!(agreement_of(&[], &[(Fact::Login, "a")], Fact::Login), Some(OnlyThere));
        assert_eq!(agreement_of(&[], &[], Fact::Login), None);
        assert_eq!(agreement_of(&[(Fact::Created, "2020-01-01")], &[(Fact::Start, "2020-01-01")], Fact::Created), None);
    }

    #[test]
    fn a_previous_number_is_a_number_of_the_person() {
        let there = [(Fact::Number, "20"), (Fact::PreviousNumber, "10")];
        assert_eq!(agreement_of(&[(Fact::Number, "10")], &there, Fact::Number), Some(Agreement::Differs));
        assert_eq!(agreement_of(&[(Fact::Number, "10")], &there, Fact::PreviousNumber), Some(Agreement::Same));
    }
}
