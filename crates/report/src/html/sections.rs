//! The chapters of the page.

use std::collections::BTreeSet;

use maud::{Markup, html};
use untether_model::operation::{Stage, Track};
use untether_model::{EntityId, WaveId};

use super::cells::{Show, foreign, id, mark, table, unknown, whole};
use super::{Section, chart};
use crate::history::StateEventKind;
use crate::progress::{
    BatchProgress, EntityProgress, Measure, MeasureKind, MeasureState, Milestone, MilestoneState, Outlook, Remaining, Standing,
};
use crate::table::Tone;
use crate::tables::Book;
use crate::words::Lang;

/// Rows of a table that a page has room for; the files have all of them.
const ROWS: usize = 60;
/// Batches with something to tell.
const BATCHES: usize = 40;

/// All chapters, in order.
pub(super) fn all(book: Book<'_>) -> Vec<Section> {
    let lang = book.lang;
    let section = |id, title, own_page, content| Section { id, title, own_page, content };
    vec![
        section("summary", lang.pick("概況", "At a glance"), false, summary(book)),
        section("entities", lang.pick("会社別の進捗・期限・見通し", "Entities against their deadlines"), false, entities(book)),
        section("residual", lang.pick("共有ストアに残る情報", "What is left in the shared store"), false, residual(book)),
        section("findings", lang.pick("検出事項", "Findings"), true, findings(book)),
        section("links", lang.pick("ディレクトリ間の連携", "Links between the directories"), false, links(book)),
        section("exceptions", lang.pick("例外と期限", "Exceptions and their expiry"), false, exceptions(book)),
        section("batches", lang.pick("ウェーブとバッチの経過", "Waves and batches"), true, batches(book)),
        section("approvals", lang.pick("予行と承認", "Rehearsals and approvals"), false, approvals(book)),
        section("basis", lang.pick("数値の根拠と用語", "Where the figures come from"), false, basis(book)),
    ]
}

/// What the page is, and of which state of the ledger.
pub(super) fn head(book: Book<'_>, title: &str) -> Markup {
    let (lang, report) = (book.lang, book.report);
    let (at, made) = (lang.time(report.as_of.at, &report.zone), lang.time(report.made_at, &report.zone));
    html! {
        header {
            h1 { (title) }
            p {
                @match lang {
                    Lang::Ja => { "記録簿の" (lang.record(report.as_of.record)) "（" (at) "）までを集計。作成：" (made) "（" (report.zone) "）。" }
                    Lang::En => { "Counts the ledger up to " (lang.record(report.as_of.record)) " (" (at) "). Made " (made) " (" (report.zone) "). " }
                }
                @if let Some(hash) = &report.head {
                    (lang.pick("末尾の記録の SHA-256：", "SHA-256 of that record: ")) code { (hash) }
                }
            }
            p { (lang.pick(
                "括弧内および「記録番号」欄の数字は、数値の根拠となる記録簿の記録番号です。",
                "Numbers in brackets, and those under \"record\", name the record of the ledger that a figure rests on."
            )) }
        }
    }
}

/// What is missing, before anything else.
pub(super) fn gaps(book: Book<'_>) -> Markup {
    let lang = book.lang;
    let gaps = &book.report.gaps;
    html! {
        section class={ "gaps" @if gaps.is_empty() { " none" } } aria-labelledby="h-gaps" {
            h2 id="h-gaps" {
                @if gaps.is_empty() {
                    (lang.pick("○ 欠けている情報はありません", "✓ Nothing is missing from this report"))
                } @else {
                    (lang.pick("△ この報告に欠けている情報（「なし」を意味しません）", "! Missing from this report: missing does not mean none"))
                }
            }
            @if !gaps.is_empty() { ul { @for gap in gaps { li { (lang.gap(gap)) } } } }
        }
    }
}

fn tile(tone: Tone, name: &str, figure: &Markup, cite: &str) -> Markup {
    let class = match tone {
        Tone::Good => "t-good",
        Tone::Warn => "t-warn",
        Tone::Bad => "t-bad",
        Tone::Plain => "",
    };
    html! { li class=(class) { span class="name" { (name) } b { (figure) } span class="cite" { (cite) } } }
}

