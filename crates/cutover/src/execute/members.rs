//! Listed values of a multi-valued attribute: group memberships and references. One operation serves many subjects with a value
//! each; equality, conflict and undo are decided cell by cell.

use std::collections::BTreeSet;

use untether_directory::{Condition, DirectoryError, Failure, WriteOptions};
use untether_model::change::{Change, Modification};
use untether_model::operation::{Action, Actor, Direction};
use untether_model::run::{CellStand, OutcomeKind, Started};
use untether_model::schema::Schema;
use untether_model::{AttrMap, AttrName, Dn, SubjectId, Value};

use super::{After, Ahead, Ending, Executor, Server, Task, Tries};
use crate::act::{self, Seen};
use crate::error::CutoverError;
use crate::image::{BEFORE, DESIRED, Image};

/// Values in one modify: measured to be about a hundred times cheaper a value than one at a time, and within what servers take.
const CHUNK: usize = 1_000;

/// `objectClassViolation`: the last value of a required attribute cannot go.
const OBJECT_CLASS_VIOLATION: u32 = 65;

/// One subject with its value.
#[derive(Clone)]
struct Cell {
    subject: Option<SubjectId>,
    value: Value,
    open: Option<(u64, u32)>,
}

/// The parts of an `Ensure`.
struct Ensure<'a> {
    attr: &'a AttrName,
    direction: Direction,
    create: Option<&'a AttrMap>,
    placeholder: Option<&'a Value>,
    delete_when_empty: bool,
}

impl Executor {
    pub(super) async fn run_members(&self, task: &Task<'_>, mut ahead: Option<Ahead>) -> Result<(), CutoverError> {
        let Action::Ensure { attr, direction, values, create, placeholder, delete_when_empty } = &task.op.action else {
            return Err(self.plan_error(task, "it lists no values"));
        };
        let ensure = Ensure {
            attr,
            direction: *direction,
            create: create.as_ref(),
            placeholder: placeholder.as_ref(),
            delete_when_empty: *delete_when_empty,
        };
        let mut cells = Vec::new();
        if task.op.subjects.is_empty() {
            cells.extend(values.iter().map(|value| Cell { subject: None, value: value.clone(), open: None }));
        }
        for (subject, value) in task.op.subjects.iter().zip(values) {
            if !task.subjects.contains(subject) {
                continue;
            }
            let open = match self.stand(task, Some(subject)) {
                CellStand::Done(_) => continue,
                CellStand::Observe { started, attempts } => Some((started, attempts)),
                CellStand::Fresh | CellStand::Failed(_) => None,
            };
            cells.push(Cell { subject: Some(subject.clone()), value: value.clone(), open });
        }
        // Cells of one intent end together; cells without an intent are chunked.
        cells.sort_by_key(|cell| cell.open);
        let mut rest = cells.as_slice();
        while let Some(first) = rest.first() {
            let same = rest.iter().take_while(|cell| cell.open == first.open).count().min(if first.open.is_some() {
                rest.len()
            } else {
                CHUNK
            });
            let (chunk, after) = rest.split_at(same);
            Box::pin(self.chunk(task, &ensure, chunk, ahead.take())).await?;
            rest = after;
        }
        Ok(())
    }

