//! The time an operation may take in all; what is left of it goes down to every wait.

use std::time::{Duration, Instant};

#[derive(Debug, Clone, Copy)]
pub struct Deadline {
    end: Option<Instant>,
}

impl Deadline {
    pub fn within(budget: Duration) -> Self {
        Self {
            end: Instant::now().checked_add(budget),
        }
    }

    pub fn never() -> Self {
        Self { end: None }
    }

    /// The earlier of this deadline and `budget` from now.
    pub fn at_most(self, budget: Duration) -> Self {
        let shorter = Self::within(budget);
        match (self.end, shorter.end) {
            (Some(mine), Some(other)) if mine < other => self,
            (Some(_), None) => self,
            _ => shorter,
        }
    }

    /// This deadline moved earlier by `reserve`, so that something can still be done afterwards.
    pub fn keeping(self, reserve: Duration) -> Self {
        Self {
            end: self
                .end
                .map(|end| end.checked_sub(reserve).unwrap_or_else(Instant::now)),
        }
    }

    /// The first of so many equal parts of what is left.
    pub fn share_of(self, parts: usize) -> Self {
        let parts = u32::try_from(parts.max(1)).unwrap_or(u32::MAX);
        self.remaining().map_or(self, |left| Self::within(left / parts))
    }

    /// What is left; `None` without a limit.
    pub fn remaining(&self) -> Option<Duration> {
        self.end.map(|end| end.saturating_duration_since(Instant::now()))
    }

    pub fn expired(&self) -> bool {
        self.remaining().is_some_and(|left| left.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_most_takes_the_earlier_end() {
        let long = Deadline::within(Duration::from_secs(100));
        assert!(long.at_most(Duration::from_secs(1)).remaining().unwrap() <= Duration::from_secs(1));
        let short = Deadline::within(Duration::from_secs(1));
        assert!(short.at_most(Duration::from_secs(100)).remaining().unwrap() <= Duration::from_secs(1));
        assert!(
            Deadline::never()
                .at_most(Duration::from_secs(1))
                .remaining()
                .is_some()
        );
    }

    #[test]
    fn keeping_leaves_time_for_undo() {
        let work = Deadline::within(Duration::from_secs(45)).keeping(Duration::from_secs(10));
        assert!(work.remaining().unwrap() <= Duration::from_secs(35));
    }

    #[test]
    fn who_uses_up_a_share_leaves_as_much_to_each_of_the_others() {
        let whole = Deadline::within(Duration::from_secs(400));
        let left = |deadline: Deadline| deadline.remaining().unwrap().as_secs_f64().round();
        let shares = [4, 2, 1, 0].map(|parts| left(whole.share_of(parts)));
        assert_eq!(shares, [100.0, 200.0, 400.0, 400.0]);
        assert_eq!(Deadline::never().share_of(3).remaining(), None);
    }
}
