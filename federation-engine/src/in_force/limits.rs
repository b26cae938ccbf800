//! The limits that follow from a configuration. Pure.

use std::time::Duration;

use s2s_proto::guard::Guard;
use s2s_proto::stream::Limits;
use s2s_proto::xml::Bounds;

use crate::config::Config;
use crate::dial::tcp::Tcp;
use crate::route::queue;

/// Maximum pairs that one stream may carry: twice the local domains of the largest federation.
const MAX_PAIRS_PER_STREAM: usize = 64;

/// Maximum bytes of a queue while memory is low.
const MAX_QUEUE_BYTES_WHEN_TIGHT: usize = 64 * 1024;

/// Silence after which the engine requests a sign of life. RFC 6120 §4.6.4 allows no shorter interval.
const SIGN_OF_LIFE_INTERVAL: Duration = Duration::from_mins(5);

/// Options of every S2S connection. TCP detects a dead connection (RFC 6120 §4.6.4 wants no XMPP traffic for that).
pub(crate) fn tcp(config: &Config) -> Tcp {
    let timeouts = config.timeouts;
    Tcp { keepalive: timeouts.keepalive, user_timeout: timeouts.user_timeout }
}

/// The addresses to which the dialler must not connect.
pub(crate) fn guard(config: &Config) -> Guard {
    let listen = &config.listen;
    let own = [listen.s2s, listen.s2s_tls, listen.backend].into_iter().flatten();
    Guard { allow_networks: config.allow_networks.clone(), own: own.collect() }
}

/// Bounds of every queue; smaller ones while memory `is_tight`.
pub(crate) fn queue(config: &Config, is_tight: bool) -> queue::Bounds {
    let most = if is_tight { MAX_QUEUE_BYTES_WHEN_TIGHT } else { usize::MAX };
    queue::Bounds {
        bytes: config.limits.queue_bytes.min(most),
        stanzas: config.limits.queue_stanzas,
        age: config.timeouts.queue,
    }
}

/// Maximum bytes that a stream may receive before it is authenticated.
pub(crate) fn before_authentication(config: &Config) -> Bounds {
    Bounds { element_bytes: config.limits.pre_auth_element_bytes, ..Bounds::PRE_AUTHENTICATION }
}

/// Sizes and timeouts of one stream.
pub(crate) fn stream(config: &Config) -> Limits {
    let (limits, timeouts) = (&config.limits, &config.timeouts);
    Limits {
        negotiation: timeouts.negotiation,
        dialback: timeouts.dialback,
        pairs: MAX_PAIRS_PER_STREAM,
        acknowledgement: timeouts.user_timeout,
        silence: SIGN_OF_LIFE_INTERVAL,
        idle: timeouts.idle,
        unauthenticated_bytes: limits.pre_auth_element_bytes,
        authenticated: Bounds {
            depth: limits.depth,
            attributes: limits.attributes,
            ..Bounds::AUTHENTICATED.with_element_bytes(limits.stanza_bytes)
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load::parse_text;

    fn config() -> Config {
        let text = "host: xmpp.local.example\n\
                    domains: [{name: local.example}]\n\
                    listen: {s2s: '[::]:5269', backend: '198.18.0.1:15269'}\n\
                    limits: {queueBytes: 1048576, stanzaBytes: 20000, preAuthElementBytes: 9000}\n";
        parse_text(text).unwrap()
    }

    #[test]
    fn queues_are_short_while_memory_is_short_and_never_longer_than_configured() {
        let mut config = config();
        assert_eq!(queue(&config, false).bytes, 1_048_576);
        assert_eq!(queue(&config, true).bytes, MAX_QUEUE_BYTES_WHEN_TIGHT);
        config.limits.queue_bytes = 1_000;
        assert_eq!(queue(&config, true).bytes, 1_000);
    }

    #[test]
    fn the_dialler_is_guarded_against_the_engines_own_listeners() {
        let own = guard(&config()).own;
        let listeners: Vec<std::net::SocketAddr> =
            vec!["[::]:5269".parse().unwrap(), "198.18.0.1:15269".parse().unwrap()];
        assert_eq!(own, listeners);
    }

    #[test]
    fn a_stream_is_held_to_small_elements_until_it_is_authenticated() {
        let config = config();
        assert_eq!(before_authentication(&config).element_bytes, 9_000);
        let limits = stream(&config);
        assert_eq!(limits.unauthenticated_bytes, 9_000);
        assert_eq!(limits.authenticated.element_bytes, 20_000);
    }
}
