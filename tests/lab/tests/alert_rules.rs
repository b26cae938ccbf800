//! The alert rules through Prometheus' own checker: their syntax, and series for which each must fire or must not.

use lab::command::Run;
use lab::monitoring::rules;
use lab::paths::{Paths, write};

/// Series and the alerts that they must cause. `RULES` stands for the path of the rules.
const CASES: &str = include_str!("../alerts.test.yaml");

#[test]
fn promtool_accepts_the_rules() {
    let paths = Paths::from_env().unwrap();
    Run::new("promtool").args(["check", "rules"]).arg(rules(&paths).unwrap()).ok().unwrap();
}

#[test]
fn each_alert_fires_for_its_series_only() {
    let paths = Paths::from_env().unwrap();
    let rules = rules(&paths).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("alerts.test.yaml");
    write(&file, CASES.replace("RULES", &rules.display().to_string())).unwrap();
    Run::new("promtool").args(["test", "rules"]).arg(&file).ok().unwrap();
    // Every alert has a case.
    let text = std::fs::read_to_string(&rules).unwrap();
    let alerts = text.lines().filter_map(|line| line.trim_start().strip_prefix("- alert: "));
    for alert in alerts {
        assert!(CASES.contains(&format!("alertname: {alert}\n")), "no case has {alert}");
    }
}
