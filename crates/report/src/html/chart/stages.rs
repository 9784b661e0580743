//! Subjects of each entity by the stage that they have ended.

use maud::{Markup, html};
use untether_model::neutral::line as visible;
use untether_model::operation::Stage;

use super::{Told, WIDTH, chart, columns, part, short};
use crate::progress::{EntityProgress, Missing};
use crate::tables::Book;
use crate::words::Lang;

const LEFT: u64 = 150;
const BAR: u64 = WIDTH - LEFT - 62;
const ROW: u64 = 34;

/// Where a subject can stand, from the end of the way to its beginning.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Finished,
    Ended(Stage),
    None,
    Parked,
    Planned,
    Unplanned,
}

/// Places with colour, pattern and whether text on them is white.
const PLACES: [(Place, &str, Option<&str>, bool); 12] = [
    (Place::Finished, "#0b6b3a", None, true),
    (Place::Ended(Stage::Remove), "#2e8b57", Some("up"), true),
    (Place::Ended(Stage::Scrub), "#12406b", None, true),
    (Place::Ended(Stage::Soak), "#1f5f99", Some("up"), true),
    (Place::Ended(Stage::Disable), "#2f78b7", None, true),
    (Place::Ended(Stage::Switch), "#6fa8d6", Some("down"), false),
    (Place::Ended(Stage::Enroll), "#9cc6e6", None, false),
    (Place::Ended(Stage::Provision), "#c6def1", Some("up"), false),
    (Place::None, "#e4edf5", None, false),
    (Place::Parked, "#f0b429", Some("dots"), false),
    (Place::Planned, "#ffffff", None, false),
    (Place::Unplanned, "#d8d8d8", Some("cross"), false),
];

fn name(place: Place, lang: Lang) -> String {
    match place {
        Place::Finished => lang.pick("完了", "finished").to_owned(),
        Place::Ended(stage) => lang.pick(format!("{}済み", lang.short_stage(stage)), lang.short_stage(stage).to_owned()),
        Place::None => lang.pick("着手・段階未了", "in a wave, no stage ended").to_owned(),
        Place::Parked => lang.pick("一時保留", "parked").to_owned(),
        Place::Planned => lang.pick("計画済み・未着手", "planned, not started").to_owned(),
        Place::Unplanned => lang.pick("計画外", "in no plan").to_owned(),
    }
}

fn count(entity: &EntityProgress, place: Place) -> u64 {
    let standing = |ended: Option<Stage>| {
        entity.tracks.iter().flat_map(|t| &t.stages).filter(|s| s.ended == ended).map(|s| s.subjects).sum()
    };
    match place {
        Place::Finished => entity.tracks.iter().map(|t| t.finished).sum(),
        Place::Ended(stage) => standing(Some(stage)),
        Place::None => standing(None),
        Place::Parked => entity.tracks.iter().map(|t| t.parked).sum(),
        Place::Planned => entity.outlook.planned,
        Place::Unplanned => {
            let unplanned = |m: &Missing| if let Missing::Unplanned { subjects, .. } = m { Some(*subjects) } else { None };
            entity.outlook.missing.iter().find_map(unplanned).unwrap_or(0)
        }
    }
}

/// Fills that are told apart without colours.
fn patterns() -> Markup {
    html! {
        defs {
            pattern id="up" width="6" height="6" patternUnits="userSpaceOnUse" {
                path d="M0 6 6 0M-1 1 1-1M5 7 7 5" stroke="#fff" stroke-opacity=".55" stroke-width="1.4" {}
            }
            pattern id="down" width="6" height="6" patternUnits="userSpaceOnUse" {
                path d="M0 0 6 6M5-1 7 1M-1 5 1 7" stroke="#fff" stroke-opacity=".7" stroke-width="1.6" {}
            }
            pattern id="dots" width="6" height="6" patternUnits="userSpaceOnUse" { circle cx="3" cy="3" r="1.3" fill="#7a4b00" {} }
            pattern id="cross" width="6" height="6" patternUnits="userSpaceOnUse" {
                path d="M0 0 6 6M0 6 6 0" stroke="#777" stroke-width="1" {}
            }
        }
    }
}

