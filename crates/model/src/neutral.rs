//! Text that others wrote, made harmless for the place where it is shown.
//!
//! Names in directories, rows of rosters, words of servers and reasons of people may hold control characters that steer a terminal,
//! formulas that a spreadsheet runs, markup, or characters that turn the direction of what stands beside them (Unicode UAX #9; the
//! "Trojan Source" attack). Everything that is written for people goes through one of these functions; there is no second place.
//! Knows the places, not what is written there: JSON is for programs and keeps every value exactly, see [`json`].

/// Shown in place of a control character.
const REPLACEMENT: char = '\u{fffd}';
/// Begins text whose direction is its own (FIRST STRONG ISOLATE).
const ISOLATE: char = '\u{2068}';
/// Ends it (POP DIRECTIONAL ISOLATE).
const POP: char = '\u{2069}';

/// One value in a line of a terminal. Line breaks are control characters here: a value is never more than its part of a line.
pub fn terminal(text: &str) -> String {
    isolated(text, visible(text, |_| None))
}

/// A value in one line of plain text, or of what is escaped afterwards (a template of a page). Line breaks become blanks.
pub fn line(text: &str) -> String {
    isolated(text, visible(text, |c| matches!(c, '\n' | '\r' | '\t').then_some(Plain::Instead(" "))))
}

/// Whole output for a terminal, in several lines: the last look at text whose values should have gone through [`terminal`] already.
/// Isolates that stand there stay.
pub fn lines(text: &str) -> String {
    visible(text, |c| matches!(c, '\n' | ISOLATE | POP).then_some(Plain::AsItIs))
}

/// A field of a CSV file. What a spreadsheet would take for a formula gets an apostrophe in front (OWASP, "CSV Injection"; the full-width
/// signs too, which a Japanese spreadsheet reads like the narrow ones).
pub fn cell(text: &str) -> String {
    let shown = visible(text, |_| None);
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r', '＝', '＋', '－', '＠']);
    if formula { format!("'{shown}") } else { shown }
}

/// A value in a line of Markdown: nothing in it is markup, an HTML tag or a character reference.
pub fn markdown(text: &str) -> String {
    let plain = |c: char| match c {
        '\n' | '\r' | '\t' => Some(Plain::Instead(" ")),
        '|' | '<' | '>' | '`' | '*' | '_' | '[' | ']' | '\\' | '&' | '~' => Some(Plain::Escaped),
        _ => None,
    };
    isolated(text, visible(text, plain))
}

/// A value in the text or in a quoted attribute of an HTML page. Text that may run from right to left gets an element of its own, so
/// this is for text; in an attribute such text stands between isolates.
pub fn html(text: &str) -> String {
    let plain = |c: char| match c {
        '&' => Some(Plain::Instead("&amp;")),
        '<' => Some(Plain::Instead("&lt;")),
        '>' => Some(Plain::Instead("&gt;")),
        '"' => Some(Plain::Instead("&quot;")),
        '\'' => Some(Plain::Instead("&#39;")),
        '\n' | '\r' | '\t' => Some(Plain::Instead(" ")),
        _ => None,
    };
    isolated(text, visible(text, plain))
}

/// A line of JSON as it is, with every character that does not show, or turns the direction, as the escape that stands for it: the
/// value is the same, and whoever looks at the line in a terminal is not deceived.
pub fn json(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    for c in line.chars() {
        if is_deceptive(c) {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            out.push(c);
        }
    }
    out
}

/// What becomes of a character that a place has its own word for.
enum Plain {
    AsItIs,
    Escaped,
    Instead(&'static str),
}

fn visible(text: &str, plain: impl Fn(char) -> Option<Plain>) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match plain(c) {
            Some(Plain::AsItIs) => out.push(c),
            Some(Plain::Escaped) => out.extend(['\\', c]),
            Some(Plain::Instead(word)) => out.push_str(word),
            None if is_deceptive(c) => out.push_str(&format!("(U+{:04X})", u32::from(c))),
            None if c.is_control() => out.push(REPLACEMENT),
            None => out.push(c),
        }
    }
    out
}

/// Characters that show nothing themselves and change what is shown around them, or hide that something is there: marks, embeddings,
/// overrides and isolates of direction, line separators, blanks without width, tags. The joiners U+200C and U+200D are left: scripts
/// of real names need them.
fn is_deceptive(c: char) -> bool {
    matches!(
        c,
        '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

/// Letters of scripts that run from right to left would reorder what stands beside them; between isolates they keep to themselves
/// (UAX #9, section 2.4).
fn isolated(text: &str, shown: String) -> String {
    if text.chars().any(runs_to_the_left) { format!("{ISOLATE}{shown}{POP}") } else { shown }
}

/// The blocks of Hebrew, Arabic, Syriac and the other scripts whose letters run from right to left (`DerivedBidiClass.txt`).
fn runs_to_the_left(c: char) -> bool {
    matches!(c, '\u{590}'..='\u{8ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{fefe}' | '\u{10800}'..='\u{10fff}' | '\u{1e800}'..='\u{1efff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_not_steered_and_a_line_stays_a_line() {
        assert_eq!(terminal("a\u{1b}[31mb\nc\u{9b}"), "a\u{fffd}[31mb\u{fffd}c\u{fffd}");
        assert_eq!(terminal("髙橋 太郎"), "髙橋 太郎");
        assert_eq!(lines("one\ntwo\u{7}"), "one\ntwo\u{fffd}");
        assert_eq!(line("one\ntwo\u{7}\u{202e}"), "one two\u{fffd}(U+202E)");
    }

    #[test]
    fn direction_is_never_turned_by_a_value() {
        assert_eq!(terminal("admin\u{202e}nimda"), "admin(U+202E)nimda");
        assert_eq!(terminal("ba\u{200b}d\u{e0041}"), "ba(U+200B)d(U+E0041)");
        assert_eq!(terminal("דוד"), "\u{2068}דוד\u{2069}");
        assert_eq!(lines(&terminal("דוד")), "\u{2068}דוד\u{2069}");
        assert_eq!(lines("\u{2066}x"), "(U+2066)x");
    }

    #[test]
    fn no_field_is_a_formula() {
        for text in ["=1+1", "+3", "-2", "@x", "\t=1", "\r=1", "＝1＋1", "－x"] {
            assert!(cell(text).starts_with('\''), "{text:?}");
        }
        assert_eq!(cell("own/10023"), "own/10023");
        assert_eq!(cell("a=1"), "a=1");
        assert!(!cell("x\r\n=cmd()").contains(['\r', '\n']));
    }

    #[test]
    fn markup_is_text() {
        assert_eq!(markdown("<b>*x* [a](b) &#x202e;|"), r"\<b\>\*x\* \[a\](b) \&#x202e;\|");
        assert_eq!(markdown("two\nlines"), "two lines");
        assert_eq!(
            html("<script>alert('x')</script> & \"q\""),
            "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; &quot;q&quot;"
        );
        assert_eq!(html("\u{202e}x"), "(U+202E)x");
    }

    #[test]
    fn json_keeps_the_value_and_shows_what_it_is() {
        let value = "a\u{202e}b\u{e0041}c";
        let line = json(&serde_json::to_string(value).unwrap());
        assert_eq!(line, "\"a\\u202eb\\udb40\\udc41c\"");
        assert_eq!(serde_json::from_str::<String>(&line).unwrap(), value);
    }
}
