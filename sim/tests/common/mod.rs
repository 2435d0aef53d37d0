//! A client in raw JSON-RPC frames: no helper of it knows more than the wire.

// Helpers of tests fail by panicking, as tests do.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![allow(dead_code)]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};
use serde_json::{Value, json};
use truenas_sim::{Options, Server};
use tungstenite::protocol::CloseFrame;
use tungstenite::{Message, WebSocket};

pub const TANK: &str = "tank/proxmox";
pub const GIB: u64 = 1 << 30;
pub const HOST: &str = "nqn.2014-08.org.nvmexpress:uuid:11111111-2222-3333-4444-555555555550";

/// A server with the delays that only cost time made short. TRUENAS_SIM_CONFORMANCE=DIR keeps what it says, as
/// DIR/<version>-<number>.jsonl, for a check of its answers against the types of its version.
pub fn server(arguments: &[&str]) -> Server {
    let own = [
        "--listen",
        "127.0.0.1:0",
        "--seed",
        "7",
        "--penalty",
        "1",
        "--plain",
    ];
    let all = own.iter().chain(arguments).copied();
    let mut options = Options::of(all).expect("options");
    let folder = std::env::var_os("TRUENAS_SIM_CONFORMANCE").filter(|_| options.without.is_empty());
    if let Some(folder) = folder.filter(|_| options.traffic.is_none()) {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let (n, process) = (NEXT.fetch_add(1, Ordering::Relaxed), std::process::id());
        let name = format!("{}-{process}-{n}.jsonl", options.api_version);
        options.traffic = Some(Path::new(&folder).join(name));
    }
    Server::start(options).expect("server")
}

/// A server whose zvols have their links at once, and a client that is logged in.
pub fn started(arguments: &[&str]) -> (Server, Client) {
    let server = server(&[&["--link-delay", "0"], arguments].concat());
    let client = Client::logged_in(&server);
    (server, client)
}

pub enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Read for Stream {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(into),
            Self::Tls(stream) => stream.read(into),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, from: &[u8]) -> std::io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(from),
            Self::Tls(stream) => stream.write(from),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

pub struct Client {
    pub socket: WebSocket<Stream>,
    last: u64,
}

impl Client {
    /// Over TLS, not logged in.
    pub fn connect(server: &Server) -> Self {
        Self::at(server, "/api/current").expect("connection")
    }

    pub fn at(server: &Server, path: &str) -> Result<Self, String> {
        Self::over(Stream::Tls(Box::new(tls(server, &[b"http/1.1"]))), path)
    }

    pub fn plain(server: &Server) -> Self {
        let stream = TcpStream::connect(server.plain.expect("a plain port")).expect("connection");
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .expect("timeout");
        Self::over(Stream::Plain(stream), "/api/current").expect("handshake")
    }

