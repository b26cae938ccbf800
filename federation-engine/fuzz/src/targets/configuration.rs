//! The configuration file.

use federation_engine::config::{check, load};

/// A file: it is read or refused, and both outcomes can be printed.
pub(crate) fn configuration(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match load::parse_text(text) {
        Ok(config) => {
            let report = check::report(&config).expect("what is in effect can be reported");
            assert!(!report.is_empty());
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
