//! The words of the report in both languages, and how dates are written in them.

mod nouns;
mod said;
mod sentences;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Serialize;

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
    /// What is meant for this language.
    pub(crate) fn pick<T>(self, ja: T, en: T) -> T {
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

    /// A day on which something happened: `2026年3月31日`, never the end of the month.
    pub(crate) fn exact_day(self, day: Date) -> String {
        match self {
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

    /// A number, with its thousands set apart.
    pub(crate) fn number(self, n: u64) -> String {
        let digits = n.to_string();
        let mut text = String::with_capacity(digits.len() + digits.len() / 3);
        for (place, digit) in digits.char_indices() {
            if place > 0 && (digits.len() - place).is_multiple_of(3) {
                text.push(',');
            }
            text.push(digit);
        }
        text
    }

    /// A number of accounts or people.
    pub(crate) fn count(self, n: u64) -> String {
        match self {
            Self::Ja => format!("{}件", self.number(n)),
            Self::En => self.number(n),
        }
    }

    /// Several things in a row.
    pub(crate) fn join(self, things: &[String]) -> String {
        things.join(self.pick("、", ", "))
    }

    /// That something is not known, which is neither none nor zero.
    pub(crate) fn unknown(self) -> &'static str {
        self.pick("未確認", "not known")
    }

    /// The number of a record of the ledger.
    pub(crate) fn record(self, record: u64) -> String {
        match self {
            Self::Ja => format!("記録番号 {record}"),
            Self::En => format!("record {record}"),
        }
    }

    /// The language's code.
    pub fn code(self) -> &'static str {
        self.pick("ja", "en")
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
