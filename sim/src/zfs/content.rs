//! What initiators wrote: a tag stands for the data of a range. Tests write and read it on the server's handle; no
//! method of the API leads here.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::Zfs;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    pub offset: u64,
    pub length: u64,
    pub tag: String,
}

impl Segment {
    fn end(&self) -> u64 {
        self.offset.saturating_add(self.length)
    }

    fn part(&self, from: u64, to: u64) -> Option<Self> {
        let (offset, end) = (self.offset.max(from), self.end().min(to));
        (offset < end).then(|| Self {
            offset,
            length: end - offset,
            tag: self.tag.clone(),
        })
    }
}

/// Segments in order, none over another; what lies between them was never written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Content(Vec<Segment>);

impl Content {
    pub fn segments(&self) -> &[Segment] {
        &self.0
    }

    pub fn tag_at(&self, offset: u64) -> Option<&str> {
        let found = self.0.iter().find(|s| s.offset <= offset && offset < s.end());
        found.map(|segment| segment.tag.as_str())
    }

    fn write(&mut self, range: &Range<u64>, tag: &str) {
        let old = std::mem::take(&mut self.0);
        let around = old
            .iter()
            .flat_map(|s| [s.part(0, range.start), s.part(range.end, u64::MAX)]);
        self.0 = around.flatten().collect();
        self.0.push(Segment {
            offset: range.start,
            length: range.end - range.start,
            tag: tag.to_owned(),
        });
        self.0.sort_by_key(|segment| segment.offset);
    }

    pub fn bytes(&self) -> u64 {
        self.0.iter().map(|segment| segment.length).sum()
    }

    /// How much of it is the same in `other`.
    fn shared(&self, other: &Self) -> u64 {
        let same = |a: &Segment, b: &Segment| {
            if a.tag == b.tag {
                a.part(b.offset, b.end())
            } else {
                None
            }
        };
        let both = self
            .0
            .iter()
            .flat_map(|a| other.0.iter().filter_map(move |b| same(a, b)));
        both.map(|segment| segment.length).sum()
    }
}

impl Zfs {
    /// Writes to a zvol; an error when it is not there or the range is beyond its end.
    pub fn write_content(&mut self, zvol: &str, range: &Range<u64>, tag: &str) -> Result<(), String> {
        let dataset = self
            .datasets
            .get_mut(zvol)
            .ok_or_else(|| format!("{zvol}: no such zvol"))?;
        if range.is_empty() || range.end > dataset.volsize {
            return Err(format!(
                "{zvol}: {range:?} is not within its {} bytes",
                dataset.volsize
            ));
        }
        let before = dataset.content.bytes();
        dataset.content.write(range, tag);
        dataset.referenced += dataset.content.bytes() - before;
        self.charge_snapshots(zvol);
        Ok(())
    }

    /// Of a zvol, or of a snapshot.
    pub fn content(&self, name: &str) -> Option<&Content> {
        let zvol = self.datasets.get(name).map(|dataset| &dataset.content);
        zvol.or_else(|| self.snapshots.get(name).map(|snapshot| &snapshot.content))
    }

    /// Each byte that only snapshots keep is charged to the newest that has it, so that their sum is what they keep.
    /// Without contents the figures stay as a state file made them.
    pub fn charge_snapshots(&mut self, dataset: &str) {
        let Some(live) = self.datasets.get(dataset) else {
            return;
        };
        let mut names: Vec<(u64, String)> = self
            .snapshots_of(dataset)
            .filter(|(_, snapshot)| snapshot.content.bytes() > 0)
            .map(|(name, snapshot)| (snapshot.createtxg, name.clone()))
            .collect();
        names.sort();
        let mut next = live.content.clone();
        for (_, name) in names.into_iter().rev() {
            if let Some(snapshot) = self.snapshots.get_mut(&name) {
                snapshot.used = snapshot.content.bytes() - snapshot.content.shared(&next);
                next = snapshot.content.clone();
            }
        }
    }
}
