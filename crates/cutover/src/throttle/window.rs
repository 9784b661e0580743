//! How many operations a store takes well: more are tried as long as they gain something, and fewer where they lose nothing.
//!
//! A server that does its work at `k` operations at a time ends each after the same time, however many there are, up to `k`; beyond
//! that knee the time that an operation takes grows with the number in flight, and no more is done in a second. By Little's law what
//! is done in a second is the number in flight divided by that time. So the limit is moved by comparing one round of operations at
//! one limit with the next at another one. Both see the same machines, with whatever else goes on there: times that are long or
//! noisy for other reasons are no reason to do less. At the beginning the limit doubles; then it grows by a quarter and falls to
//! [`LESS`]; a busy answer halves it. Pure: knows no clock and nobody who waits.

use std::collections::BTreeMap;
use std::time::Duration;

/// What kind of operation a time was measured of: to create an entry takes longer than to change one on any server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// An entry is created.
    Create,
    /// Attributes of an entry are set.
    Set,
    /// A value is added or taken away.
    Value,
    /// An entry is deleted.
    Delete,
}

/// Why the limit is what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The knee is not found yet.
    Starting,
    /// More in flight did more.
    Growing,
    /// More in flight would only wait longer, and fewer would do less.
    Steady,
    /// There is too little to do to use the limit.
    Unused,
    /// Each took longer with what was in flight: fewer do as much.
    Latency,
    /// The server said busy, or timed out.
    Busy,
    /// An operator's bound.
    Throttled,
    /// The configured bound.
    Ceiling,
}

impl Why {
    /// In words, for the progress line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Growing => "trying more",
            Self::Steady => "steady",
            Self::Unused => "little to do",
            Self::Latency => "latency rose",
            Self::Busy => "server busy",
            Self::Throttled => "throttled",
            Self::Ceiling => "configured",
        }
    }
}

/// Where everything begins.
const FIRST: f64 = 8.0;

/// Operations of which a round measures at least as many: a median of fewer says little.
const ROUND: u32 = 32;

/// The same at the beginning, where the limit doubles: that shows in fewer. Far from a store, where an operation takes long, more would
/// make the beginning most of a run.
const FIRST_ROUND: u32 = 16;

/// What is tried as more, and as less.
const MORE: f64 = 1.25;
const LESS: f64 = 0.7;

/// Share of what more in flight would do more at best that it must do at least to be kept…
const GAINED: f64 = 0.4;

/// …and below which what is in flight now is given up for less.
const LOST: f64 = 0.3;

/// Rounds between two trials when the last ones changed nothing.
const PATIENCE: u32 = 8;

/// The same limit, and each takes so many times as long: something has changed, and less is tried at once.
const SUDDEN: f64 = 2.0;

/// How long the operations of one round took, by kind.
type Round = BTreeMap<Kind, Vec<Duration>>;

/// What a round is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trial {
    /// What the limit is compared from.
    None,
    /// Whether more does more.
    More,
    /// Whether less does less.
    Less,
}

/// Limit and measurements of one store.
#[derive(Debug)]
pub(super) struct Window {
    ceiling: f64,
    limit: f64,
    starting: bool,
    trial: Trial,
    /// The limit that is on trial.
    tried: f64,
    /// The last round at the limit itself.
    base: Option<Round>,
    round: Round,
    measured: u32,
    /// Operations whose time still belongs to the limit before this one.
    settling: u32,
    /// Most operations that were in flight in this round.
    used: u32,
    /// Rounds at the limit until the next trial, and how many there are between two.
    rest: u32,
    patience: u32,
    next: Trial,
    why: Why,
}

impl Window {
    pub(super) fn new(ceiling: u32) -> Self {
        let ceiling = f64::from(ceiling.max(1));
        Self {
            ceiling,
            limit: FIRST.min(ceiling),
            starting: true,
            trial: Trial::None,
            tried: FIRST.min(ceiling),
            base: None,
            round: Round::new(),
            measured: 0,
            settling: 0,
            used: 0,
            rest: 0,
            patience: 1,
            next: Trial::More,
            why: Why::Starting,
        }
    }

    /// Operations that may be in flight.
    pub(super) fn limit(&self) -> u32 {
        let limit = if self.trial == Trial::None { self.limit } else { self.tried };
        // Between 1 and the ceiling, which is a u32.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded by 1 and the ceiling")]
        let limit = limit.clamp(1.0, self.ceiling) as u32;
        limit
    }

    /// Why it is what it is.
    pub(super) fn why(&self) -> Why {
        self.why
    }

    /// So many operations are in flight.
    pub(super) fn used(&mut self, in_flight: u32) {
        self.used = self.used.max(in_flight);
    }

