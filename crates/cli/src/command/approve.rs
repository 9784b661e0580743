//! `untether approve` and `plan approve`: people sign orders.

use jiff::{SignedDuration, Timestamp};
use untether_cutover::PROTECTED_GROUP;
use untether_model::approval::{Statement, Subject};
use untether_model::digest::Digest;
use untether_model::operation::Stage;
use untether_model::run::{Record, RunState};
use untether_model::{OpId, PlanId, Round, WaveId};
use untether_planner::rollback::Operations as _;

use crate::args::{ApproveArgs, SignArgs};
use crate::config::Config;
use crate::error::{CliError, Exit};
use crate::output::Output;
use crate::state::Opened;
use crate::wiring::recorded::RecordedWaves;
use crate::wiring::ssh::{Signing, sign};

/// `approve ID`.
pub async fn run(config: &Config, args: &ApproveArgs, output: &Output) -> Result<Exit, CliError> {
    let opened = Opened::open(config).await?;
    if args.revoke {
        return revoke(&opened, args, output).await;
    }
    if args.forget {
        return approve_forget(config, &opened, args, output).await;
    }
    if let Ok(op) = args.id.parse::<OpId>() {
        return approve_member(config, &opened, (&op, args), output).await;
    }
    let (order, wave) = split(&args.id);
    let request = Request {
        order: PlanId::new(order),
        wave: wave.map(str::to_owned),
        through: stage(&args.through)?,
        round: args.round.map(Round),
        until: args.until.as_deref(),
        reason: &args.reason,
    };
    approve(config, &opened, &request, &args.sign, output).await
}

/// One approval that is asked for.
pub struct Request<'a> {
    /// The order.
    pub order: PlanId,
    /// Its wave; the only one where absent.
    pub wave: Option<String>,
    /// Highest stage.
    pub through: Stage,
    /// Round; the present one where absent.
    pub round: Option<Round>,
    /// Until when.
    pub until: Option<&'a str>,
    /// Why.
    pub reason: &'a str,
}

/// Has a statement signed and records it.
pub async fn approve(
    config: &Config,
    opened: &Opened,
    request: &Request<'_>,
    sign_args: &SignArgs,
    output: &Output,
) -> Result<Exit, CliError> {
    let now = opened.now();
    let (digest, wave, round) = opened.look(|state| find(state, request))?;
    let not_after = until(request.until, now)?;
    let statement = Statement {
        state: opened.state_id()?,
        subject: Subject::Order { digest, wave: wave.clone(), round, through: request.through },
        reason: request.reason.to_owned(),
        not_after,
    };
    match sign(config, statement, sign_args)? {
        Signing::Written(next) => {
            output.say(next);
            Ok(Exit::Done)
        }
        Signing::Signed(signed) => {
            let (by, not_after) = (signed.approver.clone(), signed.statement.not_after);
            let seq = opened.record(Record::Approved { signed: *signed }).await?;
            let id = &request.order;
            output.say(format!(
                "{by} approved {id}/{wave}, round {round}, through {}, until {not_after:.0} (record {seq})",
                request.through
            ));
            output.object("approve", &serde_json::json!({
                "order": id, "wave": wave, "round": round, "through": request.through, "by": by, "until": not_after, "record": seq,
            }));
            Ok(Exit::Done)
        }
    }
}

/// The digest to sign, the wave and the round that the approval is for.
fn find(state: &RunState, request: &Request<'_>) -> Result<(Digest, String, Round), CliError> {
    let id = &request.order;
    let order = state.orders().get(id).ok_or_else(|| {
        CliError::usage(format!("'{id}' is no recorded order")).hint("`untether status` lists plans and rollbacks")
    })?;
    let name = match (&request.wave, order.waves.as_slice()) {
        (Some(name), waves) if waves.iter().any(|w| w.name == *name) => name.clone(),
        (None, [only]) => only.name.clone(),
        (_, waves) => {
            let names: Vec<&str> = waves.iter().map(|w| w.name.as_str()).collect();
            return Err(CliError::usage(format!("which wave of {id}?")).hint(format!("it has: {}", names.join(", "))));
        }
    };
    let wave = WaveId::new(id.clone(), name.as_str());
    let rounds = state.batches().iter().filter(|(b, _)| b.wave == wave).map(|(_, b)| b.round);
    let round = request.round.or_else(|| rounds.max()).unwrap_or(Round::FIRST);
    Ok((order.digest, name, round))
}

