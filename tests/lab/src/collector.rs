//! A real OpenTelemetry Collector on loopback. It receives traces by OTLP over HTTP and writes them to a file.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use crate::apiserver::{Program, free_ports};
use crate::error::{Error, Result};
use crate::parts::Part;
use crate::paths::{Paths, write};
use crate::wait::{Seen, Wait};

/// Maximum time for the collector to start, and for a span to arrive.
const TURN: Duration = Duration::from_mins(3);

/// A running collector. Dropping the value stops it.
#[derive(Debug)]
pub struct Collector {
    program: Program,
    /// `host:port`, as both programs expect it.
    pub endpoint: String,
    received: PathBuf,
}

/// A span that the collector received.
#[derive(Clone, Debug, Default)]
pub struct Span {
    /// Its name.
    pub name: String,
    /// Its identifier.
    pub id: String,
    /// The identifier of its parent; empty for a root.
    pub parent: String,
    /// Its attributes, as text.
    pub attributes: BTreeMap<String, String>,
    /// The attributes of the program that sent it.
    pub resource: BTreeMap<String, String>,
    /// `STATUS_CODE_ERROR` is 2.
    pub status: u64,
}

impl Span {
    /// An attribute; empty if it is missing.
    pub fn attribute(&self, key: &str) -> &str {
        self.attributes.get(key).map_or("", String::as_str)
    }

    /// An attribute of the program that sent it; empty if it is missing.
    pub fn resource(&self, key: &str) -> &str {
        self.resource.get(key).map_or("", String::as_str)
    }
}

impl Collector {
    /// Starts a collector with its files in `directory`, and waits until it listens.
    pub fn start(paths: &Paths, directory: &Path) -> Result<Self> {
        let [port] = free_ports()?;
        let endpoint = format!("127.0.0.1:{port}");
        let received = directory.join("traces.json");
        let config = json!({
            "receivers": {"otlp": {"protocols": {"http": {"endpoint": endpoint}}}},
            "exporters": {"file": {"path": received}},
            "service": {
                "pipelines": {"traces": {"receivers": ["otlp"], "exporters": ["file"]}},
            },
        });
        let file = directory.join("collector.yaml");
        write(&file, config.to_string())?;
        let program = Program::start(
            directory,
            &Part::Collector.file(paths, "collector")?,
            &[format!("--config=file:{}", file.display())],
            &[],
        )?;
        let mut this = Self { program, endpoint, received };
        Wait::new("the collector to listen", TURN).log(this.program.log()).until(|| {
            this.program.must_run()?;
            let seen = TcpStream::connect(&this.endpoint);
            Ok(Seen::done_if(seen.is_ok(), format!("{seen:?}")))
        })?;
        Ok(this)
    }

    /// The spans that have arrived.
    pub fn spans(&self) -> Result<Vec<Span>> {
        let text = fs::read_to_string(&self.received).unwrap_or_default();
        // The collector may be at work on the last line.
        let complete = text.rsplit_once('\n').map_or("", |(complete, _)| complete);
        let mut spans = Vec::new();
        for line in complete.lines() {
            let batch: Value = serde_json::from_str(line)
                .map_err(|error| Error::State(format!("{}: {error}", self.received.display())))?;
            for resource in list(&batch, "/resourceSpans") {
                let sender = attributes(resource, "/resource/attributes");
                let scopes = list(resource, "/scopeSpans");
                let received = scopes.iter().flat_map(|scope| list(scope, "/spans"));
                spans.extend(received.map(|span| Span::of(span, &sender)));
            }
        }
        Ok(spans)
    }

    /// Waits until spans match, and returns all that have arrived.
    pub fn until(&mut self, what: &str, wanted: impl Fn(&[Span]) -> bool) -> Result<Vec<Span>> {
        let log = self.program.log().to_owned();
        Wait::new(what, TURN).log(log).until(|| {
            self.program.must_run()?;
            let spans = self.spans()?;
            if wanted(&spans) {
                return Ok(Seen::Done(spans));
            }
            let mut names = BTreeMap::<_, usize>::new();
            for span in &spans {
                *names.entry(&span.name).or_default() += 1;
            }
            Ok(Seen::NotYet(format!("{names:?}")))
        })
    }
}

impl Span {
    /// From the JSON encoding of OTLP.
    fn of(span: &Value, resource: &BTreeMap<String, String>) -> Self {
        let text = |key: &str| span.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        Self {
            name: text("name"),
            id: text("spanId"),
            parent: text("parentSpanId"),
            attributes: attributes(span, "/attributes"),
            resource: resource.clone(),
            status: span.pointer("/status/code").and_then(Value::as_u64).unwrap_or_default(),
        }
    }
}

fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn attributes(value: &Value, pointer: &str) -> BTreeMap<String, String> {
    let pair = |one: &Value| {
        let key = one.get("key")?.as_str()?.to_owned();
        // An object with one entry, named after the type.
        let value = one.get("value")?.as_object()?.values().next()?;
        Some((key, value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
    };
    list(value, pointer).iter().filter_map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_has_its_attributes_and_those_of_its_sender() {
        let sender =
            json!({"attributes": [{"key": "service.name", "value": {"stringValue": "x"}}]});
        let resource = attributes(&sender, "/attributes");
        let span = json!({
            "name": "pass", "spanId": "2", "parentSpanId": "1", "status": {"code": 2},
            "attributes": [
                {"key": "busy_ns", "value": {"intValue": "7"}},
                {"key": "flag", "value": {"boolValue": true}},
            ],
        });
        let span = Span::of(&span, &resource);
        assert_eq!((span.name.as_str(), span.parent.as_str(), span.status), ("pass", "1", 2));
        assert_eq!((span.attribute("busy_ns"), span.attribute("flag")), ("7", "true"));
        assert_eq!((span.resource("service.name"), span.attribute("other")), ("x", ""));
    }
}
