//! Charts as inline SVG. Whole numbers only, so that the same figures give the same bytes everywhere; patterns and words say what
//! colours say; each has a title, a description in words and a table beside it.

mod deadlines;
mod residual;
mod rules;
mod stages;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use maud::{Markup, html};

use crate::words::Lang;

pub(super) use deadlines::deadlines;
pub(super) use residual::residual;
pub(super) use rules::rules;
pub(super) use stages::stages;

/// Width of every chart.
const WIDTH: u64 = 720;

/// What a chart is called and what it shows, for those who do not see it.
struct Told<'a> {
    id: &'a str,
    title: String,
    description: String,
}

/// A chart with its title and description.
fn chart(told: &Told<'_>, height: u64, content: &Markup) -> Markup {
    let (title, description) = (format!("{}-t", told.id), format!("{}-d", told.id));
    html! {
        figure {
            figcaption { (told.title) }
            svg role="img" aria-labelledby={ (title) " " (description) } viewBox={ "0 0 " (WIDTH) " " (height) } {
                title id=(title) { (told.title) }
                desc id=(description) { (told.description) }
                (content)
            }
        }
    }
}

/// `value` of `whole` as a part of `width`.
fn part(value: u64, whole: u64, width: u64) -> u64 {
    if whole == 0 { 0 } else { u64::try_from(u128::from(value) * u128::from(width) / u128::from(whole)).unwrap_or(width) }
}

/// Columns that a text takes, roughly: Japanese letters are as wide as two others.
pub(super) fn columns(text: &str) -> u64 {
    text.chars().map(|c| if c.is_ascii() { 1 } else { 2 }).sum()
}

/// A text of at most so many columns.
fn short(text: &str, most: u64) -> String {
    if columns(text) <= most {
        return text.to_owned();
    }
    let mut cut = String::new();
    for c in text.chars() {
        if columns(&cut) + columns(&c.to_string()) + 2 > most {
            break;
        }
        cut.push(c);
    }
    cut + "…"
}

/// A scale of time.
struct Times {
    from: Timestamp,
    to: Timestamp,
    left: u64,
    width: u64,
    zone: TimeZone,
}

impl Times {
    fn x(&self, at: Timestamp) -> u64 {
        let whole = self.to.duration_since(self.from).as_secs().max(1);
        let here = at.duration_since(self.from).as_secs().clamp(0, whole);
        self.left + part(here.unsigned_abs(), whole.unsigned_abs(), self.width)
    }

    /// The beginning of a day.
    fn day(&self, day: Date) -> Timestamp {
        day.to_zoned_datetime(self.zone.clone()).map_or(self.from, |at| at.timestamp())
    }

    /// Beginnings of months, at most about a dozen of them.
    fn months(&self) -> Vec<Date> {
        let local = |at: Timestamp| self.zone.to_datetime(at).date();
        let (first, last) = (local(self.from).first_of_month(), local(self.to));
        let whole = i32::from(last.year() - first.year()) * 12 + i32::from(last.month() - first.month()) + 1;
        let step = (whole / 12 + 1).max(1);
        let mut found = Vec::new();
        let mut at = first;
        while at <= last && found.len() < 64 {
            if self.day(at) >= self.from {
                found.push(at);
            }
            at = at.saturating_add(jiff::Span::new().months(step));
        }
        found
    }

    /// Lines and names of months below them.
    fn axis(&self, lang: Lang, (top, bottom): (u64, u64)) -> Markup {
        html! {
            line class="axis" x1=(self.left) x2=(self.left + self.width) y1=(bottom) y2=(bottom) {}
            @for month in self.months() {
                @let x = self.x(self.day(month));
                line class="grid" x1=(x) x2=(x) y1=(top) y2=(bottom) {}
                text class="s" x=(x) y=(bottom + 13) text-anchor="middle" { (month_name(lang, month)) }
                @if month.month() == 1 || self.months().first() == Some(&month) {
                    text class="s" x=(x) y=(bottom + 25) text-anchor="middle" {
                        (month.year()) (lang.pick("年", ""))
                    }
                }
            }
        }
    }
}

fn month_name(lang: Lang, month: Date) -> String {
    const NAMES: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let at = usize::try_from(month.month() - 1).unwrap_or(0);
    lang.pick(format!("{}月", month.month()), NAMES.get(at).copied().unwrap_or_default().to_owned())
}

/// A day in a chart, short.
pub(super) fn day(lang: Lang, day: Date) -> String {
    lang.pick(format!("{}/{}/{}", day.year(), day.month(), day.day()), day.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_are_cut_by_columns() {
        assert_eq!(short("自社", 6), "自社");
        assert_eq!(short("国内子会社グループ", 10), "国内子会…");
        assert!(columns(&short("a very long name of a company", 12)) <= 12);
    }

    #[test]
    fn the_axis_names_about_a_dozen_months_whatever_the_time() {
        let zone = TimeZone::get("Asia/Tokyo").unwrap();
        for (from, to) in [("2026-01-10", "2026-02-03"), ("2024-05-01", "2031-12-31"), ("2026-06-01", "2027-09-30")] {
            let at = |day: &str| day.parse::<Date>().unwrap().to_zoned_datetime(zone.clone()).unwrap().timestamp();
            let times = Times { from: at(from), to: at(to), left: 0, width: 600, zone: zone.clone() };
            let months = times.months();
            assert!(!months.is_empty() && months.len() <= 13, "{from} {to}: {months:?}");
            assert!(times.x(at(to)) == 600 && times.x(at(from)) == 0);
        }
    }
}
