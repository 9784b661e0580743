//! Observing gates: who is asked, what counts, and what is recorded. Judging is in `model::run`.

use jiff::Timestamp;
use untether_directory::Usability;
use untether_model::operation::{Stage, Track};
use untether_model::plan::{PlannedSubject, WaveHeader};
use untether_model::roster::Presence;
use untether_model::run::{DeliveryStatus, GateKind, GateScope, Observation, Observed, Record, RunState, Verdict};
use untether_model::{AttrName, BatchId, Side, SubjectId};

use crate::error::CutoverError;
use crate::execute::Executor;
use crate::image::{DESIRED, Image};

/// Whom a gate is asked about.
pub(crate) struct Asked<'a> {
    pub gate: GateKind,
    pub header: &'a WaveHeader,
    pub batch: &'a BatchId,
    pub subject: Option<&'a PlannedSubject>,
}

/// Whether a gate is asked about a subject at all.
pub(crate) fn applies(gate: GateKind, subject: &PlannedSubject, presence: Option<Presence>) -> bool {
    match gate {
        GateKind::Mfa => subject.stages.contains(&Stage::Enroll),
        GateKind::OwnAccount => match subject.track {
            Track::Migrate | Track::Finish => true,
            Track::Keep => presence.is_some_and(Presence::is_active) && subject.independent_dn.is_some(),
            Track::Retire | Track::Hold => false,
        },
        GateKind::Silence => false,
    }
}

impl Executor {
    /// Observes a gate now and records what was seen, unless exactly that is recorded already.
    pub(crate) async fn observe_gate(&self, asked: &Asked<'_>) -> Result<(), CutoverError> {
        let (verdict, why, source) = match (asked.gate, asked.subject) {
            (GateKind::Mfa, Some(subject)) => self.mfa(asked.header, subject).await?,
            (GateKind::OwnAccount, Some(subject)) => self.own_account(asked, subject).await?,
            (GateKind::Silence, _) => {
                let why = "the logs of the shared store are not read yet; only a signed acceptance lets this through";
                (Verdict::Unknown, why.to_owned(), "none")
            }
            (GateKind::Mfa | GateKind::OwnAccount, None) => return Ok(()),
        };
        let scope = match asked.subject {
            Some(subject) => GateScope::Subject(subject.id.clone()),
            None => GateScope::Batch(asked.batch.clone()),
        };
        let now = self.ports.time.now();
        let last = self.recorder.look(|state| state.gate_observation(asked.gate, &scope).cloned());
        let (from, unchanged) = match &last {
            Some(Observed { what: Observation::Gate { verdict: v, why: w, .. }, from, .. }) => {
                // The time for which a subject may wait counts from its first `hold` or `unknown`.
                let waits = |verdict| matches!(verdict, Verdict::Hold | Verdict::Unknown);
                let still_waiting = waits(*v) && waits(verdict);
                (if still_waiting { *from } else { now }, *v == verdict && *w == why)
            }
            _ => (now, false),
        };
        if unchanged {
            return Ok(());
        }
        let what = Observation::Gate { gate: asked.gate, scope, verdict, why };
        let coverage = "the independent directory, read now".to_owned();
        let observed = Observed { what, source: source.to_owned(), coverage, from, to: now, expires: None };
        self.recorder.record(Record::Observed { observed }).await.map(drop)
    }

    async fn mfa(&self, header: &WaveHeader, subject: &PlannedSubject) -> Result<(Verdict, String, &'static str), CutoverError> {
        let terms = header.terms.get(&subject.entity);
        if let Some(reason) = terms.and_then(|terms| terms.exempt_from_mfa(subject.kind)) {
            return Ok((Verdict::Exempt, reason.to_owned(), "plan"));
        }
        let Some(filter) = terms.and_then(|terms| terms.mfa_filter.as_deref()) else {
            return Ok((Verdict::Unknown, "no multi-factor filter is configured".to_owned(), "none"));
        };
        let Some(dn) = &subject.independent_dn else {
            return Ok((Verdict::Unknown, "the account in the independent directory is not known".to_owned(), "none"));
        };
        Ok(match self.matches_together(Side::Independent, dn, filter).await? {
            Some(true) => (Verdict::Pass, "an acceptable factor is enrolled".to_owned(), "ldap-filter"),
            Some(false) => (Verdict::Hold, "no acceptable factor is enrolled yet".to_owned(), "ldap-filter"),
            None => (Verdict::Unknown, "the account was not found".to_owned(), "ldap-filter"),
        })
    }

