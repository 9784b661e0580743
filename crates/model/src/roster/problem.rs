//! What is wrong or odd in roster files, gathered by file, kind and column with the first lines that show it.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

/// Lines that are kept for each problem; beyond that there is a count.
pub const LINES_KEPT: usize = 5;

/// Problems that are told apart; further ones are one, so that a wrong column (a name in place of a status) costs no memory.
const TOLD_APART: usize = 200;

/// Longest value that is kept, in characters.
const VALUE_CHARACTERS: usize = 60;

/// Whether a roster with such a problem is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Weight {
    /// The roster is refused: nothing uses it.
    Refused,
    /// It is used; a person should look.
    Odd,
}

impl Weight {
    /// `refused` or `odd`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Odd => "odd",
        }
    }
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $weight:ident, $code:literal, $remedy:literal;)*) => {
        /// What can be wrong or odd.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum ProblemKind {
            $($(#[$doc])* $kind,)*
        }

        impl ProblemKind {
            /// The name, for programs.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$kind => $code,)* }
            }

            /// Whether it refuses the roster.
            pub fn weight(self) -> Weight {
                match self { $(Self::$kind => Weight::$weight,)* }
            }

            /// What to do about it.
            pub fn remedy(self) -> &'static str {
                match self { $(Self::$kind => $remedy,)* }
            }
        }
    };
}

