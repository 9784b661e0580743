//! What is missing, what a forecast rests on, and why there is none, in sentences.

use super::Lang;
use crate::findings::FindingFigures;
use crate::progress::{Basis, Gap, Missing};

impl Lang {
    /// How many findings are open, waived and solved.
    pub(crate) fn stand(self, found: &FindingFigures) -> String {
        let (open, waived, record) = (self.number(found.open), self.number(found.waived), found.record);
        let gone = self.number(found.solved);
        let solved = match (found.solved_record, self) {
            (Some(seen), Self::Ja) => format!("解消済み {gone}件（記録番号 {seen}）"),
            (Some(seen), Self::En) => format!("{gone} solved (record {seen})"),
            (None, Self::Ja) => "解消済みは未確認".to_owned(),
            (None, Self::En) => "how many are solved is not known".to_owned(),
        };
        match self {
            Self::Ja => format!("検出事項：未対応 {open}件、許容中 {waived}件（記録番号 {record}）、{solved}。"),
            Self::En => format!("Findings: {open} open, {waived} waived (record {record}), {solved}."),
        }
    }

    /// Something that a report lacks.
    pub(crate) fn gap(self, gap: &Gap) -> String {
        let n = |n: &u64| self.number(*n);
        let record = |r: &u64| self.record(*r);
        match (gap, self) {
            (Gap::NoAudit, Self::Ja) => {
                "監査を実施していません。共有ストアに残る件数は不明であり、残存なしを意味しません。".to_owned()
            }
            (Gap::NoAudit, Self::En) => {
                "There has been no audit: what is left in the shared store is not known, which does not mean that nothing is."
                    .to_owned()
            }
            (Gap::NoCompleteAudit { record: r }, Self::Ja) => {
                format!("完全な監査がありません。残りの件数は不完全な監査（{}）による下限です。", record(r))
            }
            (Gap::NoCompleteAudit { record: r }, Self::En) => {
                format!("No audit has read everything: what is left is a lower bound, from the audit of {}.", record(r))
            }
            (Gap::IncompleteAudit { record: r, instead }, Self::Ja) => format!(
                "最新の監査（{}）は読み取れなかった範囲があり不完全です。残りの件数は、その前の完全な監査（{}）によります。",
                record(r),
                record(instead)
            ),
            (Gap::IncompleteAudit { record: r, instead }, Self::En) => format!(
                "The newest audit ({}) could not read everything: what is left is as the last complete one ({}) found it.",
                record(r),
                record(instead)
            ),
            (Gap::RulesSkipped { record: r, findings }, Self::Ja) => {
                format!("実施できなかった検査が{}件あります（監査・{}）。その検査の結果は不明です。", n(findings), record(r))
            }
            (Gap::RulesSkipped { record: r, findings }, Self::En) => {
                let checks = if *findings == 1 { "check" } else { "checks" };
                format!("{} {checks} could not be made (audit, {}): what they look for is not known.", n(findings), record(r))
            }
            (Gap::NotCounted { record: r }, Self::Ja) => {
                format!("監査（{}）に会社別のアカウント数が記録されていません。次の監査から記録されます。", record(r))
            }
            (Gap::NotCounted { record: r }, Self::En) => {
                format!("The audit ({}) did not count accounts by entity; the next one will.", record(r))
            }
            (Gap::Unassigned { subjects, record: r }, Self::Ja) => {
                format!(
                    "所属する会社が確定していない対象が{}件あり、どの期限にも含まれません（監査・{}）。",
                    n(subjects),
                    record(r)
                )
            }
            (Gap::Unassigned { subjects, record: r }, Self::En) => {
                format!("{} subjects belong to no entity: no deadline covers them (audit, {}).", n(subjects), record(r))
            }
            (Gap::Undecided { accounts, record: r }, Self::Ja) => {
                format!("突き合わせが未確定のアカウントが{}件あります（監査・{}）。", n(accounts), record(r))
            }
            (Gap::Undecided { accounts, record: r }, Self::En) => {
                format!("For {} accounts it is not decided whose they are (audit, {}).", n(accounts), record(r))
            }
            (Gap::WorkSince { record: r, operations }, Self::Ja) => format!(
                "残りの件数は監査（{}）の時点のもので、その後に実施した操作{}件の効果を含みません。",
                record(r),
                n(operations)
            ),
            (Gap::WorkSince { record: r, operations }, Self::En) => format!(
                "What is left is as of the audit ({}): the {} operations since then are not seen in it.",
                record(r),
                n(operations)
            ),
            (Gap::OpenOperations { operations }, Self::Ja) => {
                format!("結果を確認できていない操作が{}件あります。次の実行で確認されます。", n(operations))
            }
            (Gap::OpenOperations { operations }, Self::En) => {
                format!("The outcome of {} operations is not known yet; the next run looks.", n(operations))
            }
            (Gap::LostRecords { record: r, lost_from }, Self::Ja) => {
                format!(
                    "記録簿の末尾（記録番号 {lost_from} まで）が失われ、承認されています（{}）。その間の作業は不明です。",
                    record(r)
                )
            }
            (Gap::LostRecords { record: r, lost_from }, Self::En) => {
                format!("The ledger had lost its tail, up to record {lost_from}, and somebody accepted that ({}).", record(r))
            }
            (Gap::NoForecast, Self::Ja) => "所要期間を記録した計画がないため、計画に基づく完了見込みは不明です。".to_owned(),
            (Gap::NoForecast, Self::En) => "No plan says how long anything takes: there is no forecast from a plan.".to_owned(),
            (Gap::Old { days }, Self::Ja) => format!("最後の記録から{days}日が経過しています。その後の状況は不明です。"),
            (Gap::Old { days }, Self::En) => format!("The last record is {days} days old: what happened since is not known."),
        }
    }

