//! Names of people: Japanese ones with reading and romanization, European ones with umlauts.

/// Name of a person in the forms that directories and personnel systems hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Name {
    /// Family name in Latin letters.
    pub family: &'static str,
    /// Given name in Latin letters.
    pub given: &'static str,
    /// Family and given name as written (kanji for Japanese names).
    pub written: String,
    /// Family name as written.
    pub written_family: &'static str,
    /// Given name as written.
    pub written_given: &'static str,
    /// Reading in katakana; empty for European names.
    pub kana: String,
    /// Whether the name is Japanese.
    pub japanese: bool,
}

const FAMILIES: [(&str, &str, &str); 32] = [
    ("佐藤", "サトウ", "Sato"),
    ("鈴木", "スズキ", "Suzuki"),
    ("高橋", "タカハシ", "Takahashi"),
    ("田中", "タナカ", "Tanaka"),
    ("伊藤", "イトウ", "Ito"),
    ("渡邉", "ワタナベ", "Watanabe"),
    ("山本", "ヤマモト", "Yamamoto"),
    ("中村", "ナカムラ", "Nakamura"),
    ("小林", "コバヤシ", "Kobayashi"),
    ("加藤", "カトウ", "Kato"),
    ("吉田", "ヨシダ", "Yoshida"),
    ("山田", "ヤマダ", "Yamada"),
    ("佐々木", "ササキ", "Sasaki"),
    ("山口", "ヤマグチ", "Yamaguchi"),
    ("松本", "マツモト", "Matsumoto"),
    ("井上", "イノウエ", "Inoue"),
    ("木村", "キムラ", "Kimura"),
    ("林", "ハヤシ", "Hayashi"),
    ("斎藤", "サイトウ", "Saito"),
    ("清水", "シミズ", "Shimizu"),
    ("山崎", "ヤマザキ", "Yamazaki"),
    ("森", "モリ", "Mori"),
    ("池田", "イケダ", "Ikeda"),
    ("橋本", "ハシモト", "Hashimoto"),
    ("阿部", "アベ", "Abe"),
    ("石川", "イシカワ", "Ishikawa"),
    ("前田", "マエダ", "Maeda"),
    ("藤田", "フジタ", "Fujita"),
    ("後藤", "ゴトウ", "Goto"),
    ("岡田", "オカダ", "Okada"),
    ("長谷川", "ハセガワ", "Hasegawa"),
    ("髙島", "タカシマ", "Takashima"),
];

const GIVEN: [(&str, &str, &str); 24] = [
    ("花子", "ハナコ", "Hanako"),
    ("太郎", "タロウ", "Taro"),
    ("陽菜", "ヒナ", "Hina"),
    ("蓮", "レン", "Ren"),
    ("結衣", "ユイ", "Yui"),
    ("湊", "ミナト", "Minato"),
    ("美咲", "ミサキ", "Misaki"),
    ("大輔", "ダイスケ", "Daisuke"),
    ("健一", "ケンイチ", "Kenichi"),
    ("由美", "ユミ", "Yumi"),
    ("直樹", "ナオキ", "Naoki"),
    ("さくら", "サクラ", "Sakura"),
    ("翔太", "ショウタ", "Shota"),
    ("愛", "アイ", "Ai"),
    ("拓也", "タクヤ", "Takuya"),
    ("恵子", "ケイコ", "Keiko"),
    ("誠", "マコト", "Makoto"),
    ("真由美", "マユミ", "Mayumi"),
    ("浩", "ヒロシ", "Hiroshi"),
    ("千尋", "チヒロ", "Chihiro"),
    ("悠真", "ユウマ", "Yuma"),
    ("七海", "ナナミ", "Nanami"),
    ("修", "オサム", "Osamu"),
    ("明日香", "アスカ", "Asuka"),
];

const EUROPEAN_FAMILIES: [(&str, &str); 16] = [
    ("Müller", "Mueller"),
    ("Schröder", "Schroeder"),
    ("Weiß", "Weiss"),
    ("Fischer", "Fischer"),
    ("Krüger", "Krueger"),
    ("O'Brien", "Obrien"),
    ("Lefèvre", "Lefevre"),
    ("García", "Garcia"),
    ("Novák", "Novak"),
    ("van den Berg", "Vandenberg"),
    ("Jørgensen", "Jorgensen"),
    ("Kowalska", "Kowalska"),
    ("Rossi", "Rossi"),
    ("Bauer", "Bauer"),
    ("Åkesson", "Akesson"),
    ("Nagy", "Nagy"),
];

const EUROPEAN_GIVEN: [(&str, &str); 12] = [
    ("Jürgen", "Juergen"),
    ("Anna", "Anna"),
    ("Zoë", "Zoe"),
    ("Lukas", "Lukas"),
    ("Marie", "Marie"),
    ("Søren", "Soren"),
    ("Inés", "Ines"),
    ("Peter", "Peter"),
    ("Katarzyna", "Katarzyna"),
    ("Tom", "Tom"),
    ("Élise", "Elise"),
    ("Björn", "Bjoern"),
];

/// Takes the name that `draw` selects.
pub(super) fn pick(draw: u64, european: bool) -> Name {
    let at = |length: usize, shift: u32| (draw >> shift) as usize % length;
    if european {
        let (written_family, family) = EUROPEAN_FAMILIES[at(EUROPEAN_FAMILIES.len(), 0)];
        let (written_given, given) = EUROPEAN_GIVEN[at(EUROPEAN_GIVEN.len(), 20)];
        Name {
            family,
            given,
            written: format!("{written_given} {written_family}"),
            written_family,
            written_given,
            kana: String::new(),
            japanese: false,
        }
    } else {
        let (written_family, kana_family, family) = FAMILIES[at(FAMILIES.len(), 0)];
        let (written_given, kana_given, given) = GIVEN[at(GIVEN.len(), 20)];
        Name {
            family,
            given,
            written: format!("{written_family} {written_given}"),
            written_family,
            written_given,
            kana: format!("{kana_family} {kana_given}"),
            japanese: true,
        }
    }
}
