//! When the next login may be, as far as the logins so far tell.

use super::{LOGINS_PER_WINDOW, WINDOW_MILLIS};

/// How long TrueNAS may take to refuse a login (truenas-api §2.6), and some more.
const TRIAL_MILLIS: u64 = 15_000;
/// TrueNAS forgets everything after ten minutes (truenas-api §2.6).
pub const REMEMBERED_MILLIS: u64 = 660_000;

const MARK_OF_REFUSAL: usize = LOGINS_PER_WINDOW + 1;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Now,
    NotBefore(u64),
    /// TrueNAS refused a login because of their number. One tries when its minute is over, and the others wait for the outcome.
    Trial,
    Refused {
        until: u64,
        on_trial: bool,
    },
}

/// `logins` in order, those to come included.
pub fn judge(logins: &[u64], limit: usize, now: u64) -> Verdict {
    match refusal(logins, now) {
        Some(refused) => after_refusal(refused, logins, limit, now),
        None => match earliest(logins, limit, now) {
            at if at <= now => Verdict::Now,
            at => Verdict::NotBefore(at),
        },
    }
}

fn after_refusal(refused: u64, logins: &[u64], limit: usize, now: u64) -> Verdict {
    let over = refused + WINDOW_MILLIS;
    if now < over {
        return Verdict::Refused {
            until: over,
            on_trial: false,
        };
    }
    let later = logins.get(logins.partition_point(|at| *at <= refused)..);
    let later = later.unwrap_or_default();
    let trial = later.iter().rev().find(|at| **at <= now);
    let trial_over = trial.map_or(now, |at| at + TRIAL_MILLIS);
    match trial_over.max(earliest(later, limit, now)) {
        until if until <= now => Verdict::Trial,
        until => Verdict::Refused {
            until,
            on_trial: true,
        },
    }
}

/// When TrueNAS last refused a login: in that millisecond stand more logins than are ever granted.
pub fn refusal(logins: &[u64], now: u64) -> Option<u64> {
    let groups = logins.windows(MARK_OF_REFUSAL);
    let full = groups
        .filter(|group| group.first() == group.last())
        .filter_map(|group| group.first().copied());
    full.max().filter(|at| at + REMEMBERED_MILLIS > now)
}

/// What the file is filled with when TrueNAS refuses a login. It has all that is older, and the turns of those who wait.
pub fn refused(now: u64) -> Vec<u64> {
    vec![now; MARK_OF_REFUSAL]
}

/// As after a refusal whose minute is over: the logins go on, one at a time, until one was let in.
pub fn suspected(logins: &[u64], now: u64) -> Vec<u64> {
    let Some(refused) = now.checked_sub(WINDOW_MILLIS) else {
        return logins.to_vec();
    };
    let later = logins.iter().copied().filter(|at| *at > refused);
    vec![refused; MARK_OF_REFUSAL].into_iter().chain(later).collect()
}

/// The first moment at which one more login leaves no window with more than `limit`.
fn earliest(logins: &[u64], limit: usize, now: u64) -> u64 {
    let freed = logins.iter().map(|at| at + WINDOW_MILLIS);
    let mut moments = std::iter::once(now).chain(freed.filter(|at| *at > now));
    moments
        .find(|at| fits(logins, limit, *at))
        .unwrap_or(now + WINDOW_MILLIS)
}

