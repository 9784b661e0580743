//! The `key=value key="quoted value"` syntax of slapd's configuration directives (slapd-config(5)).

use std::collections::BTreeMap;

/// Keys in lower case with their values; a key that stands there twice keeps the last value, as slapd does. Words without `=`
/// have an empty value.
pub type KeyValues = BTreeMap<String, String>;

/// Splits a directive at blanks. Double quotes group, a backslash takes the next character as it is; an ordering prefix `{n}` is
/// dropped.
pub fn words(text: &str) -> Vec<String> {
    let text = without_order(text);
    let mut out = Vec::new();
    let mut word = String::new();
    let (mut quoted, mut begun) = (false, false);
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => {
                quoted = !quoted;
                begun = true;
            }
            '\\' => {
                word.extend(chars.next());
                begun = true;
            }
            c if c.is_whitespace() && !quoted => {
                if begun {
                    out.push(std::mem::take(&mut word));
                }
                begun = false;
            }
            c => {
                word.push(c);
                begun = true;
            }
        }
    }
    if begun {
        out.push(word);
    }
    out
}

/// The text behind an ordering prefix such as `{0}`.
pub fn without_order(text: &str) -> &str {
    let text = text.trim();
    match text.strip_prefix('{').and_then(|rest| rest.split_once('}')) {
        Some((number, rest)) if number.bytes().all(|b| b.is_ascii_digit() || b == b'-') => rest.trim_start(),
        _ => text,
    }
}

/// The keys and values of a directive.
pub fn key_values(text: &str) -> KeyValues {
    words(text)
        .into_iter()
        .map(|word| match word.split_once('=') {
            Some((key, value)) => (key.to_ascii_lowercase(), value.to_owned()),
            None => (word.to_ascii_lowercase(), String::new()),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_group_and_order_prefixes_are_dropped() {
        let found = key_values(
            r#"{0}rid=001 provider=ldaps://a.example filter="(objectClass=*)" searchbase="ou=a b,dc=x" credentials="se \"c\" ret" schemachecking"#,
        );
        assert_eq!(found["rid"], "001");
        assert_eq!(found["searchbase"], "ou=a b,dc=x");
        assert_eq!(found["credentials"], r#"se "c" ret"#);
        assert_eq!(found["schemachecking"], "");
        assert_eq!(words("  "), Vec::<String>::new());
        assert_eq!(words(r#"a """#), ["a", ""]);
    }

    #[test]
    fn only_numbers_are_order_prefixes() {
        assert_eq!(without_order("{-1}frontend"), "frontend");
        assert_eq!(without_order("{SASL}x"), "{SASL}x");
    }
}