fn summary(book: Book<'_>) -> Markup {
    let (lang, report) = (book.lang, book.report);
    let totals = &report.totals;
    let as_of = lang.record(report.as_of.record);
    let number = |n: u64| html! { (lang.number(n)) };
    let of = |n: u64, all: u64| {
        html! { (lang.number(n)) span class="rec" { " / " (lang.number(all)) } }
    };
    let everybody = totals.subjects + totals.planned + totals.unplanned.unwrap_or(0);
    let audit = report.last_audit.map_or_else(|| lang.pick("監査未実施", "no audit").to_owned(), |a| lang.record(a.record));
    let point = report.last_audit.and_then(|a| report.audits.iter().find(|p| p.audit.record == a.record));
    let links: u64 = report.links.iter().map(|l| l.left).sum();
    let late = report.entities.iter().filter(|e| matches!(e.outlook.standing, Standing::Late | Standing::Overdue)).count();
    let open = report.entities.iter().filter(|e| e.outlook.standing == Standing::Unknown).count();
    let soon = report.exceptions.iter().filter(|e| e.remaining <= Remaining::Week).count();
    html! {
        ul class="tiles" {
            (tile(Tone::Plain, lang.pick("分離を終えた対象者", "subjects through"), &of(totals.finished, everybody), &as_of))
            (tile(Tone::Plain, lang.pick("共有ストアのログインを終えた対象者", "login in the shared store ended"), &of(totals.disabled, everybody), &as_of))
            (tile(if totals.parked > 0 { Tone::Warn } else { Tone::Plain }, lang.pick("一時保留", "parked"), &number(totals.parked), &as_of))
            @match point.and_then(|p| p.accounts) {
                Some(accounts) => {
                    (tile(Tone::Plain, lang.pick("共有ストアのアカウント", "accounts in the shared store"), &number(accounts.accounts), &audit))
                    (tile(Tone::Plain, lang.pick("うち認証情報が残るもの", "of these with credentials"), &number(accounts.credentials), &audit))
                }
                None => {
                    (tile(Tone::Warn, lang.pick("共有ストアのアカウント", "accounts in the shared store"), &unknown(lang), &audit))
                    (tile(Tone::Warn, lang.pick("うち認証情報が残るもの", "of these with credentials"), &unknown(lang), &audit))
                }
            }
            @if report.last_audit.is_some() {
                (tile(if links > 0 { Tone::Warn } else { Tone::Good }, lang.pick("残る連携", "links left"), &number(links), &audit))
            } @else {
                (tile(Tone::Warn, lang.pick("残る連携", "links left"), &unknown(lang), &audit))
            }
            (tile(
                if late > 0 { Tone::Bad } else if open > 0 { Tone::Warn } else { Tone::Good },
                lang.pick("遅延・期限超過／見通し未確認の会社", "entities late / not known"),
                &html! { (late) " / " (open) },
                &as_of,
            ))
            (tile(
                if soon > 0 { Tone::Warn } else { Tone::Good },
                lang.pick("7日以内に失効する例外・失効済み", "exceptions over or ending within 7 days"),
                &html! { (soon) },
                &as_of,
            ))
        }
        (measures(book))
    }
}

/// Entities up to which measures stand in a table with a column for each.
const COLUMNS: usize = 6;

/// Measures by entity.
fn measures(book: Book<'_>) -> Markup {
    let lang = book.lang;
    let told = book.report.measures.iter().map(|m| m.entity.as_ref());
    let entities: Vec<Option<&EntityId>> = {
        let of = |id: Option<&EntityId>| told.clone().any(|found| found == id);
        let ids = book.report.entities.iter().map(|e| Some(&e.id)).chain([None]);
        ids.filter(|id| of(*id)).collect()
    };
    html! {
        @if entities.len() > COLUMNS || book.report.measures.is_empty() {
            (table(book, &book.measures(), whole(ROWS)))
        } @else {
            (matrix(book, &entities))
        }
        p class="note" { (lang.pick(
            "「完了」は、対象の全件が段階を終え、その後の完全な監査で残りがないことを確認した施策に限ります。「残り」は監査の件数です。",
            "Complete: everybody has ended the stage, and a later complete audit found none left. \"Left\" is what the audit counted."
        )) }
    }
}

