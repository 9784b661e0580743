//! Every boundary of the operation protocol, in every stage, for every kind of operation: killed there, resumed, killed again while
//! resuming and while the database is made again, and compared with the run that nobody interrupted. The same for rollbacks.

#![expect(clippy::print_stdout, reason = "the figures of the matrix, with --nocapture")]

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use untether_model::operation::Stage;
use untether_testkit::twins::{Boundary, Driven, Point};

use crate::act::{
    Act, Back, EXPIRE, ISSUE, ISSUE_BY_HOOK, LEAVE, LEAVE_BACK, MOVE, MOVE_BACK, STAGES_BACK, Settled, Stand, settled,
    uninterrupted, unlike,
};
use crate::disk::{power_cut, struck};
use crate::twins::block_on;

/// What becomes of the database between two processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Database {
    Kept,
    Lost,
    Older,
    /// Lost, and its making anew dies at this operation.
    DiesAgain(u64),
}

/// Kills at each of these boundaries after each other, then lets it come to its end. Tells where it was killed, and the boundaries
/// of the last process.
async fn killed(act: Act, kills: &[u64], database: Database) -> Result<(Vec<Point>, Settled, Vec<Point>), String> {
    let mut stand = Stand::new(act).await;
    let mut world = stand.world();
    let early = world.database.snapshot();
    let mut fired = Vec::new();
    for kill in kills {
        world.breaker.arm(Some(*kill));
        match stand.go().await.map_err(|e| format!("before the kill: {e}"))? {
            Driven::Killed => {}
            // A resume may have fewer boundaries than are asked for.
            Driven::Ended(()) => {
                world.breaker.arm(None);
                break;
            }
        }
        fired.extend(world.breaker.fired());
        match database {
            Database::Kept => {}
            Database::Lost | Database::DiesAgain(_) => world.database.clear(),
            Database::Older => world.database = early.snapshot(),
        }
        if let Database::DiesAgain(operation) = database {
            world.database.die_at(Some(world.database.changes() + operation));
            let died = stand.reopen(&world);
            world.database.die_at(None);
            if died.is_ok() {
                return Err(format!("the rebuild has no operation {operation}"));
            }
        }
        stand.reopen(&world).map_err(|e| format!("reopening: {e}"))?;
    }
    world.breaker.arm(None);
    match stand.go().await.map_err(|e| format!("after the kill: {e}"))? {
        Driven::Ended(()) => {}
        Driven::Killed => return Err("it was killed although nothing was armed".to_owned()),
    }
    if stand.session.folded().map_err(|e| e.to_string())? != stand.session.state {
        return Err("the state is not the fold of the ledger".to_owned());
    }
    if let Some(key) = world.handed.given().into_iter().find(|(_, given)| given.secrets.len() != 1).map(|(key, _)| key) {
        return Err(format!("the hook got several secrets under the key {key}"));
    }
    Ok((fired, settled(&stand.session), world.breaker.seen()))
}

/// The boundaries of an act, by class.
fn classes(points: &[Point]) -> BTreeMap<Point, Vec<u64>> {
    let mut out: BTreeMap<Point, Vec<u64>> = BTreeMap::new();
    for (at, point) in points.iter().enumerate() {
        out.entry(point.clone()).or_default().push(at as u64);
    }
    out
}

/// The columns of the table: what of the protocol a kill struck.
const COLUMNS: [&str; 9] = [
    "before intent",
    "after intent",
    "before effect",
    "reply lost",
    "before outcome",
    "after outcome",
    "in commit",
    "in resume",
    "in rebuild",
];
const IN_COMMIT: usize = 6;
const IN_RESUME: usize = 7;
const IN_REBUILD: usize = 8;

