//! The page: well formed, self-contained, accessible, complete in both languages, and safe with whatever directories hold.

use std::collections::BTreeSet;

use data_encoding::BASE64;
use untether_model::digest::Digest;
use untether_model::operation::Stage;
use untether_model::run::{Decision, ParkReason, Record, WaveClaim};
use untether_model::{BatchId, EntityId, SubjectId};
use untether_report::{Lang, html, tables};

use crate::ledger::{
    Ledger, accounts, audit, audit_of, batch, begin, claimed, counts, forecast, midway, park, plan, policy, waive, wave,
};

/// Elements that have no end (HTML, section 13.1.2).
const VOID: [&str; 3] = ["meta", "br", "hr"];

/// One tag of the page.
struct Tag<'a> {
    name: &'a str,
    rest: &'a str,
    closes: bool,
}

/// The tags in order. Text of others is escaped, so that each `<` begins one.
fn tags(page: &str) -> Vec<Tag<'_>> {
    let mut found = Vec::new();
    for piece in page.split('<').skip(1) {
        let (tag, _) = piece.split_once('>').unwrap();
        let closes = tag.starts_with('/');
        let tag = tag.trim_start_matches('/');
        let (name, rest) = tag.split_once([' ', '\n']).unwrap_or((tag, ""));
        found.push(Tag { name, rest, closes });
    }
    found
}

/// The values of an attribute over the whole page.
fn values<'a>(page: &'a str, attribute: &str) -> Vec<&'a str> {
    let begin = format!(" {attribute}=\"");
    page.split(&begin).skip(1).filter_map(|piece| piece.split('"').next()).collect()
}

/// What a reader sees, without what is theirs or an id.
fn words(page: &str) -> String {
    let mut text = page.to_owned();
    for (open, close) in [("<style>", "</style>"), ("<bdi", "</bdi>"), ("<code>", "</code>"), ("<desc", "</desc>")] {
        while let Some(from) = text.find(open) {
            let to = text[from..].find(close).unwrap() + from + close.len();
            text.replace_range(from..to, " ");
        }
    }
    let mut seen = String::new();
    let mut in_tag = false;
    for c in text.chars() {
        match c {
            '<' => in_tag = true,
            '>' => {
                in_tag = false;
                seen.push(' ');
            }
            c if !in_tag => seen.push(c),
            _ => {}
        }
    }
    seen
}

/// A ledger in which everything that a page can tell has happened.
fn eventful() -> Ledger {
    let mut ledger = midway();
    ledger.accept("2026-04-02T00:00:00Z", "ログを確認した", "2026-04-20T00:00:00Z");
    ledger.decide("2026-04-02T00:00:00Z", waive("1", "2026-04-05"), "来週移設する");
    let keep = Decision::Track {
        subject: SubjectId::new("s-1"),
        track: untether_model::operation::Track::Keep,
        entity: Some(EntityId::new("own")),
        until: "2027-04-01".parse().unwrap(),
    };
    ledger.decide("2026-04-02T00:00:00Z", keep, "係争中");
    ledger.write("2026-04-02T00:00:00Z", park("s-1", ParkReason::Conflict));
    let reason = "2 refusals or conflicts, more than the batch tolerates".to_owned();
    ledger.write("2026-04-02T00:00:00Z", Record::Halted { batch: batch("b01"), reason });
    ledger.write(
        "2026-04-02T00:00:00Z",
        audit_of(
            "2026-04-02T00:00:00Z",
            vec![counts("coverage.truncated", None, 1), counts("residual.departed", Some("own"), 1)],
            Some(vec![accounts("own", (38, 30, 31), 28)]),
        ),
    );
    ledger.write(
        "2026-04-03T00:00:00Z",
        audit_of(
            "2026-04-03T00:00:00Z",
            vec![counts("residual.departed", Some("own"), 1), counts("residual.credential", Some("own"), 1)],
            Some(vec![accounts("own", (37, 30, 31), 28), accounts("sub", (25, 25, 25), 25)]),
        ),
    );
    ledger.write("2026-04-03T00:00:00Z", Record::Repaired { lost_from: 99, by: "hanako".into(), reason: "古い複製".into() });
    ledger
}

