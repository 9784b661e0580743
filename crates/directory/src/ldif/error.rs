//! Why a file is refused as LDIF.

use untether_model::dn::BadDn;

/// A file that is refused: where and why.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct LdifError {
    /// The line at which the refused logical line begins, counted from 1.
    pub line: u64,
    /// What is wrong with it.
    #[source]
    pub problem: LdifProblem,
}

/// What is wrong with a line of LDIF.
#[derive(Debug, thiserror::Error)]
pub enum LdifProblem {
    /// The file could not be read.
    #[error("reading failed: {0}")]
    Io(#[source] std::io::Error),
    /// The file is UTF-16 or UTF-32, as some shells write redirected output.
    #[error("the file is not LDIF but UTF-16 text; write it again as UTF-8, or with the exporting tool's own output option")]
    Utf16,
    /// A byte that LDIF never holds; typical for a file that was half written when a machine went down.
    #[error("the line holds a zero byte; the file is damaged, export it again")]
    ZeroByte,
    /// The last line has no end.
    #[error(
        "the file ends in the middle of a line, so the export was cut off; export it again (a complete file ends with a newline)"
    )]
    CutOff,
    /// A continuation with nothing before it.
    #[error("a line that begins with a blank continues the line before it, but there is none")]
    StrayContinuation,
    /// A line without a colon after an attribute description.
    #[error("'attribute: value' was expected")]
    NoColon,
    /// Not an attribute description (RFC 4512, section 2.5).
    #[error("'{0}' is not an attribute description")]
    BadAttribute(String),
    /// A record that begins with something else.
    #[error("a record must begin with 'dn:', not with '{0}:'")]
    NoDn(String),
    /// A second `dn:` within a record.
    #[error("a second 'dn:' in one record; records are separated by an empty line")]
    SecondDn,
    /// The name of the record is none.
    #[error(transparent)]
    BadDn(BadDn),
    /// The name of the record is not UTF-8.
    #[error("the distinguished name is not UTF-8")]
    DnNotText,
    /// Not base64.
    #[error("the value of '{0}' is not base64")]
    BadBase64(String),
    /// A value by reference (`attribute:< url`).
    #[error("the value of '{0}' is a URL, and URLs are not followed; export the values themselves (ldapsearch without -t)")]
    Url(String),
    /// A change record.
    #[error(
        "'{0}:' belongs to a change record, and only an export of entries is read here; export with slapcat or ldapsearch -LLL"
    )]
    ChangeRecord(String),
    /// Another version than 1, or in the wrong place.
    #[error("'version: 1' was expected, before the first record")]
    BadVersion,
    /// A result line that has no number.
    #[error("'result:' must be followed by a result code")]
    BadResult,
    /// A logical line beyond the bound.
    #[error("the line is longer than {limit} bytes")]
    LineTooLong {
        /// The bound, in bytes.
        limit: usize,
    },
    /// A record beyond the bound.
    #[error("the record of '{dn}' is larger than {limit} bytes")]
    EntryTooLarge {
        /// Whose record.
        dn: String,
        /// The bound, in bytes.
        limit: usize,
    },
}

impl LdifProblem {
    /// The problem at a line.
    pub(super) fn at(self, line: u64) -> LdifError {
        LdifError { line, problem: self }
    }
}