/// One row a measure, one column an entity.
fn matrix(book: Book<'_>, entities: &[Option<&EntityId>]) -> Markup {
    let lang = book.lang;
    let kinds: BTreeSet<MeasureKind> = book.report.measures.iter().map(|m| m.kind).collect();
    html! {
        div class="wide" { table {
            caption { (lang.pick("施策別・会社別の状況", "Measures by entity")) }
            thead { tr {
                th scope="col" { (lang.pick("施策", "measure")) }
                @for id in entities {
                    th scope="col" { @match id {
                        Some(id) => { (foreign(&book.entity(id))) }
                        None => { (lang.pick("（共通）", "(stores)")) }
                    } }
                }
            } }
            tbody { @for kind in kinds {
                tr {
                    th scope="row" { (lang.measure(kind)) }
                    @for id in entities {
                        td class="m" {
                            @match book.report.measures.iter().find(|m| m.kind == kind && m.entity.as_ref() == *id) {
                                Some(measure) => { (measure_cell(book, measure)) }
                                None => { "—" }
                            }
                        }
                    }
                }
            } }
        } }
        p class="note" { (lang.pick("表のデータ：", "The same as a list: ")) code { "measures." (lang.code()) ".csv" } }
    }
}

fn measure_cell(book: Book<'_>, m: &Measure) -> Markup {
    let lang = book.lang;
    let n = |n: u64| lang.number(n);
    html! {
        @match &m.state {
            MeasureState::Complete { on, record, audit } => {
                (mark(lang, Tone::Good, lang.pick("完了", "complete"))) " " span class="k" { (lang.exact_day(*on)) } br;
                (n(m.subjects)) span class="rec" { (lang.pick(format!("（{record}、監査 {audit}）"), format!(" ({record}; audit {audit})"))) }
            }
            MeasureState::Planned { deadline, forecast, overdue, .. } => {
                @let late = forecast.zip(*deadline).filter(|(day, deadline)| day > deadline);
                @if *overdue {
                    (mark(lang, Tone::Bad, lang.standing(Standing::Overdue)))
                } @else if late.is_some() {
                    (mark(lang, Tone::Bad, lang.standing(Standing::Late)))
                } @else {
                    (lang.pick("予定 ", "due "))
                }
                " "
                @match forecast.filter(|_| late.is_some()).or(*deadline) {
                    Some(day) => { span class="k" { (lang.exact_day(day)) } }
                    None => { (unknown(lang)) }
                }
                br;
                (n(m.done)) " / " (n(m.subjects))
                (lang.pick("、残り ", ", left "))
                @match m.left { Some(left) => { (n(left)) } None => { (unknown(lang)) } }
                @if let Some(audit) = m.audit { span class="rec" { (lang.pick(format!("（{audit}）"), format!(" ({audit})"))) } }
            }
        }
    }
}

fn entities(book: Book<'_>) -> Markup {
    let (lang, report) = (book.lang, book.report);
    html! {
        (chart::deadlines(book))
        (table(book, &book.entities(), Show { columns: &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10], rows: ROWS }))
        h3 { (lang.pick("見通しの根拠", "What the outlook rests on")) }
        dl {
            @for entity in &report.entities {
                dt { (foreign(&book.name(entity))) }
                dd { (outlook(book, entity)) }
            }
        }
        (chart::stages(book))
        (table(book, &book.stages(), whole(ROWS)))
        (milestones(book))
        (table(book, &book.planned(), whole(ROWS)))
    }
}

