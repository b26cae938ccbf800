//! A key that signs a zone (RFC 4034), and possible flaws of its signatures.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hickory_proto::dnssec::crypto::Ed25519SigningKey;
use hickory_proto::dnssec::rdata::{DNSKEY, DNSSECRData, NSEC, RRSIG};
use hickory_proto::dnssec::{Algorithm, DnssecSigner, PublicKey as _, SigningKey as _};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordSet, RecordType};
use rcgen::date_time_ymd;

use super::error::{PeerError, Result};

/// Validity of a signature.
const LIFE: Duration = Duration::from_hours(1);

/// The flaw of the signature of a set of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// The signature covers other bytes.
    Forged,
    /// The signature expired yesterday.
    Expired,
    /// The signature is missing.
    Missing,
    /// The records are missing too, and an unrelated, unsigned zone reports their absence.
    Denied,
}

/// The key of the root, with which the server signs every name.
pub struct Signer {
    signer: DnssecSigner,
    asleep: AtomicBool,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer").finish_non_exhaustive()
    }
}

impl Signer {
    /// Generates a key.
    pub fn new() -> Result<Self> {
        let failed = |error| PeerError::Script(format!("no key for the zone: {error}"));
        let der = Ed25519SigningKey::generate_pkcs8().map_err(failed)?;
        let key = Ed25519SigningKey::from_pkcs8(&der).map_err(failed)?;
        let dnskey = DNSKEY::from_key(&key.to_public_key().map_err(failed)?);
        Ok(Self {
            signer: DnssecSigner::new(dnskey, Box::new(key), Name::root(), LIFE),
            asleep: AtomicBool::new(false),
        })
    }

    /// Stops or resumes signing: while stopped, answers have no signatures, as behind a resolver that strips them.
    pub fn sleep(&self, asleep: bool) {
        self.asleep.store(asleep, Ordering::Relaxed);
    }

    /// See [`Self::sleep`].
    pub fn is_asleep(&self) -> bool {
        self.asleep.load(Ordering::Relaxed)
    }

    /// The key as a resolver's trust anchor.
    pub fn anchor(&self) -> String {
        let key = self.signer.dnskey();
        let (flags, algorithm) = (key.flags(), u8::from(Algorithm::ED25519));
        let public = BASE64_STANDARD.encode(key.public_key().public_bytes());
        format!(". 3600 IN DNSKEY {flags} 3 {algorithm} {public}\n")
    }

    /// The key as a DNSKEY record of the root.
    pub fn key(&self) -> RData {
        RData::DNSSEC(DNSSECRData::DNSKEY(self.signer.to_dnskey()))
    }

    /// Proof that this name has these types and no others (RFC 4034 §4), generated for the query (RFC 4470).
    pub fn only(&self, name: &Name, types: impl IntoIterator<Item = RecordType>) -> Result<RData> {
        let next = name.prepend_label(&b"\0"[..]).map_err(|error| broken(&error))?;
        Ok(RData::DNSSEC(DNSSECRData::NSEC(NSEC::new_cover_self(next, types))))
    }

    /// The records with their signature.
    pub fn signed(&self, records: Vec<Record>, flaw: Option<Flaw>) -> Result<Vec<Record>> {
        let Some(first) = records.first() else { return Ok(records) };
        let (name, ttl) = (first.name.clone(), first.ttl);
        let mut set = RecordSet::new(name.clone(), first.record_type(), 0);
        set.set_records(records.clone());
        let epoch = date_time_ymd(1970, 1, 1);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let age = if flaw == Some(Flaw::Expired) { LIFE * 24 } else { LIFE / 2 };
        let inception = epoch + now.saturating_sub(age);
        let mut rrsig = RRSIG::from_rrset(&set, DNSClass::IN, inception, &self.signer)
            .map_err(|error| broken(&error))?;
        if flaw == Some(Flaw::Forged) {
            let mut signature = rrsig.sig().to_vec();
            signature.reverse();
            rrsig = RRSIG::from_sig(rrsig.input().clone(), signature);
        }
        let mut signed = records;
        if flaw != Some(Flaw::Missing) {
            let data = RData::DNSSEC(DNSSECRData::RRSIG(rrsig));
            signed.push(Record::from_rdata(name, ttl, data));
        }
        Ok(signed)
    }
}

fn broken(error: &dyn std::fmt::Display) -> PeerError {
    PeerError::Script(format!("a zone that cannot be signed: {error}"))
}
