//! Reading and writing exports.

use std::io::BufReader;

use proptest::prelude::*;
use untether_directory::ldif::{LdifError, LdifLimits, LdifProblem, LdifReader, Record, write_entry, write_version};
use untether_model::{AttrName, Dn, Entry, Value};

fn read(text: impl AsRef<[u8]>) -> Result<Vec<Record>, LdifError> {
    LdifReader::new(text.as_ref()).collect()
}

fn entries(text: impl AsRef<[u8]>) -> Vec<Entry> {
    let records = read(text).unwrap();
    records.into_iter().filter_map(|r| if let Record::Entry { entry, .. } = r { Some(entry) } else { None }).collect()
}

fn refused(text: impl AsRef<[u8]>) -> (u64, LdifProblem) {
    let error = read(text).unwrap_err();
    (error.line, error.problem)
}

#[test]
fn slapcat_output_with_folds_base64_and_options() {
    let text = "dn: uid=taro,ou=accounts,dc=shared,dc=ex\n ample\nobjectClass: inetOrgPerson\nobjectClass: labAccount\nuid: taro\n\
                cn;lang-ja:: 5bGx55Sw\n  5aSq6YOO\n\n";
    // A fold inside base64 takes exactly one blank away; the second one belongs to nothing and is refused.
    assert!(matches!(refused(text), (6, LdifProblem::BadBase64(name)) if name == "cn;lang-ja"));
    let entries = entries(text.replace("\n  5aSq", "\n 5aSq"));
    assert_eq!(entries[0].dn, Dn::parse("uid=taro,ou=accounts,dc=shared,dc=example").unwrap());
    assert_eq!(entries[0].text("cn;lang-ja"), Some("山田太郎"));
    assert_eq!(entries[0].values("objectclass").len(), 2);
}

#[test]
fn carriage_returns_marks_versions_and_folded_comments_change_nothing() {
    let text = "\u{feff}# export\r\n#  of a store that is\r\n  folded\r\nversion: 1\r\n\r\ndn:: dWlkPWHjgYIsZGM9eA==\r\nuid:aあ\r\n# between\r\n\
                description:\r\ntitle:   x \r\n\r\n";
    let entries = entries(text);
    assert_eq!(entries[0].dn, Dn::parse("uid=aあ,dc=x").unwrap());
    assert_eq!(entries[0].text("uid"), Some("aあ"));
    assert_eq!(entries[0].text("description"), Some(""));
    assert_eq!(entries[0].text("title"), Some("x "));
}

/// How much of a file is in memory decides nothing: lines that lie there whole are taken another way than those that do not.
#[test]
fn how_much_is_read_at_once_changes_nothing() {
    let text = "\u{feff}# export\r\n#  of a store that is\r\n  folded\r\nversion: 1\r\n\r\ndn: uid=taro,ou=acc\n ounts,dc=x\nuid: taro\n\
                cn;lang-ja:: 5bGx55Sw\r\n 5aSq6YOO\nmail: a\nsn:\nmail: b\n \n\n\n# search reference\nref: ldap://other.example/dc=y??sub\n\n\
                dn: dc=x\ndc: x\n";
    let whole = read(text).unwrap();
    assert_eq!((whole.len(), entries(text)[0].values("mail").len()), (3, 2));
    let broken = text.replace("dc: x", "dc x");
    for capacity in 1..=text.len() {
        let at_once = |text: &str| -> Result<Vec<Record>, LdifError> {
            LdifReader::new(BufReader::with_capacity(capacity, text.as_bytes())).collect()
        };
        assert_eq!(at_once(text).unwrap(), whole, "{capacity} bytes");
        assert_eq!(at_once(&broken).unwrap_err().line, refused(&broken).0, "{capacity} bytes");
    }
}

#[test]
fn a_complete_ldapsearch_says_so_and_a_truncated_one_too() {
    let export = |result: &str, count: u32| {
        format!(
            "# extended LDIF\n#\n# LDAPv3\n# base <dc=x> with scope subtree\n# filter: (objectclass=*)\n#\n\n# a, x\ndn: uid=a,dc=x\nuid: a\n\n\
             # search reference\nref: ldap://other.example/dc=y??sub\n\n# search result\nsearch: 2\nresult: {result}\n\
             control: 1.2.840.113556.1.4.319 false MAUCAQAEAA==\npagedresults: cookie=\n\n# numResponses: 3\n# numEntries: {count}\n# numReferences: 1\n"
        )
    };
    let trailer = |text: String| {
        let mut reader = LdifReader::new(text.as_bytes());
        let records: Vec<Record> = reader.by_ref().map(Result::unwrap).collect();
        assert_eq!(records.len(), 2);
        assert_eq!(records[1], Record::Reference { line: 13, url: "ldap://other.example/dc=y??sub".into() });
        reader.trailer().clone()
    };
    let complete = trailer(export("0 Success", 1));
    assert_eq!((complete.result_code, complete.num_entries, complete.entries_read), (Some(0), Some(1), 1));
    assert_eq!(complete.truncation(), None);
    assert!(complete.ended_with_blank);
    assert!(trailer(export("4 Size limit exceeded", 1)).truncation().unwrap().contains("result 4 (Size limit exceeded)"));
    assert!(trailer(export("0 Success", 2)).truncation().unwrap().contains("states 2 entries and holds 1"));
}

