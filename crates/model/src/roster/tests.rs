//! What the roster says, sentence by sentence.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;

use super::*;
use crate::EntityId;
use crate::policy::{Entity, RosterPolicy};

const HEADER: &str =
    "person_id,employee_number,previous_number,name,mail,login,entity,status,employment,start_date,last_day,contract_end";

fn entities() -> BTreeMap<EntityId, Entity> {
    [("own", "Asia/Tokyo"), ("overseas", "Europe/Berlin"), ("firm", "Asia/Tokyo")]
        .into_iter()
        .map(|(id, zone)| {
            let entity = Entity {
                name: id.into(),
                name_ja: None,
                time_zone: zone.into(),
                deadline: None,
                shared_subtrees: vec![],
                independent_subtrees: vec![],
            };
            (EntityId::new(id), entity)
        })
        .collect()
}

fn read(rows: &[&str]) -> Result<Roster, RosterError> {
    read_with(&RosterPolicy::default(), HEADER, rows)
}

fn read_with(policy: &RosterPolicy, header: &str, rows: &[&str]) -> Result<Roster, RosterError> {
    read_files(&[("roster.csv", policy.clone(), header, rows)])
}

/// Name, how it is read, header and rows of each file.
type Given<'a> = (&'a str, RosterPolicy, &'a str, &'a [&'a str]);

fn read_files(files: &[Given<'_>]) -> Result<Roster, RosterError> {
    let mut reader = RosterReader::new();
    for (name, policy, header, rows) in files {
        let header: Vec<&str> = header.split(',').collect();
        let file = RosterFile { name, policy, entities: &entities() };
        if reader.begin(&file, &header)? {
            for (row, line) in rows.iter().zip(2..) {
                reader.record(line, &row.split(',').collect::<Vec<_>>())?;
            }
            reader.end();
        }
    }
    reader.finish()
}

/// The kinds of what refuses these rows.
fn refusals(rows: &[&str]) -> Vec<ProblemKind> {
    match read(rows) {
        Err(RosterError::Refused(problems)) => problems.iter().map(|problem| problem.kind).collect(),
        other => panic!("not refused: {other:?}"),
    }
}

fn date(text: &str) -> Date {
    text.parse().unwrap()
}

/// Noon in Tokyo on 20 November 2026.
fn noon() -> When {
    When::At("2026-11-20T03:00:00Z".parse().unwrap())
}

fn judged_at(rows: &[&str], when: When) -> Vec<(Presence, Option<Date>, bool)> {
    let roster = read(rows).unwrap();
    let zones = Zones::of(&entities());
    roster
        .people()
        .map(|p| roster.judge(p, &zones, when).unwrap().standing)
        .map(|s| (s.presence, s.last_day, s.disagrees))
        .collect()
}

fn judged(rows: &[&str]) -> Vec<(Presence, Option<Date>, bool)> {
    judged_at(rows, noon())
}

#[test]
fn leave_and_secondment_are_active_and_leave_is_told_apart() {
    assert_eq!(judged(&["1,10,,A,a@x,a,own,active,regular,2020-04-01,,"]), [(Presence::Active, None, false)]);
    assert_eq!(judged(&["1,10,,A,a@x,a,own,seconded,regular,2020-04-01,,"]), [(Presence::Active, None, false)]);
    assert_eq!(judged(&["1,10,,A,a@x,a,own,leave,regular,2020-04-01,,"]), [(Presence::OnLeave, None, false)]);
}

#[test]
fn the_last_day_counts_until_local_midnight_of_the_rows_entity() {
    let day = Some(date("2026-11-20"));
    let tokyo = "1,10,,A,a@x,a,own,active,regular,2020-04-01,2026-11-20,";
    let berlin = "2,11,,B,b@x,b,overseas,active,regular,2020-04-01,2026-11-20,";
    let at = |text: &str| When::At(text.parse::<Timestamp>().unwrap());
    // 23:59:59 in Tokyo, then midnight there, then midnight in Berlin.
    let last_second = judged_at(&[tokyo, berlin], at("2026-11-20T14:59:59Z"));
    assert_eq!(last_second, [(Presence::Active, None, false), (Presence::Active, None, false)]);
    let midnight = judged_at(&[tokyo, berlin], at("2026-11-20T15:00:00Z"));
    assert_eq!(midnight, [(Presence::Departed, day, true), (Presence::Active, None, false)]);
    let berlin_midnight = judged_at(&[berlin], at("2026-11-20T23:00:00Z"));
    assert_eq!(berlin_midnight, [(Presence::Departed, day, true)]);
    // As of a day it is that day everywhere.
    assert_eq!(judged_at(&[tokyo], When::On(date("2026-11-20"))), [(Presence::Active, None, false)]);
    assert_eq!(judged_at(&[tokyo], When::On(date("2026-11-21"))), [(Presence::Departed, day, true)]);
}

#[test]
fn the_date_beats_the_word_and_the_disagreement_is_told() {
    let departed_today = "1,10,,A,a@x,a,own,departed,regular,2020-04-01,2026-11-20,";
    assert_eq!(judged(&[departed_today]), [(Presence::Active, Some(date("2026-11-20")), true)]);
    let departed_yesterday = "1,10,,A,a@x,a,own,departed,regular,2020-04-01,2026-11-19,";
    assert_eq!(judged(&[departed_yesterday]), [(Presence::Departed, Some(date("2026-11-19")), false)]);
    let active_past = "1,10,,A,a@x,a,own,active,regular,2020-04-01,2026-11-19,";
    assert_eq!(judged(&[active_past]), [(Presence::Departed, Some(date("2026-11-19")), true)]);
    assert_eq!(judged(&["1,10,,A,a@x,a,own,departed,regular,2020-04-01,,"]), [(Presence::Departed, None, false)]);
    assert_eq!(judged(&["1,10,,A,a@x,a,own,departed,regular,,,"]), [(Presence::Departed, None, false)]);
}

#[test]
fn who_starts_after_the_last_day_came_back_whatever_the_word() {
    assert_eq!(judged(&["1,10,,A,a@x,a,own,active,regular,2026-04-01,2024-03-31,"]), [(Presence::Active, None, false)]);
    assert_eq!(judged(&["1,10,,A,a@x,a,own,departed,regular,2026-04-01,2024-03-31,"]), [(Presence::Active, None, true)]);
    // A start on the last day itself is a stay of one day, not a return.
    assert_eq!(
        judged(&["1,10,,A,a@x,a,own,active,regular,2024-03-31,2024-03-31,"]),
        [(Presence::Departed, Some(date("2024-03-31")), true)]
    );
    assert_eq!(
        judged(&["1,10,,A,a@x,a,firm,active,contractor,2026-04-01,,2025-03-31"]),
        [(Presence::Active, None, false)],
        "the end of an earlier contract"
    );
}

#[test]
fn who_only_starts_in_the_future_has_not_started_yet() {
    assert_eq!(judged(&["1,10,,A,a@x,a,own,active,regular,2026-11-21,,"]), [(Presence::NotYetStarted, None, false)]);
    assert_eq!(judged(&["1,10,,A,a@x,a,own,active,regular,2026-11-20,,"]), [(Presence::Active, None, false)]);
    // Who left and will come back has left.
    assert_eq!(
        judged(&["1,10,,A,a@x,a,own,departed,regular,2020-04-01,2026-03-31,", "1,11,,A,a@x,a,own,active,regular,2027-04-01,,",]),
        [(Presence::Departed, Some(date("2026-03-31")), false)]
    );
}

#[test]
fn contractors_end_with_their_contract_and_regular_employees_do_not() {
    let past = date("2026-09-30");
    assert_eq!(
        judged(&["1,10,,A,a@x,a,firm,active,contractor,2020-04-01,,2026-09-30"]),
        [(Presence::ContractEnded, Some(past), false)]
    );
    assert_eq!(
        judged(&["1,10,,A,a@x,a,own,active,regular,2020-04-01,,2026-09-30"]),
        [(Presence::Active, None, false)],
        "a contract's end on a regular employee's row decides nothing"
    );
    assert_eq!(
        judged(&["1,10,,A,a@x,a,firm,departed,contractor,2020-04-01,2026-08-31,2026-09-30"]),
        [(Presence::Departed, Some(date("2026-08-31")), false)],
        "where both apply, departed"
    );
    assert_eq!(
        judged(&["1,10,,A,a@x,a,firm,active,contractor,2020-04-01,,2026-11-20"]),
        [(Presence::Active, None, false)],
        "the last day of the contract counts"
    );
    assert_eq!(
        judged(&["1,10,,A,a@x,a,firm,departed,contractor,2020-04-01,2026-12-31,2026-09-30"]),
        [(Presence::ContractEnded, Some(past), true)]
    );
}

#[test]
fn of_several_rows_the_valid_one_with_the_latest_start_describes_the_person() {
    let rows = [
        "1,10,,A,a@x,a,own,departed,regular,2015-04-01,2020-03-31,",
        "1,20,10,A,a@y,a,overseas,leave,regular,2022-04-01,,",
        "1,15,10,A,a@z,a,own,active,regular,2021-04-01,,",
    ];
    let roster = read(&rows).unwrap();
    assert_eq!(roster.person_count(), 1);
    let judgement = roster.judge(roster.people().next().unwrap(), &Zones::of(&entities()), noon()).unwrap();
    assert_eq!(judgement.standing.presence, Presence::OnLeave);
    let row = roster.row(judgement.row).unwrap();
    assert_eq!((row.number(), row.line()), (Some("20"), 3));
}

#[test]
fn with_no_valid_row_the_one_that_ended_last_decides() {
    let left_then_contracted = [
        "1,10,,A,a@x,a,own,departed,regular,2015-04-01,2020-03-31,",
        "1,20,,A,a@x,a,firm,active,contractor,2020-04-01,,2026-03-31",
    ];
    assert_eq!(judged(&left_then_contracted), [(Presence::ContractEnded, Some(date("2026-03-31")), false)]);
    let contracted_then_left = [
        "1,20,,A,a@x,a,firm,active,contractor,2015-04-01,,2019-03-31",
        "1,10,,A,a@x,a,own,departed,regular,2020-04-01,2026-03-31,",
    ];
    assert_eq!(judged(&contracted_then_left), [(Presence::Departed, Some(date("2026-03-31")), false)]);
}

fn people(rows: &[&str]) -> usize {
    read(rows).unwrap().person_count()
}

#[test]
fn rows_are_one_person_by_id_number_or_previous_number() {
    let row = |id: &str, number: &str, previous: &str, entity: &str| format!("{id},{number},{previous},A,,,{entity},active,,,,");
    let count = |rows: &[String]| people(&rows.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(count(&[row("p1", "10", "", "own"), row("P1", "77", "", "overseas")]), 1, "the same person id");
    assert_eq!(count(&[row("", "0010", "", "own"), row("", "10", "", "own")]), 1, "the same entity and number");
    assert_eq!(count(&[row("", "10", "", "own"), row("", "10", "", "overseas")]), 2, "the same number in two entities");
    assert_eq!(count(&[row("", "77", "10", "overseas"), row("", "10", "", "own")]), 1, "the previous number");
    assert_eq!(count(&[row("p1", "10", "", "own"), row("p2", "10", "", "own")]), 2, "different ids are different people");
    assert_eq!(count(&[row("p1", "10", "", "own"), row("p2", "77", "10", "own")]), 2, "whatever the previous number says");
    assert_eq!(
        count(&[row("", "10", "", "own"), row("", "10", "", "overseas"), row("", "77", "10", "firm")]),
        3,
        "a previous number that two people carry is not guessed"
    );
    assert_eq!(
        count(&[row("", "10", "", "own"), row("", "10", "", "overseas"), row("", "77", "10", "own")]),
        2,
        "but the same entity decides"
    );
    assert_eq!(
        count(&[row("p1", "10", "", "own"), row("p2", "10", "", "own"), row("", "10", "", "own")]),
        3,
        "a number that two ids carry joins nobody"
    );
}

#[test]
fn without_any_of_these_the_same_mail_and_name_in_different_entities_are_one_person() {
    let row = |id: &str, number: &str, name: &str, mail: &str, entity: &str| {
        format!("{id},{number},,{name},{mail},,{entity},active,,,,")
    };
    let count = |rows: &[String]| people(&rows.iter().map(String::as_str).collect::<Vec<_>>());
    let a = row("", "10", "山田　太郎", "Taro@x.example", "own");
    assert_eq!(count(&[a.clone(), row("", "77", "山田 太郎", "taro@X.example", "overseas")]), 1);
    assert_eq!(count(&[a.clone(), row("", "77", "山田 太郎", "taro2@x.example", "overseas")]), 2, "another mail");
    assert_eq!(count(&[a.clone(), row("", "77", "山田 花子", "taro@x.example", "overseas")]), 2, "another name");
    assert_eq!(count(&[a.clone(), row("", "77", "山田 太郎", "taro@x.example", "own")]), 2, "the same entity");
    assert_eq!(count(&[row("p1", "10", "A", "a@x", "own"), row("p2", "77", "A", "a@x", "overseas")]), 2, "different person ids");
    assert_eq!(
        count(&[
            a.clone(),
            row("", "11", "山田 太郎", "taro@x.example", "own"),
            row("", "77", "山田 太郎", "taro@x.example", "firm")
        ]),
        3,
        "two of one entity cannot be told apart"
    );
}

#[test]
fn lookups_return_each_person_once_by_comparable_keys() {
    let roster = read(&[
        "p1,0010,,A,A@X.example,Alpha,own,departed,,2015-04-01,2020-03-31,",
        "p1,20,10,A,a@x.example,alpha,own,active,,2022-04-01,,",
        "p2,10,,B,b@x.example,beta,overseas,active,,,,",
    ])
    .unwrap();
    let [one, two] = [0, 1].map(|n| roster.people().nth(n).unwrap());
    assert_eq!(roster.by_number("10"), [one, two]);
    assert_eq!(roster.by_entity_number(&"overseas".into(), "10"), [two]);
    assert_eq!(roster.by_previous_number("10"), [one]);
    assert_eq!(roster.by_mail("a@x.example"), [one]);
    assert_eq!(roster.by_login("beta"), [two]);
    assert_eq!(roster.by_person_id("p2"), [two]);
    assert_eq!(roster.by_number("11"), []);
    assert_eq!(roster.anchor(one).as_deref(), Some("roster/id/p1"));
    assert_eq!(roster.rows_of(one).map(|r| r.line()).collect::<Vec<_>>(), [2, 3]);
}

#[test]
fn an_anchor_without_a_person_id_survives_a_transfer() {
    let before = read(&[",10,,A,,,own,active,,2015-04-01,,"]).unwrap();
    let after = read(&[",77,10,A,,,overseas,active,,2026-04-01,,", ",10,,A,,,own,departed,,2015-04-01,2026-03-31,"]).unwrap();
    let anchor = |roster: &Roster| roster.anchor(roster.people().next().unwrap());
    assert_eq!(anchor(&before).as_deref(), Some("roster/own/10"));
    assert_eq!(anchor(&before), anchor(&after));
}

#[test]
fn unknown_words_are_refused_with_words_lines_and_counts() {
    let error = read(&[
        "1,10,,A,,,own,retired,regular,,,",
        "2,11,,B,,,own,active,regular,,,",
        "3,12,,C,,,own,retired,temp,,,",
        "4,13,,D,,,elsewhere,,regular,,,",
    ])
    .unwrap_err();
    let text = error.to_string();
    assert!(text.contains("'retired' in 2 rows (line 2, 4)"), "{text}");
    assert!(text.contains("column 'status' has an empty field in 1 row (line 5)"), "{text}");
    assert!(text.contains("column 'employment' has the unknown word 'temp'"), "{text}");
    assert!(text.contains("column 'entity' has the unknown word 'elsewhere'"), "{text}");
    assert!(text.starts_with("'roster.csv': ") && error.remedy().contains("roster.read.status"), "{text}");
}

#[test]
fn configured_words_are_understood_without_case_and_width() {
    let mut policy = RosterPolicy::default();
    policy.status.active = vec!["在籍".into()];
    policy.status.leave = vec!["Leave".into()];
    policy.employment.contractor = vec!["業務委託".into()];
    policy.entities.insert("本社".into(), "own".into());
    let header = "社員番号,会社,状態,雇用,契約終了日";
    policy.columns.number = Some("社員番号".into());
    policy.columns.entity = Some("会社".into());
    policy.columns.status = Some("状態".into());
    policy.columns.employment = Some("雇用".into());
    policy.columns.contract_end = Some("契約終了日".into());
    let rows = ["１０,本社,在籍,業務委託,2026年9月30日", "11,own,ＬＥＡＶＥ,,"];
    let roster = read_with(&policy, header, &rows).unwrap();
    let zones = Zones::of(&entities());
    let presences: Vec<Presence> = roster.people().map(|p| roster.judge(p, &zones, noon()).unwrap().standing.presence).collect();
    assert_eq!(presences, [Presence::ContractEnded, Presence::OnLeave]);
}

#[test]
fn impossible_dates_are_refused_with_their_lines() {
    let error = read(&[
        "1,10,,A,,,own,active,regular,2026-02-30,,",
        "2,11,,B,,,own,active,regular,2026/4/1,2026-13-01,",
        "3,12,,C,,,own,active,regular,20260401,9999-12-31,",
    ])
    .unwrap_err();
    let text = error.to_string();
    assert!(text.contains("column 'start_date' has the impossible date '2026-02-30' (line 2)"), "{text}");
    assert!(text.contains("column 'last_day' has the impossible date '2026-13-01' (line 3)"), "{text}");
    assert!(!text.contains("line 4"), "{text}");
}

#[test]
fn columns_that_are_configured_or_needed_must_be_there_once() {
    let policy = RosterPolicy::default();
    let text = read_with(&policy, "employee_number,name", &["1,A"]).unwrap_err().to_string();
    assert!(text.contains("column 'status' is not there") && text.contains("'employee_number', 'name'"), "{text}");
    let text = read_with(&policy, "name,status", &["A,active"]).unwrap_err().to_string();
    assert!(text.contains("column 'employee_number' is not there"), "{text}");
    let mut configured = RosterPolicy::default();
    configured.columns.mail = Some("E-Mail".into());
    let text = read_with(&configured, "employee_number,status", &["1,active"]).unwrap_err().to_string();
    assert!(text.contains("column 'E-Mail' is not there"), "{text}");
    let text = read_with(&policy, "employee_number,status,Status ", &["1,active,departed"]).unwrap_err().to_string();
    assert!(text.contains("column 'status' stands there twice"), "{text}");
    let mut unread = RosterPolicy::default();
    unread.columns.previous_number = Some(String::new());
    assert!(read_with(&unread, "employee_number,previous_number,status", &["1,2,active"]).is_ok());
}

#[test]
fn an_empty_roster_is_refused_and_a_ragged_row_is_named() {
    assert_eq!(refusals(&[]), [ProblemKind::Empty]);
    assert_eq!(refusals(&[",,,,,,,,,,,"]), [ProblemKind::Empty]);
    assert_eq!(refusals(&["1,10"]), [ProblemKind::Ragged]);
    let text = read(&["1,10,,A,,,own,active,,,,", "2,11"]).unwrap_err().to_string();
    assert!(text.contains("the header has 12 fields, 1 row has another number: '2' (line 3)"), "{text}");
}

#[test]
fn a_last_day_that_stands_for_none_does_not_make_everybody_leave() {
    assert_eq!(refusals(&["1,10,,A,,,own,active,,,1900-01-01,"]), [ProblemKind::SentinelEnd]);
    let policy = RosterPolicy { no_date: vec!["1900-01-01".into(), "-".into()], ..RosterPolicy::default() };
    let roster = read_with(&policy, HEADER, &["1,10,,A,,,own,active,,-,1900-01-01,"]).unwrap();
    let row = roster.rows_of(roster.people().next().unwrap()).next().unwrap();
    assert_eq!((row.start(), row.last_day()), (None, None));
}

#[test]
fn files_with_their_own_columns_words_and_constants_are_one_roster() {
    let own = RosterPolicy::default();
    let mut firm = RosterPolicy::default();
    firm.columns.number = Some("no".into());
    firm.columns.contract_end = Some("until".into());
    firm.dates = crate::policy::DateOrder::Dmy;
    firm.constants.entity = Some("firm".into());
    firm.constants.status = Some("active".into());
    firm.constants.employment = Some("contractor".into());
    // The same number in both: two people, because their entities differ.
    let files = [
        ("own.csv", own, "employee_number,entity,status", &["10,own,active", "11,own,seconded"][..]),
        ("firm.csv", firm.clone(), "no,until,entity", &["10,31.12.2026,nobody reads this", "12,30.09.2026,"][..]),
    ];
    let roster = read_files(&files).unwrap();
    let zones = Zones::of(&entities());
    let judged = |roster: &Roster| -> Vec<(String, Presence)> {
        let rows = |p| roster.judge(p, &zones, noon()).map(|j| (roster.row(j.row).unwrap().reference(), j.standing.presence));
        roster.people().filter_map(rows).collect()
    };
    let expected = [
        ("own/10", Presence::Active),
        ("own/11", Presence::Active),
        ("firm/10", Presence::Active),
        ("firm/12", Presence::ContractEnded),
    ];
    assert_eq!(judged(&roster), expected.map(|(reference, presence)| (reference.to_owned(), presence)));
    let row = roster.rows_of(roster.people().nth(2).unwrap()).next().unwrap();
    assert_eq!((row.file(), row.line()), ("firm.csv", 2));

    // What is wrong is told file by file; a constant that is no word is told once.
    firm.constants.entity = Some("elsewhere".into());
    let wrong = [
        ("own.csv", RosterPolicy::default(), "employee_number,status", &["10,gone"][..]),
        ("firm.csv", firm, "no,until", &["10,31.12.2026", "12,30.09.2026"][..]),
        ("empty.csv", RosterPolicy::default(), "employee_number,status", &[][..]),
    ];
    let text = read_files(&wrong).unwrap_err().to_string();
    let expected = "'own.csv': column 'status' has the unknown word 'gone' in 1 row (line 2). \
                    'firm.csv': the configured constant 'elsewhere' is an unknown word. \
                    'empty.csv': it has no rows; an empty roster is taken for a failed export, never for \"everyone left\"";
    assert_eq!(text, expected);
}

#[test]
fn somebody_seconded_is_one_person_of_two_files_and_the_latest_start_describes_them() {
    let file = |name, rows| (name, RosterPolicy::default(), HEADER, rows);
    let files = [
        file("own.csv", &["1,10,,A,a@x,a,own,seconded,,2015-04-01,,"][..]),
        file("overseas.csv", &["1,900,,A,a@y,a,overseas,active,,2026-04-01,2028-03-31,"][..]),
    ];
    let roster = read_files(&files).unwrap();
    assert_eq!((roster.person_count(), roster.row_count()), (1, 2));
    let person = roster.people().next().unwrap();
    let judgement = roster.judge(person, &Zones::of(&entities()), noon()).unwrap();
    assert_eq!(judgement.standing.presence, Presence::Active);
    assert_eq!(roster.row(judgement.row).unwrap().entity().unwrap().as_str(), "overseas");
    // The order of the files decides nothing.
    let [own, overseas] = files;
    let turned = read_files(&[overseas, own]).unwrap();
    let person = turned.people().next().unwrap();
    let judgement = turned.judge(person, &Zones::of(&entities()), noon()).unwrap();
    assert_eq!(turned.row(judgement.row).unwrap().file(), "overseas.csv");
    assert_eq!(turned.anchor(person), roster.anchor(person));
}

#[test]
fn a_reference_finds_its_person_in_the_next_roster_whatever_the_order() {
    let rows =
        ["p1,10,,A,a@x,a,own,active,,,,", ",11,,B,b@x,b,own,active,,,,", ",,,C,c@x,c,own,active,,,,", ",,,D,,d,own,active,,,,"];
    let roster = read(&rows).unwrap();
    let references: Vec<String> =
        roster.people().flat_map(|p| roster.rows_of(p).map(|r| r.reference()).collect::<Vec<_>>()).collect();
    assert_eq!(references, ["p1", "own/11", "c@x", "login d"]);
    let next = read(&[rows[3], rows[2], ",77,11,B,b@y,b,overseas,active,,,,", rows[0]]).unwrap();
    let name = |reference: &str| next.by_reference(reference).and_then(|p| next.rows_of(p).next()?.name());
    assert_eq!(references.iter().map(|r| name(r)).collect::<Vec<_>>(), [Some("A"), Some("B"), Some("C"), Some("D")]);
    assert_eq!(name("own/12"), None);
}

#[test]
fn the_digest_is_over_what_was_read() {
    let digest = |rows: &[&str]| read(rows).unwrap().digest();
    let row = "1,10,,A,,,own,active,regular,,,";
    assert_eq!(digest(&[row]), digest(&[row]));
    assert_ne!(digest(&[row]), digest(&["1,10,,A,,,own,leave,regular,,,"]));
    assert_ne!(digest(&[row]), digest(&["1,10,,,A,,own,active,regular,,,"]));
}
