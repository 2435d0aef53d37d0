//! The limiter of calls without login (truenas-api.md §2.6).

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::rules::{Rule, Rules};

const CALLS: u32 = 20;
const ENTRIES: usize = 100;
/// A periodic task empties the table.
const CLEARED: Duration = Duration::from_secs(600);

pub struct Limiter {
    window: Duration,
    cleared: Instant,
    table: HashMap<(String, IpAddr), (u32, Instant)>,
}

impl Limiter {
    pub fn new(window: Duration) -> Self {
        Self {
            window,
            cleared: Instant::now(),
            table: HashMap::new(),
        }
    }

    /// Counts a call; false when it is to be refused. Refused calls count too.
    pub fn admits(&mut self, method: &str, ip: IpAddr, rules: &Rules) -> bool {
        let now = Instant::now();
        if now.duration_since(self.cleared) >= CLEARED {
            self.table.clear();
            self.cleared = now;
        }
        let (calls, since) = self.table.entry((method.to_owned(), ip)).or_insert((0, now));
        if now.duration_since(*since) >= self.window {
            (*calls, *since) = (0, now);
        }
        *calls += 1;
        let too_many = *calls > CALLS && rules.on(Rule::Limiter);
        // Exactly: the entry of the 101st is made first, and lets everybody in again.
        let full = self.table.len() == ENTRIES && rules.on(Rule::LimiterTable);
        !too_many && !full
    }

    /// What a restart of the server forgets.
    pub fn forget(&mut self) {
        self.table.clear();
    }
}
