//! `nvmet.*`: subsystems, their namespaces, ports and hosts. From 25.10 on.

use serde::de::Error;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use super::Request;
use crate::config::{Dhchap, Secret};
use crate::rpc::Call;

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Subsystem {
    pub id: u64,
    pub name: String,
    pub subnqn: Option<String>,
    #[serde(default)]
    pub allow_any_host: bool,
}

/// What other objects say of one that they belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Id {
    pub id: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Namespace {
    pub id: u64,
    pub nsid: u32,
    /// `zvol/tank/proxmox/vm-100-disk-0`
    pub device_path: String,
    #[serde(deserialize_with = "uuid")]
    pub device_uuid: String,
    #[serde(default = "yes")]
    pub enabled: bool,
    pub subsys: Id,
}

impl Namespace {
    /// `namespace 7 (NSID 3)`
    pub fn label(&self) -> String {
        format!("namespace {} (NSID {})", self.id, self.nsid)
    }
}

/// It becomes a part of volume ids and of paths.
fn uuid<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    let fits = |(at, c): (usize, char)| match at {
        8 | 13 | 18 | 23 => c == '-',
        _ => c.is_ascii_hexdigit(),
    };
    match text.len() == 36 && text.chars().enumerate().all(fits) {
        true => Ok(text),
        false => Err(D::Error::custom(format!("device_uuid '{text:.50}' is no UUID"))),
    }
}

