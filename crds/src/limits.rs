//! Limits of size, count and time. All have defaults, so every field is optional; [`Limits::resolve`] and
//! [`Timeouts::resolve`] fill them in.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Limits of size and count.
#[derive(Clone, Debug, Default, Eq, JsonSchema, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// Largest stanza in bytes. Default 524288, never below 10000 (RFC 6120 §13.12).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 10_000, max = 16_777_216))]
    pub stanza_bytes: Option<u32>,
    /// Largest first-level element before authentication, in bytes. Default 10000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 4_096, max = 65_536))]
    pub pre_auth_element_bytes: Option<u32>,
    /// Total bytes that a stream may send before it is authenticated. Default 65536.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 16_384, max = 1_048_576))]
    pub pre_auth_stream_bytes: Option<u32>,
    /// Maximum nesting depth of elements in a stanza. Default 64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 8, max = 512))]
    pub depth: Option<u16>,
    /// Maximum number of attributes of one element. Default 64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 16, max = 512))]
    pub attributes: Option<u16>,
    /// Maximum bytes queued for one pair of domains. Default 1048576.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 65_536, max = 67_108_864))]
    pub queue_bytes: Option<u32>,
    /// Maximum stanzas queued for one pair of domains. Default 4096.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 16, max = 65_536))]
    pub queue_stanzas: Option<u32>,
    /// Maximum unauthenticated streams per source prefix (/24 for IPv4, /56 for IPv6). Default 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 4, max = 10_000))]
    pub unauthenticated_streams: Option<u32>,
    /// Maximum concurrent dialback verifications on one stream. Default 4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 64))]
    pub verifications_per_stream: Option<u16>,
    /// Maximum concurrent dialback verifications for one source prefix. Default 32.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1024))]
    pub verifications_per_source: Option<u16>,
    /// Memory of the process in bytes, of which streams and queues may use 80 %. Default: the memory limit of the container
    /// (cgroup), or half of the machine's memory if there is no limit. A value above that limit has no effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 33_554_432, max = 1_099_511_627_776_u64))]
    pub memory_bytes: Option<u64>,
    /// Maximum connections for streams, in both directions. Default: as many as memory and the file descriptor limit allow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 64, max = 1_048_576))]
    pub connections: Option<u32>,
}

/// [`Limits`] with every default filled in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct EffectiveLimits {
    /// See [`Limits::stanza_bytes`].
    pub stanza_bytes: usize,
    /// See [`Limits::pre_auth_element_bytes`].
    pub pre_auth_element_bytes: usize,
    /// See [`Limits::pre_auth_stream_bytes`].
    pub pre_auth_stream_bytes: usize,
    /// See [`Limits::depth`].
    pub depth: usize,
    /// See [`Limits::attributes`].
    pub attributes: usize,
    /// See [`Limits::queue_bytes`].
    pub queue_bytes: usize,
    /// See [`Limits::queue_stanzas`].
    pub queue_stanzas: usize,
    /// See [`Limits::unauthenticated_streams`].
    pub unauthenticated_streams: usize,
    /// See [`Limits::verifications_per_stream`].
    pub verifications_per_stream: usize,
    /// See [`Limits::verifications_per_source`].
    pub verifications_per_source: usize,
    /// See [`Limits::memory_bytes`]; `None`: as much as the system allows.
    pub memory_bytes: Option<usize>,
    /// See [`Limits::connections`]; `None`: as much as the system allows.
    pub connections: Option<usize>,
}

impl Limits {
    /// Fills in the defaults.
    pub fn resolve(&self) -> EffectiveLimits {
        let size = |given: Option<u32>, default: usize| {
            given.map_or(default, |n| usize::try_from(n).unwrap_or(usize::MAX))
        };
        EffectiveLimits {
            stanza_bytes: size(self.stanza_bytes, 524_288),
            pre_auth_element_bytes: size(self.pre_auth_element_bytes, 10_000),
            pre_auth_stream_bytes: size(self.pre_auth_stream_bytes, 65_536),
            depth: self.depth.map_or(64, usize::from),
            attributes: self.attributes.map_or(64, usize::from),
            queue_bytes: size(self.queue_bytes, 1_048_576),
            queue_stanzas: size(self.queue_stanzas, 4_096),
            unauthenticated_streams: size(self.unauthenticated_streams, 100),
            verifications_per_stream: self.verifications_per_stream.map_or(4, usize::from),
            verifications_per_source: self.verifications_per_source.map_or(32, usize::from),
            memory_bytes: self.memory_bytes.map(|n| usize::try_from(n).unwrap_or(usize::MAX)),
            connections: self.connections.map(|n| usize::try_from(n).unwrap_or(usize::MAX)),
        }
    }
}

/// Timeouts, in whole seconds.
#[derive(Clone, Debug, Default, Eq, JsonSchema, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Timeouts {
    /// From the TCP connection to the authenticated stream. Default 30.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 5, max = 300))]
    pub negotiation_seconds: Option<u16>,
    /// For the answer to a dialback request. Default 30.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 5, max = 300))]
    pub dialback_seconds: Option<u16>,
    /// For each TCP connection attempt. Default 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 120))]
    pub connect_seconds: Option<u16>,
    /// Idle time after the last stanza before a stream is closed without an error. Default 600; 0 means never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 65_535))]
    pub idle_seconds: Option<u16>,
    /// Age at which a queued stanza is bounced to its sender. Default 60.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 5, max = 3600))]
    pub queue_seconds: Option<u16>,
    /// Idle time before TCP sends keep-alive probes. Default 15.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 5, max = 7200))]
    pub keepalive_seconds: Option<u16>,
    /// How long sent data may stay unacknowledged before TCP closes the connection (RFC 5482). Default 60.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 10, max = 7200))]
    pub user_timeout_seconds: Option<u16>,
}

/// [`Timeouts`] with every default filled in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct EffectiveTimeouts {
    /// See [`Timeouts::negotiation_seconds`].
    pub negotiation: Duration,
    /// See [`Timeouts::dialback_seconds`].
    pub dialback: Duration,
    /// See [`Timeouts::connect_seconds`].
    pub connect: Duration,
    /// See [`Timeouts::idle_seconds`]; `None` means never.
    pub idle: Option<Duration>,
    /// See [`Timeouts::queue_seconds`].
    pub queue: Duration,
    /// See [`Timeouts::keepalive_seconds`].
    pub keepalive: Duration,
    /// See [`Timeouts::user_timeout_seconds`].
    pub user_timeout: Duration,
}

impl Timeouts {
    /// Fills in the defaults.
    pub fn resolve(&self) -> EffectiveTimeouts {
        let seconds = |given: Option<u16>, default: u16| {
            Duration::from_secs(u64::from(given.unwrap_or(default)))
        };
        EffectiveTimeouts {
            negotiation: seconds(self.negotiation_seconds, 30),
            dialback: seconds(self.dialback_seconds, 30),
            connect: seconds(self.connect_seconds, 10),
            idle: Some(seconds(self.idle_seconds, 600)).filter(|d| !d.is_zero()),
            queue: seconds(self.queue_seconds, 60),
            keepalive: seconds(self.keepalive_seconds, 15),
            user_timeout: seconds(self.user_timeout_seconds, 60),
        }
    }
}
