//! What can be typed behind `orphans` and `adopt`.

use clap::Args;

use super::{storeid, volid};

pub const ORPHANS_JSON: &str = "\
Exit status: 0 nothing is left over, 1 something is, 2 a storage cannot be asked.

With --json: \"verb\", \"warnings\" (a list), \"storages\" (a list, each with \"storage\" and \"left_over\", or with \
\"error\" and \"advice\"). Each that is or was left over: \"state\" (found, freeable, removed, repaired or failed, with \"error\"), \"what\" (export-without-zvol, export-of-renamed, half-an-export, without-export, \
half-renamed, renamed-away, doomed, temporary, moving, without-guest or stale-snapshot), \"object\", \"zvol\", \"former\" (the name of its mark, where that is another), \"snapshot\", \"owner\" (\"kind\": this, unmarked, storage or cluster; \
\"name\"), \"used\" (bytes), \"creation\" (seconds since 1970), \"why\", \"advice\".";

#[derive(Debug, Default, Args)]
pub struct Orphans {
    /// The storages to look at; all of this type where none is given
    #[arg(value_name = "STOREID", value_parser = storeid)]
    pub storages: Vec<String>,
    /// All storages of this type, as where none is given
    #[arg(long, conflicts_with = "storages")]
    pub all_storages: bool,
    /// Show those of other clusters too
    #[arg(long)]
    pub foreign: bool,
    /// Look at more than ten snapshots where TrueNAS, before version 26, has to be asked for each
    #[arg(long)]
    pub all_snapshots: bool,
    /// Free this volume, whose guest is on no node, or VOLID@SNAPSHOT, which its guest does not know; may be given more than once
    #[arg(long, value_name = "VOLID", value_parser = volid)]
    pub free: Vec<String>,
    /// Remove what nobody can miss, rename back what was renamed, and free what --free names
    #[arg(long)]
    pub apply: bool,
}

pub const ADOPT_JSON: &str = "\
Exit status: 0 done, or there is none; 1 there are some, 2 refused or failed.

With --json: \"verb\", \"warnings\" (a list), \"storage\", \"volumes\" (a list, each with \"state\": found, adopted or failed; \
\"zvol\", \"used\" in bytes, \"cluster\", \"of_storage\", \"volume\"), \"error\" and \"advice\".";

#[derive(Debug, Args)]
pub struct Adopt {
    /// The storage that they are to belong to
    #[arg(value_name = "STOREID", value_parser = storeid)]
    pub storage: String,
    /// Only those of this cluster, by its id
    #[arg(long, value_name = "ID")]
    pub from: Option<String>,
    /// Only this zvol; may be given more than once
    #[arg(long, value_name = "ZVOL")]
    pub zvol: Vec<String>,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
    /// Do it
    #[arg(long)]
    pub apply: bool,
}
