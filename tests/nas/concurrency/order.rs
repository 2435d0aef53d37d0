//! Whether there is an order of all that happened to one volume in which each call makes sense, and in which no call comes
//! before one that was over when it began (linearizability; Wing and Gong 1993, with Lowe's memory of what was tried).

use std::collections::HashSet;

use super::volume::{Act, State};

#[derive(Debug, Clone)]
pub struct Event {
    pub who: String,
    pub act: Act,
    /// It may have been done or not: its caller was told neither.
    pub perhaps: bool,
    pub begin: usize,
    pub end: usize,
}

struct Search<'a> {
    events: &'a [Event],
    done: Vec<bool>,
    /// All before it are done.
    first: usize,
    state: State,
    tried: HashSet<(usize, Vec<usize>, State)>,
    furthest: (Vec<bool>, State),
}

/// The events have to be in the order of their begins.
pub fn explain(events: &[Event]) -> Result<(), String> {
    let mut search = Search {
        events,
        done: vec![false; events.len()],
        first: 0,
        state: None,
        tried: HashSet::new(),
        furthest: (Vec::new(), None),
    };
    match search.go_on() {
        true => Ok(()),
        false => Err(search.dead_end()),
    }
}

impl Search<'_> {
    fn go_on(&mut self) -> bool {
        let read = self.read_all();
        if self.first == self.events.len() {
            return true;
        }
        if count(&self.done) >= count(&self.furthest.0) {
            self.furthest = (self.done.clone(), self.state.clone());
        }
        if self.tried.insert(self.position()) {
            for at in self.candidates() {
                if self.goes_on_with(at) {
                    return true;
                }
            }
        }
        for (at, first) in read.into_iter().rev() {
            self.unmark(at, first);
        }
        false
    }

    fn goes_on_with(&mut self, at: usize) -> bool {
        let event = &self.events[at];
        let not_done = event.perhaps.then(|| self.state.clone());
        let outcomes = [event.act.after(&self.state), not_done];
        outcomes.into_iter().flatten().any(|next| {
            let before = std::mem::replace(&mut self.state, next);
            let first = self.mark(at);
            let explained = self.go_on();
            if !explained {
                self.unmark(at, first);
                self.state = before;
            }
            explained
        })
    }

    /// What changes nothing and fits now may as well have been now.
    fn read_all(&mut self) -> Vec<(usize, usize)> {
        let mut read = Vec::new();
        loop {
            let fits = |at: &usize| {
                let act = &self.events[*at].act;
                !act.changes() && act.after(&self.state).is_some_and(|next| next == self.state)
            };
            let Some(at) = self.candidates().into_iter().find(fits) else {
                return read;
            };
            let first = self.mark(at);
            read.push((at, first));
        }
    }

    /// Those that began before any of the others was over.
    fn candidates(&self) -> Vec<usize> {
        let mut candidates = Vec::new();
        let mut earliest = usize::MAX;
        for at in self.first..self.events.len() {
            if self.events[at].begin > earliest {
                break;
            }
            if !self.done[at] {
                earliest = earliest.min(self.events[at].end);
                candidates.push(at);
            }
        }
        candidates
    }

    fn mark(&mut self, at: usize) -> usize {
        let first = self.first;
        self.done[at] = true;
        while self.done.get(self.first) == Some(&true) {
            self.first += 1;
        }
        first
    }

    fn unmark(&mut self, at: usize, first: usize) {
        self.done[at] = false;
        self.first = first;
    }

    fn position(&self) -> (usize, Vec<usize>, State) {
        let ahead = (self.first..self.events.len()).filter(|at| self.done[*at]);
        (self.first, ahead.collect(), self.state.clone())
    }

    fn dead_end(&self) -> String {
        let (done, state) = &self.furthest;
        let first = done.iter().position(|done| !done).unwrap_or_default();
        let around = self
            .events
            .iter()
            .zip(done)
            .skip(first.saturating_sub(30))
            .take(60);
        let told = around.filter(|(event, done)| event.act.changes() || !**done);
        let told: Vec<String> = told
            .map(|(event, done)| {
                let mark = if *done { ' ' } else { '?' };
                format!(
                    "{mark} {}..{} {} {:?}",
                    event.begin, event.end, event.who, event.act
                )
            })
            .collect();
        format!(
            "no order explains what was told; with {state:?} nothing goes on:\n{}",
            told.join("\n")
        )
    }
}

fn count(done: &[bool]) -> usize {
    done.iter().filter(|done| **done).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(who: &str, act: Act, begin: usize, end: usize) -> Event {
        Event {
            who: who.into(),
            act,
            perhaps: false,
            begin,
            end,
        }
    }

    #[test]
    fn calls_at_once_are_put_in_the_order_that_makes_sense() {
        let events = [
            event("list", Act::Seen(1), 0, 5),
            event("alloc", Act::Made("alloc".into(), Some(1)), 1, 4),
            event("free", Act::Gone, 2, 6),
            event("list", Act::Absent, 3, 7),
        ];
        explain(&events).unwrap();
    }

    #[test]
    fn one_name_handed_out_twice_is_noticed() {
        let events = [
            event("alloc", Act::Made("alloc".into(), Some(1)), 0, 3),
            event("alloc", Act::Made("alloc".into(), Some(1)), 1, 2),
        ];
        assert!(explain(&events).unwrap_err().contains("no order explains"));
    }

    #[test]
    fn what_was_over_cannot_come_later() {
        let made = event("alloc", Act::Made("alloc".into(), Some(1)), 0, 1);
        let late = [made.clone(), event("list", Act::Absent, 2, 3)];
        explain(&late).unwrap_err();
        let back = [
            made.clone(),
            event("free", Act::Gone, 2, 3),
            event("list", Act::Seen(1), 4, 5),
        ];
        explain(&back).unwrap_err();
        explain(&[
            made,
            event("resize", Act::Grown(2), 2, 3),
            event("list", Act::Seen(1), 4, 5),
        ])
        .unwrap_err();
    }

    #[test]
    fn what_failed_may_have_been_seen_and_takes_back_only_its_own() {
        let perhaps = |act: Act| Event {
            perhaps: true,
            ..event("failed", act, 0, 9)
        };
        let failed = [
            perhaps(Act::Made("failed".into(), Some(1))),
            perhaps(Act::TakenBack("failed".into())),
        ];
        let then = |rest: &[Event]| explain(&[&failed, rest].concat());
        then(&[
            event("list", Act::Seen(1), 1, 2),
            event("list", Act::Absent, 3, 4),
        ])
        .unwrap();
        then(&[event("list", Act::Absent, 1, 2)]).unwrap();
        let made = event("alloc", Act::Made("alloc".into(), Some(1)), 1, 2);
        then(&[made.clone(), event("list", Act::Seen(1), 3, 4)]).unwrap();
        then(&[made, event("list", Act::Absent, 3, 4)]).unwrap_err();
    }

    #[test]
    fn a_lost_snapshot_is_noticed() {
        let snapshots =
            |names: &[&str]| Act::HasSnapshots(names.iter().map(|name| (*name).to_owned()).collect());
        let events = |last: &[&str]| {
            vec![
                event("alloc", Act::Made("alloc".into(), Some(1)), 0, 1),
                event("snapshot", Act::Snapped("one".into()), 2, 5),
                event("snapshot", Act::Snapped("two".into()), 3, 4),
                event("list", snapshots(last), 6, 7),
            ]
        };
        explain(&events(&["one", "two"])).unwrap();
        explain(&events(&["two"])).unwrap_err();
    }
}
