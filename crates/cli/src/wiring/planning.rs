//! Plans and snapshots in the state directory: what the planner reads from and writes to.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::ops::ControlFlow;

use untether_audit::collect::StoreFailure;
use untether_audit::stored::StoredAudit;
use untether_directory::filter::Filter;
use untether_ledger::{Area, Key, KeyId, KeyStore, SealedReader, SealedWriter, Shelf, StateDir, keys::KeySort};
use untether_model::digest::Digest;
use untether_model::plan::{PLAN_VERSION, PlanHeader};
use untether_model::run::{RunState, WaveState, WaveStatus};
use untether_model::schema::Schema;
use untether_model::snapshot::{SnapshotEntry, Subject};
use untether_model::{Entry, PlanId, Side, WaveId};
use untether_planner::{Each, Hand, Matches, Piece, Place, PlanError, Relay, ReportLine, Sink, Source, Stream};

use crate::error::{CliError, chain};
use crate::wiring::lane::relayed;

/// Largest file that is written and read as a whole. A plan's head names every large value of its waves, such as a photo of each of
/// millions of people.
const WHOLE_LIMIT: usize = 512 << 20;

/// The plan that was named, or the last one that was recorded.
pub fn last_plan(state: &RunState, named: Option<&str>) -> Result<PlanId, CliError> {
    let plans = state.orders().iter().filter(|(_, o)| matches!(o.kind, untether_model::plan::OrderKind::Plan));
    match named {
        Some(name) => {
            let id = PlanId::new(name);
            plans.map(|(id, _)| id).find(|found| **found == id).cloned().ok_or_else(|| {
                CliError::usage(format!("'{name}' is no recorded plan"))
                    .hint("`untether status` and `untether plan show` name them")
            })
        }
        None => plans
            .max_by_key(|(_, order)| order.recorded_at)
            .map(|(id, _)| id.clone())
            .ok_or_else(|| CliError::usage("there is no plan yet").hint("`untether audit`, then `untether plan`")),
    }
}

/// The wave of this name, of the plan that is named, else of the newest one.
///
/// # Errors
/// Where the newest plan lacks it and another one has it under way: that is the one to name.
pub fn wave_of_plan(state: &RunState, plan: Option<&str>, name: &str) -> Result<WaveId, CliError> {
    let newest = WaveId::new(last_plan(state, plan)?, name);
    let known = state.orders().get(&newest.plan).is_some_and(|order| order.waves.iter().any(|wave| wave.name == name));
    let under_way = |(id, wave): &(&WaveId, &WaveState)| id.wave == name && wave.status == WaveStatus::Running;
    match state.waves().iter().find(under_way).filter(|_| plan.is_none() && !known) {
        Some((elsewhere, _)) => Err(CliError::usage(format!("plan {}, the newest, has no wave '{name}'", newest.plan))
            .hint(format!("plan {} has it under way: give --plan {}", elsewhere.plan, elsewhere.plan))),
        None => Ok(newest),
    }
}

/// A whole sealed file of an area.
pub fn read_file(dir: &StateDir, keys: &KeyStore, area: Area, digest: &Digest) -> Result<Vec<u8>, CliError> {
    let reader = SealedReader::open(dir, keys, &Shelf::of(area), digest).map_err(|e| CliError::state(chain(&e)))?;
    let bytes = reader.read_all(WHOLE_LIMIT).map_err(|e| CliError::state(chain(&e)))?;
    Ok(bytes.to_vec())
}

/// Seals a whole file into an area, under a key of its own.
pub fn write_file(dir: &StateDir, keys: &KeyStore, area: Area, bytes: &[u8]) -> Result<Digest, CliError> {
    let failed = |e: &dyn std::error::Error| CliError::failed(chain(e));
    if bytes.len() > WHOLE_LIMIT {
        let words = format!("it would have {} bytes, and at most {WHOLE_LIMIT} are read back", bytes.len());
        return Err(CliError::failed(format!("a file of the state's '{}' is not written: {words}", area.as_str())));
    }
    let mut writer = new_file(dir, keys, area)?;
    writer.write_all(bytes).map_err(|e| failed(&e))?;
    Ok(writer.finish().map_err(|e| failed(&e))?.digest)
}

/// Begins a file of an area, under a key of its own.
fn new_file(dir: &StateDir, keys: &KeyStore, area: Area) -> Result<SealedWriter, CliError> {
    let (id, key) = keys.new_key(KeySort::Snapshot, None)?;
    SealedWriter::create(dir, &Shelf::of(area), &id, &key).map_err(|e| CliError::failed(chain(&e)))
}

/// The head of a recorded order.
pub fn load_header(dir: &StateDir, keys: &KeyStore, state: &RunState, id: &PlanId) -> Result<PlanHeader, CliError> {
    let order = state.orders().get(id).ok_or_else(|| CliError::usage(format!("'{id}' is no recorded order")))?;
    let bytes = read_file(dir, keys, Area::Plans, &order.digest)?;
    let header: PlanHeader = serde_json::from_slice(&bytes).map_err(|e| {
        CliError::state(format!("the head of order {id} cannot be read: {e}"))
            .hint("it was written by a newer version, or is damaged: `untether state check`")
    })?;
    if header.version > PLAN_VERSION {
        let words = format!("order {id} is of the format {}, this untether knows formats up to {PLAN_VERSION}", header.version);
        return Err(CliError::state(words).hint("use the newer version that wrote it"));
    }
    Ok(header)
}

/// A snapshot's files, for the planner.
pub struct SnapshotFiles<'a>(pub &'a StoredAudit<'a>);