    /// What a forecast rests on.
    pub(crate) fn basis(self, basis: &Basis) -> String {
        match (basis, self) {
            (Basis::Plan { record, day }, Self::Ja) => {
                format!("計画の所要期間による最早日：{}（計画の{}）", self.exact_day(*day), self.record(*record))
            }
            (Basis::Plan { record, day }, Self::En) => {
                format!("earliest day that the plan allows: {day} (plan of {})", self.record(*record))
            }
            (Basis::Pace { disabled, days, left, day }, Self::Ja) => format!(
                "実績の速さによる見込み：{}（直近{days}日間に{}件を無効化、残り{}件、監視期間を含む）",
                self.exact_day(*day),
                self.number(*disabled),
                self.number(*left)
            ),
            (Basis::Pace { disabled, days, left, day }, Self::En) => format!(
                "at the pace so far: {day} ({} disabled in {days} days, {} to go, soak included)",
                self.number(*disabled),
                self.number(*left)
            ),
        }
    }

    /// Why it cannot be told when an entity is through.
    pub(crate) fn missing(self, missing: &Missing) -> String {
        let n = |n: &u64| self.number(*n);
        match (missing, self) {
            (Missing::NoPlan, Self::Ja) => "計画がありません。".to_owned(),
            (Missing::NoPlan, Self::En) => "There is no plan.".to_owned(),
            (Missing::NoForecast { record }, Self::Ja) => {
                format!("計画（{}）に所要期間の記録がありません。", self.record(*record))
            }
            (Missing::NoForecast { record }, Self::En) => {
                format!("The plan ({}) does not say how long it takes.", self.record(*record))
            }
            (Missing::Parked { subjects }, Self::Ja) => {
                format!("一時保留の対象者が{}件あり、再開の時期は不明です。", n(subjects))
            }
            (Missing::Parked { subjects }, Self::En) => {
                format!("{} subjects are parked; when they go on is not known.", n(subjects))
            }
            (Missing::Unplanned { subjects, reasons, record }, Self::Ja) => {
                let why: Vec<String> = reasons.iter().map(|(code, n)| format!("{} {n}件", self.unplanned(code))).collect();
                format!(
                    "計画に含まれない対象者が{}件あります（{}。計画の{}）。",
                    n(subjects),
                    why.join("、"),
                    self.record(*record)
                )
            }
            (Missing::Unplanned { subjects, reasons, record }, Self::En) => {
                let why: Vec<String> = reasons.iter().map(|(code, n)| format!("{}: {n}", self.unplanned(code))).collect();
                format!("{} subjects are in no plan ({}; plan of {}).", n(subjects), why.join(", "), self.record(*record))
            }
            (Missing::NoPace { subjects, days }, Self::Ja) => {
                format!("{}件が無効化を待っていますが、直近{days}日間の実績がありません。", n(subjects))
            }
            (Missing::NoPace { subjects, days }, Self::En) => {
                format!("{} subjects wait to be disabled, and nobody was in the last {days} days.", n(subjects))
            }
            (Missing::Stalled { subjects, days }, Self::Ja) => {
                format!("{}件が無効化・監視を終えたまま、{days}日以上次の段階に進んでいません。", n(subjects))
            }
            (Missing::Stalled { subjects, days }, Self::En) => {
                format!("{} subjects are disabled and watched, and ended no stage for {days} days.", n(subjects))
            }
            (Missing::NotAudited, Self::Ja) => "作業は終わっていますが、その後の完全な監査がありません。".to_owned(),
            (Missing::NotAudited, Self::En) => "The work is done, and no complete audit has looked since.".to_owned(),
            (Missing::StillThere { accounts, record }, Self::Ja) => {
                format!("監査（{}）では、共有ストアにアカウントが{}件残っています。", self.record(*record), n(accounts))
            }
            (Missing::StillThere { accounts, record }, Self::En) => {
                format!("The audit ({}) still found {} accounts in the shared store.", self.record(*record), n(accounts))
            }
            (Missing::NoDeadline, Self::Ja) => "期限が設定されていません。".to_owned(),
            (Missing::NoDeadline, Self::En) => "No deadline is set.".to_owned(),
        }
    }
}
