//! The comparison itself: accounts, people, findings, each by a merge of two sorted streams.

use std::collections::BTreeSet;
use std::iter::Peekable;

use untether_model::digest::Digest;
use untether_model::snapshot::Subject;
use untether_model::{Dn, Side};

use super::account::{Whole, differences, membership, of_key, state};
use super::finding::{self, Head};
use super::merge::{Join, Joined};
use super::person::{self, Former};
use super::reach::Reach;
use super::rows::{AccountChange, Change, GroupChange, Kind, Totals, Why};
use super::scan::{Wholes, accounts, skipped};
use crate::collect::StoreFailure;
use crate::spill::{Sorted, Sorter};
use crate::stored::{ScratchError, StoredAudit, TemporaryScratch};

/// Bytes of what moved between subjects or names that are sorted in memory: few, unless all did.
const MOVES_BYTES: usize = 4 << 20;

/// Why two audits cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// A file of an audit cannot be read.
    #[error(transparent)]
    Store(#[from] StoreFailure),
    /// What is sorted cannot be kept.
    #[error(transparent)]
    Scratch(#[from] ScratchError),
    /// A record that was sorted cannot be written or read back.
    #[error("comparing the audits: a record could not be written to the temporary file or read back")]
    Record(#[source] postcard::Error),
    /// A thread ended without a result.
    #[error("comparing the audits: reading one of them ended early")]
    Thread,
}

/// Two audits.
#[derive(Clone, Copy)]
pub struct Compared<'a> {
    /// The earlier one, with the digest of its findings.
    pub before: (&'a StoredAudit<'a>, Digest),
    /// The later one, with the digest of its findings.
    pub after: (&'a StoredAudit<'a>, Digest),
}

impl Compared<'_> {
    /// Which rules could not run in the later audit, by store.
    pub fn skipped_after(&self) -> Result<BTreeSet<(String, String)>, ChangeError> {
        Ok(skipped(self.after.0, &self.after.1)?)
    }
}

/// Takes changes, one by one.
pub trait ChangeSink {
    /// Whether findings that are there as before are wanted too; they are counted anyway.
    fn wants_still(&self) -> bool;

    /// One change.
    fn change(&mut self, change: Change);
}

/// Hands every change to the sink: accounts and groups store by store, then people, then findings.
///
/// # Errors
/// A file of either audit is gone or damaged, or there is no room for temporary files.
pub fn compare(compared: &Compared<'_>, sink: &mut dyn ChangeSink) -> Result<Totals, ChangeError> {
    let (before, after) = (compared.before.0, compared.after.0);
    let reach = (Reach::of(before.header()), Reach::of(after.header()));
    let unchanged: Vec<Side> = Side::ALL
        .into_iter()
        .filter(|side| match side {
            Side::Shared => before.header().shared.file == after.header().shared.file,
            Side::Independent => before.header().independent.file == after.header().independent.file,
        })
        .collect();
    let (mut scratch_before, mut scratch_after) = (TemporaryScratch::default(), TemporaryScratch::default());
    let (mut scratch_from, mut scratch_to) = (TemporaryScratch::default(), TemporaryScratch::default());
    let mut run = Run {
        reach,
        sink,
        totals: Totals::default(),
        moved_from: Sorter::new(&mut scratch_from, MOVES_BYTES),
        moved_to: Sorter::new(&mut scratch_to, MOVES_BYTES),
    };
    {
        // Each audit is unsealed and read on a core of its own.
        let (was, is) = std::thread::scope(|scope| {
            let was = scope.spawn(|| accounts(before, &unchanged, &mut scratch_before));
            let is = accounts(after, &unchanged, &mut scratch_after);
            (was.join(), is)
        });
        let was = Wholes::new(was.map_err(|_| ChangeError::Thread)??.finish()?);
        let is = Wholes::new(is?.finish()?);
        run.accounts(was, is)?;
    }
    let Run { reach, sink, mut totals, moved_from, moved_to } = run;
    let mut moved = Moved { from: Under(moved_from.finish()?.peekable()), to: Under(moved_to.finish()?.peekable()) };
    let mut told = Told { reach: &reach, sink, totals: &mut totals };
    told.people(before.subjects()?, after.subjects()?, &mut moved)?;
    told.findings(compared)?;
    Ok(totals)
}

/// What is carried from the accounts to the people.
struct Run<'s, 'k> {
    reach: (Reach, Reach),
    sink: &'k mut dyn ChangeSink,
    totals: Totals,
    /// Subjects whose accounts belong to others now: the former id, the present one.
    moved_from: Sorter<'s, TemporaryScratch>,
    /// Subjects that have accounts of others: the present id, the former subject.
    moved_to: Sorter<'s, TemporaryScratch>,
}

