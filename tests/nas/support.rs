//! A simulated NAS of one's own, and a storage that uses it.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use pve_storage_truenas::config::{Config, Raw};
use pve_storage_truenas::ops::{self, Image};
use serde_json::Value;
use truenas_sim::nas::Nas as Tables;
use truenas_sim::zfs::Kind;
use truenas_sim::{Options, Server};

use crate::transport::Transport;

pub const DATASET: &str = "tank/proxmox";
pub const TARGET: &str = "iqn.2005-10.org.freenas.ctl:proxmox";
/// Not there until a storage makes it.
pub const SUBSYSTEM: &str = "nqn.2011-06.com.truenas:proxmox";

static COUNT: AtomicU32 = AtomicU32::new(1);

/// /run and /etc/pve of this test process.
pub fn node() -> &'static Path {
    static NODE: OnceLock<PathBuf> = OnceLock::new();
    NODE.get_or_init(|| {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("node.{}", std::process::id()));
        let _left_by_an_earlier_process_of_this_id = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(folder.join("etc-pve")).unwrap();
        // SAFETY: the first thing a test does; nothing reads the environment meanwhile.
        #[expect(
            unsafe_code,
            reason = "the re-rooting of test builds is an environment variable"
        )]
        unsafe {
            std::env::set_var("PVETRUENAS_NODE", &folder);
            std::env::set_var("PVETRUENAS_ETC_PVE", folder.join("etc-pve"));
        }
        folder
    })
}

pub struct Nas {
    pub server: Server,
    pub storeid: String,
    pub transport: Transport,
    host: Ipv4Addr,
}

impl Nas {
    pub fn start(arguments: &[&str]) -> Self {
        Self::keeping_traffic(true, arguments)
    }

    fn keeping_traffic(remember: bool, arguments: &[&str]) -> Self {
        node();
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        // Logins are counted by address of the NAS: each has its own.
        let [_, high, middle, low] = (std::process::id() % 65_000 * 256 + number).to_be_bytes();
        let host = Ipv4Addr::new(127, high, middle, low);
        let listen = format!("{host}:0");
        let fixed = ["--listen", &listen, "--penalty", "5", "--seed", "1"];
        let recorded = recording(number, arguments);
        let recorded = recorded.iter().map(String::as_str);
        let options =
            Options::of(fixed.into_iter().chain(recorded).chain(arguments.iter().copied())).unwrap();
        Self {
            server: Server::start(Options { remember, ..options }).unwrap(),
            storeid: format!("nas{number}"),
            transport: Transport::Iscsi,
            host,
        }
    }

    /// What the section says; the server has both.
    pub fn over(self, transport: Transport) -> Self {
        Self { transport, ..self }
    }

    /// As `start`, for tests that are about numbers: their traffic is too much to keep, and shows nothing new.
    pub fn unrecorded(arguments: &[&str]) -> Self {
        Self::start(&with_version(arguments))
    }

    /// As `unrecorded`, and what comes is not even kept in memory.
    pub fn forgetful(arguments: &[&str]) -> Self {
        Self::keeping_traffic(false, &with_version(arguments))
    }

    /// Flags only: a server of the default version.
    pub fn new() -> Self {
        Self::start(&[])
    }

    /// The section as an administrator would write it, the key included.
    pub fn section(&self) -> Raw {
        [
            ("api_host", self.host.to_string()),
            ("api_port", self.server.port().to_string()),
            ("api_key", self.server.api_key().to_owned()),
            ("tn_api_user", self.server.api_user().to_owned()),
            ("tn_tls_fingerprint", self.fingerprint()),
            ("dataset", DATASET.to_owned()),
        ]
        .into_iter()
        .chain(
            self.transport
                .settings()
                .iter()
                .map(|(key, value)| (*key, (*value).to_owned())),
        )
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
    }

    pub fn fingerprint(&self) -> String {
        self.server
            .announcement()
            .split_whitespace()
            .last()
            .unwrap()
            .to_owned()
    }

    pub fn config(&self) -> Config {
        self.config_with(&[])
    }

    pub fn config_with(&self, changes: &[(&str, &str)]) -> Config {
        let mut section = self.section();
        for (key, value) in changes {
            section.insert((*key).to_owned(), (*value).to_owned());
        }
        Config::parse(&self.storeid, &section).unwrap()
    }

    pub fn alloc(&self, vmid: &str, kib: &str) -> String {
        ops::alloc_image(&self.config(), vmid, "raw", None, kib).unwrap()
    }

    pub fn list(&self) -> Vec<Image> {
        ops::list_images(&self.config(), None, None).unwrap()
    }

    pub fn names(&self) -> Vec<String> {
        let prefix = format!("{}:", self.storeid);
        self.list()
            .into_iter()
            .map(|image| image.volid.trim_start_matches(&prefix).to_owned())
            .collect()
    }

    /// Frees as PVE does: the closure after the lock.
    pub fn free(&self, volname: &str) -> pve_storage_truenas::error::Result<()> {
        let config = self.config();
        match ops::free_image(&config, volname, false, None)? {
            Some(token) => ops::free_image_finish(&config, &token),
            None => Ok(()),
        }
    }

    /// Calls the API as somebody else would.
    pub fn by_hand(&self, method: &str, params: Value) -> Value {
        crate::support::raw::call(self, method, params)
    }

    pub fn url(&self) -> (Ipv4Addr, u16) {
        (self.host, self.server.port())
    }