/// Stages of waves: one row for the subjects of an entity and track in a wave, one column a stage.
fn milestones(book: Book<'_>) -> Markup {
    let lang = book.lang;
    let rows: BTreeSet<_> = book
        .report
        .entities
        .iter()
        .enumerate()
        .flat_map(|(at, entity)| entity.milestones.iter().map(move |m| (at, &m.wave, m.track)))
        .collect();
    let cell = |at: usize, wave: &WaveId, track: Track, stage: Stage| {
        let entity = book.report.entities.get(at)?;
        entity.milestones.iter().find(|m| m.wave == *wave && m.track == track && m.stage == stage)
    };
    html! {
        div class="wide" { table {
            caption { (lang.pick("ウェーブ・会社・区分別の段階（完了日と記録番号、または済み／対象）", "Stages of waves (day and record, or done / subjects)")) }
            thead { tr {
                @for head in lang.pick(["会社", "ウェーブ", "区分"], ["entity", "wave", "track"]) { th scope="col" { (head) } }
                @for stage in Stage::ALL { th scope="col" { (lang.short_stage(stage)) } }
            } }
            tbody {
                @for (at, wave, track) in rows.iter().take(ROWS) {
                    tr {
                        td { @if let Some(entity) = book.report.entities.get(*at) { (foreign(&book.name(entity))) } }
                        td { (id(&wave.to_string())) }
                        td { (lang.track(*track)) }
                        @for stage in Stage::ALL {
                            td class="m" { @match cell(*at, wave, *track, stage) {
                                Some(milestone) => { (stage_cell(book, milestone)) }
                                None => { "—" }
                            } }
                        }
                    }
                }
                @if rows.is_empty() { tr { td colspan="11" { (lang.pick("着手したウェーブはありません。", "No wave has started.")) } } }
            }
        } }
        p class="note" { (lang.pick("表のデータ：", "The same as a list: ")) code { "milestones." (lang.code()) ".csv" } }
    }
}

fn stage_cell(book: Book<'_>, m: &Milestone) -> Markup {
    let lang = book.lang;
    let late = html! { " " (mark(lang, Tone::Bad, lang.standing(Standing::Overdue))) };
    html! {
        @match m.state {
            MilestoneState::Done { on, record } => {
                span class="good" { span aria-hidden="true" { (lang.pick("○", "✓")) } @if let Some(on) = on { " " (chart::day(lang, on)) } }
                @if let Some(record) = record { br; span class="rec" { "(" (record) ")" } }
            }
            MilestoneState::Underway { overdue, .. } => {
                (lang.number(m.done)) "/" (lang.number(m.subjects)) @if overdue { (late) }
            }
            MilestoneState::Planned { overdue, .. } => { (lang.pick("予定", "planned")) @if overdue { (late) } }
            MilestoneState::GivenUp => { (lang.pick("中止", "given up")) " " (lang.number(m.done)) "/" (lang.number(m.subjects)) }
        }
    }
}

/// How an entity's outlook was come to.
fn outlook(book: Book<'_>, entity: &EntityProgress) -> Markup {
    let lang = book.lang;
    let Outlook { standing, basis, missing, .. } = &entity.outlook;
    let tone = match standing {
        Standing::Done | Standing::OnTime => Tone::Good,
        Standing::Unknown => Tone::Warn,
        Standing::Late | Standing::Overdue => Tone::Bad,
    };
    html! {
        (mark(lang, tone, lang.standing(*standing)))
        ul class="plain" {
            @for basis in basis { li { (lang.basis(basis)) } }
            @for missing in missing { li { (lang.missing(missing)) } }
            @if basis.is_empty() && missing.is_empty() && *standing == Standing::Done {
                li { (lang.pick("監査で、共有ストアに残りがないことを確認。", "An audit found nothing left in the shared store.")) }
            }
        }
    }
}

fn residual(book: Book<'_>) -> Markup {
    let lang = book.lang;
    let mut left = book.entities();
    left.title = lang.pick("会社別に残る情報", "What is left, by entity").to_owned();
    html! {
        (chart::residual(book))
        (table(book, &book.audits(), whole(ROWS)))
        (table(book, &left, Show { columns: &[0, 11, 12, 13, 14], rows: ROWS }))
        @for entity in book.report.entities.iter().filter(|e| e.proofs.complete + e.proofs.partial > 0) {
            p {
                (foreign(&book.name(entity))) (lang.pick("：分離の証跡 ", ": proof of separation "))
                (lang.pick("すべて確認 ", "complete for ")) (lang.count(entity.proofs.complete))
                (lang.pick("、一部未確認 ", ", partial for ")) (lang.count(entity.proofs.partial))
                @if !entity.proofs.missing.is_empty() {
                    (lang.pick("（", " ("))
                    @for (n, (what, count)) in entity.proofs.missing.iter().enumerate() {
                        @if n > 0 { (lang.pick("、", "; ")) }
                        (foreign(&lang.said(what))) " " (lang.count(*count))
                    }
                    (lang.pick("）", ")"))
                }
            }
        }
    }
}

