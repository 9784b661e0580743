//! The report as one page that needs nothing beside itself: no script, no font, no picture from elsewhere; charts are inline SVG with a
//! table beside each.
//!
//! Everything that is written passes through `maud`, which escapes it; text of people, directories and servers moreover stands in a
//! `<bdi>` of its own, without characters that turn the direction of writing.

mod cells;
mod chart;
mod sections;

use data_encoding::BASE64;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use untether_model::digest::Digest;

use crate::progress::ProgressReport;
use crate::tables::Book;
use crate::words::Lang;

const STYLE: &str = include_str!("style.css");

/// The page.
pub fn html(report: &ProgressReport, lang: Lang) -> String {
    let title = lang.pick("共有認証基盤からの分離に関する進捗報告", "Separation from the shared identity store: progress report");
    let book = Book { report, lang };
    let style = style(report, lang, title);
    let sections = sections::all(book);
    let page = html! {
        (DOCTYPE)
        html lang=(lang.code()) {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy(&style));
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="referrer" content="no-referrer";
                meta name="robots" content="noindex";
                title { (title) " " (lang.record(report.as_of.record)) }
                style { (PreEscaped(&style)) }
            }
            body {
                (sections::head(book, title))
                (sections::gaps(book))
                nav aria-label=(lang.pick("目次", "contents")) {
                    ol { @for section in &sections { li { a href={ "#" (section.id) } { (section.title) } } } }
                }
                main {
                    @for (number, section) in (1..).zip(&sections) {
                        section id=(section.id) class=[section.own_page.then_some("page")] aria-labelledby={ "h-" (section.id) } {
                            h2 id={ "h-" (section.id) } { (number) ". " (section.title) }
                            (section.content)
                        }
                    }
                }
                (sections::foot(book))
            }
        }
    };
    page.into_string()
}

/// The style with what stands at the foot of each printed page.
fn style(report: &ProgressReport, lang: Lang, title: &str) -> String {
    let at = lang.time(report.as_of.at, &report.zone);
    let foot = format!("{title}{}{at}, {}", lang.pick("　", "  "), lang.record(report.as_of.record));
    // Words of ours, a date and a number: nothing of others comes into the style.
    STYLE.replace("FOOT", &foot)
}

/// Nothing is loaded, nothing runs, nothing is sent; of styles only this one.
fn policy(style: &str) -> String {
    let hash = BASE64.encode(Digest::of(style.as_bytes()).as_bytes());
    format!("default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'")
}

/// A chapter.
struct Section {
    id: &'static str,
    title: &'static str,
    /// It begins on a page of its own when printed.
    own_page: bool,
    content: Markup,
}
