//! Findings by rule: what is left and what is gone.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::{Told, WIDTH, chart, columns, part};
use crate::tables::Book;

const LEFT: u64 = 250;
const BAR: u64 = WIDTH - LEFT - 96;
const ROW: u64 = 22;
/// Rules that are drawn; the table has all.
const MOST: usize = 18;

#[derive(Clone, Copy, Default)]
struct Sum {
    left: u64,
    severe: u64,
    gone: u64,
}

/// A bar a rule, the one with most left first.
pub(in crate::html) fn rules(book: Book<'_>) -> Markup {
    let (lang, report) = (book.lang, book.report);
    let mut sums: BTreeMap<&str, Sum> = BTreeMap::new();
    for finding in &report.rules {
        let sum = sums.entry(&finding.count.rule).or_default();
        sum.left += finding.count.left;
        sum.severe += finding.severe;
        sum.gone += finding.count.gone().unwrap_or(0);
    }
    let mut rows: Vec<(&str, Sum)> = sums.into_iter().collect();
    rows.sort_by_key(|(rule, sum)| (std::cmp::Reverse(sum.left), *rule));
    rows.truncate(MOST);
    if rows.is_empty() {
        return html! {};
    }
    let most = rows.iter().map(|(_, sum)| sum.left + sum.gone).max().unwrap_or(1).max(1);
    let content = html! {
        defs { pattern id="gone" width="6" height="6" patternUnits="userSpaceOnUse" {
            path d="M0 6 6 0M-1 1 1-1M5 7 7 5" stroke="#57606a" stroke-width="1" {}
        } }
        @for (n, (rule, sum)) in (0u64..).zip(&rows) {
            @let y = n * ROW + 4;
            @let severe = seen(sum.severe, part(sum.severe, most, BAR));
            @let left = seen(sum.left, part(sum.left, most, BAR)).max(severe);
            @let gone = left + seen(sum.gone, part(sum.gone, most, BAR));
            text x=(LEFT - 8) y=(y + 12) text-anchor="end" { (name(book, rule)) }
            rect x=(LEFT) y=(y) width=(severe) height="16" fill="#a4161a" {}
            rect x=(LEFT + severe) y=(y) width=(left.saturating_sub(severe)) height="16" fill="#f0b429" stroke="#7a4b00" stroke-width=".6" {}
            rect x=(LEFT + left) y=(y) width=(gone.saturating_sub(left)) height="16" fill="#fff" stroke="#8c959f" stroke-width=".6" {}
            rect x=(LEFT + left) y=(y) width=(gone.saturating_sub(left)) height="16" fill="url(#gone)" {}
            text x=(LEFT + gone + 6) y=(y + 12) { (lang.number(sum.left)) " / " (lang.number(sum.left + sum.gone)) }
        }
    };
    let told = Told {
        id: "c-rules",
        title: lang.pick("検査項目別の検出事項（残り／最多時）", "Findings by rule (left / at most)").to_owned(),
        description: rows
            .iter()
            .map(|(rule, sum)| {
                let name = name(book, rule);
                lang.pick(
                    format!("{name}：残り{}件（うち重大・高{}件）、解消{}件。", sum.left, sum.severe, sum.gone),
                    format!("{name}: {} left ({} critical or high), {} gone.", sum.left, sum.severe, sum.gone),
                )
            })
            .collect::<Vec<_>>()
            .join(" "),
    };
    html! {
        (chart(&told, crate::compute::count(rows.len()) * ROW + 6, &content))
        ul class="legend" {
            li { svg aria-hidden="true" viewBox="0 0 24 14" { rect x="1" y="1" width="22" height="12" fill="#a4161a" {} } (lang.pick("残り（重大・高）", "left, critical or high")) }
            li { svg aria-hidden="true" viewBox="0 0 24 14" { rect x="1" y="1" width="22" height="12" fill="#f0b429" stroke="#7a4b00" {} } (lang.pick("残り（その他）", "left, others")) }
            li { svg aria-hidden="true" viewBox="0 0 24 14" { rect x="1" y="1" width="22" height="12" fill="#fff" stroke="#8c959f" {} path d="M1 13 13 1M9 13 21 1" stroke="#57606a" {} } (lang.pick("解消", "gone")) }
        }
    }
}

/// However few they are, they are seen.
fn seen(n: u64, width: u64) -> u64 {
    if n > 0 { width.max(2) } else { 0 }
}

fn name(book: Book<'_>, rule: &str) -> String {
    let words = book.lang.rule(rule);
    let name = if words.is_empty() { rule } else { words };
    super::short(name, if columns(name) > 40 { 40 } else { 42 })
}
