//! Deadlines and forecasts of the entities on one line of time.

use jiff::civil::Date;
use maud::{Markup, html};
use untether_model::neutral::line as visible;

use super::{Times, Told, WIDTH, chart, day, short};
use crate::progress::{EntityProgress, Standing};
use crate::tables::Book;

const LEFT: u64 = 150;
const RIGHT: u64 = 34;
const ROW: u64 = 46;
const TOP: u64 = 22;
/// Half the width of the longest text of a day.
const HALF_A_DAY: u64 = 60;

/// A line an entity: today, the forecast where there is one, the deadline.
pub(in crate::html) fn deadlines(book: Book<'_>) -> Markup {
    let (lang, report) = (book.lang, book.report);
    let rows: Vec<&EntityProgress> = report.entities.iter().filter(|e| e.deadline.is_some()).collect();
    if rows.is_empty() {
        return html! { p { (lang.pick("分離期限は設定されていません。", "No deadline is set.")) } };
    }
    let zone = jiff::tz::TimeZone::get(&report.zone).unwrap_or(jiff::tz::TimeZone::UTC);
    let today = zone.to_datetime(report.made_at).date();
    let days = rows.iter().flat_map(|e| e.deadline.into_iter().chain(e.outlook.day));
    let last = days.max().unwrap_or(today).max(today);
    let first = report.audits.first().map_or(report.made_at, |a| a.audit.taken_at).min(report.made_at);
    let first = zone.to_datetime(first).date();
    let ends = |day: Date, by: i64| {
        let day = day.saturating_add(jiff::Span::new().days(by));
        day.to_zoned_datetime(zone.clone()).map_or(report.made_at, |at| at.timestamp())
    };
    let margin = i64::from((last - first).get_days()) / 14 + 4;
    let times =
        Times { from: ends(first, 0), to: ends(last, margin), left: LEFT, width: WIDTH - LEFT - RIGHT, zone: zone.clone() };
    let bottom = TOP + crate::compute::count(rows.len()) * ROW;
    let now = times.x(report.made_at);
    let content = html! {
        (times.axis(lang, (TOP, bottom)))
        line x1=(now) x2=(now) y1=(TOP - 6) y2=(bottom) stroke="#1b1f24" stroke-width="1.5" {}
        text class="b" x=(now) y=(TOP - 10) text-anchor="middle" { (lang.pick("本日", "today")) }
        @for (n, entity) in (0u64..).zip(&rows) {
            (row(book, entity, (&times, TOP + n * ROW + 24)))
        }
    };
    let told = Told {
        id: "c-deadlines",
        title: lang.pick("分離期限と完了見込み", "Deadlines and forecasts").to_owned(),
        description: description(book, &rows),
    };
    html! {
        (chart(&told, bottom + 30, &content))
        ul class="legend" {
            li { svg aria-hidden="true" viewBox="0 0 24 14" { path d="M12 1 18 7 12 13 6 7z" fill="#12406b" {} } (lang.pick("分離期限", "deadline")) }
            li { svg aria-hidden="true" viewBox="0 0 24 14" { circle cx="12" cy="7" r="5" fill="#fff" stroke="#0b6b3a" stroke-width="2.5" {} } (lang.pick("完了見込み（期限内）", "forecast, on time")) }
            li { svg aria-hidden="true" viewBox="0 0 24 14" { path d="M7 2 17 12M17 2 7 12" stroke="#a4161a" stroke-width="3" {} } (lang.pick("完了見込み（期限後）", "forecast, late")) }
            li { svg aria-hidden="true" viewBox="0 0 24 14" { text class="o" x="12" y="11" text-anchor="middle" { "?" } } (lang.pick("見通し未確認の対象あり", "something is not known")) }
        }
    }
}

fn row(book: Book<'_>, entity: &EntityProgress, (times, y): (&Times, u64)) -> Markup {
    let lang = book.lang;
    let now = times.x(book.report.made_at);
    let due = entity.deadline.map(|deadline| (times.x(times.day(deadline)), deadline));
    let forecast = entity.outlook.day.filter(|_| entity.outlook.standing != Standing::Done);
    let forecast = forecast.map(|day| (times.x(times.day(day)).max(now), day));
    let late = due.zip(forecast).is_some_and(|((_, due), (_, day))| day > due);
    let is_unknown = !entity.outlook.missing.is_empty() && entity.outlook.standing != Standing::Done;
    let (class, words) = match entity.outlook.standing {
        Standing::Done | Standing::OnTime => ("g", lang.standing(entity.outlook.standing)),
        Standing::Unknown => ("o", lang.standing(Standing::Unknown)),
        Standing::Late | Standing::Overdue => ("r", lang.standing(entity.outlook.standing)),
    };
    html! {
        text class="b" x=(LEFT - 8) y=(y - 2) text-anchor="end" { (short(&visible(&book.name(entity)), 22)) }
        text class=(class) x=(LEFT - 8) y=(y + 12) text-anchor="end" { (words) }
        line x1=(LEFT) x2=(now) y1=(y) y2=(y) stroke="#2f78b7" stroke-width="5" {}
        @if let Some((x, day_of)) = forecast {
            line x1=(now) x2=(x) y1=(y) y2=(y) stroke=(if late { "#a4161a" } else { "#0b6b3a" }) stroke-width="3" stroke-dasharray="6 4" {}
            @if late {
                path d={ "M" (x - 5) " " (y - 5) "l10 10m0-10-10 10" } stroke="#a4161a" stroke-width="3" {}
            } @else {
                circle cx=(x) cy=(y) r="5" fill="#fff" stroke="#0b6b3a" stroke-width="2.5" {}
            }
            @let (x, anchor) = beside_names(x);
            text class=(if late { "r" } else { "s" }) x=(x) y=(y + 18) text-anchor=(anchor) { (day(lang, day_of)) @if is_unknown { " ?" } }
        } @else if is_unknown {
            text class="o" x=(now + 8) y=(y + 5) { "?" }
        }
        @if let Some((x, deadline)) = due {
            path d={ "M" (x) " " (y - 7) "l7 7-7 7-7-7z" } fill="#12406b" {}
            @let (x, anchor) = beside_names(x);
            text class="s" x=(x) y=(y - 11) text-anchor=(anchor) { (day(lang, deadline)) }
        }
    }
}

/// Where the text of a day stands: in the middle of its mark, or to the right of the names where it would run into them.
fn beside_names(x: u64) -> (u64, &'static str) {
    if x < LEFT + HALF_A_DAY { (LEFT + 4, "start") } else { (x, "middle") }
}

fn description(book: Book<'_>, rows: &[&EntityProgress]) -> String {
    let lang = book.lang;
    let line = |entity: &&EntityProgress| {
        let due = entity.deadline.map(|d| lang.exact_day(d)).unwrap_or_default();
        let day = entity.outlook.day.map_or_else(|| lang.unknown().to_owned(), |d| lang.exact_day(d));
        let (name, standing) = (visible(&book.name(entity)), lang.standing(entity.outlook.standing));
        lang.pick(
            format!("{name}：期限 {due}、完了見込み {day}、{standing}。"),
            format!("{name}: deadline {due}, forecast {day}, {standing}."),
        )
    };
    rows.iter().map(line).collect::<Vec<_>>().join(" ")
}
