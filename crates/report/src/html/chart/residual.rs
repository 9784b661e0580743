//! What was left in the shared store, audit by audit. An audit that did not read everything is marked and not part of any line.

use maud::{Markup, html};

use super::{Times, Told, WIDTH, chart, part};
use crate::progress::AuditPoint;
use crate::tables::Book;
use crate::words::Lang;

const LEFT: u64 = 58;
const RIGHT: u64 = 74;
const TOP: u64 = 14;
const HEIGHT: u64 = 190;
/// Audits up to which each has a mark of its own on the line.
const MARKED: usize = 48;

/// One line of the chart.
struct Series {
    name: &'static str,
    colour: &'static str,
    dashes: &'static str,
    of: fn(&AuditPoint) -> Option<u64>,
}

fn series(lang: Lang) -> [Series; 4] {
    [
        Series {
            name: lang.pick("アカウント", "accounts"),
            colour: "#12406b",
            dashes: "",
            of: |p| p.accounts.map(|a| a.accounts),
        },
        Series {
            name: lang.pick("認証情報が残るアカウント", "accounts with credentials"),
            colour: "#a4161a",
            dashes: "7 4",
            of: |p| p.accounts.map(|a| a.credentials),
        },
        Series {
            name: lang.pick("利用できる状態のアカウント", "open accounts"),
            colour: "#7a4b00",
            dashes: "2 3",
            of: |p| p.accounts.map(|a| a.open),
        },
        Series {
            name: lang.pick("本来残るべきでないレコード", "records that should be gone"),
            colour: "#0b6b3a",
            dashes: "10 3 2 3",
            of: |p| Some(p.records),
        },
    ]
}

/// A number at which an axis may end, not much above `most`.
fn round_up(most: u64) -> u64 {
    let mut step = 1;
    while step * 10 <= most {
        step *= 10;
    }
    [1, 2, 5, 10].into_iter().map(|n| n * step).find(|end| *end >= most).unwrap_or(most).max(4)
}

/// The lines over all complete audits.
pub(in crate::html) fn residual(book: Book<'_>) -> Markup {
    let (lang, report) = (book.lang, book.report);
    let own: Vec<&AuditPoint> = report.audits.iter().filter(|p| p.judged.is_none()).collect();
    let complete: Vec<&AuditPoint> = own.iter().copied().filter(|p| p.audit.complete).collect();
    let (Some(first), Some(last)) = (own.first(), own.last()) else {
        return html! { p { (lang.pick("監査を実施していないため、推移は未確認です。", "There has been no audit: nothing is known.")) } };
    };
    let zone = jiff::tz::TimeZone::get(&report.zone).unwrap_or(jiff::tz::TimeZone::UTC);
    let (width, bottom) = (WIDTH - LEFT - RIGHT, TOP + HEIGHT);
    let to = last.audit.taken_at.max(first.audit.taken_at + jiff::SignedDuration::from_hours(24));
    let times = Times { from: first.audit.taken_at, to, left: LEFT, width, zone };
    let all = series(lang);
    let most = complete.iter().flat_map(|p| all.iter().filter_map(|s| (s.of)(p))).max().unwrap_or(0);
    let end = round_up(most);
    let y = |n: u64| bottom - part(n, end, HEIGHT);
    let content = html! {
        @for quarter in 0..=4u64 {
            @let n = end * quarter / 4;
            line class="grid" x1=(LEFT) x2=(LEFT + width) y1=(y(n)) y2=(y(n)) {}
            text class="s" x=(LEFT - 6) y=(y(n) + 4) text-anchor="end" { (lang.number(n)) }
        }
        (times.axis(lang, (TOP, bottom)))
        @for point in own.iter().filter(|p| !p.audit.complete) {
            @let x = times.x(point.audit.taken_at);
            line x1=(x) x2=(x) y1=(TOP) y2=(bottom) stroke="#7a4b00" stroke-width="1" stroke-dasharray="3 3" {}
            path d={ "M" (x) " " (bottom - 9) "l5 9h-10z" } fill="#fff" stroke="#7a4b00" stroke-width="1.5" {}
            text class="o" x=(x + 3) y=(TOP + 9) { (lang.pick("不完全", "incomplete")) }
        }
        @for (s, label) in all.iter().zip(labels(&all, &complete, y)) {
            (line(s, &complete, (&times, &y)))
            @if let Some((n, at)) = label {
                text x=(LEFT + width + 6) y=(at) fill=(s.colour) { (lang.number(n)) }
            }
        }
    };
    let told = Told {
        id: "c-residual",
        title: lang.pick("共有ストアに残る情報の推移", "What is left in the shared store over time").to_owned(),
        description: description(lang, &own, &all),
    };
    html! {
        (chart(&told, bottom + 30, &content))
        ul class="legend" {
            @for (n, s) in (0u64..).zip(&all) {
                @if complete.iter().any(|p| (s.of)(p).is_some()) {
                    li {
                        svg aria-hidden="true" viewBox="0 0 24 14" {
                            line x1="0" x2="24" y1="7" y2="7" stroke=(s.colour) stroke-width="2.5" stroke-dasharray=(s.dashes) {}
                            (dot(n, (12, 7), s.colour))
                        }
                        (s.name)
                    }
                }
            }
            li {
                svg aria-hidden="true" viewBox="0 0 24 14" { path d="M12 2l5 9h-10z" fill="#fff" stroke="#7a4b00" stroke-width="1.5" {} }
                (lang.pick("不完全な監査（件数は下限のため線に含めない）", "incomplete audit: a lower bound, not part of the lines"))
            }
        }
    }
}

