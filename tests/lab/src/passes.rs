//! How long the operator's passes take, by its own histogram.

use std::fmt;
use std::net::SocketAddr;

use harness::engine::get;

use crate::error::{Error, Result};

const HISTOGRAM: &str = "xmpp_federation_reconcile_duration_seconds";

/// The passes since the start of the operator.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Passes {
    count: f64,
    seconds: f64,
    /// The least bound of the histogram below which all of them are.
    all_under: f64,
}

impl Passes {
    /// From the metrics at that address.
    pub fn of(metrics: SocketAddr) -> Result<Self> {
        let text = get(metrics, "/metrics").map_err(|source| Error::Io {
            doing: format!("reading the metrics at {metrics}"),
            source,
        })?;
        Ok(Self::parse(&text))
    }

    fn parse(text: &str) -> Self {
        let value = |line: &str| line.rsplit_once(' ')?.1.parse::<f64>().ok();
        let lines = || text.lines().filter_map(|line| line.strip_prefix(HISTOGRAM));
        let of = |name: &str| {
            lines().find(|line| line.starts_with(name)).and_then(value).unwrap_or_default()
        };
        let count = of("_count ");
        let bound = |line: &str| {
            let (bound, _) = line.strip_prefix("_bucket{le=\"")?.split_once('"')?;
            (value(line)? >= count).then(|| bound.parse().ok())?
        };
        let all_under = lines().find_map(bound).unwrap_or(f64::INFINITY);
        Self { count, seconds: of("_sum "), all_under }
    }
}

impl fmt::Display for Passes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { count, seconds, all_under } = self;
        let mean = seconds * 1_000.0 / count.max(1.0);
        write!(f, "{count} passes, each {mean:.1} ms on average and at most {all_under} s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_bound_of_all_passes_is_the_first_bucket_with_their_number() {
        let name = HISTOGRAM;
        let text = format!(
            "# TYPE {name} histogram\n{name}_sum 0.75\n{name}_count 3\n\
             {name}_bucket{{le=\"0.25\"}} 2\n{name}_bucket{{le=\"0.5\"}} 3\n\
             {name}_bucket{{le=\"+Inf\"}} 3\n"
        );
        let passes = Passes::parse(&text);
        assert_eq!(passes, Passes { count: 3.0, seconds: 0.75, all_under: 0.5 });
        let text = "3 passes, each 250.0 ms on average and at most 0.5 s";
        assert_eq!(passes.to_string(), text);
    }
}
