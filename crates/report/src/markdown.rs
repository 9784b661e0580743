//! The report as Markdown, in the form in which companies publish progress.

use std::fmt::Write as _;

use untether_model::neutral::markdown as plain;
use untether_model::run::ExceptionState;

use crate::findings::EndingWhat;
use crate::history::BatchEventKind;
use crate::progress::{
    BatchProgress, EntityProgress, Milestone, MilestoneState, ProgressReport, Residual, RuleCount, StageCount, Standing,
    TrackProgress,
};
use crate::table::Cell;
use crate::tables::Book;
use crate::words::Lang;

/// Batches whose history is told; the table of events has all of them.
const HISTORIES: usize = 200;
/// Approvals that are listed, the newest first; the table has all of them.
const APPROVALS: usize = 50;

/// Writes the report.
pub fn markdown(report: &ProgressReport, lang: Lang) -> String {
    let mut page = Page { text: String::new(), lang, report };
    page.head();
    page.gaps();
    page.line(&format!("## {}\n", lang.pick("1. 会社別の進捗", "1. Progress by entity")));
    for entity in &report.entities {
        page.entity(entity);
    }
    page.links();
    page.planned();
    page.batches();
    page.exceptions();
    page.approvals();
    page.coverage();
    page.text
}

struct Page<'a> {
    text: String,
    lang: Lang,
    report: &'a ProgressReport,
}

