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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_words_are_broken_behind_a_separator() {
        assert_eq!(wrapped("uid=someone,ou=own,ou=accounts", 14, 1), ["uid=someone,", " ou=own,ou=", " accounts"]);
        assert_eq!(wrapped("山田太郎花子", 6, 1), ["山田太", " 郎花", " 子"]);
        assert_eq!(wrapped("", 6, 1), [""]);
    }
}
