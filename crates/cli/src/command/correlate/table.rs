//! An undecided account beside its candidates, within eighty columns of a terminal, whatever the width of the characters.

use unicode_width::UnicodeWidthStr;
use untether_audit::cards::state_word;
use untether_model::matching::{Agreement, Card, Comparison, Fact, MatchCase, Who, compare};
use untether_model::neutral::terminal;

use crate::columns::{WIDTH, wrapped};

/// Columns of the facts' names.
const LABEL: usize = 11;
/// Candidates side by side; further ones go below.
const BESIDE: usize = 2;

/// What the marks in front of values mean.
pub const LEGEND: &str = "= the same, ! differs, + only the candidate has it, - only the account has it";

/// One case.
pub fn render(case: &MatchCase) -> Vec<String> {
    let entity = case.entity.as_ref().map_or("no entity", |e| e.as_str());
    let mut lines = vec![format!("case {}  {}  ({})", case.id, case.rule, terminal(entity))];
    let compared: Vec<Comparison> = case.candidates.iter().map(|c| compare(&case.account, &c.card)).collect();
    let numbered: Vec<usize> = (0..case.candidates.len()).collect();
    for part in numbered.chunks(BESIDE) {
        lines.extend(beside(case, &compared, part));
    }
    if case.candidates.is_empty() {
        lines.extend(beside(case, &compared, &[]));
    }
    for (side, dn) in &case.rivals {
        lines.extend(wrapped(&format!("  the same candidate is claimed by {side}: {}", terminal(dn.as_str())), WIDTH, 4));
    }
    if case.more > 0 {
        lines.push(format!("  and {} more candidates: a key that so many share says nothing", case.more));
    }
    lines
}

fn beside(case: &MatchCase, compared: &[Comparison], part: &[usize]) -> Vec<String> {
    let width = (WIDTH - LABEL) / (part.len() + 1) - 1;
    let mut rows: Vec<(&str, Vec<Vec<String>>)> = Vec::new();
    let mut head = vec![vec!["ACCOUNT".to_owned(), who(&case.account)]];
    let mut by = vec![Vec::new()];
    let mut has = vec![Vec::new()];
    let mut alike = vec![Vec::new()];
    let mut names = vec![name_values(&case.account)];
    for (candidate, number) in part.iter().filter_map(|n| Some((case.candidates.get(*n)?, n + 1))) {
        head.push(vec![format!("CANDIDATE {number}"), who(&candidate.card)]);
        by.push(vec![candidate.by.iter().map(|key| key.words()).collect::<Vec<_>>().join(", ")]);
        let held = |held: &untether_model::matching::Held| {
            format!("{} {} ({})", held.side, terminal(held.dn.as_str()), state_word(held.state))
        };
        has.push(candidate.accounts.iter().map(held).collect());
        names.push(name_values(&candidate.card));
        let likeness = compared.get(number - 1).and_then(|c| c.names.as_ref());
        alike.push(vec![
            likeness.map_or_else(|| "cannot be compared".to_owned(), |l| format!("{} %: {}", l.percent, l.because.join("; "))),
        ]);
    }
    rows.push(("", head));
    rows.push(("led to by", by));
    rows.push(("names", names));
    rows.push(("alike", alike));
    for fact in Fact::ALL {
        let mut cells = vec![values(&case.account, fact, None)];
        for number in part {
            let agreement = compared.get(*number).and_then(|c| c.lines.iter().find(|l| l.fact == fact)).and_then(|l| l.agreement);
            let card = case.candidates.get(*number).map(|c| &c.card);
            cells.push(card.map(|card| values(card, fact, agreement)).unwrap_or_default());
        }
        rows.push((fact.as_str(), cells));
    }
    rows.push(("has already", has));
    let filled = rows.into_iter().filter(|(_, cells)| cells.iter().any(|c| c.iter().any(|v| !v.is_empty())));
    filled.flat_map(|(label, cells)| row(label, &cells, width)).collect()
}

fn who(card: &Card) -> String {
    match &card.who {
        Who::Person { reference } => terminal(reference),
        Who::Account { side, dn } => format!("{side} {}", terminal(dn.as_str())),
    }
}

fn name_values(card: &Card) -> Vec<String> {
    card.names.iter().map(|name| terminal(&name.value)).collect()
}

