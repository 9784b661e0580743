//! How a name sounds: kana and Latin letters brought to one spelling, so that `オオノ`, `Ōno`, `Ohno` and `Oono` can be seen to be one.
//!
//! The spelling is Kunrei (`si`, `ti`, `tu`, `hu`, `zi`), long vowels written twice; Hepburn, its macrons, circumflexes and the passport's `oh` are
//! read too. It knows sounds only: `伊藤` and `Ito` meet where the reading of the former is there.

use unicode_normalization::UnicodeNormalization;

/// A name's sound, word by word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sound {
    words: Vec<String>,
}

impl Sound {
    /// Of a name in kana or in Latin letters; `None` for anything else.
    pub(super) fn of(words: &[String]) -> Option<Self> {
        let sounds: Option<Vec<String>> = words.iter().map(|word| of_kana(word).or_else(|| of_latin(word))).collect();
        let sounds = sounds?;
        (!sounds.is_empty()).then_some(Self { words: sounds })
    }

    /// The words in an order of their own: family and given name change places between systems.
    pub(super) fn sorted(&self) -> Vec<&str> {
        let mut words: Vec<&str> = self.words.iter().map(String::as_str).collect();
        words.sort_unstable();
        words
    }

    /// The words one after the other, as they are and turned round.
    pub(super) fn joined(&self) -> [String; 2] {
        [self.words.concat(), self.words.iter().rev().cloned().collect()]
    }

    /// The same with long vowels written once, as most passports have them.
    pub(super) fn short(&self) -> Self {
        let shorten = |word: &String| {
            let mut out = String::new();
            for c in word.chars() {
                if !(is_vowel(c) && out.ends_with(c)) {
                    out.push(c);
                }
            }
            out
        };
        Self { words: self.words.iter().map(shorten).collect() }
    }
}

fn is_vowel(c: char) -> bool {
    matches!(c, 'a' | 'i' | 'u' | 'e' | 'o')
}

/// Katakana for hiragana; everything else stays.
pub(super) fn to_katakana(c: char) -> char {
    match c {
        'ぁ'..='ゖ' | 'ゝ' | 'ゞ' => char::from_u32(u32::from(c) + 0x60).unwrap_or(c),
        _ => c,
    }
}

/// Large kana for small ones: systems that know no small kana write them so.
pub(super) fn to_large(c: char) -> char {
    match c {
        'ァ' => 'ア',
        'ィ' => 'イ',
        'ゥ' => 'ウ',
        'ェ' => 'エ',
        'ォ' => 'オ',
        'ッ' => 'ツ',
        'ャ' => 'ヤ',
        'ュ' => 'ユ',
        'ョ' => 'ヨ',
        'ヮ' => 'ワ',
        'ヵ' => 'カ',
        'ヶ' => 'ケ',
        _ => c,
    }
}

pub(super) fn is_kana(c: char) -> bool {
    matches!(c, '\u{3041}'..='\u{309f}' | '\u{30a0}'..='\u{30ff}')
}

/// Rows of the table of kana in the order of its vowels; `-` stands for what does not exist.
const ROWS: [(&str, &str); 16] = [
    ("", "アイウエオ"),
    ("k", "カキクケコ"),
    ("g", "ガギグゲゴ"),
    ("s", "サシスセソ"),
    ("z", "ザジズゼゾ"),
    ("t", "タチツテト"),
    ("d", "ダ--デド"),
    ("n", "ナニヌネノ"),
    ("h", "ハヒフヘホ"),
    ("b", "バビブベボ"),
    ("p", "パピプペポ"),
    ("m", "マミムメモ"),
    ("y", "ヤ-ユ-ヨ"),
    ("r", "ラリルレロ"),
    ("w", "ワ----"),
    // Kunrei writes these with z; old and foreign kana by their sound.
    ("z", "-ヂヅ--"),
];
const VOWELS: [char; 5] = ['a', 'i', 'u', 'e', 'o'];

fn syllable(c: char) -> Option<(&'static str, char)> {
    let c = match c {
        'ヰ' => 'イ',
        'ヱ' => 'エ',
        'ヲ' => 'オ',
        'ヵ' => 'カ',
        'ヶ' => 'ケ',
        'ヴ' => return Some(("v", 'u')),
        c => c,
    };
    ROWS.iter().find_map(|(consonant, row)| {
        let at = row.chars().position(|kana| kana == c)?;
        Some((*consonant, *VOWELS.get(at)?))
    })
}

fn of_kana(word: &str) -> Option<String> {
    let mut out = String::new();
    let mut doubled = false;
    for c in word.chars().map(to_katakana) {
        match c {
            'ッ' => {
                doubled = true;
                continue;
            }
            'ン' => out.push('n'),
            'ー' => out.push(out.chars().last().filter(|c| is_vowel(*c))?),
            'ャ' | 'ュ' | 'ョ' => {
                out.pop().filter(|c| *c == 'i')?;
                out.push('y');
                out.push(syllable(to_large(c))?.1);
            }
            'ァ' | 'ィ' | 'ゥ' | 'ェ' | 'ォ' | 'ヮ' => {
                let before = out.pop();
                // シェ, チェ, ジェ are palatal; ファ, ティ, ウィ only change their vowel.
                match before {
                    Some('i') => out.push('y'),
                    Some('u') if out.is_empty() => out.push('w'),
                    _ => {}
                }
                out.push(syllable(to_large(c))?.1);
            }
            c => {
                let (consonant, vowel) = syllable(c)?;
                if doubled {
                    out.extend(consonant.chars().next());
                }
                out.push_str(consonant);
                out.push(vowel);
            }
        }
        doubled = false;
    }
    (!out.is_empty()).then(|| long(&out))
}

