//! The flows: one for each pair of domains and direction.

use harness::loopback::LOCAL;

/// A flow of stanzas.
#[derive(Debug, Clone)]
pub(crate) struct Flow {
    /// Its index among all flows. The index of the reverse pair differs in the last bit.
    pub index: usize,
    /// The sending domain.
    pub from: String,
    /// The receiving domain.
    pub to: String,
    /// Its sender requests acknowledgements (XEP-0198), and repeats unacknowledged stanzas.
    pub sender_asks: bool,
    /// Its receiver acknowledges.
    pub receiver_acknowledges: bool,
    /// Nothing is sent: the policy denies the last peer at times, so that peer only receives. Errors could not come
    /// back to it.
    pub is_silent: bool,
}

impl Flow {
    /// Whether the flow goes from a peer to the backend.
    pub(crate) fn is_inward(&self) -> bool {
        self.index % 2 == 1
    }
}

/// Creates both flows of each peer. Four peers have every combination of acknowledgements.
pub(crate) fn flows(peers: usize) -> Vec<Flow> {
    let mut flows = Vec::new();
    for peer in 0..peers {
        let domain = peer_domain(peer);
        let (receiver_acknowledges, sender_asks) = (peer % 2 == 0, peer / 2 % 2 == 0);
        for inward in [false, true] {
            let local = LOCAL.to_owned();
            let (from, to) = if inward { (domain.clone(), local) } else { (local, domain.clone()) };
            let index = flows.len();
            let is_silent = inward && peer + 1 == peers;
            let flow = Flow { index, from, to, sender_asks, receiver_acknowledges, is_silent };
            flows.push(flow);
        }
    }
    flows
}

/// The domain of that peer.
pub(crate) fn peer_domain(peer: usize) -> String {
    format!("p{peer}.example")
}

/// The flow of the reverse pair, on which errors come back.
pub(crate) fn reverse(index: usize) -> usize {
    index ^ 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reverse_flow_has_the_domains_swapped() {
        let flows = flows(3);
        for flow in &flows {
            let back = &flows[reverse(flow.index)];
            assert_eq!((&back.from, &back.to), (&flow.to, &flow.from));
            assert_eq!(reverse(back.index), flow.index);
        }
        assert_eq!(flows.iter().filter(|flow| flow.is_silent).count(), 1);
    }
}