    async fn chunk(
        &self,
        task: &Task<'_>,
        ensure: &Ensure<'_>,
        cells: &[Cell],
        mut ahead: Option<Ahead>,
    ) -> Result<(), CutoverError> {
        let mut started = cells.first().and_then(|c| c.open).map(|(seq, _)| seq);
        let mut attempt = cells.first().and_then(|c| c.open).map_or(0, |(_, attempts)| attempts);
        let mut cells = cells.to_vec();
        let mut replace_last = false;
        let mut tries = Tries::default();
        loop {
            let looked_ahead = match ahead.take() {
                Some(Ahead::There(seen)) if started.is_none() => Some(seen),
                _ => None,
            };
            let is_ahead = looked_ahead.is_some();
            let (seen, present) = self.look(task, ensure, &cells, looked_ahead).await?;
            let server = self.server(task).await?;
            let schema = &server.schema;
            let present = normalized(schema, ensure.attr, &present);
            let is_there = |value: &Value| present.contains(&schema.normalize(ensure.attr, value));
            let (mut reached, open): (Vec<Cell>, Vec<Cell>) = cells.iter().cloned().partition(|cell| match ensure.direction {
                Direction::Present => is_there(&cell.value),
                Direction::Absent => !is_there(&cell.value),
            });
            if is_ahead && !reached.is_empty() {
                continue;
            }
            if !reached.is_empty() {
                if let (Some(seen), true) = (&seen, open.is_empty())
                    && self.stands_for_itself(task, ensure, &seen.dn).await?
                {
                    // An earlier order has emptied it and could not delete it: that is a write of this one, with an intent of its own.
                    if started.is_none() {
                        reached.retain(|cell| self.is_worked_on(task, cell.subject.as_ref()));
                        if reached.is_empty() {
                            return Ok(());
                        }
                        attempt += 1;
                        let own_name = vec![Value::from(seen.dn.as_str())];
                        started = Some(self.start_members(task, ensure, Some(seen), (&reached, own_name), attempt).await?);
                    }
                    if let Some(kept) = self.delete_emptied(task, ensure, &seen.dn).await? {
                        return self.end(task, started, &reached, kept).await;
                    }
                }
                let kind = if started.is_some() { OutcomeKind::Observed } else { OutcomeKind::Already };
                let id = if self.made(ensure, started)? { seen.as_ref().and_then(|s| s.stable_id.clone()) } else { None };
                self.end(task, started, &reached, Ending::new(kind, "as desired").with_id(id)).await?;
            }
            if open.is_empty() {
                return Ok(());
            }
            cells = open;
            if seen.is_none() && ensure.create.is_none() {
                let words = "the entry that should hold the values does not exist";
                if task.op.is_reference() && started.is_none() {
                    return self.defer(task, words).await;
                }
                return self.end(task, started, &cells, Ending::new(OutcomeKind::Conflict, words)).await;
            }
            tries.count += 1;
            if tries.count > 3 * super::TRIES {
                let words = "the values kept changing while they were being written";
                return self.end(task, started, &cells, Ending::new(OutcomeKind::Conflict, words)).await;
            }
            if started.is_none() {
                cells.retain(|cell| self.is_worked_on(task, cell.subject.as_ref()));
                if cells.is_empty() {
                    return Ok(());
                }
                attempt += 1;
                let held = match ensure.direction {
                    Direction::Present => Vec::new(),
                    Direction::Absent => cells.iter().map(|cell| cell.value.clone()).collect(),
                };
                started = Some(self.start_members(task, ensure, seen.as_ref(), (&cells, held), attempt).await?);
            }
            match self.send_members(task, &server, ensure, (seen.as_ref(), &cells, replace_last)).await {
                Ok(after) => {
                    let (there, now) = self.look(task, ensure, &cells, after).await?;
                    if let (Some(was), Some(is)) = (&seen, &there)
                        && was.stable_id != is.stable_id
                    {
                        let words = "another entry took the name of the one that holds the values while they were being written";
                        return self.end(task, started, &cells, Ending::new(OutcomeKind::Conflict, words)).await;
                    }
                    let dn = seen.as_ref().map_or_else(|| task.op.target.dn().clone(), |s| s.dn.clone());
                    let now = normalized(schema, ensure.attr, &now);
                    let is_there = |cell: &Cell| now.contains(&schema.normalize(ensure.attr, &cell.value));
                    let done = cells.iter().all(|cell| is_there(cell) == (ensure.direction == Direction::Present));
                    if done {
                        if let Some(kept) = self.delete_emptied(task, ensure, &dn).await? {
                            return self.end(task, started, &cells, kept).await;
                        }
                        let id = if seen.is_some() { None } else { there.and_then(|s| s.stable_id) };
                        let words = if seen.is_none() { "created with these values" } else { "read back as desired" };
                        return self.end(task, started, &cells, Ending::new(OutcomeKind::Succeeded, words).with_id(id)).await;
                    }
                }
                Err(error) if is_last_value(&error, ensure.direction) && !replace_last => {
                    if ensure.placeholder.is_none() && !ensure.delete_when_empty {
                        let words = "it is the last value and no placeholder is configured; the cell is held";
                        let result = Ending { code: error.code, ..Ending::new(OutcomeKind::Refused, words) };
                        return self.end(task, started, &cells, result).await;
                    }
                    replace_last = true;
                }
                // One bad value must not take a thousand others with it.
                Err(error) if error.failure == Failure::Refused && cells.len() > 1 && !tries.unanswered => {
                    let (left, right) = cells.split_at(cells.len() / 2);
                    for half in [left, right] {
                        let half: Vec<Cell> =
                            half.iter().map(|c| Cell { open: started.map(|seq| (seq, attempt)), ..c.clone() }).collect();
                        Box::pin(self.chunk(task, ensure, &half, None)).await?;
                    }
                    return Ok(());
                }
                Err(error) => match self.after_failure(task, error, &mut tries).await? {
                    After::Settled(result) => return self.end(task, started, &cells, result).await,
                    After::Again => {}
                },
            }
        }
    }

