//! Collecting one store: what is read of it in which order, and what proves that it was all.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use untether_directory::{Features, Read};
use untether_model::finding::Place;
use untether_model::policy::{AuditPolicy, CopyArea, ScopeBase, StoreAudit};
use untether_model::schema::Schema;
use untether_model::snapshot::{BaseRead, EntryRole, SnapshotEntry, StoreIdentity, StoreSource};
use untether_model::{AttrName, Dn, Side};

use super::area::{Gatherer, wanted};
use super::base::{Ended, Reader, Request};
use super::gap::{Failed, classify};
use super::names::Names;
use super::{CollectError, CollectProgress, Converter, Credentials, EntrySink, Existence, Gap, GapKind, Marker, Part, stable_id};

/// What an export says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Export {
    /// Why it is not complete, as far as its files tell.
    pub truncated: Option<String>,
    /// When it was made, where that is known.
    pub written_at: Option<Timestamp>,
    /// References to other servers that it holds instead of entries.
    pub references: Vec<String>,
}

/// How one store can be read.
#[derive(Clone, Copy)]
pub struct StoreInput<'a> {
    /// Its entries.
    pub read: &'a dyn Read,
    /// Its `cn=config`, where somebody may read it.
    pub config: Option<&'a dyn Read>,
    /// Its areas of copies, where they are read another way than its entries (an export in a file of its own).
    pub copies: Option<&'a dyn Read>,
    /// Where it is read from.
    pub source: &'a StoreSource,
    /// What its export says, where it is one.
    pub export: Option<&'a Export>,
}

/// How an area of copies was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AreaRead {
    /// The area.
    pub area: CopyArea,
    /// Records that were read, the area's own entry included.
    pub records: u64,
    /// It was read to its end.
    pub complete: bool,
}

/// What was collected of one store, beside the entries that went to the sink.
#[derive(Clone, Debug)]
pub struct Collected {
    /// The store.
    pub side: Side,
    /// Its identity.
    pub identity: StoreIdentity,
    /// The bases that were read. The suffix stands for the names of everything below it.
    pub bases: Vec<BaseRead>,
    /// The areas of copies.
    pub areas: Vec<AreaRead>,
    /// `cn=config` was read.
    pub config_read: bool,
    /// What the server offers; `None` for an export and where it could not be asked.
    pub features: Option<Features>,
    /// The schema: the server's own, else the standard one.
    pub schema: Arc<Schema>,
    /// Which entries exist.
    pub existence: Existence,
    /// Entries of ours in scope.
    pub accounts: u64,
    /// Entries that went to the sink.
    pub entries: u64,
    /// A credential value was visible to the reading identity. If not, an account without a password cannot be told from one whose
    /// password is hidden.
    pub credentials_visible: bool,
    /// What is missing.
    pub gaps: Vec<Gap>,
}

/// Entries that may name others, and those that others stand below, wherever they are.
const LINKING: &str = "(|(objectClass=alias)(objectClass=referral)(objectClass=pwdPolicy)(objectClass=groupOfURLs)\
(objectClass=organizationalUnit)(objectClass=organization)(objectClass=dcObject)(objectClass=domain)(objectClass=container)\
(member=*)(uniqueMember=*)(memberUid=*)(roleOccupant=*)(memberURL=*))";

const EVERYTHING: &str = "(objectClass=*)";

/// Asks for no attribute (RFC 4511, section 4.5.1.8).
const NO_ATTRIBUTES: &[&str] = &["1.1"];

const ALL_ATTRIBUTES: &[&str] = &["*", "+"];

/// Rules that see nothing where `cn=config` cannot be read.
const CONFIG_RULES: [&str; 7] = [
    "link.mapping",
    "link.pass-through",
    "link.proxy",
    "link.referral",
    "link.replication",
    "residual.copy",
    "residual.reference",
];

/// Rules that see nothing where credential values are hidden.
const CREDENTIAL_RULES: [&str; 4] =
    ["link.pass-through", "link.shared-secret", "residual.credential", "residual.lock-ineffective"];

