//! The Grafana dashboard: a row for each program, a panel for each metric.

use serde_json::{Value, json};

use super::Metric;

/// Panels beside each other, and their size in Grafana's grid of 24 columns.
const COLUMNS: usize = 3;
const WIDTH: usize = 8;
const HEIGHT: usize = 7;

/// The dashboard, as JSON.
pub(super) fn of(programs: &[(&str, Vec<Metric>)]) -> String {
    let mut panels = Vec::new();
    let mut y = 0;
    for (program, metrics) in programs {
        panels.push(json!({
            "id": panels.len() + 1,
            "type": "row",
            "title": program,
            "collapsed": false,
            "gridPos": {"x": 0, "y": y, "w": COLUMNS * WIDTH, "h": 1},
            "panels": [],
        }));
        y += 1;
        for (place, metric) in metrics.iter().enumerate() {
            let (column, line) = (place % COLUMNS, place / COLUMNS);
            let position = json!({
                "x": column * WIDTH,
                "y": y + line * HEIGHT,
                "w": WIDTH,
                "h": HEIGHT,
            });
            panels.push(panel(panels.len() + 1, metric, &position));
        }
        y += metrics.len().div_ceil(COLUMNS) * HEIGHT;
    }
    let dashboard = json!({
        "uid": "xmpp-federation",
        "title": "XMPP federation",
        "tags": ["xmpp"],
        "schemaVersion": 38,
        "editable": true,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": [{
            "name": "datasource",
            "type": "datasource",
            "query": "prometheus",
            "label": "Data source",
        }]},
        "panels": panels,
    });
    let mut text = serde_json::to_string_pretty(&dashboard).unwrap();
    text.push('\n');
    text
}

fn panel(id: usize, metric: &Metric, position: &Value) -> Value {
    let source = json!({"type": "prometheus", "uid": "${datasource}"});
    json!({
        "id": id,
        "type": "timeseries",
        "title": metric.help,
        "description": metric.name,
        "datasource": source,
        "gridPos": position,
        "fieldConfig": {"defaults": {"unit": unit(metric), "min": 0}, "overrides": []},
        "targets": [{"refId": "A", "datasource": source, "expr": query(metric)}],
    })
}

/// The query of a metric: the rate of a counter, the 90th percentile of a histogram, otherwise the value.
fn query(Metric { name, kind, .. }: &Metric) -> String {
    match kind.as_str() {
        "counter" => format!("sum without (instance, pod) (rate({name}[5m]))"),
        "histogram" => format!("histogram_quantile(0.9, sum by (le) (rate({name}_bucket[5m])))"),
        _ => name.clone(),
    }
}

fn unit(Metric { name, kind, .. }: &Metric) -> &'static str {
    match kind.as_str() {
        "counter" => "cps",
        _ if name.ends_with("_bytes") => "bytes",
        _ if name.ends_with("_timestamp_seconds") => "dateTimeAsIso",
        _ if name.ends_with("_seconds") => "s",
        _ => "short",
    }
}
