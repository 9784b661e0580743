//! The sheet that a person gets on paper: one A4 page each, in Japanese or English, with the secret in letters that are not
//! mistaken for each other.
//!
//! Pure text. Whatever comes from a directory or a file is escaped; nothing on the page asks for another resource or runs a script.

use std::fmt::Write as _;

use jiff::ZonedDateTime;
use untether_model::Dn;

use crate::args::Lang;
use untether_model::neutral::html as escaped;

/// One person's sheet.
pub struct Sheet<'a> {
    /// How people call them, if that is known.
    pub name: Option<String>,
    /// What they log in with.
    pub login: String,
    /// Their account.
    pub account: &'a Dn,
    /// Where they log in first.
    pub login_url: Option<&'a str>,
    /// The secret, in groups.
    pub secret: &'a str,
    /// Until when it is meant to be used.
    pub until: Option<ZonedDateTime>,
}

/// The words of one language.
struct Words {
    lang: &'static str,
    title: &'static str,
    lead: &'static str,
    login: &'static str,
    account: &'static str,
    place: &'static str,
    secret: &'static str,
    valid: &'static str,
    aid: &'static str,
    steps_title: &'static str,
    steps: [&'static str; 4],
    own: &'static str,
    destroy: &'static str,
}

const JA: Words = Words {
    lang: "ja",
    title: "初回パスワードのお知らせ",
    lead: "新しいディレクトリのアカウントをお使いいただくための、一度だけ使えるパスワードです。ご本人以外には見せないでください。",
    login: "ログイン名",
    account: "アカウント",
    place: "ログイン先",
    secret: "初回パスワード",
    valid: "有効期限",
    aid: "英字はすべて小文字です。数字は 2 から 7 までで、下線を付けてあります（0・1・8・9 は使いません）。ハイフン（-）も入力してください。",
    steps_title: "はじめてログインするとき",
    steps: [
        "ログイン名と初回パスワードでログインします。",
        "新しいパスワードを決めて変更します。これまでのパスワードは使わないでください。",
        "多要素認証を登録します。",
        "この用紙を裁断して捨てます。",
    ],
    own: "ご案内",
    destroy: "お心当たりがない場合や、期限が過ぎて使えない場合は、この用紙をお渡しした窓口へご連絡ください。",
};

const EN: Words = Words {
    lang: "en",
    title: "Your one-time password",
    lead: "It works once, for your account in the new directory. Show it to nobody.",
    login: "Login",
    account: "Account",
    place: "Log in at",
    secret: "One-time password",
    valid: "Valid until",
    aid: "All letters are small. Digits are 2 to 7 and underlined; 0, 1, 8 and 9 do not occur. The hyphens are part of it.",
    steps_title: "The first time",
    steps: [
        "Log in with your login and the one-time password.",
        "Choose a new password, not one that you have used before.",
        "Enroll a second factor.",
        "Shred this sheet.",
    ],
    own: "Instructions",
    destroy: "If you did not expect this sheet, or it no longer works, ask whoever gave it to you.",
};

const STYLE: &str = "\
@page { size: A4; margin: 20mm }
* { box-sizing: border-box }
body { margin: 0; color: #000; background: #fff; font: 11pt/1.6 'Noto Sans JP', 'BIZ UDPGothic', 'Hiragino Sans', 'Noto Sans', sans-serif }
.sheet { break-after: page; break-inside: avoid; max-width: 170mm; margin: 0 auto }
.sheet:last-child { break-after: auto }
h1 { font-size: 20pt; margin: 0 0 8mm; border-bottom: 1pt solid #000 }
h2 { font-size: 12pt; margin: 8mm 0 2mm }
.to { font-size: 15pt; margin: 0 0 4mm }
dl { display: grid; grid-template-columns: 40mm 1fr; gap: 2mm 4mm; margin: 6mm 0 }
dt { font-weight: bold }
dd { margin: 0; overflow-wrap: anywhere }
.secret { border: 1.5pt solid #000; padding: 5mm; text-align: center }
.secret code { font: bold 24pt/1.4 'DejaVu Sans Mono', 'Noto Sans Mono', 'BIZ UDGothic', Consolas, Menlo, monospace; white-space: nowrap }
.secret u { text-decoration-thickness: 1.5pt; text-underline-offset: 4pt }
.aid, .destroy { font-size: 9pt }
table { border-collapse: collapse; width: 100%; font-size: 9pt; margin: 2mm 0 }
td { border: .5pt solid #999; padding: .5mm 1.5mm; text-align: center }
.own { white-space: pre-line; border: .5pt solid #999; padding: 3mm; min-height: 25mm }
@media screen { .sheet { padding: 20mm 0; border-bottom: 1pt dashed #999 } }
";

/// One page a person.
pub fn document(lang: Lang, sheets: &[Sheet<'_>], instructions: &str) -> String {
    let words = match lang {
        Lang::Ja => &JA,
        Lang::En => &EN,
    };
    let mut out = String::new();
    let _ = writeln!(
        out,
        "<!DOCTYPE html>\n<html lang=\"{}\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <title>{}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>",
        words.lang, words.title
    );
    for sheet in sheets {
        page(&mut out, words, sheet, instructions);
    }
    out.push_str("</body>\n</html>\n");
    out
}

fn page(out: &mut String, words: &Words, sheet: &Sheet<'_>, instructions: &str) {
    let name = sheet.name.as_deref().unwrap_or(&sheet.login);
    let to = match words.lang {
        "ja" => format!("<bdi>{}</bdi> 様", escaped(name)),
        _ => format!("<bdi>{}</bdi>", escaped(name)),
    };
    let _ = writeln!(
        out,
        "<section class=\"sheet\">\n<h1>{}</h1>\n<p class=\"to\">{to}</p>\n<p>{}</p>\n<dl>",
        words.title, words.lead
    );
    let _ = writeln!(out, "<dt>{}</dt><dd><code><bdi>{}</bdi></code></dd>", words.login, escaped(&sheet.login));
    let _ = writeln!(out, "<dt>{}</dt><dd><bdi>{}</bdi></dd>", words.account, escaped(sheet.account.as_str()));
    if let Some(url) = sheet.login_url {
        let _ = writeln!(out, "<dt>{}</dt><dd><bdi>{}</bdi></dd>", words.place, escaped(url));
    }
    if let Some(until) = &sheet.until {
        let _ = writeln!(out, "<dt>{}</dt><dd>{}</dd>", words.valid, escaped(&time(words, until)));
    }
    let _ = writeln!(
        out,
        "</dl>\n<h2>{}</h2>\n<p class=\"secret\"><code>{}</code></p>\n<p class=\"aid\">{}</p>\n{}",
        words.secret,
        marked(sheet.secret),
        words.aid,
        spelled(words, sheet.secret)
    );
    let _ = writeln!(out, "<h2>{}</h2>\n<ol>", words.steps_title);
    for step in words.steps {
        let _ = writeln!(out, "<li>{step}</li>");
    }
    out.push_str("</ol>\n");
    if !instructions.trim().is_empty() {
        let _ = writeln!(out, "<h2>{}</h2>\n<p class=\"own\">{}</p>", words.own, escaped_lines(instructions.trim()));
    }
    let _ = writeln!(out, "<p class=\"destroy\">{}</p>\n</section>", words.destroy);
}

/// The secret with its digits underlined.
fn marked(secret: &str) -> String {
    let mut out = String::new();
    for c in secret.chars() {
        match c {
            '0'..='9' => {
                let _ = write!(out, "<u>{c}</u>");
            }
            other => out.push_str(&escaped(&other.to_string())),
        }
    }
    out
}

/// How each sign is read aloud, a row a group.
fn spelled(words: &Words, secret: &str) -> String {
    let mut out = String::from("<table>\n");
    for group in secret.split('-') {
        out.push_str("<tr>");
        for c in group.chars() {
            let _ = write!(out, "<td>{} {}</td>", escaped(&c.to_string()), sound(words, c));
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</table>");
    out
}

/// ICAO letters in English, the names of the letters in Japanese.
fn sound(words: &Words, c: char) -> &'static str {
    const LETTERS: [(&str, &str); 26] = [
        ("alfa", "エー"),
        ("bravo", "ビー"),
        ("charlie", "シー"),
        ("delta", "ディー"),
        ("echo", "イー"),
        ("foxtrot", "エフ"),
        ("golf", "ジー"),
        ("hotel", "エイチ"),
        ("india", "アイ"),
        ("juliett", "ジェイ"),
        ("kilo", "ケー"),
        ("lima", "エル"),
        ("mike", "エム"),
        ("november", "エヌ"),
        ("oscar", "オー"),
        ("papa", "ピー"),
        ("quebec", "キュー"),
        ("romeo", "アール"),
        ("sierra", "エス"),
        ("tango", "ティー"),
        ("uniform", "ユー"),
        ("victor", "ブイ"),
        ("whiskey", "ダブリュー"),
        ("x-ray", "エックス"),
        ("yankee", "ワイ"),
        ("zulu", "ゼット"),
    ];
    const DIGITS: [(&str, &str); 10] = [
        ("zero", "数字のゼロ"),
        ("one", "数字のいち"),
        ("two", "数字のに"),
        ("three", "数字のさん"),
        ("four", "数字のよん"),
        ("five", "数字のご"),
        ("six", "数字のろく"),
        ("seven", "数字のなな"),
        ("eight", "数字のはち"),
        ("nine", "数字のきゅう"),
    ];
    let at = |first: char| usize::try_from(u32::from(c).wrapping_sub(u32::from(first))).unwrap_or(usize::MAX);
    let found = match c {
        'a'..='z' => LETTERS.get(at('a')),
        '0'..='9' => DIGITS.get(at('0')),
        _ => None,
    };
    let (english, japanese) = found.copied().unwrap_or(("", ""));
    if words.lang == "ja" { japanese } else { english }
}

fn time(words: &Words, at: &ZonedDateTime) -> String {
    match words.lang {
        "ja" => format!(
            "{}年{}月{}日 {}時{:02}分（{}）",
            at.year(),
            at.month(),
            at.day(),
            at.hour(),
            at.minute(),
            at.time_zone().iana_name().unwrap_or("UTC")
        ),
        _ => at.strftime("%-d %B %Y, %H:%M (%Q)").to_string(),
    }
}

/// Text as it stands between tags, with its line breaks.
fn escaped_lines(text: &str) -> String {
    text.lines().map(escaped).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "x7k2m-abcde";

    fn sheet<'a>(account: &'a Dn, name: &str) -> Sheet<'a> {
        Sheet {
            name: Some(name.to_owned()),
            login: "sato.kenji".to_owned(),
            account,
            login_url: Some("https://login.own.example/?a=1&b=2"),
            secret: SECRET,
            until: Some("2026-12-08T12:26:00+09:00[Asia/Tokyo]".parse().unwrap()),
        }
    }

    #[test]
    fn every_person_has_a_page_in_either_language() {
        let account = Dn::parse("uid=sato.kenji,ou=people,dc=own").unwrap();
        let sheets = [sheet(&account, "佐藤 健司"), sheet(&account, "山田 花子")];
        let text = document(Lang::Ja, &sheets, "社内ヘルプデスク\n内線 1234");
        assert_eq!(text.matches("<section class=\"sheet\">").count(), 2);
        for words in ["佐藤 健司</bdi> 様", "2026年12月8日 12時26分（Asia/Tokyo）", "内線 1234", "数字のなな", "?a=1&amp;b=2"]
        {
            assert!(text.contains(words), "{words}: {text}");
        }
        let text = document(Lang::En, &sheets[..1], "");
        for words in ["8 December 2026, 12:26 (Asia/Tokyo)", "x-ray", "<u>7</u>k<u>2</u>m-abcde", "size: A4"] {
            assert!(text.contains(words), "{words}: {text}");
        }
        assert!(!text.contains("class=\"own\""), "nobody wrote instructions");
    }

    #[test]
    fn what_comes_from_a_directory_or_a_file_is_text_and_nothing_else() {
        let account = Dn::parse("uid=<b>x,ou=people,dc=own").unwrap();
        let text = document(Lang::En, &[sheet(&account, "<script>alert('x')</script>\u{202e}")], "<img src=x onerror=y>");
        assert!(!text.contains("<script") && !text.contains("<img") && !text.contains("uid=<b>"), "{text}");
        assert!(text.contains("default-src 'none'"));
        assert!(!text.contains("http://") && !text.contains("src=\"") && !text.contains("url("), "{text}");
    }

    #[test]
    fn every_sign_of_a_secret_can_be_read_aloud() {
        for c in "abcdefghijklmnopqrstuvwxyz234567".chars() {
            assert!(!sound(&JA, c).is_empty() && !sound(&EN, c).is_empty(), "{c}");
        }
    }
}
