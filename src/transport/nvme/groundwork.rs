//! The service; subsystem, ports and hosts come with the storage.

use super::api as nvmet;
use crate::api::service;
use crate::api::{Api, Flight};
use crate::config;
use crate::error::Result;
use crate::transport::groundwork::{Daemon, Groundwork};
use crate::undo::Undo;

pub struct Ground {
    nqn: String,
    is_there: bool,
    daemon: Daemon,
}

/// In one flight.
pub fn survey(settings: &config::Nvme, api: &mut Api) -> Result<Ground> {
    let mut flight = Flight::default();
    let subsystems = flight.add(nvmet::subsystems());
    let services = flight.add(service::named("nvmet"));
    let mut answers = api.send(flight)?;
    let nqn = settings.subsystem_nqn.clone();
    let subsystems = answers.take(subsystems)?;
    Ok(Ground {
        is_there: subsystems.iter().any(|found| found.subnqn.as_ref() == Some(&nqn)),
        nqn,
        daemon: Daemon::new("nvmet", "NVMe-oF", answers.take(services)?),
    })
}

impl Groundwork for Ground {
    fn missing(&self) -> Vec<String> {
        self.daemon.missing().into_iter().collect()
    }

    fn present(&self) -> Vec<String> {
        let subsystem = self
            .is_there
            .then(|| format!("NVMe subsystem {}: is there", self.nqn));
        subsystem.into_iter().chain(self.daemon.present()).collect()
    }

    fn comes_with_adding(&self) -> Vec<String> {
        match self.is_there {
            true => Vec::new(),
            false => vec![format!("NVMe subsystem {}, and its ports", self.nqn)],
        }
    }

    fn make(
        &self,
        api: &mut Api,
        _undo: &mut Undo<'static, Api>,
        made: &mut dyn FnMut(String),
    ) -> Result<()> {
        self.daemon.make(api, made)
    }
}