    /// The entry that holds the values, and which of them it holds: as the write returned it, or read.
    async fn look(
        &self,
        task: &Task<'_>,
        ensure: &Ensure<'_>,
        cells: &[Cell],
        returned: Option<Seen>,
    ) -> Result<(Option<Seen>, Vec<Value>), CutoverError> {
        let whole = may_be_read_whole(ensure.attr);
        let seen = match returned {
            Some(seen) => Some(seen),
            None if whole => self.observe(task, &whole_value(ensure.attr)).await?,
            None => self.observe(task, std::slice::from_ref(&act::STABLE_ID)).await?,
        };
        let present = match &seen {
            Some(seen) if whole => seen.values(ensure.attr).to_vec(),
            Some(seen) => {
                let values: Vec<Value> = cells.iter().map(|c| c.value.clone()).collect();
                self.present(task, &seen.dn, ensure.attr, &values).await?
            }
            None => Vec::new(),
        };
        Ok((seen, present))
    }

    /// Whether the entry that holds the values was not there when this intent was journalled: then it is there by us, though the
    /// answer that said so was lost, and a rollback has to take it away again.
    fn made(&self, ensure: &Ensure<'_>, started: Option<u64>) -> Result<bool, CutoverError> {
        let Some(seq) = started.filter(|_| ensure.create.is_some() && ensure.direction == Direction::Present) else {
            return Ok(false);
        };
        Ok(self.ports.ledger.started(seq).map_err(CutoverError::File)?.stable_id.is_none())
    }

    /// Whether a group of ours that is deleted when it is empty holds its own name in the place of the last value that went.
    async fn stands_for_itself(&self, task: &Task<'_>, ensure: &Ensure<'_>, dn: &Dn) -> Result<bool, CutoverError> {
        if ensure.direction != Direction::Absent || !ensure.delete_when_empty {
            return Ok(false);
        }
        Ok(!self.present(task, dn, ensure.attr, &[Value::from(dn.as_str())]).await?.is_empty())
    }

