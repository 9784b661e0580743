//! What all decisions of people on something other than an order share: the statement that is signed, the record, the taking back.

use jiff::Timestamp;
use untether_model::approval::{Signed, Statement, Subject as About};
use untether_model::digest::Digest;
use untether_model::run::{Decided, Decision, DecisionId, Record, list_digest};

use crate::args::SignArgs;
use crate::config::Config;
use crate::error::CliError;
use crate::output::Output;
use crate::state::Opened;
use crate::wiring::ssh::{Signing, sign};

/// `not_after` of a statement whose decision counts until it is taken back: 9999-12-30.
pub const NO_END: Timestamp = Timestamp::constant(253_402_128_000, 0);

/// Decisions that one signature covers: their record holds all of them.
const MOST: usize = 20_000;

/// What a person is asked to sign.
pub struct Asked<'a> {
    /// `finding`, `match`, `track`, `withdraw`.
    pub kind: &'a str,
    /// Which one, in words.
    pub object: String,
    /// Why.
    pub reason: &'a str,
    /// Until when it counts.
    pub not_after: Timestamp,
    /// What is recorded first, once it is signed: a crash between leaves nothing that the decision would have to be there for.
    pub first: Vec<Record>,
}

/// What became of it.
pub enum Recorded {
    /// The statement was written into a file, to be signed elsewhere; what to do next was said.
    Written,
    /// By whom, and the record.
    Done(String, u64),
}

/// The reason of a decision, which must say something.
pub fn reason(text: &str) -> Result<&str, CliError> {
    match text.trim() {
        "" => Err(CliError::usage("a decision needs a reason").hint("give --reason TEXT")),
        reason => Ok(reason),
    }
}

/// Has the decisions signed and recorded: all of them in one record, or none.
pub async fn record(
    config: &Config,
    opened: &Opened,
    asked: Asked<'_>,
    (mut decisions, sign_args): (Vec<Decided>, &SignArgs),
    output: &Output,
) -> Result<Recorded, CliError> {
    if decisions.len() > MOST {
        return Err(CliError::usage(format!("{} decisions at once; at most {MOST} go under one signature", decisions.len()))
            .hint("narrow the choice, and decide on one part after the other"));
    }
    let alone = decisions.len() == 1 && decisions.iter().all(|d| d.reason.is_none());
    let shown = match decisions.as_slice() {
        [only] if alone => only.shown,
        several => list_digest(several),
    };
    let statement = Statement {
        state: opened.state_id()?,
        subject: About::Object { kind: asked.kind.to_owned(), object: asked.object, shown },
        reason: asked.reason.to_owned(),
        not_after: asked.not_after,
    };
    let signed: Signed = match sign(config, statement, sign_args)? {
        Signing::Written(next) => {
            output.say(&next);
            output.object("statement", &serde_json::json!({ "written": sign_args.statement, "next": next }));
            return Ok(Recorded::Written);
        }
        Signing::Signed(signed) => *signed,
    };
    let by = signed.approver.clone();
    for first in asked.first {
        opened.record(first).await?;
    }
    let record = match decisions.pop() {
        Some(only) if alone => Record::Decision { decision: only.decision, signed },
        last => {
            decisions.extend(last);
            Record::Decisions { decisions, signed }
        }
    };
    Ok(Recorded::Done(by, opened.record(record).await?))
}

/// Takes decisions back, by signature; `first` is as in [`Asked::first`].
pub async fn withdraw(
    config: &Config,
    opened: &Opened,
    (ids, why, first): (&[DecisionId], &str, Vec<Record>),
    sign_args: &SignArgs,
    output: &Output,
) -> Result<Recorded, CliError> {
    let why = reason(why)?;
    let decisions = opened.look(|state| {
        ids.iter()
            .map(|id| {
                let earlier = state
                    .decision(*id)
                    .filter(|d| !matches!(d.decision, Decision::Withdraw { .. }))
                    .ok_or_else(|| CliError::usage(format!("decision {id} is not in force: there is nothing to take back")))?;
                let shown = Digest::of(serde_json::to_value(earlier).unwrap_or_default().to_string().as_bytes());
                Ok(Decided { decision: Decision::Withdraw { decision: *id }, reason: None, shown })
            })
            .collect::<Result<Vec<_>, CliError>>()
    })?;
    let names: Vec<String> = ids.iter().map(ToString::to_string).collect();
    let object = match names.as_slice() {
        [only] => format!("decision {only}"),
        several => format!("{} decisions", several.len()),
    };
    let asked = Asked { kind: "withdraw", object, reason: why, not_after: NO_END, first };
    record(config, opened, asked, (decisions, sign_args), output).await
}
