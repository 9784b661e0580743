//! From the figures to tables. Each is written in full; a page that has no room for all rows says so.

use untether_model::EntityId;
use untether_model::operation::Stage;
use untether_model::run::AccountCounts;

use crate::history::BatchEventKind;
use crate::progress::{
    BatchProgress, EntityProgress, Exception, ExceptionKind, FindingCount, MeasureState, MilestoneState, ProgressReport,
    Remaining, RuleCount, Standing,
};
use crate::table::{Cell, Table, Tone};
use crate::words::Lang;

/// All tables of a report, in the order of its chapters.
pub fn tables(report: &ProgressReport, lang: Lang) -> Vec<Table> {
    let book = Book { report, lang };
    vec![
        book.measures(),
        book.entities(),
        book.stages(),
        book.milestones(),
        book.audits(),
        book.findings(),
        book.standings(),
        book.links(),
        book.coverage(),
        book.planned(),
        book.waves(),
        book.batches(&mut report.batches.iter()),
        book.events(&mut report.batches.iter()),
        book.orders(),
        book.exceptions(),
        book.rehearsals(),
        book.approvals(),
    ]
}

/// What the tables are made from.
#[derive(Clone, Copy)]
pub(crate) struct Book<'a> {
    pub report: &'a ProgressReport,
    pub lang: Lang,
}

