//! What all connections share.

use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::watch;
use tokio::task::spawn_local;

use crate::auth::{Key, Tokens};
use crate::exports;
use crate::faults::Faults;
use crate::jobs::Jobs;
use crate::kernel::Kernel;
use crate::limiter::Limiter;
use crate::nas::Nas;
use crate::nvmet::render;
use crate::options::{Backend, Options};
use crate::rng::Rng;
use crate::roles::Roles;
use crate::rules::Rules;
use crate::traffic::Traffic;
use crate::versions::Version;

pub struct Hub {
    pub options: Options,
    pub version: Version,
    pub rules: Rules,
    pub key: Key,
    pub roles: Rc<Roles>,
    nas: Arc<Mutex<Nas>>,
    traffic: Arc<Mutex<Traffic>>,
    pub faults: RefCell<Faults>,
    pub limiter: RefCell<Limiter>,
    pub jobs: RefCell<Jobs>,
    pub tokens: RefCell<Tokens>,
    pub rng: RefCell<Rng>,
    restarts: watch::Sender<u64>,
    connections: Cell<u64>,
    down_until: Cell<Option<Instant>>,
    kernel: RefCell<Option<Kernel>>,
}

pub fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The parts that the thread which started the server keeps too.
#[derive(Clone)]
pub struct Shared {
    pub nas: Arc<Mutex<Nas>>,
    pub traffic: Arc<Mutex<Traffic>>,
    pub key: Key,
}

impl Hub {
    pub fn new(options: Options, shared: Shared, rng: Rng) -> Result<Self, String> {
        let faults = match &options.faults {
            Some(file) => read_faults(file)?,
            None => Faults::default(),
        };
        Ok(Self {
            version: options.api_version.clone(),
            rules: Rules::without(&options.without),
            key: shared.key,
            roles: Rc::new(Roles::of(&options.role)),
            nas: shared.nas,
            traffic: shared.traffic,
            faults: RefCell::new(faults),
            limiter: RefCell::new(Limiter::new(Duration::from_millis(options.limiter_window))),
            jobs: RefCell::default(),
            tokens: RefCell::default(),
            rng: RefCell::new(rng),
            restarts: watch::Sender::new(0),
            connections: Cell::new(0),
            down_until: Cell::new(None),
            kernel: RefCell::new(kernel(&options)?),
            options,
        })
    }

    pub fn nas(&self) -> MutexGuard<'_, Nas> {
        locked(&self.nas)
    }

    pub fn traffic(&self) -> MutexGuard<'_, Traffic> {
        locked(&self.traffic)
    }

    pub fn next_connection(&self) -> u64 {
        self.connections.set(self.connections.get() + 1);
        self.connections.get()
    }

    pub fn restarts(&self) -> watch::Receiver<u64> {
        self.restarts.subscribe()
    }

    /// Sessions, tokens, jobs and the limiter's table live in memory only; the tables stay (truenas-api.md §2.5, §3).
    pub fn restart(&self) {
        self.limiter.borrow_mut().forget();
        *self.jobs.borrow_mut() = Jobs::default();
        *self.tokens.borrow_mut() = Tokens::default();
        self.down_until.set(Some(
            Instant::now() + Duration::from_millis(self.options.restart_time),
        ));
        self.restarts.send_modify(|n| *n += 1);
    }

    /// What the clock of the server says.
    pub fn now(&self) -> SystemTime {
        let ahead = Duration::from_secs(self.options.clock_ahead.unsigned_abs());
        match self.options.clock_ahead {
            0.. => SystemTime::now() + ahead,
            _ => SystemTime::now() - ahead,
        }
    }

    /// While it restarts, only the web server in front answers.
    pub fn is_down(&self) -> bool {
        self.down_until.get().is_some_and(|until| Instant::now() < until)
    }

    /// The time that a call takes.
    pub fn latency(&self) -> Duration {
        let (base, jitter) = self.options.latency;
        let extra = if jitter == 0 {
            0
        } else {
            self.rng.borrow_mut().between(0, jitter)
        };
        Duration::from_millis(base + extra)
    }

    /// A delay that punishes, between two numbers of milliseconds.
    pub fn penalty(&self, low: u64, high: u64) -> Duration {
        let real = self.rng.borrow_mut().between(low, high);
        Duration::from_millis(real * self.options.penalty / 100)
    }

    /// The reload after a change: it may lag behind the tables (truenas-api.md §6.2, §9.7).
    pub fn write_exports(self: &Rc<Self>) {
        render::reload(&mut self.nas());
        if self.options.exports.is_none() && self.kernel.borrow().is_none() {
            return;
        }
        if self.options.reload_delay == 0 {
            return self.reload();
        }
        let hub = Rc::clone(self);
        spawn_local(async move {
            tokio::time::sleep(Duration::from_millis(hub.options.reload_delay)).await;
            hub.reload();
        });
    }

    /// Nothing stays behind in this machine's kernel.
    pub fn stop(&self) {
        if let Some(Err(e)) = self.kernel.borrow_mut().take().map(|mut kernel| kernel.stop()) {
            eprintln!("truenas-sim: {e}");
        }
    }

    fn reload(&self) {
        if let Some(kernel) = self.kernel.borrow_mut().as_mut() {
            if let Err(e) = kernel.apply(&self.nas()) {
                eprintln!("truenas-sim: {e}");
            }
        }
        if let Some(file) = &self.options.exports {
            let text = exports::of(&self.nas()).to_string();
            if let Err(e) = replace(file, &text) {
                eprintln!("truenas-sim: {}: {e}", file.display());
            }
        }
    }
}

fn kernel(options: &Options) -> Result<Option<Kernel>, String> {
    match options.backend {
        Backend::Memory => Ok(None),
        Backend::Kernel => Kernel::start(&options.kernel_folder, false).map(Some),
        Backend::KernelZfs => Kernel::start(&options.kernel_folder, true).map(Some),
    }
}

fn read_faults(file: &PathBuf) -> Result<Faults, String> {
    let text = std::fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?;
    Faults::read(&text).map_err(|e| format!("{}: {e}", file.display()))
}

/// Writes a file so that a reader sees the old text or the new one.
pub fn replace(file: &Path, text: &str) -> std::io::Result<()> {
    let mut name = file.as_os_str().to_owned();
    name.push(".new");
    std::fs::write(&name, text)?;
    std::fs::rename(&name, file)
}
