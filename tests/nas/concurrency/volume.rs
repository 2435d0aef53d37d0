//! One volume, as small as its callers can tell: whether it is there, its size, its snapshots.

use std::collections::BTreeSet;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Volume {
    /// The call that made it.
    pub maker: String,
    /// None from a clone on until somebody is told.
    pub size: Option<u64>,
    pub snapshots: BTreeSet<String>,
}

pub type State = Option<Volume>;

/// What a call did to a volume, or shows of it.
#[derive(Debug, Clone)]
pub enum Act {
    /// By this call, in this size.
    Made(String, Option<u64>),
    /// By the call that had made it, and then failed.
    TakenBack(String),
    Gone,
    Grown(u64),
    Snapped(String),
    Unsnapped(String),
    Absent,
    Seen(u64),
    HasSnapshot(String),
    HasSnapshots(BTreeSet<String>),
    LacksSnapshot(String),
    LargerThan(u64),
    Is(State),
}

impl Act {
    pub fn changes(&self) -> bool {
        matches!(
            self,
            Self::Made(..)
                | Self::TakenBack(_)
                | Self::Gone
                | Self::Grown(_)
                | Self::Snapped(_)
                | Self::Unsnapped(_)
        )
    }

    /// The state after it; none where it cannot have been then.
    pub fn after(&self, state: &State) -> Option<State> {
        match (self, state) {
            (Self::Made(by, size), None) => Some(Some(Volume {
                maker: by.clone(),
                size: *size,
                snapshots: BTreeSet::new(),
            })),
            // What is not there may be freed again, and its snapshots deleted again.
            (Self::Gone, _) => Some(None),
            (Self::Unsnapped(_) | Self::Absent | Self::LacksSnapshot(_), None) => Some(None),
            (Self::Is(wanted), state) => is(wanted, state).then(|| state.clone()),
            (_, None) => None,
            (Self::TakenBack(by), Some(volume)) => (volume.maker == *by).then_some(None),
            (act, Some(volume)) => act.on(volume).map(Some),
        }
    }

    fn on(&self, volume: &Volume) -> Option<Volume> {
        let known = volume.size;
        let holds = |holds: bool| holds.then(|| volume.clone());
        match self {
            Self::Grown(size) => (known.is_none_or(|known| known <= *size)).then(|| volume.sized(*size)),
            Self::Seen(size) => (known.is_none_or(|known| known == *size)).then(|| volume.sized(*size)),
            Self::LargerThan(size) => holds(known.is_none_or(|known| known > *size)),
            Self::HasSnapshot(name) => holds(volume.snapshots.contains(name)),
            Self::LacksSnapshot(name) => holds(!volume.snapshots.contains(name)),
            Self::HasSnapshots(names) => holds(volume.snapshots == *names),
            Self::Snapped(name) => {
                let mut volume = volume.clone();
                volume.snapshots.insert(name.clone()).then_some(volume)
            }
            Self::Unsnapped(name) => {
                let mut volume = volume.clone();
                volume.snapshots.remove(name);
                Some(volume)
            }
            Self::Made(..) | Self::TakenBack(_) | Self::Gone | Self::Absent | Self::Is(_) => None,
        }
    }
}

impl Volume {
    fn sized(&self, size: u64) -> Self {
        Self {
            size: Some(size),
            ..self.clone()
        }
    }
}

fn is(wanted: &State, found: &State) -> bool {
    match (wanted, found) {
        (None, None) => true,
        (Some(wanted), Some(found)) => {
            wanted.snapshots == found.snapshots && (found.size.is_none() || wanted.size == found.size)
        }
        _ => false,
    }
}