#[test]
fn the_page_is_well_formed_and_its_references_lead_somewhere() {
    for (ledger, lang) in [(eventful(), Lang::Ja), (eventful(), Lang::En), (Ledger::new(), Lang::Ja), (Ledger::new(), Lang::En)] {
        let page = html(&ledger.report(), lang);
        assert!(page.starts_with("<!DOCTYPE html><html lang="));
        let mut open = Vec::new();
        for tag in tags(&page).iter().filter(|t| !VOID.contains(&t.name) && t.name != "!DOCTYPE") {
            if tag.closes {
                assert_eq!(open.pop(), Some(tag.name));
            } else {
                open.push(tag.name);
            }
        }
        assert!(open.is_empty(), "{open:?}");
        let ids = values(&page, "id");
        let unique: BTreeSet<&str> = ids.iter().copied().collect();
        assert_eq!(unique.len(), ids.len(), "an id twice: {ids:?}");
        let named = values(&page, "aria-labelledby").into_iter().flat_map(str::split_whitespace);
        let linked = values(&page, "href").into_iter().map(|href| href.strip_prefix('#').expect("a link that leads away"));
        for id in named.chain(linked) {
            assert!(unique.contains(id), "{id}");
        }
        for fill in values(&page, "fill").into_iter().filter_map(|f| f.strip_prefix("url(#")) {
            assert!(unique.contains(fill.trim_end_matches(')')), "{fill}");
        }
    }
}

#[test]
fn nothing_is_loaded_and_nothing_runs() {
    for lang in [Lang::Ja, Lang::En] {
        let page = html(&eventful().report(), lang);
        for tag in tags(&page) {
            assert!(!["script", "link", "img", "iframe", "object", "embed", "form", "base", "foreignObject"].contains(&tag.name));
            assert!(!tag.rest.contains(" on") && !tag.rest.contains("style="), "{} {}", tag.name, tag.rest);
        }
        for elsewhere in ["http:", "https:", "//", "javascript:", "data:", " src=", "@import", "url(\"", "url('"] {
            assert!(!page.contains(elsewhere), "{elsewhere}");
        }
        // The policy lets this style in, and nothing else.
        let style = page.split("<style>").nth(1).unwrap().split("</style>").next().unwrap();
        let hash = BASE64.encode(Digest::of(style.as_bytes()).as_bytes());
        let policy = format!("default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'");
        let shown = values(&page, "content").into_iter().find(|c| c.starts_with("default-src")).unwrap();
        assert_eq!(shown.replace("&#39;", "'"), policy);
    }
}

#[test]
fn every_chart_says_in_words_what_it_shows() {
    for lang in [Lang::Ja, Lang::En] {
        let page = html(&eventful().report(), lang);
        let charts: Vec<&str> = page.split("<svg role=\"img\"").skip(1).collect();
        assert_eq!(charts.len(), 4);
        for chart in charts {
            let chart = chart.split("</svg>").next().unwrap();
            for told in ["title", "desc"] {
                let text = chart.split(&format!("<{told} id=")).nth(1).unwrap().split('>').nth(1).unwrap();
                assert!(text.split('<').next().unwrap().chars().count() > 8, "{told}: {text}");
            }
        }
        let decorative = page.matches("<svg ").count() - 4;
        assert_eq!(page.matches("<svg aria-hidden=\"true\"").count(), decorative);
    }
}

#[test]
fn every_table_has_a_caption_and_a_file_of_that_name() {
    for lang in [Lang::Ja, Lang::En] {
        let report = eventful().report();
        let page = html(&report, lang);
        assert_eq!(page.matches("<table>").count(), page.matches("<caption>").count());
        let files: BTreeSet<String> = tables(&report, lang).iter().map(|t| format!("{}.{}.csv", t.name, lang.code())).collect();
        let named: BTreeSet<String> = page
            .split("<code>")
            .skip(1)
            .filter_map(|p| p.split('<').next())
            .filter(|n| n.ends_with(".csv"))
            .map(str::to_owned)
            .collect();
        assert!(named.is_subset(&files), "{named:?} {files:?}");
        assert!(named.len() >= 12, "{named:?}");
    }
}

#[test]
fn what_is_missing_stands_before_the_first_figure() {
    for lang in [Lang::Ja, Lang::En] {
        let page = html(&eventful().report(), lang);
        let gaps = page.find("class=\"gaps\"").unwrap();
        assert!(gaps < page.find("<main>").unwrap());
        let box_of = &page[gaps..page.find("<main>").unwrap()];
        for part in ["99", if lang.code() == "ja" { "所要期間" } else { "No plan says" }] {
            assert!(box_of.contains(part), "{part}: {box_of}");
        }
    }
}

#[test]
fn the_japanese_page_is_in_japanese() {
    // Names of things that have no other one.
    let known = ["SHA", "CSV", "untether", "Asia", "Tokyo", "UTC"];
    for ledger in [eventful(), Ledger::new()] {
        let mut ledger = ledger;
        for entity in ledger.entities.values_mut() {
            entity.name = entity.name_ja.clone().unwrap();
        }
        let page = html(&ledger.report(), Lang::Ja);
        let seen = words(&page);
        let english: BTreeSet<&str> = seen
            .split(|c: char| !c.is_ascii_alphabetic())
            .filter(|w| w.len() >= 3 && !known.contains(w) && *w != "hanako" && *w != "jiro")
            .collect();
        // Descriptions of charts are words, too.
        let described: String =
            page.split("<desc ").skip(1).filter_map(|p| p.split('<').next()).map(|d| d.split('>').nth(1).unwrap_or("")).collect();
        let also: BTreeSet<&str> = described.split(|c: char| !c.is_ascii_alphabetic()).filter(|w| w.len() >= 3).collect();
        assert!(english.is_empty() && also.is_empty(), "{english:?} {also:?}");
    }
}

