//! The alert rules: each uses metrics that exist, and tells whoever is alerted what happened and where to read on.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use super::{Metric, file, of_engine, of_operator};

/// The rules, which the chart installs as a `PrometheusRule`.
const RULES: &str = "charts/xmpp-federation-operator/files/alerts.yaml";
/// The suffixes of the series of a histogram.
const HISTOGRAM: [&str; 3] = ["_bucket", "_count", "_sum"];

fn rules() -> Vec<Value> {
    let text = fs::read_to_string(file(RULES)).unwrap();
    let parsed: Value = serde_saphyr::from_str(&text).unwrap();
    let groups = parsed["groups"].as_array().unwrap();
    groups.iter().flat_map(|group| group["rules"].as_array().unwrap().clone()).collect()
}

fn series() -> BTreeSet<String> {
    let of = |Metric { name, kind, .. }: Metric| match kind.as_str() {
        "histogram" => HISTOGRAM.map(|suffix| format!("{name}{suffix}")).to_vec(),
        _ => vec![name],
    };
    of_operator().into_iter().chain(of_engine()).flat_map(of).collect()
}

/// The words of an expression that are metrics of this product.
fn metrics_of(expression: &str) -> Vec<&str> {
    let words = expression.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.filter(|word| word.starts_with("xmpp_federation_")).collect()
}

#[test]
fn every_alert_uses_metrics_that_exist() {
    let series = series();
    let rules = rules();
    assert!(rules.len() > 10);
    for rule in &rules {
        let used = metrics_of(rule["expr"].as_str().unwrap());
        assert!(!used.is_empty(), "{rule}");
        for metric in used {
            assert!(series.contains(metric), "{metric} of {} does not exist", rule["alert"]);
        }
    }
}

#[test]
fn every_alert_says_what_happened_and_what_to_read() {
    let mut names = BTreeSet::new();
    for rule in rules() {
        let name = rule["alert"].as_str().unwrap().to_owned();
        let severity = rule["labels"]["severity"].as_str().unwrap();
        assert!(["critical", "warning", "info"].contains(&severity), "{name}: {severity}");
        for annotation in ["summary", "description", "runbook_url"] {
            let text = rule["annotations"][annotation].as_str().unwrap_or_default();
            assert!(!text.is_empty(), "{name} has no {annotation}");
        }
        // The page and the place on it exist.
        let url = rule["annotations"]["runbook_url"].as_str().unwrap();
        let (page, anchor) = url.rsplit('/').next().unwrap().split_once('#').unwrap();
        let text = fs::read_to_string(file(&format!("docs/{page}.md"))).unwrap();
        let titles = text.lines().filter_map(|line| line.strip_prefix("## "));
        let anchors: Vec<String> =
            titles.map(|title| title.to_lowercase().replace(' ', "-")).collect();
        assert!(anchors.iter().any(|there| there == anchor), "{name}: {url}: {anchors:?}");
        assert!(names.insert(name), "two alerts have this name: {rule}");
    }
}