impl Book<'_> {
    fn table(self, name: &'static str, ja: &str, en: &str) -> Table {
        Table::new(name, self.lang.pick(ja, en))
    }

    /// The name of an entity.
    pub fn entity(self, id: &EntityId) -> String {
        match self.report.entities.iter().find(|e| e.id == *id) {
            Some(entity) => self.name(entity),
            None => id.as_str().to_owned(),
        }
    }

    pub fn name(self, entity: &EntityProgress) -> String {
        match entity.id.as_str() {
            crate::entity::UNASSIGNED => self.lang.pick("所属未確定", "Assigned to no entity").to_owned(),
            _ => self.lang.pick(&entity.name_ja, &entity.name).to_owned(),
        }
    }

    fn entity_cell(self, id: Option<&EntityId>) -> Cell {
        id.map_or_else(|| Cell::Words(self.lang.pick("（共通）", "(none)").to_owned()), |id| Cell::Foreign(self.entity(id)))
    }

    pub fn measures(self) -> Table {
        let lang = self.lang;
        let rows = self.report.measures.iter().map(|m| {
            let (state, on, record, audit) = match &m.state {
                MeasureState::Complete { on, record, audit } => (
                    Cell::Mark(Tone::Good, lang.pick("完了", "complete").to_owned()),
                    Cell::Day(*on),
                    Some(*record),
                    Some(*audit),
                ),
                MeasureState::Planned { deadline, forecast, overdue, .. } => {
                    let late = forecast.zip(*deadline).is_some_and(|(day, deadline)| day > deadline);
                    let mark = match (overdue, late) {
                        (true, _) => Cell::Mark(Tone::Bad, lang.standing(Standing::Overdue).to_owned()),
                        (_, true) => Cell::Mark(Tone::Bad, lang.standing(Standing::Late).to_owned()),
                        _ => Cell::Words(lang.pick("予定", "planned").to_owned()),
                    };
                    (mark, Cell::known(forecast.or(*deadline), Cell::Day), None, m.audit)
                }
            };
            vec![
                Cell::Words(lang.measure(m.kind).to_owned()),
                self.entity_cell(m.entity.as_ref()),
                state,
                on,
                Cell::Count(m.subjects),
                Cell::Count(m.done),
                Cell::known(m.left, Cell::Count),
                Cell::of(record, Cell::Record),
                Cell::of(audit, Cell::Record),
            ]
        });
        self.table("measures", "施策別の状況", "Measures")
            .text(&lang.pick(["施策", "会社", "状況", "完了日・予定日"], ["measure", "entity", "state", "day"]))
            .numbers(&lang.pick(
                ["対象", "実施済み", "残り（監査）", "完了の記録番号", "監査の記録番号"],
                ["subjects", "done", "left (audit)", "completed by record", "audit record"],
            ))
            .rows(rows)
    }

    pub fn entities(self) -> Table {
        let lang = self.lang;
        let rows = self.report.entities.iter().map(|e| {
            let sum = |of: fn(&crate::TrackProgress) -> u64| e.tracks.iter().map(of).sum::<u64>();
            let unplanned = e.outlook.missing.iter().find_map(|m| match m {
                crate::Missing::Unplanned { subjects, .. } => Some(*subjects),
                _ => None,
            });
            let no_plan =
                e.outlook.missing.iter().any(|m| matches!(m, crate::Missing::NoPlan | crate::Missing::NoForecast { .. }));
            vec![
                Cell::Foreign(self.name(e)),
                Cell::of(e.deadline, Cell::Day),
                Cell::Mark(tone(e.outlook.standing), lang.standing(e.outlook.standing).to_owned()),
                if e.outlook.standing == Standing::Done { Cell::Empty } else { Cell::known(e.outlook.day, Cell::Day) },
                Cell::of(e.outlook.slack_days, Cell::Days),
                Cell::Count(sum(|t| t.subjects)),
                Cell::Count(sum(|t| t.finished)),
                Cell::Count(e.outlook.under_way),
                Cell::Count(sum(|t| t.parked)),
                Cell::Count(e.outlook.planned),
                if no_plan { Cell::Unknown } else { Cell::Count(unplanned.unwrap_or(0)) },
                Cell::known(e.accounts.as_ref(), |a| Cell::Cited(a.shared.accounts, a.record)),
                Cell::known(e.accounts.as_ref(), |a| Cell::Count(a.shared.open)),
                Cell::known(e.accounts.as_ref(), |a| Cell::Count(a.shared.credentials)),
                Cell::known(e.residual.as_ref(), |r| Cell::Cited(r.records.left, r.records.left_record)),
            ]
        });
        self.table("entities", "会社別の進捗と期限", "Progress of entities against their deadlines")
            .text(&lang.pick(["会社", "分離期限", "見通し", "完了見込み日"], ["entity", "deadline", "outlook", "forecast"]))
            .numbers(&lang.pick(
                [
                    "余裕（日）",
                    "着手済みの対象者",
                    "完了",
                    "進行中",
                    "一時保留",
                    "計画済み・未着手",
                    "計画外",
                    "共有ストアのアカウント",
                    "うち有効",
                    "うち認証情報あり",
                    "本来残るべきでないレコード",
                ],
                [
                    "days to spare",
                    "subjects in waves",
                    "finished",
                    "under way",
                    "parked",
                    "planned",
                    "in no plan",
                    "accounts in the shared store",
                    "of these open",
                    "with credentials",
                    "records that should be gone",
                ],
            ))
            .rows(rows)
    }

    pub fn stages(self) -> Table {
        let lang = self.lang;
        let mut rows = Vec::new();
        for entity in &self.report.entities {
            for t in &entity.tracks {
                let at = |stage: Option<Stage>| t.stages.iter().find(|s| s.ended == stage).map_or(0, |s| s.subjects);
                let mut row = vec![Cell::Foreign(self.name(entity)), Cell::Words(lang.track(t.track).to_owned())];
                row.extend([t.subjects, at(None)].map(Cell::Count));
                row.extend(Stage::ALL.iter().take(7).map(|stage| Cell::Count(at(Some(*stage)))));
                row.extend([t.finished, t.parked].map(Cell::Count));
                rows.push(row);
            }
        }
        let mut heads: Vec<String> = vec![lang.pick("対象", "subjects").to_owned(), lang.pick("未着手", "none yet").to_owned()];
        for stage in Stage::ALL.iter().take(7) {
            heads.push(match lang {
                Lang::Ja => format!("{}済み", lang.short_stage(*stage)),
                Lang::En => lang.short_stage(*stage).to_owned(),
            });
        }
        heads.extend([lang.pick("完了", "finished").to_owned(), lang.pick("一時保留", "parked").to_owned()]);
        let heads: Vec<&str> = heads.iter().map(String::as_str).collect();
        self.table("stages", "会社・区分別の段階", "Stages by entity and track")
            .text(&lang.pick(["会社", "区分"], ["entity", "track"]))
            .numbers(&heads)
            .rows(rows)
    }

    pub fn milestones(self) -> Table {
        let lang = self.lang;
        let mut rows = Vec::new();
        for entity in &self.report.entities {
            for m in &entity.milestones {
                let (state, day, record) = match m.state {
                    MilestoneState::Done { on, record } => {
                        (Cell::Mark(Tone::Good, lang.pick("完了", "done").to_owned()), on, record)
                    }
                    MilestoneState::Underway { by, overdue: false } => {
                        (Cell::Words(lang.pick("実施中", "under way").to_owned()), by, None)
                    }
                    MilestoneState::Planned { by, overdue: false } => {
                        (Cell::Words(lang.pick("予定", "planned").to_owned()), by, None)
                    }
                    MilestoneState::Underway { by, .. } | MilestoneState::Planned { by, .. } => {
                        (Cell::Mark(Tone::Bad, lang.standing(Standing::Overdue).to_owned()), by, None)
                    }
                    MilestoneState::GivenUp => (Cell::Words(lang.pick("中止", "given up").to_owned()), None, None),
                };
                rows.push(vec![
                    Cell::Foreign(self.name(entity)),
                    Cell::Id(m.wave.to_string()),
                    Cell::Words(lang.track(m.track).to_owned()),
                    Cell::Words(lang.stage(m.stage).to_owned()),
                    state,
                    Cell::of(day, Cell::Day),
                    Cell::Count(m.subjects),
                    Cell::Count(m.done),
                    Cell::Count(m.parked),
                    Cell::of(record, Cell::Record),
                ]);
            }
        }
        self.table("milestones", "会社・ウェーブ別の段階の完了", "Stages of waves by entity")
            .text(&lang.pick(
                ["会社", "ウェーブ", "区分", "段階", "状況", "完了日・期限"],
                ["entity", "wave", "track", "stage", "state", "completed or due"],
            ))
            .numbers(&lang.pick(["対象", "完了", "一時保留", "記録番号"], ["subjects", "done", "parked", "record"]))
            .rows(rows)
    }

    pub fn audits(self) -> Table {
        let lang = self.lang;
        let rows = self.report.audits.iter().map(|point| {
            let state = match (point.judged, point.audit.complete) {
                (Some(day), _) => Cell::Words(match lang {
                    Lang::Ja => format!("{}時点の判定（推移には含めない）", lang.day(day)),
                    Lang::En => format!("judged {day}; not in the series"),
                }),
                (None, true) => Cell::Mark(Tone::Good, lang.pick("完全", "complete").to_owned()),
                (None, false) => Cell::Mark(Tone::Warn, lang.pick("不完全（件数は下限）", "incomplete: lower bounds").to_owned()),
            };
            let of = |count: fn(&AccountCounts) -> u64| Cell::known(point.accounts.as_ref().map(count), Cell::Count);
            vec![
                Cell::Time(point.audit.taken_at),
                state,
                of(|a| a.accounts),
                of(|a| a.open),
                of(|a| a.credentials),
                Cell::Count(point.records),
                Cell::Count(point.credentials),
                Cell::Count(point.links),
                Cell::Record(point.audit.record),
            ]
        });
        self.table("audits", "共有ストアに残る情報の推移（全監査）", "What was left in the shared store, audit by audit")
            .text(&lang.pick(["監査日時", "監査の完全性"], ["audit", "completeness"]))
            .numbers(&lang.pick(
                [
                    "アカウント",
                    "うち有効",
                    "うち認証情報あり",
                    "本来残るべきでないレコード",
                    "うち認証情報あり（検出）",
                    "連携",
                    "記録番号",
                ],
                [
                    "accounts",
                    "open",
                    "with credentials",
                    "records that should be gone",
                    "of these with credentials",
                    "links",
                    "record",
                ],
            ))
            .rows(rows)
    }

    /// By rule: open, waived, solved.
    pub fn standings(self) -> Table {
        let lang = self.lang;
        let rows = self.report.findings.iter().flat_map(|found| &found.rules).map(|rule| {
            vec![
                Cell::Id(rule.rule.clone()),
                Cell::Words(lang.rule(&rule.rule).to_owned()),
                Cell::Count(rule.open),
                Cell::Count(rule.waived),
                Cell::Count(rule.solved),
            ]
        });
        self.table("rules", "検出事項の対応状況（検査項目別）", "How the findings stand, by rule")
            .text(&lang.pick(["検査項目", "内容"], ["rule", "what"]))
            .numbers(&lang.pick(["未対応", "許容中", "解消済み"], ["open", "waived", "solved"]))
            .rows(rows)
    }

    pub fn findings(self) -> Table {
        let lang = self.lang;
        let rows = self.report.rules.iter().map(|f| self.finding(f));
        self.table("findings", "検出事項（検査項目・会社・場所別）", "Findings by rule, entity and store")
            .text(&lang.pick(["検査項目", "内容", "会社", "場所"], ["rule", "what", "entity", "store"]))
            .numbers(
                &lang.pick(
                    ["最多時", "残り", "うち重大・高", "解消"],
                    ["found at most", "left", "of these critical or high", "gone"],
                ),
            )
            .rows(rows)
    }

    fn finding(self, f: &FindingCount) -> Vec<Cell> {
        vec![
            Cell::Id(f.count.rule.clone()),
            Cell::Words(self.lang.rule(&f.count.rule).to_owned()),
            self.entity_cell(f.entity.as_ref()),
            Cell::Words(self.lang.store(&f.store).to_owned()),
            Cell::Cited(f.count.found, f.count.found_record),
            Cell::Cited(f.count.left, f.count.left_record),
            Cell::Count(f.severe),
            Cell::known(f.count.gone(), Cell::Count),
        ]
    }

    fn rules(self, name: &'static str, (ja, en): (&str, &str), rules: &[RuleCount]) -> Table {
        let lang = self.lang;
        let rows = rules.iter().map(|r| {
            vec![
                Cell::Id(r.rule.clone()),
                Cell::Words(lang.rule(&r.rule).to_owned()),
                Cell::Cited(r.found, r.found_record),
                Cell::known(r.gone(), Cell::Count),
                Cell::Cited(r.left, r.left_record),
            ]
        });
        self.table(name, ja, en)
            .text(&lang.pick(["検査項目", "内容"], ["rule", "what"]))
            .numbers(&lang.pick(["検出（最多時）", "切断・解消", "残り"], ["found at most", "cut or gone", "left"]))
            .rows(rows)
    }

    pub fn links(self) -> Table {
        self.rules("links", ("ディレクトリ間の連携", "Links between the directories"), &self.report.links)
    }

    pub fn coverage(self) -> Table {
        self.rules("coverage", ("監査で確認できなかった範囲", "What the newest audit could not look at"), &self.report.coverage)
    }

    pub fn planned(self) -> Table {
        let lang = self.lang;
        let rows = self.report.planned.iter().map(|wave| {
            let names: Vec<String> = wave.entities.iter().map(|id| self.entity(id)).collect();
            let tracks: Vec<String> = wave.tracks.iter().map(|t| lang.track(*t).to_owned()).collect();
            let can = if wave.executable { "" } else { lang.pick("試行のみ可", "can only be rehearsed") };
            vec![
                Cell::Id(format!("{}/{}", wave.plan, wave.wave)),
                Cell::Foreign(lang.join(&names)),
                Cell::Words(lang.join(&tracks)),
                Cell::known(wave.by, Cell::Day),
                Cell::Words(can.to_owned()),
                Cell::Count(wave.subjects),
                Cell::Count(wave.operations),
                Cell::of(wave.record, Cell::Record),
            ]
        });
        self.table("planned", "未着手のウェーブ", "Waves that have not started")
            .text(&lang.pick(["ウェーブ", "会社", "区分", "期限", "備考"], ["wave", "entities", "tracks", "due", "remark"]))
            .numbers(&lang.pick(["対象", "操作", "計画の記録番号"], ["subjects", "operations", "plan record"]))
            .rows(rows)
    }

    pub fn waves(self) -> Table {
        let lang = self.lang;
        let rows = self.report.waves.iter().map(|w| {
            let halted = if w.halted > 0 { Tone::Bad } else { Tone::Plain };
            vec![
                Cell::Id(w.id.to_string()),
                Cell::Words(lang.wave(w.status).to_owned()),
                Cell::of(w.started, |cite| Cell::Time(cite.at)),
                Cell::of(w.closed, |cite| Cell::Time(cite.at)),
                Cell::Count(w.batches),
                Cell::Count(w.batches_ended),
                Cell::Count(w.subjects),
                Cell::Count(w.finished),
                Cell::Count(w.parked),
                Cell::Count(w.rollbacks),
                if w.halted > 0 { Cell::Mark(halted, w.halted.to_string()) } else { Cell::Count(0) },
                Cell::of(w.started, |cite| Cell::Record(cite.record)),
                Cell::of(w.closed, |cite| Cell::Record(cite.record)),
            ]
        });
        self.table("waves", "ウェーブの状況", "Waves")
            .text(&lang.pick(["ウェーブ", "状況", "開始", "終了"], ["wave", "state", "started", "ended"]))
            .numbers(&lang.pick(
                ["バッチ", "うち完了", "対象", "完了", "一時保留", "切り戻し", "停止中", "開始の記録番号", "終了の記録番号"],
                ["batches", "ended", "subjects", "finished", "parked", "rollbacks", "halted", "start record", "end record"],
            ))
            .rows(rows)
    }

    /// These batches.
    pub fn batches(self, batches: &mut dyn Iterator<Item = &BatchProgress>) -> Table {
        let lang = self.lang;
        let rows = batches.map(|b| {
            let status = match (&b.halted, b.current, b.finished) {
                (Some(reason), _, _) => Cell::Mark(
                    Tone::Bad,
                    match lang {
                        Lang::Ja => format!("停止中：{}", lang.said(reason)),
                        Lang::En => format!("halted: {reason}"),
                    },
                ),
                (None, Some(stage), _) => Cell::Words(match lang {
                    Lang::Ja => format!("「{}」を実施中", lang.short_stage(stage)),
                    Lang::En => format!("in {stage}"),
                }),
                (None, None, true) => Cell::Mark(Tone::Good, lang.pick("完了", "finished").to_owned()),
                (None, None, false) => Cell::Words(lang.pick("次の段階を待機", "waits for the next stage").to_owned()),
            };
            let left: Vec<String> = b.left.iter().map(|(reason, n)| format!("{} {n}", lang.parked(*reason))).collect();
            vec![
                Cell::Id(format!("{}{}", b.id, if b.canary { lang.pick("（先行）", " (canary)") } else { "" })),
                status,
                Cell::of(b.ended, |stage| Cell::Words(lang.short_stage(stage).to_owned())),
                Cell::Words(lang.join(&left)),
                Cell::Count(b.subjects),
                Cell::Count(b.parked),
                Cell::Count(u64::from(b.round)),
                Cell::Count(u64::from(b.open)),
                Cell::Count(b.outcomes.done),
                Cell::Count(b.outcomes.refused),
                Cell::Count(b.outcomes.conflicts),
                Cell::of(b.history.last(), |e| Cell::Record(e.cite.record)),
            ]
        });
        self.table("batches", "バッチの状況", "Batches")
            .text(&lang.pick(
                ["バッチ", "状況", "終えた段階", "離脱の理由と件数"],
                ["batch", "state", "stage ended", "who left, and why"],
            ))
            .numbers(&lang.pick(
                ["対象", "一時保留", "回", "結果未確認", "操作済み", "拒否", "競合", "最後の記録番号"],
                ["subjects", "parked", "round", "outcome not known", "done", "refused", "conflicts", "last record"],
            ))
            .rows(rows)
    }

    /// What happened to these batches, oldest first.
    pub fn events(self, batches: &mut dyn Iterator<Item = &BatchProgress>) -> Table {
        let lang = self.lang;
        let mut events: Vec<_> = batches.flat_map(|b| b.history.iter().map(move |event| (event, &b.id))).collect();
        events.sort_by_key(|(event, _)| event.cite);
        let rows = events.into_iter().map(|(event, id)| {
            vec![Cell::Time(event.cite.at), Cell::Id(id.to_string()), self.event(&event.what), Cell::Record(event.cite.record)]
        });
        self.table("events", "バッチの経過", "What happened to the batches")
            .text(&lang.pick(["日時", "バッチ", "内容"], ["time", "batch", "what"]))
            .numbers(&[lang.pick("記録番号", "record")])
            .rows(rows)
    }

    /// An event in words.
    pub fn event(self, what: &BatchEventKind) -> Cell {
        let lang = self.lang;
        let text = match (what, lang) {
            (BatchEventKind::Began { stage }, Lang::Ja) => format!("「{}」を開始", lang.stage(*stage)),
            (BatchEventKind::Began { stage }, Lang::En) => format!("{stage} begun"),
            (BatchEventKind::Ended { stage }, Lang::Ja) => format!("「{}」を完了", lang.stage(*stage)),
            (BatchEventKind::Ended { stage }, Lang::En) => format!("{stage} ended"),
            (BatchEventKind::Halted { reason }, Lang::Ja) => format!("停止：{}", lang.said(reason)),
            (BatchEventKind::Halted { reason }, Lang::En) => format!("halted: {reason}"),
            (BatchEventKind::Resumed { by, reason }, Lang::Ja) => format!("再開（{by}）：{reason}"),
            (BatchEventKind::Resumed { by, reason }, Lang::En) => format!("resumed by {by}: {reason}"),
            (BatchEventKind::Drifted { op, stage, seen, over: false }, Lang::Ja) => {
                format!(
                    "第三者の変更により「{}」の効果が失われたことを検知（操作 {op}）：{}",
                    lang.stage(*stage),
                    lang.said(seen)
                )
            }
            (BatchEventKind::Drifted { op, stage, seen, over: false }, Lang::En) => {
                format!("drift: somebody else took back what operation {op} of {stage} had done: {seen}")
            }
            (BatchEventKind::Drifted { op, stage, over: true, .. }, Lang::Ja) => {
                format!("「{}」の効果の回復を確認（操作 {op}）", lang.stage(*stage))
            }
            (BatchEventKind::Drifted { op, stage, over: true, .. }, Lang::En) => {
                format!("drift over: operation {op} of {stage} holds again")
            }
            (BatchEventKind::Resolved { op, verb, by, reason }, Lang::Ja) => {
                format!("競合への判断（操作 {op}、{by}）：{}。{reason}", lang.verb(verb))
            }
            (BatchEventKind::Resolved { op, verb, by, reason }, Lang::En) => {
                format!("conflict at operation {op} decided by {by}: {}, {reason}", lang.verb(verb))
            }
            (BatchEventKind::RolledBack { to, subjects, round }, Lang::Ja) => {
                format!("切り戻し：{subjects}件を「{}」の前の状態に復元（第{round}回へ）", lang.stage(*to))
            }
            (BatchEventKind::RolledBack { to, subjects, round }, Lang::En) => {
                format!("{subjects} subjects rolled back to before {to}, now in round {round}")
            }
        };
        match what {
            BatchEventKind::Began { .. } | BatchEventKind::Ended { .. } | BatchEventKind::RolledBack { .. } => Cell::Words(text),
            _ => Cell::Foreign(text),
        }
    }

    pub fn orders(self) -> Table {
        let lang = self.lang;
        let rows = self.report.orders.iter().map(|order| {
            vec![
                Cell::Id(order.id.to_string()),
                Cell::Words(lang.order(&order.kind)),
                Cell::Words(lang.order_status(order.status).to_owned()),
                Cell::Foreign(lang.join(&order.approved_by)),
                Cell::of(order.recorded, |cite| Cell::Time(cite.at)),
                Cell::of(order.ended, |cite| Cell::Time(cite.at)),
                Cell::of(order.recorded, |cite| Cell::Record(cite.record)),
                Cell::of(order.ended, |cite| Cell::Record(cite.record)),
            ]
        });
        self.table("orders", "切り戻しなどの指示", "Rollbacks and other orders")
            .text(&lang.pick(
                ["指示", "内容", "状況", "承認者", "作成", "終了"],
                ["order", "what", "state", "approved by", "made", "ended"],
            ))
            .numbers(&lang.pick(["作成の記録番号", "終了の記録番号"], ["record", "end record"]))
            .rows(rows)
    }

    pub fn exceptions(self) -> Table {
        let lang = self.lang;
        let rows = self.report.exceptions.iter().map(|e| {
            let tone = match e.remaining {
                Remaining::Outgrown | Remaining::Expired => Tone::Bad,
                Remaining::Week | Remaining::Month => Tone::Warn,
                Remaining::Long => Tone::Plain,
            };
            let (kind, about) = self.exception(e);
            vec![
                Cell::Day(e.until),
                Cell::Mark(tone, lang.remaining(e.remaining).to_owned()),
                Cell::Words(kind),
                about,
                Cell::of(e.entity.as_ref(), |id| Cell::Foreign(self.entity(id))),
                match &e.by {
                    Some(by) => Cell::Foreign(by.clone()),
                    None => Cell::Words(lang.pick("（設定）", "(configuration)").to_owned()),
                },
                Cell::Foreign(e.reason.clone()),
                Cell::of(e.record, Cell::Record),
            ]
        });
        self.table("exceptions", "例外（承認・保留・保存）と期限", "Exceptions with their expiry")
            .text(&lang.pick(
                ["期限", "残り期間", "種別", "対象", "会社", "責任者", "理由"],
                ["until", "remaining", "kind", "about", "entity", "by", "reason"],
            ))
            .numbers(&[lang.pick("記録番号", "record")])
            .rows(rows)
    }

    fn exception(self, e: &Exception) -> (String, Cell) {
        let lang = self.lang;
        match &e.what {
            ExceptionKind::Gate { gate, scope } => {
                let kind = match lang {
                    Lang::Ja => format!("関門の承認通過：{}", lang.gate(*gate)),
                    Lang::En => format!("gate accepted: {}", lang.gate(*gate)),
                };
                (kind, Cell::Id(lang.scope(scope)))
            }
            ExceptionKind::Waiver { finding } => {
                (lang.pick("検出事項の許容", "finding waived").to_owned(), Cell::Id(finding.to_string()))
            }
            ExceptionKind::Track { subject, track } => {
                let kind = match lang {
                    Lang::Ja => format!("対象者の区分の判断：{}", lang.track(*track)),
                    Lang::En => format!("track decided: {}", lang.track(*track)),
                };
                (kind, Cell::Id(subject.to_string()))
            }
            ExceptionKind::Policy { track, entities } => {
                let names: Vec<String> = entities.iter().map(|id| self.entity(id)).collect();
                let all = lang.pick("すべての会社", "all entities").to_owned();
                let kind = match lang {
                    Lang::Ja => format!("方針：{}", lang.track(*track)),
                    Lang::En => format!("policy: {}", lang.track(*track)),
                };
                (kind, if names.is_empty() { Cell::Words(all) } else { Cell::Foreign(lang.join(&names)) })
            }
        }
    }

    pub fn rehearsals(self) -> Table {
        let lang = self.lang;
        let rows = self.report.rehearsals.iter().map(|r| {
            vec![
                Cell::Time(r.cite.at),
                Cell::Id(r.plan.to_string()),
                Cell::Count(r.operations),
                if r.refused > 0 { Cell::Mark(Tone::Warn, lang.number(r.refused)) } else { Cell::Count(0) },
                Cell::Record(r.cite.record),
            ]
        });
        self.table("rehearsals", "予行の結果", "Rehearsals")
            .text(&lang.pick(["日時", "計画"], ["time", "plan"]))
            .numbers(&lang.pick(["操作", "拒否の見込み", "記録番号"], ["operations", "would be refused", "record"]))
            .rows(rows)
    }

    pub fn approvals(self) -> Table {
        let lang = self.lang;
        let rows = self.report.approvals.iter().map(|a| {
            let state = match &a.revoked {
                Some(revoked) => Cell::Foreign(match lang {
                    Lang::Ja => format!("取り消し（{}、記録番号 {}）：{}", revoked.by, revoked.cite.record, revoked.reason),
                    Lang::En => format!("taken back by {} (record {}): {}", revoked.by, revoked.cite.record, revoked.reason),
                }),
                None => Cell::Empty,
            };
            vec![
                Cell::of(a.at, Cell::Time),
                Cell::Foreign(a.by.clone()),
                Cell::Id(a.object.clone()),
                Cell::of(a.through, |stage| Cell::Words(lang.stage(stage).to_owned())),
                Cell::Foreign(a.reason.clone()),
                Cell::Time(a.until),
                state,
                Cell::Id(a.key.clone()),
                Cell::of(a.round, |round| Cell::Count(u64::from(round))),
                Cell::Record(a.record),
            ]
        });
        self.table("approvals", "承認", "Approvals")
            .text(&lang.pick(
                ["日時", "承認者", "対象", "承認した段階まで", "理由", "有効期限", "取り消し", "鍵"],
                ["time", "by", "of", "through", "reason", "until", "taken back", "key"],
            ))
            .numbers(&lang.pick(["回", "記録番号"], ["round", "record"]))
            .rows(rows)
    }
}

fn tone(standing: Standing) -> Tone {
    match standing {
        Standing::Done | Standing::OnTime => Tone::Good,
        Standing::Unknown => Tone::Warn,
        Standing::Late | Standing::Overdue => Tone::Bad,
    }
}
