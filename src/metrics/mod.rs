//! What all processes of a node have done for a storage, counted in a file that they share (`sys::counted`). Whoever cannot use
//! the file counts nothing: no operation fails for it, or waits.

mod table;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use table::HISTOGRAM;
pub use table::{BUCKETS, METHODS, OPERATIONS};

use crate::sys::counted::{Counted, Header};
use crate::sys::{file, paths};

/// In the order of the bytes in memory: a file of another machine is none of ours.
const MAGIC: u64 = u64::from_le_bytes(*b"TNcount1");

/// What became of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Answered,
    /// The server said no.
    Refused,
    /// It was sent, and no answer came.
    Lost,
    /// There was no connection for it.
    Unsent,
}

impl End {
    pub const ALL: [Self; 4] = [Self::Answered, Self::Refused, Self::Lost, Self::Unsent];

    pub fn label(self) -> &'static str {
        match self {
            Self::Answered => "ok",
            Self::Refused => "error",
            Self::Lost => "lost",
            Self::Unsent => "unsent",
        }
    }
}

/// What became of a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Login {
    Done,
    /// The key or the user is wrong.
    Refused,
    /// TrueNAS takes no more for now.
    Limited,
    /// Not even tried: this node has used its own for this minute.
    NoSlot,
    Failed,
}

impl Login {
    pub const ALL: [Self; 5] = [
        Self::Done,
        Self::Refused,
        Self::Limited,
        Self::NoSlot,
        Self::Failed,
    ];

    pub fn label(self) -> &'static str {
        match self {
            Self::Done => "ok",
            Self::Refused => "refused",
            Self::Limited => "limited",
            Self::NoSlot => "no_slot",
            Self::Failed => "failed",
        }
    }
}

/// What saves a question to the NAS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cache {
    /// The identity of a device, for the next activation on this node.
    Activation,
    /// That a storage was there a moment ago.
    Check,
    /// The last figures, for a status that gets no login.
    Status,
}

impl Cache {
    pub const ALL: [Self; 3] = [Self::Activation, Self::Check, Self::Status];

    pub fn label(self) -> &'static str {
        match self {
            Self::Activation => "activation",
            Self::Check => "check",
            Self::Status => "status",
        }
    }
}

/// Kept open: a daemon counts for months.
static OPEN: Mutex<Vec<(String, Arc<Counted>)>> = Mutex::new(Vec::new());

/// The numbers of one storage.
#[derive(Clone, Default)]
pub struct Counters(Option<Arc<Counted>>);

impl Counters {
    pub fn of(storeid: &str) -> Self {
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, counted)) = open.iter().find(|(name, _)| name == storeid) {
            if counted.is_linked() {
                return Self(Some(counted.clone()));
            }
        }
        open.retain(|(name, _)| name != storeid);
        let counted = opened(storeid).map(Arc::new);
        open.extend(counted.clone().map(|counted| (storeid.to_owned(), counted)));
        Self(counted)
    }

    /// Whether anything is counted here.
    pub fn are_kept(&self) -> bool {
        self.0.is_some()
    }

    /// The time is that of an answer.
    pub fn call(&self, method: &str, end: End, took: Option<Duration>) {
        let row = table::method(method);
        self.add(table::ended(row, end), 1);
        if let Some(took) = took {
            self.time(table::answered(row), took);
        }
    }

    /// A call that was sent goes out once more.
    pub fn again(&self, method: &str) {
        self.add(table::again(table::method(method)), 1);
    }

    pub fn login(&self, login: Login) {
        self.add(table::login(login), 1);
    }

    pub fn operation(&self, name: &str, done: bool, took: Duration) {
        self.time(table::operated(table::operation(name), done), took);
    }

    pub fn cache(&self, cache: Cache, hit: bool) {
        self.add(table::cache(cache, hit), 1);
    }

    fn time(&self, histogram: usize, took: Duration) {
        let (bucket, micros) = table::bucket(took);
        self.add(histogram + bucket, 1);
        self.add(histogram + HISTOGRAM - 1, micros);
    }

    fn word(&self, at: usize) -> Option<&AtomicU64> {
        self.0.as_ref()?.word(at)
    }

    fn add(&self, at: usize, count: u64) {
        if let Some(word) = self.word(at) {
            word.fetch_add(count, Ordering::Relaxed);
        }
    }

    fn get(&self, at: usize) -> u64 {
        self.word(at).map_or(0, |word| word.load(Ordering::Relaxed))
    }

    /// Those that were called.
    pub fn calls(&self) -> Vec<Calls> {
        let names = table::METHODS.into_iter().chain([table::OTHER]);
        let calls = names.enumerate().map(|(row, method)| Calls {
            method,
            ended: End::ALL.map(|end| self.get(table::ended(row, end))),
            again: self.get(table::again(row)),
            answered: self.histogram(table::answered(row)),
        });
        calls
            .filter(|calls| calls.again > 0 || calls.ended.iter().any(|count| *count > 0))
            .collect()
    }

    /// Those that were run.
    pub fn operations(&self) -> Vec<Operation> {
        let names = table::OPERATIONS.map(|(_, label)| label);
        let names = names.into_iter().chain([table::OTHER]).enumerate();
        let both = names.flat_map(|(row, name)| [true, false].map(|done| (row, name, done)));
        both.map(|(row, name, done)| Operation {
            name,
            done,
            took: self.histogram(table::operated(row, done)),
        })
        .filter(|operation| operation.took.count() > 0)
        .collect()
    }

    pub fn logins(&self, login: Login) -> u64 {
        self.get(table::login(login))
    }

    pub fn cached(&self, cache: Cache, hit: bool) -> u64 {
        self.get(table::cache(cache, hit))
    }

    fn histogram(&self, at: usize) -> Histogram {
        Histogram {
            buckets: (0..=BUCKETS.len()).map(|bucket| self.get(at + bucket)).collect(),
            micros: self.get(at + HISTOGRAM - 1),
        }
    }
}

pub struct Calls {
    pub method: &'static str,
    /// In the order of `End::ALL`.
    pub ended: [u64; End::ALL.len()],
    pub again: u64,
    pub answered: Histogram,
}

pub struct Operation {
    pub name: &'static str,
    pub done: bool,
    pub took: Histogram,
}

pub struct Histogram {
    /// How many fell into each.
    pub buckets: Vec<u64>,
    pub micros: u64,
}

impl Histogram {
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }
}

/// Processes of two versions run beside each other during an upgrade: each layout has a file of its own.
fn path(storeid: &str, layout: u64) -> PathBuf {
    let name = format!("{storeid}@{layout:016x}");
    paths::run_dir().join("metrics").join(name)
}

fn opened(storeid: &str) -> Option<Counted> {
    let layout = table::layout();
    let path = path(storeid, layout);
    let header: Header = [MAGIC, layout];
    if storeid.contains('/') {
        return None;
    }
    file::private_dir(path.parent()?).ok()?;
    Counted::open(&path, header, table::WORDS).ok()
}