impl Run<'_, '_> {
    fn tell(&mut self, change: Change) {
        self.totals.count(&change);
        self.sink.change(change);
    }

    fn accounts(&mut self, before: Wholes<'_>, after: Wholes<'_>) -> Result<(), ChangeError> {
        for joined in Join::new(before, after, |(a, _), (b, _)| a.cmp(b)) {
            let (key, was, is) = match joined? {
                Joined::Before((key, was)) => (key, Some(was), None),
                Joined::After((key, is)) => (key, None, Some(is)),
                Joined::Both((key, was), (_, is)) => (key, Some(was), Some(is)),
            };
            let (side, stable_id) = of_key(&key);
            let group = [&was, &is].into_iter().flatten().all(Whole::is_group);
            let row = if group { self.group(side, was.as_ref(), is.as_ref()) } else { self.account((side, stable_id), was, is)? };
            if let Some(row) = row {
                self.tell(row);
            }
        }
        Ok(())
    }

    /// Why the audit that lacks a name may lack it.
    fn why(&self, side: Side, dn: &str, kind: Kind) -> Option<Why> {
        let dn = Dn::parse(dn).ok()?;
        match kind {
            Kind::Appeared => self.reach.0.lacks(side, &dn, &self.reach.1),
            Kind::Vanished => self.reach.1.lacks(side, &dn, &self.reach.0),
            Kind::Changed | Kind::OtherId | Kind::Still => None,
        }
    }

    fn group(&self, side: Side, was: Option<&Whole>, is: Option<&Whole>) -> Option<Change> {
        let shown = is.or(was)?;
        let members = u64::try_from(shown.members().len()).unwrap_or(u64::MAX);
        let (change, (added, removed), moved) = match (was, is) {
            (Some(was), Some(is)) => {
                let moved = differences(was, is).into_iter().any(|field| field.what == "dn");
                (Kind::Changed, membership(was.members(), is.members()), moved.then(|| was.dn().to_owned()))
            }
            (None, _) => (Kind::Appeared, (members, 0), None),
            (Some(_), None) => (Kind::Vanished, (0, members), None),
        };
        if change == Kind::Changed && (added, removed) == (0, 0) && moved.is_none() {
            return None;
        }
        let why = self.why(side, shown.dn(), change);
        let dn = shown.dn().to_owned();
        Some(Change::Group(GroupChange { change, store: side, dn, was: moved, members, added, removed, why }))
    }

    fn account(
        &mut self,
        (side, stable_id): (Side, Option<String>),
        was: Option<Whole>,
        is: Option<Whole>,
    ) -> Result<Option<Change>, ChangeError> {
        let (change, changed) = match (&was, &is) {
            (Some(was), Some(is)) => {
                let changed = differences(was, is);
                if changed.is_empty() {
                    return Ok(None);
                }
                self.moved(was, is)?;
                (Kind::Changed, changed)
            }
            (None, _) => (Kind::Appeared, Vec::new()),
            (Some(_), None) => (Kind::Vanished, Vec::new()),
        };
        let Some(shown) = is.or(was) else { return Ok(None) };
        Ok(Some(Change::Account(AccountChange {
            change,
            store: side,
            stable_id,
            subject: shown.account.as_ref().map(|account| account.subject.clone()),
            state: shown.account.as_ref().map(|account| state(account.overall()).to_owned()),
            why: self.why(side, shown.dn(), change),
            dn: shown.dn().to_owned(),
            changed,
        })))
    }

    fn moved(&mut self, was: &Whole, is: &Whole) -> Result<(), ChangeError> {
        let (Some(was), Some(is)) = (&was.account, &is.account) else { return Ok(()) };
        if was.subject == is.subject {
            return Ok(());
        }
        let former = Former { subject: was.subject.clone(), presence: was.presence, entity: was.entity.clone() };
        let payload = postcard::to_stdvec(&former).map_err(ChangeError::Record)?;
        self.moved_from.push(was.subject.as_bytes(), is.subject.as_bytes())?;
        self.moved_to.push(is.subject.as_bytes(), &payload)?;
        Ok(())
    }
}

/// Sorted records that are asked for by ascending keys.
struct Under<'s>(Peekable<Sorted<'s, ScratchError>>);

