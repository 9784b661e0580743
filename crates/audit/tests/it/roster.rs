//! Roster files in every form, whole and broken: what is read, what is refused and why, what is odd.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use encoding_rs::{SHIFT_JIS, WINDOWS_1252};
use jiff::Timestamp;
use tempfile::TempDir;
use untether_audit::roster::{Checked, Compared, RosterRead, RosterSource, check_roster, read_roster};
use untether_audit::shrinkage::{ActivePeople, Sizes};
use untether_model::policy::{AuditPolicy, DateOrder, Entity, RosterEncoding, RosterFormat, RosterPolicy, StoreAudit};
use untether_model::roster::{Problem, ProblemKind, RosterError, Weight};
use untether_model::{Dn, EntityId};

const TEXT: &str = "employee_number,name,status,last_day\r\n10,\"髙橋, 太郎\",active,\r\n11,山田 ～①,departed,2026-03-31\r\n";

/// Files and how each is read.
struct Files {
    directory: TempDir,
    files: Vec<(PathBuf, RosterPolicy)>,
}

fn files(contents: &[(&str, &[u8], RosterPolicy)]) -> Files {
    let directory = tempfile::tempdir().unwrap();
    let put = |(name, content, policy): &(&str, &[u8], RosterPolicy)| {
        let path = directory.path().join(name);
        std::fs::write(&path, content).unwrap();
        (path, policy.clone())
    };
    let files = contents.iter().map(put).collect();
    Files { directory, files }
}

fn entities() -> BTreeMap<EntityId, Entity> {
    let entity = || Entity {
        name: "x".into(),
        name_ja: None,
        time_zone: "Asia/Tokyo".into(),
        deadline: None,
        shared_subtrees: vec![],
        independent_subtrees: vec![],
    };
    ["own", "firm"].into_iter().map(|id| (EntityId::new(id), entity())).collect()
}

impl Files {
    fn sources(&self) -> Vec<RosterSource<'_>> {
        let mut sources = Vec::new();
        for (path, policy) in &self.files {
            sources.push(RosterSource { name: path.file_name().unwrap().to_str().unwrap(), path, policy });
        }
        sources
    }

    fn read(&self) -> Result<RosterRead, RosterError> {
        read_roster(&self.sources(), &entities())
    }

    fn refused(&self) -> Vec<Problem> {
        match self.read() {
            Err(RosterError::Refused(problems)) => problems,
            other => panic!("not refused: {other:?}"),
        }
    }

    fn checked(&self, before: Option<&Sizes>, domains: Option<&BTreeSet<String>>) -> Checked {
        let store = |suffix: &str| StoreAudit::new(Dn::parse(suffix).unwrap());
        let mut policy = AuditPolicy::new(store("dc=shared"), store("dc=own"));
        policy.entities = entities();
        let now = "2026-11-20T03:00:00Z".parse::<Timestamp>().unwrap();
        check_roster(&self.sources(), &Compared { policy: &policy, now, before, domains }).unwrap()
    }
}

fn one(name: &str, content: &[u8], policy: RosterPolicy) -> Files {
    files(&[(name, content, policy)])
}

fn names(read: &RosterRead) -> Vec<String> {
    read.roster.people().flat_map(|p| read.roster.rows_of(p)).map(|row| row.name().unwrap().to_owned()).collect()
}

fn encoded(encoding: RosterEncoding) -> RosterPolicy {
    RosterPolicy { encoding, ..RosterPolicy::default() }
}

fn utf16(text: &str, little: bool) -> Vec<u8> {
    let bytes = |unit: u16| if little { unit.to_le_bytes() } else { unit.to_be_bytes() };
    text.encode_utf16().flat_map(bytes).collect()
}

