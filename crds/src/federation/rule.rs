//! Rules that several sections of the spec share.

/// A label of a domain as a character class: of ASCII, only letters, digits and hyphens. International labels pass here;
/// the operator validates them by UTS 46.
macro_rules! label {
    () => {
        r"[^\\s!-,./:-@\\[-`{-~]+"
    };
}
pub(super) use label;

/// True for a domain.
pub(super) const IS_DOMAIN: &str =
    concat!("self.matches('^", label!(), r"(\\.", label!(), r")*\\.?$')");
/// True unless the text is a dotted IPv4 address. (The domain rule already rejects IPv6 addresses, by their colons and
/// brackets.)
pub(super) const IS_NO_ADDRESS: &str = r"!self.matches('^[0-9]+(\\.[0-9]+){3}\\.?$')";
/// True for a list of networks.
pub(super) const NETWORKS: &str = r"self.all(n, n.matches('^[0-9A-Fa-f.:]+/[0-9]{1,3}$'))";
/// True for a list of domains.
pub(super) const DOMAINS: &str =
    concat!("self.all(d, d.matches('^", label!(), r"(\\.", label!(), r")*\\.?$'))");

/// Labels and annotations, bounded.
pub(super) fn bounded_map(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object",
        "maxProperties": 64,
        "additionalProperties": {"type": "string", "maxLength": 4096}
    })
}
