//! What every process tried and was told, in one file. A line is appended by one write before a call and by another one
//! after it: the kernel puts them in an order, and of two calls one was over before the other began exactly where its
//! second line stands before the other's first. No clock is compared.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// A call of the plugin.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Deed {
    Alloc {
        vmid: u32,
        size: u64,
    },
    Free {
        volname: String,
    },
    /// What PVE does of a free when it has given up its lock.
    Finish {
        token: String,
    },
    Resize {
        volname: String,
        size: u64,
    },
    Snapshot {
        volname: String,
        snapshot: String,
    },
    Unsnapshot {
        volname: String,
        snapshot: String,
    },
    Clone {
        volname: String,
        snapshot: String,
        vmid: u32,
    },
    List,
    Size {
        volname: String,
    },
    Snapshots {
        volname: String,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Said {
    Nothing,
    Name(String),
    Token(Option<String>),
    Size(u64),
    Names(Vec<String>),
    Volumes(Vec<(String, u64)>),
    /// The kind of the error, and its text.
    Refused(String, String),
}

#[derive(Debug, Serialize, Deserialize)]
enum Line {
    Begin(String, Deed),
    End(String, Said),
}

/// A call from its begin to its end, both as places in the journal.
#[derive(Debug, Clone)]
pub struct Call {
    pub who: String,
    pub deed: Deed,
    pub said: Said,
    pub begin: usize,
    pub end: usize,
}

pub struct Journal {
    file: File,
    process: String,
    calls: usize,
}

impl Journal {
    pub fn open(path: &Path, process: &str) -> Self {
        let file = OpenOptions::new().create(true).append(true).open(path).unwrap();
        Self {
            file,
            process: process.to_owned(),
            calls: 0,
        }
    }

    pub fn record(&mut self, deed: Deed, call: impl FnOnce(&Deed) -> Said) -> Said {
        self.calls += 1;
        let id = format!("{}.{}", self.process, self.calls);
        self.append(&Line::Begin(id.clone(), deed.clone()));
        let said = call(&deed);
        self.append(&Line::End(id, said.clone()));
        said
    }

    fn append(&mut self, line: &Line) {
        let text = serde_json::to_string(line).unwrap() + "\n";
        let written = self.file.write(text.as_bytes()).unwrap();
        assert_eq!(written, text.len(), "a line in parts would be no line");
    }
}

/// In the order in which they began; the test ends where one has no end.
pub fn read(path: &Path) -> Vec<Call> {
    let text = std::fs::read_to_string(path).unwrap();
    let mut open = BTreeMap::new();
    let mut calls = Vec::new();
    for (at, line) in text.lines().enumerate() {
        match serde_json::from_str(line).unwrap() {
            Line::Begin(who, deed) => drop(open.insert(who, (deed, at))),
            Line::End(who, said) => {
                let (deed, begin) = open.remove(&who).unwrap();
                calls.push(Call {
                    who,
                    deed,
                    said,
                    begin,
                    end: at,
                });
            }
        }
    }
    assert!(open.is_empty(), "without an end: {open:?}");
    calls.sort_by_key(|call| call.begin);
    calls
}
