//! Reading filters as RFC 4515 writes them.

use std::str::FromStr;

use untether_model::{AttrName, Value};

use super::{Filter, Substrings};

/// Why a text is not a filter that is understood here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{text}' is not a search filter: {reason} at byte {at}; write it as RFC 4515 says, for instance (&(objectClass=person)(uid=a*))"
)]
pub struct FilterError {
    /// What was given.
    pub text: String,
    /// Where reading stopped, in bytes.
    pub at: usize,
    /// What was wrong there.
    pub reason: &'static str,
}

/// Deepest nesting that is read; deeper filters would only serve to exhaust the stack.
const DEEPEST: usize = 100;

impl Filter {
    /// Reads a filter. Blanks between its parts are accepted, as servers' tools do.
    ///
    /// # Errors
    /// [`FilterError`] also for an extensible match (`attr:rule:=value`), which is not understood here.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        let mut reader = Reader { text, at: 0 };
        reader.blanks();
        let filter = reader.filter(0)?;
        reader.blanks();
        if reader.at < text.len() {
            return Err(reader.bad("the filter has ended already"));
        }
        Ok(filter)
    }
}

impl FromStr for Filter {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        Self::parse(text)
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn bad(&self, reason: &'static str) -> FilterError {
        FilterError { text: self.text.to_owned(), at: self.at, reason }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8, otherwise: &'static str) -> Result<(), FilterError> {
        if self.peek() != Some(byte) {
            return Err(self.bad(otherwise));
        }
        self.at += 1;
        Ok(())
    }

    fn filter(&mut self, depth: usize) -> Result<Filter, FilterError> {
        if depth > DEEPEST {
            return Err(self.bad("it is nested too deeply"));
        }
        self.take(b'(', "'(' is missing")?;
        self.blanks();
        let filter = match self.peek() {
            Some(b'&') => Filter::And(self.list(depth)?),
            Some(b'|') => Filter::Or(self.list(depth)?),
            Some(b'!') => {
                self.at += 1;
                self.blanks();
                let inner = self.filter(depth + 1)?;
                self.blanks();
                Filter::Not(Box::new(inner))
            }
            _ => self.item()?,
        };
        self.take(b')', "')' is missing")?;
        Ok(filter)
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Filter>, FilterError> {
        self.at += 1;
        let mut parts = Vec::new();
        loop {
            self.blanks();
            if self.peek() != Some(b'(') {
                return Ok(parts);
            }
            parts.push(self.filter(depth + 1)?);
        }
    }

    fn item(&mut self) -> Result<Filter, FilterError> {
        let start = self.at;
        while self.peek().is_some_and(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b';')) {
            self.at += 1;
        }
        let attr = AttrName::new(&self.text[start..self.at]);
        self.blanks();
        let sign = self.peek();
        if sign == Some(b':') {
            return Err(self.bad("an extensible match (':') is not understood here"));
        }
        if attr.base().is_empty() {
            return Err(self.bad("an attribute is missing"));
        }
        if matches!(sign, Some(b'~' | b'>' | b'<')) {
            self.at += 1;
        }
        self.take(b'=', "'=', '>=' or '<=' is missing")?;
        let pieces = self.pieces()?;
        match (sign, pieces) {
            (Some(b'='), Pieces::Split(parts)) => Ok(substrings(attr, parts)),
            (Some(b'='), Pieces::Whole(value)) => Ok(Filter::Equal(attr, value)),
            // Approximate matching is not known here: equality, as RFC 4511, section 4.5.1.7.6 says.
            (Some(b'~'), Pieces::Whole(value)) => Ok(Filter::Equal(attr, value)),
            (Some(b'>'), Pieces::Whole(value)) => Ok(Filter::GreaterOrEqual(attr, value)),
            (Some(b'<'), Pieces::Whole(value)) => Ok(Filter::LessOrEqual(attr, value)),
            _ => Err(self.bad("'*' means something only after '='")),
        }
    }

    /// The value up to the closing parenthesis, taken apart at each `*`.
    fn pieces(&mut self) -> Result<Pieces, FilterError> {
        let mut parts = Vec::new();
        let mut bytes = Vec::new();
        loop {
            match self.peek() {
                None => return Err(self.bad("')' is missing")),
                Some(b')') => break,
                Some(b'(' | 0) => return Err(self.bad("'(' and NUL must be escaped within a value (\\28, \\00)")),
                Some(b'*') => {
                    self.at += 1;
                    parts.push(Value::new(std::mem::take(&mut bytes)));
                }
                Some(b'\\') => {
                    let pair = self.text.get(self.at + 1..self.at + 3).filter(|p| p.bytes().all(|b| b.is_ascii_hexdigit()));
                    let byte = pair.and_then(|pair| u8::from_str_radix(pair, 16).ok());
                    bytes.push(byte.ok_or_else(|| self.bad("'\\' must be followed by two hexadecimal digits"))?);
                    self.at += 3;
                }
                Some(byte) => {
                    self.at += 1;
                    bytes.push(byte);
                }
            }
        }
        let last = Value::new(bytes);
        if parts.is_empty() {
            return Ok(Pieces::Whole(last));
        }
        parts.push(last);
        Ok(Pieces::Split(parts))
    }
}

enum Pieces {
    Whole(Value),
    /// At least two: what stands before, between and after the stars.
    Split(Vec<Value>),
}

fn substrings(attr: AttrName, parts: Vec<Value>) -> Filter {
    let some = |value: Value| (!value.as_bytes().is_empty()).then_some(value);
    let mut parts = parts.into_iter();
    let initial = parts.next().and_then(some);
    let last = parts.next_back().and_then(some);
    let any: Vec<Value> = parts.filter_map(some).collect();
    if initial.is_none() && last.is_none() && any.is_empty() {
        return Filter::Present(attr);
    }
    Filter::Substrings(attr, Substrings { initial, any, last })
}