fn yes() -> bool {
    true
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Port {
    pub id: u64,
    pub addr_trtype: String,
    pub addr_traddr: String,
    #[serde(default)]
    addr_trsvcid: Value,
}

impl Port {
    /// By version a number or text.
    pub fn service(&self) -> Option<u16> {
        match &self.addr_trsvcid {
            Value::Number(number) => u16::try_from(number.as_u64()?).ok(),
            Value::String(text) => text.parse().ok(),
            _ => None,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct PortLink {
    pub port: Id,
    pub subsys: Id,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Host {
    pub id: u64,
    pub hostnqn: String,
    dhchap_key: Option<Secret>,
    dhchap_ctrl_key: Option<Secret>,
}

impl Host {
    /// The server shows keys only to those who may write them; a masked one counts as another.
    pub fn has_keys(&self, wanted: Option<&Dhchap>) -> bool {
        let shown = |key: &Option<Secret>| key.as_ref().map(|key| key.reveal().to_owned());
        let wanted_key = wanted.map(|keys| keys.host.reveal().to_owned());
        let wanted_ctrl = wanted.and_then(|keys| Some(keys.controller.as_ref()?.reveal().to_owned()));
        shown(&self.dhchap_key) == wanted_key && shown(&self.dhchap_ctrl_key) == wanted_ctrl
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct HostLink {
    pub host: Id,
    pub subsys: Id,
}

pub fn subsystems() -> Request<Vec<Subsystem>> {
    let select = ["id", "name", "subnqn", "allow_any_host"];
    Request::of(Call::read("nvmet.subsys.query", json!([[], {"select": select}])))
}

const NAMESPACE: [&str; 6] = ["id", "nsid", "device_path", "device_uuid", "enabled", "subsys.id"];

/// Without the `locked` column: it costs the server a ZFS look-up a row (truenas-api §4.2).
fn namespaces(filters: &Value) -> Request<Vec<Namespace>> {
    let options = json!({"extra": {"retrieve_locked_info": false}, "select": NAMESPACE});
    Request::of(Call::read("nvmet.namespace.query", json!([filters, options])))
}

/// Those of the subsystem, whose numbers are taken, and those of the dataset, whose zvols are exported.
pub fn namespaces_of(nqn: &str, dataset: &str) -> Request<Vec<Namespace>> {
    let prefix = format!("zvol/{dataset}/");
    namespaces(&json!([[
        "OR",
        [["subsys.subnqn", "=", nqn], ["device_path", "^", prefix]]
    ]]))
}

pub fn namespaces_under(nqn: &str) -> Request<Vec<Namespace>> {
    namespaces(&json!([["subsys.subnqn", "=", nqn]]))
}

pub fn namespaces_on(device_path: &str) -> Request<Vec<Namespace>> {
    namespaces(&json!([["device_path", "=", device_path]]))
}

/// The label of each namespace on a zvol.
pub fn namespace_labels_on(device_path: &str) -> Request<Vec<String>> {
    let options = json!({"extra": {"retrieve_locked_info": false}, "select": NAMESPACE});
    let call = Call::read(
        "nvmet.namespace.query",
        json!([[["device_path", "=", device_path]], options]),
    );
    Request::reading(call, |answer| {
        let found: Vec<Namespace> = answer.decode()?;
        Ok(found.iter().map(Namespace::label).collect())
    })
}

/// `zvol/tank/proxmox/vm-100-disk-0` for each namespace on a zvol of the dataset.
pub fn namespace_paths_under(dataset: &str) -> Request<Vec<String>> {
    let options = json!({"extra": {"retrieve_locked_info": false}, "select": NAMESPACE});
    let filters = json!([["device_path", "^", format!("zvol/{dataset}/")]]);
    let call = Call::read("nvmet.namespace.query", json!([filters, options]));
    Request::reading(call, |answer| {
        let found: Vec<Namespace> = answer.decode()?;
        Ok(found.into_iter().map(|namespace| namespace.device_path).collect())
    })
}

pub fn namespaces_at(subsystem: u64, nsid: u32) -> Request<Vec<Namespace>> {
    namespaces(&json!([["subsys.id", "=", subsystem], ["nsid", "=", nsid]]))
}

pub fn namespace_of_id(id: u64) -> Request<Vec<Namespace>> {
    namespaces(&json!([["id", "=", id]]))
}

pub fn namespaces_in(subsystem: u64) -> Request<Vec<Namespace>> {
    namespaces(&json!([["subsys.id", "=", subsystem]]))
}

pub fn ports() -> Request<Vec<Port>> {
    Request::of(Call::read("nvmet.port.query", json!([])))
}

pub fn port_links() -> Request<Vec<PortLink>> {
    Request::of(Call::read("nvmet.port_subsys.query", json!([])))
}

pub fn hosts(hostnqn: &str) -> Request<Vec<Host>> {
    Request::of(Call::read(
        "nvmet.host.query",
        json!([[["hostnqn", "=", hostnqn]]]),
    ))
}

pub fn host_links() -> Request<Vec<HostLink>> {
    Request::of(Call::read("nvmet.host_subsys.query", json!([])))
}

pub fn create_subsystem(name: &str, nqn: &str, allow_any_host: bool) -> Request<Subsystem> {
    let params = json!([{"name": name, "subnqn": nqn, "allow_any_host": allow_any_host}]);
    Request::of(Call::mutation("nvmet.subsys.create", params))
}

pub fn create_port(address: &str, port: u16) -> Request<Port> {
    let params = json!([{"addr_trtype": "TCP", "addr_traddr": address, "addr_trsvcid": port}]);
    Request::of(Call::mutation("nvmet.port.create", params))
}

pub fn link_port(port: u64, subsystem: u64) -> Request<PortLink> {
    let params = json!([{"port_id": port, "subsys_id": subsystem}]);
    Request::of(Call::mutation("nvmet.port_subsys.create", params))
}

fn keys(dhchap: Option<&Dhchap>) -> Value {
    json!({
        "dhchap_key": dhchap.map(|keys| keys.host.reveal()),
        "dhchap_ctrl_key": dhchap.and_then(|keys| Some(keys.controller.as_ref()?.reveal())),
    })
}

pub fn create_host(hostnqn: &str, dhchap: Option<&Dhchap>) -> Request<Host> {
    let mut params = keys(dhchap);
    if let Some(object) = params.as_object_mut() {
        object.insert("hostnqn".into(), hostnqn.into());
    }
    Request::of(Call::mutation("nvmet.host.create", json!([params])))
}

pub fn set_host_keys(id: u64, dhchap: Option<&Dhchap>) -> Request<Host> {
    Request::of(Call::mutation("nvmet.host.update", json!([id, keys(dhchap)])))
}

pub fn link_host(host: u64, subsystem: u64) -> Request<HostLink> {
    let params = json!([{"host_id": host, "subsys_id": subsystem}]);
    Request::of(Call::mutation("nvmet.host_subsys.create", params))
}

pub fn create_namespace(subsystem: u64, nsid: u32, device_path: &str) -> Request<Namespace> {
    let params = json!([{
        "subsys_id": subsystem, "nsid": nsid, "device_type": "ZVOL", "device_path": device_path, "enabled": true,
    }]);
    Request::of(Call::mutation("nvmet.namespace.create", params))
}

/// The server changes the path of a disabled namespace only (truenas-api §5.5).
pub fn enable_namespace(id: u64, enabled: bool) -> Request<Namespace> {
    Request::of(Call::mutation(
        "nvmet.namespace.update",
        json!([id, {"enabled": enabled}]),
    ))
}

pub fn repoint_namespace(id: u64, device_path: &str) -> Request<Namespace> {
    Request::of(Call::mutation(
        "nvmet.namespace.update",
        json!([id, {"device_path": device_path}]),
    ))
}

pub fn delete_namespace(id: u64) -> Request<Value> {
    Request::of(Call::mutation("nvmet.namespace.delete", json!([id])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_uuid_names_no_namespace() {
        let read = |uuid: &str| {
            let row = json!({"id": 1, "nsid": 1, "device_path": "zvol/a/b", "device_uuid": uuid, "subsys": {"id": 1}});
            serde_json::from_value::<Namespace>(row)
        };
        assert!(read("e8e6022a-79eb-417b-a2db-179ca8487c5a").is_ok());
        assert!(read("E8E6022A-79EB-417B-A2DB-179CA8487C5A").is_ok());
        for wrong in [
            "",
            "../../etc",
            "e8e6022a79eb417ba2db179ca8487c5a",
            "é8e6022a-79eb-417b-a2db-179ca8487c5",
        ] {
            assert!(
                read(wrong).unwrap_err().to_string().contains("is no UUID"),
                "{wrong}"
            );
        }
    }
}