impl Page<'_> {
    fn line(&mut self, line: &str) {
        // Writing into a String does not fail.
        let _ = writeln!(self.text, "{line}");
    }

    fn time(&self, at: jiff::Timestamp) -> String {
        self.lang.time(at, &self.report.zone)
    }

    fn head(&mut self) {
        let report = self.report;
        let at = self.time(report.as_of.at);
        self.line(&format!(
            "# {}\n",
            self.lang
                .pick("共有認証基盤からの分離に関する進捗報告", "Separation from the shared identity store: progress report")
        ));
        self.line(&match self.lang {
            Lang::Ja => format!("{at}現在（{}、記録簿の記録番号 {} まで）。", report.zone, report.as_of.record),
            Lang::En => format!("As of {at} ({}), record {} of the ledger.", report.zone, report.as_of.record),
        });
        if let Some(audit) = report.last_audit {
            let at = self.time(audit.taken_at);
            self.line(&match self.lang {
                Lang::Ja => format!("残存件数は {at} の監査（記録番号 {}）によります。", audit.record),
                Lang::En => format!("What is left is as the audit of {at} (record {}) found it.", audit.record),
            });
        }
        self.findings();
        self.line("");
    }

    /// What is missing, before anything else.
    fn gaps(&mut self) {
        if self.report.gaps.is_empty() {
            return;
        }
        self.line(self.lang.pick(
            "**この報告に欠けている情報（「なし」を意味しません）**\n",
            "**Missing from this report (missing does not mean none)**\n",
        ));
        for gap in &self.report.gaps {
            let line = self.lang.gap(gap);
            self.line(&format!("- {line}"));
        }
        self.line("");
    }

    /// Open, waived and solved findings, and the exceptions that end soon.
    fn findings(&mut self) {
        let (lang, report) = (self.lang, self.report);
        let Some(found) = &report.findings else { return };
        self.line(&format!("\n{}", lang.stand(found)));
        if found.ending.is_empty() {
            return;
        }
        self.line(&format!(
            "\n{}\n",
            lang.pick("期限が7日以内、または切れた例外：", "Exceptions that end within seven days, or have ended:")
        ));
        for e in &found.ending {
            let what = match &e.what {
                EndingWhat::Finding { id, rule } => format!("{} {id}", plain(rule)),
                EndingWhat::Track { id, track } => format!("{} {id}", lang.track(*track)),
            };
            let state = match e.state {
                ExceptionState::InForce => "",
                ExceptionState::Expired => lang.pick("、期限切れ", ", ended"),
                ExceptionState::Outgrown => lang.pick("、重大度が上がり無効", ", no longer covered: it is graver now"),
            };
            let (by, reason, until) = (plain(&e.by), plain(&e.reason), lang.day(e.until));
            self.line(&match lang {
                Lang::Ja => format!("- {what}：{until}まで{state}（{by}、{reason}、決定番号 {}）", e.decision),
                Lang::En => format!("- {what}: until {until}{state} ({by}: {reason}; decision {})", e.decision),
            });
        }
    }

    fn entity(&mut self, entity: &EntityProgress) {
        let lang = self.lang;
        let name = plain(match (lang, entity.id.as_str()) {
            (Lang::Ja, crate::entity::UNASSIGNED) => "所属未確定",
            (Lang::En, crate::entity::UNASSIGNED) => "Assigned to no entity",
            _ => lang.pick(&entity.name_ja, &entity.name),
        });
        self.line(&format!("### {name}\n"));
        let late = if entity.overdue { lang.pick("【期限超過】", " [overdue]") } else { "" };
        match entity.deadline {
            Some(day) => self.line(&format!("{}{}{late}", lang.pick("分離期限：", "Deadline: "), lang.day(day))),
            None => self.line(lang.pick("分離期限：未設定", "Deadline: none set")),
        }
        self.outlook(entity);
        if let Some(subjects) = entity.subjects.as_ref().filter(|s| !s.counts.is_empty()) {
            let counts: Vec<String> =
                subjects.counts.iter().map(|(p, n)| format!("{} {}", plain(lang.presence(p)), lang.count(*n))).collect();
            self.line(&match lang {
                Lang::Ja => format!("\n対象者（監査・記録番号 {}）：{}", subjects.record, counts.join("、")),
                Lang::En => format!("\nPeople and services (audit, record {}): {}", subjects.record, counts.join(", ")),
            });
        }
        self.line("");
        for milestone in &entity.milestones {
            let line = milestone_line(milestone, lang);
            self.line(&line);
        }
        if entity.milestones.is_empty() {
            self.line(lang.pick("- 着手した作業はありません。", "- No wave has taken anybody of this entity yet."));
        }
        self.line("");
        self.tracks(&entity.tracks);
        self.accounts(entity);
        self.residual(entity.residual.as_ref());
        if !entity.links.is_empty() {
            self.line(&format!("{}\n", lang.pick("アカウント単位の連携：", "Links of single accounts:")));
            self.rules(&entity.links);
        }
        let proofs = &entity.proofs;
        if proofs.complete + proofs.partial > 0 {
            self.line(&match lang {
                Lang::Ja => format!("分離の証跡：すべて確認 {}件、一部未確認 {}件", proofs.complete, proofs.partial),
                Lang::En => format!("Proof of separation: complete for {}, partial for {}", proofs.complete, proofs.partial),
            });
            for (what, n) in &proofs.missing {
                let what = plain(what);
                self.line(&match lang {
                    Lang::Ja => format!("- 未確認：{what}（{n}件）"),
                    Lang::En => format!("- missing: {what} ({n})"),
                });
            }
            self.line("");
        }
    }

    /// When the entity will be through, and what that rests on.
    fn outlook(&mut self, entity: &EntityProgress) {
        let lang = self.lang;
        let outlook = &entity.outlook;
        let standing = lang.standing(outlook.standing);
        let day = outlook.day.filter(|_| outlook.standing != Standing::Done).map(|day| lang.exact_day(day));
        self.line(&match (lang, day) {
            (Lang::Ja, Some(day)) => format!("見通し：{standing}（予定分の完了見込み {day}）"),
            (Lang::En, Some(day)) => format!("Outlook: {standing} (what is scheduled: {day})"),
            (_, None) => format!("{}{standing}", lang.pick("見通し：", "Outlook: ")),
        });
        for basis in &outlook.basis {
            self.line(&format!("- {}", lang.basis(basis)));
        }
        for missing in &outlook.missing {
            self.line(&format!("- {}", lang.missing(missing)));
        }
    }

    fn tracks(&mut self, tracks: &[TrackProgress]) {
        if tracks.is_empty() {
            return;
        }
        let record = self.report.as_of.record;
        self.line(&match self.lang {
            Lang::Ja => format!("| 区分 | 対象 | 完了 | 一時保留 | 途中の内訳（記録番号 {record} 現在） |"),
            Lang::En => format!("| Track | Subjects | Finished | Parked | On the way (as of record {record}) |"),
        });
        self.line("|---|---:|---:|---:|---|");
        for t in tracks {
            let stages: Vec<String> = t.stages.iter().map(|s| stage_count(*s, self.lang)).collect();
            let stages = if stages.is_empty() { "—".to_owned() } else { stages.join(self.lang.pick("、", "; ")) };
            let track = self.lang.track(t.track);
            self.line(&format!("| {track} | {} | {} | {} | {stages} |", t.subjects, t.finished, t.parked));
        }
        self.line("");
    }

    fn accounts(&mut self, entity: &EntityProgress) {
        let lang = self.lang;
        let Some(accounts) = &entity.accounts else { return };
        let shared = &accounts.shared;
        self.line(&match lang {
            Lang::Ja => format!(
                "- 共有ストアのアカウント：{}件（記録番号 {}。うち利用できる状態 {}件、認証情報あり {}件。最多時 {}件、記録番号 {}）",
                shared.accounts, accounts.record, shared.open, shared.credentials, accounts.most, accounts.most_record
            ),
            Lang::En => format!(
                "- Accounts in the shared store: {} (record {}; {} of them open, {} with credentials; {} at most, record {})",
                shared.accounts, accounts.record, shared.open, shared.credentials, accounts.most, accounts.most_record
            ),
        });
    }

    fn residual(&mut self, residual: Option<&Residual>) {
        let lang = self.lang;
        let Some(residual) = residual else {
            self.line(lang.pick(
                "共有ストアの残存：監査未実施のため不明\n",
                "Left in the shared store: not known, there has been no audit\n",
            ));
            return;
        };
        for (count, ja, en) in [
            (&residual.records, "本来残るべきでないレコード", "Records that should be gone"),
            (&residual.credentials, "うち認証情報が残るもの", "Of these with credentials"),
        ] {
            self.line(&match lang {
                Lang::Ja => format!(
                    "- {ja}：{}件（記録番号 {}。最多時 {}件、記録番号 {}）",
                    count.left, count.left_record, count.found, count.found_record
                ),
                Lang::En => format!(
                    "- {en}: {} (record {}; {} at most, record {})",
                    count.left, count.left_record, count.found, count.found_record
                ),
            });
        }
        self.line("");
        self.rules(&residual.rules);
    }

    fn rules(&mut self, rules: &[RuleCount]) {
        if rules.is_empty() {
            return;
        }
        self.line(self.lang.pick(
            "| 検出項目 | 内容 | 検出（最多時・記録番号） | 解消 | 残り（記録番号） |",
            "| Rule | What | Found at most (record) | Gone | Left (record) |",
        ));
        self.line("|---|---|---:|---:|---:|");
        for r in rules {
            let what = self.lang.rule(&r.rule);
            let row = format!(
                "| {} | {what} | {} ({}) | {} | {} ({}) |",
                r.rule,
                r.found,
                r.found_record,
                r.gone().map_or_else(|| self.lang.unknown().to_owned(), |n| n.to_string()),
                r.left,
                r.left_record
            );
            self.line(&row);
        }
        self.line("");
    }

    fn links(&mut self) {
        let lang = self.lang;
        self.line(&format!("## {}\n", lang.pick("2. ディレクトリ間の連携", "2. Links between the directories")));
        let report = self.report;
        match (report.last_audit, report.links.is_empty()) {
            (None, _) => self.line(lang.pick("監査未実施のため不明です。\n", "Not known: there has been no audit.\n")),
            (Some(audit), true) => self.line(&match lang {
                Lang::Ja => format!("監査（記録番号 {}）までに検出された連携はありません。\n", audit.record),
                Lang::En => format!("No audit up to record {} has found any.\n", audit.record),
            }),
            (Some(_), false) => {
                let found: u64 = report.links.iter().map(|l| l.found).sum();
                let left: u64 = report.links.iter().map(|l| l.left).sum();
                let gone: Option<u64> = report.links.iter().map(RuleCount::gone).sum();
                self.line(&match (lang, gone) {
                    (Lang::Ja, Some(cut)) => format!("検出 {found}件のうち {cut}件を切断、残り {left}件。\n"),
                    (Lang::En, Some(cut)) => format!("Found {found}, cut {cut}, left {left}.\n"),
                    (Lang::Ja, None) => format!("検出 {found}件、残り {left}件以上。切断の件数は未確認。\n"),
                    (Lang::En, None) => format!("Found {found}, left {left} at least; how many were cut is not known.\n"),
                });
                self.rules(&report.links);
            }
        }
    }

    fn planned(&mut self) {
        let lang = self.lang;
        self.line(&format!("## {}\n", lang.pick("3. 今後の予定", "3. What is planned")));
        if self.report.planned.is_empty() {
            self.line(lang.pick("未着手の計画はありません。\n", "No plan has a wave that has not started.\n"));
            return;
        }
        for wave in &self.report.planned {
            let tracks: Vec<&str> = wave.tracks.iter().map(|t| lang.track(*t)).collect();
            let names = wave.entities.iter().map(|id| match self.report.entities.iter().find(|e| e.id == *id) {
                Some(entity) => plain(lang.pick(&entity.name_ja, &entity.name)),
                None => plain(id.as_str()),
            });
            let names: Vec<String> = names.collect();
            let record = wave.record.map_or_else(|| "—".to_owned(), |r| r.to_string());
            let name = plain(&wave.wave);
            let rehearsal = if wave.executable { "" } else { lang.pick("（試行のみ可）", " (can only be rehearsed)") };
            self.line(&match (lang, wave.by) {
                (Lang::Ja, by) => format!(
                    "- {}：{}（{name}、{}件、計画の記録番号 {record}）{rehearsal}【{}】",
                    names.join("、"),
                    tracks.join("・"),
                    wave.subjects,
                    by.map_or_else(|| "時期未定".to_owned(), |day| format!("{}予定", lang.day(day)))
                ),
                (Lang::En, by) => format!(
                    "- {}: {} ({name}, {} subjects, plan of record {record}){rehearsal} [{}]",
                    names.join(", "),
                    tracks.join(", "),
                    wave.subjects,
                    by.map_or_else(|| "no date set".to_owned(), |day| format!("planned by {}", lang.day(day)))
                ),
            });
        }
        self.line("");
    }

    fn batches(&mut self) {
        let lang = self.lang;
        self.line(&format!("## {}\n", lang.pick("4. 実施単位（バッチ）ごとの経過", "4. Batches and their history")));
        if self.report.batches.is_empty() {
            self.line(lang.pick("実施されたバッチはありません。\n", "No batch has been started.\n"));
            return;
        }
        self.line(lang.pick(
            "| バッチ | 状況 | 対象 | 一時保留 | 完了した段階 | 回 | 開始（記録番号） |",
            "| Batch | Wave | Subjects | Parked | Stage ended | Round | Started (record) |",
        ));
        self.line("|---|---|---:|---:|---|---:|---|");
        for batch in self.report.batches.iter().take(HISTORIES) {
            let row = self.batch_row(batch);
            self.line(&row);
        }
        self.line("");
        let book = Book { report: self.report, lang };
        for batch in self.report.batches.iter().take(HISTORIES) {
            for event in &batch.history {
                let what = match &event.what {
                    BatchEventKind::Began { .. } => continue,
                    BatchEventKind::Ended { stage } => match lang {
                        Lang::Ja => format!("{}【完了】", lang.stage(*stage)),
                        Lang::En => format!("{stage} ended"),
                    },
                    other => match book.event(other) {
                        Cell::Foreign(text) | Cell::Words(text) => plain(&text),
                        _ => continue,
                    },
                };
                let at = self.time(event.cite.at);
                let (id, record) = (plain(&batch.id.to_string()), event.cite.record);
                self.line(&match lang {
                    Lang::Ja => format!("- {at}（記録番号 {record}）{id}：{what}"),
                    Lang::En => format!("- {at} (record {record}) {id}: {what}"),
                });
            }
        }
        self.line("");
    }

    fn batch_row(&self, batch: &BatchProgress) -> String {
        let lang = self.lang;
        let started = batch.started.map_or_else(|| "—".to_owned(), |cite| format!("{} ({})", self.time(cite.at), cite.record));
        let ended = batch.ended.map_or("—", |stage| lang.stage(stage));
        let canary = if batch.canary { lang.pick("（先行）", " (canary)") } else { "" };
        let mut status = lang.wave(batch.wave).to_owned();
        if let Some(reason) = &batch.halted {
            let _ = write!(status, "{}{}", lang.pick("、停止中：", ", halted: "), plain(&lang.said(reason)));
        }
        let id = plain(&batch.id.to_string());
        format!("| {id}{canary} | {status} | {} | {} | {ended} | {} | {started} |", batch.subjects, batch.parked, batch.round)
    }

    fn exceptions(&mut self) {
        let lang = self.lang;
        if self.report.exceptions.is_empty() {
            return;
        }
        self.line(&format!("## {}\n", lang.pick("5. 例外（承認・保留・保存）と期限", "5. Exceptions and their expiry")));
        self.line(lang.pick(
            "確認が取れたものではなく、記名者の責任で進めることを認めたもの、または対象外としているものです。\n",
            "They were not seen to be in order: the people named answer for going on, or they are kept out.\n",
        ));
        let book = Book { report: self.report, lang };
        for (e, row) in self.report.exceptions.iter().zip(book.exceptions().rows) {
            let text = |at: usize| match row.get(at) {
                Some(Cell::Foreign(text) | Cell::Words(text) | Cell::Id(text) | Cell::Mark(_, text)) => plain(text),
                _ => String::new(),
            };
            let record = e.record.map(|n| lang.record(n));
            let record = record.unwrap_or_else(|| lang.pick("設定", "configuration").to_owned());
            let (remaining, kind, about, by, reason) = (text(1), text(2), text(3), text(5), text(6));
            self.line(&match lang {
                Lang::Ja => {
                    format!("- {}【{remaining}】{kind}\n  {about}、{by}、理由：{reason}（{record}）", lang.exact_day(e.until))
                }
                Lang::En => format!("- {} [{remaining}] {kind}\n  {about}, {by}, because: {reason} ({record})", e.until),
            });
        }
        self.line("");
    }

    fn approvals(&mut self) {
        let lang = self.lang;
        if self.report.approvals.is_empty() && self.report.rehearsals.is_empty() {
            return;
        }
        self.line(&format!("## {}\n", lang.pick("6. 予行と承認", "6. Rehearsals and approvals")));
        for r in &self.report.rehearsals {
            let (at, record) = (self.time(r.cite.at), lang.record(r.cite.record));
            self.line(&match lang {
                Lang::Ja => {
                    format!("- {at} 予行：計画 {}、操作 {}件のうち拒否の見込み {}件（{record}）", r.plan, r.operations, r.refused)
                }
                Lang::En => format!(
                    "- {at} rehearsal of plan {}: {} of {} operations would be refused ({record})",
                    r.plan, r.refused, r.operations
                ),
            });
        }
        for a in self.report.approvals.iter().take(APPROVALS) {
            let at = a.at.map(|at| self.time(at)).unwrap_or_default();
            let through = a.through.map(|stage| lang.stage(stage)).unwrap_or_default();
            let (by, object, reason, record) = (plain(&a.by), plain(&a.object), plain(&a.reason), lang.record(a.record));
            let revoked = if a.revoked.is_some() { lang.pick("【取り消し】", " [taken back]") } else { "" };
            self.line(&match lang {
                Lang::Ja => format!("- {at} 承認：{by}、{object}（{record}）{revoked}\n  「{through}」まで、理由：{reason}"),
                Lang::En => {
                    format!("- {at} approved by {by}: {object} ({record}){revoked}\n  through: {through}; because: {reason}")
                }
            });
        }
        self.line("");
    }

    fn coverage(&mut self) {
        if self.report.coverage.is_empty() {
            return;
        }
        self.line(&format!("## {}\n", self.lang.pick("監査で確認できなかった範囲", "What the last audit could not look at")));
        self.rules(&self.report.coverage);
    }
}

