//! Dates as personnel systems write them. What could be two different days is refused, not guessed.

use jiff::civil::Date;

use crate::keys;
use crate::policy::DateOrder;

/// A date that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadDate {
    /// The day.
    pub date: Date,
    /// It was counted on in an era that had ended by then (`平成33年` for 2021): systems that were never told of a new era do so.
    pub outlived_era: bool,
}

/// A Japanese era: names, the year before its first, first day, and first day of the next one.
struct Era {
    names: [&'static str; 2],
    before: i16,
    begins: Date,
    ends: Option<Date>,
}

const REIWA: Date = Date::constant(2019, 5, 1);
const HEISEI: Date = Date::constant(1989, 1, 8);
const SHOWA: Date = Date::constant(1926, 12, 25);
const TAISHO: Date = Date::constant(1912, 7, 30);

const ERAS: [Era; 5] = [
    Era { names: ["令和", "r"], before: 2018, begins: REIWA, ends: None },
    Era { names: ["平成", "h"], before: 1988, begins: HEISEI, ends: Some(REIWA) },
    Era { names: ["昭和", "s"], before: 1925, begins: SHOWA, ends: Some(HEISEI) },
    Era { names: ["大正", "t"], before: 1911, begins: TAISHO, ends: Some(SHOWA) },
    Era { names: ["明治", "m"], before: 1867, begins: Date::constant(1868, 10, 23), ends: Some(TAISHO) },
];

/// Reads `2026-03-31`, `2026/3/31`, `20260331`, `2026年3月31日`, `令和8年3月31日`, `R8.3.31`, and with another order `31.03.2026` or
/// `03/31/2026`; a time of midnight behind it is dropped. `None`: there is no such day, the year has two digits, or which day is
/// meant depends on a time.
pub fn read_date(field: &str, order: DateOrder) -> Option<ReadDate> {
    let folded = keys::fold(field);
    let text = without_midnight(&folded)?;
    let named = |era: &'static Era| Some((era, era.names.iter().find_map(|name| text.strip_prefix(name))?));
    let (era, text) = ERAS.iter().find_map(named).map_or((None, text), |(era, rest)| (Some(era), rest.trim_start()));
    let [year, month, day] = parts(text, order, era.is_some())?;
    let year = if year == "元" && era.is_some() { "1" } else { year };
    let number = |part: &str, longest: usize| {
        let digits = !part.is_empty() && part.len() <= longest && part.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| part.parse::<i16>().ok()).flatten()
    };
    let small = |part: &str| number(part, 2).and_then(|n| i8::try_from(n).ok());
    let year = match era {
        Some(era) => number(year, 2).filter(|n| *n > 0)? + era.before,
        None => number(year, 4).filter(|_| year.len() == 4)?,
    };
    let date = Date::new(year, small(month)?, small(day)?).ok()?;
    if era.is_some_and(|era| date < era.begins) {
        return None;
    }
    Some(ReadDate { date, outlived_era: era.and_then(|era| era.ends).is_some_and(|end| date >= end) })
}

/// Drops a time of midnight without a zone, as databases and Excel write it behind a date.
fn without_midnight(text: &str) -> Option<&str> {
    let Some((date, time)) = text.rsplit_once([' ', 't']).filter(|(_, time)| time.contains(':')) else { return Some(text) };
    let (clock, fraction) = time.split_once('.').unwrap_or((time, ""));
    let midnight = matches!(clock, "0:00" | "00:00" | "0:00:00" | "00:00:00") && fraction.bytes().all(|b| b == b'0');
    midnight.then_some(date)
}

/// Year, month and day, as they stand there.
fn parts(text: &str, order: DateOrder, of_era: bool) -> Option<[&str; 3]> {
    if text.len() == 8 && text.bytes().all(|b| b.is_ascii_digit()) {
        return Some([text.get(0..4)?, text.get(4..6)?, text.get(6..8)?]);
    }
    if let Some(japanese) = text.strip_suffix('日') {
        let (year, rest) = japanese.split_once('年')?;
        let (month, day) = rest.split_once('月')?;
        return Some([year.trim(), month.trim(), day.trim()]);
    }
    let separator = text.chars().find(|c| matches!(c, '/' | '-' | '.'))?;
    let mut fields = text.split(separator).map(str::trim);
    let (first, second, third) = (fields.next()?, fields.next()?, fields.next()?);
    if fields.next().is_some() {
        return None;
    }
    Some(match order {
        _ if of_era || first.len() == 4 => [first, second, third],
        DateOrder::Ymd => return None,
        DateOrder::Dmy => [third, second, first],
        DateOrder::Mdy => [third, first, second],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(field: &str) -> Option<String> {
        read_date(field, DateOrder::Ymd).map(|read| read.date.to_string())
    }

    #[test]
    fn the_forms_of_personnel_systems_are_one_day() {
        let forms = [
            "2027-03-31",
            "2027/3/31",
            "2027.03.31",
            "20270331",
            "２０２７／０３／３１",
            "2027年3月31日",
            "令和9年3月31日",
            "令和 9 年 3 月 31 日",
            "㋿9年3月31日",
            "R9.3.31",
            "r09/03/31",
            "2027-03-31 0:00",
            "2027-03-31T00:00:00.000",
            "2027/03/31 00:00:00",
        ];
        for form in forms {
            assert_eq!(read(form).as_deref(), Some("2027-03-31"), "{form}");
        }
        assert_eq!(read("令和元年5月1日").as_deref(), Some("2019-05-01"));
        assert_eq!(read("昭和64年1月7日").as_deref(), Some("1989-01-07"));
        assert_eq!(read("H31.4.30").as_deref(), Some("2019-04-30"));
    }

    #[test]
    fn what_is_no_day_or_could_be_two_is_not_read() {
        for bad in [
            "2027-02-30",
            "2027-13-01",
            "27-03-31",
            "31/03/2027",
            "03/31/2027",
            "46112",
            "0000-00-00",
            "令和0年1月1日",
            "令和1年4月30日",
            "2027-03-31 09:00",
            "2027-03-31T00:00:00Z",
            "2027-03",
            "2027-03-31-01",
            "soon",
            "2027年3月",
            "元年5月1日",
            "R2027.3.31",
            "",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn another_order_is_read_where_the_file_says_so() {
        let read = |field, order| read_date(field, order).map(|read| read.date.to_string());
        assert_eq!(read("31.03.2027", DateOrder::Dmy).as_deref(), Some("2027-03-31"));
        assert_eq!(read("3/4/2027", DateOrder::Dmy).as_deref(), Some("2027-04-03"));
        assert_eq!(read("3/4/2027", DateOrder::Mdy).as_deref(), Some("2027-03-04"));
        assert_eq!(read("2027-03-31", DateOrder::Mdy).as_deref(), Some("2027-03-31"));
        assert_eq!(read("31/03/27", DateOrder::Dmy), None);
        assert_eq!(read("31/03/2027", DateOrder::Mdy), None);
    }

    #[test]
    fn an_era_that_was_counted_on_is_told() {
        let read = read_date("平成33年3月31日", DateOrder::Ymd).unwrap();
        assert_eq!((read.date.to_string().as_str(), read.outlived_era), ("2021-03-31", true));
        assert!(!read_date("令和3年3月31日", DateOrder::Ymd).unwrap().outlived_era);
    }
}
