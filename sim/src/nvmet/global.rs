//! nvmet.global.*

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Complaints;
use super::nqn;
use crate::args::{Args, Fields};
use crate::failure::Failure;
use crate::nas::{Caller, Nas};
use crate::query;

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct Global {
    pub basenqn: String,
    /// False means SPDK.
    pub kernel: bool,
    pub ana: bool,
    pub rdma: bool,
    pub xport_referral: bool,
}

impl Default for Global {
    fn default() -> Self {
        Self {
            basenqn: String::new(),
            kernel: true,
            ana: false,
            rdma: false,
            xport_referral: true,
        }
    }
}

pub fn config(nas: &mut Nas, _: &Caller, _: &Args<'_>) -> Result<Value, Failure> {
    let mut entry = json!(nas.nvmet.global);
    if let Some(entry) = entry.as_object_mut() {
        entry.insert("id".into(), json!(1));
    }
    Ok(entry)
}

pub fn update(nas: &mut Nas, caller: &Caller, args: &Args<'_>) -> Result<Value, Failure> {
    let (data, before) = (args.at(0), &nas.nvmet.global);
    let after = Global {
        basenqn: data.text("basenqn").unwrap_or(&before.basenqn).to_owned(),
        kernel: data.flag_or("kernel", before.kernel),
        ana: data.flag_or("ana", before.ana),
        rdma: data.flag_or("rdma", before.rdma),
        xport_referral: data.flag_or("xport_referral", before.xport_referral),
    };
    let mut complaints = Complaints::new("nvmet_global_update");
    complaints.maybe("basenqn", nqn::complaint(&after.basenqn, &nas.rules));
    if after.rdma {
        complaints.field(
            "rdma",
            "This platform cannot support NVMe-oF(RDMA) or is missing a RDMA capable NIC.",
        );
    }
    if after.ana {
        complaints.field("ana", super::subsys::NO_ANA);
    }
    complaints.check()?;
    nas.nvmet.global = after;
    config(nas, caller, args)
}

// truenas-api-versions.md: 25.10 and 26 have it too, though the published types know it from 27 on.
pub fn sessions(nas: &mut Nas, caller: &Caller, args: &Args<'_>) -> Result<Value, Failure> {
    let rows = nas.nvmet.sessions.iter().enumerate().map(|(n, row)| {
        let mut whole = json!({
            "host_traddr": "127.0.0.1", "hostnqn": "", "subsys_id": 1, "port_id": 1, "ctrl": n + 1,
        });
        if let (Some(whole), Some(row)) = (whole.as_object_mut(), row.as_object()) {
            whole.extend(row.clone());
        }
        whole
    });
    query::answer(rows.collect(), args.at(0), args.at(1), caller.line)
}
