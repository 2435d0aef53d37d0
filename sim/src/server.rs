//! The listeners, and the server as a library: its own thread, stopped on drop.

use std::net::SocketAddr;
use std::ops::Range;
use std::rc::Rc;
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;
use tokio::sync::watch;
use tokio::task::{LocalSet, spawn_local};

use crate::api_keys;
use crate::auth::Key;
use crate::connection;
use crate::exports;
use crate::http::{self, Route};
use crate::hub::{Hub, Shared, locked, replace};
use crate::nas::Nas;
use crate::nvmet::render;
use crate::options::Options;
use crate::rng::Rng;
use crate::session::Peer;
use crate::tls::Tls;
use crate::traffic::Traffic;

/// A running simulator.
pub struct Server {
    pub address: SocketAddr,
    pub plain: Option<SocketAddr>,
    /// Lowercase SHA-256 of the certificate.
    pub fingerprint: String,
    state: Option<std::path::PathBuf>,
    shared: Shared,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

struct Ready {
    address: SocketAddr,
    plain: Option<SocketAddr>,
}

impl Server {
    pub fn start(options: Options) -> Result<Self, String> {
        let mut rng = Rng::new(options.seed.unwrap_or_else(random_seed));
        let tls = Tls::new(&options.tls)?;
        let key = Key::of(&options, &mut rng)?;
        let traffic = Traffic::start(options.traffic.as_deref(), options.remember)
            .map_err(|e| format!("--traffic: {e}"))?;
        let nas = Nas::start(&options, rng.clone())?;
        let shared = Shared {
            nas: Arc::new(Mutex::new(nas)),
            traffic: Arc::new(Mutex::new(traffic)),
            key,
        };
        let state = options.state.clone();
        let fingerprint = tls.fingerprint.clone();
        let (stop, stopped) = watch::channel(false);
        let (ready, started) = mpsc::channel();
        let parts = shared.clone();
        let thread = std::thread::spawn(move || {
            if let Err(e) = run(options, parts, rng, tls, stopped, &ready) {
                // The other end waits for one message only.
                let _ = ready.send(Err(e));
            }
        });
        let Ready { address, plain } = started.recv().map_err(|e| e.to_string())??;
        Ok(Self {
            address,
            plain,
            fingerprint,
            state,
            shared,
            stop,
            thread: Some(thread),
        })
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    pub fn api_key(&self) -> &str {
        &self.shared.key.text
    }

    pub fn api_user(&self) -> &str {
        &self.shared.key.user
    }

    /// Every line of the traffic so far.
    pub fn traffic(&self) -> Vec<Value> {
        self.traffic_after(0)
    }

    /// How many lines there are so far.
    pub fn traffic_count(&self) -> usize {
        locked(&self.shared.traffic).count()
    }

    /// Without the first so many lines: long answers take long to be read.
    pub fn traffic_after(&self, first: usize) -> Vec<Value> {
        locked(&self.shared.traffic).lines_after(first)
    }

    /// The tables, as --state would save them.
    pub fn state(&self) -> Value {
        locked(&self.shared.nas).saved()
    }

    /// What initiators would see, as --exports would write it.
    pub fn exports(&self) -> Value {
        exports::of(&locked(&self.shared.nas))
    }

    /// Reads or changes the NAS behind the API's back, as another client or an administrator would.
    pub fn nas<T>(&self, work: impl FnOnce(&mut Nas) -> T) -> T {
        let mut nas = locked(&self.shared.nas);
        let done = work(&mut nas);
        render::reload(&mut nas);
        done
    }

    /// Makes another API key, as in the web interface, and tells its text.
    pub fn make_key(&self, name: &str) -> String {
        let first = self.shared.key.id;
        let user = self.shared.key.user.clone();
        self.nas(|nas| api_keys::make(nas, first, name, &user).1.text)
    }

    /// Writes to a zvol as an initiator would: the tag stands for the data of all of it.
    pub fn write_tag(&self, zvol: &str, tag: &str) -> Result<(), String> {
        self.nas(|nas| {
            let size = nas.zfs.datasets.get(zvol).map_or(0, |dataset| dataset.volsize);
            nas.zfs.write_content(zvol, &(0..size), tag)
        })
    }

    /// Writes to a part of a zvol, given in bytes.
    pub fn write_tag_at(&self, zvol: &str, range: Range<u64>, tag: &str) -> Result<(), String> {
        self.nas(|nas| nas.zfs.write_content(zvol, &range, tag))
    }

    /// What stands at the beginning of a zvol, or of a snapshot (`zvol@name`).
    pub fn read_tag(&self, name: &str) -> Option<String> {
        self.read_tag_at(name, 0)
    }

    pub fn read_tag_at(&self, name: &str, offset: u64) -> Option<String> {
        self.nas(|nas| {
            nas.zfs
                .content(name)
                .and_then(|content| content.tag_at(offset))
                .map(str::to_owned)
        })
    }

    /// The first line on standard output (INTERFACES.md).
    pub fn announcement(&self) -> String {
        let plain = self
            .plain
            .map_or(String::new(), |address| format!(" http://{address}"));
        format!(
            "listening wss://{}{plain} fingerprint sha256:{}",
            self.address, self.fingerprint
        )
    }

    pub fn save(&self) -> std::io::Result<()> {
        match &self.state {
            Some(file) => replace(file, &format!("{:#}\n", self.state())),
            None => Ok(()),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            // A panic of the server's thread has been told on standard error.
            let _ = thread.join();
        }
    }
}

fn random_seed() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_secs().rotate_left(32) ^ u64::from(since.subsec_nanos()) ^ u64::from(std::process::id())
}

type ReadySender = mpsc::Sender<Result<Ready, String>>;

fn run(
    options: Options,
    shared: Shared,
    rng: Rng,
    tls: Tls,
    mut stopped: watch::Receiver<bool>,
    ready: &ReadySender,
) -> Result<(), String> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| e.to_string())?;
    let local = LocalSet::new();
    local.block_on(&runtime, async move {
        let listener = bind(&options.listen).await?;
        let plain = if options.plain {
            Some(beside(&listener).await?)
        } else {
            None
        };
        let address = |listener: &TcpListener| listener.local_addr().map_err(|e| e.to_string());
        let told = Ready {
            address: address(&listener)?,
            plain: plain.as_ref().map(address).transpose()?,
        };
        let hub = Rc::new(Hub::new(options, shared, rng)?);
        hub.write_exports();
        let tls = Rc::new(tls);
        spawn_local(accept(Rc::clone(&hub), listener, Some(tls)));
        if let Some(plain) = plain {
            spawn_local(accept(Rc::clone(&hub), plain, None));
        }
        // Nobody waits any more: then the next line ends it.
        let _ = ready.send(Ok(told));
        let _ = stopped.wait_for(|stop| *stop).await;
        hub.stop();
        Ok(())
    })
}

