//! Whose request is sent next: fair between processes, and not all places are for everybody.

use std::collections::{BTreeMap, VecDeque};

use crate::rpc::relay::Request;
use crate::rpc::shared::Turn;

/// The server runs 10 calls of a connection at once (truenas-api §1.4).
const RUNNING: usize = 10;
/// One place is kept for a status or for taking something back.
const RUNNING_WORK: usize = 9;
/// One process leaves room for another.
const RUNNING_OF_ONE: usize = 8;

pub type ClientId = u64;

struct Queue {
    turn: Turn,
    waiting: VecDeque<Request>,
    running: usize,
}

#[derive(Default)]
pub struct Turns {
    queues: BTreeMap<ClientId, Queue>,
    /// The one that was served last stands at the end.
    ring: VecDeque<ClientId>,
    running: usize,
}

impl Turns {
    pub fn enter(&mut self, client: ClientId, turn: Turn) {
        let queue = Queue {
            turn,
            waiting: VecDeque::new(),
            running: 0,
        };
        self.queues.insert(client, queue);
        self.ring.push_back(client);
    }

    /// What it had not been served yet is forgotten; what runs goes on.
    pub fn leave(&mut self, client: ClientId) {
        self.queues.remove(&client);
        self.ring.retain(|other| *other != client);
    }

    pub fn add(&mut self, client: ClientId, request: Request) {
        if let Some(queue) = self.queues.get_mut(&client) {
            queue.waiting.push_back(request);
        }
    }

    /// A request that was sent and did not run.
    pub fn put_back(&mut self, client: ClientId, request: Request) {
        self.finished(client);
        if let Some(queue) = self.queues.get_mut(&client) {
            queue.waiting.push_front(request);
        }
    }

    pub fn waiting(&self, client: ClientId) -> usize {
        self.queues.get(&client).map_or(0, |queue| queue.waiting.len())
    }

    pub fn anybody_waits(&self) -> bool {
        self.queues.values().any(|queue| !queue.waiting.is_empty())
    }

    pub fn runs_for(&self, client: ClientId) -> bool {
        self.queues.get(&client).is_some_and(|queue| queue.running > 0)
    }

    pub fn finished(&mut self, client: ClientId) {
        self.running = self.running.saturating_sub(1);
        if let Some(queue) = self.queues.get_mut(&client) {
            queue.running = queue.running.saturating_sub(1);
        }
    }

    /// The connection is gone, and with it all that ran.
    pub fn nothing_runs(&mut self) {
        self.running = 0;
        self.queues.values_mut().for_each(|queue| queue.running = 0);
    }

    pub fn next(&mut self) -> Option<(ClientId, Request)> {
        [Turn::Undo, Turn::Status, Turn::Work]
            .into_iter()
            .find_map(|turn| self.next_of(turn))
    }

    fn next_of(&mut self, turn: Turn) -> Option<(ClientId, Request)> {
        let places = match turn {
            Turn::Undo | Turn::Status => RUNNING,
            Turn::Work => RUNNING_WORK,
        };
        if self.running >= places {
            return None;
        }
        let at = self.ring.iter().position(|client| {
            self.queues.get(client).is_some_and(|queue| {
                queue.turn == turn && queue.running < RUNNING_OF_ONE && !queue.waiting.is_empty()
            })
        })?;
        let client = self.ring.remove(at)?;
        self.ring.push_back(client);
        let queue = self.queues.get_mut(&client)?;
        let request = queue.waiting.pop_front()?;
        queue.running += 1;
        self.running += 1;
        Some((client, request))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(number: usize) -> Request {
        let text = format!(r#"{{"jsonrpc":"2.0","id":{number},"method":"pool.query","params":[]}}"#);
        Request::parse(text).unwrap()
    }

    fn with(clients: &[(ClientId, Turn, usize)]) -> Turns {
        let mut turns = Turns::default();
        for (client, turn, requests) in clients {
            turns.enter(*client, *turn);
            (0..*requests).for_each(|number| turns.add(*client, request(number)));
        }
        turns
    }

    fn served(turns: &mut Turns) -> Vec<ClientId> {
        std::iter::from_fn(|| turns.next().map(|(client, _)| client)).collect()
    }

    #[test]
    fn processes_take_turns_and_one_place_stays_free() {
        let mut turns = with(&[(1, Turn::Work, 50), (2, Turn::Work, 2), (3, Turn::Work, 50)]);
        assert_eq!(served(&mut turns), [1, 2, 3, 1, 2, 3, 1, 3, 1]);
        turns.finished(1);
        assert_eq!(served(&mut turns), [3]);
    }

    #[test]
    fn one_process_alone_leaves_room_for_another() {
        let mut turns = with(&[(1, Turn::Work, 50)]);
        assert_eq!(served(&mut turns).len(), RUNNING_OF_ONE);
        turns.enter(2, Turn::Work);
        turns.add(2, request(1));
        assert_eq!(served(&mut turns), [2]);
    }

    #[test]
    fn undo_and_status_go_first_and_find_a_place() {
        let mut turns = with(&[(1, Turn::Work, 50), (2, Turn::Work, 50)]);
        assert_eq!(served(&mut turns).len(), RUNNING_WORK);
        for (client, turn) in [(3, Turn::Status), (4, Turn::Undo)] {
            turns.enter(client, turn);
            turns.add(client, request(1));
        }
        assert_eq!(served(&mut turns), [4]);
        turns.finished(1);
        assert_eq!(served(&mut turns), [3]);
    }

    #[test]
    fn what_a_process_left_behind_frees_its_place_when_it_ends() {
        let mut turns = with(&[(1, Turn::Work, 8), (2, Turn::Work, 50)]);
        assert_eq!(served(&mut turns).len(), RUNNING_WORK);
        turns.leave(1);
        assert!(served(&mut turns).is_empty());
        turns.finished(1);
        assert_eq!(served(&mut turns), [2]);
    }

    #[test]
    fn what_did_not_run_is_the_first_again() {
        let mut turns = with(&[(1, Turn::Work, 2)]);
        let (client, first) = turns.next().unwrap();
        turns.put_back(client, first.clone());
        assert_eq!(turns.next(), Some((1, first)));
    }
}
