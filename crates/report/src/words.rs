//! The words of the report in both languages, and how dates are written in them.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Serialize;
use untether_model::operation::{Stage, Track};
use untether_model::run::WaveStatus;

/// The language of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Lang {
    /// Japanese.
    Ja,
    /// English.
    En,
}

impl Lang {
    /// The text of this language.
    pub(crate) fn pick<'a>(self, ja: &'a str, en: &'a str) -> &'a str {
        match self {
            Self::Ja => ja,
            Self::En => en,
        }
    }

    /// A day: `2026年9月30日`, or `2026年9月末` for the last one of a month; in English `2026-09-30`.
    pub(crate) fn day(self, day: Date) -> String {
        match self {
            Self::Ja if day == day.last_of_month() => format!("{}年{}月末", day.year(), day.month()),
            Self::Ja => format!("{}年{}月{}日", day.year(), day.month(), day.day()),
            Self::En => day.to_string(),
        }
    }

    /// A point in time, to the minute.
    pub(crate) fn time(self, at: Timestamp, zone: &str) -> String {
        let local = TimeZone::get(zone).unwrap_or(TimeZone::UTC).to_datetime(at);
        let clock = format!("{:02}:{:02}", local.hour(), local.minute());
        match self {
            Self::Ja => format!("{}年{}月{}日 {clock}", local.year(), local.month(), local.day()),
            Self::En => format!("{} {clock}", local.date()),
        }
    }

    /// A number of accounts or people.
    pub(crate) fn count(self, n: u64) -> String {
        match self {
            Self::Ja => format!("{n}件"),
            Self::En => n.to_string(),
        }
    }

    /// What becomes of subjects on this track.
    pub(crate) fn track(self, track: Track) -> &'static str {
        let (ja, en) = match track {
            Track::Migrate => ("移行", "migration"),
            Track::Retire => ("退職者等の廃止", "retirement of leavers"),
            Track::Finish => ("移行済み利用者の旧アカウント廃止", "clean-up after an earlier migration"),
            Track::Keep => ("記録のみ保存", "record kept, login ended"),
            Track::Hold => ("保留", "on hold"),
        };
        self.pick(ja, en)
    }

    /// What a stage achieves.
    pub(crate) fn stage(self, stage: Stage) -> &'static str {
        let (ja, en) = match stage {
            Stage::Provision => ("独自ディレクトリへのアカウント作成", "accounts created in the own directory"),
            Stage::Enroll => ("初期認証情報の発行・多要素認証の登録", "one-time credentials issued, second factor enrolled"),
            Stage::Switch => ("利用システムの認証切替え", "relying systems admitted the own accounts"),
            Stage::Disable => ("共有ストアのアカウント無効化", "accounts in the shared store disabled"),
            Stage::Soak => ("無効化後の利用監視", "use watched for after disabling"),
            Stage::Scrub => ("共有ストアの属性・認証情報の消去", "attributes and credentials erased from the shared store"),
            Stage::Remove => ("共有ストアからのレコード削除", "records removed from the shared store"),
            Stage::Attest => ("分離の証跡の記録", "proof of separation recorded"),
        };
        self.pick(ja, en)
    }

    /// What the roster says of people; the audit's own word where it is none of ours.
    pub(crate) fn presence(self, presence: &str) -> &str {
        let (ja, en) = match presence {
            "active" => ("在籍", "active"),
            "on-leave" => ("休職", "on leave"),
            "not-yet-started" => ("入社前", "not yet started"),
            "departed" => ("退職", "departed"),
            "contract-ended" => ("契約終了", "contract ended"),
            // What they are, for those whom the roster does not list.
            "unlisted" => ("名簿に記載のない人", "people not in the roster"),
            "service" => ("サービス用", "services"),
            "mailbox" => ("共有メールボックス", "shared mailboxes"),
            "test" => ("試験用", "test accounts"),
            "tool" => ("本ツール用", "the tool's own"),
            other => (other, other),
        };
        self.pick(ja, en)
    }

    /// How a wave stands.
    pub(crate) fn wave(self, status: WaveStatus) -> &'static str {
        let (ja, en) = match status {
            WaveStatus::Running => ("実施中", "running"),
            WaveStatus::Ended => ("完了", "ended"),
            WaveStatus::Aborted => ("中止", "given up"),
        };
        self.pick(ja, en)
    }

    /// What a rule finds; nothing for a rule that has no words here.
    pub(crate) fn rule(self, rule: &str) -> &'static str {
        let (ja, en) = match rule {
            "residual.departed" => ("退職者のアカウント", "accounts of people who left"),
            "residual.contract-ended" => ("契約終了者のアカウント", "accounts of contractors whose contract ended"),
            "residual.already-separated" => ("移行済み利用者の旧アカウント", "accounts of people who have moved"),
            "residual.orphan" => ("所有者不明のアカウント", "accounts without owner"),
            "residual.duplicate" => ("重複アカウント", "duplicate accounts"),
            "residual.dormant" => ("長期未使用のアカウント", "dormant accounts"),
            "residual.attribute" => ("保存対象外の属性", "attributes kept beyond need"),
            "residual.credential" => ("認証情報の残存", "credentials left"),
            "residual.lock-ineffective" => ("効力のないロック", "locks without effect"),
            "residual.membership" => ("グループへの残存", "memberships left"),
            "residual.reference" => ("参照の残存", "references left"),
            "residual.copy" => ("ログ・バックアップ内の写し", "copies in logs and backups"),
            "link.replication" => ("複製", "replication"),
            "link.pass-through" => ("認証の委譲", "pass-through authentication"),
            "link.proxy" => ("プロキシ", "proxies"),
            "link.referral" => ("リフェラル", "referrals"),
            "link.mapping" => ("ID対応付け", "identity mappings"),
            "link.shared-secret" => ("共通の認証情報", "shared secrets"),
            "coverage.truncated" => ("読取りが途中で終わった範囲", "reads that ended early"),
            "coverage.denied" => ("読取りを拒否された範囲", "reads that were denied"),
            "coverage.stale" => ("古い入力", "stale inputs"),
            "coverage.skipped" => ("実施できなかった検査", "rules that could not run"),
            _ => ("", ""),
        };
        self.pick(ja, en)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_day_of_a_month_is_written_as_administrators_write_it() {
        let day = |text: &str| text.parse::<Date>().unwrap();
        assert_eq!(Lang::Ja.day(day("2025-03-31")), "2025年3月末");
        assert_eq!(Lang::Ja.day(day("2024-02-29")), "2024年2月末");
        assert_eq!(Lang::Ja.day(day("2023-02-28")), "2023年2月末");
        assert_eq!(Lang::Ja.day(day("2024-02-28")), "2024年2月28日");
        assert_eq!(Lang::En.day(day("2025-03-31")), "2025-03-31");
    }

    #[test]
    fn times_are_written_in_the_zone_of_the_report() {
        let at = "2026-03-31T15:30:00Z".parse().unwrap();
        assert_eq!(Lang::Ja.time(at, "Asia/Tokyo"), "2026年4月1日 00:30");
        assert_eq!(Lang::En.time(at, "UTC"), "2026-03-31 15:30");
    }
}
