//! What is in monitoring/ against the types of Grafana, and against the code with which Zabbix looks at what it imports.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::engines::folder;
use crate::monitoring::root;

/// Text of a file, and what it becomes when somebody errs.
type Slip = (&'static str, &'static str);

fn text(output: &[u8]) -> String {
    String::from_utf8_lossy(output).into_owned()
}

/// The folder with what checks, which is fetched when it is not there.
fn validators(name: &str) -> PathBuf {
    let output = Command::new(root().join("tools/validators"))
        .arg(name)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    PathBuf::from(text(&output.stdout).trim())
}

/// Ends, whatever the program does.
fn run(program: &str, arguments: &[&Path]) -> Output {
    let mut command = Command::new("timeout");
    command.args(["--kill-after=5", "50", program]).args(arguments);
    command.output().unwrap()
}

fn with(slip: &Slip, text: &str) -> String {
    let (right, wrong) = slip;
    assert!(text.contains(right), "{right}");
    text.replacen(right, wrong, 1)
}

const GRAFANAS: [&str; 2] = ["oldest", "newest"];

const DASHBOARD_SLIPS: [Slip; 14] = [
    ("\"timezone\":", "\"timezon\":"),
    ("\"version\": 1,", "\"version\": \"1\","),
    ("\"graphTooltip\": 1", "\"graphTooltip\": 7"),
    ("\"includeAll\":", "\"includAll\":"),
    ("\"type\": \"stat\"", "\"type\": \"stats\""),
    ("\"gridPos\":", "\"gridPosition\":"),
    ("\"unit\":", "\"units\":"),
    ("\"mode\": \"absolute\"", "\"mode\": \"absolut\""),
    ("\"textMode\":", "\"textMod\":"),
    ("\"colorMode\": \"background\"", "\"colorMode\": \"backgrounds\""),
    ("\"fillOpacity\": 10", "\"fillOpacity\": \"10\""),
    ("\"showPoints\": \"never\"", "\"showPoints\": \"nver\""),
    ("\"axisPlacement\": \"left\"", "\"axisPlacement\": \"west\""),
    ("\"expr\":", "\"expression\":"),
];

/// The right one, and those with a slip, for all versions of Grafana: their types are read once.
fn dashboards(folder: &Path, types: &Path) {
    let tests = root().join("tests/monitoring");
    fs::copy(tests.join("tsconfig.json"), folder.join("tsconfig.json")).unwrap();
    let right = fs::read_to_string(root().join("monitoring/grafana/truenas.json")).unwrap();
    for grafana in GRAFANAS {
        let here = folder.join(grafana);
        fs::create_dir(&here).unwrap();
        symlink(
            types.join(grafana).join("node_modules"),
            here.join("node_modules"),
        )
        .unwrap();
        fs::copy(tests.join("board.ts"), here.join("board.ts")).unwrap();
        let write = |name: &str, dashboard: &str| {
            let text = format!(
                "import type {{ Board }} from './board';\nexport const board: Board = {};\n",
                dashboard.trim_end()
            );
            fs::write(here.join(name), text).unwrap();
        };
        write("right.ts", &right);
        for (number, slip) in DASHBOARD_SLIPS.iter().enumerate() {
            write(&format!("slip{number}.ts"), &with(slip, &right));
        }
    }
}

#[test]
fn the_dashboard_is_of_grafanas_type_and_slips_are_not() {
    let types = validators("grafana");
    let folder = folder("dashboards");
    dashboards(&folder, &types);
    let compiler = types.join("node_modules/typescript/bin/tsc");
    let output = run("node", &[&compiler, Path::new("-p"), &folder]);
    let said = text(&output.stdout) + &text(&output.stderr);
    let is_about = |line: &str, name: &str| line.contains(&format!("{name}.ts("));
    let unexpected: Vec<&str> = said
        .lines()
        .filter(|line| line.contains("error") && !line.contains("/slip"))
        .collect();
    assert!(unexpected.is_empty(), "{}", unexpected.join("\n"));
    for grafana in GRAFANAS {
        for (number, slip) in DASHBOARD_SLIPS.iter().enumerate() {
            let name = format!("{grafana}/slip{number}");
            assert!(said.lines().any(|line| is_about(line, &name)), "{slip:?}: {said}");
        }
    }
}

const TEMPLATE_SLIPS: [Slip; 9] = [
    ("version: '7.0'", "version: '7.9'"),
    ("units: B", "unit: B"),
    ("type: HTTP_AGENT", "type: HTTP"),
    ("priority: HIGH", "priority: DIRE"),
    ("uuid: 7c2cb727f85b492d", "uuid: 7c2cb727f85b192d"),
    ("key: truenas.get", "key: 'truenas.get['"),
    (",10m)=1", ",10 m)=1"),
    ("- truenas_up\n", "- 'truenas_up{'\n"),
    ("- sum\n", "- total\n"),
];

#[test]
fn zabbix_would_import_the_template_and_none_with_a_slip() {
    let frontend = validators("zabbix").join("usr/share/zabbix");
    let check = root().join("tests/monitoring/import.php");
    let file = folder("templates").join("template.yaml");
    let import = |template: &str| {
        fs::write(&file, template).unwrap();
        run("php", &[&check, &frontend, &file])
    };
    let right = fs::read_to_string(root().join("monitoring/zabbix/truenas.yaml")).unwrap();
    let output = import(&right);
    let said = text(&output.stdout);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(said.starts_with("Zabbix 7.0."), "{said}");
    for slip in &TEMPLATE_SLIPS {
        let output = import(&with(slip, &right));
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{slip:?}: {said}");
        assert!(said.starts_with("Invalid "), "{slip:?}: {said}");
    }
}