#[test]
fn every_encoding_reads_alike_and_is_named() {
    let (shift_jis, _, lossy) = SHIFT_JIS.encode(TEXT);
    assert!(!lossy, "the sample is in code page 932");
    let marked = |mark: &[u8], text: Vec<u8>| [mark, &text].concat();
    let little = utf16(TEXT, true);
    let forms: [(Vec<u8>, RosterEncoding, &str); 8] = [
        (TEXT.into(), RosterEncoding::Auto, "UTF-8"),
        (TEXT.into(), RosterEncoding::Utf8, "UTF-8"),
        (marked(b"\xef\xbb\xbf", TEXT.into()), RosterEncoding::Auto, "UTF-8 with byte order mark"),
        (shift_jis.clone().into_owned(), RosterEncoding::Auto, "Shift_JIS"),
        (shift_jis.into_owned(), RosterEncoding::ShiftJis, "Shift_JIS"),
        (marked(b"\xff\xfe", little.clone()), RosterEncoding::Auto, "UTF-16LE"),
        (marked(b"\xfe\xff", utf16(TEXT, false)), RosterEncoding::Utf16, "UTF-16BE"),
        (little, RosterEncoding::Utf16, "UTF-16LE"),
    ];
    let mut digests = BTreeSet::new();
    for (bytes, encoding, name) in forms {
        let read = one("roster.csv", &bytes, encoded(encoding)).read().unwrap();
        assert_eq!(names(&read), ["髙橋, 太郎", "山田 ～①"], "{encoding:?}");
        assert_eq!(read.files[0].encoding, name);
        digests.insert(read.roster.digest());
    }
    assert_eq!(digests.len(), 1, "the same people, whatever their file");
    let (german, _, _) = WINDOWS_1252.encode("employee_number;name;status\n10;Jürgen Müller;active\n");
    let policy = RosterPolicy { delimiter: ';', ..encoded(RosterEncoding::Windows1252) };
    assert_eq!(names(&one("roster.csv", &german, policy).read().unwrap()), ["Jürgen Müller"]);
}

#[test]
fn text_of_another_encoding_is_refused_with_its_line_and_byte() {
    let (shift_jis, _, _) = SHIFT_JIS.encode(TEXT);
    let refused = |bytes: &[u8], encoding| {
        let mut problems = one("roster.csv", bytes, encoded(encoding)).refused();
        assert_eq!(problems.len(), 1, "{problems:?}");
        let problem = problems.remove(0);
        (problem.kind, problem.line(), problem.to_string())
    };
    let (kind, line, words) = refused(&shift_jis, RosterEncoding::Utf8);
    assert_eq!((kind, line, words.as_str()), (ProblemKind::Encoding, 2, "line 2 (byte 42) is not UTF-8"));
    let (_, line, words) = refused(b"employee_number,status\n10,active\n11,\xff\xff\n", RosterEncoding::Auto);
    assert_eq!((line, words.as_str()), (3, "line 3 (byte 36) is neither UTF-8 nor Shift_JIS"));
    let (kind, _, words) = refused(&utf16(TEXT, true), RosterEncoding::Auto);
    assert!(kind == ProblemKind::Encoding && words.contains("utf-16"), "{words}");
    let (_, _, words) = refused("\u{feff}employee_number,status\n".as_bytes(), RosterEncoding::ShiftJis);
    assert!(words.contains("byte order mark of UTF-8"), "{words}");
    // Two exports that were joined: either encoding alone would read names that nobody has.
    let mixed = [TEXT.as_bytes(), &SHIFT_JIS.encode("12,鈴木 一郎,active,\r\n").0].concat();
    let (kind, line, words) = refused(&mixed, RosterEncoding::Auto);
    assert_eq!(
        (kind, line, words.as_str()),
        (ProblemKind::MixedEncodings, 2, "line 2 is UTF-8 and line 4 is not: it mixes encodings")
    );
    // Half-width kana of Shift_JIS is valid UTF-8 here and there.
    let (kana, _, _) = SHIFT_JIS.encode("employee_number,name,status\n10,ﾄｰﾏｽ,active\n11,ﾄｰ,active\n12,鈴木,active\n");
    assert_eq!(names(&one("roster.csv", &kana, RosterPolicy::default()).read().unwrap()), ["ﾄｰﾏｽ", "ﾄｰ", "鈴木"]);
}

#[test]
fn files_that_are_no_roster_are_told_by_what_they_are() {
    let kinds = |content: &[u8]| {
        let problem = one("roster.csv", content, RosterPolicy::default()).refused().remove(0);
        (problem.kind, problem.to_string())
    };
    assert!(kinds(b"PK\x03\x04....").1.contains("workbook"));
    assert!(kinds(b"\x1f\x8b\x08").1.contains("gzip"));
    assert_eq!(kinds(b"").0, ProblemKind::Empty);
    assert_eq!(kinds(b"employee_number,status\n").0, ProblemKind::Empty);
    let (kind, words) = kinds("社員番号;氏名;状態\n1;A;在籍\n".as_bytes());
    assert!(kind == ProblemKind::Separator && words.contains("semicolons"), "{words}");
    assert!(kinds(b"employee_number\tstatus\n1\tactive\n").1.contains("tabs"));
    let mut files = one("roster.csv", b"x", RosterPolicy::default());
    files.files[0].0 = files.directory.path().to_owned();
    assert_eq!(files.refused()[0].to_string(), "it is a directory");
    files.files[0].0.push("nobody.csv");
    assert!(files.refused()[0].to_string().contains("No such file"));
}

