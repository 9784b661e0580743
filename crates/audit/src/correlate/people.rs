//! The roster as correlation sees it: who has which key, and how each person stands.

use std::collections::BTreeMap;

use untether_model::EntityId;
use untether_model::roster::{Judgement, PersonIx, Presence, Roster, RowIx, RowView, When, Zones};

use super::AccountKeys;
use untether_model::snapshot::MatchKey;

/// People whom one key of an account leads to.
pub struct Lead {
    /// The key.
    pub key: MatchKey,
    /// The people, in order, each once.
    pub people: Vec<PersonIx>,
}

/// The roster, judged.
pub struct People<'a> {
    roster: &'a Roster,
    zones: Zones,
    when: When,
    people: Vec<PersonIx>,
    presences: Vec<Presence>,
    /// The row that describes each person.
    rows: Vec<Option<RowIx>>,
}

impl<'a> People<'a> {
    /// Judges everybody once.
    pub fn new(roster: &'a Roster, zones: Zones, when: When) -> Self {
        let people: Vec<PersonIx> = roster.people().collect();
        let mut presences = Vec::with_capacity(people.len());
        let mut rows = Vec::with_capacity(people.len());
        for person in &people {
            let judgement = roster.judge(*person, &zones, when);
            // Somebody who cannot be judged is not called gone.
            presences.push(judgement.as_ref().map_or(Presence::NotYetStarted, |j| j.standing.presence));
            rows.push(judgement.map(|j| j.row));
        }
        Self { roster, zones, when, people, presences, rows }
    }

    /// Number of people.
    pub fn count(&self) -> u32 {
        u32::try_from(self.people.len()).unwrap_or(u32::MAX)
    }

    /// The person with this number.
    pub fn person(&self, number: u32) -> Option<PersonIx> {
        self.people.get(usize::try_from(number).ok()?).copied()
    }

    /// How a person stands.
    pub fn presence(&self, person: u32) -> Option<Presence> {
        self.presences.get(usize::try_from(person).ok()?).copied()
    }

    /// How a person stands, and why.
    pub fn judgement(&self, person: PersonIx) -> Option<Judgement> {
        self.roster.judge(person, &self.zones, self.when)
    }

    /// The row that describes a person.
    pub fn row(&self, judgement: &Judgement) -> Option<RowView<'a>> {
        self.roster.row(judgement.row)
    }

    /// The person's anchor.
    pub fn anchor(&self, person: PersonIx) -> Option<String> {
        self.roster.anchor(person)
    }

    /// The person's entity.
    pub fn entity(&self, person: PersonIx) -> Option<&'a EntityId> {
        let row = self.rows.get(person.index()).copied().flatten()?;
        self.roster.row(row)?.entity()
    }

    /// What the account's own keys lead to, the strongest first; keys that lead nowhere are left out, and each mail address and login
    /// counts by itself.
    pub fn leads(&self, keys: &AccountKeys) -> Vec<Lead> {
        let mut leads = Vec::new();
        let mut lead = |key, people: Vec<PersonIx>| {
            if !people.is_empty() {
                leads.push(Lead { key, people });
            }
        };
        if let Some(number) = &keys.number {
            let mut within: Vec<PersonIx> =
                keys.entities().into_iter().flat_map(|e| self.roster.by_entity_number(e, number)).collect();
            let previous = self.roster.by_previous_number(number);
            if within.is_empty() {
                let mut anywhere = self.roster.by_number(number);
                anywhere.extend(previous);
                lead(MatchKey::Number, unique(anywhere));
            } else {
                // The roster does not say in which entity a previous number was: two who carry it cannot be told apart.
                within.extend(previous);
                lead(MatchKey::EntityNumber, unique(within));
            }
        }
        for mail in &keys.mails {
            lead(MatchKey::Mail, self.roster.by_mail(mail));
        }
        for login in &keys.logins {
            lead(MatchKey::Login, self.roster.by_login(login));
        }
        leads
    }

    /// Everybody by anchor; those who were merged by each of their anchors.
    pub fn anchors(&self) -> BTreeMap<String, PersonIx> {
        let own = self.people.iter().filter_map(|p| Some((self.roster.anchor(*p)?, *p)));
        own.chain(self.roster.merged().iter().cloned()).collect()
    }
}

fn unique(mut people: Vec<PersonIx>) -> Vec<PersonIx> {
    people.sort_unstable();
    people.dedup();
    people
}
