//! Stream features (RFC 6120 §4.3.2), as far as the engine offers and uses them.

use crate::xml::{Namespace, Node};

use super::{Out, StreamLimits};

/// STARTTLS in a features element (RFC 6120 §5.3.1).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum StartTls {
    /// The initiating entity may continue without it.
    Optional,
    /// It must use it.
    Required,
}

/// Dialback in a features element (XEP-0220 §2.4.2).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DialbackFeature {
    /// Errors in dialback leave the stream open, so that one stream may carry several targets (XEP-0220 §2.6).
    pub errors: bool,
}

/// The features that the receiving entity offers.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Features {
    /// TLS.
    pub starttls: Option<StartTls>,
    /// SASL EXTERNAL.
    pub external: bool,
    /// Dialback.
    pub dialback: Option<DialbackFeature>,
    /// Stanzas may flow against the direction in which the stream was opened (XEP-0288 §2.1).
    pub bidi: bool,
    /// Stanzas can be acknowledged (XEP-0198 §3).
    pub management: bool,
    /// The accepted sizes; informative, not to be negotiated.
    pub limits: StreamLimits,
}

impl Features {
    /// Parses `<stream:features/>`. STARTTLS alone is mandatory even without `<required/>` (RFC 6120 §5.3.1).
    pub fn read(features: &Node) -> Self {
        let negotiable = |child: &&Node| {
            !child.is(Namespace::StreamLimits, "limits")
                && !child.is(Namespace::BidiFeature, "bidi")
        };
        let alone = features.children.iter().filter(negotiable).count() == 1;
        let starttls = features.child(Namespace::Tls, "starttls").map(|starttls| {
            let required = starttls.child(Namespace::Tls, "required").is_some();
            if required || alone { StartTls::Required } else { StartTls::Optional }
        });
        let external = features.child(Namespace::Sasl, "mechanisms").is_some_and(|mechanisms| {
            mechanisms.children.iter().any(|child| {
                child.is(Namespace::Sasl, "mechanism") && child.text.trim() == "EXTERNAL"
            })
        });
        let dialback = features.child(Namespace::DialbackFeature, "dialback").map(|dialback| {
            DialbackFeature {
                errors: dialback.child(Namespace::DialbackFeature, "errors").is_some(),
            }
        });
        Self {
            starttls,
            external,
            dialback,
            bidi: features.child(Namespace::BidiFeature, "bidi").is_some(),
            management: features.child(Namespace::StreamManagement, "sm").is_some(),
            limits: StreamLimits::read(features),
        }
    }

