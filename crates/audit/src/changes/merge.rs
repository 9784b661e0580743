//! Joining two sorted streams.

use std::cmp::Ordering;
use std::iter::Peekable;

/// What stands under one key.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Joined<T> {
    /// In the earlier stream only.
    Before(T),
    /// In the later one only.
    After(T),
    /// In both.
    Both(T, T),
}

/// Joins streams that are sorted by `key`; an error of either ends it.
pub(super) struct Join<L: Iterator, R: Iterator, F> {
    before: Peekable<L>,
    after: Peekable<R>,
    order: F,
}

impl<T, E, L, R, F> Join<L, R, F>
where
    L: Iterator<Item = Result<T, E>>,
    R: Iterator<Item = Result<T, E>>,
    F: FnMut(&T, &T) -> Ordering,
{
    /// Over streams that this orders.
    pub(super) fn new(before: L, after: R, order: F) -> Self {
        Self { before: before.peekable(), after: after.peekable(), order }
    }
}

impl<T, E, L, R, F> Iterator for Join<L, R, F>
where
    L: Iterator<Item = Result<T, E>>,
    R: Iterator<Item = Result<T, E>>,
    F: FnMut(&T, &T) -> Ordering,
{
    type Item = Result<Joined<T>, E>;

    fn next(&mut self) -> Option<Self::Item> {
        let order = match (self.before.peek(), self.after.peek()) {
            (None, None) => return None,
            (Some(Ok(before)), Some(Ok(after))) => (self.order)(before, after),
            // An error comes out whichever stream has it.
            (Some(Err(_)), _) | (Some(Ok(_)), None) => Ordering::Less,
            (None | Some(Ok(_)), Some(_)) => Ordering::Greater,
        };
        match order {
            Ordering::Less => self.before.next().map(|taken| taken.map(Joined::Before)),
            Ordering::Greater => self.after.next().map(|taken| taken.map(Joined::After)),
            Ordering::Equal => match (self.before.next(), self.after.next()) {
                (Some(Ok(before)), Some(Ok(after))) => Some(Ok(Joined::Both(before, after))),
                (Some(Err(error)), _) | (_, Some(Err(error))) => Some(Err(error)),
                _ => None,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_comes_once_in_order_and_an_error_comes_out() {
        let ok = |list: &[u8]| list.iter().map(|n| Ok::<u8, &str>(*n)).collect::<Vec<_>>();
        let join =
            |before: Vec<_>, after: Vec<_>| -> Vec<_> { Join::new(before.into_iter(), after.into_iter(), u8::cmp).collect() };
        use Joined::{After, Before, Both};
        assert_eq!(join(ok(&[1, 3, 4]), ok(&[2, 3])), [Ok(Before(1)), Ok(After(2)), Ok(Both(3, 3)), Ok(Before(4))]);
        assert_eq!(join(ok(&[]), ok(&[1])), [Ok(After(1))]);
        let mut broken = ok(&[1]);
        broken.push(Err("x"));
        assert_eq!(join(broken.clone(), ok(&[5]))[1], Err("x"));
        assert!(join(ok(&[5]), broken).contains(&Err("x")));
    }
}
