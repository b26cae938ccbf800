//! Connections of one of the small HTTP listeners, and which of them make room for a new one. No socket, no clock.

use std::collections::BTreeMap;

/// The connections of a listener, oldest first.
#[derive(Debug, Default)]
pub(super) struct Visitors<T> {
    open: BTreeMap<u64, Visitor<T>>,
    next: u64,
}

#[derive(Debug)]
struct Visitor<T> {
    handle: T,
    admitted: bool,
}

impl<T> Visitors<T> {
    /// A connection was accepted. Returns its number.
    pub(super) fn arrive(&mut self, handle: T) -> u64 {
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        self.open.insert(number, Visitor { handle, admitted: false });
        number
    }

    /// A connection sent an authorised request: it no longer makes room.
    pub(super) fn admit(&mut self, number: u64) {
        if let Some(visitor) = self.open.get_mut(&number) {
            visitor.admitted = true;
        }
    }

    /// A connection ended.
    pub(super) fn leave(&mut self, number: u64) {
        self.open.remove(&number);
    }

    /// With `limit` connections or more, removes and returns the oldest one that is not admitted.
    pub(super) fn make_room(&mut self, limit: usize) -> Option<T> {
        if self.open.len() < limit {
            return None;
        }
        let oldest = self.open.iter().find(|(_, visitor)| !visitor.admitted)?;
        let number = *oldest.0;
        self.open.remove(&number).map(|visitor| visitor.handle)
    }

    /// Whether `limit` connections are open.
    pub(super) fn is_full(&self, limit: usize) -> bool {
        self.open.len() >= limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_that_is_not_admitted_makes_room() {
        let mut visitors = Visitors::default();
        let numbers = ["a", "b", "c"].map(|name| visitors.arrive(name));
        assert_eq!(visitors.make_room(4), None);
        visitors.admit(numbers[0]);
        assert_eq!(visitors.make_room(3), Some("b"));
        assert!(!visitors.is_full(3));
        visitors.leave(numbers[2]);
        visitors.leave(numbers[1]);
        assert!(visitors.make_room(1).is_none() && visitors.is_full(1));
    }
}