#[test]
fn a_file_that_is_longer_than_a_roster_may_be_is_refused_unread() {
    let files = one("roster.csv", b"employee_number,name,status\n10,A,active\n", RosterPolicy::default());
    assert_eq!(names(&files.read().unwrap()), ["A"]);
    // A hole: it would take minutes to read and no room to keep.
    File::options().write(true).open(&files.files[0].0).unwrap().set_len(2_000_000_001).unwrap();
    let problem = files.refused().remove(0);
    assert_eq!(
        (problem.kind, problem.to_string().as_str()),
        (ProblemKind::TooLarge, "it has 2001 MB, at most 500 MB are allowed")
    );
}

#[test]
fn half_written_csv_is_refused_where_it_breaks() {
    let refused = |text: &str| {
        let problems = one("roster.csv", text.as_bytes(), RosterPolicy::default()).refused();
        problems.iter().map(|p| (p.kind, p.line(), p.to_string())).collect::<Vec<_>>()
    };
    let open = refused("employee_number,name,status\n10,A,active\n11,\"B,act");
    assert_eq!(open.len(), 1, "{open:?}");
    assert_eq!((open[0].0, open[0].1), (ProblemKind::Quote, 3));
    assert!(open[0].2.contains("line 3 does not end"), "{}", open[0].2);
    // A forgotten quote joins two rows into one of the right length: nobody may vanish by that.
    let swallowed = refused("employee_number,name,status\n10,\"A,active\n11,\"B\",active\n");
    assert_eq!((swallowed[0].0, swallowed[0].1), (ProblemKind::Quote, 2));
    let ragged = refused("employee_number,name,status\n10,A,active,x\n11,B\n12,C,active\n");
    assert_eq!((ragged.len(), ragged[0].0, ragged[0].1), (1, ProblemKind::Ragged, 2));
    assert!(ragged[0].2.contains("2 rows have other numbers: '4' (line 2), '2' (line 3)"), "{}", ragged[0].2);
    let words = refused("employee_number,name,status\n10,\"two\nlines\",active\n11,B,gone\n");
    assert!(words[0].2.contains("'gone' in 1 row (line 4)"), "line breaks within fields count: {}", words[0].2);
}

#[test]
fn json_lines_are_read_and_a_broken_line_is_named() {
    let text = "\u{feff}{\"employee_number\": 10, \"name\": \"山田\", \"status\": \"active\", \"more\": {\"x\": [1]}}\n\n\
                {\"STATUS\": \"departed\", \"employee_number\": \"11\", \"name\": \"B\", \"last_day\": null}\n";
    let read = one("roster.jsonl", text.as_bytes(), RosterPolicy::default()).read().unwrap();
    assert_eq!(names(&read), ["山田", "B"]);
    let rows: Vec<_> = read.roster.people().flat_map(|p| read.roster.rows_of(p)).map(|r| (r.line(), r.number())).collect();
    assert_eq!(rows, [(1, Some("10")), (3, Some("11"))]);

    let good = "{\"employee_number\": 10, \"status\": \"active\"}\n";
    let refused = |line: &str| {
        let policy = RosterPolicy { format: RosterFormat::JsonLines, ..RosterPolicy::default() };
        let problem = one("roster.txt", format!("{good}{line}").as_bytes(), policy).refused().remove(0);
        (problem.kind, problem.line(), problem.to_string())
    };
    for (line, words) in [
        ("{\"employee_number\": 11, \"status\"", "EOF"),
        ("[1]\n", "a JSON object"),
        ("{\"employee_number\": 10023.0, \"status\": \"active\"}\n", "whole number"),
        ("{\"employee_number\": [1], \"status\": \"active\"}\n", "'employee_number'"),
        ("{\"status\": \"active\", \"Status\": \"departed\"}\n", "twice"),
        ("{\"employee_number\": 11} trailing\n", "trailing"),
    ] {
        let (kind, number, said) = refused(line);
        assert_eq!((kind, number), (ProblemKind::BrokenLine, 2), "{line}");
        assert!(said.contains(words), "{line}: {said}");
    }
    let array = one("roster.ndjson", b"[{\"status\": \"active\"}]\n", RosterPolicy::default()).refused().remove(0);
    assert!(array.to_string().contains("one object a line"), "{array}");
    // A key that no object has is a column that is missing.
    let mut policy = RosterPolicy::default();
    policy.columns.mail = Some("e-mail".into());
    let missing = one("roster.jsonl", good.as_bytes(), policy).refused().remove(0);
    assert_eq!((missing.kind, missing.column.as_deref()), (ProblemKind::MissingColumn, Some("e-mail")));
    let nobody = one("roster.jsonl", b"{\"status\": \"active\"}\n", RosterPolicy::default()).refused().remove(0);
    assert_eq!((nobody.kind, nobody.column.as_deref()), (ProblemKind::MissingColumn, Some("employee_number")));
}