#[test]
fn pages_add_up_and_the_first_failure_counts() {
    let page = |uid: &str, result: &str| {
        format!(
            "dn: uid={uid},dc=x\nuid: {uid}\n\n# search result\nsearch: 2\nresult: {result}\n\n# numResponses: 2\n# numEntries: 1\n"
        )
    };
    let text = page("a", "0 Success") + &page("b", "11 Administrative limit exceeded") + &page("c", "0 Success");
    let mut reader = LdifReader::new(text.as_bytes());
    assert_eq!(reader.by_ref().map(Result::unwrap).count(), 3);
    assert_eq!((reader.trailer().result_code, reader.trailer().num_entries), (Some(11), Some(3)));
}

#[test]
fn an_export_that_ends_before_the_last_page_says_so() {
    for prefix in ["", "# "] {
        let page = |cookie: &str| format!("dn: dc=x\ndc: x\n\n{prefix}pagedresults: cookie={cookie}\n\n");
        let truncation = |text: String| {
            let mut reader = LdifReader::new(text.as_bytes());
            assert!(reader.by_ref().all(|record| record.is_ok()));
            reader.trailer().truncation()
        };
        assert!(truncation(page("BAAAAAAAAAA=") + &page("CAAAAAAAAAA=")).unwrap().contains("last page"));
        assert_eq!(truncation(page("BAAAAAAAAAA=") + &page("")), None);
    }
}

#[test]
fn references_in_comments_are_found() {
    let records = read("dn: dc=x\ndc: x\n\n# refldaps://far.example/dc=very-long-name-that-\n is-folded,dc=y\n\n").unwrap();
    let Record::Reference { line: 4, url } = &records[1] else { panic!("{records:?}") };
    assert_eq!(url, "ldaps://far.example/dc=very-long-name-that-is-folded,dc=y");
}

#[test]
fn a_malformed_record_refuses_the_file_with_its_line() {
    let good = "dn: dc=x\ndc: x\n\n";
    for (bad, line) in [
        ("dn: uid=a,dc=x\nuid a\n", 5),
        ("dn: uid=a,dc=x\nuid:: ???\n", 5),
        ("dn: nonsense\n", 4),
        ("dn:: /w==\nuid: a\n", 4),
        ("uid: a\n", 4),
        (" uid: a\n", 4),
        ("dn: uid=a,dc=x\nuid: a\ndn: uid=b,dc=x\n", 6),
        ("dn: uid=a,dc=x\nu id: a\n", 5),
        ("dn: uid=a,dc=x\nuid: a\0\n", 5),
        ("version: 1\n", 4),
        ("result: many\n", 4),
    ] {
        let error = read(format!("{good}{bad}")).unwrap_err();
        assert_eq!(error.line, line, "{bad:?}: {error}");
    }
    assert!(matches!(refused("dn: dc=x\njpegPhoto:< file:///etc/passwd\n\n"), (2, LdifProblem::Url(_))));
    assert!(matches!(refused("dn: dc=x\nchangetype: add\ndc: x\n\n"), (2, LdifProblem::ChangeRecord(_))));
    assert!(matches!(refused("dn: dc=x\ncontrol: 1.2.3 true\n\n"), (2, LdifProblem::ChangeRecord(_))));
    assert!(matches!(refused(b"\xff\xfed\0n\0"), (1, LdifProblem::Utf16)));
    assert!(matches!(refused("version: 2\n\n"), (1, LdifProblem::BadVersion)));
}

#[test]
fn after_an_error_nothing_more_is_read() {
    let mut reader = LdifReader::new(&b"dn: dc=x\nbroken\n\ndn: dc=y\ndc: y\n\n"[..]);
    assert!(reader.next().unwrap().is_err());
    assert!(reader.next().is_none());
}