    /// Deletes a group of ours that holds nothing but its own name, which stands for the last value that went; takes the name out
    /// where others have come meanwhile. `Some`: the store keeps it from that, for this reason; the cells are not done then.
    async fn delete_emptied(&self, task: &Task<'_>, ensure: &Ensure<'_>, dn: &Dn) -> Result<Option<Ending>, CutoverError> {
        let writer = self.writer(task)?;
        let own_name = [Value::from(dn.as_str())];
        let mut tries = Tries { count: 1, unanswered: false };
        for _ in 0..super::TRIES {
            if !self.stands_for_itself(task, ensure, dn).await? {
                return Ok(None);
            }
            let attrs = [ensure.attr.clone(), act::STABLE_ID.clone(), act::CHANGE_MARKER.clone()];
            let Some(seen) = self.answered(task, self.store(task).reader().read(dn, &attrs).await)?.map(Seen::of) else {
                return Ok(None);
            };
            let alone = seen.values(ensure.attr).len() == 1;
            let (change, condition) = if alone {
                let change_marker = seen.change_marker.clone();
                let condition = Condition { stable_id: seen.stable_id.clone(), change_marker, ..Condition::default() };
                (Change::Delete { dn: dn.clone() }, Some(condition))
            } else {
                let mods = vec![Modification::delete(ensure.attr.clone(), own_name.to_vec())];
                (Change::Modify { dn: dn.clone(), mods }, None)
            };
            let options = WriteOptions { condition, ..WriteOptions::default() };
            match self.send_change(task, writer, &change, &options).await {
                Ok(_) => return Ok(None),
                Err(error) => match self.after_failure(task, error, &mut tries).await? {
                    After::Again => {}
                    After::Settled(ending) => {
                        let message = format!("the values are gone, the group emptied by that is not: {}", ending.message);
                        return Ok(Some(Ending { message, ..ending }));
                    }
                },
            }
        }
        let words = "the group kept changing while it was being deleted";
        Ok(Some(Ending::new(OutcomeKind::Conflict, words)))
    }

    /// Which of these values are there; none where the entry is not (we may just have deleted it).
    async fn present(&self, task: &Task<'_>, dn: &Dn, attr: &AttrName, values: &[Value]) -> Result<Vec<Value>, CutoverError> {
        match self.store(task).reader().present(dn, attr, values).await {
            Err(error) if error.failure == Failure::NoSuchObject => Ok(Vec::new()),
            answer => self.answered(task, answer),
        }
    }

    async fn end(&self, task: &Task<'_>, started: Option<u64>, cells: &[Cell], result: Ending) -> Result<(), CutoverError> {
        let counts = |cell: &&Cell| started.is_some() || self.is_worked_on(task, cell.subject.as_ref());
        let cells: Vec<&Cell> = cells.iter().filter(counts).collect();
        if cells.is_empty() {
            return Ok(());
        }
        let subjects: Vec<SubjectId> = cells.iter().filter_map(|c| c.subject.clone()).collect();
        self.record_outcome(task, started, &subjects, result).await
    }

    /// Records the intent for these cells; `held`: what of the values that it is about the entry was seen to hold.
    async fn start_members(
        &self,
        task: &Task<'_>,
        ensure: &Ensure<'_>,
        seen: Option<&Seen>,
        (cells, held): (&[Cell], Vec<Value>),
        attempt: u32,
    ) -> Result<u64, CutoverError> {
        let key = self.key(task)?;
        let dn = seen.map_or_else(|| task.op.target.dn().clone(), |s| s.dn.clone());
        let after = match ensure.direction {
            Direction::Present => cells.iter().map(|cell| cell.value.clone()).collect(),
            Direction::Absent => Vec::new(),
        };
        let sealed = |values: Vec<Value>, purpose: &str| {
            let attrs = AttrMap::from([(ensure.attr.clone(), values)]);
            Image { dn: dn.clone(), attrs, secret: None }
                .seal(&key, purpose, &task.id)
                .map_err(|source| CutoverError::Sealed { op: task.id.clone(), source })
        };
        self.record_started(Started {
            op: task.id.clone(),
            stage: task.op.stage,
            subjects: cells.iter().filter_map(|c| c.subject.clone()).collect(),
            attempt,
            store: task.op.store,
            stable_id: seen.and_then(|s| s.stable_id.clone()),
            change_marker: None,
            before: sealed(held, BEFORE)?,
            desired: sealed(after, DESIRED)?,
            marks: Default::default(),
        })
        .await
    }

