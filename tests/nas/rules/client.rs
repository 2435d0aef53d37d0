//! A client that shares no line with the plugin's: what it is refused, the server refuses.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::os::fd::{FromRawFd, OwnedFd};
use std::time::Duration;

use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};

use crate::support::Nas;

pub struct Client {
    pub socket: WebSocket<TcpStream>,
    last: u64,
}

impl Client {
    /// Not logged in.
    pub fn connect(nas: &Nas) -> Self {
        Self::over(TcpStream::connect(plain(nas)).unwrap(), "current")
    }

    pub fn logged_in(nas: &Nas) -> Self {
        Self::connect(nas).login(nas)
    }

    /// With the API of an older release.
    pub fn pinned(nas: &Nas, directory: &str) -> Self {
        Self::over(TcpStream::connect(plain(nas)).unwrap(), directory).login(nas)
    }

    /// Each address of 127.0.0.0/8 is another client to the server.
    pub fn from(nas: &Nas, own: Ipv4Addr) -> Self {
        Self::over(connect_from(own, plain(nas)), "current")
    }

    fn over(stream: TcpStream, directory: &str) -> Self {
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let url = format!("ws://localhost/api/{directory}");
        let (socket, _) = tungstenite::client(url, stream).unwrap();
        Self { socket, last: 0 }
    }

    fn login(mut self, nas: &Nas) -> Self {
        let answer = self.ok("auth.login_ex", json!([credentials(nas)]));
        assert_eq!(answer["response_type"], "SUCCESS", "{answer}");
        self
    }

    pub fn text(&mut self, text: &str) {
        self.socket.send(Message::text(text)).unwrap();
    }

    pub fn send(&mut self, method: &str, params: Value) {
        self.last += 1;
        let request = json!({"jsonrpc": "2.0", "id": self.last, "method": method, "params": params});
        self.text(&request.to_string());
    }

    pub fn receive(&mut self) -> Value {
        serde_json::from_str(self.socket.read().unwrap().to_text().unwrap()).unwrap()
    }

    pub fn call(&mut self, method: &str, params: Value) -> Value {
        self.send(method, params);
        self.receive()
    }

    pub fn ok(&mut self, method: &str, params: Value) -> Value {
        let mut answer = self.call(method, params);
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].take()
    }

    /// The error of a call that the server must refuse, as text.
    pub fn refused(&mut self, method: &str, params: Value) -> String {
        let answer = self.call(method, params);
        let error = answer.get("error");
        assert!(error.is_some(), "{method} was accepted: {answer}");
        error.unwrap().to_string()
    }

    /// The code of the frame that ends the connection; `None` when the server answers instead.
    pub fn close_code(&mut self) -> Option<u16> {
        match self.socket.read().unwrap() {
            Message::Close(Some(frame)) => Some(frame.code.into()),
            _ => None,
        }
    }
}

fn credentials(nas: &Nas) -> Value {
    json!({"mechanism": "API_KEY_PLAIN", "username": nas.server.api_user(), "api_key": nas.server.api_key()})
}

/// Where the server talks without TLS; from loopback that does no harm to the key.
fn plain(nas: &Nas) -> SocketAddr {
    nas.server.plain.unwrap()
}

/// The standard library cannot choose its own end's address.
#[expect(unsafe_code, reason = "bind before connect has no safe function")]
fn connect_from(own: Ipv4Addr, to: SocketAddr) -> TcpStream {
    let SocketAddr::V4(to) = to else { unreachable!() };
    let length = libc::socklen_t::try_from(size_of::<libc::sockaddr_in>()).unwrap();
    // SAFETY: a new descriptor that nothing else owns; both addresses live through their calls.
    unsafe {
        let socket = libc::socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0);
        assert!(socket >= 0, "{}", std::io::Error::last_os_error());
        let stream = TcpStream::from(OwnedFd::from_raw_fd(socket));
        let own = sockaddr(SocketAddrV4::new(own, 0));
        let to = sockaddr(to);
        for done in [
            libc::bind(socket, (&raw const own).cast(), length),
            libc::connect(socket, (&raw const to).cast(), length),
        ] {
            assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
        }
        stream
    }
}

fn sockaddr(address: SocketAddrV4) -> libc::sockaddr_in {
    libc::sockaddr_in {
        sin_family: libc::sa_family_t::try_from(libc::AF_INET).unwrap(),
        sin_port: address.port().to_be(),
        sin_addr: libc::in_addr {
            s_addr: u32::from(*address.ip()).to_be(),
        },
        sin_zero: [0; 8],
    }
}