async fn revoke(opened: &Opened, args: &ApproveArgs, output: &Output) -> Result<Exit, CliError> {
    let (order, wave) = split(&args.id);
    let found: Vec<(u64, String)> = opened.look(|state| {
        let digest = state.orders().get(&PlanId::new(order)).map(|o| o.digest);
        let matches = |subject: &Subject| match subject {
            Subject::Order { digest: d, wave: w, .. } => Some(*d) == digest && wave.is_none_or(|wave| wave == w),
            Subject::Object { .. } => false,
        };
        let approvals = state.approvals().iter().filter(|(_, a)| !a.revoked && matches(&a.signed.statement.subject));
        let mine = approvals.filter(|(_, a)| args.sign.approver.as_ref().is_none_or(|name| *name == a.signed.approver));
        mine.map(|(seq, a)| (*seq, a.signed.approver.clone())).collect()
    });
    if found.is_empty() {
        return Err(CliError::usage(format!("no approval of '{}' is in force", args.id)));
    }
    let count = found.len();
    for (approval, by) in found {
        let reason = args.reason.clone();
        opened.record(Record::Revoked { approval, by: by.clone(), reason }).await?;
        output.say(format!("the approval of {} by {by} (record {approval}) no longer counts", args.id));
    }
    output.object("approve", &serde_json::json!({ "order": args.id, "revoked": count }));
    Ok(Exit::Done)
}

/// Signs that a departed member is taken out of a protected group.
async fn approve_member(
    config: &Config,
    opened: &Opened,
    (op, args): (&OpId, &ApproveArgs),
    output: &Output,
) -> Result<Exit, CliError> {
    let state = opened.state_now();
    let planned = RecordedWaves::new(opened, &state).operation(op).map_err(CliError::usage)?;
    if !planned.protected_group {
        return Err(CliError::usage(format!("operation {op} needs no approval of its own"))
            .hint(format!("its wave does: `untether approve {}`", op.wave())));
    }
    let shown = state.orders().get(&op.wave().plan).map(|o| o.digest);
    let shown = shown.ok_or_else(|| CliError::usage(format!("'{}' is no recorded order", op.wave().plan)))?;
    output.note(format!(
        "{op}: departed members ({}) leave the protected group '{}'",
        planned.subjects.len(),
        planned.target.dn()
    ));
    let statement = Statement {
        state: opened.state_id()?,
        subject: Subject::Object { kind: PROTECTED_GROUP.to_owned(), object: op.to_string(), shown },
        reason: args.reason.clone(),
        not_after: until(args.until.as_deref(), opened.now())?,
    };
    match sign(config, statement, &args.sign)? {
        Signing::Written(next) => output.say(next),
        Signing::Signed(signed) => {
            let by = signed.approver.clone();
            let seq = opened.record(Record::Approved { signed: *signed }).await?;
            output.say(format!("{by} approved that operation {op} changes the protected group"));
            output.object("approve", &serde_json::json!({ "operation": op, "by": by, "record": seq }));
        }
    }
    Ok(Exit::Done)
}

async fn approve_forget(config: &Config, opened: &Opened, args: &ApproveArgs, output: &Output) -> Result<Exit, CliError> {
    let wave: WaveId = args.id.parse().map_err(|e: untether_model::ids::BadId| CliError::usage(e.to_string()))?;
    let shown = opened.look(|state| state.waves().get(&wave).map(|w| w.digest));
    let shown = shown.ok_or_else(|| CliError::usage(format!("wave {wave} has not started")))?;
    let statement = Statement {
        state: opened.state_id()?,
        subject: Subject::Object { kind: "forget".to_owned(), object: wave.to_string(), shown },
        reason: args.reason.clone(),
        not_after: until(args.until.as_deref(), opened.now())?,
    };
    match sign(config, statement, &args.sign)? {
        Signing::Written(next) => output.say(next),
        Signing::Signed(signed) => {
            let by = signed.approver.clone();
            opened.record(Record::Approved { signed: *signed }).await?;
            output.say(format!("{by} approved that the key of wave {wave} is destroyed"));
            output.object("approve", &serde_json::json!({ "forget": wave, "by": by }));
        }
    }
    Ok(Exit::Done)
}

/// A stage's name, or an error that lists them.
pub fn stage(text: &str) -> Result<Stage, CliError> {
    Stage::parse(text).ok_or_else(|| {
        let names: Vec<&str> = Stage::ALL.iter().map(|s| s.as_str()).collect();
        CliError::usage(format!("'{text}' is no stage")).hint(format!("stages are: {}", names.join(", ")))
    })
}

/// A date (its last second, UTC) or a timestamp; seven days from now where absent.
pub fn until(text: Option<&str>, now: Timestamp) -> Result<Timestamp, CliError> {
    let Some(text) = text else {
        return now.checked_add(SignedDuration::from_hours(7 * 24)).map_err(|e| CliError::failed(e.to_string()));
    };
    let parsed = text.parse::<Timestamp>().ok().or_else(|| format!("{text}T23:59:59Z").parse().ok());
    let at = parsed.ok_or_else(|| {
        CliError::usage(format!("'{text}' is neither a date nor a timestamp"))
            .hint("write 2026-12-31 or 2026-12-31T18:00:00+09:00")
    })?;
    if at <= now {
        return Err(CliError::usage(format!("'{text}' is in the past")));
    }
    Ok(at)
}

fn split(id: &str) -> (&str, Option<&str>) {
    match id.split_once('/') {
        Some((order, wave)) => (order, Some(wave)),
        None => (id, None),
    }
}