kinds! {
    /// The file cannot be read, is none, or is a workbook or archive.
    Unreadable = Refused, "unreadable", "give a file of CSV or JSON Lines that may be read (roster.files)";
    /// It has more bytes than a roster may have.
    TooLarge = Refused, "too-large", "give a file of the people alone; if it is right, raise roster.read.max_megabytes (all of it is held in memory)";
    /// It was changed or replaced while it was read.
    Changed = Refused, "changed-while-read", "run the command again when its export has ended; write it under another name first and rename it";
    /// Bytes that are no text of its encoding.
    Encoding = Refused, "encoding", "set the encoding that the file is written in (roster.read.encoding, or encoding of the file)";
    /// Some lines are in another encoding than others.
    MixedEncodings = Refused, "mixed-encodings", "export it again from one system in one encoding; files that were joined are given one by one (roster.files)";
    /// A quoted field that does not end, or goes on behind its end.
    Quote = Refused, "quote", "write the file again: a quote within a field is doubled; a file that ends within one was cut off";
    /// The header is one column that holds another separator.
    Separator = Refused, "separator", "set the separator (roster.read.delimiter, or delimiter of the file)";
    /// A line that is no JSON object of texts and whole numbers.
    BrokenLine = Refused, "broken-line", "write the file again: one JSON object a line, its values texts or whole numbers";
    /// It holds no row: an outage, not an organization without people.
    Empty = Refused, "empty", "look whether its export failed; a file that is rightly empty is taken out of roster.files";
    /// A column that is needed, or configured, is not there.
    MissingColumn = Refused, "missing-column", "name the columns in the configuration (roster.read.columns, or columns of the file)";
    /// A column that is read stands there twice.
    DoubleColumn = Refused, "double-column", "rename one of the two in the source: which of them counts cannot be told";
    /// A row has another number of fields than the header.
    Ragged = Refused, "ragged", "quote fields that hold the separator; a file that ends so was cut off: write it again";
    /// A status word that no meaning is configured for.
    UnknownStatus = Refused, "unknown-status", "map each word in the configuration (roster.read.status)";
    /// A word of the employment column that no meaning is configured for.
    UnknownEmployment = Refused, "unknown-employment", "map each word in the configuration (roster.read.employment)";
    /// An entity that is not configured.
    UnknownEntity = Refused, "unknown-entity", "map each word in the configuration (roster.read.entities), or add the entity (audit.entities)";
    /// A date that does not exist or could be two days.
    ImpossibleDate = Refused, "impossible-date", "dates are YYYY-MM-DD (roster.read.dates for others); correct them in the source of the roster, and list words that mean \"no date\" in roster.read.no_date";
    /// The last day is so early that it must stand for something else.
    SentinelEnd = Refused, "sentinel-end", "taken as a date it says that they all left; if it stands for \"no date\", list it in roster.read.no_date";
    /// So many fewer people than in the last audit that something upstream has failed.
    Shrunk = Refused, "shrunk", "an audit would count as incomplete, and a run stops; if it is right, raise audit.max_shrink_percent";
    /// The file is older than its maximum age.
    Stale = Odd, "stale", "get a new export: an audit would count as incomplete, and a run stops until then";
    /// The file claims to be written in the future.
    FutureFile = Odd, "written-in-the-future", "correct the clock of whoever writes it: its age cannot be told, and it counts as too old";
    /// The last line does not end, as the others do.
    CutOff = Odd, "cut-off", "look whether the last row is whole: a file that was cut off ends so";
    /// Several files or encodings in one.
    LineBreak = Odd, "line-break", "look at the quotes around these lines: a quote too many swallows rows";
    /// One employee number in one entity for people with different names.
    DuplicateNumber = Odd, "duplicate-number", "correct the number in the source: accounts with it cannot be told apart";
    /// One person id with different names.
    SharedPersonId = Odd, "shared-person-id", "if these are different people, person_id is no id over all files: set columns.person_id = \"\" where it is not";
    /// One person in several files.
    SeveralFiles = Odd, "several-files", "right for transfers and secondments; the valid row with the latest start describes the person";
    /// Fewer people of an entity.
    EntityShrunk = Odd, "entity-shrunk", "look whether the entity's file is whole";
    /// A row that no account can be matched to.
    NoKey = Odd, "no-key", "give them an employee number, mail address or login: nothing can be matched to them";
    /// A row without employee number and person id.
    NoNumber = Odd, "no-number", "give them an employee number: matching by mail or login is weaker";
    /// A row without a name.
    NoName = Odd, "no-name", "give them a name: people decide by it";
    /// A row without an entity.
    NoEntity = Odd, "no-entity", "give them an entity: a subject without one is never planned";
    /// The start lies behind the last day.
    EndBeforeStart = Odd, "end-before-start", "read as somebody who came back; if the two dates were mixed up, correct them";
    /// Word and date disagree.
    WordAgainstDate = Odd, "word-against-date", "the date counts; correct the one that is wrong";
    /// A date so far away that it must stand for something else.
    SentinelDate = Odd, "sentinel-date", "taken as a date it changes nothing; list it in roster.read.no_date to say so";
    /// A first day so far ahead that it must stand for something else.
    SentinelStart = Odd, "sentinel-start", "taken as a date they have not started; if it stands for \"no date\", list it in roster.read.no_date";
    /// Counted on in an era that had ended.
    OutlivedEra = Odd, "outlived-era", "read by counting on (平成33年 is 2021); correct the source when it can be";
    /// Full-width letters or digits.
    FullWidth = Odd, "full-width", "read as their narrow forms; whoever compares them otherwise sees different people";
    /// Blanks around or inside.
    StrayBlank = Odd, "stray-blank", "read without them; clear them in the source";
    /// Characters that cannot be seen: zero width, direction marks, control characters.
    Invisible = Odd, "invisible-character", "clear them in the source: two values that look alike may differ";
    /// Characters that other systems cannot write: ①, ㈱, 髙, and those outside of the basic plane.
    Unusual = Odd, "machine-dependent-character", "names with them are written differently elsewhere (髙 as 高): compare by number or mail";
    /// Letters with separate marks (macOS).
    Decomposed = Odd, "decomposed-character", "read as their composed forms; clear them in the source";
    /// Looks like text of another encoding.
    Mojibake = Odd, "mojibake", "set the encoding of the file: it reads without an error in the wrong one too";
    /// A mail domain that no account of either store has.
    UnseenDomain = Odd, "unseen-mail-domain", "look for a typing error: no account of either store has such an address";
}

impl ProblemKind {
    /// All problems that look at one column begin with this, those about rows and files do not.
    fn about_column(self) -> bool {
        !matches!(self, Self::Empty | Self::Ragged | Self::LineBreak)
    }
}

/// A place that shows a problem.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Seen {
    /// The line, counted from 1, the header included; 0 where the whole file is meant.
    pub line: u64,
    /// What stands there, shortened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