    async fn send_members(
        &self,
        task: &Task<'_>,
        server: &Server,
        ensure: &Ensure<'_>,
        (seen, cells, replace_last): (Option<&Seen>, &[Cell], bool),
    ) -> Result<Option<Seen>, DirectoryError> {
        let side = task.op.store;
        let unusable = |e: CutoverError| DirectoryError::new(Failure::Invalid, side, "modify", e.to_string());
        let writer = self.writer(task).map_err(unusable)?;
        let values: Vec<Value> = cells.iter().map(|c| c.value.clone()).collect();
        let relax = task.op.actor == Actor::Undo;
        let Some(seen) = seen else {
            let mut attrs = ensure.create.cloned().unwrap_or_default();
            attrs.entry(ensure.attr.clone()).or_default().extend(values);
            let change = Change::Add { dn: task.op.target.dn().clone(), attrs };
            let options = WriteOptions { relax, ..WriteOptions::default() };
            return self.send_change(task, writer, &change, &options).await.map(|_| None);
        };
        // The memberof overlay (slapd 2.5) copies the assertion to its own changes of the members, where it is false: `memberOf`
        // would not follow. There results 20 and 16 alone are the condition, and the group's stable id is compared afterwards.
        let follows = !may_be_read_whole(ensure.attr) && server.schema.get(&AttrName::new("memberOf")).is_some();
        let condition = (!follows).then(|| Condition { stable_id: seen.stable_id.clone(), ..Condition::default() });
        let reads_back = server.reads_entries && may_be_read_whole(ensure.attr);
        let post_read = if reads_back { whole_value(ensure.attr).to_vec() } else { Vec::new() };
        let options = WriteOptions { condition, post_read, relax, ..WriteOptions::default() };
        let attr = ensure.attr.clone();
        let change = match ensure.direction {
            Direction::Present => Change::Modify { dn: seen.dn.clone(), mods: vec![Modification::add(attr, values)] },
            Direction::Absent => {
                let mut mods = Vec::new();
                // A group that is to be deleted holds its own name for a moment: deleting it in one step would need an assertion
                // against members that come meanwhile, which would keep the overlay from clearing `memberOf` of those that go.
                let own_name = Value::from(seen.dn.as_str());
                let placeholder = if ensure.delete_when_empty { Some(&own_name) } else { ensure.placeholder };
                if let Some(placeholder) = placeholder.filter(|_| replace_last) {
                    mods.push(Modification::add(attr.clone(), vec![placeholder.clone()]));
                }
                mods.push(Modification::delete(attr, values));
                Change::Modify { dn: seen.dn.clone(), mods }
            }
        };
        Ok(self.send_change(task, writer, &change, &options).await?.after.map(Seen::of))
    }
}

/// Whether the attribute holds few values (a person's managers). Those of groups may be hundreds of thousands and are never read as
/// a whole.
fn may_be_read_whole(attr: &AttrName) -> bool {
    !matches!(attr.base(), "member" | "uniquemember" | "memberuid" | "roleoccupant")
}

/// What is read of an entry whose attribute may be read whole.
fn whole_value(attr: &AttrName) -> [AttrName; 2] {
    [act::STABLE_ID.clone(), attr.clone()]
}

/// What of the entry that holds values is looked at before an operation's turn; `None`: it is not.
pub(super) fn looked_at(attr: &AttrName) -> Option<Vec<AttrName>> {
    may_be_read_whole(attr).then(|| whole_value(attr).to_vec())
}

/// Values as they compare.
fn normalized(schema: &Schema, attr: &AttrName, values: &[Value]) -> BTreeSet<Vec<u8>> {
    values.iter().map(|value| schema.normalize(attr, value)).collect()
}

fn is_last_value(error: &DirectoryError, direction: Direction) -> bool {
    direction == Direction::Absent && error.code == Some(OBJECT_CLASS_VIOLATION)
}
