//! The little of HTTP that stands before the WebSocket (truenas-api.md §1.1).

use std::io;
use std::time::SystemTime;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::versions::{Line, Version};

const LONGEST_HEAD: usize = 16 * 1024;

pub struct Head {
    method: String,
    path: String,
    upgrade: bool,
    key: Option<String>,
}

/// What the connection becomes.
pub enum Route {
    Socket { line: Line, accept: String },
    Answer(String),
}

/// Reads the head of a request, and what came behind it.
pub async fn read<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<(Head, Vec<u8>)> {
    let mut read = Vec::new();
    loop {
        if let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") {
            let rest = read.split_off(end + 4);
            return Ok((parse(&String::from_utf8_lossy(&read)), rest));
        }
        let mut part = [0; 2048];
        let n = stream.read(&mut part).await?;
        if n == 0 || read.len() > LONGEST_HEAD {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        read.extend(part.iter().take(n));
    }
}

fn parse(head: &str) -> Head {
    let mut lines = head.split("\r\n");
    let mut start = lines.next().unwrap_or_default().split(' ');
    let (method, path) = (start.next().unwrap_or_default(), start.next().unwrap_or_default());
    let headers: Vec<(String, &str)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim()))
        .collect();
    let header = |name: &str| headers.iter().find(|(n, _)| n == name).map(|(_, value)| *value);
    Head {
        method: method.to_owned(),
        path: path.split('?').next().unwrap_or_default().to_owned(),
        upgrade: header("upgrade").is_some_and(|value| value.eq_ignore_ascii_case("websocket")),
        key: header("sec-websocket-key").map(str::to_owned),
    }
}

pub fn route(head: &Head, version: &Version, down: bool) -> Route {
    if down {
        return Route::Answer(response(
            "502 Bad Gateway",
            "text/html",
            "<h1>502 Bad Gateway</h1>",
        ));
    }
    let json = |body: String| Route::Answer(response("200 OK", "application/json", &body));
    if head.method != "GET" {
        return Route::Answer(response("405 Method Not Allowed", "text/plain", ""));
    }
    match head.path.as_str() {
        "/api/versions" => json(serde_json::json!(version.directories()).to_string()),
        "/api/boot_id" if version.line >= Line::V25_10 => {
            json("\"4b5a1f9e-7c1d-4f6a-8a55-0f2e9b0c7d31\"".into())
        }
        path => match path
            .strip_prefix("/api/")
            .and_then(|directory| version.pinned(directory))
        {
            Some(line) => socket(head, line),
            None => Route::Answer(response("404 Not Found", "text/plain", "404: Not Found")),
        },
    }
}

fn socket(head: &Head, line: Line) -> Route {
    match head.key.as_deref().filter(|_| head.upgrade) {
        Some(key) => Route::Socket {
            line,
            accept: derive_accept_key(key.as_bytes()),
        },
        None => {
            let body = "No WebSocket UPGRADE hdr: None\n Can \"Upgrade\" only to \"WebSocket\".";
            Route::Answer(response("400 Bad Request", "text/plain", body))
        }
    }
}

fn response(status: &str, kind: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\nServer: nginx\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{body}"
    )
}

pub async fn write<S: AsyncWrite + Unpin>(stream: &mut S, text: &str) -> io::Result<()> {
    stream.write_all(text.as_bytes()).await?;
    stream.flush().await
}

/// nginx, which stands in front, dates every response by the server's clock (ngx_http_header_filter_module).
pub fn switching(accept: &str, now: SystemTime) -> String {
    let date = httpdate(now);
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nServer: nginx\r\nDate: {date}\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    )
}

/// As RFC 9110 (5.6.7) wants it: `Sun, 06 Nov 1994 08:49:37 GMT`.
fn httpdate(now: SystemTime) -> String {
    let seconds = now
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let (days, clock) = (seconds / 86_400, seconds % 86_400);
    let weekday = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"]
        .into_iter()
        .cycle()
        .nth((days % 7) as usize);
    let (year, month, day) = civil(days);
    format!(
        "{}, {day:02} {} {year} {:02}:{:02}:{:02} GMT",
        weekday.unwrap_or_default(),
        MONTHS.get(month).copied().unwrap_or_default(),
        clock / 3600,
        clock / 60 % 60,
        clock % 60
    )
}

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// Year, month from 0 and day of the month, of days since 1970.
fn civil(mut days: u64) -> (u64, usize, u64) {
    let is_leap = |year: u64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let mut year = 1970;
    while days >= 365 + u64::from(is_leap(year)) {
        days -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let february = 28 + u64::from(is_leap(year));
    let lengths = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    for length in lengths {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    (year, month, days + 1)
}
