//! The command line of external-dns: its versions differ in one flag, and in what they publish.

use std::net::SocketAddr;
use std::path::Path;

use crate::parts::{OldExternalDns, Part};

/// The record types that external-dns writes, unless a test removes some.
pub const RECORD_TYPES: [&str; 4] = ["A", "AAAA", "CNAME", "SRV"];

/// The versions that the lab has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// The version of the lab.
    Current,
    /// An older one.
    Old(OldExternalDns),
}

impl Version {
    /// The part with the program.
    pub const fn part(self) -> Part {
        match self {
            Self::Current => Part::ExternalDns,
            Self::Old(version) => Part::OldExternalDns(version),
        }
    }
}

/// What external-dns reads and writes.
#[derive(Debug, Clone, Copy)]
pub struct ExternalDns<'a> {
    /// Its version.
    pub version: Version,
    /// The kubeconfig file.
    pub kubeconfig: &'a Path,
    /// Value of `--managed-record-types`.
    pub record_types: &'a [&'a str],
    /// The owner in its TXT records.
    pub owner: &'a str,
    /// Address of the DNS server.
    pub server: SocketAddr,
    /// The zone that it writes.
    pub zone: &'a str,
    /// Name and secret of the key that permits it.
    pub key: (&'a str, &'a str),
}

impl ExternalDns<'_> {
    /// The arguments of the program.
    pub fn arguments(&self) -> Vec<String> {
        let (key, secret) = self.key;
        let transfer = match self.version {
            Version::Current => "--rfc2136-axfr",
            Version::Old(_) => "--rfc2136-tsig-axfr",
        };
        let mut arguments: Vec<String> = [
            "--source=service",
            "--source=crd",
            "--provider=rfc2136",
            "--policy=sync",
            "--registry=txt",
            "--txt-prefix=%{record_type}.",
            "--rfc2136-tsig-secret-alg=hmac-sha256",
            transfer,
            "--interval=5s",
            "--events",
        ]
        .map(str::to_owned)
        .into();
        arguments
            .extend(self.record_types.iter().map(|kind| format!("--managed-record-types={kind}")));
        arguments.extend([
            format!("--kubeconfig={}", self.kubeconfig.display()),
            format!("--txt-owner-id={}", self.owner),
            format!("--rfc2136-host={}", self.server.ip()),
            format!("--rfc2136-port={}", self.server.port()),
            format!("--rfc2136-zone={}", self.zone),
            format!("--rfc2136-tsig-keyname={key}"),
            format!("--rfc2136-tsig-secret={secret}"),
            format!("--domain-filter={}", self.zone),
        ]);
        arguments
    }
}