/// The stage and the kind of the operation that a boundary belongs to, and its column.
fn place(point: &Point) -> Option<((Stage, String), usize)> {
    let (word, kind) = point.what.split_once(' ')?;
    let column = match (word, point.boundary) {
        ("started", Boundary::BeforeRecord) => 0,
        ("started", Boundary::AfterRecord) => 1,
        ("effect", Boundary::BeforeWrite) => 2,
        ("effect", Boundary::AfterWrite) => 3,
        ("outcome", Boundary::BeforeRecord) => 4,
        ("outcome", Boundary::AfterRecord) => 5,
        ("started" | "outcome", Boundary::InCommit) => IN_COMMIT,
        _ => return None,
    };
    Some(((point.stage?, kind.to_owned()), column))
}

/// Kills by stage, kind of operation and place in the protocol.
#[derive(Default)]
struct Table {
    rows: BTreeMap<(Stage, String), [u32; COLUMNS.len()]>,
    runs: u32,
    bad: Vec<String>,
}

impl Table {
    fn struck(&mut self, row: (Stage, String), column: usize) {
        if let Some(count) = self.rows.entry(row).or_default().get_mut(column) {
            *count += 1;
        }
    }

    /// Takes a run in.
    fn take(&mut self, what: &str, ended: Result<String, String>) {
        self.runs += 1;
        match ended {
            Ok(words) if words.is_empty() => {}
            Ok(words) => self.bad.push(format!("{what}:\n{words}")),
            Err(why) => self.bad.push(format!("{what}: {why}\n")),
        }
    }

    /// Prints it, and fails where a run went wrong, or a stage and kind that the act must have is not there or was never killed at a
    /// place of the protocol.
    fn close(self, act: Act) {
        println!("{act}: {} runs", self.runs);
        println!("  {:24} {}", "", COLUMNS.map(|column| format!("{column:>14}")).join(" "));
        for ((stage, kind), counts) in &self.rows {
            let counts: Vec<String> = counts.iter().map(|count| format!("{count:>14}")).collect();
            println!("  {:24} {}", format!("{stage} {kind}"), counts.join(" "));
        }
        let bad: String = self.bad.iter().take(12).map(String::as_str).collect();
        assert!(self.bad.is_empty(), "{act}: {} of {}:\n{bad}", self.bad.len(), self.runs);
        for (stage, kind) in wanted(act) {
            let counts = self.rows.get(&(stage, kind.to_owned())).copied().unwrap_or_default();
            // Nothing is sent for a proof: it has an outcome alone.
            let from = if kind == "attest" { 4 } else { 0 };
            let zero = COLUMNS.iter().zip(counts).skip(from).find(|(_, count)| *count == 0);
            assert!(zero.is_none(), "{act}: {stage} {kind} was never killed {:?}", zero.map(|(column, _)| column));
        }
    }
}

/// The stages and kinds of operation that an act must have.
fn wanted(act: Act) -> Vec<(Stage, &'static str)> {
    use Stage::{Attest, Disable, Enroll, Provision, Remove, Scrub, Switch};
    let ends = [
        (Disable, "set lock"),
        (Scrub, "set"),
        (Remove, "membership"),
        (Remove, "reference"),
        (Remove, "delete"),
        (Attest, "attest"),
    ];
    let begins = [
        (Provision, "create"),
        (Provision, "membership"),
        (Provision, "reference"),
        (Enroll, "set credential"),
        (Switch, "membership"),
    ];
    match act {
        LEAVE => [&ends[..], &[(Disable, "set policy"), (Scrub, "set as manager")]].concat(),
        // Nobody of it has a history that would have to be emptied.
        MOVE => [&begins[..], &ends].concat(),
        LEAVE_BACK => {
            vec![(Provision, "recreate"), (Provision, "membership"), (Provision, "reference"), (Provision, "set lock")]
        }
        MOVE_BACK => {
            vec![(Provision, "recreate"), (Provision, "membership"), (Provision, "reference"), (Provision, "delete")]
        }
        // What was only provisioned is locked still.
        Act::Back(Back { to: Provision, .. }) => vec![(Provision, "membership"), (Provision, "reference")],
        Act::Back(Back { to: Enroll, .. }) => vec![(Enroll, "set lock")],
        Act::Back(Back { to: Switch, .. }) => vec![(Switch, "membership")],
        Act::Back(Back { to: Disable, .. }) => vec![(Disable, "set lock")],
        Act::Back(Back { to: Scrub, .. }) => vec![(Scrub, "set"), (Scrub, "set lock")],
        Act::Back(_) => vec![(Remove, "recreate"), (Remove, "membership"), (Remove, "reference")],
        ISSUE | ISSUE_BY_HOOK => vec![(Enroll, "set credential")],
        EXPIRE => vec![(Enroll, "set lock")],
        Act::Forward(_) => Vec::new(),
    }
}

