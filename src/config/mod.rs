//! storage.cfg as written becomes a typed configuration, once.

mod account;
mod address;
pub mod cluster;
mod fields;
pub mod guest;
pub mod members;
pub mod next_key;
pub mod retention;
pub mod secrets;
pub mod section;
mod tls;
pub mod versions;

use std::collections::BTreeMap;

pub use account::Account;
pub use address::Address;
use fields::Fields;
pub use secrets::Secret;
pub use tls::{Fingerprint, Trust};

use crate::error::{Error, Result};

/// A section of storage.cfg: keys and values as PVE decoded them.
pub type Raw = BTreeMap<String, String>;

#[derive(Debug, Clone)]
pub struct Config {
    pub storeid: String,
    pub nas: Nas,
    pub credentials: Credentials,
    /// The parent filesystem of all zvols, `pool/…`.
    pub dataset: String,
    pub block_size: Option<BlockSize>,
    pub sparse: bool,
    pub exact_size: bool,
    /// Thick volumes need their size times this.
    pub space_overhead: f64,
    /// Thin volumes may add up to this many times the storage's space.
    pub overcommit: Option<f64>,
    /// Of an over-committed storage, the shares of its space from which on its filling up is told.
    pub thin: Thresholds,
    pub names: VolumeNames,
    pub transport: Transport,
    pub debug: u8,
}

/// Percent of the space that is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thresholds {
    pub warning: u8,
    pub critical: u8,
}

/// How to reach the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nas {
    pub host: String,
    pub port: u16,
    pub prefer_ipv4: bool,
    pub channel: Channel,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Channel {
    Tls(Trust),
    /// Only for loopback hosts: TrueNAS revokes keys that it sees on an insecure transport.
    Plain,
}

#[derive(Debug, Clone)]
pub struct Credentials {
    pub api_key: Secret,
    pub api_user: Option<String>,
}

/// The server knows a key by the number before its first dash, which is no secret.
pub fn number_of_key(key: &Secret) -> Option<u64> {
    let (number, _secret) = key.reveal().split_once('-')?;
    number.parse().ok()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VolumeNames {
    Plain,
    Transport,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transport {
    Iscsi(Iscsi),
    NvmeTcp(Nvme),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nvme {
    pub subsystem_nqn: String,
    pub portals: Vec<Address>,
    /// `None` for what the node has in /etc/nvme/hostnqn.
    pub hostnqn: Option<String>,
    pub dhchap: Option<Dhchap>,
    /// Of a subsystem that we make; an existing one stays as it is.
    pub allow_any_host: bool,
    pub queues: Option<u32>,
    pub timeouts: NvmeTimeouts,
}

/// Seconds; `None` for the kernel's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NvmeTimeouts {
    /// -1 for never.
    pub ctrl_loss: Option<i32>,
    pub reconnect_delay: Option<u32>,
    pub keep_alive: Option<u32>,
}

/// How the node proves itself to the controller, and the other way round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dhchap {
    pub host: Secret,
    pub controller: Option<Secret>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Iscsi {
    /// The full IQN.
    pub target_iqn: String,
    pub portals: Vec<Address>,
    pub chap: Option<Chap>,
    /// `None` leaves it to the number of portals and to what multipathd does by itself.
    pub multipath: Option<bool>,
}

/// How the initiator proves itself to the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chap {
    pub user: String,
    pub password: Secret,
    /// How the target proves itself to us.
    pub peer: Option<(String, Secret)>,
}

/// A volblocksize, as the server spells it and in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockSize {
    pub bytes: u64,
}

