//! Formats an error with all its sources in one line: the useful one, for example "connection refused", is often the
//! deepest.

use std::error::Error;
use std::fmt;

/// Writes an error and its sources, each once.
#[derive(Clone, Copy, Debug)]
pub struct Causes<'a>(pub &'a dyn Error);

impl fmt::Display for Causes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut written = self.0.to_string();
        f.write_str(&written)?;
        let mut next = self.0.source();
        while let Some(source) = next {
            let text = source.to_string();
            // Many errors repeat their source.
            if !written.contains(&text) {
                write!(f, ": {text}")?;
                written = text;
            }
            next = source.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Level {
        text: &'static str,
        source: Option<Box<Level>>,
    }

    #[test]
    fn every_cause_is_said_once() {
        let deepest = Level { text: "connection refused", source: None };
        let middle = Level { text: "tcp: connection refused", source: Some(Box::new(deepest)) };
        let top = Level { text: "cannot connect", source: Some(Box::new(middle)) };
        assert_eq!(Causes(&top).to_string(), "cannot connect: tcp: connection refused");
    }
}
