//! Walks the records of a DNS message without decoding them: where the TTLs are, and their values. Pure.

use crate::dns::exchange::{HEADER, question};

/// SOA (RFC 1035 §3.2.2).
const SOA: u16 = 6;
/// OPT, whose TTL field has flags and the upper bits of the response code (RFC 6891 §6.1.3).
const OPT: u16 = 41;

/// The TTL data of an answer's records.
#[derive(Debug, Default, Eq, PartialEq)]
pub(super) struct Records {
    /// The whole response code.
    pub(super) code: u16,
    /// Records in the answer section.
    pub(super) answers: u16,
    /// Offsets of all TTLs.
    pub(super) ttls: Vec<u16>,
    /// The least TTL.
    pub(super) least_ttl: Option<u32>,
    /// The MINIMUM of the SOA record in the authority section, which only negative answers have (RFC 2308 §2).
    pub(super) negative_ttl: Option<u32>,
}

impl Records {
    /// Reads a message with one question. `None`: it is malformed.
    pub(super) fn read(message: &[u8]) -> Option<Self> {
        let [_, _, _, flags] = octets(message, 0)?;
        if number(message, 4)? != 1 {
            return None;
        }
        let mut records =
            Self { code: u16::from(flags & 0xf), answers: number(message, 6)?, ..Self::default() };
        let mut at = HEADER + question(message)?.len();
        for (count, is_authority) in [(6, false), (8, true), (10, false)] {
            for _ in 0..number(message, count)? {
                at = records.add(message, at, is_authority)?;
            }
        }
        Some(records)
    }

    /// Adds the record at an offset; returns the offset after it.
    fn add(&mut self, message: &[u8], at: usize, is_authority: bool) -> Option<usize> {
        // After the name: type, class, TTL, length of the data, data (RFC 1035 §4.1.3).
        let fixed = after_name(message, at)?;
        let kind = number(message, fixed)?;
        let ttl: [u8; 4] = octets(message, fixed + 4)?;
        let length = usize::from(number(message, fixed + 8)?);
        let data = message.get(fixed + 10..)?.get(..length)?;
        if kind == OPT {
            let [upper_code, ..] = ttl;
            self.code |= u16::from(upper_code) << 4;
        } else {
            let ttl = u32::from_be_bytes(ttl);
            // With the highest bit set it counts as zero (RFC 2181 §8).
            let ttl = if ttl > u32::MAX >> 1 { 0 } else { ttl };
            self.ttls.push(u16::try_from(fixed + 4).ok()?);
            self.least_ttl = Some(self.least_ttl.map_or(ttl, |least| least.min(ttl)));
        }
        if is_authority && kind == SOA {
            self.negative_ttl = data.last_chunk::<4>().map(|minimum| u32::from_be_bytes(*minimum));
        }
        Some(fixed + 10 + length)
    }
}

fn octets<const N: usize>(message: &[u8], at: usize) -> Option<[u8; N]> {
    message.get(at..)?.first_chunk().copied()
}

fn number(message: &[u8], at: usize) -> Option<u16> {
    octets(message, at).map(u16::from_be_bytes)
}

/// The offset after a name, which may end with a pointer (RFC 1035 §4.1.4).
fn after_name(message: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *message.get(at)? {
            0 => return Some(at + 1),
            length @ 1..=63 => at += 1 + usize::from(length),
            192.. => return Some(at + 2),
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A response to `a. IN A` with these records.
    fn message(counts: [u8; 3], records: &[&[u8]]) -> Vec<u8> {
        let [answers, authorities, additional] = counts;
        let header = [0, 7, 0x81, 0x80, 0, 1, 0, answers, 0, authorities, 0, additional];
        [&header[..], b"\x01a\0\0\x01\0\x01", &records.concat()].concat()
    }

    fn record(name: &[u8], kind: u16, ttl: u32, data: &[u8]) -> Vec<u8> {
        let length = u16::try_from(data.len()).unwrap().to_be_bytes();
        [name, &kind.to_be_bytes(), &[0, 1], &ttl.to_be_bytes(), &length, data].concat()
    }

    #[test]
    fn every_ttl_is_found_behind_names_of_both_forms() {
        let (first, second) =
            (record(b"\xc0\x0c", 1, 60, &[1; 4]), record(b"\x01b\xc0\x0c", 1, 30, &[2; 4]));
        let bytes = message([2, 0, 0], &[&first, &second]);
        let records = Records::read(&bytes).unwrap();
        assert_eq!((records.code, records.answers, records.least_ttl), (0, 2, Some(30)));
        let ttls: Vec<_> = records
            .ttls
            .iter()
            .map(|at| bytes[usize::from(*at)..].first_chunk().copied().map(u32::from_be_bytes))
            .collect();
        assert_eq!(ttls, [Some(60), Some(30)]);
        assert_eq!(records.negative_ttl, None);
    }

    #[test]
    fn rfc2308_2_the_minimum_of_the_soa_record_is_the_end_of_its_data() {
        let data = [&[0, 0][..], &[0; 16], &17_u32.to_be_bytes()].concat();
        let soa = record(b"\0", SOA, 300, &data);
        let records = Records::read(&message([0, 1, 0], &[&soa])).unwrap();
        assert_eq!((records.answers, records.negative_ttl), (0, Some(17)));
        let in_answer = Records::read(&message([1, 0, 0], &[&soa])).unwrap();
        assert_eq!(in_answer.negative_ttl, None, "somebody asked for it");
    }

    #[test]
    fn rfc6891_6_1_3_opt_has_no_ttl_but_the_upper_bits_of_the_code() {
        let opt = record(b"\0", OPT, 0x0100_8000, &[]);
        let records = Records::read(&message([0, 0, 1], &[&opt])).unwrap();
        assert_eq!((records.code, records.ttls.len(), records.least_ttl), (16, 0, None));
    }

    #[test]
    fn rfc2181_8_a_ttl_with_the_highest_bit_is_zero() {
        let records = Records::read(&message([1, 0, 0], &[&record(b"\0", 1, 1 << 31, &[1; 4])]));
        assert_eq!(records.unwrap().least_ttl, Some(0));
    }

    #[test]
    fn messages_cut_anywhere_are_malformed() {
        let whole = message([1, 0, 0], &[&record(b"\x01b\xc0\x0c", 1, 30, &[2; 4])]);
        assert!(Records::read(&whole).is_some());
        for length in 0..whole.len() {
            assert_eq!(Records::read(&whole[..length]), None, "{length}");
        }
        let two_questions = [&whole[..5], &[2], &whole[6..]].concat();
        assert_eq!(Records::read(&two_questions), None);
        let reserved = message([1, 0, 0], &[&record(b"\x41b\0", 1, 30, &[2; 4])]);
        assert_eq!(Records::read(&reserved), None);
    }
}