    /// The server said busy or did not answer in time: at most once a round the limit is halved.
    pub(super) fn busy(&mut self) {
        if self.why == Why::Busy && self.measured == 0 {
            return;
        }
        self.starting = false;
        self.limit = (f64::from(self.limit()) / 2.0).max(1.0);
        self.patience = 1;
        self.rest = 1;
        self.next = Trial::More;
        self.begin(Trial::None);
        self.why = Why::Busy;
    }

    /// An operation ended after this time.
    pub(super) fn took(&mut self, kind: Kind, time: Duration) {
        if self.settling > 0 {
            self.settling -= 1;
            return;
        }
        self.round.entry(kind).or_default().push(time);
        self.measured += 1;
        let least = if self.starting { FIRST_ROUND } else { ROUND };
        if self.measured >= self.limit().max(least) {
            self.end_round();
        }
    }

    fn begin(&mut self, trial: Trial) {
        if trial != Trial::None || self.trial != Trial::None {
            self.settling = self.limit();
            self.base = self.base.take().filter(|_| trial != Trial::None);
        }
        self.trial = trial;
        self.tried = match trial {
            Trial::None => self.limit,
            Trial::More if self.starting => self.limit * 2.0,
            Trial::More => (self.limit * MORE).max(self.limit + 1.0),
            Trial::Less => (self.limit * LESS).min(self.limit - 1.0),
        }
        .clamp(1.0, self.ceiling);
        self.round.clear();
        self.measured = 0;
        self.used = 0;
    }

    fn end_round(&mut self) {
        let round = std::mem::take(&mut self.round);
        if f64::from(self.used) < f64::from(self.limit()) * 0.75 {
            // What was not in flight says nothing.
            self.why = if self.starting { Why::Starting } else { Why::Unused };
            self.rest = 1;
            return self.begin(Trial::None);
        }
        match self.trial {
            Trial::None => self.end_base(round),
            Trial::More => self.end_more(round),
            Trial::Less => self.end_less(&round),
        }
    }

    fn end_base(&mut self, round: Round) {
        let before = self.base.replace(round);
        let sudden = before.zip(self.base.as_ref()).and_then(|(before, now)| stretched(&before, now));
        if sudden.is_some_and(|times| times > SUDDEN) {
            (self.rest, self.next) = (0, Trial::Less);
        }
        self.rest = self.rest.saturating_sub(1);
        if self.rest > 0 {
            return self.begin(Trial::None);
        }
        let trial = match self.next {
            Trial::More if self.limit >= self.ceiling => Trial::Less,
            Trial::Less if self.limit <= 1.0 => Trial::More,
            other => other,
        };
        self.begin(trial);
    }

    fn end_more(&mut self, round: Round) {
        let times = self.base.as_ref().and_then(|base| stretched(base, &round)).unwrap_or(1.0);
        let more = self.tried / self.limit;
        if more / times > 1.0 + (more - 1.0) * GAINED {
            self.limit = self.tried;
            self.why = match self.limit >= self.ceiling {
                true => Why::Ceiling,
                false if self.starting => Why::Starting,
                false => Why::Growing,
            };
            // What was tried is what the next trial is compared with.
            self.trial = Trial::None;
            self.base = Some(round);
            self.patience = 1;
            let next = if self.limit >= self.ceiling { Trial::Less } else { Trial::More };
            self.starting &= next == Trial::More;
            return self.begin(next);
        }
        self.starting = false;
        self.stay(Trial::Less);
    }

    fn end_less(&mut self, round: &Round) {
        let times = self.base.as_ref().and_then(|base| stretched(round, base)).unwrap_or(1.0);
        let more = self.limit / self.tried;
        if more / times < 1.0 + (more - 1.0) * LOST {
            self.limit = self.tried;
            self.why = Why::Latency;
            (self.patience, self.rest, self.next) = (1, 1, Trial::Less);
            return self.begin(Trial::None);
        }
        self.stay(Trial::More);
    }

    /// The trial has changed nothing.
    fn stay(&mut self, next: Trial) {
        self.why = if self.limit >= self.ceiling { Why::Ceiling } else { Why::Steady };
        self.rest = self.patience;
        self.patience = (self.patience * 2).min(PATIENCE);
        self.next = next;
        self.begin(Trial::None);
    }
}

/// How many times as long the operations of `now` took as those of `before`; `None` where they have no kind in common.
fn stretched(before: &Round, now: &Round) -> Option<f64> {
    let mut weight = 0.0;
    let mut sum = 0.0;
    for (kind, times) in now {
        let Some((before, now)) = before.get(kind).and_then(|before| median(before)).zip(median(times)) else { continue };
        // Rounds are small.
        #[expect(clippy::cast_precision_loss, reason = "operations of a round")]
        let count = times.len() as f64;
        sum += (now / before.max(f64::MIN_POSITIVE)).ln() * count;
        weight += count;
    }
    (weight > 0.0).then(|| (sum / weight).exp())
}

