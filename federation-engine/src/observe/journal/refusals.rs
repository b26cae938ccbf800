//! The last refusals, at most `MAX` of them. Any server can be refused, as often as it likes, so repetitions are one
//! entry, and no source displaces the entries of others.

use std::collections::VecDeque;

use crate::observe::evidence::InboundRefusal;
use crate::source::Prefix;

/// Maximum entries of one source prefix.
const MAX_PER_SOURCE: usize = 4;

/// Oldest first.
#[derive(Debug, Default)]
pub(super) struct Refusals<const MAX: usize>(VecDeque<InboundRefusal>);

impl<const MAX: usize> Refusals<MAX> {
    /// Whether it is new.
    pub(super) fn add(&mut self, mut refusal: InboundRefusal) -> bool {
        let known = self.0.iter().position(|known| {
            (&known.peer, &known.local, known.source)
                == (&refusal.peer, &refusal.local, refusal.source)
        });
        let known = known.and_then(|index| self.0.remove(index));
        let same = known
            .filter(|known| (&known.reason, &known.message) == (&refusal.reason, &refusal.message));
        if let Some(same) = &same {
            refusal.count = same.count.saturating_add(refusal.count);
        } else {
            self.make_room(&refusal);
        }
        self.0.push_back(refusal);
        same.is_none()
    }

    /// The source's own oldest entry goes first, if it has many; else the oldest of all.
    fn make_room(&mut self, needed_for: &InboundRefusal) {
        let source = Prefix::from(needed_for.source);
        let mut own = self
            .0
            .iter()
            .enumerate()
            .filter(|(_, known)| Prefix::from(known.source) == source)
            .map(|(index, _)| index);
        let oldest = own.next();
        if let Some(oldest) = oldest.filter(|_| 1 + own.count() >= MAX_PER_SOURCE) {
            self.0.remove(oldest);
        } else if self.0.len() >= MAX {
            self.0.pop_front();
        }
    }

    pub(super) fn list(&self) -> Vec<InboundRefusal> {
        self.0.iter().cloned().collect()
    }
}
