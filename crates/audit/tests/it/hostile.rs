//! Rosters and exports from any bytes: generated ones, and those that a fuzzer kept (`fuzz/corpus`).

use proptest::prelude::*;

#[path = "../../../../fuzz/properties/audit.rs"]
mod audit;
#[path = "../../../../fuzz/properties/replay.rs"]
mod replay;
#[path = "../../../../fuzz/properties/roster.rs"]
mod roster;

#[test]
fn corpora_hold() {
    replay::replay("roster", roster::check);
    replay::replay("audit", audit::check);
}

/// A roster as people's systems write them, quoting and blanks and dates of all kinds included.
fn rosters() -> impl Strategy<Value = String> {
    let field = prop_oneof!["[a-z0-9@.]{0,6}", "\"(\\PC|\n|\"\"){0,6}\"", " [\u{3042}-\u{3050}\u{ff10}-\u{ff19}]{0,3} "];
    let date = prop_oneof![Just(""), Just("2026-03-31"), Just("2026/3/1"), Just("20260331"), Just("2026年3月31日")];
    let status = prop_oneof![Just("active"), Just("Departed"), Just("leave"), Just("seconded")];
    let row = (proptest::collection::vec(field, 3), status, date)
        .prop_map(|(texts, status, date)| format!("{},{status},{date}", texts.join(",")));
    proptest::collection::vec(row, 1..8)
        .prop_map(|rows| format!("employee_number,name,mail,status,last_day\n{}\n", rows.join("\n")))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_roster_that_is_accepted_reads_back_from_plain_csv(text in rosters()) {
        roster::check(text.as_bytes());
    }

    #[test]
    fn no_bytes_make_the_roster_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        roster::check(&bytes);
    }
}