fn findings(book: Book<'_>) -> Markup {
    html! {
        @if let Some(found) = &book.report.findings { p { (book.lang.stand(found)) } }
        (chart::rules(book))
        (table(book, &book.findings(), whole(ROWS)))
        (table(book, &book.standings(), whole(ROWS)))
        @if !book.report.coverage.is_empty() { (table(book, &book.coverage(), whole(ROWS))) }
    }
}

fn links(book: Book<'_>) -> Markup {
    let (lang, report) = (book.lang, book.report);
    let gone: Option<u64> = report.links.iter().map(crate::RuleCount::gone).sum();
    let gone = gone.map(|n| lang.number(n));
    let found = lang.number(report.links.iter().map(|l| l.found).sum());
    let left = lang.number(report.links.iter().map(|l| l.left).sum());
    html! {
        @match (report.last_audit, gone) {
            (None, _) => { p { (unknown(lang)) (lang.pick("：監査を実施していません。", ": there has been no audit.")) } }
            (Some(_), Some(gone)) => { p { (lang.pick(
                format!("検出 {found}件（項目ごとの最多時の計）、切断・解消 {gone}件、残り {left}件。"),
                format!("Found {found} (at most, by rule), cut {gone}, left {left}."),
            )) } }
            (Some(_), None) => { p { (lang.pick(
                format!("残り {left}件（下限）。切断の件数は、完全な監査がないため未確認。"),
                format!("Left: {left} at least. How many were cut is not known: no audit read everything."),
            )) } }
        }
        (table(book, &book.links(), whole(ROWS)))
    }
}

fn exceptions(book: Book<'_>) -> Markup {
    let lang = book.lang;
    html! {
        p { (lang.pick(
            "条件が確認できたものではなく、記名者の責任で進めたもの、または方針により対象外としているものです。期限の近い順に示します。",
            "None of these was seen to be in order: the people named answer for going on, or a policy keeps them out. Those that end first come first."
        )) }
        (table(book, &book.exceptions(), whole(ROWS)))
    }
}

fn batches(book: Book<'_>) -> Markup {
    let (lang, report) = (book.lang, book.report);
    let mut notable: Vec<&BatchProgress> = report.batches.iter().filter(|b| b.is_notable()).collect();
    // What a person has to look at comes first.
    notable.sort_by_key(|b| (b.halted.is_none(), b.open == 0, b.round == 1, b.parked == 0));
    let all = crate::compute::count(report.batches.len());
    let plain = all.saturating_sub(crate::compute::count(notable.len()));
    let mut told = book.batches(&mut notable.iter().copied());
    told.title = lang.pick("特記事項のあるバッチ", "Batches with something to tell").to_owned();
    let mut events = book.events(&mut notable.iter().copied());
    events.title = lang.pick("停止・切り戻し・効果の喪失などの経過", "Halts, rollbacks, drift and what was decided").to_owned();
    let wanted = notable.iter().flat_map(|b| &b.history).filter(|e| !crate::waves::is_stage(&e.what));
    let records: BTreeSet<u64> = wanted.map(|e| e.cite.record).collect();
    events.rows.retain(|row| matches!(row.last(), Some(crate::table::Cell::Record(n)) if records.contains(n)));
    html! {
        (table(book, &book.waves(), Show { columns: &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11], rows: ROWS }))
        p { (lang.pick(
            format!("バッチ {}件のうち {}件は、離脱・停止・切り戻しなく進んでいます。", lang.number(all), lang.number(plain)),
            format!("{} of {} batches go on without anybody parked, a halt or a rollback.", lang.number(plain), lang.number(all)),
        )) }
        (table(book, &told, Show { columns: &[0, 1, 2, 3, 4, 5, 6, 7, 11], rows: BATCHES }))
        (table(book, &events, whole(ROWS)))
        @if !report.orders.is_empty() { (table(book, &book.orders(), whole(ROWS))) }
        @for event in &report.events {
            p { (lang.time(event.cite.at, &report.zone)) "（" (lang.record(event.cite.record)) "）"
                @match &event.what {
                    StateEventKind::Repaired { by, reason, lost_from } => {
                        (lang.pick(format!("記録 {lost_from} までの末尾の喪失を承認："), format!("loss of the records up to {lost_from} accepted: ")))
                        (foreign(by)) " " (foreign(reason))
                    }
                    StateEventKind::ClockAccepted { reason } => {
                        (lang.pick("時刻の逆行を承認：", "clock accepted: ")) (foreign(reason))
                    }
                    StateEventKind::Forgotten { wave, approved_by } => {
                        (lang.pick("変更前の値の鍵を破棄：", "key destroyed: ")) (foreign(&wave.to_string())) " " (foreign(&lang.join(approved_by)))
                    }
                }
            }
        }
    }
}

