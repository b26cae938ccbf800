//! Answers of the resolvers, cached as received for as long as their TTL allows (RFC 1035 §7.4, RFC 2308 §5).
//!
//! The resolver library has a cache of its own. It is bounded in answers but not in bytes, and its key is the question
//! alone. The flags, the DNSSEC bit and the EDNS options of a client determine the form of an answer, and are not in
//! that key. Here the key is the whole query except for its ID and the case of its name, so only an identical query
//! gets the same answer. Pure: time is an argument.

use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use lru::LruCache;

use super::answer::Transport;
use super::records::Records;
use crate::dns::exchange::{HEADER, is_truncated, question};

/// Answers kept; the least recently used is dropped first.
const MAX_ANSWERS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(2047);
/// Bytes of all entries.
const MAX_BYTES: usize = 1 << 20;
/// Bytes that an entry costs beside its key and its answer.
const OVERHEAD: usize = 160;
/// Bytes of one answer. One that is larger would drop many others.
const MAX_ANSWER: usize = 4096;
/// Maximum delay until a changed record is seen.
const MAX_POSITIVE_TTL: Duration = Duration::from_hours(1);
/// Maximum delay until a new record is seen.
const MAX_NEGATIVE_TTL: Duration = Duration::from_mins(1);

/// AA in the third octet of the header: an answer out of a cache is not authoritative (RFC 1035 §4.1.1).
const AUTHORITATIVE: u8 = 0b100;
/// QTYPEs that ask for no records of a type: TKEY, TSIG, IXFR, AXFR, MAILB, MAILA, ANY.
const META_TYPES: std::ops::RangeInclusive<u16> = 249..=255;

/// The kept answers.
#[derive(Debug)]
pub(super) struct Cache {
    answers: LruCache<Box<[u8]>, Kept>,
    bytes: usize,
}

#[derive(Debug)]
struct Kept {
    answer: Box<[u8]>,
    /// Where its TTLs are.
    ttls: Box<[u16]>,
    since: Instant,
    until: Instant,
}

impl Kept {
    fn size(&self, key: &[u8]) -> usize {
        OVERHEAD + key.len() + self.answer.len() + 2 * self.ttls.len()
    }
}

impl Default for Cache {
    fn default() -> Self {
        Self { answers: LruCache::new(MAX_ANSWERS), bytes: 0 }
    }
}

impl Cache {
    /// The kept answer to this query: with its ID, the case of its name, and what is left of the TTLs.
    pub(super) fn get(
        &mut self,
        query: &[u8],
        transport: Transport,
        now: Instant,
    ) -> Option<Vec<u8>> {
        let key = key(query, transport)?;
        let kept = self.answers.get(&key)?;
        if kept.until <= now {
            self.remove(&key);
            return None;
        }
        let mut answer = kept.answer.to_vec();
        let age = now.saturating_duration_since(kept.since).as_secs();
        for at in &kept.ttls {
            reduce_ttl(&mut answer, usize::from(*at), age)?;
        }
        let asked = question(query)?;
        answer.get_mut(HEADER..HEADER + asked.len())?.copy_from_slice(asked);
        answer.get_mut(..2)?.copy_from_slice(query.get(..2)?);
        *answer.get_mut(2)? &= !AUTHORITATIVE;
        Some(answer)
    }

    /// Caches an answer if it may be cached.
    pub(super) fn put(&mut self, query: &[u8], transport: Transport, answer: &[u8], now: Instant) {
        let Some(key) = key(query, transport) else { return };
        let Some((lifetime, records)) = lifetime(answer) else { return };
        let Some(until) = now.checked_add(lifetime) else { return };
        self.remove(&key);
        let kept = Kept { answer: answer.into(), ttls: records.ttls.into(), since: now, until };
        self.bytes += kept.size(&key);
        if let Some((key, dropped)) = self.answers.push(key, kept) {
            self.bytes -= dropped.size(&key);
        }
        while self.bytes > MAX_BYTES
            && let Some((key, dropped)) = self.answers.pop_lru()
        {
            self.bytes -= dropped.size(&key);
        }
    }

    fn remove(&mut self, key: &[u8]) {
        if let Some(dropped) = self.answers.pop(key) {
            self.bytes -= dropped.size(key);
        }
    }
}

/// The query without its ID, its name in lower case, after a mark of the transport: over UDP an answer may be
/// truncated.
fn key(query: &[u8], transport: Transport) -> Option<Box<[u8]>> {
    let asked = question(query)?;
    let (name, _) = asked.split_last_chunk::<4>()?;
    let (_, after_id) = query.split_first_chunk::<2>()?;
    let mut key = Vec::with_capacity(after_id.len() + 1);
    key.push(u8::from(transport == Transport::Tcp));
    key.extend_from_slice(after_id);
    // The header has one octet less without the ID and with the mark.
    key.get_mut(HEADER - 1..)?.get_mut(..name.len())?.make_ascii_lowercase();
    Some(key.into())
}

/// How long an answer may be kept, and its records; `None`: not at all.
fn lifetime(answer: &[u8]) -> Option<(Duration, Records)> {
    let (_, [type_high, type_low, _, _]) = question(answer)?.split_last_chunk::<4>()?;
    let meta = META_TYPES.contains(&u16::from_be_bytes([*type_high, *type_low]));
    if answer.len() > MAX_ANSWER || is_truncated(answer) || meta {
        return None;
    }
    let records = Records::read(answer)?;
    // NOERROR and NXDOMAIN are answers; other codes are not cached (RFC 2308 §7).
    if !matches!(records.code, 0 | 3) {
        return None;
    }
    let longest = match records.negative_ttl {
        Some(ttl) => MAX_NEGATIVE_TTL.min(Duration::from_secs(ttl.into())),
        // Absence without a SOA record is not cached (RFC 2308 §5).
        None if records.answers == 0 => return None,
        None => MAX_POSITIVE_TTL,
    };
    let least = Duration::from_secs(records.least_ttl?.into());
    let lifetime = longest.min(least);
    (!lifetime.is_zero()).then_some((lifetime, records))
}

fn reduce_ttl(answer: &mut [u8], at: usize, age: u64) -> Option<()> {
    let place = answer.get_mut(at..)?.first_chunk_mut::<4>()?;
    let left = u64::from(u32::from_be_bytes(*place)).saturating_sub(age);
    *place = u32::try_from(left).unwrap_or(u32::MAX).to_be_bytes();
    Some(())
}

#[cfg(test)]
mod tests;