impl BlockSize {
    /// Read from the schema of `pool.dataset.create`.
    const SPELLINGS: [(&'static str, u64); 9] = [
        ("512", 512),
        ("1K", 1 << 10),
        ("2K", 2 << 10),
        ("4K", 4 << 10),
        ("8K", 8 << 10),
        ("16K", 16 << 10),
        ("32K", 32 << 10),
        ("64K", 64 << 10),
        ("128K", 128 << 10),
    ];

    pub fn from_bytes(bytes: u64) -> Option<Self> {
        Self::SPELLINGS
            .iter()
            .any(|(_, known)| *known == bytes)
            .then_some(Self { bytes })
    }

    fn parse(key: &str, text: &str) -> Result<Self> {
        let upper = text.trim().to_ascii_uppercase();
        let wanted = if upper == "512B" { "512" } else { upper.as_str() };
        Self::SPELLINGS
            .iter()
            .find(|(name, _)| *name == wanted)
            .map(|(_, bytes)| Self { bytes: *bytes })
            .ok_or_else(|| {
                Error::invalid(format!("{key}: '{text}' is not a volume block size"))
                    .advice("use 512, 1K, 2K, 4K, 8K, 16K, 32K, 64K or 128K")
            })
    }

    pub fn spelling(self) -> &'static str {
        Self::SPELLINGS
            .iter()
            .find(|(_, bytes)| *bytes == self.bytes)
            .map_or("16K", |(name, _)| name)
    }
}

impl Transport {
    /// What all volumes of the storage are exported by.
    pub fn site(&self) -> String {
        match self {
            Self::Iscsi(iscsi) => format!("iSCSI target {}", iscsi.target_iqn),
            Self::NvmeTcp(nvme) => format!("NVMe subsystem {}", nvme.subsystem_nqn),
        }
    }
}

impl Config {
    /// Reads the section and the secret file of the storage.
    pub fn parse(storeid: &str, raw: &Raw) -> Result<Self> {
        Self::assemble(storeid, raw, || secrets::load(storeid)).map_err(|error| named(storeid, error))
    }

    /// As `parse`, with secrets that are not stored yet.
    pub fn parse_with(storeid: &str, raw: &Raw, secrets: &secrets::Stored) -> Result<Self> {
        Self::assemble(storeid, raw, || Ok(secrets.clone())).map_err(|error| named(storeid, error))
    }

    fn assemble(storeid: &str, raw: &Raw, stored: impl FnOnce() -> Result<secrets::Stored>) -> Result<Self> {
        let fields = Fields::new(raw);
        let nas = nas(&fields)?;
        // The file wins: a secret that was left in storage.cfg for older nodes cannot be changed there.
        let secrets = secrets::Stored::of_section(raw).overlaid_by(stored()?);
        Ok(Self {
            storeid: storeid.to_owned(),
            credentials: credentials(storeid, &fields, &secrets)?,
            nas,
            dataset: dataset(&fields)?,
            block_size: fields
                .text("zvol_blocksize")
                .map(|text| BlockSize::parse("zvol_blocksize", text))
                .transpose()?,
            sparse: fields.flag("tn_sparse", true)?,
            exact_size: fields.flag("tn_exact_size", false)?,
            space_overhead: fields.factor("tn_space_overhead")?.unwrap_or(1.2),
            overcommit: fields.factor("tn_overcommit")?,
            thin: thresholds(&fields)?,
            names: volume_names(&fields)?,
            transport: transport(&fields, &secrets)?,
            debug: fields.number("debug")?.unwrap_or(0),
        })
    }
}

fn named(storeid: &str, error: Error) -> Error {
    error.doing(format!("storage '{storeid}' in storage.cfg"))
}

fn nas(fields: &Fields<'_>) -> Result<Nas> {
    let host = fields
        .required("api_host", "the host name or address of the TrueNAS")?
        .to_owned();
    if !address::is_plausible(host.trim_start_matches('[').trim_end_matches(']')) {
        return Err(Error::invalid(format!(
            "api_host: '{host}' is neither a host name nor an address"
        ))
        .advice("give the name or address alone, like nas.example or 192.0.2.10"));
    }
    let secure = secure_scheme(fields)?;
    let default_port = if secure { 443 } else { 80 };
    let port = fields.number("api_port")?.unwrap_or(default_port);
    let channel = if secure {
        Channel::Tls(tls::trust(fields)?)
    } else {
        plain(&host)?
    };
    Ok(Nas {
        host,
        port,
        prefer_ipv4: fields.flag("prefer_ipv4", true)?,
        channel,
    })
}

fn secure_scheme(fields: &Fields<'_>) -> Result<bool> {
    match fields.text("api_scheme").map(str::to_ascii_lowercase).as_deref() {
        None | Some("wss" | "https") => Ok(true),
        Some("ws" | "http") => Ok(false),
        Some(other) => {
            Err(Error::invalid(format!("api_scheme: '{other}' is not a scheme")).advice("use wss"))
        }
    }
}

