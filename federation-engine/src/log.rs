//! Log lines on standard error, filtered by `XFED_LOG` (the syntax of `RUST_LOG`), default `info`.

use std::env::{self, VarError};
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

/// The library that validates DNS answers prints whole ones that it refuses, once for each look-up that a stranger causes. Our
/// own lines name the answer and the peer.
const DEFAULT: &str = "info,hickory_net::dnssec=off";

/// The first part of the targets of our own lines, whose causes know their sources ([`crate::observe`]).
const OWN: &str = "federation_engine";

/// Lines of libraries that were left out and are not in the metric yet.
static OMITTED: AtomicU64 = AtomicU64::new(0);

/// Lines of libraries that were left out since the last call.
pub(crate) fn take_omitted() -> u64 {
    OMITTED.swap(0, Ordering::Relaxed)
}

/// Bounds the lines of libraries per module. A stranger causes them, such as by DNS records with a broken signature, and a
/// library does not know who that is.
#[derive(Default)]
struct Bounded(Mutex<Limiter<&'static str>>);

impl Bounded {
    fn admit(&self, metadata: &'static Metadata<'static>, now: Instant) -> bool {
        if metadata.target().starts_with(OWN) {
            return true;
        }
        let mut limiter = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let admitted = limiter.admit(metadata.target(), now).is_some();
        if !admitted {
            OMITTED.fetch_add(1, Ordering::Relaxed);
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
        "{FILTER_VARIABLE}: {0}; write a level such as info, or target=level pairs with commas between"
    )]
    Filter(#[from] ParseError),
    /// The filter is not UTF-8.
    #[error("{FILTER_VARIABLE}: not UTF-8")]
    NotText,
    /// Somebody has set up logging before.
    #[error("logging is set up already: {0}")]
    Twice(Box<dyn std::error::Error + Send + Sync>),
}

/// Sets up logging for the whole process.
///
/// # Errors
/// See [`LogError`].
pub fn set_up(format: LogFormat) -> Result<(), LogError> {
    let filter = match env::var(FILTER_VARIABLE) {
        Ok(text) => filter(&text)?,
        Err(VarError::NotPresent) => filter("")?,
        Err(VarError::NotUnicode(_)) => return Err(LogError::NotText),
    };
    lines(filter, format, std::io::stderr).try_init().map_err(|error| LogError::Twice(error.into()))
}

fn lines<W>(
    filter: EnvFilter,
    format: LogFormat,
    writer: W,
) -> impl Subscriber + for<'a> LookupSpan<'a>
where
    W: for<'a> tracing_subscriber::fmt::MakeWriter<'a> + Send + Sync + 'static,
{
    let layer = tracing_subscriber::fmt::layer().with_writer(writer);
    let layer = match format {
        LogFormat::Json => layer.json().flatten_event(true).boxed(),
        LogFormat::Text => layer.boxed(),
    };
    tracing_subscriber::registry().with(filter).with(layer.with_filter(Bounded::default()))
}

/// An empty text is the default.
fn filter(text: &str) -> Result<EnvFilter, ParseError> {
    EnvFilter::builder().parse(if text.trim().is_empty() { DEFAULT } else { text })
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Arc;

    use super::*;

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

    #[test]
    fn lines_of_a_library_are_bounded_per_module_and_the_rest_is_counted() {
        let written = Written::default();
        let writer = {
            let written = written.clone();
            move || written.clone()
        };
        let subscriber = lines(filter("").unwrap(), LogFormat::Json, writer);
        tracing::subscriber::with_default(subscriber, || {
            for number in 0..1000 {
                tracing::warn!(target: "hickory_proto::dnssec", number, "unrecognized algorithm");
                tracing::info!(target: "federation_engine::dns", number, "our own");
            }
            tracing::warn!(target: "hickory_net::udp", "another module");
            tracing::warn!(target: "hickory_net::dnssec", "off by default");
        });
        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        let count = |part: &str| text.lines().filter(|line| line.contains(part)).count();
        let algorithms = count("unrecognized algorithm");
        assert!((10..=20).contains(&algorithms), "{algorithms}");
        assert_eq!(count("our own"), 1000);
        assert_eq!((count("another module"), count("off by default")), (1, 0));
        // Others count, too.
        assert!(take_omitted() >= 980);
    }

    #[test]
    fn an_empty_filter_is_info_and_a_wrong_one_is_refused() {
        let default = filter(" ").unwrap().to_string();
        let mut parts: Vec<_> = default.split(',').collect();
        parts.sort_unstable();
        assert_eq!(parts, ["hickory_net::dnssec=off", "info"]);
        assert_eq!(
            filter("federation_engine=debug").unwrap().to_string(),
            "federation_engine=debug"
        );
        let error = LogError::from(filter("federation_engine=loud").unwrap_err()).to_string();
        assert!(error.starts_with("XFED_LOG: "), "{error}");
    }
}
