//! Log lines on standard error, filtered by `XFED_LOG` (the syntax of `RUST_LOG`), default `info`.

use std::env::{self, VarError};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

use crate::args::LogFormat;

/// Environment variable with the filter.
pub const FILTER_VARIABLE: &str = "XFED_LOG";

/// The library that validates DNS answers prints whole ones that it refuses, once for each look-up that a stranger causes. Our
/// own lines name the answer and the peer.
const DEFAULT: &str = "info,hickory_net::dnssec=off";

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
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
        LogFormat::Text => lines.try_init(),
    }
    .map_err(LogError::Twice)
}

/// An empty text is the default.
fn filter(text: &str) -> Result<EnvFilter, ParseError> {
    EnvFilter::builder().parse(if text.trim().is_empty() { DEFAULT } else { text })
}

#[cfg(test)]
mod tests {
    use super::*;

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
