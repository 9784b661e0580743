//! Searching sorted hashes.
//!
//! Hashes are spread evenly, so where one lies is nearly known before the first look: a search looks at two or three places that are close
//! together, and not at twenty that are far apart, each of which has to come from memory.

/// Where the first element is that lies at or behind `wanted`. `list` is sorted by `hash`.
pub fn first_at<T>(list: &[T], wanted: u64, hash: impl Fn(&T) -> u64) -> usize {
    let is_before = |element: &T| hash(element) < wanted;
    let length = u128::try_from(list.len()).unwrap_or(u128::MAX);
    let guess = usize::try_from((u128::from(wanted) * length) >> 64).unwrap_or(usize::MAX).min(list.len());
    // From the guess in steps that double, until what is wanted lies between two of them.
    let mut step = 8;
    if list.get(guess).is_some_and(is_before) {
        let mut from = guess;
        loop {
            let to = from.saturating_add(step).min(list.len());
            match list.get(to) {
                Some(element) if is_before(element) => from = to,
                _ => return from + list.get(from..to).unwrap_or_default().partition_point(is_before),
            }
            step *= 2;
        }
    }
    let mut to = guess;
    loop {
        let from = to.saturating_sub(step);
        if from == 0 || list.get(from).is_some_and(is_before) {
            return from + list.get(from..to).unwrap_or_default().partition_point(is_before);
        }
        to = from;
        step *= 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Evenly spread or not: it finds what a search by halves finds.
    #[test]
    fn it_finds_what_a_search_by_halves_finds() {
        let spread = |n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let lists: [Vec<u64>; 6] = [
            Vec::new(),
            vec![7],
            (0..1000).map(spread).collect(),
            (0..1000).collect(),
            (0..1000).map(|n| u64::MAX - n / 3).collect(),
            (0..500).map(|n| n / 7).chain((0..500).map(|n| u64::MAX - spread(n) / 1000)).collect(),
        ];
        for mut list in lists {
            list.sort_unstable();
            let near = list.iter().flat_map(|h| [h.saturating_sub(1), *h, h.saturating_add(1)]).collect::<Vec<_>>();
            for wanted in near.into_iter().chain([0, u64::MAX, u64::MAX / 2]).chain((0..100).map(spread)) {
                assert_eq!(
                    first_at(&list, wanted, |h| *h),
                    list.partition_point(|h| *h < wanted),
                    "{wanted} among {}",
                    list.len()
                );
            }
        }
    }
}
