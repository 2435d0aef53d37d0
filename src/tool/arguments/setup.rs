//! What can be typed behind `setup`.

use std::path::PathBuf;

use clap::Args;

use super::storeid;

pub const JSON: &str = "\
Exit status: 0 it could be, or was, set up so; 1 with a warning, or something is missing; 2 refused or failed: nothing is left behind that is not named.

With --json: \"verb\", \"warnings\" (a list), \"storage\", \"state\" (planned, added or failed), \"findings\" (a list, each with \
\"state\": ok, missing, to make, to come or warning; \"what\", \"text\", \"advice\"), \"made\" (a list), \"section\" (the keys of storage.cfg). \
When it failed: \"error\", \"advice\", \"left_behind\" (a list).";

#[derive(Debug, Default, Args)]
pub struct Setup {
    /// The name of the new storage
    #[arg(value_name = "STOREID", value_parser = storeid)]
    pub storage: Option<String>,
    /// Host name or address of the TrueNAS, or HOST:PORT
    #[arg(long, value_name = "HOST")]
    pub host: Option<String>,
    /// Port of its web interface, where it is not 443
    #[arg(long, value_name = "PORT")]
    pub port: Option<u16>,
    /// The API key, in a file that only root can read, or from standard input for -
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
    /// The user of that key, where the TrueNAS does not tell
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// Accept the certificate with this SHA-256 fingerprint; several are separated by commas
    #[arg(long, value_name = "SHA256")]
    pub fingerprint: Option<String>,
    /// Accept certificates of the authority in this file
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<String>,
    /// The dataset that the volumes come below, like tank/proxmox
    #[arg(long, value_name = "POOL/NAME")]
    pub dataset: Option<String>,
    /// iscsi or nvme-tcp; what --target or --subsystem say where it is not given
    #[arg(long, value_name = "TRANSPORT")]
    pub transport: Option<String>,
    /// The IQN of the iSCSI target
    #[arg(long, value_name = "IQN", conflicts_with = "subsystem")]
    pub target: Option<String>,
    /// The NQN of the NVMe subsystem
    #[arg(long, value_name = "NQN")]
    pub subsystem: Option<String>,
    /// A data portal, as ADDRESS or ADDRESS:PORT; may be given more than once
    #[arg(long = "portal", value_name = "ADDRESS")]
    pub portals: Vec<String>,
    /// Another key of storage.cfg; may be given more than once
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Make this user for the storage; the given key is that of an administrator then
    #[arg(long, value_name = "NAME")]
    pub new_user: Option<String>,
    /// Make what is missing on the TrueNAS
    #[arg(long)]
    pub create: bool,
    /// Do not ask before it is done
    #[arg(long)]
    pub yes: bool,
    /// Do it
    #[arg(long)]
    pub apply: bool,
}
