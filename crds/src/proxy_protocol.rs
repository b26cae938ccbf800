//! `proxyProtocol`: whose connections begin with a header of the PROXY protocol.

#[cfg(feature = "kube")]
use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
#[cfg(feature = "kube")]
use serde::de::value::MapAccessDeserializer;
#[cfg(feature = "kube")]
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

/// The proxies that pass on the addresses of their clients.
#[derive(Clone, Debug, Default, Eq, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProxyProtocol {
    /// Networks of the proxies. Their connections must begin with the header, version 1 or 2; connections from other
    /// addresses must not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trusted_sources: Vec<IpNet>,
}

impl ProxyProtocol {
    /// Whether the header of a connection from this address is trusted, and required.
    pub fn trusts(&self, source: IpAddr) -> bool {
        // A dual-stack listener shows IPv4 addresses as IPv4-mapped IPv6 addresses.
        let source = source.to_canonical();
        self.trusted_sources.iter().any(|network| network.contains(&source))
    }
}

/// Schema of the section in the resource. It has no type, because it was a boolean: the API server applies no status to
/// an object that stores a value of another type.
#[cfg(feature = "kube")]
pub(crate) fn schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "x-kubernetes-preserve-unknown-fields": true,
        "properties": {
            "trustedSources": {
                "description": "Networks of the proxies, for example 192.0.2.0/24. Their connections must begin with the header; connections from other addresses must not. Default: none.",
                "type": "array",
                "maxItems": 64,
                "items": {"type": "string", "maxLength": 49, "pattern": "^[0-9A-Fa-f.:]+/[0-9]{1,3}$"}
            }
        }
    })
}

/// Reads the section. `false` is what older versions stored as the default.
///
/// # Errors
/// For `true`, what to write instead.
#[cfg(feature = "kube")]
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<ProxyProtocol, D::Error> {
    from.deserialize_any(Section)
}

#[cfg(feature = "kube")]
struct Section;

#[cfg(feature = "kube")]
impl<'de> Visitor<'de> for Section {
    type Value = ProxyProtocol;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("service.proxyProtocol with trustedSources")
    }

    fn visit_bool<E: Error>(self, enabled: bool) -> Result<Self::Value, E> {
        if enabled {
            Err(E::custom(crate::message::PROXY_PROTOCOL_IS_BOOLEAN))
        } else {
            self.visit_unit()
        }
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(ProxyProtocol::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        ProxyProtocol::deserialize(MapAccessDeserializer::new(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_trusted_in_both_forms_of_its_address() {
        let protocol: ProxyProtocol =
            serde_json::from_str(r#"{"trustedSources": ["192.0.2.0/24", "2001:db8::/32"]}"#)
                .unwrap();
        for (source, expected) in [
            ("192.0.2.7", true),
            ("::ffff:192.0.2.7", true),
            ("2001:db8::7", true),
            ("192.0.3.7", false),
            ("::1", false),
        ] {
            assert_eq!(protocol.trusts(source.parse().unwrap()), expected, "{source}");
        }
        assert!(!ProxyProtocol::default().trusts("192.0.2.7".parse().unwrap()));
    }

    #[cfg(feature = "kube")]
    #[test]
    fn the_boolean_of_older_versions_is_read_or_refused_with_the_remedy() {
        let read = |section: &str| {
            let service = format!(r#"{{"proxyProtocol": {section}}}"#);
            serde_json::from_str::<crate::federation::service::ServiceSpec>(&service)
                .map(|service| service.proxy_protocol)
        };
        for off in ["false", "null", "{}", r#"{"trustedSources": []}"#] {
            assert_eq!(read(off).unwrap(), ProxyProtocol::default(), "{off}");
        }
        let sources = read(r#"{"trustedSources": ["10.0.0.0/8"]}"#).unwrap();
        assert_eq!(sources.trusted_sources, ["10.0.0.0/8".parse().unwrap()]);
        for (section, expected) in [
            ("true", crate::message::PROXY_PROTOCOL_IS_BOOLEAN),
            (r#"{"trustedSource": []}"#, "unknown field `trustedSource`"),
            ("1", "expected service.proxyProtocol with trustedSources"),
        ] {
            let error = read(section).unwrap_err().to_string();
            assert!(error.contains(expected), "{section}: {error}");
        }
    }
}