fn approvals(book: Book<'_>) -> Markup {
    html! {
        (table(book, &book.rehearsals(), whole(ROWS)))
        (table(book, &book.approvals(), Show { columns: &[0, 1, 2, 3, 4, 5, 6, 8, 9], rows: ROWS }))
    }
}

fn basis(book: Book<'_>) -> Markup {
    let lang = book.lang;
    let entries: &[(&str, &str)] = lang.pick(
        &[
            ("数値", "すべて記録簿(追記のみ・ハッシュ連鎖)から算出しています。会社名・期限・方針のみ設定ファイルによります。"),
            ("残りの件数", "最後の完全な監査によります。完全な監査がない場合は最後の監査により、件数は下限です。"),
            ("解消・切断", "最多時の件数から、最後の完全な監査の件数を引いたものです。不完全な監査からは算出しません。"),
            (
                "完了見込み日",
                "(1) 計画に記録された書き込み・先行バッチ・監視の所要期間による最早日と、(2) 直近28日間に無効化した人数の速さに監視期間を加えた日の、遅いほうです。人を待つ関門・承認・競合の判断にかかる時間は含みません。",
            ),
            ("見通し未確認", "一時保留、計画外、または28日間進んでいない対象者がいるとき、期限内とは表示しません。"),
            ("一時保留", "バッチから外れた対象者。再試行または新しい計画で再開します。"),
            ("例外", "確認できないまま責任者の署名で通した関門、許容した検出事項、対象者の区分の判断、方針による保存・保留です。"),
            ("監査の完全性", "読み取りが途中で終わった範囲・拒否された範囲・古い入力がなく、その時点を判定した監査を「完全」とします。"),
        ][..],
        &[
            ("figures", "All come from the ledger (append-only, hash-chained). Only names of entities, deadlines and policy come from the configuration."),
            ("left", "According to the last complete audit. Where there is none, according to the last one: then it is a lower bound."),
            ("gone, cut", "The most that was found, less what the last complete audit found. Never taken from an incomplete audit."),
            (
                "forecast",
                "The later of (1) the earliest day that the plan's writing, canaries and soak allow and (2) the day to which the number of subjects disabled in the last 28 days leads, with the soak that follows. Time for people at gates, approvals and conflicts is not foreseen.",
            ),
            ("not known", "Where subjects are parked, in no plan, or have not moved for 28 days, nothing is called on time."),
            ("parked", "Subjects that left their batch; a retry or a new plan takes them up."),
            ("exceptions", "Gates that a person answers for, waived findings, decisions on a subject's track, and what the policy keeps or holds."),
            ("complete audit", "No read ended early or was denied, no input was stale, and it judged its own day."),
        ][..],
    );
    html! {
        dl { @for (name, text) in entries { dt { (name) } dd { (text) } } }
        p { (lang.pick("記録簿は、本ツールによらずに確認できます：", "The ledger can be checked without this tool: ")) code { "scripts/ledger-check" } }
    }
}

/// The end of the page.
pub(super) fn foot(book: Book<'_>) -> Markup {
    let (lang, report) = (book.lang, book.report);
    html! {
        footer {
            p { "untether  " (lang.record(report.as_of.record)) "  " (lang.time(report.made_at, &report.zone)) }
        }
    }
}
