//! The report as Markdown.

use untether_report::{Lang, markdown};

use crate::ledger::{Ledger, audit, counts, midway};

#[test]
fn without_an_audit_no_figure_is_zero() {
    let text = markdown(&Ledger::new().report(), Lang::Ja);
    assert!(text.contains("監査を実施していません。共有ストアに残る件数は不明であり、残存なしを意味しません。"), "{text}");
    assert!(!text.contains("0件"), "{text}");
}

#[test]
fn an_audit_that_could_not_read_everything_is_named_at_the_top() {
    let mut ledger = midway();
    ledger.write("2026-04-02T00:00:00Z", audit("2026-04-02T00:00:00Z", vec![counts("coverage.truncated", None, 1)]));
    let text = markdown(&ledger.report(), Lang::Ja);
    let (top, _) = text.split_once("## 1.").unwrap();
    assert!(top.contains("最新の監査（記録番号 9）は読み取れなかった範囲があり不完全です。"), "{top}");
    assert!(markdown(&ledger.report(), Lang::En).contains("The newest audit (record 9) could not read everything"));
}

#[test]
fn the_japanese_report_reads_as_companies_publish_it() {
    let text = markdown(&midway().report(), Lang::Ja);
    for line in [
        "# 共有認証基盤からの分離に関する進捗報告",
        "2026年4月1日 09:00現在（Asia/Tokyo、記録簿の記録番号 8 まで）。",
        "### 自社株式会社",
        "分離期限：2026年3月末【期限超過】",
        "- 退職者等の廃止：共有ストアのアカウント無効化（leavers、2件、記録番号 6）【2026年3月末完了】",
        "- 退職者等の廃止：共有ストアからのレコード削除（leavers、2件、うち一時保留 1件）【2026年3月末期限、超過】",
        "| 退職者等の廃止 | 2 | 0 | 1 | 共有ストアのアカウント無効化まで 1件 |",
        "- 本来残るべきでないレコード：1件（記録番号 8。最多時 3件、記録番号 2）",
        "検出 2件のうち 1件を切断、残り 1件。",
        "- 国内子会社：移行（people、25件、計画の記録番号 3）【2026年9月末予定】",
    ] {
        assert!(text.lines().any(|l| l == line), "missing: {line}\n{text}");
    }
}

#[test]
fn the_english_report_says_the_same() {
    let text = markdown(&midway().report(), Lang::En);
    for line in [
        "As of 2026-04-01 09:00 (Asia/Tokyo), record 8 of the ledger.",
        "Deadline: 2026-03-31 [overdue]",
        "- retirement of leavers: accounts in the shared store disabled (leavers, 2 subjects, record 6) [completed 2026-03-31]",
        "- retirement of leavers: records removed from the shared store (leavers, 2 subjects, 1 parked) [was due by 2026-03-31]",
        "- Records that should be gone: 1 (record 8; 3 at most, record 2)",
        "Found 2, cut 1, left 1.",
        "- Subsidiary: migration (people, 25 subjects, plan of record 3) [planned by 2026-09-30]",
    ] {
        assert!(text.lines().any(|l| l == line), "missing: {line}\n{text}");
    }
}

#[test]
fn an_accepted_gate_is_told_apart_and_its_reason_cannot_break_the_page() {
    let mut ledger = midway();
    let record = ledger.accept("2026-04-03T00:00:00Z", "logs come\n# later | <b>\u{202e}", "2026-12-31T00:00:00Z");
    let text = markdown(&ledger.report(), Lang::En);
    let line = text.lines().find(|l| l.contains("hanako")).unwrap();
    assert!(line.contains(r"because: logs come # later \| \<b\>(U+202E)"), "{line}");
    assert!(line.ends_with(&format!("(record {record})")), "{line}");
}

#[test]
fn prose_fits_a_terminal() {
    let mut ledger = midway();
    ledger.accept("2026-04-03T00:00:00Z", "logs were read", "2026-12-31T00:00:00Z");
    for lang in [Lang::Ja, Lang::En] {
        let columns = |line: &str| line.chars().map(|c| if c.is_ascii() { 1 } else { 2 }).sum::<usize>();
        for line in markdown(&ledger.report(), lang).lines().filter(|l| !l.starts_with(['|', '-'])) {
            assert!(columns(line) <= 100, "{} columns: {line}", columns(line));
        }
    }
}
