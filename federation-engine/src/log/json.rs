//! One JSON object for each line, without nesting: the fields of the event, and those of the spans around it, beside time,
//! level, message and target. A field of the event replaces one of a span.

use std::borrow::Cow;
use std::fmt;

use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::registry::{LookupSpan, Scope};

/// The format.
#[derive(Clone, Debug)]
pub(super) struct Json {
    /// Namespace and name of the federation that the process serves; a field of each line.
    pub(super) federation: Option<String>,
}

impl<S, N> FormatEvent<S, N> for Json
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut time = String::new();
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        let mut line = Line::default();
        line.set("timestamp".into(), time.into());
        line.set("level".into(), event.metadata().level().as_str().into());
        // Its place is before all other fields of the event.
        line.set("message".into(), Value::Null);
        if let Some(federation) = &self.federation {
            line.set("federation".into(), federation.as_str().into());
        }
        for span in context.event_scope().into_iter().flat_map(Scope::from_root) {
            let extensions = span.extensions();
            let fields = extensions.get::<FormattedFields<N>>();
            let fields = fields.and_then(|fields| serde_json::from_str(fields).ok());
            let Some(Value::Object(fields)) = fields else { continue };
            for (name, value) in fields {
                line.set(name.into(), value);
            }
        }
        event.record(&mut line);
        line.set("target".into(), event.metadata().target().into());
        line.write(&mut writer)
    }
}

/// The fields of a line, in the order in which they were set first.
#[derive(Debug, Default)]
struct Line(Vec<(Cow<'static, str>, Value)>);

impl Line {
    fn set(&mut self, name: Cow<'static, str>, value: Value) {
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name, value)),
        }
    }

    fn field(&mut self, field: &Field, value: Value) {
        let name = field.name();
        self.set(name.strip_prefix("r#").unwrap_or(name).into(), value);
    }

    fn write(&self, writer: &mut Writer<'_>) -> fmt::Result {
        let mut separator = '{';
        for (name, value) in self.0.iter().filter(|(_, value)| !value.is_null()) {
            write!(writer, "{separator}{}:{value}", Value::from(name.as_ref()))?;
            separator = ',';
        }
        writeln!(writer, "}}")
    }
}

impl Visit for Line {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.field(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.field(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.field(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.field(field, value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.field(field, value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.field(field, format!("{value:?}").into());
    }
}
