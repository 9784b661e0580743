//! Spellings of attribute descriptions that are met again and again, each made once.
//!
//! Stores have millions of entries and a few dozen attributes: without this, most of the time of reading a snapshot back goes into
//! making the same names. Deliberately knows nothing of what a name means.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

/// A spelling, and behind it the same in lower case, which is as long.
#[derive(Debug)]
pub(super) struct Name {
    both: Box<str>,
    /// How long the type is, without options.
    type_bytes: usize,
}

/// More than any real schema has. What is kept is kept for the life of the process, so a source of ever new names must not add to it.
const MOST: usize = 4096;

/// Longer names are rare, and would make what is kept large.
const LONGEST_BYTES: usize = 64;

static KNOWN: RwLock<Option<HashMap<&'static str, &'static Name>>> = RwLock::new(None);

thread_local! {
    /// What a thread has looked up already: two threads that read a store each do not wait for each other.
    static NEAR: RefCell<Near> = RefCell::new(Near::default());
}

/// Entries have the same names mostly in the same order, so each is looked for first where it followed last time.
#[derive(Default)]
struct Near {
    places: HashMap<&'static str, usize>,
    /// Each name with the place of the one that came after it.
    names: Vec<(&'static Name, usize)>,
    last: usize,
}

impl Near {
    fn get(&mut self, spelled: &str) -> Option<&'static Name> {
        let follower = self.names.get(self.last).map_or(0, |(_, follower)| *follower);
        if let Some((name, _)) = self.names.get(follower).filter(|(name, _)| name.spelled() == spelled) {
            self.last = follower;
            return Some(*name);
        }
        let place = match self.places.get(spelled) {
            Some(place) => *place,
            None => {
                let name = far(spelled)?;
                self.names.push((name, 0));
                self.places.insert(name.spelled(), self.names.len() - 1);
                self.names.len() - 1
            }
        };
        if let Some((_, follower)) = self.names.get_mut(self.last) {
            *follower = place;
        }
        self.last = place;
        self.names.get(place).map(|(name, _)| *name)
    }
}

impl Name {
    pub(super) fn new(spelled: &str) -> Self {
        let mut both = String::with_capacity(spelled.len() * 2);
        both.push_str(spelled);
        both.extend(spelled.chars().map(|c| c.to_ascii_lowercase()));
        let type_bytes = spelled.find(';').unwrap_or(spelled.len());
        Self { both: both.into_boxed_str(), type_bytes }
    }

    pub(super) fn spelled(&self) -> &str {
        self.both.get(..self.both.len() / 2).unwrap_or_default()
    }

    pub(super) fn folded(&self) -> &str {
        self.both.get(self.both.len() / 2..).unwrap_or_default()
    }

    /// Whether both are the same in lower case.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        // Most names that are compared are of different length.
        self.both.len() == other.both.len() && self.folded() == other.folded()
    }

    /// Whether this is `other`, or a subtype of it by option.
    pub(super) fn is_covered_by(&self, other: &Self) -> bool {
        self.is_same(other) || (self.type_bytes == other.both.len() / 2 && self.base() == other.folded())
    }

    /// The type without options, in lower case.
    pub(super) fn base(&self) -> &str {
        self.folded().get(..self.type_bytes).unwrap_or_default()
    }
}

/// The one name that is spelled so; `None` where it is too long, or too many are kept already.
pub(super) fn known(spelled: &str) -> Option<&'static Name> {
    if spelled.len() > LONGEST_BYTES {
        return None;
    }
    // Looking up never calls back, so nobody else holds the table; if it were held, a name would merely be made.
    NEAR.with(|near| near.try_borrow_mut().ok()?.get(spelled))
}

/// Looks among the names of all threads.
fn far(spelled: &str) -> Option<&'static Name> {
    let read = KNOWN.read().unwrap_or_else(PoisonError::into_inner);
    let found = read.as_ref().map(|table| (table.get(spelled).copied(), table.len()));
    drop(read);
    match found {
        Some((Some(name), _)) => return Some(name),
        // Full: not even the lock is worth taking.
        Some((None, MOST..)) => return None,
        Some((None, _)) | None => {}
    }
    let mut table = KNOWN.write().unwrap_or_else(PoisonError::into_inner);
    let table = table.get_or_insert_default();
    // Another thread may have been first.
    if let Some(name) = table.get(spelled) {
        return Some(*name);
    }
    if table.len() >= MOST {
        return None;
    }
    let name: &'static Name = Box::leak(Box::new(Name::new(spelled)));
    table.insert(name.spelled(), name);
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_spelling_is_one_name_in_every_thread() {
        let here = known("employeeNumber").unwrap();
        // A thread begins with nothing of its own.
        let there = Near::default().get("employeeNumber").unwrap();
        assert!(std::ptr::eq(here, there));
        assert!(!std::ptr::eq(here, known("EMPLOYEENUMBER").unwrap()), "spellings are told apart");
        assert_eq!((here.spelled(), here.folded()), ("employeeNumber", "employeenumber"));
    }

    #[test]
    fn each_name_is_found_whatever_came_before() {
        for step in 0..1000_usize {
            let spelled = ["cn", "sn", "CN", "uid", "mail"][step * step % 7 % 5];
            assert_eq!(known(spelled).unwrap().spelled(), spelled, "step {step}");
        }
    }

    #[test]
    fn long_names_are_not_kept() {
        assert!(known(&"a".repeat(LONGEST_BYTES)).is_some());
        assert!(known(&"a".repeat(LONGEST_BYTES + 1)).is_none());
    }
}
