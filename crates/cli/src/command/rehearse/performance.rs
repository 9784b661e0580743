//! One performance of a plan: twins are filled, waves are played, batches rolled back, and what became of the stores is compared.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use untether_audit::stored::StoredAudit;
use untether_cutover::{Roster, Stores};
use untether_directory::twin::SettableClock;
use untether_model::plan::Wave;
use untether_model::{AttrName, BatchId, Dn, Side, WaveId};
use untether_planner::NotRestored;
use untether_report::ProgressReport;

use super::changes::{Changes, EntryChange, What};
use super::collected::{Collected, Collector};
use super::stage::{Cast, Play};
use super::{Asking, Piece};
use crate::config::Config;
use crate::error::CliError;
use crate::output::Output;
use crate::state::Looked;
use crate::wiring::rehearsal::asker::Asked;
use crate::wiring::rehearsal::fuse::Fuse;
use crate::wiring::rehearsal::lines::{Pace, TwinStore};
use crate::wiring::rehearsal::scratch::VirtualTime;
use crate::wiring::rehearsal::twins::Twins;
use crate::wiring::waves::load_wave;

/// What a performance needs.
pub struct Performance<'a> {
    /// The configuration.
    pub config: &'a Config,
    /// The state that the plan is in.
    pub looked: &'a Looked,
    /// What is played.
    pub piece: &'a Piece,
    /// The snapshot.
    pub stored: &'a StoredAudit<'a>,
    /// The roster, if it could be read.
    pub roster: Option<Arc<dyn Roster>>,
    /// Where progress goes.
    pub output: &'a Output,
}

/// A batch that was rolled back.
pub struct RolledBack {
    /// The batch.
    pub batch: BatchId,
    /// Subjects that are as before.
    pub subjects: u64,
    /// Subjects in conflict, with what was found.
    pub conflicts: Vec<(untether_model::SubjectId, String)>,
    /// What is not given back, as it was said beforehand.
    pub not_restored: Vec<NotRestored>,
    /// Accounts that the rollback touched. Groups have members of other batches too, so they are never as before.
    pub touched: Vec<(Side, Dn)>,
}

/// What a performance came to.
pub struct Performed {
    /// What the journal told.
    pub collected: Collected,
    /// What is another in the stores.
    pub changes: Vec<Changes>,
    /// What the servers said.
    pub asked: Vec<(Side, Asked)>,
    /// Batches that were rolled back.
    pub rolled_back: Vec<RolledBack>,
    /// When it ended, on its own clock.
    pub ended: Timestamp,
    /// How often it was cut, and how many cells were under way then.
    pub cuts: (u64, u64),
    /// The report, where one is asked for.
    pub report: Option<ProgressReport>,
}

