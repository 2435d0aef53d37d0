//! A server that answers in an order of the test's choice.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};

use super::world::{NodeSession, Process, listen, write_sections};

const KEY: &str = "1-key";

struct Connection {
    socket: WebSocket<TcpStream>,
}

impl Connection {
    /// With its login done, and told which version it is.
    fn accept(listener: &TcpListener) -> Self {
        let socket = tungstenite::accept(listener.accept().unwrap().0).unwrap();
        let mut connection = Self { socket };
        for _ in ["login", "version"] {
            let request = connection.request();
            connection.answer(&request);
        }
        connection
    }

    fn request(&mut self) -> Value {
        serde_json::from_str(self.socket.read().unwrap().to_text().unwrap()).unwrap()
    }

    fn answer(&mut self, request: &Value) {
        self.say(&json!({"jsonrpc": "2.0", "id": request["id"], "result": true}));
    }

    fn refuse_for_the_login(&mut self, request: &Value) {
        let error = json!({"code": -32001, "message": "Method call error", "data": {"error": 207}});
        self.say(&json!({"jsonrpc": "2.0", "id": request["id"], "error": error}));
    }

    fn say(&mut self, message: &Value) {
        self.socket.send(Message::text(message.to_string())).unwrap();
    }
}

fn section(listener: &TcpListener) -> String {
    let address = listener.local_addr().unwrap();
    format!(
        "truenasplugin: scripted\n\tapi_host {}\n\tapi_port {}\n\tapi_scheme ws\n\tapi_key {KEY}\n\tdataset tank/proxmox\n\
         \ttarget_iqn iqn.2005-10.org.freenas.ctl:proxmox\n\n",
        address.ip(),
        address.port()
    )
}

#[test]
fn a_call_that_is_refused_after_it_is_known_that_the_login_is_over_goes_out_again_too() {
    crate::support::node();
    let listener = TcpListener::bind((Ipv4Addr::new(127, 1, 2, 1), 0)).unwrap();
    write_sections(&[section(&listener)]);
    let _session = NodeSession::over(listen(), &[]);
    let server = thread::spawn(move || {
        let mut old = Connection::accept(&listener);
        let [one, two] = [old.request(), old.request()];
        old.refuse_for_the_login(&one);
        let question = old.request();
        assert_eq!(question["method"], "auth.me");
        old.refuse_for_the_login(&question);
        thread::sleep(Duration::from_millis(200));
        old.refuse_for_the_login(&two);
        let mut new = Connection::accept(&listener);
        for _ in [one, two] {
            let again = new.request();
            new.answer(&again);
        }
        new
    });
    let hello = Process::hello_of("scripted", KEY);
    let mut processes = [0, 1].map(|_| Process::welcomed(&hello));
    // A login is trusted for 5 s.
    thread::sleep(Duration::from_millis(5500));
    for process in &mut processes {
        process.call(1, "pool.dataset.query", json!([]));
    }
    for process in &mut processes {
        assert_eq!(process.hear().unwrap()["result"], true);
    }
    server.join().unwrap();
}