    async fn own_account(
        &self,
        asked: &Asked<'_>,
        subject: &PlannedSubject,
    ) -> Result<(Verdict, String, &'static str), CutoverError> {
        let Some(dn) = &subject.independent_dn else {
            return Ok((Verdict::Hold, "there is no account in the independent directory".to_owned(), "none"));
        };
        let attrs = ["userPassword", "pwdLastSuccess"].map(AttrName::new);
        let Some(entry) = self.read_together(Side::Independent, dn, &attrs).await? else {
            return Ok((Verdict::Hold, "the account in the independent directory was not found".to_owned(), "ldap"));
        };
        match self.usability_together(Side::Independent, dn).await? {
            Usability::Available => {}
            Usability::Unavailable => {
                let expired = self.recorder.look(|state| state.expired(&subject.id).is_some());
                let why = match expired {
                    true => "the one-time credential has expired unused: `untether handover issue` makes another one",
                    false => "the own account is locked or disabled",
                };
                return Ok((Verdict::Hold, why.to_owned(), "usability"));
            }
            Usability::Unknown => {
                let why = "the server does not say whether the own account is usable".to_owned();
                return Ok((Verdict::Unknown, why, "usability"));
            }
        }
        let issued = self.issued_hash(&subject.id)?;
        if let Some(hash) = &issued
            && entry.values("userPassword").contains(hash)
        {
            // Nobody can use what nobody got.
            let delivered = self.recorder.look(|state| {
                let delivery = state.subjects().get(&subject.id).and_then(|s| s.delivery.clone());
                delivery.is_some_and(|d| d.status == DeliveryStatus::Delivered && Some(d.issued) == state.issued(&subject.id))
            });
            return Ok(match delivered {
                true => (Verdict::Pass, "the one-time credential is in place and unused".to_owned(), "stored-value"),
                false => (Verdict::Hold, "the one-time credential was not handed over yet".to_owned(), "stored-value"),
            });
        }
        let (since, too_early) = self.recorder.look(|state| login_since(state, asked, subject, self.ports.time.now()));
        let last = entry.values("pwdLastSuccess").iter().filter_map(untether_model::time::generalized).max();
        Ok(match last {
            Some(at) if at >= since => (Verdict::Pass, "a login to the own account was seen".to_owned(), "last-login"),
            Some(at) => {
                (Verdict::Unknown, format!("the last login to the own account was at {at:.0}, {too_early}"), "last-login")
            }
            None => (Verdict::Unknown, "no login to the own account was ever seen".to_owned(), "last-login"),
        })
    }

    /// The hash of the one-time credential that was issued to the subject, if one was.
    fn issued_hash(&self, subject: &SubjectId) -> Result<Option<untether_model::Value>, CutoverError> {
        Ok(self
            .issued(subject)?
            .and_then(|image| image.attrs.into_iter().find(|(a, _)| a.is("userpassword")))
            .and_then(|(_, values)| values.into_iter().next()))
    }

    /// The desired state of the intent that set the subject's last one-time credential, with the secret in it.
    pub(crate) fn issued(&self, subject: &SubjectId) -> Result<Option<Image>, CutoverError> {
        let started = self.recorder.look(|state| state.issued(subject));
        let Some(seq) = started else { return Ok(None) };
        let intent = self.ports.ledger.started(seq).map_err(CutoverError::File)?;
        let wave = intent.op.wave();
        let key = self.ports.keys.key(wave).map_err(|reason| CutoverError::Key { wave: wave.clone(), reason })?;
        let image = Image::unseal(&key, DESIRED, &intent.op, &intent.desired);
        let image = image.map_err(|source| CutoverError::Sealed { op: intent.op.clone(), source })?;
        Ok(image.secret.is_some().then_some(image))
    }
}

/// Since when a login counts: the subject's switch, or, on a track without one, the configured number of days. What is said of one
/// before that stays the same as time goes by, so that it is recorded once.
fn login_since(state: &RunState, asked: &Asked<'_>, subject: &PlannedSubject, now: Timestamp) -> (Timestamp, String) {
    let switched = subject
        .stages
        .contains(&Stage::Switch)
        .then(|| state.batches().get(asked.batch))
        .flatten()
        .filter(|batch| batch.ended == Some(Stage::Switch))
        .and_then(|batch| batch.ended_at);
    let days = asked.header.terms.get(&subject.entity).map_or(0, |terms| i64::from(terms.own_account_login_days));
    match switched {
        Some(at) => (at, format!("before the switch at {at:.0}")),
        None => {
            let since = now.checked_sub(jiff::SignedDuration::from_hours(24 * days)).unwrap_or(now);
            (since, format!("longer ago than {days} days"))
        }
    }
}
