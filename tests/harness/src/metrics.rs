//! The metrics of the engine, from `/metrics` (Prometheus text format).

use std::io;
use std::net::SocketAddr;

use crate::engine::get;

/// The prefix of every metric name.
const PREFIX: &str = "xmpp_federation_";

/// All metrics at one moment.
#[derive(Debug)]
pub struct Metrics(String);

impl Metrics {
    /// Queries `/metrics` of the engine at that address.
    pub fn of(admin: SocketAddr) -> io::Result<Self> {
        Ok(Self(get(admin, "/metrics")?))
    }

    /// The sum of a metric, named without its prefix, over all series with these labels; 0 if nothing was counted yet.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        let of = |line: &str| {
            let rest = line.strip_prefix(PREFIX)?.strip_prefix(name)?;
            let (own, value) = rest.rsplit_once(' ')?;
            if !own.is_empty() && !own.starts_with('{') {
                // Another metric whose name starts with the same text.
                return None;
            }
            let own: Vec<&str> = own.trim_matches(['{', '}']).split(',').collect();
            let has =
                |(label, value): &(&str, &str)| own.contains(&&*format!("{label}=\"{value}\""));
            labels.iter().all(has).then(|| value.parse::<u64>().ok()).flatten()
        };
        self.0.lines().filter_map(of).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_the_name_and_the_labels_is_summed_and_nothing_else() {
        let metrics = Metrics(
            "# TYPE xmpp_federation_streams gauge\n\
             xmpp_federation_streams{leg=\"outer\",direction=\"inbound\"} 1\n\
             xmpp_federation_streams{leg=\"outer\",direction=\"outbound\"} 2\n\
             xmpp_federation_streams{leg=\"inner\",direction=\"outbound\"} 4\n\
             xmpp_federation_streams_total 8\n\
             xmpp_federation_queued 16\n"
                .to_owned(),
        );
        assert_eq!(metrics.sum("streams", &[]), 7);
        assert_eq!(metrics.sum("streams", &[("leg", "outer")]), 3);
        assert_eq!(metrics.sum("streams", &[("direction", "outbound"), ("leg", "outer")]), 2);
        assert_eq!(metrics.sum("queued", &[]), 16);
        assert_eq!(metrics.sum("nothing", &[]), 0);
    }
}
