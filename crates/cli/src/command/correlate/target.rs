//! What a command line means by an account, a candidate, a subject: found in the last audit, with the facts that a person is shown.

use std::collections::BTreeMap;

use untether_audit::cards::{account_card, person_card};
use untether_audit::correlate::{Decisions, account_anchor, anchor_of, is_person};
use untether_audit::stored::StoredAudit;
use untether_model::digest::Digest;
use untether_model::matching::{Candidate, Card, Held, MatchCase};
use untether_model::roster::{PersonIx, Roster, When, Zones};
use untether_model::snapshot::{Account, PathState, Subject};
use untether_model::{CaseId, Dn, FindingId, Side, SubjectId};

use crate::command::plan::stored_audit;
use crate::command::subject::find;
use crate::config::Config;
use crate::error::{CliError, chain};
use crate::state::Looked;
use crate::wiring::decisions::in_force;

/// The last audit, and what people decided since the beginning.
pub struct Look<'a> {
    pub config: &'a Config,
    pub looked: &'a Looked,
    pub stored: StoredAudit<'a>,
    /// Record of the audit.
    pub audit: u64,
    pub snapshot: Digest,
    /// Decisions in force.
    pub decisions: Decisions,
}

/// An account that is spoken of.
pub struct Target {
    pub card: Card,
    /// The case, where it is undecided.
    pub case: Option<MatchCase>,
    /// The subject that it is in.
    pub subject: SubjectId,
}

/// Somebody whom an account is said to belong to, or not.
pub struct Whom {
    pub candidate: Candidate,
    /// Its subject; `None` for a person without any account.
    pub subject: Option<SubjectId>,
}

impl Whom {
    /// What is named where somebody says that an account is not theirs: the person or account, and every account that they have, so
    /// that none of them brings it back.
    pub fn anchors(&self) -> Vec<String> {
        let held = self.candidate.accounts.iter().map(|held| held.anchor.clone());
        let mut anchors: Vec<String> = std::iter::once(self.candidate.card.anchor.clone()).chain(held).collect();
        anchors.dedup();
        anchors
    }
}

impl<'a> Look<'a> {
    /// Opens the last audit.
    pub fn new(config: &'a Config, looked: &'a Looked) -> Result<Self, CliError> {
        let Some((audit, found)) = looked.state.audits().iter().next_back() else {
            return Err(CliError::usage("nothing has been audited yet").hint("`untether audit`"));
        };
        let stored = stored_audit(&looked.dir, &looked.keys, &found.snapshot)?;
        let decisions = in_force(&looked.state, &config.audit.entities, looked.now()).0;
        Ok(Self { config, looked, stored, audit: *audit, snapshot: found.snapshot, decisions })
    }

    /// The undecided matches.
    pub fn cases(&self) -> Result<impl Iterator<Item = Result<MatchCase, CliError>>, CliError> {
        let cases = self.stored.cases().map_err(|e| CliError::state(chain(&e)))?;
        Ok(cases.map(|case| case.map_err(|e| CliError::state(format!("the undecided matches cannot be read: {}", chain(&e))))))
    }

    /// An undecided match by its id, its finding, its account's DN or the id of the account's subject.
    pub fn case(&self, text: &str) -> Result<Option<MatchCase>, CliError> {
        let dn = Dn::parse(text).ok();
        let (id, finding, subject) = (CaseId::new(text), FindingId::new(text), SubjectId::new(text));
        for case in self.cases()? {
            let case = case?;
            let is_it = case.id == id
                || case.finding == finding
                || case.account.subject.as_ref() == Some(&subject)
                || account_dn(&case.account).is_some_and(|account| dn.as_ref().is_some_and(|dn| dn.key() == account.key()));
            if is_it {
                return Ok(Some(case));
            }
        }
        Ok(None)
    }