    /// Writes `<stream:features/>`.
    pub(crate) fn write(self, out: &mut Out) {
        if self == Self::default() {
            out.put("<stream:features/>");
            return;
        }
        out.put("<stream:features>");
        match self.starttls {
            None => {}
            Some(StartTls::Optional) => {
                out.put("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
            }
            Some(StartTls::Required) => {
                out.put("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>");
            }
        }
        if self.external {
            out.put(
                "<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>\
                 <mechanism>EXTERNAL</mechanism></mechanisms>",
            );
        }
        match self.dialback {
            None => {}
            Some(DialbackFeature { errors: false }) => {
                out.put("<dialback xmlns='urn:xmpp:features:dialback'/>");
            }
            Some(DialbackFeature { errors: true }) => {
                out.put("<dialback xmlns='urn:xmpp:features:dialback'><errors/></dialback>");
            }
        }
        if self.bidi {
            out.put("<bidi xmlns='urn:xmpp:features:bidi'/>");
        }
        if self.management {
            out.put("<sm xmlns='urn:xmpp:sm:3'/>");
        }
        self.limits.write(out);
        out.put("</stream:features>");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::{Bounds, Item, Scanner};

    fn read(content: &str) -> Features {
        let input = format!(
            "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams'>\
             <stream:features>{content}</stream:features>"
        );
        let mut scanner = Scanner::new(Bounds::PRE_AUTHENTICATION);
        let mut buf = bytes::BytesMut::from(input.as_str());
        scanner.next(&mut buf).unwrap();
        let Ok(Some(Item::Element(element))) = scanner.next(&mut buf) else { panic!("{content}") };
        Features::read(&element.tree().unwrap())
    }

    #[test]
    fn rfc6120_5_3_1_starttls_is_mandatory_when_it_says_so_or_stands_alone() {
        let tls = "xmlns='urn:ietf:params:xml:ns:xmpp-tls'";
        let other = "<x xmlns='urn:x'/>";
        assert_eq!(read(&format!("<starttls {tls}/>")).starttls, Some(StartTls::Required));
        assert_eq!(read(&format!("<starttls {tls}/>{other}")).starttls, Some(StartTls::Optional));
        let required = format!("<starttls {tls}><required/></starttls>{other}");
        assert_eq!(read(&required).starttls, Some(StartTls::Required));
        let limits =
            "<limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>10000</max-bytes></limits>";
        let reported = read(&format!("<starttls {tls}/>{limits}"));
        assert_eq!(reported.starttls, Some(StartTls::Required), "limits are nothing to negotiate");
        assert_eq!(read("<starttls/>").starttls, None);
        assert_eq!(read("<starttls xmlns='urn:x'/>").starttls, None);
    }

    #[test]
    fn xep0478_limits_that_are_no_numbers_are_none() {
        let limits = |content: &str| {
            read(&format!("<limits xmlns='urn:xmpp:stream-limits:0'>{content}</limits>")).limits
        };
        assert_eq!(limits("<max-bytes> 20000 </max-bytes>").max_bytes, Some(20_000));
        for content in ["", "<max-bytes>many</max-bytes>", "<max-bytes>-1</max-bytes>"] {
            assert_eq!(limits(content), StreamLimits::default(), "{content}");
        }
        assert_eq!(limits("<idle-seconds>0</idle-seconds>").idle, None);
        assert_eq!(
            read("<limits xmlns='urn:x'><max-bytes>1</max-bytes></limits>").limits.max_bytes,
            None
        );
    }

    #[test]
    fn xep0478_numbers_of_any_size_give_times_that_a_clock_can_add() {
        let now = std::time::Instant::now();
        let day = std::time::Duration::from_hours(24);
        for digits in 1..=30 {
            for number in ["1", "9", "18446744073709551615"] {
                let number = number.repeat(digits);
                let limits = read(&format!(
                    "<limits xmlns='urn:xmpp:stream-limits:0'><idle-seconds>{number}</idle-seconds>\
                     <max-bytes>{number}</max-bytes></limits>"
                ))
                .limits;
                for own in [None, Some(day)] {
                    let idle = limits.idle_time(own).unwrap_or_default();
                    assert!(idle <= day, "{number} with {own:?}");
                    assert!(now.checked_add(idle).is_some(), "{number}");
                }
                let _ = limits.exceeded_by(usize::MAX);
            }
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        for starttls in [None, Some(StartTls::Optional), Some(StartTls::Required)] {
            for dialback in [None, Some(false), Some(true)] {
                for external in [false, true] {
                    let dialback = dialback.map(|errors| DialbackFeature { errors });
                    let limits = StreamLimits {
                        max_bytes: external.then_some(262_144),
                        idle: dialback.map(|_| std::time::Duration::from_mins(10)),
                    };
                    let (bidi, management) = (external, dialback.is_some());
                    let features =
                        Features { starttls, external, dialback, bidi, management, limits };
                    let mut out = Out::default();
                    features.write(&mut out);
                    let text = String::from_utf8(out.bytes.to_vec()).unwrap();
                    let content = text
                        .strip_prefix("<stream:features>")
                        .and_then(|text| text.strip_suffix("</stream:features>"))
                        .unwrap_or_default();
                    let alone =
                        starttls == Some(StartTls::Optional) && !external && dialback.is_none();
                    let starttls = if alone { Some(StartTls::Required) } else { starttls };
                    assert_eq!(read(content), Features { starttls, ..features }, "{text}");
                }
            }
        }
    }
}
