//! Sentences that the program itself wrote to the ledger, in the report's language. What it does not know stays as it was said.

use untether_model::operation::Stage;

use super::Lang;

/// Sentences without a part that changes.
const KNOWN: [(&str, &str); 7] = [
    ("copies in access logs and changelogs were not read", "アクセスログ・変更履歴内の写しは未確認"),
    ("no probe account was disabled with this wave", "検査用アカウントによる拒否の確認は未実施"),
    ("not included in a signed evidence log", "署名付き証跡ログへの収録は未実施"),
    ("an effect of ours no longer holds", "実施済みの効果が失われている"),
    ("an effect of ours is gone", "実施済みの効果が失われている"),
    ("the wave was aborted", "ウェーブが中止された"),
    ("absent by name and by stable id", "名称・識別子のいずれでも存在しないことを確認"),
];

impl Lang {
    /// A sentence of the program; anybody else's sentence as it is.
    pub(crate) fn said(self, text: &str) -> String {
        if self == Self::En {
            return text.to_owned();
        }
        if let Some((_, ja)) = KNOWN.iter().find(|(en, _)| *en == text) {
            return (*ja).to_owned();
        }
        if let Some(n) = text.strip_suffix(" refusals or conflicts, more than the batch tolerates") {
            return format!("拒否・競合が{n}件となり、許容数を超過");
        }
        if let Some(stage) = text.strip_prefix("rolled back to before ").and_then(Stage::parse) {
            return format!("「{}」の前の状態へ切り戻し", self.stage(stage));
        }
        text.to_owned()
    }

    /// What a person decided on a conflict.
    pub(crate) fn verb(self, verb: &str) -> &str {
        let (ja, en) = match verb {
            "keep-theirs" => ("現状を維持", "what was found stays"),
            "skip" => ("操作を省略", "the operation is left out"),
            "force" => ("上書き", "overwritten"),
            "retry" => ("再試行", "tried again"),
            other => (other, other),
        };
        self.pick(ja, en)
    }
}
