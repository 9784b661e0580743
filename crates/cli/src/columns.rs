//! Lines that fit a terminal.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Columns of a terminal that nobody has made wider.
pub const WIDTH: usize = 80;

/// Lines of at most `width` columns; all but the first are indented. Long words (names of entries) are broken, behind a separator
/// where there is one.
pub fn wrapped(text: &str, width: usize, indent: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut used = 0;
    // How much of the line may stay when the next character does not fit.
    let mut breakable: Option<usize> = None;
    for c in text.chars() {
        let wide = c.width().unwrap_or(0);
        if used + wide > width && !line.is_empty() {
            let rest = match breakable.filter(|at| *at < line.len()) {
                Some(at) => line.split_off(at),
                None => String::new(),
            };
            lines.push(std::mem::replace(&mut line, " ".repeat(indent)).trim_end().to_owned());
            line.push_str(rest.trim_start());
            used = line.width();
            breakable = None;
        }
        line.push(c);
        used += wide;
        if matches!(c, ' ' | ',' | '@' | ';' | '/' | '=' | '.' | '　' | '、') {
            breakable = Some(line.len());
        }
    }
    lines.push(line);
    lines
}

/// Lines of at most `width` columns, with what begins the first one and what begins the others. A word that is longer stays whole, so
/// that a name can be copied.
pub fn words(text: &str, width: usize, (first, others): (&str, &str)) -> Vec<String> {
    let mut lines = Vec::new();
    let (mut line, mut used) = (first.to_owned(), first.width());
    let mut begun = false;
    for word in text.split(' ') {
        let wide = word.width();
        if begun && used + 1 + wide > width {
            lines.push(std::mem::replace(&mut line, others.to_owned()));
            (used, begun) = (others.width(), false);
        }
        if begun {
            line.push(' ');
            used += 1;
        }
        line.push_str(word);
        used += wide;
        begun = true;
    }
    lines.push(line);
    lines
}

/// Lines of at most [`WIDTH`] columns, the first and the others indented by so many.
pub fn wrap_within(text: &str, (first, others): (usize, usize)) -> Vec<String> {
    words(text, WIDTH, (&" ".repeat(first), &" ".repeat(others)))
}

/// The same under something that is said.
pub fn wrap(text: &str) -> Vec<String> {
    wrap_within(text, (4, 6))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_stay_whole() {
        let name = "x".repeat(90);
        assert_eq!(wrap(&format!("it is {name} there")), ["    it is", &format!("      {name}"), "      there"]);
        assert!(wrap(&"日本語 ".repeat(40)).iter().all(|line| line.width() <= WIDTH));
    }

    #[test]
    fn lines_begin_with_what_is_given() {
        let text = "one two uid=somebody-with-a-long-name,dc=example three";
        assert_eq!(words(text, 12, ("- ", "    ")), ["- one two", "    uid=somebody-with-a-long-name,dc=example", "    three"]);
        assert_eq!(words("共有 名簿 退職", 9, ("", "")), ["共有 名簿", "退職"]);
    }

    #[test]
    fn long_words_are_broken_behind_a_separator() {
        assert_eq!(wrapped("uid=someone,ou=own,ou=accounts", 14, 1), ["uid=someone,", " ou=own,ou=", " accounts"]);
        assert_eq!(wrapped("山田太郎花子", 6, 1), ["山田太", " 郎花", " 子"]);
        assert_eq!(wrapped("", 6, 1), [""]);
    }
}