/// Where the last values stand beside the chart, without covering each other.
fn labels(all: &[Series], complete: &[&AuditPoint], y: impl Fn(u64) -> u64) -> Vec<Option<(u64, u64)>> {
    let last: Vec<Option<u64>> = all.iter().map(|s| complete.last().and_then(|p| (s.of)(p))).collect();
    let mut order: Vec<usize> = (0..all.len()).filter(|i| last.get(*i).is_some_and(Option::is_some)).collect();
    order.sort_by_key(|i| std::cmp::Reverse(last.get(*i).copied().flatten()));
    let mut placed = vec![None; all.len()];
    let mut free = 0;
    for i in order {
        let Some(n) = last.get(i).copied().flatten() else { continue };
        let at = (y(n) + 4).max(free);
        free = at + 12;
        if let Some(slot) = placed.get_mut(i) {
            *slot = Some((n, at));
        }
    }
    placed
}

fn line(s: &Series, points: &[&AuditPoint], (times, y): (&Times, &dyn Fn(u64) -> u64)) -> Markup {
    let places: Vec<(u64, u64)> = points.iter().filter_map(|p| Some((times.x(p.audit.taken_at), y((s.of)(p)?)))).collect();
    let path: Vec<String> = places.iter().map(|(x, y)| format!("{x},{y}")).collect();
    let shape = match s.dashes {
        "" => 0,
        "7 4" => 1,
        "2 3" => 2,
        _ => 3,
    };
    html! {
        polyline points=(path.join(" ")) fill="none" stroke=(s.colour) stroke-width="2.5" stroke-dasharray=(s.dashes) {}
        @if places.len() <= MARKED { @for place in &places { (dot(shape, *place, s.colour)) } }
    }
}

/// A mark whose shape tells the line.
fn dot(shape: u64, (x, y): (u64, u64), colour: &str) -> Markup {
    html! {
        @match shape {
            0 => { circle cx=(x) cy=(y) r="3.2" fill=(colour) {} }
            1 => { path d={ "M" (x) " " (y.saturating_sub(4)) "l4 4-4 4-4-4z" } fill=(colour) {} }
            2 => { rect x=(x - 3) y=(y.saturating_sub(3)) width="6" height="6" fill="#fff" stroke=(colour) stroke-width="1.6" {} }
            _ => { path d={ "M" (x) " " (y.saturating_sub(4)) "l4 7h-8z" } fill=(colour) {} }
        }
    }
}

fn description(lang: Lang, points: &[&AuditPoint], all: &[Series]) -> String {
    let incomplete = points.iter().filter(|p| !p.audit.complete).count();
    let mut said = lang.pick(
        format!("監査{}回、うち不完全{incomplete}回。", points.len()),
        format!("{} audits, {incomplete} of them incomplete.", points.len()),
    );
    let complete: Vec<&&AuditPoint> = points.iter().filter(|p| p.audit.complete).collect();
    if let (Some(first), Some(last)) = (complete.first(), complete.last()) {
        for s in all {
            if let (Some(from), Some(to)) = ((s.of)(first), (s.of)(last)) {
                said += &lang.pick(format!("{}：{from}件から{to}件。", s.name), format!(" {}: from {from} to {to}.", s.name));
            }
        }
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_axis_ends_at_a_round_number_not_far_above() {
        for most in [0, 1, 7, 10, 11, 49, 50, 99, 100, 37_412, 100_000, 1_234_567] {
            let end = round_up(most);
            assert!(end >= most && end <= (most * 5 / 2).max(10), "{most} {end}");
        }
    }
}
