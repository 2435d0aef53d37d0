//! The command line. The library takes the same options, so that tests and scripts say the same things.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

use crate::rules::{self, Rule};
use crate::versions::Version;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Backend {
    Memory,
    Kernel,
    KernelZfs,
}

/// A TrueNAS server's API, simulated.
#[derive(Debug, Clone, Parser)]
#[command(name = "truenas-sim", version, args_override_self = true)]
pub struct Options {
    /// Address of the TLS listener; port 0 takes any
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:0")]
    pub listen: String,
    /// Which server it is
    #[arg(long, value_name = "VERSION", default_value = "25.10.4")]
    pub api_version: Version,
    /// self-signed, or the files CERT,KEY
    #[arg(long, value_name = "TLS", default_value = "self-signed")]
    pub tls: String,
    /// Serve plain ws and http too, on a port of their own
    #[arg(long)]
    pub plain: bool,
    /// File whose first line is the API key; made when it is missing
    #[arg(long, value_name = "FILE")]
    pub api_key_file: Option<PathBuf>,
    /// The API key itself, for use by hand
    #[arg(long, value_name = "KEY", conflicts_with = "api_key_file")]
    pub api_key: Option<String>,
    /// The user whom the key belongs to
    #[arg(long, value_name = "NAME", default_value = "truenas_admin")]
    pub api_user: String,
    /// A pool and its size
    #[arg(long, value_name = "NAME:SIZE", default_value = "tank:10T", value_parser = pool)]
    pub pool: Vec<Pool>,
    /// Without it: proxmox in the first pool
    #[arg(long, value_name = "POOL/NAME")]
    pub dataset: Vec<String>,
    /// An iSCSI target, bound to all portals
    #[arg(
        long,
        value_name = "IQN",
        default_value = "iqn.2005-10.org.freenas.ctl:proxmox"
    )]
    pub target: Vec<String>,
    /// Where the targets listen
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:3260", value_parser = portal)]
    pub portal: Vec<(String, u16)>,
    /// An NVMe subsystem, open to all hosts on all portals
    #[arg(
        long,
        value_name = "NQN",
        default_value = "nqn.2011-06.com.truenas:uuid:6f9a2c1e-0b5d-4c7a-9e43-1d2f8b7a6c50:proxmox"
    )]
    pub subsystem: Vec<String>,
    /// Where the subsystems listen
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:4420", value_parser = portal)]
    pub nvme_portal: Vec<(String, u16)>,
    /// Lines user:secret[:peeruser:peersecret]; the targets then want CHAP
    #[arg(long, value_name = "FILE")]
    pub chap_file: Vec<PathBuf>,
    /// Where the volumes are; with kernel they are files, with kernel-zfs zvols of this machine, and exported by it
    #[arg(long, value_enum, default_value = "memory")]
    pub backend: Backend,
    /// Make N volumes with extents and mappings, vm-100-disk-0 and on
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub preload: u64,
    /// Loaded at start, saved at SIGTERM
    #[arg(long, value_name = "FILE")]
    pub state: Option<PathBuf>,
    /// Every message, one JSON object a line
    #[arg(long, value_name = "FILE")]
    pub traffic: Option<PathBuf>,
    /// What initiators would see, rewritten after every change
    #[arg(long, value_name = "FILE")]
    pub exports: Option<PathBuf>,
    /// Time that each call takes, in milliseconds
    #[arg(long, value_name = "MS[:JITTER]", default_value = "0", value_parser = latency)]
    pub latency: (u64, u64),
    /// Makes serials, guids and delays repeatable
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Calls to be hit by faults
    #[arg(long, value_name = "FILE")]
    pub faults: Option<PathBuf>,
    /// Where --backend kernel keeps its zvols
    #[arg(long, hide = true, value_name = "DIR", default_value = "/var/lib/truenas-sim")]
    pub kernel_folder: PathBuf,
    /// Print the rules and their sections
    #[arg(long, hide = true)]
    pub list_rules: bool,
    /// Switch a rule off
    #[arg(long, hide = true, value_name = "RULE", value_parser = rules::parse)]
    pub without: Vec<Rule>,
    /// Milliseconds until a new zvol has its link
    #[arg(long, hide = true, value_name = "MS", default_value_t = 30)]
    pub link_delay: u64,
    /// The server's punishing delays (refused login, limiter) in percent of the real ones
    #[arg(long, hide = true, value_name = "PERCENT", default_value_t = 100)]
    pub penalty: u64,
    /// Length of the limiter's window in milliseconds
    #[arg(long, hide = true, value_name = "MS", default_value_t = 60_000)]
    pub limiter_window: u64,
    /// Silence that closes a connection, in milliseconds
    #[arg(long, hide = true, value_name = "MS")]
    pub idle: Option<u64>,
    /// Lifetime of a session in milliseconds
    #[arg(long, hide = true, value_name = "MS", default_value_t = 30 * 24 * 3600 * 1000)]
    pub session_lifetime: u64,
    /// Treat plain connections from loopback as insecure too
    #[arg(long, hide = true)]
    pub insecure_transport: bool,
    /// Check a mapping or a namespace when its call arrives and insert it when the call ends
    #[arg(long, hide = true)]
    pub lun_race: bool,
    /// Milliseconds until a change shows in the exports file
    #[arg(long, hide = true, value_name = "MS", default_value_t = 0)]
    pub reload_delay: u64,
    /// New subsystems, namespaces and hosts stay unpublished until the service nvmet is restarted
    #[arg(long, hide = true)]
    pub stuck_render: bool,
    /// Milliseconds that a restart takes; the web server answers 502 meanwhile
    #[arg(long, hide = true, value_name = "MS", default_value_t = 0)]
    pub restart_time: u64,
    /// Roles of the API key's user
    #[arg(long, hide = true, value_name = "ROLE", default_value = "FULL_ADMIN")]
    pub role: Vec<String>,
    /// Seconds until the API key expires
    #[arg(long, hide = true, value_name = "SECONDS", allow_negative_numbers = true)]
    pub key_expires_in: Option<i64>,
    /// Seconds that the server's clock is ahead
    #[arg(
        long,
        hide = true,
        value_name = "SECONDS",
        default_value_t = 0,
        allow_negative_numbers = true
    )]
    pub clock_ahead: i64,
    /// Keep the traffic in memory for [`crate::Server::traffic`]; a program that runs for days does not
    #[clap(skip = true)]
    pub remember: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self::parse_from(["truenas-sim"])
    }
}