fn values(card: &Card, fact: Fact, agreement: Option<Agreement>) -> Vec<String> {
    let found: Vec<String> = card.values(fact).iter().map(|v| terminal(v)).collect();
    let mark = match agreement {
        Some(Agreement::Same) => "= ",
        Some(Agreement::Differs) => "! ",
        Some(Agreement::OnlyThere) => "+ ",
        Some(Agreement::OnlyHere) => return vec!["-".to_owned()],
        None => "",
    };
    match found.split_first() {
        Some((first, rest)) => std::iter::once(format!("{mark}{first}")).chain(rest.iter().cloned()).collect(),
        None => Vec::new(),
    }
}

/// One fact of everybody: as many lines as the longest needs.
fn row(label: &str, cells: &[Vec<String>], width: usize) -> Vec<String> {
    let cells: Vec<Vec<String>> = cells.iter().map(|values| values.iter().flat_map(|v| wrapped(v, width, 1)).collect()).collect();
    let height = cells.iter().map(Vec::len).max().unwrap_or(0);
    (0..height)
        .map(|n| {
            let mut line = padded(if n == 0 { label } else { "" }, LABEL);
            for cell in &cells {
                line.push(' ');
                line.push_str(&padded(cell.get(n).map_or("", String::as_str), width));
            }
            line.trim_end().to_owned()
        })
        .collect()
}

fn padded(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(text.width())))
}

#[cfg(test)]
mod tests {
    use untether_model::matching::{Candidate, Held, Name};
    use untether_model::snapshot::{MatchKey, PathState};
    use untether_model::{CaseId, Dn, FindingId, Side};

    use super::*;

    fn case() -> MatchCase {
        let dn: Dn = "cn=髙橋 太郎\\, 営業部,ou=own,ou=accounts,dc=shared,dc=example".parse().unwrap();
        let mut account = Card::new(Who::Account { side: Side::Shared, dn: dn.clone() }, "shared/1".into());
        account.names = vec![Name::new("cn;lang-ja", "髙橋 太郎"), Name::new("cn;lang-ja;phonetic", "タカハシ タロウ")];
        account.add(Fact::Number, "010023");
        account.add(Fact::Mail, "takahashi.taro.with-a-very-long-local-part@corp.example");
        account.add(Fact::Created, "2019-04-01");
        let person = |number: &str, name: &str, mail: &str| {
            let mut card = Card::new(Who::Person { reference: format!("own/{number}") }, format!("roster/own/{number}"));
            card.names = vec![Name::new("name", name)];
            card.add(Fact::Number, number);
            card.add(Fact::Mail, mail);
            card.add(Fact::Status, "active");
            let held = Held {
                anchor: "independent/2".into(),
                side: Side::Independent,
                dn: dn.clone(),
                state: PathState::Open,
                last_use: None,
            };
            Candidate { card, by: vec![MatchKey::EntityNumber], accounts: vec![held] }
        };
        MatchCase {
            id: CaseId::new("m-abcdefghijklmnop"),
            rule: "correlation.ambiguous".into(),
            finding: FindingId::new("f"),
            entity: None,
            account,
            candidates: vec![
                person("10023", "高橋 太郎", "taro@corp.example"),
                person("10024", "鈴木 花子", "\u{1b}[2Jhanako\u{202e}@corp.example"),
                person("10025", "高橋 太朗", "x@corp.example"),
            ],
            rivals: vec![(Side::Independent, dn.clone())],
            more: 3,
        }
    }

    #[test]
    fn a_case_stays_within_eighty_columns_and_steers_no_terminal() {
        let lines = render(&case());
        for line in &lines {
            assert!(line.width() <= WIDTH, "{} columns: {line}", line.width());
            assert!(!line.contains(['\u{1b}', '\u{202e}']), "{line}");
        }
        let text = lines.join("\n");
        for word in ["CANDIDATE 1", "CANDIDATE 3", "= 10023", "! 10024", "96 %", "(髙/高)", "and 3 more candidates"] {
            assert!(text.contains(word), "{word} is missing:\n{text}");
        }
        // The candidates' columns begin under each other although kanji are twice as wide.
        let column = |needle: &str| {
            let line = lines.iter().find(|l| l.contains(needle)).unwrap();
            line.split(needle).next().unwrap().width()
        };
        assert_eq!(column("CANDIDATE 2"), column("鈴木 花子"));
        assert_eq!(column("CANDIDATE 2"), column("! 10024"));
    }
}
