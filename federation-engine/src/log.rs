//! The log of both programs: lines on standard error, in colour on a terminal only. `XFED_LOG` filters them (the syntax of
//! `RUST_LOG`); without it, the filter can be changed while the program runs.

mod json;

use std::env::{self, VarError};
use std::ffi::OsStr;
use std::io::IsTerminal;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use crds::observability::{LogLevel, Observability};
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::filter::{FilterExt, ParseError};
use tracing_subscriber::fmt::format::JsonFields;
use tracing_subscriber::layer::{Context, Filter, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, reload};

use self::json::Json;
use crate::args::LogFormat;
use crate::observe::limiter::Limiter;
use crate::traces::{Export, Service, TracesError};

/// Environment variable with the filter.
pub const FILTER_VARIABLE: &str = "XFED_LOG";
/// Environment variable with namespace and name of the federation that the process serves: a field of each JSON line, and
/// an attribute of traces.
pub const FEDERATION_VARIABLE: &str = "XFED_FEDERATION";

/// The differences between the logs of the two programs.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    /// Its name in traces.
    pub name: &'static str,
    /// Filter when none is given.
    pub default_filter: &'static str,
    /// Directives that apply whatever the filter is.
    pub fixed_filter: Option<&'static str>,
    /// First part of the targets whose lines are not limited. `None`: no line is limited.
    pub own_target: Option<&'static str>,
}

/// The engine.
pub const ENGINE: Program = Program {
    name: "federation-engine",
    // The library that validates DNS answers prints whole answers that it rejects, once for each lookup that a remote
    // server causes. The engine's own lines name the answer and the peer.
    default_filter: "info,hickory_net::dnssec=off",
    fixed_filter: None,
    // Code that can cause many of them limits them by their source (`crate::observe`).
    own_target: Some("federation_engine"),
};

/// Lines of libraries that were omitted and are not in the metric yet.
static OMITTED: AtomicU64 = AtomicU64::new(0);

/// Lines of libraries that were omitted since the last call.
pub(crate) fn take_omitted() -> u64 {
    OMITTED.swap(0, Ordering::Relaxed)
}

/// Limits the lines of libraries per module. Remote servers cause them, for example by DNS records with a broken
/// signature, and a library does not know the source.
struct Bounded {
    own_target: Option<&'static str>,
    limiter: Mutex<Limiter<&'static str>>,
    /// Counts the lines that are left out.
    omitted: &'static AtomicU64,
}

impl Bounded {
    fn admit(&self, metadata: &'static Metadata<'static>, now: Instant) -> bool {
        if self.own_target.is_none_or(|own| metadata.target().starts_with(own)) {
            return true;
        }
        let mut limiter = self.limiter.lock().unwrap_or_else(PoisonError::into_inner);
        let admitted = limiter.admit(metadata.target(), now).is_some();
        if !admitted {
            self.omitted.fetch_add(1, Ordering::Relaxed);
        }
        admitted
    }
}

impl<S> Filter<S> for Bounded {
    fn enabled(&self, _: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        true
    }

    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, S>) -> bool {
        self.admit(event.metadata(), Instant::now())
    }
}

/// Why logging was not set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter cannot be parsed.
    #[error(
        "{FILTER_VARIABLE}: {0}; expected a level such as info, or target=level pairs separated by commas"
    )]
    Filter(#[from] ParseError),
    /// The filter is not UTF-8.
    #[error("{FILTER_VARIABLE}: not UTF-8")]
    NotText,
    /// The filter cannot be replaced.
    #[error("cannot replace the filter of the log: {0}")]
    Reload(String),
    /// Traces cannot be exported.
    #[error(transparent)]
    Traces(#[from] TracesError),
    /// Logging was set up before.
    #[error("logging is already set up: {0}")]
    Twice(Box<dyn std::error::Error + Send + Sync>),
}

/// The log of the process, after [`set_up`].
#[derive(Debug)]
pub struct Log {
    program: Program,
    filter: reload::Handle<EnvFilter, Registry>,
    /// Whether the filter comes from the environment; then it is never changed.
    is_fixed: bool,
    /// The export of traces.
    pub traces: Arc<Export>,
}

static LOG: OnceLock<Log> = OnceLock::new();

/// The log of the process; `None` before [`set_up`].
pub fn current() -> Option<&'static Log> {
    LOG.get()
}

