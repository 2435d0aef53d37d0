//! What can be typed behind `troubleshoot`.

use clap::Args;

use super::super::troubleshoot::Symptom;
use super::{storeid, volid};

pub const JSON: &str = "\
Exit status: 0 nothing was found, 1 something that may be the reason, 2 something that is critical, or a look failed.

With --json: \"verb\", \"warnings\" (a list), \"symptom\", \"storages\" (a list, each with \"storage\", \"found\" (a list, the worst first, \
each with \"check\", \"grade\", \"text\", \"meaning\", \"advice\"), \"fine\" (names of checks), \"failed_lately\" (a list, each with \"time\", \
\"operation\", \"object\", \"error\"), \"otherwise\"; or with \"error\" and \"advice\").";

#[derive(Debug, Default, Args)]
pub struct Troubleshoot {
    /// What you see
    #[arg(value_name = "SYMPTOM", value_enum)]
    pub symptom: Option<Symptom>,
    /// The storages to look at; all of this type where none is given
    #[arg(value_name = "STOREID", value_parser = storeid)]
    pub storages: Vec<String>,
    /// All storages of this type, without a question
    #[arg(long, conflicts_with = "storages")]
    pub all_storages: bool,
    /// The disk that it is about, as Proxmox VE calls it
    #[arg(long, value_name = "VOLID", value_parser = volid, conflicts_with_all = ["storages", "all_storages"])]
    pub volume: Option<String>,
}
