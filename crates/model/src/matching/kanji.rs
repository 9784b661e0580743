//! Kanji that Japanese registers write in several ways for one name.
//!
//! Why a table of our own: NFKC unites only what Unicode calls compatibility ideographs, and twelve characters of that block (`﨑` U+FA11
//! among them) are ordinary ones to it; the variant fields of the Unihan database are made for all of Chinese, Japanese and Korean and
//! unite characters that tell Japanese names apart. So these are the pairs of old and new forms from the list of characters for daily
//! use (常用漢字表, the forms in brackets) and from the second table of characters for names (人名用漢字), as far as names have them, and the
//! variants of surnames that family registers and directories mix. It says "probably the same name written differently", never more.

/// Groups of variants, the usual form first.
#[rustfmt::skip]
const GROUPS: &[&str] = &[
    "亜亞", "悪惡", "為爲", "稲稻", "隠隱", "栄榮", "営營", "衛衞", "円圓", "縁緣", "応應", "桜櫻", "奥奧", "温溫", "会會",
    "絵繪", "覚覺", "学學", "岳嶽", "楽樂", "勧勸", "巻卷", "寛寬", "関關", "観觀", "館舘", "巌巖", "気氣", "亀龜", "喜㐂",
    "旧舊", "尭堯", "暁曉", "区區", "国國圀", "薫薰", "恵惠", "渓溪谿", "経經", "蛍螢", "芸藝", "県縣", "剣劍劔剱釼", "顕顯",
    "厳嚴", "広廣", "恒恆", "晃晄", "黄黃", "黒黑", "斎斉齊齋", "済濟", "崎﨑嵜碕㟢", "桑桒", "冴冱", "桟棧", "児兒", "実實",
    "釈釋", "寿壽", "収收", "粛肅", "処處", "緒緖", "荘莊", "将將", "渉涉", "奨奬獎", "条條", "状狀", "乗乘", "浄淨", "穣穰",
    "譲讓", "晋晉", "真眞", "慎愼", "尽盡", "粋粹", "翠翆", "瀬瀨", "静靜", "摂攝", "専專", "船舩", "禅禪", "壮壯", "曽曾",
    "蔵藏", "増增", "巣巢", "沢澤", "滝瀧", "島嶋嶌", "団團", "昼晝", "鋳鑄", "庁廳", "聴聽", "鉄鐵銕", "伝傳", "闘鬪",
    "灯燈", "当當", "徳德", "富冨", "栃櫔杤", "祢禰", "弐貳", "拝拜", "梅楳", "売賣", "浜濱濵", "弥彌", "彦彥", "姫姬",
    "瓶甁", "歩步", "穂穗", "豊豐", "宝寶寳", "峰峯", "萌萠", "辺邊邉", "本夲", "毎每", "槙槇", "万萬", "満滿", "黙默",
    "柳栁桺", "薮藪籔", "訳譯", "薬藥", "与與", "余餘", "予豫", "誉譽", "様樣", "吉𠮷", "来來", "頼賴", "竜龍", "凜凛",
    "涼凉", "緑綠", "塁壘", "礼禮", "齢齡", "暦曆", "歴歷", "恋戀", "郎郞", "蝋蠟", "鶴鸖靏靍", "鴎鷗", "高髙", "遥遙",
    "瑶瑤", "亘亙", "禄祿", "鎮鎭", "桧檜", "淵渕渊", "野埜", "昇曻", "土圡", "卯夘", "刈苅", "芦蘆", "篭籠", "兎兔", "隣鄰",
    "塩鹽", "松枩", "杉杦", "柏栢", "尚尙", "内內", "並竝", "両兩", "争爭", "体體", "群羣", "鶏鷄", "壷壺", "鴬鶯", "麹麴",
    "梼檮", "舎舍", "煕熙", "糸絲", "双雙", "台臺", "参參", "仏佛", "発發", "払拂", "独獨", "読讀", "労勞", "覧覽", "欧歐",
];

/// The usual form of a character, for comparing; most characters are their own.
pub(super) fn usual(c: char) -> char {
    GROUPS.iter().find(|group| group.chars().any(|g| g == c)).and_then(|group| group.chars().next()).unwrap_or(c)
}

/// Variation selectors choose a glyph, not another character (Unicode, section 23.4; the ideographic ones of registered collections).
pub(super) fn is_selector(c: char) -> bool {
    matches!(c, '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}')
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use unicode_normalization::UnicodeNormalization;

    use super::*;

    #[test]
    fn each_character_is_in_one_group_and_needs_to_be() {
        let mut seen = BTreeSet::new();
        for group in GROUPS {
            assert!(group.chars().count() > 1, "{group}");
            for c in group.chars() {
                assert!(seen.insert(c), "{c} stands in two groups");
                assert!(c.nfkc().eq([c]), "{c} is united by NFKC already");
            }
        }
        assert_eq!(usual('髙'), '高');
        assert_eq!(usual('邉'), usual('邊'));
        assert_eq!(usual('山'), '山');
    }
}
