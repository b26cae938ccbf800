//! Every kind of key that servers on the Internet have, theirs and ours: in the certificate of an authority, and in the
//! handshake of both versions and both roles. And which key exchange comes about.

use rcgen::KeyPair;
use rustls::NamedGroup;
use rustls::SupportedProtocolVersion;
use s2s_proto::certificate::testing::leaf_params;

use super::*;

/// A name, and a private key.
const KEYS: [(&str, &str); 7] = [
    ("RSA 2048", include_str!("../../../../testdata/tls/keys/rsa2048.pem")),
    ("RSA 3072", include_str!("../../../../testdata/tls/keys/rsa3072.pem")),
    ("RSA 4096", include_str!("../../../../testdata/tls/keys/rsa4096.pem")),
    ("P-256", include_str!("../../../../testdata/tls/keys/p256.pem")),
    ("P-384", include_str!("../../../../testdata/tls/keys/p384.pem")),
    ("P-521", include_str!("../../../../testdata/tls/keys/p521.pem")),
    ("Ed25519", include_str!("../../../../testdata/tls/keys/ed25519.pem")),
];

fn key(pem: &str) -> KeyPair {
    KeyPair::from_pem(pem).unwrap()
}

/// An authority of that key, and a certificate that it has signed for another key of the kind, or the same.
fn issued(pem: &str, name: &str) -> (Ca, Presented) {
    let root = Ca::of_key("Root", key(pem));
    let (own, params) = (key(pem), leaf_params(&[name], server_auth));
    let leaf = params.signed_by(&own, &root.issuer).unwrap();
    let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(own.serialize_der()));
    let certified = CertifiedKey::from_der(vec![leaf.der().clone()], der, provider()).unwrap();
    (root, Presented::new(Arc::new(certified)).unwrap())
}

/// The configuration of a client that knows one version.
fn client_of(side: &Presented, version: &'static SupportedProtocolVersion) -> Arc<ClientConfig> {
    let mut config = ClientConfig::builder_with_provider(Arc::clone(provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(HoldsKey::of_any())
        .with_client_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(side.key()))));
    config.resumption = Resumption::disabled();
    Arc::new(config)
}

#[test]
fn every_kind_of_key_proves_a_domain_in_both_versions_and_roles() {
    for (kind, pem) in KEYS {
        let (root, server_side) = issued(pem, "server.example");
        let (_, client_side) = issued(pem, "client.example");
        for version in [&TLS13, &TLS12] {
            let (client, server) =
                handshake(client_of(&client_side, version), server_side.server(TlsStart::StartTls))
                    .unwrap_or_else(|error| panic!("{kind}, {version:?}: {error}"));
            for (certificates, name) in [
                (server.peer_certificates(), "client.example"),
                (client.peer_certificates(), "server.example"),
            ] {
                let verdict = judge(
                    &PeerChain::presented(certificates),
                    &domain(name),
                    &root.trust(),
                    &[],
                    now(),
                );
                assert_eq!(verdict, Ok(()), "{kind}, {version:?}, {name}");
            }
        }
    }
}

#[test]
fn draft_ietf_tls_ecdhe_mlkem_two_engines_exchange_keys_that_resist_quantum_computers() {
    let (_, side) = issued(KEYS[3].1, "server.example");
    for start in [TlsStart::StartTls, TlsStart::Direct] {
        let (client, server) = handshake(side.client(start), side.server(start)).unwrap();
        for group in
            [client.negotiated_key_exchange_group(), server.negotiated_key_exchange_group()]
        {
            assert_eq!(group.unwrap().name(), NamedGroup::X25519MLKEM768);
        }
        // Its share comes with the first message: another round trip would cost a peer time.
        assert_eq!(client.handshake_kind(), Some(rustls::HandshakeKind::Full));
    }
}

#[test]
fn a_peer_without_post_quantum_key_exchange_gets_a_classic_one() {
    let (_, side) = issued(KEYS[3].1, "server.example");
    for name in [NamedGroup::X25519, NamedGroup::secp256r1, NamedGroup::secp384r1] {
        let mut old = (**provider()).clone();
        old.kx_groups.retain(|group| group.name() == name);
        assert_eq!(old.kx_groups.len(), 1, "{name:?}");
        let old_client = ClientConfig::builder_with_provider(Arc::new(old.clone()))
            .with_protocol_versions(&[&TLS13, &TLS12])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(HoldsKey::of_any())
            .with_no_client_auth();
        let old_server = ServerConfig::builder_with_provider(Arc::new(old))
            .with_protocol_versions(&[&TLS13, &TLS12])
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(side.key()))));
        let start = TlsStart::StartTls;
        let (client, _) = handshake(Arc::new(old_client), side.server(start)).unwrap();
        assert_eq!(client.negotiated_key_exchange_group().unwrap().name(), name);
        let (client, _) = handshake(side.client(start), Arc::new(old_server)).unwrap();
        assert_eq!(client.negotiated_key_exchange_group().unwrap().name(), name);
    }
}