fn plain(host: &str) -> Result<Channel> {
    if address::is_loopback(host) {
        return Ok(Channel::Plain);
    }
    Err(Error::invalid(format!(
        "api_scheme: plain text to '{host}' is refused, because TrueNAS revokes an API key that it sees on an insecure transport"
    ))
    .advice("remove api_scheme (wss is the default); for a self-signed certificate set tn_tls_fingerprint"))
}

fn credentials(storeid: &str, fields: &Fields<'_>, secrets: &secrets::Stored) -> Result<Credentials> {
    let api_key = secrets.api_key.clone().ok_or_else(|| {
        Error::invalid("there is no API key for this storage")
            .advice(format!("store one with: pvesm set {storeid} --api_key KEY"))
    })?;
    let api_user = fields
        .text("api_user")
        .map(str::to_owned)
        .or_else(|| secrets.api_user.clone());
    Ok(Credentials { api_key, api_user })
}

fn dataset(fields: &Fields<'_>) -> Result<String> {
    let dataset = fields.required("dataset", "the parent dataset on the TrueNAS, like tank/proxmox")?;
    let refused = |why: &str| {
        Err(Error::invalid(format!("dataset: '{dataset}' {why}"))
            .advice("give the full name, like tank/proxmox"))
    };
    if dataset.starts_with('/') || dataset.ends_with('/') || dataset.contains("//") {
        return refused("has a slash too many");
    }
    if dataset.starts_with('-') || dataset.split('/').any(|part| matches!(part, "." | "..")) {
        return refused("is not a name that ZFS allows");
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | ':' | ' ');
    if !dataset.chars().all(allowed) {
        return refused("has characters that ZFS does not allow");
    }
    Ok(dataset.to_owned())
}

fn thresholds(fields: &Fields<'_>) -> Result<Thresholds> {
    let thresholds = Thresholds {
        warning: fields.percent("tn_thin_warning")?.unwrap_or(70),
        critical: fields.percent("tn_thin_critical")?.unwrap_or(85),
    };
    match thresholds.warning <= thresholds.critical {
        true => Ok(thresholds),
        false => Err(Error::invalid(format!(
            "tn_thin_warning {} is above tn_thin_critical {}",
            thresholds.warning, thresholds.critical
        ))
        .advice("a warning comes first; the defaults are 70 and 85")),
    }
}

fn volume_names(fields: &Fields<'_>) -> Result<VolumeNames> {
    match fields.text("tn_volume_names") {
        None | Some("transport") => Ok(VolumeNames::Transport),
        Some("plain") => Ok(VolumeNames::Plain),
        Some(other) => Err(Error::invalid(format!(
            "tn_volume_names: '{other}' is neither plain nor transport"
        ))
        .advice("use transport, which is the default, or plain")),
    }
}

fn transport(fields: &Fields<'_>, secrets: &secrets::Stored) -> Result<Transport> {
    match fields.text("transport_mode") {
        None | Some("iscsi") => iscsi(fields, secrets).map(Transport::Iscsi),
        Some("nvme-tcp") => nvme(fields, secrets).map(Transport::NvmeTcp),
        Some(other) => Err(Error::invalid(format!(
            "transport_mode: '{other}' is neither iscsi nor nvme-tcp"
        ))
        .advice("use iscsi")),
    }
}

fn iscsi(fields: &Fields<'_>, secrets: &secrets::Stored) -> Result<Iscsi> {
    let target_iqn = fields.required("target_iqn", "the full IQN of the iSCSI target")?;
    let known_form = ["iqn.", "naa.", "eui."]
        .iter()
        .any(|prefix| target_iqn.starts_with(prefix));
    // RFC 3721, 1.1, and letters of other alphabets. The name is a folder of iscsiadm's records, too.
    let allowed = |c: char| c.is_alphanumeric() || matches!(c, '-' | '.' | ':' | '_');
    if !known_form || !target_iqn.chars().all(allowed) {
        return Err(Error::invalid(format!("target_iqn: '{target_iqn}' is not an IQN"))
            .advice("give the full name, like iqn.2005-10.org.freenas.ctl:proxmox (TrueNAS: Shares > Block (iSCSI) > Targets)"));
    }
    Ok(Iscsi {
        target_iqn: target_iqn.to_owned(),
        portals: portals(fields, 3260)?,
        chap: chap(fields, secrets)?,
        multipath: fields
            .text("use_multipath")
            .map(|_| fields.flag("use_multipath", false))
            .transpose()?,
    })
}

