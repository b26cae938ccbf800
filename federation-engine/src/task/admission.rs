//! How many things one source may keep open at once: streams that are not authenticated, verifications that it causes.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use crate::source::Prefix;

/// Counts per source prefix.
#[derive(Clone, Default)]
pub(crate) struct Admission(Arc<Mutex<HashMap<Prefix, usize>>>);

/// One admitted thing; dropping it makes room.
pub(crate) struct Permit {
    admission: Admission,
    prefix: Prefix,
}

impl Admission {
    /// Admits one more of `source`, unless it has `limit` already.
    pub(crate) fn admit(&self, source: IpAddr, limit: usize) -> Option<Permit> {
        let prefix = Prefix::from(source);
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(prefix).or_insert(0);
        if *count >= limit {
            return None;
        }
        *count += 1;
        Some(Permit { admission: self.clone(), prefix })
    }
}

#[cfg(test)]
impl Admission {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.lock().unwrap().is_empty()
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut counts = self.admission.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.prefix) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                counts.remove(&self.prefix);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_by_prefix_and_forgets_what_ended() {
        let admission = Admission::default();
        let first = admission.admit("198.18.1.1".parse().unwrap(), 2).unwrap();
        let _second = admission.admit("198.18.1.250".parse().unwrap(), 2).unwrap();
        assert!(
            admission.admit("::ffff:198.18.1.9".parse().unwrap(), 2).is_none(),
            "the same /24, mapped"
        );
        assert!(admission.admit("198.18.2.1".parse().unwrap(), 2).is_some());
        drop(first);
        assert!(admission.admit("198.18.1.7".parse().unwrap(), 2).is_some());
        assert_eq!(admission.0.lock().unwrap().len(), 1);
    }
}