impl Performance<'_> {
    /// Gives it, cut after every so many operations; tells what was assumed too.
    pub async fn give(&self, every: Option<u64>, asking: Option<&Asking<'_>>) -> Result<(Performed, Vec<String>), CliError> {
        let piece = self.piece;
        let settable = SettableClock::new(piece.began);
        let twins = Twins::fill(self.config, self.stored, &settable)?;
        let before = Side::ALL.map(|side| twins.get(side).dump());
        let Twins { shared, independent, placeholders, mut assumptions } = twins;
        let placeholders = Arc::new(placeholders);
        let (mut shared_asker, mut independent_asker) = (None, None);
        if let Some(asking) = asking {
            let [shared_before, independent_before] = &before;
            shared_asker = asking.of(Side::Shared, (shared_before, &placeholders), &mut assumptions).await?;
            independent_asker = asking.of(Side::Independent, (independent_before, &placeholders), &mut assumptions).await?;
        }
        let fuse = Arc::new(Fuse::every(every));
        let cost = SignedDuration::from_secs_f64(1.0 / piece.rate);
        let pace = Pace { clock: settable.clone(), cost, fuse: fuse.clone() };
        let stores = Stores {
            shared: Arc::new(TwinStore::new(&shared, &pace, shared_asker.as_ref())),
            independent: Arc::new(TwinStore::new(&independent, &pace, independent_asker.as_ref())),
        };
        let collector = Arc::new(if every.is_none() { Collector::new(self.output) } else { Collector::quiet(self.output) });
        let cast = Cast {
            config: self.config,
            looked: self.looked,
            plan: &piece.plan,
            stores,
            roster: self.roster.clone(),
            collector: collector.clone(),
            output: self.output,
        };
        let mut play = Play::open(cast, VirtualTime(settable.clone()), fuse.clone())?;
        play.prepare(piece).await?;
        let mut waves = Vec::new();
        for name in &piece.waves {
            let wave = self.wave(name)?;
            let marks = self.looked.keys.marks();
            let wave = wave.map_operations(|op| placeholders.translate(&marks, op));
            let through = piece.only.as_ref().filter(|(only, _)| only == name).and_then(|(_, through)| *through);
            play.play(&piece.header, &wave, through).await?;
            // A rollback looks at what was planned; nobody else needs it again.
            waves.extend((!piece.roll_back.0.is_empty()).then_some(wave));
        }
        let mut rolled_back = Vec::new();
        for batch in &piece.roll_back.0 {
            rolled_back.push(play.roll_back(&piece.header, &waves, (batch, piece.roll_back.1)).await?);
        }
        collector.finish();
        let after = [&shared, &independent].into_iter().zip(&before);
        let changes = after.map(|(twin, before)| {
            let config = twin.config();
            Changes::between(config.side, before, &twin.dump(), &config.schema)
        });
        let asked = [(Side::Shared, shared_asker), (Side::Independent, independent_asker)];
        let performed = Performed {
            collected: collector.take(),
            changes: changes.collect(),
            asked: asked.into_iter().filter_map(|(side, asker)| Some((side, asker?.told()))).collect(),
            rolled_back,
            ended: settable.now(),
            cuts: (fuse.cuts(), play.under_way()),
            report: piece.audited.as_ref().map(|_| play.report()).transpose()?,
        };
        Ok((performed, assumptions))
    }

    fn wave(&self, name: &str) -> Result<Wave, CliError> {
        let id = WaveId::new(self.piece.plan.clone(), name);
        load_wave(&self.looked.dir, &self.looked.keys, &self.piece.header, &id)
    }
}

impl Performed {
    /// Accounts that a rollback touched and that are not as they were before the plan, with what is another in them.
    pub fn not_as_before(&self, rolled_back: &RolledBack) -> Vec<(Side, &EntryChange)> {
        let touched: BTreeSet<&(Side, Dn)> = rolled_back.touched.iter().collect();
        let changed = self.changes.iter().flat_map(|changes| changes.entries.iter().map(|entry| (changes.store, entry)));
        changed.filter(|(side, entry)| touched.contains(&(*side, entry.dn.clone()))).collect()
    }

    /// Entries that are not as after another performance, with what is another in them; empty where both ended alike. What is made
    /// anew has another id and another time each time it is made, and the order of values means nothing.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let (ours, theirs) = (self.ends(), other.ends());
        let keys: BTreeSet<&(Side, Dn)> = ours.keys().chain(theirs.keys()).collect();
        let unlike = keys.into_iter().filter_map(|key| {
            let (ours, theirs) = (ours.get(key), theirs.get(key));
            let names = ours.iter().chain(&theirs).flat_map(|end| end.attrs.keys());
            let of = |end: Option<&End>, attr: &AttrName| end.and_then(|end| end.attrs.get(attr).cloned());
            let attrs: BTreeSet<&AttrName> = names.filter(|attr| of(ours, attr) != of(theirs, attr)).collect();
            let (side, dn) = key;
            let attrs: Vec<&str> = attrs.into_iter().map(AttrName::as_str).collect();
            (ours != theirs).then(|| format!("{side} '{dn}': {}", attrs.join(", ")))
        });
        unlike.collect()
    }

    fn ends(&self) -> BTreeMap<(Side, Dn), End> {
        let entries = self.changes.iter().flat_map(|changes| changes.entries.iter().map(|entry| (changes.store, entry)));
        let sorted = |values: &[String]| values.iter().cloned().collect::<BTreeSet<String>>();
        entries
            .map(|(side, entry)| {
                let made_anew =
                    |attr: &AttrName| entry.what == What::Created && ["entryuuid", "createtimestamp"].contains(&attr.base());
                let attrs = entry.attrs.iter().filter(|(attr, _)| !made_anew(attr));
                let attrs = attrs.map(|(attr, values)| (attr.clone(), [sorted(&values.come), sorted(&values.gone)])).collect();
                ((side, entry.dn.clone()), End { what: entry.what, attrs })
            })
            .collect()
    }
}

/// What became of an entry, as it is compared.
#[derive(PartialEq, Eq)]
struct End {
    what: What,
    attrs: BTreeMap<AttrName, [BTreeSet<String>; 2]>,
}
