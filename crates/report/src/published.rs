//! The progress as a company publishes it for its regulator and the public: measure by measure, entity by entity, each marked as
//! complete or planned.
//!
//! It says less than the other reports: no ids, no people, no reasons, and nothing that the journal does not show.

use std::fmt::Write as _;

use jiff::civil::Date;
use untether_model::neutral::line as visible;

use crate::progress::{EntityProgress, Gap, Measure, MeasureKind, MeasureState, ProgressReport};
use crate::tables::Book;
use crate::words::Lang;

/// The text, in plain characters.
pub fn published(report: &ProgressReport, lang: Lang) -> String {
    let mut page = Page { book: Book { report, lang }, text: String::new() };
    page.head();
    page.measures();
    page.left();
    page.not_known();
    page.foot();
    page.text
}

struct Page<'a> {
    book: Book<'a>,
    text: String,
}

impl Page<'_> {
    fn line(&mut self, line: &str) {
        // Writing into a String does not fail.
        let _ = writeln!(self.text, "{line}");
    }

    fn day_of(&self, at: jiff::Timestamp) -> String {
        let zone = jiff::tz::TimeZone::get(&self.book.report.zone).unwrap_or(jiff::tz::TimeZone::UTC);
        self.book.lang.exact_day(zone.to_datetime(at).date())
    }

    fn head(&mut self) {
        let today = self.day_of(self.book.report.made_at);
        self.line(match self.book.lang {
            Lang::Ja => "共有認証基盤からの分離に関する進捗状況",
            Lang::En => "Separation from the shared identity store: progress",
        });
        let text = match self.book.lang {
            Lang::Ja => format!(
                "\n{today}現在\n\n\
                 \u{3000}当社グループでは、他社と共有している認証基盤（以下「共有ストア」といいます。）からの分離を進めています。\n\
                 本書では、{today}時点の進捗を、施策および会社ごとにお知らせします。\n\n\
                 \u{3000}【完了】と記載した施策は、対象のすべてについて作業を終え、その後に実施した監査において、共有ストアに\n\
                 残りがないことを確認したものです。それ以外の施策は、作業を終えたものを含め、【予定】として記載しています。\n"
            ),
            Lang::En => format!(
                "\nAs of {today}\n\n\
                 Our group is leaving an identity store that it shares with another company (\"the shared store\"). This page tells\n\
                 how far each measure is in each company.\n\n\
                 A measure is called completed only where the work is done for everybody concerned and a later audit found nothing\n\
                 left in the shared store. Every other measure is called planned, work that is done included.\n"
            ),
        };
        self.line(&text);
    }

    fn measures(&mut self) {
        let lang = self.book.lang;
        let report = self.book.report;
        self.line(lang.pick("■ 施策ごとの進捗\n", "## Measures\n"));
        let mut number = 0;
        for kind in [MeasureKind::Move, MeasureKind::Disable, MeasureKind::Erase, MeasureKind::Remove, MeasureKind::Links] {
            let of_kind: Vec<&Measure> = report.measures.iter().filter(|m| m.kind == kind).collect();
            if of_kind.is_empty() {
                continue;
            }
            number += 1;
            self.line(&format!("{number}. {}", lang.measure(kind)));
            for measure in of_kind {
                self.measure(measure);
            }
            self.line("");
        }
        if number == 0 {
            self.line(lang.pick(
                "　監査および作業の記録がないため、進捗は未確認です。\n",
                "There is no record of an audit or of work: progress is not known.\n",
            ));
        }
    }

    fn measure(&mut self, measure: &Measure) {
        let lang = self.book.lang;
        let name = match &measure.entity {
            Some(id) => visible(&self.book.entity(id)),
            None => lang.pick("認証基盤間の連携（全社共通）", "Between the directories themselves").to_owned(),
        };
        let mark = self.mark(measure);
        let sentence = self.sentence(measure);
        match lang {
            Lang::Ja => {
                self.line(&format!("　・{name}【{mark}】"));
                self.line(&format!("　　{sentence}"));
            }
            Lang::En => {
                self.line(&format!("- {name} [{mark}]"));
                self.line(&format!("  {sentence}"));
            }
        }
    }

    fn mark(&self, measure: &Measure) -> String {
        let lang = self.book.lang;
        let day = |day: Date| lang.day(day);
        match (&measure.state, lang) {
            (MeasureState::Complete { on, .. }, Lang::Ja) => format!("{}完了", day(*on)),
            (MeasureState::Complete { on, .. }, Lang::En) => format!("completed {}", day(*on)),
            (MeasureState::Planned { deadline, forecast, overdue, at_least, .. }, _) => {
                self.planned_mark(*deadline, *forecast, (*overdue, *at_least))
            }
        }
    }

    fn planned_mark(&self, deadline: Option<Date>, forecast: Option<Date>, (overdue, at_least): (bool, bool)) -> String {
        let lang = self.book.lang;
        let expected = |day: Date| match (lang, at_least) {
            (Lang::Ja, false) => format!("{}完了予定", lang.day(day)),
            (Lang::Ja, true) => format!("{}以降に完了予定", lang.day(day)),
            (Lang::En, false) => format!("planned for {}", lang.day(day)),
            (Lang::En, true) => format!("planned for {} or later", lang.day(day)),
        };
        match (deadline, forecast, lang) {
            (Some(due), Some(day), Lang::Ja) if overdue => format!("{}、期限の{}を超過", expected(day), lang.day(due)),
            (Some(due), Some(day), Lang::En) if overdue => format!("{}, past the deadline of {}", expected(day), lang.day(due)),
            (Some(due), None, Lang::Ja) if overdue => format!("期限の{}を超過、完了時期は未確認", lang.day(due)),
            (Some(due), None, Lang::En) if overdue => format!("past the deadline of {}, date not known", lang.day(due)),
            (Some(due), Some(day), Lang::Ja) if day > due => {
                format!("{}、期限の{}を超過する見込み", expected(day), lang.day(due))
            }
            (Some(due), Some(day), Lang::En) if day > due => {
                format!("{}, after the deadline of {}", expected(day), lang.day(due))
            }
            (Some(due), Some(_), Lang::Ja) => format!("{}完了予定", lang.day(due)),
            (Some(due), Some(_), Lang::En) => format!("planned by {}", lang.day(due)),
            (Some(due), None, Lang::Ja) => format!("{}完了予定、見通しは未確認", lang.day(due)),
            (Some(due), None, Lang::En) => format!("planned by {}, outlook not known", lang.day(due)),
            (None, Some(day), _) => expected(day),
            (None, None, _) => lang.pick("完了時期は未確認", "date not known").to_owned(),
        }
    }

    fn sentence(&self, measure: &Measure) -> String {
        let lang = self.book.lang;
        let n = |n: u64| lang.number(n);
        let record = |record: u64| lang.record(record);
        let links = measure.kind == MeasureKind::Links;
        let mut said = String::new();
        match (&measure.state, lang) {
            (MeasureState::Complete { record: by, audit, .. }, Lang::Ja) if links || measure.subjects == 0 => {
                let _ = write!(said, "残りがないことを監査で確認しました（{}、最新の監査は{}）。", record(*by), record(*audit));
            }
            (MeasureState::Complete { record: by, audit, .. }, Lang::En) if links || measure.subjects == 0 => {
                let _ = write!(said, "An audit found none left ({}; last audit: {}).", record(*by), record(*audit));
            }
            (MeasureState::Complete { record: by, audit, .. }, Lang::Ja) => {
                let _ = write!(
                    said,
                    "対象{}件のすべてについて実施し（{}）、その後の監査で残りがないことを確認しました（{}）。",
                    n(measure.subjects),
                    record(*by),
                    record(*audit)
                );
            }
            (MeasureState::Complete { record: by, audit, .. }, Lang::En) => {
                let _ = write!(
                    said,
                    "Done for all {} ({}); a later audit found none left ({}).",
                    n(measure.subjects),
                    record(*by),
                    record(*audit)
                );
            }
            (MeasureState::Planned { worked, .. }, _) => self.planned(&mut said, measure, *worked),
        }
        said
    }

    fn planned(&self, said: &mut String, measure: &Measure, worked: bool) {
        let lang = self.book.lang;
        let n = |n: u64| lang.number(n);
        let (subjects, done) = (measure.subjects, measure.done);
        let audit = measure.audit.map(|audit| lang.record(audit)).unwrap_or_default();
        let _ = match (lang, measure.kind) {
            (Lang::Ja, MeasureKind::Links) => {
                write!(said, "これまでに検出した{}件のうち{}件を切断済みです。", n(subjects), n(done))
            }
            (Lang::En, MeasureKind::Links) => write!(said, "{} found so far, {} cut. ", n(subjects), n(done)),
            (Lang::Ja, _) if worked => {
                write!(said, "対象{}件のすべてについて作業を終え、監査での確認を残しています。", n(subjects))
            }
            (Lang::En, _) if worked => write!(said, "Work is done for all {}; an audit is still to confirm it. ", n(subjects)),
            (Lang::Ja, _) if subjects == 0 => write!(said, "実施の計画は未定です。"),
            (Lang::En, _) if subjects == 0 => write!(said, "Not planned yet. "),
            (Lang::Ja, _) if done == 0 => write!(said, "対象{}件について、これから実施します。", n(subjects)),
            (Lang::En, _) if done == 0 => write!(said, "To be done for {}. ", n(subjects)),
            (Lang::Ja, _) => write!(said, "対象{}件のうち{}件について実施済みです。", n(subjects), n(done)),
            (Lang::En, _) => write!(said, "Done for {} of {}. ", n(done), n(subjects)),
        };
        let _ = match (lang, measure.left) {
            (Lang::Ja, Some(left)) => write!(said, "監査で確認した残りは{}件です（{audit}）。", n(left)),
            (Lang::En, Some(left)) => write!(said, "Left according to the audit: {} ({audit}).", n(left)),
            (Lang::Ja, None) => write!(said, "監査による残りの件数は未確認です。"),
            (Lang::En, None) => write!(said, "How many are left is not known: no audit has counted them."),
        };
        if let Some(unplanned) = measure.unplanned.filter(|n| *n > 0) {
            let _ = match lang {
                Lang::Ja => write!(said, "このほか、実施時期の定まっていない対象が{}件あります。", n(unplanned)),
                Lang::En => write!(said, " For another {} no date is set.", n(unplanned)),
            };
        }
    }

    fn left(&mut self) {
        let lang = self.book.lang;
        let report = self.book.report;
        self.line(lang.pick("■ 共有ストアに残っている情報\n", "## What is left in the shared store\n"));
        let Some(audit) = report.last_audit else {
            self.line(lang.pick("　監査を実施していないため、未確認です。\n", "Not known: there has been no audit.\n"));
            return;
        };
        let (day, record) = (self.day_of(audit.taken_at), lang.record(audit.record));
        self.line(&match lang {
            Lang::Ja => format!("　{day}に実施した監査（{record}）の結果は、次のとおりです。"),
            Lang::En => format!("According to the audit of {day} ({record}):"),
        });
        if !audit.complete {
            self.line(lang.pick(
                "　なお、この監査では読み取れなかった範囲があり、件数は実際より少ない可能性があります。",
                "That audit could not read everything: the real figures may be higher.",
            ));
        }
        for entity in &report.entities {
            let line = self.entity_left(entity);
            self.line(&line);
        }
        self.line("");
    }

    fn entity_left(&self, entity: &EntityProgress) -> String {
        let lang = self.book.lang;
        let n = |n: u64| lang.number(n);
        let name = visible(&self.book.name(entity));
        match (&entity.accounts, lang) {
            (Some(a), Lang::Ja) => format!(
                "　・{name}：アカウント {}件（うち利用できる状態のもの {}件、認証情報が残るもの {}件）",
                n(a.shared.accounts),
                n(a.shared.open),
                n(a.shared.credentials)
            ),
            (Some(a), Lang::En) => format!(
                "- {name}: {} accounts ({} of them usable, {} with credentials)",
                n(a.shared.accounts),
                n(a.shared.open),
                n(a.shared.credentials)
            ),
            (None, Lang::Ja) => format!("　・{name}：未確認"),
            (None, Lang::En) => format!("- {name}: not known"),
        }
    }

    /// What nobody may take for none.
    fn not_known(&mut self) {
        let lang = self.book.lang;
        let told: Vec<String> = self.book.report.gaps.iter().filter_map(|gap| public(gap, lang)).collect();
        if told.is_empty() {
            return;
        }
        self.line(lang.pick("■ 確認できていない事項\n", "## What is not known\n"));
        for line in told {
            self.line(&format!("{}{line}", lang.pick("　・", "- ")));
        }
        self.line("");
    }

    fn foot(&mut self) {
        let lang = self.book.lang;
        let record = self.book.report.as_of.record;
        let at = lang.time(self.book.report.as_of.at, &self.book.report.zone);
        self.line(lang.pick("■ 件数について\n", "## About the figures\n"));
        self.line(&match lang {
            Lang::Ja => format!(
                "　件数は、作業および監査の記録（{at}、{}まで）から算出しています。記録番号は、根拠となる記録を示します。\n\
                 \u{3000}完了予定は、各社に定めた期限によります。期限を超える見込みの場合は、実績に基づく見込みの時期を併記しています。",
                lang.record(record)
            ),
            Lang::En => format!(
                "The figures are computed from the records of work and audits (until {at}, {}). A record number names the record that\n\
                 a figure rests on. Dates of what is planned are the deadlines that were set; where one will be missed, the date to be\n\
                 expected from the pace so far is given as well.",
                lang.record(record)
            ),
        });
    }
}