fn nvme(fields: &Fields<'_>, secrets: &secrets::Stored) -> Result<Nvme> {
    let subsystem_nqn = fields.required("subsystem_nqn", "the NQN of the NVMe subsystem")?;
    let hostnqn = fields.text("hostnqn");
    for (key, name) in [("subsystem_nqn", Some(subsystem_nqn)), ("hostnqn", hostnqn)] {
        name.map_or(Ok(()), |name| must_be_nqn(key, name))?;
    }
    let dhchap = secrets.nvme_dhchap_secret.clone().map(|host| Dhchap {
        host,
        controller: secrets.nvme_dhchap_ctrl_secret.clone(),
    });
    Ok(Nvme {
        subsystem_nqn: subsystem_nqn.to_owned(),
        portals: portals(fields, 4420)?,
        hostnqn: hostnqn.map(str::to_owned),
        dhchap,
        allow_any_host: fields.flag("tn_nvme_allow_any_host", false)?,
        queues: fields.number("tn_nr_io_queues")?,
        timeouts: NvmeTimeouts {
            ctrl_loss: fields.number("tn_nvme_ctrl_loss_tmo")?,
            reconnect_delay: fields.number("tn_nvme_reconnect_delay")?,
            keep_alive: fields.number("tn_nvme_keep_alive_tmo")?,
        },
    })
}

/// Any legal name; the kernel judges the rest. A comma would begin another option of the kernel's.
fn must_be_nqn(key: &str, name: &str) -> Result<()> {
    let legal = name.starts_with("nqn.") && (11..=223).contains(&name.len());
    if legal && name.chars().all(|c| c.is_ascii_graphic() && c != ',') {
        return Ok(());
    }
    Err(Error::invalid(format!("{key}: '{name}' is not an NQN"))
        .advice("give the full name, like nqn.2011-06.com.truenas:uuid:…:proxmox"))
}

/// As 1.x: only when both are set.
fn chap(fields: &Fields<'_>, secrets: &secrets::Stored) -> Result<Option<Chap>> {
    let side = |user_key: &str, password_key: &str, password: &Option<Secret>| {
        let Some((user, password)) = fields.text(user_key).zip(password.clone()) else {
            return Ok(None);
        };
        one_line(user_key, user, &format!("'{user}'"))?;
        one_line(password_key, password.reveal(), "the password")?;
        Ok(Some((user.to_owned(), password)))
    };
    let Some((user, password)) = side("chap_user", "chap_password", &secrets.chap_password)? else {
        return Ok(None);
    };
    let peer = side(
        "tn_chap_peer_user",
        "tn_chap_peer_password",
        &secrets.chap_peer_password,
    )?;
    Ok(Some(Chap { user, password, peer }))
}

/// A line end would begin another setting of iscsiadm's node record.
fn one_line(key: &str, value: &str, shown: &str) -> Result<()> {
    match value.contains(char::is_control) {
        false => Ok(()),
        true => Err(Error::invalid(format!(
            "{key}: {shown} has a line end or another control character"
        ))
        .advice("give it again, as one line")),
    }
}

fn portals(fields: &Fields<'_>, default_port: u16) -> Result<Vec<Address>> {
    let listed = ["discovery_portal", "portals"]
        .into_iter()
        .filter_map(|key| Some((key, fields.text(key)?)));
    let mut portals = Vec::new();
    for (key, list) in listed {
        for item in list
            .split(',')
            .map(str::trim)
            .filter(|item| !address::is_portal_group_tag(item))
        {
            let portal = Address::parse(key, item, default_port)?;
            if !portals.contains(&portal) {
                portals.push(portal);
            }
        }
    }
    Ok(portals)
}

#[cfg(test)]
mod tests;
