//! The answers of DNS servers about one name. Plain data.

use std::collections::BTreeSet;

/// The answers about one name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NameEvidence<T> {
    /// Answers of the authoritative servers; one entry with a failure if these servers are not known.
    pub zone: Vec<Answer<T>>,
    /// Answers of the recursive resolvers; empty while the zone is not as wanted.
    pub public: Vec<Answer<T>>,
}

impl<T> Default for NameEvidence<T> {
    fn default() -> Self {
        Self { zone: Vec::new(), public: Vec::new() }
    }
}

impl<T> NameEvidence<T> {
    /// Successful answers: those of the zone, or those of the resolvers if no server of the zone answers.
    pub fn best(&self) -> impl Iterator<Item = (&str, &BTreeSet<T>)> {
        let zone_answers = self.zone.iter().any(|answer| answer.found.is_ok());
        let answers = if zone_answers { &self.zone } else { &self.public };
        answers
            .iter()
            .filter_map(|answer| Some((answer.server.as_str(), answer.found.as_ref().ok()?)))
    }
}

impl<T> NameEvidence<T> {
    /// A resolver that rejects the signatures of the name's zone.
    pub fn bogus(&self) -> Option<&str> {
        let is_bogus = |answer: &&Answer<T>| matches!(answer.found, Err(NoAnswer::Bogus));
        self.public.iter().find(is_bogus).map(|answer| answer.server.as_str())
    }

    /// Every resolver that was queried fails to resolve the name, and a server of a zone above delegates it elsewhere: that
    /// server, and a resolver. A resolver that cannot reach any server fails in the same way, but then no server of a zone
    /// above answers either.
    pub fn broken_delegation(&self) -> Option<(&str, &str)> {
        let delegates =
            |answer: &&Answer<T>| matches!(answer.found, Err(NoAnswer::NotAuthoritative));
        let fails = |answer: &Answer<T>| matches!(answer.found, Err(NoAnswer::ServFail));
        let above = self.zone.iter().find(delegates)?;
        let resolver = self.public.first()?;
        let all = self.public.iter().all(fails) && self.zone.iter().all(|one| one.found.is_err());
        all.then_some((above.server.as_str(), resolver.server.as_str()))
    }

    /// Clears the times for which servers keep their answers, to compare the rest.
    pub fn forget_ttls(&mut self) {
        self.zone.iter_mut().chain(&mut self.public).for_each(|answer| answer.ttl = None);
    }

    /// Seconds until the first cached answer of a resolver expires.
    pub fn lowest_ttl(&self) -> Option<u32> {
        self.public.iter().filter_map(|answer| answer.ttl).min()
    }
}

/// The answer of one server.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Answer<T> {
    /// The server.
    pub server: String,
    /// The records, or why the query failed.
    pub found: Result<BTreeSet<T>, NoAnswer>,
    /// Seconds for which the server keeps the answer: the lowest TTL of its records, or the negative TTL (RFC 2308 §5).
    pub ttl: Option<u32>,
}

/// Why a query failed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NoAnswer {
    /// The resolver answers only without validation: the signatures do not match the zone's keys.
    #[error("it rejects the DNSSEC signatures (SERVFAIL, but an answer without validation)")]
    Bogus,
    /// The resolver answers, but cannot resolve the name.
    #[error("it answers SERVFAIL")]
    ServFail,
    /// The server has a zone above the name, and delegates the name elsewhere.
    #[error("it is not authoritative for the name")]
    NotAuthoritative,
    /// Any other failure.
    #[error("{0}")]
    Failed(String),
}

impl From<String> for NoAnswer {
    fn from(why: String) -> Self {
        Self::Failed(why)
    }
}

impl From<&str> for NoAnswer {
    fn from(why: &str) -> Self {
        Self::Failed(why.to_owned())
    }
}