/// What an act must have beside its operations.
fn wanted_beside(act: Act) -> Vec<(Boundary, &'static str)> {
    let around = |what| [(Boundary::BeforeRecord, what), (Boundary::AfterRecord, what)];
    let given = [(Boundary::BeforeHandover, "hand-over"), (Boundary::AfterHandover, "hand-over")];
    match act {
        ISSUE => [around("handover-written"), around("order-ended"), given].concat(),
        ISSUE_BY_HOOK => [around("handover-started"), around("handover-ended"), around("order-ended"), given].concat(),
        EXPIRE => around("order-ended").into(),
        MOVE => [around("handover-written"), around("stage-started"), around("stage-ended"), given].concat(),
        LEAVE => [around("stage-started"), around("stage-ended")].concat(),
        Act::Back(_) => around("rolled-back").into(),
        Act::Forward(_) => Vec::new(),
    }
}

/// Kills at every boundary of the act (at looks: at the first and the last of a class); in every commit's operations of the disk; at
/// every boundary of an operation that is resumed; and in every operation of the rebuild of a lost database.
fn matrix(act: Act) {
    block_on(async {
        let (wanted, points, commits) = uninterrupted(act).await;
        let classes = classes(&points);
        let mut table = Table::default();
        let mut once: BTreeSet<u64> = BTreeSet::new();
        for (point, at) in &classes {
            match point.boundary {
                Boundary::BeforeRead => once.extend(at.first().into_iter().chain(at.last())),
                _ => once.extend(at),
            }
        }
        let mut hit: BTreeSet<Point> = BTreeSet::new();
        for at in once {
            let point = &points[at as usize];
            let database = [Database::Kept, Database::Lost, Database::Older][at as usize % 3];
            let ended = killed(act, &[at], database).await;
            let ended = ended.map(|(fired, found, _)| {
                assert_eq!(fired, std::slice::from_ref(point), "boundary {at} did not fire");
                hit.insert(point.clone());
                unlike(&found, &wanted)
            });
            table.take(&point.to_string(), ended);
            if let Some((row, column)) = place(point) {
                table.struck(row, column);
            }
        }
        assert_eq!(hit.len(), classes.len(), "{act}: a class of boundaries never fired");
        for (boundary, what) in wanted_beside(act) {
            assert!(hit.iter().any(|p| p.boundary == boundary && p.what == what), "{act}: never killed {boundary:?} of {what}");
        }
        in_commits(act, (&wanted, &commits), &mut table).await;
        in_resumes(act, (&wanted, &classes), &mut table).await;
        in_rebuilds(act, (&wanted, &classes), &mut table).await;
        table.close(act);
    });
}

/// The disk dies in the commit of an operation's record, and the machine with it; what was not synced is lost, in part or whole.
async fn in_commits(act: Act, (wanted, commits): (&Settled, &[(Point, Range<u64>)]), table: &mut Table) {
    let mut by_class: BTreeMap<&Point, Vec<&Range<u64>>> = BTreeMap::new();
    for (point, operations) in commits {
        by_class.entry(point).or_default().push(operations);
    }
    for (point, all) in by_class {
        let Some((row, column)) = place(point) else { continue };
        let ends: BTreeSet<u64> = all.first().into_iter().chain(all.last()).flat_map(|range| (*range).clone()).collect();
        for (number, operation) in ends.into_iter().enumerate() {
            let strike = power_cut(number + operation as usize);
            let ended = struck(act, operation, strike, wanted).await;
            table.take(&format!("{point}, {strike:?} at operation {operation}"), ended);
            table.struck(row.clone(), column);
        }
    }
}