    /// An account: undecided or not.
    pub fn target(&self, text: &str) -> Result<Target, CliError> {
        if let Some(case) = self.case(text)? {
            let subject = case.account.subject.clone().unwrap_or_else(|| SubjectId::from_anchor(&case.account.anchor));
            return Ok(Target { card: case.account.clone(), case: Some(case), subject });
        }
        if text.starts_with("m-") && !text.contains('=') {
            return Err(CliError::usage(format!("the last audit has no undecided match '{text}'"))
                .hint("`untether correlate` lists them; `--decided` shows what was decided"));
        }
        let subject = self.subject(text)?;
        let account = one_account(&subject, text)?;
        let card = self.card(account, &subject.id)?;
        Ok(Target { card, case: None, subject: subject.id.clone() })
    }

    /// A subject of the last audit, by any name.
    pub fn subject(&self, text: &str) -> Result<Subject, CliError> {
        let found = find(self.config, self.looked, text)?;
        found.subject.ok_or_else(|| CliError::usage(format!("the last audit does not know subject {} any more", found.id)))
    }

    /// The card of an account, from its entry.
    pub fn card(&self, account: &Account, subject: &SubjectId) -> Result<Card, CliError> {
        let state = account.state.overall();
        let entries = self.stored.entries(account.side).map_err(|e| CliError::state(chain(&e)))?;
        for entry in entries {
            let entry = entry.map_err(|e| CliError::state(chain(&e)))?;
            if account_anchor(account.side, &entry) == anchor_of(account) {
                let mut card = account_card(&self.config.audit, account.side, &entry, state);
                card.subject = Some(subject.clone());
                return Ok(card);
            }
        }
        Err(CliError::state(format!("the snapshot does not hold the entry of {}", account.dn)))
    }

    /// Whom an account is said to belong to: a candidate's number, or somebody by any name.
    pub fn whom(&self, target: &Target, text: &str) -> Result<Whom, CliError> {
        if let Some(case) = &target.case {
            let numbered = text.parse::<usize>().ok().and_then(|n| n.checked_sub(1)).and_then(|n| case.candidates.get(n));
            let named = || case.candidates.iter().find(|c| is_named(c, text));
            if let Some(candidate) = numbered.or_else(named) {
                return Ok(Whom { candidate: candidate.clone(), subject: candidate.card.subject.clone() });
            }
        }
        // A person of the roster first: employee numbers are known there even where there is no account.
        if let Some(person) = self.person(text)? {
            return Ok(person);
        }
        let subject = self.subject(text)?;
        if is_person(&subject.anchor)
            && let Some(person) = self.person(&subject.anchor)?
        {
            return Ok(person);
        }
        let account = match Dn::parse(text) {
            Ok(_) => one_account(&subject, text)?,
            // The account that stands for the subject.
            Err(_) => subject
                .accounts
                .iter()
                .find(|a| anchor_of(a) == subject.anchor)
                .or_else(|| subject.accounts.first())
                .ok_or_else(|| CliError::usage(format!("subject {} has no account", subject.id)))?,
        };
        let card = self.card(account, &subject.id)?;
        Ok(Whom { candidate: Candidate { card, by: Vec::new(), accounts: Vec::new() }, subject: Some(subject.id) })
    }

    /// A person of the roster by anchor, person id, or entity and number (`own/10023`), with the accounts that the last audit gave them.
    fn person(&self, text: &str) -> Result<Option<Whom>, CliError> {
        let roster = self.roster()?;
        let anchor = if is_person(text) { text.to_owned() } else { format!("roster/{text}") };
        let is_it = |person: &PersonIx| {
            roster.anchor(*person).is_some_and(|a| a == anchor) || roster.rows_of(*person).any(|row| row.reference() == text)
        };
        let mut found = roster.people().filter(is_it);
        let Some(person) = found.next() else { return Ok(None) };
        if found.next().is_some() {
            return Err(CliError::usage(format!("'{text}' is several people of the roster"))
                .hint("give a candidate's number, or a subject's id"));
        }
        let header = self.stored.header();
        let when = header.as_of.map_or(When::At(header.taken_at), When::On);
        let judgement = roster.judge(person, &Zones::of(&self.config.audit.entities), when);
        let Some(mut card) = person_card(&roster, person, judgement.as_ref()) else { return Ok(None) };
        let subject = SubjectId::from_anchor(&card.anchor);
        let accounts = self.accounts_of(&subject)?;
        card.subject = (!accounts.is_empty()).then(|| subject.clone());
        let subject = card.subject.clone();
        Ok(Some(Whom { candidate: Candidate { card, by: Vec::new(), accounts }, subject }))
    }

