//! Oddities of single records: widths, blanks, characters, dates that stand for something else. They refuse nothing.

use encoding_rs::SHIFT_JIS;
use jiff::civil::Date;
use untether_model::roster::{ProblemKind, Problems, RosterColumn, Row, SeenRecord, Watch};

/// Dates from this year on stand for "never".
const NEVER_YEAR: i16 = 2200;

/// First days of this year and before it stand for "not known".
const UNKNOWN_YEAR: i16 = 1900;

/// Columns whose values are compared: width and blanks matter.
const KEYS: [RosterColumn; 6] = [
    RosterColumn::PersonId,
    RosterColumn::Number,
    RosterColumn::PreviousNumber,
    RosterColumn::Mail,
    RosterColumn::Login,
    RosterColumn::ManagerNumber,
];

/// Columns whose values are texts.
const TEXTS: [RosterColumn; 3] = [RosterColumn::Name, RosterColumn::NameKana, RosterColumn::Department];

const DATES: [RosterColumn; 3] = [RosterColumn::Start, RosterColumn::LastDay, RosterColumn::ContractEnd];

/// Looks at each record.
#[derive(Default)]
pub(super) struct Inspector;

impl Watch for Inspector {
    fn record(&mut self, seen: &SeenRecord<'_>, problems: &mut Problems) {
        let mut note = |kind: ProblemKind, column: RosterColumn| {
            let value = seen.field(column);
            problems.add((kind, seen.file()), Some(seen.header(column)), None, (seen.line, Some(value)));
        };
        for column in KEYS.into_iter().chain(DATES) {
            let field = seen.field(column);
            if field.chars().any(is_full_width) {
                note(ProblemKind::FullWidth, column);
            }
            // A date may have a time behind it.
            let inside = if DATES.contains(&column) { "" } else { field.trim() };
            if field != field.trim() || inside.contains(char::is_whitespace) {
                note(ProblemKind::StrayBlank, column);
            }
        }
        for column in TEXTS {
            let field = seen.field(column);
            if field != field.trim() {
                note(ProblemKind::StrayBlank, column);
            }
            if is_mojibake(field) {
                note(ProblemKind::Mojibake, column);
            }
        }
        let words = [RosterColumn::Entity, RosterColumn::Status, RosterColumn::Employment];
        let mut broken = false;
        for column in KEYS.into_iter().chain(TEXTS).chain(words) {
            let field = seen.field(column);
            if field.is_ascii() && !field.contains(|c: char| c.is_control()) {
                continue;
            }
            broken |= field.contains(['\n', '\r']);
            if field.chars().any(is_invisible) {
                note(ProblemKind::Invisible, column);
            }
            if field.chars().any(is_unusual) {
                note(ProblemKind::Unusual, column);
            }
            if field.chars().any(is_separate_mark) {
                note(ProblemKind::Decomposed, column);
            }
        }
        for column in seen.outlived_eras {
            note(ProblemKind::OutlivedEra, *column);
        }
        if let Some(row) = seen.row {
            dates(row, &mut note);
        }
        let mut of_row = |kind: ProblemKind| problems.add((kind, seen.file()), None, None, (seen.line, None));
        if broken {
            of_row(ProblemKind::LineBreak);
        }
        if let Some(row) = seen.row {
            missing(row).into_iter().for_each(&mut of_row);
        }
    }
}

fn dates(row: &Row, note: &mut impl FnMut(ProblemKind, RosterColumn)) {
    let ends = [(row.last_day, RosterColumn::LastDay), (row.contract_end, RosterColumn::ContractEnd)];
    for (end, column) in ends.into_iter().filter_map(|(end, column)| Some((end?, column))) {
        if end.year() >= NEVER_YEAR {
            note(ProblemKind::SentinelDate, column);
        } else if row.start.is_some_and(|start: Date| start > end) && (column == RosterColumn::LastDay || row.contractor) {
            note(ProblemKind::EndBeforeStart, column);
        }
    }
    match row.start.map(Date::year) {
        Some(year) if year >= NEVER_YEAR => note(ProblemKind::SentinelStart, RosterColumn::Start),
        Some(year) if year <= UNKNOWN_YEAR => note(ProblemKind::SentinelDate, RosterColumn::Start),
        _ => {}
    }
}

/// What a row lacks.
fn missing(row: &Row) -> Vec<ProblemKind> {
    let numbered = row.number.is_some() || row.person_id.is_some();
    let found_by = row.number.is_some() || row.mail.is_some() || row.login.is_some();
    let lacks = [
        (!found_by, ProblemKind::NoKey),
        (found_by && !numbered, ProblemKind::NoNumber),
        (row.name.is_none(), ProblemKind::NoName),
        (row.entity.is_none(), ProblemKind::NoEntity),
    ];
    lacks.into_iter().filter(|(lacks, _)| *lacks).map(|(_, kind)| kind).collect()
}

