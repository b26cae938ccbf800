//! DNS: the order of targets, and the answers to a backend.

use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU16;
use std::sync::Arc;

use federation_engine::Domain;
use federation_engine::dns::synth::answer::{Decision, SynthConfig, Transport};
use hickory_proto::op::Message;
use s2s_proto::plan::{self, Answer, Answers, MAX_TARGETS, Origin, SrvRecord, ValidatedAnswer};

/// Reads numbers; returns zeros after the end.
struct Numbers<'a>(&'a [u8]);

impl Numbers<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn short(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    fn answer(&mut self) -> ValidatedAnswer<SrvRecord> {
        let answer = match self.byte() % 6 {
            0 => Answer::Absent,
            1 => Answer::Failed("timed out".to_owned()),
            2 => Answer::Bogus,
            _ => {
                let records = (0..=self.byte() % 48).map(|_| self.record()).collect();
                let secure = self.byte().is_multiple_of(2);
                return ValidatedAnswer { answer: Answer::Records(records), secure };
            }
        };
        answer.into()
    }

    fn record(&mut self) -> SrvRecord {
        let host = self.byte();
        SrvRecord {
            priority: u16::from(self.byte() % 4),
            weight: self.short(),
            port: self.short() % 4,
            target: (!host.is_multiple_of(8))
                .then(|| Arc::from(format!("host{}.example", host % 8))),
        }
    }
}

/// SRV answers.
pub(crate) fn plan(data: &[u8]) {
    let mut numbers = Numbers(data);
    let mut optional = |present: bool| present.then(|| numbers.answer());
    let Some(xmpp) = optional(true) else { return };
    let flags = data.last().copied().unwrap_or(0);
    let answers =
        Answers { xmpp, xmpps: optional(flags & 1 != 0), jabber: optional(flags & 2 != 0) };
    let domain = Domain::parse("them.example").expect("a domain");
    let mut random =
        |most: u32| u32::from(numbers.short()).wrapping_mul(65_537) % most.max(1).saturating_add(2);
    let Ok(targets) = plan::plan(&domain, &answers, &mut random) else { return };
    assert!((1..=MAX_TARGETS).contains(&targets.len()), "{}", targets.len());
    assert!(targets.is_sorted_by_key(|target| target.priority));
    for (n, target) in targets.iter().enumerate() {
        let same = |other: &&plan::Target| {
            (&other.host, other.port, other.start) == (&target.host, target.port, target.start)
        };
        assert!(targets.iter().take(n).find(same).is_none(), "{target} occurs twice");
        if target.origin == Origin::Fallback {
            assert!(targets.len() == 1 && target.validated_for.is_none());
        }
    }
}

/// A query of the backend.
pub(crate) fn responder(data: &[u8]) {
    let domain = |name| Domain::parse(name).expect("a domain");
    let address = IpAddr::V4(Ipv4Addr::new(198, 18, 0, 1));
    let local = [domain("us.example"), domain("b\u{FC}cher.example")];
    let config = SynthConfig::new(&domain("xmpp.us.example"), address, NonZeroU16::MIN, local)
        .expect("the name fits");
    for transport in [Transport::Udp, Transport::Tcp] {
        let Decision::Reply(reply) = config.answer(data, transport) else { continue };
        let parsed = Message::from_vec(&reply).expect("an answer can be read");
        assert_eq!(reply.get(..2), data.get(..2), "it has the ID of the query");
        assert!(reply.get(2).is_some_and(|flags| flags & 0x80 != 0), "it is no query");
        // A question of 255 octets, one record, and our own additions.
        assert!(reply.len() <= if transport == Transport::Udp { 1_232 } else { 2_048 });
        assert!(parsed.answers.len() <= 1, "{parsed:?}");
    }
}
