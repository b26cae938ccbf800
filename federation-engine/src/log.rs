//! The log of both programs: lines on standard error, filtered by `XFED_LOG` (the syntax of `RUST_LOG`), in colour on a
//! terminal only.

use std::env::{self, VarError};
use std::ffi::OsStr;
use std::io::IsTerminal;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::layer::{Context, Filter, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use crate::args::LogFormat;
use crate::observe::limiter::Limiter;

/// Environment variable with the filter.
pub const FILTER_VARIABLE: &str = "XFED_LOG";

/// The differences between the logs of the two programs.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    /// Filter when the variable is absent or empty.
    pub default_filter: &'static str,
    /// Directives that apply whatever the filter is.
    pub fixed_filter: Option<&'static str>,
    /// First part of the targets whose lines are not limited. `None`: no line is limited.
    pub own_target: Option<&'static str>,
    /// JSON lines have the fields of an event beside time and level, not in an object of their own.
    pub flat_json: bool,
}

/// The engine.
pub const ENGINE: Program = Program {
    // The library that validates DNS answers prints whole answers that it rejects, once for each lookup that a remote
    // server causes. The engine's own lines name the answer and the peer.
    default_filter: "info,hickory_net::dnssec=off",
    fixed_filter: None,
    // Code that can cause many of them limits them by their source (`crate::observe`).
    own_target: Some("federation_engine"),
    flat_json: true,
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
    /// Logging was set up before.
    #[error("logging is already set up: {0}")]
    Twice(Box<dyn std::error::Error + Send + Sync>),
}

/// Sets up logging for the whole process.
///
/// # Errors
/// See [`LogError`].
pub fn set_up(program: Program, format: LogFormat) -> Result<(), LogError> {
    let filter = match env::var(FILTER_VARIABLE) {
        Ok(text) => filter(program, &text)?,
        Err(VarError::NotPresent) => filter(program, "")?,
        Err(VarError::NotUnicode(_)) => return Err(LogError::NotText),
    };
    let colours = has_colours(std::io::stderr().is_terminal(), env::var_os("NO_COLOR").as_deref());
    lines(program, filter, format, colours, &OMITTED, std::io::stderr)
        .try_init()
        .map_err(|error| LogError::Twice(error.into()))
}

/// `NO_COLOR` with a value switches colours off on a terminal as well (no-color.org).
fn has_colours(is_terminal: bool, no_color: Option<&OsStr>) -> bool {
    is_terminal && no_color.is_none_or(OsStr::is_empty)
}

fn lines<W>(
    program: Program,
    filter: EnvFilter,
    format: LogFormat,
    colours: bool,
    omitted: &'static AtomicU64,
    writer: W,
) -> impl Subscriber + for<'a> LookupSpan<'a>
where
    W: for<'a> tracing_subscriber::fmt::MakeWriter<'a> + Send + Sync + 'static,
{
    let layer = tracing_subscriber::fmt::layer().with_ansi(colours).with_writer(writer);
    let layer = match format {
        LogFormat::Json => layer.json().flatten_event(program.flat_json).boxed(),
        LogFormat::Text => layer.boxed(),
    };
    let bounded = Bounded { own_target: program.own_target, limiter: Mutex::default(), omitted };
    tracing_subscriber::registry().with(filter).with(layer.with_filter(bounded))
}

/// An empty text is the default.
fn filter(program: Program, text: &str) -> Result<EnvFilter, ParseError> {
    let text = if text.trim().is_empty() { program.default_filter } else { text };
    let parts: Vec<_> = [Some(text), program.fixed_filter].into_iter().flatten().collect();
    EnvFilter::builder().parse(parts.join(","))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Arc;

    use super::*;

    /// Lines that the tests of this file leave out. The count of the process is read by tests of metrics.
    static OMITTED_HERE: AtomicU64 = AtomicU64::new(0);

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// The text that `log` writes to such a log.
    fn logged(program: Program, format: LogFormat, colours: bool, log: impl FnOnce()) -> String {
        let written = Written::default();
        let writer = {
            let written = written.clone();
            move || written.clone()
        };
        let filter = filter(program, "").unwrap();
        let subscriber = lines(program, filter, format, colours, &OMITTED_HERE, writer);
        tracing::subscriber::with_default(subscriber, log);
        let bytes = written.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn colours_are_for_terminals() {
        let one = |format, colours| {
            logged(ENGINE, format, colours, || tracing::warn!(number = 1, "a line"))
        };
        assert!(one(LogFormat::Text, true).contains("\u{1b}["));
        let plain = one(LogFormat::Text, false);
        assert!(!plain.contains('\u{1b}') && plain.contains("a line number=1"), "{plain}");
        assert!(!one(LogFormat::Json, true).contains("\\u001b"));

        assert!(has_colours(true, None) && has_colours(true, Some(OsStr::new(""))));
        assert!(!has_colours(true, Some(OsStr::new("1"))) && !has_colours(false, None));
    }

    #[test]
    fn a_program_may_bound_nothing_fix_a_part_of_the_filter_and_nest_its_fields() {
        let program = Program {
            default_filter: "info",
            fixed_filter: Some("silent=off"),
            own_target: None,
            flat_json: false,
        };
        let text = logged(program, LogFormat::Json, false, || {
            for number in 0..1000 {
                tracing::warn!(target: "library", number, "a line");
            }
            tracing::error!(target: "silent", "a line");
        });
        assert_eq!(text.lines().filter(|line| line.contains(r#""fields":{"#)).count(), 1000);
        assert!(filter(program, "debug").unwrap().to_string().contains("silent=off"));
    }

    #[test]
    fn lines_of_a_library_are_bounded_per_module_and_the_rest_is_counted() {
        let text = logged(ENGINE, LogFormat::Json, false, || {
            for number in 0..1000 {
                tracing::warn!(target: "hickory_proto::dnssec", number, "unrecognized algorithm");
                tracing::info!(target: "federation_engine::dns", number, "our own");
            }
            tracing::warn!(target: "hickory_net::udp", "another module");
            tracing::warn!(target: "hickory_net::dnssec", "off by default");
        });
        let count = |part: &str| text.lines().filter(|line| line.contains(part)).count();
        let algorithms = count("unrecognized algorithm");
        assert!((10..=20).contains(&algorithms), "{algorithms}");
        assert_eq!(count("our own"), 1000);
        assert_eq!((count("another module"), count("off by default")), (1, 0));
        assert_eq!(OMITTED_HERE.load(Ordering::Relaxed), u64::try_from(1000 - algorithms).unwrap());
    }

    #[test]
    fn an_empty_filter_is_info_and_a_wrong_one_is_refused() {
        let default = filter(ENGINE, " ").unwrap().to_string();
        let mut parts: Vec<_> = default.split(',').collect();
        parts.sort_unstable();
        assert_eq!(parts, ["hickory_net::dnssec=off", "info"]);
        assert_eq!(
            filter(ENGINE, "federation_engine=debug").unwrap().to_string(),
            "federation_engine=debug"
        );
        let error = filter(ENGINE, "federation_engine=loud").unwrap_err();
        let error = LogError::from(error).to_string();
        assert!(error.starts_with("XFED_LOG: "), "{error}");
    }
}
