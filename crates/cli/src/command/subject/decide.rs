//! `subject decide`: a person's word on what is to become of a subject, and the taking back of it.

use jiff::civil::Date;
use untether_model::digest::Digest;
use untether_model::operation::Track;
use untether_model::run::{Decided, Decision, Exceptions};

use super::find::find;
use crate::args::SignArgs;
use crate::command::approve::until as until_time;
use crate::command::decide::{Asked, Recorded, reason, record, withdraw};
use crate::config::Config;
use crate::error::{CliError, Exit};
use crate::output::Output;
use crate::state::{Looked, Opened};

/// What is asked of `decide`.
pub struct Wanted<'a> {
    /// The subject, by any name.
    pub id: &'a str,
    /// The track's name.
    pub track: &'a str,
    /// Last day.
    pub until: Date,
    /// Why.
    pub reason: &'a str,
}

/// Decides on a subject's track.
pub async fn decide(config: &Config, wanted: &Wanted<'_>, sign_args: &SignArgs, output: &Output) -> Result<Exit, CliError> {
    let track = [Track::Retire, Track::Keep, Track::Hold]
        .into_iter()
        .find(|t| t.as_str() == wanted.track)
        .ok_or_else(|| CliError::usage(format!("'{}' cannot be decided", wanted.track)).hint("tracks are: retire, keep, hold"))?;
    let why = reason(wanted.reason)?;
    // Held before anything is looked at, so that nothing changes between what was shown and what is signed.
    let opened = Opened::open(config).await?;
    let looked = Looked::look(config)?;
    let found = find(config, &looked, wanted.id)?;
    let (id, until) = (found.id.clone(), wanted.until);
    if found.subject.as_ref().is_some_and(|s| s.protected) {
        return Err(CliError::usage(format!("subject {id} is a protected identity: untether never touches it")));
    }
    if looked.state.progress_of(&id).is_some_and(|(_, s)| s.claimed) {
        output.note(format!("subject {id} is in the hands of a wave, which goes on; the decision counts for later plans"));
    }
    let entity = found.subject.as_ref().and_then(|s| s.entity.clone());
    let decided = Decided {
        decision: Decision::Track { subject: id.clone(), track, until, entity },
        reason: None,
        shown: Digest::of(serde_json::to_string(&found.subject).map_err(CliError::failed)?.as_bytes()),
    };
    let asked = Asked {
        kind: "track",
        object: format!("{track} of {id} until {until}"),
        reason: why,
        not_after: until_time(Some(&until.to_string()), opened.now())?,
        first: Vec::new(),
    };
    if let Recorded::Done(by, record) = record(config, &opened, asked, (vec![decided], sign_args), output).await? {
        output.say(format!("{by} decided: {track} for subject {id} until {until} (record {record})"));
        output.say("Next: `untether audit`, then `untether plan`.");
        output.object(
            "subject.decide",
            &serde_json::json!({ "subject": id, "track": track, "until": until, "by": by, "record": record }),
        );
    }
    Ok(Exit::Done)
}

/// `subject decide --withdraw`.
pub async fn take_back(
    config: &Config,
    (text, why): (&str, &str),
    sign_args: &SignArgs,
    output: &Output,
) -> Result<Exit, CliError> {
    reason(why)?;
    let opened = Opened::open(config).await?;
    let looked = Looked::look(config)?;
    let id = find(config, &looked, text)?.id;
    let exceptions = Exceptions::of(&looked.state);
    let decided = exceptions
        .tracks
        .get(&id)
        .ok_or_else(|| CliError::usage(format!("nobody decided on the track of subject {id}: there is nothing to take back")))?;
    let (track, until) = (decided.track, decided.until);
    if let Recorded::Done(by, record) =
        withdraw(config, &opened, (&[decided.decision], why, Vec::new()), sign_args, output).await?
    {
        output.say(format!("{by} took back: {track} for subject {id} until {until} (record {record})"));
        output.say("Next: `untether audit`, then `untether plan`.");
        output.object(
            "subject.decide",
            &serde_json::json!({ "subject": id, "withdrawn": decided.decision, "track": track, "by": by, "record": record }),
        );
    }
    Ok(Exit::Done)
}
