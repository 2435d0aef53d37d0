//! The volumes of a benchmark: made and freed as Proxmox VE does it, and none is forgotten.

use std::time::{Duration, Instant};

use crate::config::Config;
use crate::error::{Error, Result};
use crate::host::storage_lock::StorageLock;
use crate::ops::{alloc_image, clone_image, create_base, free_image, free_image_finish};
use crate::sys::signals::Held;
use crate::volume::Volname;

pub struct Scratch<'a> {
    config: &'a Config,
    owner: String,
    /// What is still there, oldest first.
    made: Vec<String>,
}

impl<'a> Scratch<'a> {
    pub fn of(config: &'a Config, owner: u32) -> Self {
        Self {
            config,
            owner: owner.to_string(),
            made: Vec::new(),
        }
    }

    pub fn create(&mut self, bytes: u64) -> Result<(String, Duration)> {
        let kib = bytes.div_ceil(1024).to_string();
        let made = locked(self.config, || {
            alloc_image(self.config, &self.owner, "raw", None, &kib)
        })?;
        self.made.push(made.0.clone());
        Ok(made)
    }

    /// Of a snapshot, or of a template.
    pub fn clone_of(&mut self, volname: &str, snapshot: Option<&str>) -> Result<(String, Duration)> {
        let made = locked(self.config, || {
            clone_image(self.config, volname, &self.owner, snapshot)
        })?;
        self.made.push(made.0.clone());
        Ok(made)
    }

    /// The volume under another name. Where that ends half done it may have either, and is freed under both.
    pub fn template_of(&mut self, volname: &str) -> Result<(String, Duration)> {
        self.made.extend(name_as_base(volname));
        let made = locked(self.config, || create_base(self.config, volname))?;
        self.made.pop();
        self.made.retain(|made| made != volname);
        self.made.push(made.0.clone());
        Ok(made)
    }

    /// Both parts: that under the lock, and the destruction after it.
    pub fn free(&mut self, volname: &str) -> Result<Duration> {
        let took = free(self.config, volname)?;
        self.made.retain(|made| made != volname);
        Ok(took)
    }

    /// Frees all that is there, the newest first: a clone before what it was cloned from. No signal ends that.
    pub fn taken_back(mut self, cause: Error) -> Error {
        let _handlers_wait = Held::new();
        let half_done = !cause.leftovers.is_empty();
        let mut error = cause;
        while let Some(volname) = self.made.pop() {
            if let Err(failed) = free(self.config, &volname) {
                error = error.leaving(self.how_to_free(&volname, &failed));
            }
        }
        match half_done {
            true => self.pointing_at_the_rest(error),
            false => error,
        }
    }

    fn how_to_free(&self, volname: &str, failed: &Error) -> String {
        let volid = format!("{}:{volname}", self.config.storeid);
        format!(
            "volume {volid} ({}); to free it: pvesm free {volid}",
            failed.cause
        )
    }

    /// What a call could not take back has a name on the TrueNAS, and none that a command takes for sure.
    fn pointing_at_the_rest(&self, error: Error) -> Error {
        let storeid = &self.config.storeid;
        error.leaving(format!(
            "perhaps volumes of VMID {}: see pvetruenas orphans {storeid}, and free each with pvesm free {storeid}:NAME",
            self.owner
        ))
    }
}

fn name_as_base(volname: &str) -> Option<String> {
    let base = Volname::parse(volname).ok()?.zvol.as_base()?;
    Some(base.to_string())
}

fn free(config: &Config, volname: &str) -> Result<Duration> {
    let (rest, under_lock) = locked(config, || free_image(config, volname, false, None))?;
    let started = Instant::now();
    rest.map_or(Ok(()), |rest| free_image_finish(config, &rest))?;
    Ok(under_lock + started.elapsed())
}

/// What was done under PVE's lock, and how long it took once it had that.
fn locked<T>(config: &Config, work: impl FnOnce() -> Result<T>) -> Result<(T, Duration)> {
    let _others_wait = StorageLock::take(&config.storeid)?;
    let started = Instant::now();
    Ok((work()?, started.elapsed()))
}
