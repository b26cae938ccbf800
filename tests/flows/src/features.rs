//! What a server says about itself: its service discovery (XEP-0030), as its own user sees it.

use std::collections::{BTreeMap, BTreeSet};

use s2s_peer::element::Element;

/// Namespace of service discovery.
pub const DISCO_INFO: &str = "http://jabber.org/protocol/disco#info";
/// Namespace of the lists of items.
pub const DISCO_ITEMS: &str = "http://jabber.org/protocol/disco#items";

/// An identity: category and type.
pub type Identity = (String, String);

/// One answer to disco#info.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Info {
    /// Its features.
    pub features: BTreeSet<String>,
    /// Its identities.
    pub identities: BTreeSet<Identity>,
}

impl Info {
    /// Reads an answer.
    pub fn of(query: &Element) -> Self {
        let mut info = Self::default();
        for child in &query.children {
            let attribute = |name| child.attribute(name).unwrap_or_default().to_owned();
            match child.name.as_str() {
                "feature" => {
                    info.features.insert(attribute("var"));
                }
                "identity" => {
                    info.identities.insert((attribute("category"), attribute("type")));
                }
                _ => {}
            }
        }
        info
    }

    /// Whether it has that feature.
    pub fn has(&self, feature: &str) -> bool {
        self.features.contains(feature)
    }

    /// Whether it has that identity.
    pub fn is(&self, category: &str, kind: &str) -> bool {
        self.identities.contains(&(category.to_owned(), kind.to_owned()))
    }
}

/// What the server of a side says about itself.
#[derive(Debug, Clone, Default)]
pub struct Features {
    /// disco#info of the domain.
    pub domain: Info,
    /// disco#info of the bare address of an account, as the account's owner sees it. It has the features of PEP.
    pub account: Info,
    /// disco#items of the domain, each with its own disco#info.
    pub items: BTreeMap<String, Info>,
}

impl Features {
    /// Whether the domain or the account has that feature.
    pub fn has(&self, feature: &str) -> bool {
        self.domain.has(feature) || self.account.has(feature)
    }

    /// The first item with that feature: `http://jabber.org/protocol/muc`, `urn:xmpp:http:upload:0`.
    pub fn service(&self, feature: &str) -> Option<&str> {
        let found = self.items.iter().find(|(_, info)| info.has(feature));
        found.map(|(name, _)| name.as_str())
    }
}