    fn accounts_of(&self, id: &SubjectId) -> Result<Vec<Held>, CliError> {
        let subjects = self.stored.subjects().map_err(|e| CliError::state(chain(&e)))?;
        for subject in subjects {
            let subject = subject.map_err(|e| CliError::state(chain(&e)))?;
            if subject.id == *id {
                return Ok(subject.accounts.iter().map(held).collect());
            }
        }
        Ok(Vec::new())
    }

    /// The roster as the last audit read it; one that has changed since is refused.
    fn roster(&self) -> Result<Roster, CliError> {
        let roster = crate::wiring::roster::read(self.config)?.roster;
        if roster.digest() != self.stored.header().roster {
            return Err(CliError::usage(
                "the roster has changed since the last audit: what it says of people may be different now",
            )
            .hint("`untether audit`, then decide"));
        }
        Ok(roster.with_merged(&self.decisions.merged_people()))
    }

    /// Names of accounts by anchor, for people: anchors are ids of servers.
    pub fn names(&self, anchors: impl Fn(&str) -> bool) -> Result<BTreeMap<String, (Side, Dn)>, CliError> {
        let mut found = BTreeMap::new();
        for subject in self.stored.subjects().map_err(|e| CliError::state(chain(&e)))? {
            let subject = subject.map_err(|e| CliError::state(chain(&e)))?;
            for account in &subject.accounts {
                let anchor = anchor_of(account);
                if anchors(&anchor) {
                    found.insert(anchor, (account.side, account.dn.clone()));
                }
            }
        }
        Ok(found)
    }
}

fn held(account: &Account) -> Held {
    let state: PathState = account.state.overall();
    Held { anchor: anchor_of(account), side: account.side, dn: account.dn.clone(), state, last_use: account.last_use }
}

/// The DN of an account's card.
pub fn account_dn(card: &Card) -> Option<&Dn> {
    match &card.who {
        untether_model::matching::Who::Account { dn, .. } => Some(dn),
        untether_model::matching::Who::Person { .. } => None,
    }
}

fn is_named(candidate: &Candidate, text: &str) -> bool {
    let card = &candidate.card;
    let dn = Dn::parse(text).ok();
    let dns = account_dn(card).into_iter().chain(candidate.accounts.iter().map(|held| &held.dn));
    card.anchor == text
        || card.title() == text
        || card.subject.as_ref().is_some_and(|id| id.as_str() == text)
        || dn.is_some_and(|dn| dns.into_iter().any(|known| known.key() == dn.key()))
}

/// The account of a subject that a text means: the one with this DN, else its only one.
pub fn one_account<'s>(subject: &'s Subject, text: &str) -> Result<&'s Account, CliError> {
    let dn = Dn::parse(text).ok();
    let named = subject.accounts.iter().find(|a| dn.as_ref().is_some_and(|dn| dn.key() == a.dn.key()));
    match (named, subject.accounts.as_slice()) {
        (Some(account), _) | (None, [account]) => Ok(account),
        (None, several) => {
            let dns: Vec<String> = several.iter().map(|a| format!("'{}'", a.dn)).collect();
            Err(CliError::usage(format!("subject {} has several accounts: which one?", subject.id))
                .hint(format!("give one of: {}", dns.join(", "))))
        }
    }
}