impl Under<'_> {
    /// The first record under this key.
    fn first(&mut self, key: &str) -> Result<Option<Vec<u8>>, ScratchError> {
        let mut found = None;
        while let Some(next) = self.0.next_if(|next| next.as_ref().map_or(true, |next| next.key() <= key.as_bytes())) {
            let next = next?;
            if next.key() == key.as_bytes() && found.is_none() {
                found = Some(next.payload().to_vec());
            }
        }
        Ok(found)
    }
}

/// Accounts that belong to other subjects than before.
struct Moved<'s> {
    from: Under<'s>,
    to: Under<'s>,
}

/// Where changes of people and findings are told.
struct Told<'a> {
    reach: &'a (Reach, Reach),
    sink: &'a mut dyn ChangeSink,
    totals: &'a mut Totals,
}

impl Told<'_> {
    fn tell(&mut self, change: Change) {
        self.totals.count(&change);
        self.sink.change(change);
    }

    fn people(
        &mut self,
        before: impl Iterator<Item = Result<Subject, StoreFailure>>,
        after: impl Iterator<Item = Result<Subject, StoreFailure>>,
        moved: &mut Moved<'_>,
    ) -> Result<(), ChangeError> {
        for joined in Join::new(before, after, |a: &Subject, b: &Subject| a.id.cmp(&b.id)) {
            let row = match joined? {
                Joined::Both(was, is) => person::changed(&was, &is),
                // Whoever has their accounts now is told where they come.
                Joined::Before(was) if moved.from.first(was.id.as_str())?.is_some() => None,
                Joined::Before(was) => {
                    let why = person::lacks(&was, &self.reach.1, &self.reach.0);
                    Some(person::row(&was, Kind::Vanished, why))
                }
                Joined::After(is) => match moved.to.first(is.id.as_str())? {
                    Some(former) => {
                        let former: Former = postcard::from_bytes(&former).map_err(ChangeError::Record)?;
                        Some(person::continued(&is, &former))
                    }
                    None => {
                        let why = person::lacks(&is, &self.reach.0, &self.reach.1);
                        Some(person::row(&is, Kind::Appeared, why))
                    }
                },
            };
            if let Some(row) = row {
                self.tell(Change::Person(row));
            }
        }
        Ok(())
    }

    fn findings(&mut self, compared: &Compared<'_>) -> Result<(), ChangeError> {
        let skips = (skipped(compared.before.0, &compared.before.1)?, compared.skipped_after()?);
        let heads = |(audit, digest): (&StoredAudit<'_>, Digest)| audit.findings_as::<Head>(&digest);
        let (before, after) = (heads(compared.before)?, heads(compared.after)?);
        let mut scratch = TemporaryScratch::default();
        // Of an entry that was moved, the findings stand elsewhere in their order: what has no partner is looked for by its id.
        let mut single = Sorter::new(&mut scratch, MOVES_BYTES);
        let mut alone = |is_after: bool, head: &Head| -> Result<(), ChangeError> {
            let payload = postcard::to_stdvec(&(is_after, head)).map_err(ChangeError::Record)?;
            Ok(single.push(head.id.as_bytes(), &payload)?)
        };
        for joined in Join::new(before, after, |a: &Head, b: &Head| a.place().cmp(&b.place())) {
            match joined? {
                Joined::Before(was) => alone(false, &was)?,
                Joined::After(is) => alone(true, &is)?,
                Joined::Both(was, is) => self.both(&was, &is),
            }
        }
        let mut sorted = single.finish()?.peekable();
        while let Some(first) = sorted.next() {
            let record = first?;
            let head = |payload: &[u8]| postcard::from_bytes::<(bool, Head)>(payload).map_err(ChangeError::Record);
            let (is_after, first) = head(record.payload())?;
            let partner = sorted.next_if(|next| next.as_ref().is_ok_and(|next| next.key() == record.key())).transpose()?;
            match partner.map(|partner| head(partner.payload())).transpose()? {
                // Under one id the earlier audit's comes first.
                Some((_, second)) => self.both(&first, &second),
                None if is_after => {
                    let why = first.lacks(&skips.0, &self.reach.0, &self.reach.1);
                    self.tell(Change::Finding(first.row(Kind::Appeared, why)));
                }
                None => {
                    let why = first.lacks(&skips.1, &self.reach.1, &self.reach.0);
                    self.tell(Change::Finding(first.row(Kind::Vanished, why)));
                }
            }
        }
        Ok(())
    }

    fn both(&mut self, was: &Head, is: &Head) {
        let row = finding::both(was, is);
        let change = Change::Finding(row);
        self.totals.count(&change);
        let still = matches!(&change, Change::Finding(row) if row.change == Kind::Still);
        if !still || self.sink.wants_still() {
            self.sink.change(change);
        }
    }
}
