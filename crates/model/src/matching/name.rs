//! How alike two people's names are: a hint with its reasons, for somebody who looks at both.
//!
//! Two writings are compared as they are written, two readings as they sound. Nothing here proves anything: people share names, and
//! one person has several.

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;

use super::kanji::{is_selector, usual};
use super::reading::{Sound, is_kana, to_katakana, to_large};
use crate::keys;

/// A name as one system writes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Name {
    /// The attribute or column that holds it (`cn;lang-ja`, `name_kana`).
    pub source: String,
    /// As it is written.
    pub value: String,
}

impl Name {
    /// A name from this attribute or column.
    pub fn new(source: impl Into<String>, value: impl Into<String>) -> Self {
        Self { source: source.into(), value: value.into() }
    }
}

/// How alike names are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Likeness {
    /// 0 to 100: for sorting a long list by eye, not for deciding.
    pub percent: u8,
    /// Why, in words.
    pub because: Vec<String>,
}

/// What was found of one way of comparing.
struct Found {
    percent: u8,
    why: String,
}

/// Compares all names of one with all names of the other; `None` where no two of them are in a writing that can be compared (kanji
/// against Latin letters, with no reading on either side).
pub fn likeness(here: &[Name], there: &[Name]) -> Option<Likeness> {
    let here: Vec<Written> = here.iter().filter_map(|n| Written::of(&n.value)).collect();
    let there: Vec<Written> = there.iter().filter_map(|n| Written::of(&n.value)).collect();
    let mut written: Option<Found> = None;
    let mut sounding: Option<Found> = None;
    for a in &here {
        for b in &there {
            match (a.script, b.script) {
                (Script::Kanji, Script::Kanji) => best(&mut written, by_writing(a, b)),
                (Script::Kanji, _) | (_, Script::Kanji) => {}
                _ => best(&mut sounding, by_sound(a, b)),
            }
        }
    }
    let percent = match (&written, &sounding) {
        (Some(written), Some(sounding)) => {
            u8::try_from((u32::from(written.percent) * 2 + u32::from(sounding.percent)) / 3).unwrap_or(100)
        }
        (Some(only), None) | (None, Some(only)) => only.percent,
        (None, None) => return None,
    };
    Some(Likeness { percent, because: [written, sounding].into_iter().flatten().map(|f| f.why).collect() })
}

