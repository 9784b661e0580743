//! Names of what the ledger speaks of. The Japanese ones are those of the glossary in `docs/ja/quickstart.md`.

use untether_model::operation::{Stage, Track};
use untether_model::plan::OrderKind;
use untether_model::run::{GateKind, OrderStatus, ParkReason, WaveStatus};

use super::Lang;
use crate::progress::{MeasureKind, Remaining, Standing};

impl Lang {
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

    /// A stage in a few letters, for charts and narrow columns.
    pub(crate) fn short_stage(self, stage: Stage) -> &'static str {
        let (ja, en) = match stage {
            Stage::Provision => ("作成", "created"),
            Stage::Enroll => ("登録", "enrolled"),
            Stage::Switch => ("切替え", "switched"),
            Stage::Disable => ("無効化", "disabled"),
            Stage::Soak => ("監視", "watched"),
            Stage::Scrub => ("消去", "erased"),
            Stage::Remove => ("削除", "removed"),
            Stage::Attest => ("証跡", "attested"),
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

    /// How an order beside plans stands.
    pub(crate) fn order_status(self, status: OrderStatus) -> &'static str {
        let (ja, en) = match status {
            OrderStatus::Recorded => ("未実施", "not carried out"),
            OrderStatus::Running => ("実施中", "under way"),
            OrderStatus::Done => ("完了", "carried out"),
        };
        self.pick(ja, en)
    }

    /// What an order is for.
    pub(crate) fn order(self, kind: &OrderKind) -> String {
        match kind {
            OrderKind::Rollback { to, .. } => match self {
                Self::Ja => format!("切り戻し（「{}」の前の状態へ）", self.stage(*to)),
                Self::En => format!("rollback to before {to}"),
            },
            OrderKind::Resolution { op } => match self {
                Self::Ja => format!("競合の上書き（操作 {op}）"),
                Self::En => format!("overwriting of the conflict at operation {op}"),
            },
            OrderKind::Plan => self.pick("計画", "plan").to_owned(),
            OrderKind::RetireTool => self.pick("本ツール用アカウントの廃止", "retirement of the tool's own accounts").to_owned(),
            OrderKind::Reissue { .. } => self.pick("初期認証情報の再発行", "one-time credentials issued again").to_owned(),
            OrderKind::Expire { .. } => self.pick("未使用の初期認証情報の失効", "unused one-time credentials expired").to_owned(),
        }
    }

