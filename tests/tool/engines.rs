//! What is in monitoring/ is read by the programs that it is for, as far as Debian has them.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::metrics::world;
use crate::monitoring::{filled_in, questions, root};

/// Much longer than it takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
const AGAIN: Duration = Duration::from_millis(200);

pub fn folder(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.{}", std::process::id()));
    let _left_by_an_earlier_process_of_this_id = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn who(question: &str) -> String {
    let output = Command::new("id").arg(question).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn icinga_takes_the_command_and_its_example() {
    let folder = folder("icinga");
    let file = root().join("monitoring/icinga/truenas.conf");
    let text = fs::read_to_string(&file).unwrap();
    let example = text.split(" *     ").skip(2).collect::<String>();
    let example = example
        .split(" */")
        .next()
        .unwrap()
        .replace("command_endpoint = host.name\n", "\n");
    assert!(example.starts_with("apply Service"), "{example}");
    let config = format!(
        "const NodeName = \"pve1\"\ninclude <itl>\ninclude \"{}\"\nobject Host \"pve1\" {{\n  check_command = \
         \"dummy\"\n  vars.pvetruenas = true\n}}\n{example}",
        file.display()
    );
    let main = folder.join("main.conf");
    fs::write(&main, config).unwrap();
    // It would become nagios, who may not read the sources.
    let output = Command::new("icinga2")
        .env("ICINGA2_USER", who("-un"))
        .env("ICINGA2_GROUP", who("-gn"))
        .args(["daemon", "-C", "-c"])
        .arg(&main)
        .arg(format!("-DCacheDir={}", folder.display()))
        .arg(format!("-DDataDir={}", folder.display()))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}");
    assert!(said.contains("Instantiated 1 Service."), "{said}");
}

/// Serves a text as an exporter does.
fn exporter() -> (SocketAddr, Arc<Mutex<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let text = Arc::new(Mutex::new(String::new()));
    let (address, served) = (listener.local_addr().unwrap(), Arc::clone(&text));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _whatever_is_asked = stream.read(&mut [0; 4096]);
            let body = served.lock().unwrap().clone();
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            let _it_may_have_gone = stream.write_all((head + &body).as_bytes());
        }
    });
    (address, text)
}

struct Prometheus {
    child: Child,
    address: SocketAddr,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ended = self.child.kill().and_then(|()| self.child.wait());
    }
}

impl Prometheus {
    fn start(target: SocketAddr) -> Self {
        let folder = folder("prometheus");
        let rules = root().join("monitoring/prometheus/truenas.rules.yml");
        let config = format!(
            "global:\n  scrape_interval: 1s\n  evaluation_interval: 1s\nrule_files: ['{}']\nscrape_configs:\n- job_name: truenas\n  \
             static_configs:\n  - targets: ['{target}']\n",
            rules.display()
        );
        let file = folder.join("prometheus.yml");
        fs::write(&file, config).unwrap();
        // Prometheus does not tell which port it got.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .stdout(Stdio::null())
            .stderr(fs::File::create(folder.join("log")).unwrap())
            .spawn()
            .unwrap();
        Self { child, address }
    }

    /// `None` while it does not answer.
    fn get(&self, path: &str) -> Option<Value> {
        let mut stream = TcpStream::connect(self.address).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(stream, "GET {path} HTTP/1.0\r\n\r\n").ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        serde_json::from_str(text.split_once("\r\n\r\n")?.1).ok()
    }

    fn query(&self, expression: &str) -> Option<Value> {
        let escaped: String = expression.bytes().map(|byte| format!("%{byte:02x}")).collect();
        self.get(&format!("/api/v1/query?query={escaped}"))
    }

    fn series(&self, expression: &str) -> Vec<Value> {
        let answer = self.query(expression);
        let series = answer.and_then(|answer| answer["data"]["result"].as_array().cloned());
        series.unwrap_or_default()
    }

    fn wait_for<T>(&self, what: &str, look: impl Fn(&Self) -> Option<T>) -> T {
        let started = Instant::now();
        loop {
            if let Some(found) = look(self) {
                return found;
            }
            assert!(started.elapsed() < PATIENCE, "{what} did not come");
            std::thread::sleep(AGAIN);
        }
    }
}

/// The names that the text gives a type.
fn families(text: &str) -> BTreeSet<String> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    lines
        .map(|line| line.split(' ').next().unwrap().to_owned())
        .collect()
}

#[test]
fn a_prometheus_collects_every_figure_answers_the_dashboard_and_raises_an_alert() {
    let (mut world, _portal) = world();
    let told = world.run(&["metrics"]).stdout;
    let (target, text) = exporter();
    text.lock().unwrap().clone_from(&told);
    let prometheus = Prometheus::start(target);
    prometheus.wait_for("a third look", |prometheus| {
        let looks = prometheus.series("count_over_time(truenas_up{storage=\"from\"}[1m]) >= 3");
        (!looks.is_empty()).then_some(())
    });
    let collected = prometheus.series("count by (__name__) ({job=\"truenas\"})");
    let collected: BTreeSet<String> = collected
        .iter()
        .map(|series| series["metric"]["__name__"].as_str().unwrap().to_owned())
        .collect();
    for family in families(&told) {
        let has = collected.contains(&family) || collected.contains(&format!("{family}_count"));
        let is_told = told.lines().any(|line| {
            line.starts_with(&format!("{family}{{")) || line.starts_with(&format!("{family}_count{{"))
        });
        assert!(has || !is_told, "{family} is not collected: {collected:?}");
    }
    let mut with_values = 0;
    for question in questions() {
        let answer = prometheus.query(&filled_in(&question)).unwrap();
        assert_eq!(answer["status"], "success", "{question}: {answer}");
        with_values += usize::from(
            answer["data"]["result"]
                .as_array()
                .is_some_and(|result| !result.is_empty()),
        );
    }
    assert!(
        with_values > 10,
        "only {with_values} questions of the dashboard have values"
    );

    world.set("from", "api_port", "1");
    text.lock().unwrap().clone_from(&world.run(&["metrics"]).stdout);
    let alert = prometheus.wait_for("the alert", |prometheus| {
        let alerts = prometheus.get("/api/v1/alerts")?;
        let all = alerts["data"]["alerts"].as_array()?.clone();
        all.into_iter()
            .find(|alert| alert["labels"]["alertname"] == "TrueNASDown")
    });
    assert_eq!(
        (&alert["state"], &alert["labels"]["storage"]),
        (&"pending".into(), &"from".into()),
        "{alert}"
    );
}