/// One problem of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What it is.
    pub kind: ProblemKind,
    /// The file, as the configuration names it; empty for what concerns all files.
    pub file: String,
    /// The column's header.
    pub column: Option<String>,
    /// What all of the rows have in common: an unknown word, a domain; or what the problem is, in words.
    pub about: Option<String>,
    /// How many rows have it; 0 where the whole file is meant.
    pub count: u64,
    /// The first of them.
    pub seen: Vec<Seen>,
}

impl Problem {
    /// A problem of a whole file.
    pub fn of_file(kind: ProblemKind, file: &str, about: impl Into<String>) -> Self {
        Self { kind, file: file.to_owned(), column: None, about: Some(about.into()), count: 0, seen: Vec::new() }
    }

    /// The first line that shows it.
    pub fn line(&self) -> u64 {
        self.seen.first().map_or(0, |seen| seen.line)
    }

    fn lines(&self) -> String {
        let lines: Vec<String> = self.seen.iter().map(|seen| seen.line.to_string()).collect();
        let named = u64::try_from(lines.len()).unwrap_or(u64::MAX);
        let more = if self.count > named { format!(" and {} more", self.count - named) } else { String::new() };
        format!("line {}{more}", lines.join(", "))
    }

    fn examples(&self) -> String {
        let each = |seen: &Seen| match &seen.value {
            Some(value) => format!("'{value}' (line {})", seen.line),
            None => format!("line {}", seen.line),
        };
        let shown: Vec<String> = self.seen.iter().map(each).collect();
        let named = u64::try_from(shown.len()).unwrap_or(u64::MAX);
        let more = if self.count > named { format!(" and {} more", self.count - named) } else { String::new() };
        format!("{}{more}", shown.join(", "))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use ProblemKind as K;
        let column = self.column.as_deref().unwrap_or_default();
        let about = self.about.as_deref().unwrap_or_default();
        let rows = if self.count == 1 { "row" } else { "rows" };
        if self.kind.about_column() && self.column.is_some() {
            write!(f, "column '{column}' ")?;
        }
        match self.kind {
            K::Unreadable
            | K::TooLarge
            | K::Changed
            | K::Encoding
            | K::MixedEncodings
            | K::Quote
            | K::Separator
            | K::BrokenLine => f.write_str(about),
            K::Stale | K::FutureFile | K::Shrunk | K::EntityShrunk | K::CutOff => f.write_str(about),
            K::Empty => f.write_str("it has no rows; an empty roster is taken for a failed export, never for \"everyone left\""),
            K::MissingColumn => write!(f, "is not there; {about}"),
            K::DoubleColumn => f.write_str("stands there twice"),
            K::Ragged => {
                let other = if self.count == 1 { "row has another number" } else { "rows have other numbers" };
                write!(f, "{about}, {} {other}: {}", self.count, self.examples())
            }
            K::UnknownStatus | K::UnknownEmployment | K::UnknownEntity if self.count == 0 => {
                write!(f, "the configured constant '{about}' is an unknown word")
            }
            K::UnknownStatus | K::UnknownEmployment | K::UnknownEntity => {
                let word = if about.is_empty() { "an empty field".to_owned() } else { format!("the unknown word '{about}'") };
                write!(f, "has {word} in {} {rows} ({})", self.count, self.lines())
            }
            K::ImpossibleDate => write!(f, "has the impossible date {}", self.examples()),
            K::SentinelEnd => write!(f, "has a last day that nobody has: {}", self.examples()),
            K::LineBreak => write!(f, "a field holds a line break in {} {rows} ({})", self.count, self.lines()),
            K::DuplicateNumber => write!(f, "has {about} for people with different names ({})", self.lines()),
            K::SharedPersonId => write!(f, "has {about} for people with different names ({})", self.lines()),
            K::SeveralFiles => write!(
                f,
                "{} {} in several files: {}",
                self.count,
                if self.count == 1 { "person is" } else { "people are" },
                self.examples()
            ),
            K::NoKey => write!(f, "{} {rows} without number, mail and login ({})", self.count, self.lines()),
            K::NoNumber => write!(f, "{} {rows} without an employee number or person id ({})", self.count, self.lines()),
            K::NoName => write!(f, "{} {rows} without a name ({})", self.count, self.lines()),
            K::NoEntity => write!(f, "{} {rows} without an entity ({})", self.count, self.lines()),
            K::EndBeforeStart => write!(f, "lies before the first day in {} {rows}: {}", self.count, self.examples()),
            K::WordAgainstDate => write!(f, "disagrees with the dates in {} {rows}: {}", self.count, self.examples()),
            K::SentinelDate | K::SentinelStart => {
                write!(f, "has a date that nobody means in {} {rows}: {}", self.count, self.examples())
            }
            K::OutlivedEra => write!(f, "counts on an era that had ended in {} {rows}: {}", self.count, self.examples()),
            K::FullWidth => write!(f, "has full-width characters in {} {rows}: {}", self.count, self.examples()),
            K::StrayBlank => write!(f, "has blanks around or inside in {} {rows}: {}", self.count, self.examples()),
            K::Invisible => write!(f, "has characters that cannot be seen in {} {rows}: {}", self.count, self.examples()),
            K::Unusual => write!(f, "has machine-dependent characters in {} {rows}: {}", self.count, self.examples()),
            K::Decomposed => write!(f, "has decomposed characters in {} {rows}: {}", self.count, self.examples()),
            K::Mojibake => write!(f, "looks like another encoding in {} {rows}: {}", self.count, self.examples()),
            K::UnseenDomain => {
                write!(f, "has the domain '{about}' in {} {rows} ({}), which no account has", self.count, self.lines())
            }
        }
    }
}