#[test]
fn a_file_that_ends_in_the_middle_of_a_line_is_refused() {
    for text in ["dn: dc=x\ndc: x", "dn: dc=x\ndc: x\nphoto:: AAAA\n AA", "dn: dc=x\nphoto:: AAAA\n ", "dn: dc="] {
        assert!(matches!(refused(text), (_, LdifProblem::CutOff)), "{text:?}");
    }
    // Cut off after a whole line: only the missing empty line tells.
    let mut reader = LdifReader::new(&b"dn: dc=x\ndc: x\n"[..]);
    assert!(reader.next().unwrap().is_ok());
    assert!(reader.next().is_none());
    assert!(!reader.trailer().ended_with_blank);
}

#[test]
fn memory_is_bounded() {
    let limits = LdifLimits { line_bytes: 100, entry_bytes: 200 };
    let with =
        |text: String| LdifReader::with_limits(text.as_bytes(), limits).collect::<Result<Vec<_>, _>>().map_err(|e| e.problem);
    let folded = format!("dn: dc=x\ndescription: {}\n\n", "0123456789\n ".repeat(20));
    assert!(matches!(with(folded), Err(LdifProblem::LineTooLong { limit: 100 })));
    assert!(matches!(
        with(format!("dn: dc=x\n{}\n", "a: 0123456789\n".repeat(20))),
        Err(LdifProblem::EntryTooLarge { limit: 200, .. })
    ));
    assert!(with(format!("dn: dc=x\ndescription: {}\n\n", "x".repeat(87))).is_ok());
    assert!(matches!(with(format!("dn: dc=x\ndescription: {}\n\n", "x".repeat(88))), Err(LdifProblem::LineTooLong { .. })));
}

#[test]
fn what_is_written_is_ascii_folded_and_never_begins_a_line_with_a_value() {
    let mut entry = Entry::new(Dn::parse("dc=x").unwrap().child("cn", "山田, 太郎 "));
    entry.attrs.insert("description".into(), vec!["x".repeat(200).into(), "two\nlines".into(), ": colon".into(), "".into()]);
    let mut out = Vec::new();
    write_version(&mut out).unwrap();
    write_entry(&mut out, &entry).unwrap();
    let text = String::from_utf8(out.clone()).unwrap();
    assert!(text.is_ascii() && text.lines().all(|line| line.len() <= 76), "{text}");
    assert!(text.contains("\ndescription:: OiBjb2xvbg==\n") && text.ends_with("description:\n\n"), "{text}");
    assert_eq!(entries(out), [entry.clone()]);

    entry.attrs.insert("x\nchangetype".into(), vec!["delete".into()]);
    assert_eq!(write_entry(&mut Vec::new(), &entry).unwrap_err().kind(), std::io::ErrorKind::InvalidInput);
}

fn nasty_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..200).prop_map(Value::new),
        "[ -~]{0,160}".prop_map(Value::from),
        "[ :<#\\\\,+\"\n\r]{0,8}".prop_map(Value::from),
        "\\PC{0,40}".prop_map(Value::from),
    ]
}

fn nasty_entry() -> impl Strategy<Value = Entry> {
    let name = "[a-zA-Z][a-zA-Z0-9-]{0,12}(;lang-[a-z]{2})?"
        .prop_filter("not an attribute", |n| !["dn", "control", "changetype"].contains(&n.to_ascii_lowercase().as_str()));
    let attrs =
        proptest::collection::btree_map(name.prop_map(AttrName::new), proptest::collection::vec(nasty_value(), 1..4), 0..6);
    let rdn = "\\PC{1,20}".prop_filter("blank", |v| !v.trim().is_empty());
    (rdn, attrs).prop_map(|(rdn, attrs)| Entry {
        dn: Dn::parse("dc=x").unwrap().child("cn", rdn.as_str()),
        attrs: attrs.into_iter().map(|(name, values)| (name, values.into())).collect(),
    })
}

proptest! {
    #[test]
    fn every_entry_that_is_written_reads_back(wanted in proptest::collection::vec(nasty_entry(), 0..5)) {
        let mut out = Vec::new();
        for entry in &wanted {
            write_entry(&mut out, entry).unwrap();
        }
        let back = entries(&out);
        prop_assert_eq!(&back, &wanted);
        for (back, wanted) in back.iter().zip(&wanted) {
            prop_assert_eq!(back.dn.as_str(), wanted.dn.as_str());
        }
    }

    #[test]
    fn no_input_makes_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = read(bytes);
    }

    #[test]
    fn no_damage_to_an_export_makes_the_reader_panic(entry in nasty_entry(), at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>()) {
        let mut out = Vec::new();
        write_entry(&mut out, &entry).unwrap();
        let at = at.index(out.len());
        if cut { out.truncate(at) } else { out[at] = byte }
        let _ = read(out);
    }
}