#[test]
fn what_others_wrote_cannot_become_markup_or_turn_the_page_around() {
    let hostile = "<script>alert(1)</script>\"'&\u{202e}gpj.exe\u{0}";
    let mut ledger = midway();
    let entity = ledger.entities.get_mut(&EntityId::new("own")).unwrap();
    (entity.name, entity.name_ja) = (hostile.to_owned(), Some(hostile.to_owned()));
    ledger.accept("2026-04-02T00:00:00Z", hostile, "2026-04-20T00:00:00Z");
    ledger.write("2026-04-02T00:00:00Z", Record::Halted { batch: batch("b01"), reason: hostile.into() });
    ledger.write("2026-04-02T00:00:00Z", Record::Paused { by: hostile.into(), reason: hostile.into() });
    for lang in [Lang::Ja, Lang::En] {
        let page = html(&ledger.report(), lang);
        assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
        assert!(tags(&page).iter().all(|tag| tag.name != "script"));
        for c in ['\u{202e}', '\u{0}', '\u{2066}'] {
            assert!(!page.contains(c), "{c:?}");
        }
        assert!(page.contains("(U+202E)gpj.exe"), "it is seen, not swallowed");
        // In tables it stands in a box of its own direction.
        let at = page.find("<td><bdi>&lt;script&gt;").expect("in a cell");
        assert!(page[at..].contains("</bdi></td>"));
    }
}

#[test]
fn the_same_ledger_and_clock_give_the_same_bytes() {
    for lang in [Lang::Ja, Lang::En] {
        assert_eq!(html(&eventful().report(), lang), html(&eventful().report(), lang));
    }
    let ledger = eventful();
    let later = ledger.report_at("2026-05-01T00:00:00Z".parse().unwrap());
    assert_ne!(html(&later, Lang::Ja), html(&ledger.report(), Lang::Ja), "time goes by");
}

#[test]
fn the_page_of_a_hundred_thousand_subjects_is_small() {
    let mut ledger = Ledger::new();
    ledger.policy = Some(policy());
    for month in 1..=12 {
        for day in [1, 8, 15, 22] {
            let when = format!("2025-{month:02}-{day:02}T00:00:00Z");
            let rules =
                ["residual.departed", "residual.credential", "residual.attribute", "link.shared-secret", "access.privileged"];
            let all = rules.iter().flat_map(|rule| ["own", "sub"].map(|entity| counts(rule, Some(entity), 40_000))).collect();
            let seen = Some(vec![accounts("own", (50_000, 9, 9), 9), accounts("sub", (50_000, 9, 9), 9)]);
            // The ledger's clock has begun later; an audit says itself when it was made.
            ledger.write("2026-01-05T00:00:00Z", audit_of(&when, all, seen));
        }
    }
    ledger.write("2026-01-11T00:00:00Z", plan(Some(forecast(&[("own", 4), ("sub", 5)]))));
    let people = |b: usize| {
        (0..100).map(move |n| claimed(&format!("s-{b:04}-{n:03}"), if b.is_multiple_of(2) { "own" } else { "sub" })).collect()
    };
    let claims = (0..1_000).map(|b| WaveClaim { batch: format!("b{b:04}"), canary: b == 0, subjects: people(b) });
    ledger.write("2026-01-12T00:00:00Z", begin(claims.collect()));
    for b in 0..1_000 {
        let id = BatchId::new(wave("leavers"), format!("b{b:04}"));
        ledger.stage("2026-02-01T00:00:00Z", &id, Stage::Disable);
        // Something happens to each of them.
        ledger.write("2026-02-02T00:00:00Z", Record::Halted { batch: id.clone(), reason: "a long reason of some words".into() });
        ledger.write("2026-02-02T00:00:00Z", Record::Resumed { batch: Some(id), by: "jiro".into(), reason: "fixed".into() });
    }
    ledger.write("2026-02-03T00:00:00Z", audit("2026-02-03T00:00:00Z", Vec::new()));
    let report = ledger.report();
    assert_eq!(report.totals.subjects, 100_000);
    for lang in [Lang::Ja, Lang::En] {
        let page = html(&report, lang);
        assert!(page.len() < 300_000, "{} bytes", page.len());
        assert!(
            page.contains(if lang.code() == "ja" { "行は省略" } else { "more rows are not shown" }),
            "what is left out is said"
        );
    }
    let events = tables(&report, Lang::En).into_iter().find(|t| t.name == "events").unwrap();
    assert_eq!(events.rows.len(), 4_000, "the file has them all");
}
