//! Between the plugin and a simulated NAS: every answer is the simulator's own, but for what a test makes of it.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use pve_storage_truenas::config::Config;
use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};

use crate::rules::client::Client;
use crate::support::Nas;

/// What an answer becomes: the messages that are sent instead.
pub type Change = Arc<dyn Fn(Value) -> Vec<String> + Send + Sync>;

/// An answer that the plugin got, before it was changed.
#[derive(Debug, Clone)]
pub struct Heard {
    pub method: String,
    pub answer: Value,
}

#[derive(Default)]
struct Plan {
    /// Which answer, counted from the first, and what becomes of it.
    change: Option<(usize, Change)>,
    heard: Vec<Heard>,
}

/// Logins are answered here: they are scarce, and the plugin makes one for each case.
pub struct Proxy {
    port: u16,
    plan: Arc<Mutex<Plan>>,
}

impl Proxy {
    pub fn before(nas: &Nas) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let plan = Arc::new(Mutex::new(Plan::default()));
        let upstream = Client::logged_in(nas);
        upstream.socket.get_ref().set_nodelay(true).unwrap();
        let upstream = Arc::new(Mutex::new(upstream));
        let plans = plan.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (plan, upstream) = (plans.clone(), upstream.clone());
                thread::spawn(move || serve(stream, &plan, &upstream));
            }
        });
        Self { port, plan }
    }

    /// The storage, on a NAS of another address each time: what one case did to a NAS's name does not disturb the next.
    pub fn config(&self, nas: &Nas) -> Config {
        static COUNT: AtomicU16 = AtomicU16::new(1);
        let [high, low] = COUNT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        let process = u8::try_from(std::process::id() % 200).unwrap();
        let host = Ipv4Addr::new(127, 10 + process, high, low.max(1)).to_string();
        nas.config_with(&[
            ("api_host", &host),
            ("api_port", &self.port.to_string()),
            ("api_scheme", "ws"),
        ])
    }

    /// Begins a run, in which the answer of that number is changed.
    pub fn plan(&self, change: Option<(usize, Change)>) {
        *self.plan.lock().unwrap() = Plan {
            change,
            heard: Vec::new(),
        };
    }

    pub fn heard(&self) -> Vec<Heard> {
        self.plan.lock().unwrap().heard.clone()
    }
}

const LONGEST: usize = 64 << 10;

fn serve(stream: TcpStream, plan: &Mutex<Plan>, upstream: &Mutex<Client>) {
    // Else each answer waits 40 ms for a confirmation (tcp(7), TCP_NODELAY).
    stream.set_nodelay(true).unwrap();
    let Ok(mut socket) = tungstenite::accept(stream) else {
        return;
    };
    while let Ok(Message::Text(text)) = socket.read() {
        // As the server does (truenas-api §1.5).
        if text.len() > LONGEST {
            return;
        }
        let request: Value = serde_json::from_str(&text).unwrap();
        let method = request["method"].as_str().unwrap();
        let messages = match method {
            "auth.login_ex" => vec![reply(&request, json!({"response_type": "SUCCESS"}))],
            _ => {
                let mut answer = upstream.lock().unwrap().call(method, request["params"].clone());
                answer["id"] = request["id"].clone();
                changed(method, answer, plan)
            }
        };
        if messages.iter().any(|message| say(&mut socket, message).is_err()) {
            return;
        }
    }
}

fn say(socket: &mut WebSocket<TcpStream>, message: &str) -> tungstenite::Result<()> {
    socket.send(Message::text(message))
}

pub fn reply(request: &Value, result: Value) -> String {
    json!({"jsonrpc": "2.0", "id": request["id"], "result": result}).to_string()
}

fn changed(method: &str, answer: Value, plan: &Mutex<Plan>) -> Vec<String> {
    let mut plan = plan.lock().unwrap();
    let number = plan.heard.len();
    plan.heard.push(Heard {
        method: method.to_owned(),
        answer: answer.clone(),
    });
    match &plan.change {
        Some((wanted, change)) if *wanted == number => change(answer),
        _ => vec![answer.to_string()],
    }
}
