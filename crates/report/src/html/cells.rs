//! Tables on the page.

use maud::{Markup, html};
use untether_model::neutral::line as visible;

use super::chart;
use crate::table::{Cell, Table, Tone};
use crate::tables::Book;
use crate::words::Lang;

/// How much of a table a page shows.
#[derive(Clone, Copy)]
pub(super) struct Show<'a> {
    /// The columns, by place; all where it is empty.
    pub columns: &'a [usize],
    /// Most rows.
    pub rows: usize,
}

/// Every column, and rows up to this number.
pub(super) const fn whole(rows: usize) -> Show<'static> {
    Show { columns: &[], rows }
}

/// A table. Where rows are left out, that is said, with the file that has all of them.
pub(super) fn table(book: Book<'_>, table: &Table, show: Show<'_>) -> Markup {
    let lang = book.lang;
    let all: Vec<usize> = (0..table.columns.len()).collect();
    let columns = if show.columns.is_empty() { all.as_slice() } else { show.columns };
    let left_out = table.rows.len().saturating_sub(show.rows);
    html! {
        div class="wide" {
            table {
                caption { (table.title) }
                thead { tr {
                    @for column in columns.iter().filter_map(|at| table.columns.get(*at)) {
                        th scope="col" class=[column.numbers.then_some("n")] { (column.name) }
                    }
                } }
                tbody {
                    @for row in table.rows.iter().take(show.rows) {
                        tr {
                            @for at in columns {
                                @if let (Some(cell), Some(column)) = (row.get(*at), table.columns.get(*at)) {
                                    td class=[class(cell, column.numbers)] { (content(book, cell)) }
                                }
                            }
                        }
                    }
                    @if table.rows.is_empty() {
                        tr { td colspan=(columns.len()) { (lang.pick("該当なし", "none")) } }
                    }
                }
            }
        }
        p class="note" {
            @if left_out > 0 {
                @match lang {
                    Lang::Ja => { "このほか " (lang.number(crate::compute::count(left_out))) "行は省略。" }
                    Lang::En => { (lang.number(crate::compute::count(left_out))) " more rows are not shown. " }
                }
            }
            (lang.pick("全行：", "All rows: ")) code { (table.name) "." (lang.code()) ".csv" }
        }
    }
}

fn class(cell: &Cell, numbers: bool) -> Option<&'static str> {
    match cell {
        Cell::Day(_) | Cell::Time(_) => Some("day"),
        _ => numbers.then_some("n"),
    }
}

/// Columns up to which a name or an id is not broken.
const UNBROKEN: u64 = 26;

/// Text of others, in a box of its own direction.
pub(super) fn foreign(text: &str) -> Markup {
    let short = chart::columns(text) <= UNBROKEN / 2;
    html! { bdi class=[short.then_some("k")] { (visible(text)) } }
}

/// An id, broken only where it is long.
pub(super) fn id(text: &str) -> Markup {
    let short = chart::columns(text) <= UNBROKEN;
    html! { bdi class={ "id" @if short { " k" } } { (visible(text)) } }
}

/// A judgement: a sign, a colour and the words.
pub(super) fn mark(lang: Lang, tone: Tone, words: &str) -> Markup {
    let (class, sign) = match tone {
        Tone::Good => ("good", lang.pick("○ ", "✓ ")),
        Tone::Warn => ("warn", lang.pick("△ ", "! ")),
        Tone::Bad => ("bad", lang.pick("× ", "✗ ")),
        Tone::Plain => ("", ""),
    };
    html! { span class=(class) { span aria-hidden="true" { (sign) } (visible(words)) } }
}

pub(super) fn unknown(lang: Lang) -> Markup {
    html! { span class="unknown" { (lang.unknown()) } }
}

fn content(book: Book<'_>, cell: &Cell) -> Markup {
    let lang = book.lang;
    match cell {
        Cell::Empty => html! { "—" },
        Cell::Unknown => unknown(lang),
        Cell::Words(text) => html! { (visible(text)) },
        Cell::Mark(tone, text) => mark(lang, *tone, text),
        Cell::Foreign(text) => foreign(text),
        Cell::Id(text) => id(text),
        Cell::Count(n) => html! { (lang.number(*n)) },
        Cell::Days(n) => html! { (n) },
        Cell::Day(day) => html! { (lang.exact_day(*day)) },
        Cell::Time(at) => html! { (lang.time(*at, &book.report.zone)) },
        Cell::Record(n) => html! { span class="rec" { (n) } },
        Cell::Cited(n, record) => html! { (lang.number(*n)) " " span class="rec" { "(" (record) ")" } },
    }
}