#[test]
fn a_file_that_is_written_to_or_replaced_while_it_is_read_is_refused() {
    let rows = |n: u32| -> String { (0..n).map(|i| format!("{i},A,active\n")).collect() };
    let files = one("roster.csv", format!("employee_number,name,status\n{}", rows(200_000)).as_bytes(), RosterPolicy::default());
    let path = files.files[0].0.clone();
    let (begun, over) = (AtomicBool::new(false), AtomicBool::new(false));
    let read = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
            while !over.load(Ordering::Relaxed) {
                file.write_all(b"7,B,active\n").unwrap();
                begun.store(true, Ordering::Relaxed);
            }
        });
        while !begun.load(Ordering::Relaxed) {
            std::hint::spin_loop();
        }
        let read = files.read();
        over.store(true, Ordering::Relaxed);
        read
    });
    let Err(RosterError::Refused(problems)) = read else { panic!("{read:?}") };
    assert_eq!(problems[0].kind, ProblemKind::Changed, "{problems:?}");
    assert!(problems[0].to_string().contains("written to"), "{problems:?}");
}

#[test]
fn several_files_are_one_roster_and_every_one_of_them_is_told_what_is_wrong() {
    let mut firm = RosterPolicy { dates: DateOrder::Dmy, delimiter: '\t', ..encoded(RosterEncoding::Utf16) };
    firm.constants.entity = Some("firm".into());
    firm.constants.employment = Some("contractor".into());
    firm.constants.status = Some("active".into());
    let header = "employee_number\tname\tcontract_end\n";
    let own = "{\"employee_number\": 10, \"name\": \"A\", \"entity\": \"own\", \"status\": \"active\"}\n";
    let good = files(&[
        ("own.jsonl", own.as_bytes(), RosterPolicy::default()),
        ("firm.txt", &utf16(&format!("{header}10\tB\t31.12.2027\n"), true), firm.clone()),
    ]);
    let read = good.read().unwrap();
    assert_eq!((read.roster.row_count(), read.roster.person_count(), read.files.len()), (2, 2, 2));
    assert_eq!(read.roster.by_entity_number(&"firm".into(), "10").len(), 1);

    let bad = files(&[
        ("own.jsonl", b"{\"employee_number\": 10, \"status\": \"gone\"}\n{", RosterPolicy::default()),
        ("firm.txt", &utf16(&format!("{header}10\tB\t31.02.2027\n"), true), firm),
    ]);
    let error = bad.read().unwrap_err().to_string();
    assert!(error.contains("'own.jsonl': line 2 is no object") && error.contains("'firm.txt': column 'contract_end'"), "{error}");
}

/// The kinds that a check finds, with file, lines and weight.
fn found(checked: &Checked) -> Vec<(&'static str, String, Vec<u64>)> {
    checked.problems.iter().map(|p| (p.kind.as_str(), p.file.clone(), p.seen.iter().map(|s| s.line).collect())).collect()
}