/// What of a gap concerns the public.
fn public(gap: &Gap, lang: Lang) -> Option<String> {
    let n = |n: u64| lang.number(n);
    Some(match (gap, lang) {
        (Gap::NoAudit, Lang::Ja) => "監査を実施していないため、残っている件数は未確認です。".to_owned(),
        (Gap::NoAudit, Lang::En) => "There has been no audit: what is left is not known.".to_owned(),
        (Gap::NoCompleteAudit { .. }, Lang::Ja) => "すべての範囲を読み取れた監査がなく、残っている件数は下限です。".to_owned(),
        (Gap::NoCompleteAudit { .. }, Lang::En) => "No audit has read everything: what is left is a lower bound.".to_owned(),
        (Gap::IncompleteAudit { .. }, Lang::Ja) => {
            "最新の監査では読み取れなかった範囲があるため、その前の監査の結果を記載しています。".to_owned()
        }
        (Gap::IncompleteAudit { .. }, Lang::En) => {
            "The newest audit could not read everything; the figures are those of the one before.".to_owned()
        }
        (Gap::RulesSkipped { findings, .. }, Lang::Ja) => {
            format!("監査のうち{}件の検査は実施できておらず、結果は未確認です。", n(*findings))
        }
        (Gap::RulesSkipped { findings, .. }, Lang::En) => format!("{} checks of the audit could not be made.", n(*findings)),
        (Gap::Unassigned { subjects, .. }, Lang::Ja) => format!("所属する会社が確定していない対象が{}件あります。", n(*subjects)),
        (Gap::Unassigned { subjects, .. }, Lang::En) => {
            format!("For {} it is not settled to which company they belong.", n(*subjects))
        }
        (Gap::Undecided { accounts, .. }, Lang::Ja) => {
            format!("本人の特定が済んでいないアカウントが{}件あります。", n(*accounts))
        }
        (Gap::Undecided { accounts, .. }, Lang::En) => format!("For {} accounts it is not settled whose they are.", n(*accounts)),
        (Gap::LostRecords { .. }, Lang::Ja) => "作業の記録の一部が失われています。".to_owned(),
        (Gap::LostRecords { .. }, Lang::En) => "Part of the records was lost.".to_owned(),
        (Gap::NotCounted { .. } | Gap::WorkSince { .. } | Gap::OpenOperations { .. } | Gap::NoForecast | Gap::Old { .. }, _) => {
            return None;
        }
    })
}