fn best(kept: &mut Option<Found>, found: Found) {
    if kept.as_ref().is_none_or(|k| found.percent > k.percent) {
        *kept = Some(found);
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Script {
    /// With at least one character that is neither kana nor a Latin letter.
    Kanji,
    Kana,
    Latin,
}

/// A name, taken apart.
struct Written {
    script: Script,
    /// Words in the form in which keys are compared: width and case folded.
    words: Vec<String>,
}

impl Written {
    fn of(value: &str) -> Option<Self> {
        let folded: String = keys::fold(value).chars().filter(|c| !is_selector(*c)).collect();
        let parts = folded.split(|c: char| c.is_whitespace() || matches!(c, ',' | '、' | '・' | '·'));
        let words: Vec<String> = parts.filter(|w| !w.is_empty()).map(str::to_owned).collect();
        let mut chars = words.iter().flat_map(|w| w.chars()).peekable();
        chars.peek()?;
        let (mut kana, mut latin) = (false, false);
        for c in chars {
            if is_kana(c) {
                kana = true;
            } else if c.is_ascii() || c.nfd().next().is_some_and(|base| base.is_ascii_alphabetic()) || is_latin(c) {
                latin = true;
            } else {
                return Some(Self { script: Script::Kanji, words });
            }
        }
        let script = match (kana, latin) {
            (true, false) => Script::Kana,
            (false, _) => Script::Latin,
            (true, true) => Script::Kanji,
        };
        Some(Self { script, words })
    }

    fn joined(&self) -> String {
        self.words.concat()
    }
}

/// Latin letters that are no letter with a mark to Unicode.
fn is_latin(c: char) -> bool {
    matches!(c, '\u{c0}'..='\u{24f}' | '’')
}

/// The usual form of each character: old and variant kanji, iteration marks, hiragana.
fn plain(word: &str) -> String {
    let mut out = String::new();
    for c in word.chars() {
        let c = match c {
            '々' => out.chars().last().unwrap_or(c),
            c => usual(to_katakana(c)),
        };
        out.push(if c == 'ヶ' || c == 'ヵ' { to_large(c) } else { c });
    }
    out
}

fn by_writing(a: &Written, b: &Written) -> Found {
    let (one, other) = (a.joined(), b.joined());
    if one == other {
        return Found { percent: 100, why: "written the same".to_owned() };
    }
    let reversed: String = b.words.iter().rev().cloned().collect();
    let (plain_one, plain_other, plain_reversed) = (plain(&one), plain(&other), plain(&reversed));
    if one == reversed {
        return Found { percent: 98, why: "written the same but for the order of family and given name".to_owned() };
    }
    if plain_one == plain_other || plain_one == plain_reversed {
        let other = if plain_one == plain_other { &other } else { &reversed };
        let pairs: Vec<String> =
            one.chars().zip(other.chars()).filter(|(a, b)| a != b).map(|(a, b)| format!("{a}/{b}")).collect();
        return Found { percent: 96, why: format!("written the same but for variants ({})", pairs.join(" ")) };
    }
    let alike = |other: &str| scaled(strsim::normalized_damerau_levenshtein(&plain_one, other), 85);
    let percent = alike(&plain_other).max(alike(&plain_reversed));
    Found { percent, why: if percent >= 50 { "written alike" } else { "written differently" }.to_owned() }
}

fn by_sound(a: &Written, b: &Written) -> Found {
    if (a.script, b.script) == (Script::Latin, Script::Latin)
        && let Some(found) = by_letters(a, b)
    {
        return found;
    }
    let (Some(one), Some(other)) = (Sound::of(&a.words), Sound::of(&b.words)) else {
        let percent = scaled(strsim::normalized_damerau_levenshtein(&a.joined(), &b.joined()), 80);
        return Found { percent, why: if percent >= 50 { "spelled alike" } else { "spelled differently" }.to_owned() };
    };
    let same = |x: &Sound, y: &Sound| x.sorted() == y.sorted() || x.joined().iter().any(|x| y.joined().iter().any(|y| x == y));
    if same(&one, &other) {
        // Latin letters say less than kana: several readings are spelled alike.
        let percent = if (a.script, b.script) == (Script::Kana, Script::Kana) { 100 } else { 97 };
        return Found { percent, why: "sounds the same".to_owned() };
    }
    if large(a) == large(b) {
        return Found { percent: 96, why: "the same reading but for small kana".to_owned() };
    }
    let (short, short_other) = (one.short(), other.short());
    if same(&short, &short_other) {
        return Found { percent: 93, why: "sounds the same if long vowels are left out".to_owned() };
    }
    let pairs = short.joined().into_iter().flat_map(|x| short_other.joined().map(|y| (x.clone(), y)));
    let percent = pairs.map(|(x, y)| scaled(strsim::normalized_damerau_levenshtein(&x, &y), 80)).max().unwrap_or(0);
    Found { percent, why: if percent >= 55 { "sounds alike" } else { "sounds different" }.to_owned() }
}

/// Kana with all small ones large, in an order of their own.
fn large(name: &Written) -> Vec<String> {
    let mut words: Vec<String> = name.words.iter().map(|w| w.chars().map(|c| to_large(to_katakana(c))).collect()).collect();
    words.sort();
    words
}

/// Latin letters against Latin letters, in whatever order: marks left out (`Muller`) or written out (`Mueller`).
fn by_letters(a: &Written, b: &Written) -> Option<Found> {
    let mut exact = [&a.words, &b.words].map(|words| {
        let mut words = words.clone();
        words.sort();
        words
    });
    if let [one, other] = &mut exact
        && one == other
    {
        return Some(Found { percent: 99, why: "spelled the same".to_owned() });
    }
    let (forms, others) = (latin_forms(a), latin_forms(b));
    forms
        .iter()
        .any(|f| others.contains(f))
        .then(|| Found { percent: 96, why: "spelled the same but for marks on letters".to_owned() })
}

/// The spellings of a name in bare letters: without marks, and with them written out as German and the Nordic languages do.
fn latin_forms(name: &Written) -> [Vec<String>; 2] {
    let spell = |written_out: bool| {
        let mut words: Vec<String> = name.words.iter().map(|word| word.chars().map(|c| bare(c, written_out)).collect()).collect();
        words.sort();
        words
    };
    [spell(false), spell(true)]
}

fn bare(c: char, written_out: bool) -> String {
    let word = match (c, written_out) {
        ('ä' | 'æ', true) => "ae",
        ('ö' | 'ø' | 'œ', true) => "oe",
        ('ü', true) => "ue",
        ('å', true) => "aa",
        ('æ', false) => "a",
        ('ø' | 'œ', false) => "o",
        ('ł', _) => "l",
        ('đ' | 'ð', _) => "d",
        ('ı', _) => "i",
        ('þ', _) => "th",
        ('\'' | '’' | '-' | '.', _) => "",
        (c, _) => return c.nfd().filter(|c| !matches!(c, '\u{300}'..='\u{36f}')).collect(),
    };
    word.to_owned()
}

/// A share of 1 as a percentage of at most `most`.
fn scaled(share: f64, most: u8) -> u8 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share is within 0 and 1")]
    let percent = (share.clamp(0.0, 1.0) * f64::from(most)) as u8;
    percent
}

#[cfg(test)]
mod tests {
    use super::*;

    fn like(here: &[&str], there: &[&str]) -> Option<Likeness> {
        let names = |list: &[&str]| list.iter().map(|v| Name::new("cn", *v)).collect::<Vec<_>>();
        likeness(&names(here), &names(there))
    }

    #[track_caller]
    fn because(here: &str, there: &str, least: u8, words: &str) {
        let found = like(&[here], &[there]).unwrap_or_else(|| panic!("{here} and {there} cannot be compared"));
        assert!(found.percent >= least && found.because.join("; ").contains(words), "{here} / {there}: {found:?}");
        let turned = like(&[there], &[here]).unwrap();
        assert_eq!(turned.percent, found.percent, "{here} / {there}");
    }

    #[test]
    fn widths_blanks_and_variants_of_kanji_do_not_make_another_name() {
        because("山田　太郎", "山田太郎", 100, "written the same");
        because("髙橋 太郎", "高橋 太郎", 96, "variants (髙/高)");
        because("山﨑 誠", "山崎誠", 96, "variants (﨑/崎)");
        because("渡邉 真由美", "渡辺 眞由美", 96, "variants (邉/辺 真/眞)");
        because("齋藤 浩", "斉藤 浩", 96, "variants (齋/斉)");
        because("濵田 廣", "浜田 広", 96, "variants");
        because("澤村 惠", "沢村 恵", 96, "variants");
        because("佐々木 蓮", "佐佐木 蓮", 96, "variants (々/佐)");
        because("葛\u{e0100}西 修", "葛西 修", 100, "written the same");
        because("太郎 山田", "山田 太郎", 98, "order of family and given name");
        because("ﾔﾏﾀﾞ ﾀﾛｳ", "ヤマダ タロウ", 97, "sounds the same");
        because("やまだ たろう", "ヤマダ タロウ", 97, "sounds the same");
        because("シヨウジ ユウキ", "ショウジ ユウキ", 96, "small kana");
    }

    #[test]
    fn a_romanized_name_meets_the_reading() {
        because("Taro Ohno", "オオノ タロウ", 93, "long vowels");
        because("Ōno Tarō", "オオノ タロウ", 97, "sounds the same");
        because("OONO, Tarou", "オオノ タロウ", 97, "sounds the same");
        because("Kenichi Hasegawa", "ハセガワ ケンイチ", 97, "sounds the same");
        because("Syouta Tutida", "Shota Tsuchida", 93, "long vowels");
        assert_eq!(like(&["Taro Ono"], &["大野 太郎"]), None, "kanji do not tell how they are read");
        assert_eq!(like(&[], &["大野 太郎"]), None);
        let with_reading = like(&["Taro Ono", "大野 太郎"], &["大野 太郎", "オオノ タロウ"]).unwrap();
        assert!(with_reading.percent >= 97 && with_reading.because.len() == 2, "{with_reading:?}");
    }

    #[test]
    fn marks_on_letters_are_left_out_or_written_out() {
        because("Jürgen Müller", "Juergen Mueller", 96, "marks on letters");
        because("Jürgen Müller", "Jurgen Muller", 96, "marks on letters");
        because("Søren Jørgensen", "Soren Jorgensen", 96, "marks on letters");
        because("Weiß Anna", "anna WEISS", 99, "spelled the same");
        because("O'Brien, Zoë", "Zoe Obrien", 96, "marks on letters");
    }

    #[test]
    fn other_people_are_not_alike() {
        for (here, there) in [("佐藤 太郎", "鈴木 花子"), ("サトウ タロウ", "スズキ ハナコ"), ("Taro Sato", "Hanako Suzuki")]
        {
            let found = like(&[here], &[there]).unwrap();
            assert!(found.percent < 50 && found.because.join("").contains("differen"), "{here} / {there}: {found:?}");
        }
        // Who sounds the same may write another name, and the other way round.
        let sounds = like(&["佐藤 裕子", "サトウ ユウコ"], &["佐東 優子", "サトウ ユウコ"]).unwrap();
        assert!(sounds.percent < 80 && sounds.because.join("; ").contains("sounds the same"), "{sounds:?}");
        let reads = like(&["裕子", "ユウコ"], &["裕子", "ヒロコ"]).unwrap();
        assert!(reads.percent < 100 && reads.because.join("; ").contains("sounds different"), "{reads:?}");
    }
}
