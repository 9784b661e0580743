//! The text that a company publishes.

use untether_model::operation::Stage;
use untether_report::{Lang, published};

use crate::ledger::{Ledger, accounts, audit_of, batch, begin, claims, counts, forecast, midway, plan, policy};

fn has(text: &str, lines: &[&str]) {
    for line in lines {
        assert!(text.lines().any(|l| l.trim_start_matches(['\u{3000}', ' ']) == *line), "missing: {line}\n{text}");
    }
}

/// The own company is through and seen to be; the subsidiary has begun.
fn halfway() -> Ledger {
    let mut ledger = Ledger::new();
    ledger.policy = Some(policy());
    let there = vec![accounts("own", (2, 2, 2), 0), accounts("sub", (26, 26, 26), 25)];
    let links = |n| vec![counts("link.replication", None, n)];
    ledger.write("2026-01-10T00:00:00Z", audit_of("2026-01-10T00:00:00Z", links(2), Some(there)));
    ledger.write("2026-01-11T00:00:00Z", plan(Some(forecast(&[("own", 0), ("sub", 3)]))));
    ledger.write("2026-01-12T00:00:00Z", begin(claims()));
    ledger.stage("2026-02-27T18:00:00Z", &batch("b01"), Stage::Disable);
    ledger.stage("2026-02-27T18:00:00Z", &batch("b01"), Stage::Remove);
    let left = vec![accounts("own", (0, 0, 0), 0), accounts("sub", (26, 26, 26), 25)];
    ledger.write("2026-03-01T00:00:00Z", audit_of("2026-03-01T00:00:00Z", links(1), Some(left)));
    ledger
}

#[test]
fn the_japanese_text_reads_as_companies_publish_it() {
    let text = published(&halfway().report(), Lang::Ja);
    has(
        &text,
        &[
            "共有認証基盤からの分離に関する進捗状況",
            "2026年3月1日現在",
            "・自社株式会社【2026年2月末完了】",
            "対象2件のすべてについて実施し（記録番号 8）、その後の監査で残りがないことを確認しました（記録番号 9）。",
            "・国内子会社【2026年9月末完了予定、見通しは未確認】",
            "対象25件について、これから実施します。監査で確認した残りは25件です（記録番号 9）。このほか、実施時期の定まっていない対象が3件あります。",
            "・認証基盤間の連携（全社共通）【完了時期は未確認】",
            "これまでに検出した2件のうち1件を切断済みです。監査で確認した残りは1件です（記録番号 9）。",
            "・自社株式会社：アカウント 0件（うち利用できる状態のもの 0件、認証情報が残るもの 0件）",
        ],
    );
}

#[test]
fn the_english_text_says_the_same() {
    let text = published(&halfway().report(), Lang::En);
    has(
        &text,
        &[
            "As of 2026-03-01",
            "- Own Company [completed 2026-02-28]",
            "Done for all 2 (record 8); a later audit found none left (record 9).",
            "- Subsidiary [planned by 2026-09-30, outlook not known]",
            "2 found so far, 1 cut. Left according to the audit: 1 (record 9).",
        ],
    );
}

#[test]
fn nothing_is_completed_that_no_audit_has_confirmed() {
    let mut ledger = Ledger::new();
    ledger.policy = Some(policy());
    ledger.write("2026-01-11T00:00:00Z", plan(Some(forecast(&[("own", 0), ("sub", 0)]))));
    ledger.write("2026-01-12T00:00:00Z", begin(claims()));
    for name in ["b01", "b02"] {
        ledger.stage("2026-02-01T00:00:00Z", &batch(name), Stage::Disable);
        ledger.stage("2026-02-01T00:00:00Z", &batch(name), Stage::Remove);
    }
    for lang in [Lang::Ja, Lang::En] {
        let text = published(&ledger.report(), lang);
        let head = lang.code() == "ja";
        let (_, measures) = text.split_once(if head { "■ 施策ごとの進捗" } else { "## Measures" }).unwrap();
        assert!(!measures.contains(if head { "月末完了】" } else { "completed" }), "{text}");
    }
    let text = published(&ledger.report(), Lang::Ja);
    has(
        &text,
        &[
            "対象2件のすべてについて作業を終え、監査での確認を残しています。監査による残りの件数は未確認です。",
            "監査を実施していないため、未確認です。",
        ],
    );
}

#[test]
fn ids_people_and_reasons_are_not_told_to_the_public() {
    let mut ledger = midway();
    ledger.accept("2026-04-03T00:00:00Z", "a private reason", "2026-12-31T00:00:00Z");
    for lang in [Lang::Ja, Lang::En] {
        let text = published(&ledger.report(), lang);
        for private in ["hanako", "a private reason", "0123456789", "leavers", "b01", "s-1"] {
            assert!(!text.contains(private), "{private}: {text}");
        }
    }
}

#[test]
fn a_deadline_that_will_be_missed_is_told_with_the_date_to_be_expected() {
    let mut ledger = Ledger::new();
    ledger.policy = Some(policy());
    let there = || Some(vec![accounts("own", (2, 2, 2), 0), accounts("sub", (26, 26, 26), 25)]);
    ledger.write("2026-01-10T00:00:00Z", audit_of("2026-01-10T00:00:00Z", Vec::new(), there()));
    ledger.write("2026-01-11T00:00:00Z", plan(Some(forecast(&[("own", 0), ("sub", 0)]))));
    let late = ledger.report_at("2026-09-20T00:00:00Z".parse().unwrap());
    has(&published(&late, Lang::Ja), &["・国内子会社【2026年10月5日完了予定、期限の2026年9月末を超過する見込み】"]);
    let overdue = ledger.report_at("2026-10-02T00:00:00Z".parse().unwrap());
    has(&published(&overdue, Lang::Ja), &["・国内子会社【2026年10月17日完了予定、期限の2026年9月末を超過】"]);
}