/// Records, with what goes wrong in words.
fn stream<'a, T: 'a>(opened: Result<impl Iterator<Item = Result<T, StoreFailure>> + 'a, StoreFailure>) -> Stream<'a, T> {
    match opened {
        Ok(records) => Box::new(records.map(|record| record.map_err(|e| chain(&e)))),
        Err(e) => Box::new(std::iter::once(Err(chain(&e)))),
    }
}

impl Source for SnapshotFiles<'_> {
    fn subjects(&self) -> Stream<'_, Subject> {
        stream(self.0.subjects())
    }

    fn entries(&self, side: Side) -> Stream<'_, SnapshotEntry> {
        stream(self.0.entries(side))
    }

    fn each_arranged(&self, side: Side, place: Place<'_>, each: Each<'_>) -> Result<(), PlanError> {
        let mut done = Ok(());
        let mut take = |number, entry| {
            done = each(number, entry);
            if done.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        self.0.each_arranged(side, place, &mut take).map_err(|failure| PlanError::entries(side, chain(&failure)))?;
        done
    }
}

/// Evaluates the filters of waves, `keep` and `hold` over entries of the snapshot.
pub struct Filters {
    schema: Schema,
}

impl Filters {
    /// Compares by the standard schema.
    pub fn new() -> Self {
        Self { schema: Schema::standard() }
    }
}

impl Matches for Filters {
    fn matches(&self, filter: &str, entry: &SnapshotEntry) -> Result<bool, String> {
        let filter = Filter::parse(filter).map_err(|e| e.to_string())?;
        let entry = Entry { dn: entry.dn.clone(), attrs: entry.attrs.clone() };
        Ok(filter.matches(&entry, &self.schema))
    }
}

/// Has a plan written in a thread of its own, a little behind whoever plans.
pub struct Beside;

impl Relay for Beside {
    fn run<T>(
        self,
        plan: impl FnOnce(Hand<'_>) -> Result<T, PlanError>,
        mut write: impl FnMut(&Piece) -> Result<(), PlanError> + Send,
    ) -> Result<T, PlanError> {
        let early =
            || PlanError::Sink { what: "the waves".to_owned(), cause: "the thread that writes them ended early".to_owned() };
        relayed(
            |planned| {
                plan(&mut |piece| {
                    let bytes = piece.bytes();
                    if planned.push(piece, bytes) { Ok(()) } else { Err(early()) }
                })
            },
            |pieces| pieces.iter().try_for_each(&mut write),
            early,
        )
    }
}

struct WaveFile {
    key_id: KeyId,
    key: Key,
    writer: Option<SealedWriter>,
}

/// Writes a plan's files, each wave under a key of its own.
pub struct PlanFiles<'a> {
    dir: &'a StateDir,
    keys: &'a KeyStore,
    waves: BTreeMap<String, WaveFile>,
    report: SealedWriter,
    line: Vec<u8>,
}

impl<'a> PlanFiles<'a> {
    /// Writes below this state directory.
    ///
    /// # Errors
    /// The file of the planning report cannot be begun.
    pub fn new(dir: &'a StateDir, keys: &'a KeyStore) -> Result<Self, CliError> {
        Ok(Self { dir, keys, waves: BTreeMap::new(), report: new_file(dir, keys, Area::Plans)?, line: Vec::new() })
    }

    fn wave(&mut self, name: &str) -> Result<&mut WaveFile, String> {
        if !self.waves.contains_key(name) {
            let (key_id, key) = self.keys.new_key(KeySort::Wave, None).map_err(|e| chain(&e))?;
            self.waves.insert(name.to_owned(), WaveFile { key_id, key, writer: None });
        }
        self.waves.get_mut(name).ok_or_else(|| "the wave was not put in".to_owned())
    }

    /// Publishes everything: the digests of the waves' files, and of the planning report.
    pub fn finish(self) -> Result<(BTreeMap<String, Digest>, Digest), CliError> {
        let mut digests = BTreeMap::new();
        for (name, wave) in self.waves {
            if let Some(writer) = wave.writer {
                let published = writer.finish().map_err(|e| CliError::failed(chain(&e)))?;
                digests.insert(name, published.digest);
            }
        }
        let report = self.report.finish().map_err(|e| CliError::failed(chain(&e)))?;
        Ok((digests, report.digest))
    }
}

impl Sink for PlanFiles<'_> {
    fn wave_line(&mut self, wave: &str, line: &[u8]) -> Result<(), String> {
        let dir = self.dir;
        let file = self.wave(wave)?;
        if file.writer.is_none() {
            let created = SealedWriter::create(dir, &Shelf::of(Area::Plans), &file.key_id, &file.key);
            file.writer = Some(created.map_err(|e| chain(&e))?);
        }
        match &mut file.writer {
            Some(writer) => writer.write_all(line).map_err(|e| chain(&e)),
            None => Err("the wave's file is not open".to_owned()),
        }
    }

    fn blob(&mut self, wave: &str, digest: &Digest, bytes: &[u8]) -> Result<(), String> {
        let dir = self.dir;
        let file = self.wave(wave)?;
        let shelf = Shelf::within(Area::Blobs, &file.key_id);
        let mut writer = SealedWriter::create(dir, &shelf, &file.key_id, &file.key).map_err(|e| chain(&e))?;
        writer.write_all(bytes).map_err(|e| chain(&e))?;
        let published = writer.finish().map_err(|e| chain(&e))?;
        if published.digest == *digest { Ok(()) } else { Err(format!("blob {digest} was written as {}", published.digest)) }
    }

    fn report(&mut self, line: &ReportLine) -> Result<(), String> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, line).map_err(|e| e.to_string())?;
        self.line.push(b'\n');
        self.report.write_all(&self.line).map_err(|e| chain(&e))
    }
}