    /// What the NAS holds, in order: zvols, and what leads to them.
    pub fn inventory(&self) -> Vec<String> {
        self.server.nas(|tables| {
            let zvols = zvols(tables);
            let links = self.transport.links(tables).into_iter();
            let links = links.map(|link| format!("{} of {:?}", link.what, link.zvol));
            let exports = zvols
                .iter()
                .flat_map(|zvol| self.transport.exports_of(tables, zvol));
            let exports = exports.map(|export| format!("{export:?}"));
            let zvols = zvols.iter().map(|zvol| format!("zvol {zvol}"));
            let mut found: Vec<String> = zvols.chain(links).chain(exports).collect();
            found.sort();
            found
        })
    }

    /// The zvols of all volumes; the test ends where `all_whole` has none.
    pub fn whole_volumes(&self) -> Vec<String> {
        let found = self.all_whole();
        assert!(found.is_some(), "not whole: {:#?}", self.inventory());
        found.unwrap()
    }

    /// The zvols of all volumes, where none is half there and nothing leads to what is not there.
    pub fn all_whole(&self) -> Option<Vec<String>> {
        self.server.nas(|tables| {
            let (mut zvols, links) = (zvols(tables), self.transport.links(tables));
            let leading = |zvol: &String| {
                let links = links.iter().filter(|link| link.zvol.as_ref() == Some(zvol));
                links.map(|link| link.what).collect::<Vec<_>>()
            };
            let whole = zvols.iter().all(|zvol| leading(zvol) == self.transport.whole());
            let lost = links.len() - zvols.iter().map(|zvol| leading(zvol).len()).sum::<usize>();
            let all = zvols.len();
            zvols.retain(|zvol| !zvol.ends_with(WEIGHT));
            let anchored = (all > zvols.len()) == self.transport.has_anchor();
            (whole && lost == 0 && anchored).then_some(zvols)
        })
    }
}

/// The only zvol that is no volume.
pub const WEIGHT: &str = "/pve-plugin-weight";

fn zvols(tables: &Tables) -> Vec<String> {
    let all = tables.zfs.datasets.iter();
    all.filter(|(_, dataset)| dataset.kind == Kind::Volume)
        .map(|(name, _)| name.clone())
        .collect()
}

fn with_version<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    static VERSION: OnceLock<String> = OnceLock::new();
    let version = VERSION.get_or_init(version);
    ["--api-version", version]
        .into_iter()
        .chain(arguments.iter().copied())
        .collect()
}

pub fn version() -> String {
    std::env::var("TRUENAS_SIM_VERSION").unwrap_or_else(|_| "25.10.4".into())
}

/// The suite runs against the version in TRUENAS_SIM_VERSION and leaves its traffic in TRUENAS_SIM_RECORD; a test
/// that is about one version is its own business.
fn recording(number: u32, arguments: &[&str]) -> Vec<String> {
    if arguments.contains(&"--api-version") {
        return Vec::new();
    }
    let version = version();
    let mut options = vec!["--api-version".to_owned(), version.clone()];
    // A rule that is switched off must make a test fail: otherwise nothing shows that the plugin keeps to it.
    if let Ok(rule) = std::env::var("TRUENAS_SIM_WITHOUT") {
        options.extend(["--without".to_owned(), rule]);
    }
    if let Ok(folder) = std::env::var("TRUENAS_SIM_RECORD") {
        let file = format!("{folder}/{version}-nas-{}-{number}.jsonl", std::process::id());
        options.extend(["--traffic".to_owned(), file]);
    }
    options
}

pub mod raw {
    //! A client that shares no line with the plugin's.

    use std::net::TcpStream;
    use std::sync::Arc;

    use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
    use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
    use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};
    use serde_json::{Value, json};
    use tungstenite::{Message, WebSocket};

    use super::Nas;

    type Socket = WebSocket<StreamOwned<ClientConnection, TcpStream>>;

    pub fn call(nas: &Nas, method: &str, params: Value) -> Value {
        let (host, port) = nas.url();
        let tcp = TcpStream::connect((host, port)).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anybody))
            .with_no_client_auth();
        let name = ServerName::from(std::net::IpAddr::from(host));
        let tls = StreamOwned::new(ClientConnection::new(Arc::new(config), name).unwrap(), tcp);
        let (mut socket, _) = tungstenite::client(format!("wss://{host}:{port}/api/current"), tls).unwrap();
        let login = json!([{"mechanism": "API_KEY_PLAIN", "username": nas.server.api_user(),
            "api_key": nas.server.api_key()}]);
        assert_eq!(
            exchange(&mut socket, "auth.login_ex", login)["response_type"],
            "SUCCESS"
        );
        exchange(&mut socket, method, params)
    }

    fn exchange(socket: &mut Socket, method: &str, params: Value) -> Value {
        let request = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        socket.send(Message::text(request.to_string())).unwrap();
        let reply: Value = serde_json::from_str(socket.read().unwrap().to_text().unwrap()).unwrap();
        assert!(reply.get("error").is_none(), "{method}: {reply}");
        reply["result"].clone()
    }

    #[derive(Debug)]
    struct Anybody;

    impl ServerCertVerifier for Anybody {
        fn verify_server_cert(
            &self,
            _: &CertificateDer<'_>,
            _: &[CertificateDer<'_>],
            _: &ServerName<'_>,
            _: &[u8],
            _: UnixTime,
        ) -> Result<ServerCertVerified, rustls::Error> {
            Ok(ServerCertVerified::assertion())
        }

        fn verify_tls12_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            Ok(HandshakeSignatureValid::assertion())
        }

        fn verify_tls13_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            Ok(HandshakeSignatureValid::assertion())
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            rustls::crypto::ring::default_provider()
                .signature_verification_algorithms
                .supported_schemes()
        }
    }
}
