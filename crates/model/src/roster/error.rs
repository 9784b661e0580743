//! Why a roster is refused: everything that is wrong with it at once, file by file.

use std::fmt;

use super::problem::{Problem, Weight};

/// Why a roster is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RosterError {
    /// What is wrong with its files.
    #[error("{}", Refused(.0))]
    Refused(Vec<Problem>),
    /// More text or rows than this version holds.
    #[error("it has more than 4 GiB of text; drop columns that are not needed (columns.NAME = \"\")")]
    TooLarge,
}

impl RosterError {
    /// What to do about the first of its problems.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Refused(problems) => {
                problems.iter().find(|p| p.kind.weight() == Weight::Refused).map_or("", |p| p.kind.remedy())
            }
            Self::TooLarge => "",
        }
    }
}

/// Problems in one sentence a file.
struct Refused<'a>(&'a [Problem]);

impl fmt::Display for Refused<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut file = None;
        for problem in self.0.iter().filter(|p| p.kind.weight() == Weight::Refused) {
            match file {
                Some(before) if before == &problem.file => f.write_str("; ")?,
                before => {
                    f.write_str(if before.is_some() { ". " } else { "" })?;
                    write!(f, "'{}': ", problem.file)?;
                }
            }
            file = Some(&problem.file);
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}
