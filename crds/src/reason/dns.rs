//! Reasons of the conditions about names in DNS, and who claims them.

reasons! {
    /// Reasons of `HostResolves`.
    HostResolvesReason explains HostResolves {
        True:
            /// DNS has the Service's addresses.
            RecordsMatch,
            /// SRV records point to the load balancer's own host name.
            NotNeeded;
        False:
            /// DNS has no address record.
            RecordNotFound,
            /// DNS has other addresses.
            AddressMismatch,
            /// Only some addresses are correct.
            PartialMatch,
            /// The record belongs to another instance of external-dns.
            OwnedByOther,
            /// The zone is correct, but a resolver still has the old answer cached.
            StaleCache,
            /// The resolvers answer, but none reaches a server of the zone.
            DelegationBroken,
            /// A resolver rejects the DNSSEC signatures of the zone.
            DNSSECBogus;
        Unknown:
            /// No resolver answers.
            ResolverUnavailable;
    }

    /// Reasons of `SRVResolves`.
    SRVResolvesReason explains SRVResolves {
        True:
            /// DNS has the expected records.
            RecordsMatch,
            /// DNS has the expected records behind an alias.
            RecordsMatchViaAlias;
        False:
            /// DNS has no SRV record.
            SRVNotFound,
            /// The cluster has no DNSEndpoint kind.
            ExternalDNSCRDMissing,
            /// external-dns does not read the DNSEndpoint.
            ExternalDNSNotWatching,
            /// external-dns publishes address records but no SRV records.
            SRVTypeNotManaged,
            /// The record points to another host.
            SRVTargetMismatch,
            /// The record points to another port.
            SRVPortMismatch,
            /// The record points to another party's server.
            ClaimedElsewhere,
            /// The record declares that there is no service.
            ServiceDisabled,
            /// An old record exists next to the expected one.
            StaleRecord,
            /// The resolvers answer, but none reaches a server of the zone.
            DelegationBroken,
            /// A resolver rejects the DNSSEC signatures of the zone.
            DNSSECBogus;
        Unknown:
            /// No resolver answers.
            ResolverUnavailable,
            /// The records are not published until the engine has been ready.
            PublicationHeld;
    }

    /// Reasons of `DomainUncontested`.
    DomainUncontestedReason explains DomainUncontested {
        True:
            /// No other claim was found.
            Uncontested;
        False:
            /// According to DNS or a partner, another server has the domain.
            DomainClaimedElsewhere,
            /// Another federation of this cluster claims the domain.
            DomainConflict;
        Unknown:
            /// No resolver answers.
            ResolverUnavailable,
            /// The partner's answer is inconclusive.
            ControlProbeInconclusive;
    }
}