/// Reads a store into the sink.
///
/// # Errors
/// The store cannot be read at all, or the sink fails. What is merely missing is a gap of the result.
pub async fn collect(
    policy: &AuditPolicy,
    input: StoreInput<'_>,
    marker: &dyn Marker,
    progress: &dyn CollectProgress,
    sink: &mut dyn EntrySink,
    now: Timestamp,
) -> Result<Collected, CollectError> {
    let side = input.read.side();
    let credentials = Credentials::new(&policy.credentials);
    let mut collector = Collector {
        store: policy.store(side),
        page_size: policy.page_size,
        reader: Reader { read: input.read, progress },
        converter: Converter::new(&credentials, marker),
        credentials: &credentials,
        sink,
        out: Collected {
            side,
            identity: StoreIdentity { suffix: policy.store(side).suffix.clone(), stable_id: None },
            bases: Vec::new(),
            areas: Vec::new(),
            config_read: false,
            features: None,
            schema: Arc::new(Schema::standard()),
            existence: Existence::default(),
            accounts: 0,
            entries: 0,
            credentials_visible: false,
            gaps: Vec::new(),
        },
    };
    collector.server(&input).await?;
    // An export holds entries, and not what its server counted.
    let asked = input.export.is_none();
    let before = if asked { collector.server_count().await } else { None };
    collector.accounts().await?;
    collector.references().await?;
    let counted = collector.names().await?;
    collector.counts(counted, before).await;
    collector.canary().await?;
    collector.export(&input, now);
    collector.configuration(&input).await?;
    collector.copies(&input).await?;
    collector.out.existence.seal();
    Ok(collector.out)
}

struct Collector<'a> {
    store: &'a StoreAudit,
    page_size: u32,
    reader: Reader<'a>,
    converter: Converter<'a>,
    credentials: &'a Credentials,
    sink: &'a mut dyn EntrySink,
    out: Collected,
}

