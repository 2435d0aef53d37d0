//! service.query and service.control (truenas-api.md §5.6).

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::args::{Args, Fields};
use crate::errno;
use crate::failure::Failure;
use crate::nas::{Caller, Nas};
use crate::nvmet::render;
use crate::query;
use crate::versions::Line;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Service {
    pub id: i64,
    pub service: String,
    pub enable: bool,
    pub running: bool,
}

impl Service {
    pub fn all() -> Vec<Self> {
        let names = [
            ("cifs", false),
            ("iscsitarget", true),
            ("nfs", false),
            ("nvmet", true),
            ("ssh", true),
        ];
        let made = |(id, (name, on)): (i64, (&str, bool))| Self {
            id,
            service: name.to_owned(),
            enable: on,
            running: on,
        };
        (4..).zip(names).map(made).collect()
    }

    fn entry(&self) -> Value {
        let pids = if self.running {
            vec![4000 + self.id]
        } else {
            Vec::new()
        };
        let state = if self.running { "RUNNING" } else { "STOPPED" };
        json!({"id": self.id, "service": self.service, "enable": self.enable, "state": state, "pids": pids})
    }
}

pub fn running(nas: &Nas, name: &str) -> bool {
    nas.services
        .iter()
        .any(|service| service.service == name && service.running)
}

pub fn query(nas: &mut Nas, caller: &Caller, args: &Args<'_>) -> Result<Value, Failure> {
    // truenas-api.md §10
    let known = |service: &&Service| caller.line >= Line::V25_10 || service.service != "nvmet";
    let rows = nas.services.iter().filter(known).map(Service::entry);
    query::answer(rows.collect(), args.at(0), args.at(1), caller.line)
}

/// The work of the job.
pub fn control(nas: &mut Nas, _: &Caller, args: &Args<'_>) -> Result<Value, Failure> {
    set(nas, args.text(1), args.text(0))
}

fn set(nas: &mut Nas, name: &str, verb: &str) -> Result<Value, Failure> {
    let found = nas.services.iter_mut().find(|service| service.service == name);
    let service = found.ok_or_else(|| Failure::call(errno::EFAULT, format!("Service {name} not found")))?;
    let ran = service.running;
    service.running = match verb {
        "STOP" => false,
        "RELOAD" => service.running,
        _ => true,
    };
    if name == "nvmet" && (verb == "RESTART" || !ran) {
        render::restart(nas);
    }
    Ok(json!(true))
}

/// Whether it starts with the system.
pub fn update(nas: &mut Nas, _: &Caller, args: &Args<'_>) -> Result<Value, Failure> {
    let wanted = args.at(0);
    let mut all = nas.services.iter_mut();
    let found = all.find(|service| json!(service.service) == *wanted || json!(service.id) == *wanted);
    let service = found.ok_or_else(|| Failure::missing("Service", wanted))?;
    service.enable = args.at(1).flag("enable");
    Ok(json!(service.id))
}

// truenas-api.md §10: plain calls before 25.10.
pub fn start(nas: &mut Nas, _: &Caller, args: &Args<'_>) -> Result<Value, Failure> {
    set(nas, args.text(0), "START")
}

pub fn stop(nas: &mut Nas, _: &Caller, args: &Args<'_>) -> Result<Value, Failure> {
    set(nas, args.text(0), "STOP")
}

pub fn restart(nas: &mut Nas, _: &Caller, args: &Args<'_>) -> Result<Value, Failure> {
    set(nas, args.text(0), "RESTART")
}

pub fn reload(nas: &mut Nas, _: &Caller, args: &Args<'_>) -> Result<Value, Failure> {
    set(nas, args.text(0), "RELOAD")
}