#[test]
fn what_is_odd_is_told_with_its_lines_before_anything_uses_it() {
    let header = "person_id,employee_number,name,mail,login,entity,status,start_date,last_day";
    let own = [
        header,
        "p1,10,A,a@x.example,a,own,active,2020-04-01,",
        "p2,10,B,b@x.example,b,own,active,2020-04-01,",
        "p3,１１,C,c@x.example ,c,own,active,2020-04-01,9999-12-31",
        "p4,12,髙橋,d@typo.example,d,own,active,2021-04-01,2020-03-31",
        "p5,13,E,e@x.example,e,own,active,2020-04-01,2026-03-31",
        ",,F,,,own,active,,",
        "p7,,,g@x.example,,,active,平成33年4月1日,",
        "p8,14,か\u{3099},h@x.example,h\u{200b},own,seconded,9999-12-31,",
    ]
    .join("\n");
    let firm = format!("{header}\np8,800,別人,h@x.example,h,firm,active,2020-04-01,\n");
    let files = files(&[
        ("own.csv", own.as_bytes(), RosterPolicy::default()),
        ("firm.csv", firm.as_bytes(), RosterPolicy { max_age_hours: u32::MAX, ..RosterPolicy::default() }),
    ]);
    let domains = BTreeSet::from(["x.example".to_owned()]);
    let checked = files.checked(None, Some(&domains));
    assert!(checked.problems.iter().all(|p| p.kind.weight() == Weight::Odd), "{:?}", checked.problems);
    let expected = [
        ("several-files", "", vec![9]),
        ("cut-off", "own.csv", vec![]),
        ("duplicate-number", "own.csv", vec![2, 3]),
        ("shared-person-id", "own.csv", vec![9, 2]),
        ("no-key", "own.csv", vec![7]),
        ("no-name", "own.csv", vec![8]),
        ("no-entity", "own.csv", vec![8]),
        ("end-before-start", "own.csv", vec![5]),
        ("word-against-date", "own.csv", vec![6]),
        ("sentinel-date", "own.csv", vec![4]),
        ("sentinel-start", "own.csv", vec![9]),
        ("outlived-era", "own.csv", vec![8]),
        ("full-width", "own.csv", vec![4]),
        ("stray-blank", "own.csv", vec![4]),
        ("invisible-character", "own.csv", vec![9]),
        ("machine-dependent-character", "own.csv", vec![5]),
        ("decomposed-character", "own.csv", vec![9]),
        ("unseen-mail-domain", "own.csv", vec![5]),
    ];
    let mut told = found(&checked);
    // How old the files of a test are is no matter here.
    told.retain(|(kind, _, _)| !matches!(*kind, "stale" | "written-in-the-future"));
    told.sort();
    let mut expected: Vec<_> = expected.into_iter().map(|(kind, file, lines)| (kind, file.to_owned(), lines)).collect();
    expected.sort();
    assert_eq!(told, expected);
}

#[test]
fn a_drop_in_numbers_refuses_and_one_of_a_small_entity_is_odd() {
    let row = |n: u64, entity: &str| format!("{n},N,{entity},active\n");
    let text: String = (0..90).map(|n| row(n, "own")).chain((0..4).map(|n| row(n, "firm"))).collect();
    let files = one("own.csv", format!("employee_number,name,entity,status\n{text}").as_bytes(), RosterPolicy::default());
    let before = |own: u64, firm: u64| Sizes {
        taken_at: "2026-11-19T00:00:00Z".parse().unwrap(),
        active: ActivePeople {
            total: own + firm,
            by_entity: [("own".to_owned(), own), ("firm".to_owned(), firm)].into_iter().collect(),
        },
        accounts: BTreeMap::new(),
    };
    let kinds = |own, firm| -> Vec<(&'static str, &'static str)> {
        let checked = files.checked(Some(&before(own, firm)), None);
        let about_numbers = checked.problems.iter().filter(|p| p.file.is_empty());
        about_numbers.map(|p| (p.kind.as_str(), p.kind.weight().as_str())).collect()
    };
    assert_eq!(kinds(100, 5), []);
    assert_eq!(kinds(100, 9), [("entity-shrunk", "odd")]);
    assert_eq!(kinds(100, 30), [("shrunk", "refused"), ("shrunk", "refused")], "an entity, and by it the whole");
    assert_eq!(kinds(300, 4), [("shrunk", "refused"), ("shrunk", "refused")]);
}

#[test]
fn a_check_tells_everything_although_something_is_refused() {
    let text = "employee_number,name,status\n10,A,gone\n10,B,active\n10,C,active\n１１,D,active\n";
    let checked = one("own.csv", text.as_bytes(), RosterPolicy::default()).checked(None, None);
    let kinds: Vec<&str> = found(&checked).iter().map(|f| f.0).collect();
    assert_eq!(kinds[0], "unknown-status");
    for kind in ["duplicate-number", "full-width", "no-entity"] {
        assert!(kinds.contains(&kind), "{kind}: {kinds:?}");
    }
    assert_eq!(checked.roster.unwrap().row_count(), 3, "what was understood");
}