/// Full-width letters, digits and signs (Unicode block "Halfwidth and Fullwidth Forms").
fn is_full_width(c: char) -> bool {
    matches!(c, '\u{ff01}'..='\u{ff5e}')
}

/// What cannot be seen: controls, zero width, direction marks. Line breaks are told of the row.
fn is_invisible(c: char) -> bool {
    (c.is_control() && !matches!(c, '\n' | '\r'))
        || matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Letters of NEC and IBM in code page 932 (rows 13, 89–92 and 115–119), which the standard Shift_JIS does not have, and whatever lies
/// outside of the basic plane.
fn is_unusual(c: char) -> bool {
    if c.is_ascii() {
        return false;
    }
    if u32::from(c) > 0xffff {
        return true;
    }
    let mut text = [0u8; 4];
    let (bytes, _, unmapped) = SHIFT_JIS.encode(c.encode_utf8(&mut text));
    // 髙 and its like are encoded as IBM's; mathematical signs that the standard has too are not in these rows.
    !unmapped && matches!(bytes.first(), Some(0x87 | 0xed | 0xee | 0xfa..=0xfc))
}

/// Marks that stand behind their letter: voiced sounds of kana, accents.
fn is_separate_mark(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{3099}' | '\u{309a}')
}

/// Text that was read in another encoding than it was written in: UTF-8 as Shift_JIS or as code page 1252, code page 1252 as Shift_JIS.
fn is_mojibake(text: &str) -> bool {
    if text.is_ascii() {
        return false;
    }
    let kana_as_shift_jis = text.chars().filter(|c| matches!(c, '縺' | '繧' | '繝')).count() >= 2;
    let mut before = ' ';
    let mut pair = false;
    for c in text.chars() {
        let umlaut_as_kana = matches!(c, '\u{ff66}'..='\u{ff9f}') && before.is_ascii_alphabetic();
        let two_bytes_as_1252 = matches!(before, 'Ã' | 'Â')
            && matches!(c, '\u{80}'..='\u{bf}' | '‚' | 'ƒ' | '„' | '…' | '†' | '‡' | 'ˆ' | '‰' | 'Š' | '‹' | 'Œ' | 'Ž');
        let kana_as_1252 = before == 'ã' && matches!(c, '\u{81}' | '‚' | 'ƒ');
        pair |= umlaut_as_kana || two_bytes_as_1252 || kana_as_1252 || c == '\u{fffd}';
        before = c;
    }
    kana_as_shift_jis || pair
}

#[cfg(test)]
mod tests {
    use encoding_rs::{UTF_8, WINDOWS_1252};

    use super::*;

    #[test]
    fn letters_of_vendors_are_told_from_those_of_the_standard() {
        for unusual in ["髙", "①", "㈱", "﨑", "Ⅲ", "𠮷", "㎜", "∑"] {
            assert!(unusual.chars().any(is_unusual), "{unusual}");
        }
        for usual in ["高", "山", "ア", "ｱ", "é", "○", "Ω", "〜"] {
            assert!(!usual.chars().any(is_unusual), "{usual}");
        }
    }

    #[test]
    fn text_of_another_encoding_is_noticed_and_names_are_not_taken_for_it() {
        let utf8_as_shift_jis = SHIFT_JIS.decode("ヤマダ　さとう".as_bytes()).0.into_owned();
        let utf8_as_1252 = WINDOWS_1252.decode("Müller".as_bytes()).0.into_owned();
        let kana_as_1252 = WINDOWS_1252.decode("ヤマダ".as_bytes()).0.into_owned();
        let umlaut_as_shift_jis = SHIFT_JIS.decode(b"J\xdcrgen").0.into_owned();
        for text in [utf8_as_shift_jis, utf8_as_1252, kana_as_1252, umlaut_as_shift_jis] {
            assert!(is_mojibake(&text), "{text}");
        }
        for name in ["山田 太郎", "ﾔﾏﾀﾞ ﾀﾛｳ", "Müller", "São Paulo", "髙橋", UTF_8.decode("José".as_bytes()).0.as_ref()]
        {
            assert!(!is_mojibake(name), "{name}");
        }
    }

    #[test]
    fn marks_and_what_cannot_be_seen_are_told() {
        assert!("か\u{3099}".chars().any(is_separate_mark) && !"が".chars().any(is_separate_mark));
        assert!("a\u{202e}b".chars().any(is_invisible) && "a\u{200b}".chars().any(is_invisible));
        assert!("１０".chars().all(is_full_width) && !"ｱ10".chars().any(is_full_width));
    }
}