/// What is one problem: file, kind, column, and what tells apart within them.
type Place = (String, ProblemKind, Option<String>, Option<String>);

/// Gathers problems, each file, kind, column and word once.
#[derive(Clone, Debug, Default)]
pub struct Problems {
    found: BTreeMap<Place, (u64, Vec<Seen>)>,
    refused: bool,
}

impl Problems {
    /// One more row shows it. `about` tells apart what belongs together (an unknown word), `value` is what stands in this row.
    pub fn add(
        &mut self,
        (kind, file): (ProblemKind, &str),
        column: Option<&str>,
        about: Option<&str>,
        (line, value): (u64, Option<&str>),
    ) {
        self.refused |= kind.weight() == Weight::Refused;
        let mut key = (file.to_owned(), kind, column.map(str::to_owned), about.map(shortened));
        if self.found.len() >= TOLD_APART && !self.found.contains_key(&key) {
            key.3 = key.3.map(|_| "(others)".to_owned());
        }
        let (count, seen) = self.found.entry(key).or_default();
        *count += 1;
        if seen.len() < LINES_KEPT {
            seen.push(Seen { line, value: value.map(shortened) });
        }
    }

    /// A whole problem.
    pub fn push(&mut self, problem: Problem) {
        self.refused |= problem.kind.weight() == Weight::Refused;
        let key = (problem.file, problem.kind, problem.column, problem.about);
        let (count, seen) = self.found.entry(key).or_default();
        *count += problem.count;
        seen.extend(problem.seen);
    }

    /// Whether any of them refuses the roster.
    pub fn refuse(&self) -> bool {
        self.refused
    }

    /// All of them, file by file in the order of `files`, what is refused first; what concerns all files comes first.
    pub fn into_list(self, files: &[String]) -> Vec<Problem> {
        let place = |file: &str| files.iter().position(|f| f == file).map_or(0, |at| at + 1);
        let mut list: Vec<Problem> = self
            .found
            .into_iter()
            .map(|((file, kind, column, about), (count, seen))| Problem { kind, file, column, about, count, seen })
            .collect();
        list.sort_by_key(|p| (place(&p.file), p.kind.weight(), p.kind, p.line()));
        list
    }
}

fn shortened(value: &str) -> String {
    let mut characters = value.chars();
    let mut short: String = characters.by_ref().take(VALUE_CHARACTERS).collect();
    if characters.next().is_some() {
        short.push('…');
    }
    short
}