    /// From another address of loopback, without TLS.
    pub fn from(server: &Server, address: [u8; 4]) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("runtime");
        let stream = runtime.block_on(async {
            let socket = tokio::net::TcpSocket::new_v4()?;
            socket.bind((address, 0).into())?;
            socket
                .connect(server.plain.expect("a plain port"))
                .await?
                .into_std()
        });
        let stream = stream.expect("connection");
        stream.set_nonblocking(false).expect("blocking");
        Self::over(Stream::Plain(stream), "/api/current").expect("handshake")
    }

    fn over(stream: Stream, path: &str) -> Result<Self, String> {
        let url = format!("ws://localhost{path}");
        let (socket, _) = tungstenite::client(url, stream).map_err(|e| e.to_string())?;
        Ok(Self { socket, last: 0 })
    }

    pub fn logged_in(server: &Server) -> Self {
        let mut client = Self::connect(server);
        client.login(server);
        client
    }

    pub fn login(&mut self, server: &Server) {
        let answer = self.ok("auth.login_ex", json!([credentials(server)]));
        assert_eq!(answer["response_type"], "SUCCESS", "{answer}");
    }

    pub fn text(&mut self, text: &str) {
        self.socket.send(Message::text(text)).expect("send");
    }

    /// Sends a request and gives its id.
    pub fn send(&mut self, method: &str, params: Value) -> u64 {
        self.last += 1;
        let id = self.last;
        self.text(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string());
        id
    }

    pub fn receive(&mut self) -> Value {
        loop {
            match self.socket.read().expect("an answer") {
                Message::Text(text) => return serde_json::from_str(text.as_str()).expect("JSON"),
                Message::Close(frame) => panic!("closed: {frame:?}"),
                _ => {}
            }
        }
    }

    /// Reads until the server ends the connection; its close frame, if it sent one.
    pub fn closed(&mut self) -> Option<CloseFrame> {
        loop {
            match self.socket.read() {
                Ok(Message::Close(frame)) => return frame,
                Ok(_) => {}
                Err(_) => return None,
            }
        }
    }

    pub fn call(&mut self, method: &str, params: Value) -> Value {
        let id = self.send(method, params);
        let answer = self.receive();
        assert_eq!(answer["id"], id, "{answer}");
        answer
    }

    pub fn ok(&mut self, method: &str, params: Value) -> Value {
        let mut answer = self.call(method, params);
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].take()
    }

    pub fn error(&mut self, method: &str, params: Value) -> Value {
        let mut answer = self.call(method, params);
        assert!(answer.get("result").is_none(), "{method} was to fail: {answer}");
        answer["error"].take()
    }

    /// The only complaint of a -32602: field, text, errno.
    pub fn refused(&mut self, method: &str, params: Value) -> (String, String, i64) {
        let error = self.error(method, params);
        assert_eq!(error["code"], -32602, "{error}");
        assert_eq!(error["message"], "Invalid params");
        assert_eq!(
            (&error["data"]["error"], &error["data"]["errname"]),
            (&json!(22), &json!("EINVAL"))
        );
        let extra = error["data"]["extra"].as_array().expect("extra");
        assert_eq!(extra.len(), 1, "{error}");
        serde_json::from_value(extra[0].clone()).expect("a triple")
    }

    /// The errno and reason of a -32001.
    pub fn failed(&mut self, method: &str, params: Value) -> (i64, String) {
        let error = self.error(method, params);
        assert_eq!(
            (&error["code"], &error["message"]),
            (&json!(-32001), &json!("Method call error")),
            "{error}"
        );
        (
            error["data"]["error"].as_i64().expect("errno"),
            error["data"]["reason"].as_str().expect("reason").into(),
        )
    }

    /// A thin volume of one GiB below the dataset.
    pub fn zvol(&mut self, name: &str) -> Value {
        let data =
            json!({"name": format!("{TANK}/{name}"), "type": "VOLUME", "volsize": GIB, "sparse": true});
        self.ok("pool.dataset.create", json!([data]))
    }

    /// The host `HOST`, with these fields besides its name.
    pub fn host(&mut self, more: &Value) -> Value {
        let mut data = json!({"hostnqn": HOST});
        data.as_object_mut()
            .expect("object")
            .extend(more.as_object().expect("object").clone());
        self.ok("nvmet.host.create", json!([data]))
    }

    /// An extent on a volume of that name; its id.
    pub fn extent(&mut self, name: &str) -> i64 {
        self.zvol(name);
        let data = json!({"name": name, "disk": format!("zvol/{TANK}/{name}")});
        self.ok("iscsi.extent.create", json!([data]))["id"]
            .as_i64()
            .expect("id")
    }

    /// A volume with extent and mapping to target 1; the mapping.
    pub fn lun(&mut self, name: &str) -> Value {
        let extent = self.extent(name);
        self.ok(
            "iscsi.targetextent.create",
            json!([{"target": 1, "extent": extent}]),
        )
    }
}

pub fn credentials(server: &Server) -> Value {
    json!({"mechanism": "API_KEY_PLAIN", "username": server.api_user(), "api_key": server.api_key()})
}

pub fn tls(server: &Server, alpn: &[&[u8]]) -> StreamOwned<ClientConnection, TcpStream> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Pinned(server.fingerprint.clone())))
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    let name = ServerName::try_from("localhost").expect("name");
    let stream = TcpStream::connect(server.address).expect("connection");
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .expect("timeout");
    StreamOwned::new(
        ClientConnection::new(Arc::new(config), name).expect("client"),
        stream,
    )
}

/// Takes the certificate whose SHA-256 the server announced.
#[derive(Debug)]
struct Pinned(String);

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let digest = ring::digest::digest(&ring::digest::SHA256, certificate);
        let seen: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(seen, self.0, "the announced fingerprint");
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
        vec![
            SignatureScheme::ECDSA_NISTP256_SHA256,
            SignatureScheme::RSA_PSS_SHA256,
            SignatureScheme::ED25519,
            SignatureScheme::RSA_PKCS1_SHA256,
        ]
    }
}

/// Shows that a rule holds, and that it is this switch that turns it off.
pub fn switched(rule: &str, holds: impl Fn(&[&str]) -> bool) {
    assert!(holds(&[]), "{rule} holds");
    assert!(!holds(&["--without", rule]), "{rule} can be switched off");
}