/// `ou` is a long `o` in both scripts.
fn long(sound: &str) -> String {
    sound.replace("ou", "oo")
}

/// Letters of a word without marks, the long vowels among them twice; `None` if it is not written in Latin letters.
fn letters(word: &str) -> Option<String> {
    let mut out = String::new();
    for c in word.nfd().flat_map(char::to_lowercase) {
        match c {
            // Macron and circumflex.
            '\u{304}' | '\u{302}' => out.push(out.chars().last().filter(|c| is_vowel(*c))?),
            '\u{300}'..='\u{36f}' | '\'' | '’' | '-' | '.' => {}
            c if c.is_ascii_alphabetic() => out.push(c),
            _ => return None,
        }
    }
    (!out.is_empty()).then_some(out)
}

fn of_latin(word: &str) -> Option<String> {
    let mut word = letters(word)?;
    // `Ohno`, `Satoh`: an h that no vowel follows makes the o long.
    let chars: Vec<char> = word.chars().collect();
    word = (0..chars.len())
        .filter_map(|at| {
            let (c, before, after) = (*chars.get(at)?, at.checked_sub(1).and_then(|b| chars.get(b)), chars.get(at + 1));
            let lengthens = c == 'h' && before == Some(&'o') && after.is_none_or(|a| !is_vowel(*a) && *a != 'y');
            Some(if lengthens { 'o' } else { c })
        })
        .collect();
    // Longer spellings before those that they begin with.
    const SPELLINGS: [(&str, &str); 14] = [
        ("tch", "tty"),
        ("cch", "tty"),
        ("ssh", "ssy"),
        ("sh", "sy"),
        ("ch", "ty"),
        ("tsu", "tu"),
        ("dzu", "zu"),
        ("du", "zu"),
        ("di", "zi"),
        ("fu", "hu"),
        ("j", "zy"),
        ("f", "h"),
        ("wo", "o"),
        ("dy", "zy"),
    ];
    for (from, to) in SPELLINGS {
        word = word.replace(from, to);
    }
    for (from, to) in [("yy", "y"), ("syi", "si"), ("tyi", "ti"), ("zyi", "zi"), ("mb", "nb"), ("mp", "np"), ("mm", "nm")] {
        word = word.replace(from, to);
    }
    Some(long(&word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sound(text: &str) -> Vec<String> {
        let words: Vec<String> = text.split(' ').map(str::to_owned).collect();
        Sound::of(&words).unwrap_or_else(|| panic!("{text} has no sound")).words
    }

    fn short(text: &str) -> Vec<String> {
        let words: Vec<String> = text.split(' ').map(str::to_owned).collect();
        Sound::of(&words).unwrap().short().words
    }

    #[test]
    fn every_romanization_of_a_reading_sounds_like_it() {
        for (kana, romanized) in [
            ("オオノ", ["Ōno", "Ohno", "Oono"].as_slice()),
            ("サトウ", &["Satō", "Satou", "Satoh", "Satô"]),
            ("シンジョウ", &["Shinjō", "Sinzyô", "Shinjou"]),
            ("ショウタ", &["Shōta", "Syouta", "Shohta"]),
            ("チヅル", &["Chizuru", "Tizuru", "Chiduru"]),
            ("フジワラ", &["Fujiwara", "Huziwara"]),
            ("ツチヤ", &["Tsuchiya", "Tutiya"]),
            ("ホンマ", &["Honma", "Homma"]),
            ("ナンバ", &["Nanba", "Namba"]),
            ("ハットリ", &["Hattori"]),
            ("エッチュウ", &["Etchū", "Ettyû", "Ecchuu"]),
            ("ケンイチ", &["Ken'ichi", "Kenichi", "Ken-ichi"]),
            ("ジュンコ", &["Junko", "Zyunko", "Jyunko"]),
            ("イノウエ", &["Inoue"]),
            ("ミツヲ", &["Mitsuo", "Mituwo"]),
        ] {
            for latin in romanized {
                assert_eq!(sound(latin), sound(kana), "{latin} for {kana}");
            }
        }
        assert_eq!(sound("すずき はなこ"), sound("スズキ ハナコ"));
        assert_eq!(sound("コーダ"), sound("コオダ"));
    }

    #[test]
    fn passports_leave_long_vowels_out() {
        assert_eq!(short("Ono Yuki"), short("オオノ ユウキ"));
        assert_eq!(short("Ito"), short("イトウ"));
        assert_ne!(sound("Ito"), sound("イトウ"));
        assert_ne!(short("Hatori"), short("ハットリ"));
        assert_ne!(short("Ono"), short("オノダ"));
    }

    #[test]
    fn kanji_have_no_sound_of_their_own() {
        assert_eq!(Sound::of(&["大野".to_owned()]), None);
        assert_eq!(Sound::of(&[]), None);
        assert_eq!(Sound::of(&["ー".to_owned()]), None);
    }
}