async fn bind(address: &str) -> Result<TcpListener, String> {
    TcpListener::bind(address)
        .await
        .map_err(|e| format!("{address}: {e}"))
}

/// The plain listener: the same address, a port of its own.
async fn beside(listener: &TcpListener) -> Result<TcpListener, String> {
    let ip = listener.local_addr().map_err(|e| e.to_string())?.ip();
    bind(&SocketAddr::new(ip, 0).to_string()).await
}

async fn accept(hub: Rc<Hub>, listener: TcpListener, tls: Option<Rc<Tls>>) {
    loop {
        match listener.accept().await {
            Ok((stream, from)) => {
                spawn_local(greet(Rc::clone(&hub), stream, from, tls.clone()));
            }
            // Out of file descriptors: others will close theirs.
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
        }
    }
}

async fn greet(hub: Rc<Hub>, stream: TcpStream, from: SocketAddr, tls: Option<Rc<Tls>>) {
    // Without it answers wait for acknowledgements; an error costs only speed.
    let _ = stream.set_nodelay(true);
    match tls {
        None => talk(hub, stream, from, false).await,
        Some(tls) => {
            let Ok(stream) = tls.acceptor.accept(stream).await else {
                return;
            };
            // truenas-api.md §1.7: nginx offers h2, and an Upgrade then fails.
            if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
                talk(hub, stream, from, true).await;
            }
        }
    }
}

async fn talk<S>(hub: Rc<Hub>, mut stream: S, from: SocketAddr, tls: bool)
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let Ok((head, rest)) = http::read(&mut stream).await else {
        return;
    };
    match http::route(&head, &hub.version, hub.is_down()) {
        Route::Answer(text) => {
            // The client is gone or has its answer.
            let _ = http::write(&mut stream, &text).await;
            let _ = tokio::io::AsyncWriteExt::shutdown(&mut stream).await;
        }
        Route::Socket { line, accept } => {
            if http::write(&mut stream, &http::switching(&accept, hub.now()))
                .await
                .is_ok()
            {
                connection::serve(
                    hub,
                    stream,
                    rest,
                    Peer {
                        ip: from.ip(),
                        tls,
                        line,
                    },
                )
                .await;
            }
        }
    }
}