impl Log {
    /// Filters the lines from now on as `text` says; an empty text is the default. Without effect if the environment has a
    /// filter.
    ///
    /// # Errors
    /// When it is no filter. The previous one stays.
    pub fn set_filter(&self, text: &str) -> Result<(), LogError> {
        let new = filter(self.program, text)?;
        if !self.is_fixed {
            self.filter.reload(new).map_err(|error| LogError::Reload(error.to_string()))?;
        }
        Ok(())
    }

    /// Brings the settings of an engine into effect. Needs a runtime.
    ///
    /// # Errors
    /// The first that cannot be brought into effect.
    pub fn adopt(&self, settings: &Observability) -> Result<(), LogError> {
        self.set_filter(&directives(settings.log_level))?;
        Ok(self.traces.set(settings.traces.as_ref())?)
    }

    /// Sends the traces that wait. Needs a runtime.
    pub async fn end(&'static self) {
        // A thread that ends early has nothing left to send.
        drop(tokio::task::spawn_blocking(|| self.traces.end()).await);
    }
}

/// Libraries log nothing below `info`, whatever the level.
fn directives(level: LogLevel) -> String {
    let word = level.as_str();
    match level {
        LogLevel::Info => String::new(),
        LogLevel::Error | LogLevel::Warn => format!("{word},hickory_net::dnssec=off"),
        LogLevel::Debug | LogLevel::Trace => {
            format!("{},federation_engine={word},s2s_proto={word}", ENGINE.default_filter)
        }
    }
}

/// Sets up logging for the whole process. No traces are exported yet.
///
/// # Errors
/// See [`LogError`].
pub fn set_up(program: Program, format: LogFormat) -> Result<(), LogError> {
    let given = match env::var(FILTER_VARIABLE) {
        Ok(text) => text,
        Err(VarError::NotPresent) => String::new(),
        Err(VarError::NotUnicode(_)) => return Err(LogError::NotText),
    };
    let federation = env::var(FEDERATION_VARIABLE).ok().filter(|name| !name.is_empty());
    let (filter, handle) = reload::Layer::new(filter(program, &given)?);
    let colours = has_colours(std::io::stderr().is_terminal(), env::var_os("NO_COLOR").as_deref());
    let log = Log {
        program,
        filter: handle,
        is_fixed: !given.trim().is_empty(),
        traces: Export::new(Service { name: program.name, federation: federation.clone() }),
    };
    let style = Style { format, colours, federation };
    lines(program, filter, style, &OMITTED, std::io::stderr)
        .with(log.traces.layer())
        .try_init()
        .map_err(|error| LogError::Twice(error.into()))?;
    // Only one call can have succeeded.
    LOG.get_or_init(|| log);
    Ok(())
}

/// `NO_COLOR` with a value switches colours off on a terminal as well (no-color.org).
fn has_colours(is_terminal: bool, no_color: Option<&OsStr>) -> bool {
    is_terminal && no_color.is_none_or(OsStr::is_empty)
}

/// How a line looks.
#[derive(Clone, Debug)]
struct Style {
    format: LogFormat,
    colours: bool,
    federation: Option<String>,
}

fn lines<W, F>(
    program: Program,
    filter: F,
    style: Style,
    omitted: &'static AtomicU64,
    writer: W,
) -> impl Subscriber + for<'a> LookupSpan<'a>
where
    W: for<'a> tracing_subscriber::fmt::MakeWriter<'a> + Send + Sync + 'static,
    F: Filter<Registry> + Send + Sync + 'static,
{
    let layer = tracing_subscriber::fmt::layer().with_ansi(style.colours).with_writer(writer);
    let layer = match style.format {
        LogFormat::Json => layer
            .fmt_fields(JsonFields::new())
            .event_format(Json { federation: style.federation })
            .boxed(),
        LogFormat::Text => layer.boxed(),
    };
    let bounded = Bounded { own_target: program.own_target, limiter: Mutex::default(), omitted };
    tracing_subscriber::registry().with(layer.with_filter(filter.and(bounded)))
}

/// An empty text is the default.
fn filter(program: Program, text: &str) -> Result<EnvFilter, ParseError> {
    let text = if text.trim().is_empty() { program.default_filter } else { text };
    let parts: Vec<_> = [Some(text), program.fixed_filter].into_iter().flatten().collect();
    EnvFilter::builder().parse(parts.join(","))
}

#[cfg(test)]
mod tests;
