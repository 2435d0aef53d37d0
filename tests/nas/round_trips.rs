//! Round trips, counted from the simulator's traffic: a flight begins with a request that is sent when no flight
//! is open, or after an answer to a request of the current flight was received.

use std::collections::HashSet;

use serde_json::Value;

use crate::support::Nas;

fn counts(message: &Value) -> bool {
    let method = message["method"].as_str().unwrap_or_default();
    !method.starts_with("auth.") && method != "core.set_options"
}

fn flights(traffic: &[Value]) -> usize {
    let mut count = 0;
    let mut open: HashSet<String> = HashSet::new();
    let mut answered = true;
    for line in traffic {
        let message = &line["msg"];
        let id = format!("{} {}", line["conn"], message["id"]);
        if line["dir"] == "send" {
            if counts(message) {
                if answered {
                    count += 1;
                    open.clear();
                    answered = false;
                }
                open.insert(id);
            }
        } else if open.contains(&id) {
            answered = true;
        }
    }
    count
}

pub fn during<T>(nas: &Nas, work: impl FnOnce() -> T) -> (T, usize) {
    let before = nas.server.traffic_count();
    let result = work();
    (result, flights(&nas.server.traffic_after(before)))
}