/// In seconds.
fn median(times: &[Duration]) -> Option<f64> {
    let mut times = times.to_vec();
    times.sort();
    times.get(times.len() / 2).map(|time| time.as_secs_f64().max(1e-9))
}

#[cfg(test)]
mod tests {
    use std::cmp::Reverse;
    use std::collections::BinaryHeap;

    use super::*;

    /// A server in virtual time that works on `workers` operations at a time, first come first served.
    struct Simulated {
        now: Duration,
        /// When each worker is free.
        workers: BinaryHeap<Reverse<Duration>>,
        service: Duration,
        /// Added to each answer, however many are in flight: distance, or a server that waits by itself.
        delay: Duration,
        flying: BinaryHeap<Reverse<(Duration, Duration)>>,
        answered: u64,
        seed: u64,
    }

    /// Pseudo-random numbers below a bound, the same each time.
    fn random(seed: &mut u64, bound: u64) -> u64 {
        *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*seed >> 33) % bound
    }

    impl Simulated {
        fn new(workers: usize, service_us: u64, delay_us: u64) -> Self {
            Self {
                now: Duration::ZERO,
                workers: (0..workers).map(|_| Reverse(Duration::ZERO)).collect(),
                service: Duration::from_micros(service_us),
                delay: Duration::from_micros(delay_us),
                flying: BinaryHeap::new(),
                answered: 0,
                seed: 7,
            }
        }

        fn seeded(seed: u64, workers: usize, service_micros: u64) -> Self {
            Self { seed, ..Self::new(workers, service_micros, 0) }
        }

        /// Keeps as many in flight as the window allows, until so many were answered.
        fn run(&mut self, window: &mut Window, answers: u64) {
            let until = self.answered + answers;
            while self.answered < until {
                while u32::try_from(self.flying.len()).unwrap() < window.limit() {
                    let Reverse(free) = self.workers.pop().unwrap();
                    // Between half and one and a half times as long as on average.
                    let service = self.service / 2 + self.service * u32::try_from(random(&mut self.seed, 1_000)).unwrap() / 1_000;
                    let done = free.max(self.now) + service;
                    self.workers.push(Reverse(done));
                    self.flying.push(Reverse((done + self.delay, self.now)));
                    window.used(u32::try_from(self.flying.len()).unwrap());
                }
                let Reverse((at, sent)) = self.flying.pop().unwrap();
                self.now = at;
                self.answered += 1;
                window.took(Kind::Set, at - sent);
            }
        }

        /// Operations a second over so many answers, as a share of what the server can do.
        fn utilization(&mut self, window: &mut Window, answers: u64) -> f64 {
            let began = self.now;
            self.run(window, answers);
            let possible = self.workers.len() as f64 / self.service.as_secs_f64();
            answers as f64 / (self.now - began).as_secs_f64() / possible
        }
    }

    /// Of 31 seeds: what a tenth is below, the middle, and what a tenth is above. One course says little: the times that it meets decide
    /// which trial comes when.
    fn spread(of: impl Fn(u64) -> f64) -> (f64, f64, f64) {
        let mut found: Vec<f64> = (1..=31).map(|seed| of(seed * 7_919)).collect();
        found.sort_by(f64::total_cmp);
        (found[3], found[15], found[27])
    }

    #[test]
    fn it_settles_near_the_knee_and_keeps_the_server_busy() {
        for workers in [2, 4, 8, 11, 16, 24, 32] {
            let settled = |seed| {
                let (mut server, mut window) = (Simulated::seeded(seed, workers, 20_000), Window::new(256));
                server.run(&mut window, 4_000);
                (server, window)
            };
            let (low, middle, _) = spread(|seed| {
                let (mut server, mut window) = settled(seed);
                server.utilization(&mut window, 8_000)
            });
            assert!(low > 0.88 && middle > 0.92, "{workers} workers: {low}, {middle}");
            // Now and then less and more are tried; half of the time it is where it should be.
            let limit = |place: usize| {
                let of_workers = |seed| {
                    let (mut server, mut window) = settled(seed);
                    let mut limits: Vec<u32> = Vec::new();
                    for _ in 0..100 {
                        server.run(&mut window, 40);
                        limits.push(window.limit());
                    }
                    limits.sort_unstable();
                    f64::from(limits[place]) / workers as f64
                };
                spread(of_workers)
            };
            let (least, middle, most) = (limit(0), limit(50), limit(99));
            assert!(middle.0 > 0.85 && (0.9..1.2).contains(&middle.1) && middle.2 < 1.4, "{workers} workers: {middle:?}");
            assert!(least.1 >= 0.5 && most.1 <= 2.0, "{workers} workers: between {least:?} and {most:?}");
        }
    }

    #[test]
    fn the_knee_is_found_quickly() {
        let (mut server, mut window) = (Simulated::new(64, 20_000, 0), Window::new(256));
        server.run(&mut window, 400);
        assert!(window.limit() >= 64, "{}", window.limit());
        server.run(&mut window, 2_000);
        assert_ne!(window.why(), Why::Starting);
    }

    #[test]
    fn distance_is_hidden_by_work_in_flight_up_to_the_ceiling() {
        let (mut server, mut window) = (Simulated::new(8, 500, 50_000), Window::new(64));
        server.run(&mut window, 500);
        assert_eq!(window.why(), Why::Ceiling);
        let began = server.now;
        server.run(&mut window, 10_000);
        let possible = 64.0 / 0.0505;
        let rate = 10_000.0 / (server.now - began).as_secs_f64();
        assert!(rate > possible * 0.9, "{rate} of {possible}");
    }

    #[test]
    fn a_server_that_turns_slow_is_given_less_and_one_that_recovers_more() {
        let course = |seed| {
            let (mut server, mut window) = (Simulated::seeded(seed, 16, 10_000), Window::new(128));
            server.run(&mut window, 2_000);
            let before = f64::from(window.limit());
            // Ten times as slow, and two at a time.
            server = Simulated::seeded(seed, 2, 100_000);
            server.run(&mut window, 500);
            let given = f64::from(window.limit());
            let slow = server.utilization(&mut window, 1_000);
            server = Simulated::seeded(seed, 16, 10_000);
            server.run(&mut window, 2_000);
            [before, given, slow, server.utilization(&mut window, 2_000)]
        };
        let [before, given, slow, after] = [0, 1, 2, 3].map(|place| spread(|seed| course(seed)[place]));
        assert!(before.0 >= 10.0 && before.2 <= 28.0, "{before:?}");
        assert!(given.1 <= 6.0, "{given:?}");
        assert!(slow.0 > 0.88 && after.0 > 0.85 && after.1 > 0.92, "{slow:?}, {after:?}");
    }

    #[test]
    fn a_server_that_only_answers_more_slowly_is_not_given_less() {
        let after = spread(|seed| {
            let (mut server, mut window) = (Simulated::seeded(seed, 16, 10_000), Window::new(64));
            server.run(&mut window, 1_000);
            // The same number at a time, each ten times as long: the knee is where it was.
            server = Simulated::seeded(seed, 16, 100_000);
            server.utilization(&mut window, 2_000)
        });
        assert!(after.0 > 0.84 && after.1 > 0.92, "{after:?}");
    }

    #[test]
    fn a_machine_that_is_busy_with_other_things_is_no_reason_to_do_less() {
        // Whatever is in flight, an operation takes between one and fifty milliseconds, by what else goes on.
        let mut window = Window::new(64);
        let mut seed = 7_u64;
        let mut limits = Vec::new();
        for _ in 0..20_000 {
            window.used(window.limit());
            window.took(Kind::Set, Duration::from_micros(1_000 + random(&mut seed, 50_000)));
            limits.push(window.limit());
        }
        limits.sort_unstable();
        assert!(limits[limits.len() / 2] >= 48, "{}", limits[limits.len() / 2]);
    }

    #[test]
    fn kinds_that_take_longer_are_not_taken_for_a_slow_server() {
        let mut window = Window::new(64);
        for n in 0..4_000_u64 {
            window.used(window.limit());
            let (kind, ms) = if (n / 50) % 2 == 0 { (Kind::Set, 4) } else { (Kind::Create, 20) };
            window.took(kind, Duration::from_millis(ms));
        }
        assert_eq!((window.limit(), window.why()), (64, Why::Ceiling));
    }

    #[test]
    fn busy_halves_the_limit_once_a_round_and_calm_grows_it_again() {
        let mut window = Window::new(64);
        let calm = |window: &mut Window, answers| {
            for _ in 0..answers {
                window.used(window.limit());
                window.took(Kind::Set, Duration::from_millis(2));
            }
        };
        calm(&mut window, 1_000);
        assert_eq!(window.why(), Why::Ceiling);
        let before = window.limit();
        window.busy();
        window.busy();
        assert_eq!((window.limit(), window.why()), (before / 2, Why::Busy));
        calm(&mut window, 4_000);
        assert_eq!(window.why(), Why::Ceiling);
    }

    #[test]
    fn a_limit_that_is_not_used_does_not_grow() {
        let mut window = Window::new(64);
        for _ in 0..500 {
            window.used(1);
            window.took(Kind::Create, Duration::from_millis(2));
        }
        assert_eq!((window.limit(), window.why()), (8, Why::Starting));
    }
}
