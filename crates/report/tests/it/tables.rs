//! Tables, and what of them a spreadsheet gets.

use untether_report::{BYTE_ORDER_MARK, Lang, csv, tables};

use crate::ledger::{Ledger, midway};

fn all(ledger: &Ledger, lang: Lang) -> Vec<(String, Vec<csv::StringRecord>)> {
    let report = ledger.report();
    let rows = |text: &str| {
        let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap();
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes());
        reader.records().map(Result::unwrap).collect::<Vec<_>>()
    };
    let table = |t: &untether_report::Table| (t.name.to_owned(), rows(&csv(t, (lang, &report.zone)).unwrap()));
    tables(&report, lang).iter().map(table).collect()
}

#[test]
fn every_table_is_even_and_has_a_name_of_its_own() {
    for lang in [Lang::Ja, Lang::En] {
        let mut ledger = midway();
        ledger.accept("2026-04-02T00:00:00Z", "a, \"b\"\nc", "2026-04-20T00:00:00Z");
        let all = all(&ledger, lang);
        let names: std::collections::BTreeSet<&str> = all.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names.len(), all.len());
        for (name, rows) in &all {
            assert!(rows.iter().all(|row| row.len() == rows[0].len()), "{name}");
        }
    }
}

#[test]
fn both_languages_have_the_same_tables_with_the_same_rows() {
    let ledger = midway();
    let sizes = |lang| all(&ledger, lang).into_iter().map(|(name, rows)| (name, rows.len(), rows[0].len())).collect::<Vec<_>>();
    assert_eq!(sizes(Lang::Ja), sizes(Lang::En));
}

#[test]
fn unknown_is_said_and_no_number_stands_for_it() {
    let all = all(&Ledger::new(), Lang::Ja);
    let (_, entities) = all.iter().find(|(name, _)| name == "entities").unwrap();
    let column = entities[0].iter().position(|name| name == "共有ストアのアカウント").unwrap();
    assert_eq!(&entities[1][column], "未確認");
}

#[test]
fn what_looks_like_a_formula_is_none_and_days_are_days() {
    let mut ledger = midway();
    ledger.entities.get_mut(&untether_model::EntityId::new("own")).unwrap().name_ja = Some("=HYPERLINK(\"http://x\")".to_owned());
    ledger.accept("2026-04-02T00:00:00Z", "＝cmd|' /C calc'!A0\u{202e}", "2026-04-20T00:00:00Z");
    let all = all(&ledger, Lang::Ja);
    for (name, rows) in &all {
        for field in rows.iter().skip(1).flatten() {
            assert!(!field.trim_start().starts_with(['=', '+', '@', '＝']), "{name}: {field}");
            assert!(!field.contains('\u{202e}'), "{name}: {field}");
        }
    }
    let (_, exceptions) = all.iter().find(|(name, _)| name == "exceptions").unwrap();
    assert_eq!(&exceptions[1][0], "2026-04-20");
    assert!(exceptions[1][6].starts_with("'＝cmd"), "{}", &exceptions[1][6]);
}

#[test]
fn a_count_stands_beside_the_record_that_it_rests_on() {
    let all = all(&midway(), Lang::En);
    let (_, links) = all.iter().find(|(name, _)| name == "links").unwrap();
    assert_eq!(
        links[0].iter().collect::<Vec<_>>(),
        ["rule", "what", "found at most", "found at most: record", "cut or gone", "left", "left: record",]
    );
    assert_eq!(links[1].iter().collect::<Vec<_>>(), ["link.replication", "replication", "2", "2", "1", "1", "8"]);
}
