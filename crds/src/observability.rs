//! What an engine logs, and where it exports traces to.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::target::RouteTarget;

/// Log level and traces of the engine. Changes take effect without a restart.
#[derive(Clone, Debug, Default, Eq, JsonSchema, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Observability {
    /// Least severe level that the engine logs. Default: Info.
    #[serde(default, skip_serializing_if = "crate::is_default")]
    pub log_level: LogLevel,
    /// Export of traces. If absent, the engine records none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traces: Option<Traces>,
}

/// Level of log lines.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, JsonSchema, PartialEq, Deserialize, Serialize)]
pub enum LogLevel {
    /// Only what needs an administrator.
    Error,
    /// Also what may need one.
    Warn,
    /// Also each stream that opens, is refused or ends.
    #[default]
    Info,
    /// Also single steps and refused stanzas.
    Debug,
    /// Everything.
    Trace,
}

impl LogLevel {
    /// The level as a filter directive spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// Export of traces by OTLP over HTTP.
#[derive(Clone, Debug, Eq, JsonSchema, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Traces {
    /// `host:port` of an OpenTelemetry collector that receives OTLP over HTTP without TLS, usually at port 4318.
    pub collector: RouteTarget,
    /// Percentage of traces that are recorded. Default: 100.
    #[serde(default = "all", skip_serializing_if = "is_all")]
    #[schemars(range(min = 1, max = 100))]
    pub sample_percent: u8,
}

const fn all() -> u8 {
    100
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_all(percent: &u8) -> bool {
    *percent == all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_not_written_and_read_back() {
        assert_eq!(serde_json::to_string(&Observability::default()).unwrap(), "{}");
        let text = r#"{"logLevel":"Debug","traces":{"collector":"otel.monitoring.svc:4318"}}"#;
        let read: Observability = serde_json::from_str(text).unwrap();
        assert_eq!(read.traces.as_ref().map(|traces| traces.sample_percent), Some(100));
        assert_eq!(serde_json::to_string(&read).unwrap(), text);
        assert!(
            serde_json::from_str::<Observability>(r#"{"traces":{"collector":"otel"}}"#).is_err()
        );
    }
}
