//! Comparable forms of what people are known by: numbers, mail addresses, logins, names.
//!
//! Roster and directories spell the same thing in different widths, cases and paddings; correlation and the roster's grouping
//! compare these forms. Everything is normalized by NFKC, trimmed and case folded. A form that is empty identifies nobody and is
//! `None`.

use unicode_normalization::UnicodeNormalization;

/// NFKC and case folding; outer blanks dropped, inner blanks collapsed to one space.
pub fn fold(text: &str) -> String {
    let folded = folded(text);
    // Most are one word already.
    if folded.bytes().all(|b| b.is_ascii_graphic()) {
        return folded;
    }
    let mut out = String::with_capacity(text.len());
    for word in folded.split_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    }
    out
}

/// Upper-casing first unites what lower-casing alone keeps apart (`ß` and `ss`, the two small sigmas); character by character, so
/// that no letter depends on its neighbours.
fn folded(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let cased: String = text.nfkc().flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect();
    cased.nfkc().collect()
}

fn present(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

/// An employee number: blanks removed; digits only lose their leading zeros (all zeros stay one zero).
pub fn number(text: &str) -> Option<String> {
    // Most are digits alone.
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        let stripped = text.trim_start_matches('0');
        return Some(if stripped.is_empty() { "0" } else { stripped }.to_owned());
    }
    let compact: String = folded(text).split_whitespace().collect();
    if !compact.is_empty() && compact.bytes().all(|b| b.is_ascii_digit()) {
        let stripped = compact.trim_start_matches('0');
        return Some(if stripped.is_empty() { "0" } else { stripped }.to_owned());
    }
    present(compact)
}

/// A mail address: the domain by IDNA, the local part without folding dots or plus parts.
pub fn mail(text: &str) -> Option<String> {
    let whole = fold(text);
    if is_as_idna_leaves_it(&whole) { present(whole) } else { by_idna(&whole) }
}

/// Most addresses are.
fn is_as_idna_leaves_it(whole: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-');
    whole.rsplit_once('@').is_some_and(|(local, domain)| {
        !local.ends_with(' ') && !domain.ends_with('.') && !domain.contains("xn--") && domain.bytes().all(is_plain)
    })
}

fn by_idna(whole: &str) -> Option<String> {
    let Some((local, domain)) = whole.rsplit_once('@') else { return present(whole.to_owned()) };
    let (local, domain) = (local.trim_end(), domain.trim_start().trim_end_matches('.'));
    let ascii = idna::domain_to_ascii(domain).unwrap_or_else(|_| domain.to_owned());
    Some(format!("{local}@{ascii}"))
}

/// A login.
pub fn login(text: &str) -> Option<String> {
    present(fold(text))
}

/// A person's name.
pub fn name(text: &str) -> Option<String> {
    present(fold(text))
}

/// A value of the immutable link attribute.
pub fn link(text: &str) -> Option<String> {
    present(fold(text))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert_eq, proptest};

    use super::*;

    #[test]
    fn numbers_lose_blanks_and_leading_zeros_only_where_they_are_digits() {
        assert_eq!(number(" 00 123 ").as_deref(), Some("123"));
        assert_eq!(number("００１２３").as_deref(), Some("123"));
        assert_eq!(number("000").as_deref(), Some("0"));
        assert_eq!(number("00A12").as_deref(), Some("00a12"));
        assert_eq!(number("A 12").as_deref(), Some("a12"));
        assert_eq!(number("　"), None);
    }

    #[test]
    fn mail_compares_the_domain_by_idna_and_keeps_dots_and_plus_parts() {
        assert_eq!(mail("Taro.Yamada@日本語.JP"), mail("taro.yamada@xn--wgv71a119e.jp"));
        assert_eq!(mail("ｔaro@example.com").as_deref(), Some("taro@example.com"));
        assert_ne!(mail("taro.y@example.com"), mail("taroy@example.com"));
        assert_ne!(mail("taro+a@example.com"), mail("taro@example.com"));
        assert_eq!(mail("taro@example.com."), mail("taro@example.com"));
        assert_eq!(mail(" "), None);
        assert_eq!(mail("no-domain").as_deref(), Some("no-domain"));
    }

    proptest! {
        #[test]
        fn what_need_not_go_through_idna_comes_out_of_it_unchanged(text in "[a-zA-Z0-9 +.-]{0,9}@[a-z0-9.@ -]{0,24}") {
            prop_assert_eq!(mail(&text), by_idna(&fold(&text)));
        }
    }

    #[test]
    fn names_collapse_blanks_of_any_width() {
        assert_eq!(name("山田　 太郎"), name(" 山田 太郎"));
        assert_ne!(name("山田太郎"), name("山田 太郎"));
        assert_eq!(name("Straße"), name("STRASSE"));
        assert_eq!(name("ｶﾞｷﾞ"), name("ガギ"));
        assert_eq!(login("ΣΊΣΥΦΟΣ"), login("σίσυφος"));
    }
}