fn fits(logins: &[u64], limit: usize, at: u64) -> bool {
    let before = logins.iter().rev().filter(|login| **login <= at);
    let after = logins.iter().filter(|login| **login > at);
    let before: Vec<u64> = before.take(limit).copied().collect();
    let after: Vec<u64> = after.take(limit).copied().collect();
    let around: Vec<u64> = before.into_iter().rev().chain([at]).chain(after).collect();
    around.windows(limit + 1).all(|group| match group {
        [first, .., last] => last - first >= WINDOW_MILLIS,
        _ => true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpc::budget::{HORIZON_MILLIS, Lane};

    const START: u64 = 10_000_000;

    struct Node {
        now: u64,
        logins: Vec<u64>,
    }

    impl Node {
        fn new() -> Self {
            Self {
                now: START,
                logins: Vec::new(),
            }
        }

        /// When a process that waits as long as it takes logs in.
        fn take(&mut self, lane: Lane) -> u64 {
            let at = match judge(&self.logins, lane.limit(), self.now) {
                Verdict::Now => self.now,
                Verdict::NotBefore(at) => at,
                closed => panic!("{closed:?}"),
            };
            self.logins.push(at);
            self.logins.sort_unstable();
            at
        }

        fn waits(&self, lane: Lane) -> u64 {
            match judge(&self.logins, lane.limit(), self.now) {
                Verdict::NotBefore(at) => at - self.now,
                _ => 0,
            }
        }
    }

    fn most_within_a_window(logins: &[u64]) -> usize {
        let within = |first: &u64| {
            let group = logins
                .iter()
                .filter(|at| **at >= *first && **at < first + WINDOW_MILLIS);
            group.count()
        };
        logins.iter().map(within).max().unwrap_or(0)
    }

    #[test]
    fn work_leaves_slots_for_status_and_status_for_undo() {
        let mut node = Node::new();
        for lane in [Lane::Work, Lane::Locked].repeat(4) {
            assert_eq!(node.take(lane), START);
        }
        assert_eq!(node.waits(Lane::Work), WINDOW_MILLIS);
        // What others wait for does not take it away.
        for _ in 0..8 {
            assert_eq!(node.take(Lane::Work), START + WINDOW_MILLIS);
        }
        for _ in 0..5 {
            assert_eq!(node.take(Lane::Status), START);
        }
        assert!(node.waits(Lane::Status) > 0);
        for _ in 0..2 {
            assert_eq!(node.take(Lane::Undo), START);
        }
        assert!(node.waits(Lane::Undo) > 0);
    }

    #[test]
    fn who_asks_later_comes_later() {
        let mut node = Node::new();
        let mut turns = Vec::new();
        for _ in 0..40 {
            turns.push(node.take(Lane::Work));
            node.now += 100;
        }
        assert!(turns.is_sorted(), "{turns:?}");
        assert_eq!(most_within_a_window(&turns), 8);
        // The last of them is told its own turn, and not the first that is free for somebody.
        assert!(node.waits(Lane::Work) > 4 * WINDOW_MILLIS);
    }

    #[test]
    fn no_order_of_calls_gives_more_than_the_node_may_have() {
        let mut seed = 7u64;
        let mut random = |below: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) % below
        };
        for _ in 0..50 {
            let (mut node, mut works) = (Node::new(), Vec::new());
            for _ in 0..200 {
                node.now += random(4) * random(9000);
                let lane = [Lane::Work, Lane::Locked, Lane::Status, Lane::Status, Lane::Undo]
                    .get(random(5) as usize)
                    .copied()
                    .unwrap();
                if node.waits(lane) > HORIZON_MILLIS {
                    continue;
                }
                let at = node.take(lane);
                works.extend((lane.limit() == 8).then_some(at));
            }
            works.sort_unstable();
            assert!(most_within_a_window(&node.logins) <= LOGINS_PER_WINDOW);
            assert!(most_within_a_window(&works) <= 8);
        }
    }

    #[test]
    fn after_a_refusal_nobody_tries_for_a_window_and_then_one_at_a_time() {
        let until = |until, on_trial| Verdict::Refused { until, on_trial };
        let mut logins = refused(START);
        let over = START + WINDOW_MILLIS;
        for lane in [Lane::Work, Lane::Status, Lane::Undo] {
            assert_eq!(judge(&logins, lane.limit(), START), until(over, false));
            assert_eq!(judge(&logins, lane.limit(), over - 1), until(over, false));
            assert_eq!(judge(&logins, lane.limit(), over), Verdict::Trial);
        }
        logins.push(over);
        let next = over + TRIAL_MILLIS;
        assert_eq!(judge(&logins, 15, over + 1), until(next, true));
        // It was killed, or its answer was lost.
        assert_eq!(judge(&logins, 15, next), Verdict::Trial);
        assert_eq!(judge(&logins, 15, START + REMEMBERED_MILLIS), Verdict::Now);
    }

    #[test]
    fn a_login_that_was_not_answered_lets_the_next_ones_try_alone() {
        let now = START + 3000;
        let logins = suspected(&[START - WINDOW_MILLIS, START], now);
        let next = START + TRIAL_MILLIS;
        let waits = Verdict::Refused {
            until: next,
            on_trial: true,
        };
        assert_eq!(judge(&logins, 15, now), waits);
        assert_eq!(judge(&logins, 15, next), Verdict::Trial);
        let many = suspected(&[START; 8], now);
        assert_eq!(judge(&many, 15, next), Verdict::Trial);
        assert_ne!(judge(&many, 8, next), Verdict::Trial);
    }
}