fn swatch(x: u64, y: u64, width: u64, height: u64, (fill, pattern): (&str, Option<&str>)) -> Markup {
    html! {
        rect x=(x) y=(y) width=(width) height=(height) fill=(fill) stroke="#57606a" stroke-width=".6" {}
        @if let Some(pattern) = pattern {
            rect x=(x) y=(y) width=(width) height=(height) fill={ "url(#" (pattern) ")" } {}
        }
    }
}

/// A bar an entity, as long as the largest one has subjects.
pub(in crate::html) fn stages(book: Book<'_>) -> Markup {
    let lang = book.lang;
    let rows: Vec<(&EntityProgress, u64)> = book
        .report
        .entities
        .iter()
        .map(|entity| (entity, PLACES.iter().map(|(place, ..)| count(entity, *place)).sum()))
        .filter(|(_, sum)| *sum > 0)
        .collect();
    if rows.is_empty() {
        return html! { p { (lang.pick("着手済み・計画済みの対象者はいません。", "No subject is in a wave or in a plan.")) } };
    }
    let most = rows.iter().map(|(_, sum)| *sum).max().unwrap_or(1);
    let content = html! {
        (patterns())
        @for (n, (entity, sum)) in (0u64..).zip(&rows) {
            @let y = n * ROW + 6;
            text class="b" x=(LEFT - 8) y=(y + 16) text-anchor="end" { (short(&visible(&book.name(entity)), 22)) }
            (bar(entity, lang, (y, most)))
            text x=(LEFT + part(*sum, most, BAR) + 6) y=(y + 16) { (lang.number(*sum)) }
        }
    };
    let told = Told {
        id: "c-stages",
        title: lang.pick("会社別・段階別の対象者数", "Subjects by entity and stage ended").to_owned(),
        description: description(book, &rows),
    };
    let used = PLACES.iter().map(|(place, fill, pattern, _)| {
        (*place, (*fill, *pattern), rows.iter().map(|(entity, _)| count(entity, *place)).sum::<u64>())
    });
    let used: Vec<_> = used.filter(|(_, _, n)| *n > 0).collect();
    html! {
        (chart(&told, crate::compute::count(rows.len()) * ROW + 8, &content))
        ul class="legend" {
            @for (place, look, n) in used {
                li { svg aria-hidden="true" viewBox="0 0 24 14" { (swatch(1, 1, 22, 12, look)) } (name(place, lang)) " " (lang.number(n)) }
            }
        }
    }
}

fn bar(entity: &EntityProgress, lang: Lang, (y, most): (u64, u64)) -> Markup {
    let mut before = 0;
    let mut segments = Vec::new();
    for (place, fill, pattern, white) in PLACES {
        let n = count(entity, place);
        if n == 0 {
            continue;
        }
        let (from, to) = (part(before, most, BAR), part(before + n, most, BAR));
        before += n;
        // However few they are, they are seen.
        segments.push((LEFT + from, (to - from).max(1), n, (fill, pattern, white)));
    }
    html! {
        @for (x, width, n, (fill, pattern, white)) in segments {
            @let words = lang.number(n);
            @let wide = columns(&words) * 7;
            (swatch(x, y, width, 24, (fill, pattern)))
            @if width > wide + 6 {
                @if pattern.is_some() {
                    rect x=(x + width / 2 - wide / 2 - 2) y=(y + 6) width=(wide + 4) height="13" fill=(fill) {}
                }
                text class=(if white { "w" } else { "p" }) x=(x + width / 2) y=(y + 16) text-anchor="middle" { (words) }
            }
        }
    }
}

fn description(book: Book<'_>, rows: &[(&EntityProgress, u64)]) -> String {
    let lang = book.lang;
    let mut lines = Vec::new();
    for (entity, sum) in rows {
        let parts = PLACES.iter().map(|(place, ..)| (*place, count(entity, *place))).filter(|(_, n)| *n > 0);
        let parts: Vec<String> = parts.map(|(place, n)| format!("{} {n}", name(place, lang))).collect();
        lines.push(lang.pick(
            format!("{}：計{sum}件（{}）。", visible(&book.name(entity)), parts.join("、")),
            format!("{}: {sum} in all ({}).", visible(&book.name(entity)), parts.join(", ")),
        ));
    }
    lines.join(" ")
}