impl Collector<'_> {
    fn gap(&mut self, kind: GapKind, dn: Option<&Dn>, reason: impl Into<String>, rules: &[&str]) {
        let rules = rules.iter().map(|rule| (*rule).to_owned()).collect();
        self.out.gaps.push(Gap { kind, place: Place::from(self.out.side), dn: dn.cloned(), rules, reason: reason.into() });
    }

    /// Schema, features, and the identity of the store.
    async fn server(&mut self, input: &StoreInput<'_>) -> Result<(), CollectError> {
        if input.export.is_none() {
            match self.reader.read.features().await {
                Ok(features) => self.out.features = Some(features),
                Err(error) => expected(error)?,
            }
        }
        match self.reader.read.schema().await {
            Ok(schema) if !schema.is_empty() => self.out.schema = schema,
            Ok(_) => {}
            Err(error) => expected(error)?,
        }
        match self.reader.read.read(&self.store.suffix, &[AttrName::new("*"), AttrName::new("+")]).await {
            Ok(entry) => self.out.identity.stable_id = entry.and_then(|entry| stable_id(&entry.attrs)),
            Err(error) => expected(error)?,
        }
        Ok(())
    }

    /// Reads one base into the sink.
    async fn base(&mut self, scope: &ScopeBase, part: Part, role: EntryRole) -> Result<Ended, CollectError> {
        let Self { store, page_size, reader, converter, sink, out, .. } = self;
        let request =
            Request { part, base: &scope.base, filter: &scope.filter, attrs: ALL_ATTRIBUTES, page_size: Some(*page_size) };
        let ended = reader
            .stream(request, out.existence.names(), |entry, mut sighting| {
                sighting.exists();
                // Entries of areas of copies are not accounts, and what they name is no reference of theirs. Overlapping bases hand
                // nothing on twice.
                let is_copy = store.copies.iter().any(|area| entry.dn.is_within(&area.base));
                if is_copy || !sighting.keep() {
                    return Ok(());
                }
                let entry: SnapshotEntry = converter.entry(role, entry);
                out.credentials_visible |= !entry.credentials.is_empty();
                out.accounts += u64::from(role == EntryRole::Account);
                out.entries += 1;
                sink.entry(entry)
            })
            .await?;
        Ok(ended)
    }

    /// Records how reading a base ended.
    fn ended(&mut self, base: &Dn, ended: &Ended) {
        for (kind, reason) in &ended.gaps {
            self.gap(*kind, Some(base), reason.clone(), &[]);
        }
        for reference in &ended.references {
            let reason = format!("the server refers to {reference}; what is there was not read");
            self.gap(GapKind::Skipped, Some(base), reason, &["residual.*"]);
        }
        self.out.bases.push(BaseRead {
            base: base.clone(),
            entries: ended.entries,
            complete: ended.complete(),
            shortfall: ended.shortfall(),
        });
    }

    /// Whether our accounts may be anywhere below the suffix, so that not seeing it means not seeing ours.
    fn suffix_is_ours(&self) -> bool {
        self.store.accounts.iter().any(|scope| scope.base == self.store.suffix)
    }

    async fn accounts(&mut self) -> Result<(), CollectError> {
        let store = self.store;
        for scope in &store.accounts {
            let ended = self.base(scope, Part::Accounts, EntryRole::Account).await?;
            self.ended(&scope.base, &ended);
            if scope.is_everything() && ended.complete() {
                self.out.existence.complete(scope.base.clone());
            }
        }
        Ok(())
    }

    async fn references(&mut self) -> Result<(), CollectError> {
        let store = self.store;
        for scope in &store.others {
            let ended = self.base(scope, Part::References, EntryRole::Other).await?;
            self.ended(&scope.base, &ended);
            if scope.is_everything() && ended.complete() {
                self.out.existence.complete(scope.base.clone());
            }
        }
        let linking = ScopeBase { base: store.suffix.clone(), filter: LINKING.to_owned() };
        let ended = self.base(&linking, Part::References, EntryRole::Other).await?;
        if ended.complete() {
            // The names of the suffix are read next and say how complete it is.
            return Ok(());
        }
        let only_denied = ended.gaps.iter().all(|(kind, _)| *kind == GapKind::Denied);
        if only_denied && !self.suffix_is_ours() {
            let reason = format!("groups and aliases outside our bases: {}", ended.shortfall().unwrap_or_default());
            self.gap(GapKind::Skipped, Some(&store.suffix), reason, &["residual.membership", "residual.reference"]);
            return Ok(());
        }
        self.ended(&store.suffix, &ended);
        Ok(())
    }

    /// The names of everything below the suffix, or, where that may not be seen, of everything below our bases. Returns how many
    /// entries there are below the suffix.
    async fn names(&mut self) -> Result<Option<u64>, CollectError> {
        let store = self.store;
        let ended = self.names_below(&store.suffix).await?;
        let only_denied = ended.gaps.iter().all(|(kind, _)| *kind == GapKind::Denied);
        if ended.complete() || !only_denied || self.suffix_is_ours() {
            let complete = ended.complete();
            self.ended(&store.suffix, &ended);
            if complete {
                self.out.existence.complete(store.suffix.clone());
            }
            return Ok(complete.then_some(ended.entries));
        }
        for scope in store.accounts.iter().filter(|scope| !scope.is_everything()) {
            let ended = self.names_below(&scope.base).await?;
            for (kind, reason) in &ended.gaps {
                self.gap(*kind, Some(&scope.base), reason.clone(), &[]);
            }
            if ended.complete() {
                self.out.existence.complete(scope.base.clone());
            }
        }
        Ok(None)
    }

    async fn names_below(&mut self, base: &Dn) -> Result<Ended, CollectError> {
        let request =
            Request { part: Part::Names, base, filter: EVERYTHING, attrs: NO_ATTRIBUTES, page_size: Some(self.page_size) };
        self.reader
            .stream(request, self.out.existence.names(), |_, mut sighting| {
                sighting.exists();
                Ok(())
            })
            .await
    }

    /// The server's own count of the entries below the suffix (back-mdb's `olmMDBEntries` in `cn=Monitor`), where it may be read.
    async fn server_count(&self) -> Option<u64> {
        let base = Dn::parse("cn=Databases,cn=Monitor").ok()?;
        let search = untether_directory::Search {
            base,
            scope: untether_directory::Scope::One,
            filter: "(objectClass=*)".to_owned(),
            attrs: vec![AttrName::new("namingContexts"), AttrName::new("olmMDBEntries")],
            page_size: None,
            manage_dsa_it: false,
        };
        let mut pages = self.reader.read.search(search).await.ok()?;
        let mut count = None;
        while let Some(page) = pages.next_page().await.ok()? {
            for entry in page.entries {
                let ours = entry.texts("namingContexts").filter_map(|t| Dn::parse(t).ok()).any(|dn| dn == self.store.suffix);
                if ours {
                    count = entry.text("olmMDBEntries").and_then(|text| text.parse().ok()).or(count);
                }
            }
        }
        count
    }

    /// Compares what was seen with what the owner says, else with what the server says. Entries may come and go while we read, so
    /// the server is asked before and after, and the smaller answer counts. Who did not answer before is not asked after.
    async fn counts(&mut self, seen: Option<u64>, before: Option<u64>) {
        let suffix = self.store.suffix.clone();
        let (expected, by) = match self.store.stated_count {
            Some(stated) => (stated, "its owner"),
            None => {
                let Some(before) = before else { return };
                let Some(after) = self.server_count().await else { return };
                (before.min(after), "the server")
            }
        };
        let reason = match seen {
            Some(seen) if seen >= expected => return,
            Some(seen) => {
                format!("{seen} entries were seen below the suffix, {by} counts {expected}: the others are hidden or missing")
            }
            None if self.store.stated_count.is_none() => return,
            None => format!("{by} counts {expected} entries below the suffix, but they could not be counted there"),
        };
        let kind = if self.store.stated_count.is_some() { GapKind::Truncated } else { GapKind::Denied };
        self.incomplete(&suffix, kind, reason);
    }

    /// Adds a shortfall to what was recorded of a base.
    fn incomplete(&mut self, base: &Dn, kind: GapKind, reason: String) {
        self.gap(kind, Some(base), reason.clone(), &[]);
        self.out.existence.doubt(base);
        let mut found = false;
        for read in self.out.bases.iter_mut().filter(|read| read.base == *base) {
            found = true;
            read.complete = false;
            read.shortfall = Some(match read.shortfall.take() {
                Some(earlier) => format!("{earlier}; {reason}"),
                None => reason.clone(),
            });
        }
        if !found {
            self.out.bases.push(BaseRead { base: base.clone(), entries: 0, complete: false, shortfall: Some(reason) });
        }
    }

    /// The known entry must have been seen; its password also tells whether credentials are visible at all.
    async fn canary(&mut self) -> Result<(), CollectError> {
        let store = self.store;
        if let Some(canary) = &store.canary {
            if self.out.existence.exists(canary) != Some(true) {
                let reason = format!("the canary entry '{canary}' was not seen, so other entries may be missing too");
                let read: Vec<Dn> = self.out.bases.iter().map(|read| read.base.clone()).filter(|b| canary.is_within(b)).collect();
                let base = read.into_iter().next_back().unwrap_or_else(|| store.suffix.clone());
                self.incomplete(&base, GapKind::Truncated, reason);
            }
            if !self.out.credentials_visible {
                match self.reader.read.read(canary, &[AttrName::new("userPassword")]).await {
                    Ok(entry) => self.out.credentials_visible = entry.is_some_and(|entry| entry.has("userPassword")),
                    Err(error) => expected(error)?,
                }
            }
        }
        if self.out.accounts > 0 && !self.out.credentials_visible {
            let reason = "no credential value is visible to the reading identity: an account without a password cannot be told from one \
whose password is hidden";
            self.gap(GapKind::Skipped, None, reason, &CREDENTIAL_RULES);
        }
        Ok(())
    }

    fn export(&mut self, input: &StoreInput<'_>, now: Timestamp) {
        let Some(export) = input.export else { return };
        if let Some(reason) = &export.truncated {
            let suffix = self.store.suffix.clone();
            self.incomplete(&suffix, GapKind::Truncated, reason.clone());
        }
        for reference in &export.references {
            let reason = format!("the export holds a reference to {reference}; what is there was not exported");
            self.gap(GapKind::Skipped, None, reason, &["residual.*"]);
        }
        if let (Some(hours), Some(written_at)) = (self.store.max_age_hours, export.written_at) {
            let age = now.duration_since(written_at);
            if age > SignedDuration::from_hours(i64::from(hours)) {
                let reason = format!("the export is {} hours old, at most {hours} are allowed", age.as_hours());
                self.gap(GapKind::Stale, None, reason, &[]);
            }
        }
    }

    async fn configuration(&mut self, input: &StoreInput<'_>) -> Result<(), CollectError> {
        let Some(read) = input.config else {
            self.gap(GapKind::Skipped, None, "cn=config is not configured to be read", &CONFIG_RULES);
            return Ok(());
        };
        let Ok(base) = Dn::parse("cn=config") else { return Ok(()) };
        let Self { reader, converter, sink, out, .. } = self;
        let reader = Reader { read, progress: reader.progress };
        let request =
            Request { part: Part::Configuration, base: &base, filter: EVERYTHING, attrs: ALL_ATTRIBUTES, page_size: None };
        let streamed = reader
            .stream(request, &mut Names::default(), |entry, _| {
                out.entries += 1;
                sink.entry(converter.entry(EntryRole::Config, entry))
            })
            .await;
        let why = match streamed {
            Ok(ended) if ended.complete() && ended.entries > 0 => {
                self.out.config_read = true;
                return Ok(());
            }
            Ok(ended) => ended.shortfall().unwrap_or_else(|| "nothing is visible there".to_owned()),
            Err(CollectError::Directory(error)) => error.to_string(),
            Err(error @ CollectError::Sink(_)) => return Err(error),
        };
        self.gap(GapKind::Skipped, Some(&base), format!("cn=config could not be read: {why}"), &CONFIG_RULES);
        Ok(())
    }

    async fn copies(&mut self, input: &StoreInput<'_>) -> Result<(), CollectError> {
        let store = self.store;
        let reader = Reader { read: input.copies.unwrap_or(input.read), progress: self.reader.progress };
        for area in &store.copies {
            let mut gatherer = Gatherer::new(area, self.credentials);
            let request = Request {
                part: Part::Copies,
                base: &area.base,
                filter: EVERYTHING,
                attrs: wanted(area.kind),
                page_size: Some(self.page_size),
            };
            let streamed = reader
                .stream(request, &mut Names::default(), |entry, _| {
                    gatherer.take(&entry);
                    Ok(())
                })
                .await;
            let (records, why) = match streamed {
                Ok(ended) => (ended.entries, ended.shortfall()),
                Err(CollectError::Directory(error)) => (0, Some(error.to_string())),
                Err(error @ CollectError::Sink(_)) => return Err(error),
            };
            for copy in gatherer.finish() {
                self.sink.copy(copy)?;
            }
            self.out.areas.push(AreaRead { area: area.clone(), records, complete: why.is_none() });
            if let Some(why) = why {
                self.gap(
                    GapKind::Skipped,
                    Some(&area.base),
                    format!("the area was not read to its end: {why}"),
                    &["residual.copy"],
                );
            }
        }
        Ok(())
    }
}

/// Passes over an error that only means that something is not to be seen.
fn expected(error: untether_directory::DirectoryError) -> Result<(), CollectError> {
    match classify(error) {
        Failed::Gap(..) => Ok(()),
        Failed::Fatal(error) => Err(error.into()),
    }
}
