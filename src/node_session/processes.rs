//! The processes that one connection serves.

use std::collections::BTreeMap;
use std::os::fd::RawFd;

use super::client::Client;
use super::nas::Newcomer;
use super::turns::{ClientId, Turns};
use crate::logging::{self, Level};
use crate::rpc::relay::{Bytes, Request};
use crate::sys::poll::Watched;

/// More than one process has on its way at a time; what it sends beyond waits in its socket.
const WAITING_OF_ONE: usize = 32;

#[derive(Default)]
pub struct Processes {
    clients: BTreeMap<ClientId, Client>,
    turns: Turns,
    newest: ClientId,
}

impl Processes {
    pub fn admit(&mut self, newcomer: Newcomer) {
        self.newest += 1;
        self.turns.enter(self.newest, newcomer.turn);
        self.clients.insert(self.newest, newcomer.client);
    }

    pub fn watched(&self) -> impl Iterator<Item = Watched> + '_ {
        self.clients.iter().map(|(id, client)| Watched {
            fd: client.fd(),
            read: self.turns.waiting(*id) < WAITING_OF_ONE,
            write: client.wants_to_write(),
        })
    }

    /// A message has come that nothing but room was missing for.
    pub fn can_go_on(&self) -> bool {
        self.clients
            .iter()
            .any(|(id, client)| client.has_message() && self.turns.waiting(*id) < WAITING_OF_ONE)
    }

    /// Reads and writes where something is to be done; true when a request came.
    pub fn attend(&mut self, ready: &[RawFd]) -> bool {
        let mut came = false;
        let mut gone = Vec::new();
        for (id, client) in &mut self.clients {
            let room = WAITING_OF_ONE.saturating_sub(self.turns.waiting(*id));
            let stays = match ready.contains(&client.fd()) {
                // Nothing was awaited from it: this is its end.
                true if room == 0 && !client.wants_to_write() => false,
                false if !client.has_message() => true,
                _ => Self::exchange(*id, client, room, &mut self.turns, &mut came),
            };
            if !stays || client.is_stuck() {
                gone.push(*id);
            }
        }
        gone.into_iter().for_each(|id| self.leave(id));
        came
    }

    /// False when the process has ended, or does not keep to the protocol.
    fn exchange(id: ClientId, client: &mut Client, room: usize, turns: &mut Turns, came: &mut bool) -> bool {
        let Ok(messages) = client.receive(room) else {
            return false;
        };
        for message in messages {
            match Request::parse(message) {
                Ok(request) => {
                    *came = true;
                    turns.add(id, request);
                }
                Err(why) => {
                    let what = format!("node session: a process is sent away: {why}");
                    logging::log(Level::Warning, &what);
                    return false;
                }
            }
        }
        client.flush().is_ok()
    }

    fn leave(&mut self, id: ClientId) {
        self.clients.remove(&id);
        self.turns.leave(id);
    }

    pub fn next(&mut self) -> Option<(ClientId, Request)> {
        self.turns.next()
    }

    pub fn is_there(&self, id: ClientId) -> bool {
        self.clients.contains_key(&id)
    }

    pub fn answer(&mut self, id: ClientId, parts: [Bytes; 3]) {
        self.turns.finished(id);
        let sent = self
            .clients
            .get_mut(&id)
            .map_or(Ok(()), |client| client.send(parts));
        if sent.is_err() {
            self.leave(id);
        }
    }

    pub fn put_back(&mut self, id: ClientId, request: Request) {
        self.turns.put_back(id, request);
    }

    pub fn anybody_waits(&self) -> bool {
        self.turns.anybody_waits()
    }

    pub fn anybody_reads(&self) -> bool {
        self.clients.values().any(Client::wants_to_write)
    }

    /// The connection broke: what ran has no answer any more, and a process learns that from the end of its own.
    pub fn lose_running(&mut self) {
        let lost: Vec<ClientId> = self
            .clients
            .keys()
            .copied()
            .filter(|id| self.turns.runs_for(*id))
            .collect();
        lost.into_iter().for_each(|id| self.leave(id));
        self.turns.nothing_runs();
    }

    /// Those for whom something runs are kept.
    pub fn hand_back(&mut self, reason: &str) {
        let (busy, free) = std::mem::take(&mut self.clients)
            .into_iter()
            .partition(|(id, _)| self.turns.runs_for(*id));
        self.clients = busy;
        for (id, client) in BTreeMap::<ClientId, Client>::into_iter(free) {
            self.turns.leave(id);
            client.hand_back(reason);
        }
    }
}
