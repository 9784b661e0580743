//! `untether gate`: gates with what was observed, and signed acceptances.

use untether_model::approval::{Statement, Subject};
use untether_model::digest::Digest;
use untether_model::run::{GateKind, GateScope, Observation, Observed, Record};
use untether_model::{BatchId, SubjectId, WaveId};

use crate::args::GateCommand;
use crate::command::approve::until;
use crate::config::Config;
use crate::error::{CliError, Exit};
use crate::output::Output;
use crate::state::{Looked, Opened};
use crate::wiring::ssh::{Signing, sign};

/// `gate list`, `gate accept`.
pub async fn run(config: &Config, command: &GateCommand, output: &Output) -> Result<Exit, CliError> {
    match command {
        GateCommand::List { wave } => list(config, wave.as_deref(), output),
        GateCommand::Accept { gate, wave, batch, subject, until: till, reason, sign: sign_args } => {
            let gate = GateKind::parse(gate)
                .ok_or_else(|| CliError::usage(format!("'{gate}' is no gate")).hint("gates are: mfa, own-account, silence"))?;
            let wave: WaveId = wave.parse().map_err(|e: untether_model::ids::BadId| CliError::usage(e.to_string()))?;
            let scope = match (batch, subject) {
                (_, Some(subject)) => GateScope::Subject(SubjectId::new(subject.as_str())),
                (Some(batch), None) => {
                    let name = batch.rsplit('/').next().unwrap_or(batch);
                    GateScope::Batch(BatchId::new(wave.clone(), name))
                }
                (None, None) => GateScope::Wave(wave.clone()),
            };
            if reason.trim().is_empty() {
                return Err(CliError::usage("an acceptance needs a reason").hint("give --reason TEXT"));
            }
            let opened = Opened::open(config).await?;
            let known = opened.look(|state| state.waves().contains_key(&wave) || state.orders().contains_key(&wave.plan));
            if !known {
                return Err(CliError::usage(format!("wave {wave} is in no recorded plan")));
            }
            let seen = opened.look(|state| state.gate_observation(gate, &scope).cloned());
            let shown = Digest::of(serde_json::to_string(&seen).unwrap_or_default().as_bytes());
            let statement = Statement {
                state: opened.state_id()?,
                subject: Subject::Object { kind: "gate".to_owned(), object: format!("{gate} of {scope}"), shown },
                reason: reason.clone(),
                not_after: until(Some(till), opened.now())?,
            };
            if let Some(words) = seen.as_ref().and_then(words) {
                output.note(format!("observed: {words}"));
            }
            match sign(config, statement, sign_args)? {
                Signing::Written(next) => output.say(next),
                Signing::Signed(signed) => {
                    let (by, till) = (signed.approver.clone(), signed.statement.not_after);
                    opened.record(Record::GateAccepted { gate, scope: scope.clone(), signed: *signed }).await?;
                    output.say(format!(
                        "{by} answers for passing gate {gate} of {scope} until {till}; it counts as accepted, never as passed"
                    ));
                }
            }
            Ok(Exit::Done)
        }
    }
}

fn words(observed: &Observed) -> Option<String> {
    match &observed.what {
        Observation::Gate { verdict, why, .. } => {
            let verdict = serde_json::to_value(verdict).ok()?;
            Some(format!("{} — {why} (by {}, {})", verdict.as_str().unwrap_or_default(), observed.source, observed.to))
        }
        Observation::Capabilities { .. } | Observation::Proof { .. } => None,
    }
}

fn list(config: &Config, wave: Option<&str>, output: &Output) -> Result<Exit, CliError> {
    let looked = Looked::look(config)?;
    let wave: Option<WaveId> =
        wave.map(|w| w.parse().map_err(|e: untether_model::ids::BadId| CliError::usage(e.to_string()))).transpose()?;
    let state = &looked.state;
    let in_wave = |scope: &GateScope| match (&wave, scope) {
        (None, _) => true,
        (Some(w), GateScope::Wave(id)) => id == w,
        (Some(w), GateScope::Batch(id)) => id.wave == *w,
        (Some(w), GateScope::Subject(id)) => state.subjects().get(id).is_some_and(|s| s.batch.wave == *w),
    };
    let mut shown = 0;
    for ((gate, scope), observed) in state.gates().iter().filter(|((_, scope), _)| in_wave(scope)) {
        shown += 1;
        output.say(format!("{gate:<12} {scope}: {}", words(observed).unwrap_or_default()));
        output.row(&serde_json::json!({ "gate": gate, "scope": scope, "observed": observed }));
    }
    for acceptance in state.accepted().values().filter(|a| in_wave(&a.scope)) {
        shown += 1;
        let statement = &acceptance.signed.statement;
        output.say(format!(
            "{:<12} {}: accepted by {} until {} — {}",
            acceptance.gate.as_str(),
            acceptance.scope,
            acceptance.signed.approver,
            statement.not_after,
            statement.reason
        ));
        output.row(&serde_json::json!({ "gate": acceptance.gate, "scope": acceptance.scope, "accepted": acceptance.signed }));
    }
    if shown == 0 {
        output.say("nothing has been observed or accepted at any gate yet");
    }
    Ok(Exit::Done)
}
