//! `untether snapshot diff`: what changed between two audits, as tree, CSV or JSON Lines.

use untether_audit::changes::{AuditPoint, Change, ChangeSink, Compared, Outlook, compare, outlook};
use untether_audit::stored::StoredAudit;
use untether_model::run::AuditState;

use super::named;
use super::tell::{Csv, JsonLines, Tell, Tree};
use crate::args::{Format, SnapshotDiffArgs};
use crate::command::plan::stored_audit;
use crate::config::Config;
use crate::error::{CliError, Exit, chain};
use crate::output::Output;
use crate::state::Looked;

/// `snapshot diff`.
pub fn run(config: &Config, args: &SnapshotDiffArgs, output: &Output) -> Result<Exit, CliError> {
    let format = if output.is_json() { Format::Json } else { args.format };
    let looked = Looked::look(config)?;
    let after = named(&looked.state, args.after.as_deref().unwrap_or("last"))?;
    let before = match (&args.before, &args.after) {
        (Some(name), _) => named(&looked.state, name)?,
        (None, _) => named(&looked.state, "previous")?,
    };
    if before.0 == after.0 {
        return Err(CliError::usage(format!("record {} is compared with itself", before.0))
            .hint("`untether snapshot list` names the audits"));
    }
    if before.0 > after.0 {
        output.note("the first of the two is the later one: what appeared is what was there before");
    }
    let stored = |audit: &AuditState| stored_audit(&looked.dir, &looked.keys, &audit.snapshot);
    let (was, is) = (stored(before.1)?, stored(after.1)?);
    let compared = Compared { before: (&was, before.1.findings), after: (&is, after.1.findings) };
    let skipped = compared.skipped_after().map_err(gone)?;
    let point =
        |(record, state): (u64, &'_ AuditState), stored: &'_ StoredAudit<'_>| (record, state.clone(), stored.header().clone());
    let (was_point, is_point) = (point(before, &was), point(after, &is));
    let seen = outlook(
        &AuditPoint { record: was_point.0, state: &was_point.1, header: &was_point.2 },
        &AuditPoint { record: is_point.0, state: &is_point.1, header: &is_point.2 },
        &skipped,
        config.audit.max_shrink_percent,
    );
    let heading = Heading { before: (before.0, before.1), after: (after.0, after.1), outlook: &seen };
    let tell: Box<dyn Tell> = match format {
        Format::Table => Box::new(Tree::new(args.all)),
        Format::Csv => Box::new(Csv),
        Format::Json => Box::new(JsonLines),
    };
    let mut sink = Told { tell, still: args.still, output, failed: None };
    sink.tell.heading(&heading, output)?;
    let totals = compare(&compared, &mut sink).map_err(gone)?;
    if let Some(error) = sink.failed {
        return Err(error);
    }
    sink.tell.end(&totals, output)?;
    Ok(Exit::Done)
}

fn gone(error: untether_audit::changes::ChangeError) -> CliError {
    CliError::new(Exit::Resumable, format!("the audits cannot be compared: {}", chain(&error)))
        .hint("`untether snapshot list` tells whose files are there; `untether state check` tells whether they are whole")
}

/// What is said before any change.
pub(super) struct Heading<'a> {
    pub(super) before: (u64, &'a AuditState),
    pub(super) after: (u64, &'a AuditState),
    pub(super) outlook: &'a Outlook,
}

/// Hands changes on to whoever writes them.
struct Told<'a> {
    tell: Box<dyn Tell>,
    still: bool,
    output: &'a Output,
    failed: Option<CliError>,
}

impl ChangeSink for Told<'_> {
    fn wants_still(&self) -> bool {
        self.still
    }

    fn change(&mut self, change: Change) {
        if self.failed.is_none()
            && let Err(error) = self.tell.change(change, self.output)
        {
            self.failed = Some(error);
        }
    }
}