/// Killed right after an intent, the operation is observed and carried out in the resume: killed there again, at each boundary.
async fn in_resumes(act: Act, (wanted, classes): (&Settled, &BTreeMap<Point, Vec<u64>>), table: &mut Table) {
    for (point, at) in classes {
        let Some((row, column)) = place(point) else { continue };
        let first = at[at.len() / 2];
        let (second_in, what) = match column {
            // The resume of an intent passes all that follows.
            1 => (true, &row.1),
            // A proof has no intent.
            4 if row.1 == "attest" => (true, &row.1),
            _ => (false, &row.1),
        };
        if !second_in {
            continue;
        }
        let seen = match killed(act, &[first], Database::Kept).await {
            Ok((_, found, seen)) => {
                table.take(&point.to_string(), Ok(unlike(&found, wanted)));
                seen
            }
            Err(why) => {
                table.take(&point.to_string(), Err(why));
                continue;
            }
        };
        let mut kills: BTreeMap<usize, u64> = BTreeMap::new();
        for (at, met) in seen.iter().enumerate() {
            if let Some(((stage, kind), column)) = place(met)
                && stage == row.0
                && kind == *what
            {
                kills.entry(column).or_insert(at as u64);
            }
        }
        // Looks of the resume as well: the first ones are at what was left open.
        let looks = seen.iter().enumerate().filter(|(_, met)| met.boundary == Boundary::BeforeRead).map(|(at, _)| at as u64);
        let least = if row.1 == "attest" { 2 } else { 4 };
        assert!(kills.len() >= least, "{act}: the resume of {point} passes {kills:?}");
        for second in kills.into_values().chain(looks.take(2)) {
            let ended = killed(act, &[first, second], Database::Kept).await;
            let ended = ended.and_then(|(fired, found, _)| match fired.len() {
                2 => Ok(unlike(&found, wanted)),
                _ => Err("the resume was not killed".to_owned()),
            });
            table.take(&format!("{point}, then boundary {second} of the resume"), ended);
            table.struck(row.clone(), IN_RESUME);
        }
    }
}

/// Killed, the database lost, and its making anew killed at each of its operations.
async fn in_rebuilds(act: Act, (wanted, classes): (&Settled, &BTreeMap<Point, Vec<u64>>), table: &mut Table) {
    for (point, at) in classes {
        let Some((row, _)) = place(point) else { continue };
        // A write and a sync.
        for operation in 0..2 {
            let ended = killed(act, &[at[0]], Database::DiesAgain(operation)).await;
            let ended = ended.map(|(_, found, _)| unlike(&found, wanted));
            table.take(&format!("{point}, then operation {operation} of the rebuild"), ended);
            table.struck(row.clone(), IN_REBUILD);
        }
    }
}

#[test]
fn a_leaving_wave_survives_a_kill_at_every_boundary() {
    matrix(LEAVE);
}

#[test]
fn a_moving_wave_survives_a_kill_at_every_boundary() {
    matrix(MOVE);
}

#[test]
fn the_rollback_of_a_leaving_wave_survives_a_kill_at_every_boundary() {
    matrix(LEAVE_BACK);
}

#[test]
fn the_rollback_of_a_moving_wave_survives_a_kill_at_every_boundary() {
    matrix(MOVE_BACK);
}

#[test]
fn credentials_that_are_issued_again_survive_a_kill_at_every_boundary() {
    matrix(ISSUE);
    matrix(ISSUE_BY_HOOK);
}

#[test]
fn credentials_that_expire_survive_a_kill_at_every_boundary() {
    matrix(EXPIRE);
}

#[test]
fn the_rollback_of_each_stage_survives_a_kill_at_every_boundary() {
    STAGES_BACK.into_iter().for_each(matrix);
}
