//! Cards: what is known of accounts and of people in the roster, for telling people apart.

use jiff::Timestamp;
use untether_model::matching::{Card, Fact, Name, Who};
use untether_model::policy::AuditPolicy;
use untether_model::roster::{Judgement, PersonIx, Roster};
use untether_model::snapshot::{PathState, SnapshotEntry};
use untether_model::time::local_day;
use untether_model::{AttrName, Side, Value};

use crate::activity;
use crate::correlate::{KeyReader, account_anchor};

/// Attributes that hold a whole name, beside the configured one; in lower case, with the phonetic ones of Active Directory.
const WHOLE_NAMES: [&str; 3] = ["cn", "displayname", "msds-phoneticdisplayname"];
/// Attributes that hold a family name, with the one that holds the given name beside it.
const PARTS: [(&str, &str); 2] = [("sn", "givenname"), ("msds-phoneticlastname", "msds-phoneticfirstname")];

/// What an account's entry says of whom it belongs to.
pub fn account_card(policy: &AuditPolicy, side: Side, entry: &SnapshotEntry, state: PathState) -> Card {
    let attributes = &policy.store(side).attributes;
    let mut card = Card::new(Who::Account { side, dn: entry.dn.clone() }, account_anchor(side, entry));
    let texts = |name: &AttrName| entry.attrs.get(name).into_iter().flatten().filter_map(Value::as_str);
    let mut add = |fact: Fact, values: Vec<&str>| values.into_iter().for_each(|value| card.add(fact, value));
    add(Fact::Number, attributes.number.iter().flat_map(texts).collect());
    add(Fact::Mail, attributes.mail.iter().flat_map(texts).collect());
    add(Fact::Login, texts(&attributes.login).collect());
    add(
        Fact::Department,
        ["departmentNumber", "ou"]
            .iter()
            .flat_map(|name| entry.attrs.get(*name).into_iter().flatten().filter_map(Value::as_str))
            .collect(),
    );
    let (by_attribute, by_subtree) = KeyReader::new(policy, side).said_entities(entry);
    let mut entities: Vec<&str> = [by_subtree, by_attribute].into_iter().flatten().map(|e| e.as_str()).collect();
    entities.dedup();
    add(Fact::Entity, entities);
    if let Some(at) = activity::created(entry) {
        card.add(Fact::Created, day(at));
    }
    card.add(Fact::LastUse, activity::last_use(entry).0.map_or_else(|| "never".to_owned(), day));
    card.add(Fact::State, state_word(state));
    card.names = names(entry, &attributes.name);
    card
}

/// A point in time as people look at it.
fn day(at: Timestamp) -> String {
    local_day(&jiff::tz::TimeZone::UTC, at).to_string()
}

/// Whether an account lets somebody in, in a word.
pub fn state_word(state: PathState) -> &'static str {
    match state {
        PathState::Open => "open",
        PathState::Unknown => "unknown",
        PathState::Refused => "refused",
    }
}

fn names(entry: &SnapshotEntry, configured: &AttrName) -> Vec<Name> {
    let mut found: Vec<Name> = Vec::new();
    let mut add = |name: Name| {
        if !found.iter().any(|known| known.value == name.value) {
            found.push(name);
        }
    };
    let texts = |values: &[Value]| values.iter().filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>();
    for (attr, values) in &entry.attrs {
        let base = attr.base();
        if WHOLE_NAMES.contains(&base) || base == configured.base() {
            texts(values).into_iter().for_each(|value| add(Name::new(attr.as_str(), value)));
        }
        let Some((family, given)) = PARTS.iter().find(|(family, _)| *family == base) else { continue };
        // The given name in the same language: the options are the same.
        let options = attr.folded().strip_prefix(family).unwrap_or_default();
        let beside = entry.attrs.get(format!("{given}{options}").as_str()).map(|values| texts(values)).unwrap_or_default();
        if let (Some(family), Some(given)) = (texts(values).first(), beside.first()) {
            add(Name::new(attr.as_str(), format!("{family} {given}")));
        }
    }
    found
}

/// What the roster says of a person: the describing row, and the keys of all rows.
pub fn person_card(roster: &Roster, person: PersonIx, judgement: Option<&Judgement>) -> Option<Card> {
    let described = judgement.and_then(|j| roster.row(j.row)).or_else(|| roster.rows_of(person).next())?;
    let mut card = Card::new(Who::Person { reference: described.reference() }, roster.anchor(person)?);
    let others = roster.rows_of(person).filter(|row| row.ix() != described.ix());
    for row in std::iter::once(described).chain(others) {
        let facts = [
            (Fact::Number, row.number()),
            (Fact::PreviousNumber, row.previous_number()),
            (Fact::Mail, row.mail()),
            (Fact::Login, row.login()),
            (Fact::Entity, row.entity().map(|e| e.as_str())),
            (Fact::Department, row.department()),
        ];
        for (fact, value) in facts {
            if let Some(value) = value.filter(|v| !card.values(fact).iter().any(|known| known == v)) {
                card.add(fact, value);
            }
        }
        for (source, value) in [("name", row.name()), ("name_kana", row.name_kana())] {
            if let Some(value) = value.filter(|v| !card.names.iter().any(|known| known.value == *v)) {
                card.names.push(Name::new(source, value));
            }
        }
    }
    if let Some(judgement) = judgement {
        card.add(Fact::Status, judgement.standing.presence.as_str());
    }
    let dates = [
        (Fact::Start, described.start()),
        (Fact::LastDay, described.last_day()),
        (Fact::LastDay, described.contract_end().filter(|end| described.contractor() && described.last_day() != Some(*end))),
    ];
    for (fact, date) in dates {
        if let Some(date) = date {
            card.add(fact, date.to_string());
        }
    }
    Some(card)
}