impl Options {
    /// The options of a command line without its program name.
    pub fn of<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Result<Self, clap::Error> {
        Self::try_parse_from(std::iter::once("truenas-sim").chain(arguments))
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    pub name: String,
    pub size: u64,
}

fn pool(text: &str) -> Result<Pool, String> {
    let (name, size) = text.split_once(':').ok_or("give NAME:SIZE, such as tank:10T")?;
    Ok(Pool {
        name: name.to_owned(),
        size: bytes(size)?,
    })
}

fn bytes(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text} is not a size such as 512M, 10G or 10T");
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match text.get(digits.len()..).map(str::to_ascii_uppercase).as_deref() {
        Some("") => 0,
        Some("K") => 10,
        Some("M") => 20,
        Some("G") => 30,
        Some("T") => 40,
        Some("P") => 50,
        _ => return Err(wrong()),
    };
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    number.checked_mul(1 << shift).ok_or_else(wrong)
}

fn portal(text: &str) -> Result<(String, u16), String> {
    let (ip, port) = text.rsplit_once(':').ok_or("give ADDR:PORT")?;
    let port = port.parse().map_err(|_| format!("{port} is not a port"))?;
    Ok((ip.trim_matches(['[', ']']).to_owned(), port))
}

fn latency(text: &str) -> Result<(u64, u64), String> {
    let (base, jitter) = text.split_once(':').unwrap_or((text, "0"));
    let number = |part: &str| {
        part.parse()
            .map_err(|_| format!("{part} is not a number of milliseconds"))
    };
    Ok((number(base)?, number(jitter)?))
}
