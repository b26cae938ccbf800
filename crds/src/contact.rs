//! Contact addresses of a domain (XEP-0157).

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Most addresses for one role.
pub const MAX_ADDRESSES: usize = 4;
/// Longest address, in characters.
pub const MAX_ADDRESS: usize = 256;

/// Addresses by role, which service discovery shows to other servers.
#[derive(Clone, Debug, Default, Eq, JsonSchema, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Contact {
    /// For reports of abuse.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_ADDRESSES))]
    pub abuse: Vec<ContactAddress>,
    /// The administrators.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_ADDRESSES))]
    pub admin: Vec<ContactAddress>,
    /// For feedback from users.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_ADDRESSES))]
    pub feedback: Vec<ContactAddress>,
    /// For sales and marketing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_ADDRESSES))]
    pub sales: Vec<ContactAddress>,
    /// For security concerns.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_ADDRESSES))]
    pub security: Vec<ContactAddress>,
    /// Where the service status is shown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_ADDRESSES))]
    pub status: Vec<ContactAddress>,
    /// For user support.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_ADDRESSES))]
    pub support: Vec<ContactAddress>,
}

impl Contact {
    /// Every role and its addresses, in the order of the XMPP registry.
    pub fn roles(&self) -> [(&'static str, &[ContactAddress]); 7] {
        [
            ("abuse", &self.abuse),
            ("admin", &self.admin),
            ("feedback", &self.feedback),
            ("sales", &self.sales),
            ("security", &self.security),
            ("status", &self.status),
            ("support", &self.support),
        ]
    }

    /// Whether it has no address.
    pub fn is_empty(&self) -> bool {
        self.roles().iter().all(|(_, addresses)| addresses.is_empty())
    }
}

/// A URI (RFC 3986) that people can write to or open.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ContactAddress(String);

impl ContactAddress {
    /// The URI.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The text is not a contact address.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{}", Self::SENTENCE)]
pub struct ContactAddressError;

impl ContactAddressError {
    /// The fault, and a valid value; also the message of the admission rule.
    pub const SENTENCE: &str = "A contact address must be a URI without spaces that begins with mailto:, xmpp: or https:// and has at most 256 characters, for example mailto:abuse@example.com";
}

/// Allowed URI schemes.
pub(crate) const SCHEMES: [&str; 3] = ["mailto:", "xmpp:", "https://"];

impl FromStr for ContactAddress {
    type Err = ContactAddressError;

    fn from_str(text: &str) -> Result<Self, ContactAddressError> {
        let rest = SCHEMES.iter().find_map(|scheme| text.strip_prefix(scheme));
        // RFC 3986 §2
        let usable =
            |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&byte);
        let good = rest.is_some_and(|rest| !rest.is_empty() && rest.bytes().all(usable));
        if good && text.len() <= MAX_ADDRESS {
            Ok(Self(text.to_owned()))
        } else {
            Err(ContactAddressError)
        }
    }
}

impl fmt::Display for ContactAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

crate::text::serde_as_text!(ContactAddress, "ContactAddress", min = 1, max = MAX_ADDRESS);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xep0157_an_address_is_a_uri_of_a_kind_that_people_can_use() {
        for good in [
            "mailto:abuse@example.com",
            "xmpp:admins@example.com?message;subject=Hi",
            "https://example.com/support?a=1&b='2'",
            "https://[2001:db8::1]/",
        ] {
            assert_eq!(good.parse::<ContactAddress>().map(|a| a.to_string()), Ok(good.to_owned()));
        }
        let long = format!("mailto:{}@example.com", "a".repeat(MAX_ADDRESS));
        for bad in [
            "",
            "mailto:",
            "abuse@example.com",
            "http://example.com/",
            "https:example.com",
            "MAILTO:abuse@example.com",
            "mailto:abuse@example.com ",
            "mailto:a b@example.com",
            "mailto:\"a\"@example.com",
            "xmpp:<admins@example.com>",
            "xmpp:bücher@example.com",
            &long,
        ] {
            assert_eq!(bad.parse::<ContactAddress>(), Err(ContactAddressError), "{bad}");
        }
    }
}