    /// Why subjects are parked.
    pub(crate) fn parked(self, reason: ParkReason) -> &'static str {
        let (ja, en) = match reason {
            ParkReason::Failed => ("サーバーが拒否", "refused by the server"),
            ParkReason::Held => ("関門で待機が長期化", "waited at a gate for too long"),
            ParkReason::Conflict => ("競合", "in conflict"),
            ParkReason::Roster => ("名簿と不一致", "roster says otherwise"),
            ParkReason::Aborted => ("ウェーブ中止", "wave given up"),
            ParkReason::RolledBack => ("個別に切り戻し", "rolled back alone"),
            ParkReason::Reopened => ("効果の喪失により再開", "effect gone, reopened"),
        };
        self.pick(ja, en)
    }

    /// What a gate waits for.
    pub(crate) fn gate(self, gate: GateKind) -> &'static str {
        let (ja, en) = match gate {
            GateKind::Mfa => ("多要素認証の登録", "second factor enrolled"),
            GateKind::OwnAccount => ("新アカウントの動作確認", "own account proved to work"),
            GateKind::Silence => ("共有ストアでの利用がないことの確認", "silence in the shared store"),
        };
        self.pick(ja, en)
    }

    /// What a gate is asked about, as the ledger writes it.
    pub(crate) fn scope(self, scope: &str) -> String {
        let ja = [("wave ", "ウェーブ "), ("batch ", "バッチ "), ("subject ", "対象者 ")];
        match (self, ja.iter().find_map(|(en, ja)| scope.strip_prefix(en).map(|id| format!("{ja}{id}")))) {
            (Self::Ja, Some(text)) => text,
            _ => scope.to_owned(),
        }
    }

    /// How an entity stands against its deadline.
    pub(crate) fn standing(self, standing: Standing) -> &'static str {
        let (ja, en) = match standing {
            Standing::Done => ("完了", "done"),
            Standing::OnTime => ("期限内の見込み", "on time"),
            Standing::Unknown => ("見通し未確認", "not known"),
            Standing::Late => ("遅延の見込み", "will be late"),
            Standing::Overdue => ("期限超過", "overdue"),
        };
        self.pick(ja, en)
    }

    /// How long something still counts.
    pub(crate) fn remaining(self, remaining: Remaining) -> &'static str {
        let (ja, en) = match remaining {
            Remaining::Outgrown => ("重大度が上がり無効", "void: graver now"),
            Remaining::Expired => ("失効", "expired"),
            Remaining::Week => ("7日以内に失効", "ends within 7 days"),
            Remaining::Month => ("30日以内に失効", "ends within 30 days"),
            Remaining::Long => ("有効", "in force"),
        };
        self.pick(ja, en)
    }

    /// A store of findings.
    pub(crate) fn store(self, store: &str) -> &str {
        let (ja, en) = match store {
            "shared" => ("共有ストア", "shared"),
            "independent" => ("独自ディレクトリ", "independent"),
            "roster" => ("名簿", "roster"),
            "system" => ("利用システム", "system"),
            other => (other, other),
        };
        self.pick(ja, en)
    }

    /// A measure, as it is told to the public.
    pub(crate) fn measure(self, kind: MeasureKind) -> &'static str {
        let (ja, en) = match kind {
            MeasureKind::Move => {
                ("従業者の認証基盤の分離（独自ディレクトリへの移行）", "Employees' login moved to our own directory")
            }
            MeasureKind::Disable => ("共有ストアにおけるアカウントの無効化", "Accounts disabled in the shared store"),
            MeasureKind::Erase => ("共有ストアからの認証情報の消去", "Credentials erased from the shared store"),
            MeasureKind::Remove => ("共有ストアからの従業者情報の削除", "Employees' records removed from the shared store"),
            MeasureKind::Links => ("ディレクトリ間の認証連携の切断", "Links between the directories cut"),
        };
        self.pick(ja, en)
    }

    /// Why the planner left subjects out.
    pub(crate) fn unplanned(self, reason: &str) -> &str {
        let (ja, en) = match reason {
            "protected" => ("保護対象", "protected"),
            "tool" => ("本ツール用", "the tool's own"),
            "undecided" => ("突き合わせ未確定", "match undecided"),
            "unassigned" => ("所属未確定", "of no entity"),
            "orphan" => ("所有者不明", "without owner"),
            "unowned" => ("管理者不在のサービス用アカウント", "services without owner"),
            "not-yet-started" => ("入社前", "not yet started"),
            "decided-hold" => ("担当者の判断により保留", "held by decision"),
            "policy-hold" => ("方針により保留", "held by policy"),
            "decision-against-roster" => ("判断と名簿の不一致", "decision and roster disagree"),
            "open-operation" => ("結果未確認の操作あり", "outcome of an operation not known"),
            "no-wave" => ("該当するウェーブなし", "no wave takes them"),
            "wave-limit" => ("ウェーブの上限超過", "wave is full"),
            "policy-not-locking" => ("ロックできない方針", "policy does not lock"),
            "no-stable-id" => ("識別子なし", "no stable id"),
            "entry-missing" => ("エントリ未確認", "entry missing"),
            "mapping-incomplete" => ("移行に必要な属性の不足", "mapping incomplete"),
            "name-clash" => ("名称の重複", "name taken"),
            "children" => ("下位エントリあり", "entries below"),
            other => (other, other),
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
            "access.privileged" => ("特権グループの所属者", "members of privileged groups"),
            "access.service-account" => ("管理者不在のサービス用アカウント", "service accounts without owner"),
            "access.mfa-missing" => ("多要素認証の未登録", "no second factor"),
            "correlation.ambiguous" => ("突き合わせの候補が複数", "several candidates for a match"),
            "correlation.conflicting" => ("突き合わせの結果が矛盾", "contradictory matches"),
            "correlation.entity" => ("所属の不一致", "entity disagrees"),
            "coverage.truncated" => ("読み取りが途中で終わった範囲", "reads that ended early"),
            "coverage.denied" => ("読み取りを拒否された範囲", "reads that were denied"),
            "coverage.stale" => ("古い入力", "stale inputs"),
            "coverage.skipped" => ("実施できなかった検査", "rules that could not run"),
            _ => ("", ""),
        };
        self.pick(ja, en)
    }
}