fn stage_count(s: StageCount, lang: Lang) -> String {
    let stage = s.ended.map_or(lang.pick("未着手", "nothing yet"), |stage| lang.stage(stage));
    match lang {
        Lang::Ja => format!("{stage}{} {}件", if s.ended.is_some() { "まで" } else { "" }, s.subjects),
        Lang::En => format!("{}: {stage}", s.subjects),
    }
}

fn milestone_line(m: &Milestone, lang: Lang) -> String {
    let (track, stage) = (lang.track(m.track), lang.stage(m.stage));
    let day = |by: Option<jiff::civil::Date>| by.map(|day| lang.day(day));
    let wave = plain(&m.wave.wave);
    let parked = match (m.parked, lang) {
        (0, _) => String::new(),
        (n, Lang::Ja) => format!("、うち一時保留 {n}件"),
        (n, Lang::En) => format!(", {n} parked"),
    };
    match lang {
        Lang::Ja => {
            let planned = |by, overdue| match (day(by), overdue) {
                (Some(day), true) => format!("{day}期限、超過"),
                (Some(day), false) => format!("{day}予定"),
                (None, _) => "時期未定".to_owned(),
            };
            let mark = match m.state {
                MilestoneState::Done { on, .. } => format!("{}完了", day(on).unwrap_or_default()),
                MilestoneState::Underway { by, overdue } => {
                    format!("{}件中{}件完了、{}", m.subjects, m.done, planned(by, overdue))
                }
                MilestoneState::Planned { by, overdue } => planned(by, overdue),
                MilestoneState::GivenUp => format!("中止、{}件中{}件完了", m.subjects, m.done),
            };
            let record = match m.state {
                MilestoneState::Done { record: Some(record), .. } => format!("、記録番号 {record}"),
                _ => String::new(),
            };
            format!("- {track}：{stage}（{wave}、{}件{parked}{record}）【{mark}】", m.subjects)
        }
        Lang::En => {
            let planned = |by, overdue| match (day(by), overdue) {
                (Some(day), true) => format!("was due by {day}"),
                (Some(day), false) => format!("planned by {day}"),
                (None, _) => "no date set".to_owned(),
            };
            let mark = match m.state {
                MilestoneState::Done { on, .. } => match day(on) {
                    Some(day) => format!("completed {day}"),
                    None => "completed".to_owned(),
                },
                MilestoneState::Underway { by, overdue } => {
                    format!("{} of {} done, {}", m.done, m.subjects, planned(by, overdue))
                }
                MilestoneState::Planned { by, overdue } => planned(by, overdue),
                MilestoneState::GivenUp => format!("given up, {} of {} done", m.done, m.subjects),
            };
            let record = match m.state {
                MilestoneState::Done { record: Some(record), .. } => format!(", record {record}"),
                _ => String::new(),
            };
            format!("- {track}: {stage} ({wave}, {} subjects{parked}{record}) [{mark}]", m.subjects)
        }
    }
}
