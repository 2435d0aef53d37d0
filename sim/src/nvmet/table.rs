//! Rows by id; an id is never used twice.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct Table<T> {
    last: i64,
    rows: BTreeMap<i64, T>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self {
            last: 0,
            rows: BTreeMap::new(),
        }
    }
}

impl<T> Table<T> {
    pub fn next_id(&mut self) -> i64 {
        let highest = self.rows.keys().next_back().copied().unwrap_or(0);
        self.last = self.last.max(highest) + 1;
        self.last
    }

    pub fn put(&mut self, id: i64, row: T) {
        self.rows.insert(id, row);
    }

    pub fn get(&self, id: i64) -> Option<&T> {
        self.rows.get(&id)
    }

    pub fn remove(&mut self, id: i64) {
        self.rows.remove(&id);
    }

    pub fn retain(&mut self, keep: impl Fn(&T) -> bool) {
        self.rows.retain(|_, row| keep(row));
    }

    pub fn all(&self) -> impl Iterator<Item = &T> {
        self.rows.values()
    }
}
