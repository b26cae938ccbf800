//! Real handshakes in memory.

mod key_types;

use rustls::{ClientConnection, ProtocolVersion, ServerConnection};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use s2s_proto::certificate::chain::PeerChain;
use s2s_proto::certificate::judge::judge;
use s2s_proto::certificate::testing::{Ca, domain, now, server_auth};

use super::*;

fn presented(root: &Ca, name: &str) -> Presented {
    let (leaf, key) = root.leaf(&[name], server_auth);
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let key = CertifiedKey::from_der(vec![leaf.der().clone()], key, provider()).unwrap();
    Presented::new(Arc::new(key)).unwrap()
}

/// Moves bytes between the two until both are done, or one fails.
fn handshake(
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
) -> Result<(ClientConnection, ServerConnection), Error> {
    let name = server_name(&domain("server.example")).unwrap();
    let mut client = ClientConnection::new(client, name)?;
    let mut server = ServerConnection::new(server)?;
    while client.is_handshaking()
        || server.is_handshaking()
        || client.wants_write()
        || server.wants_write()
    {
        let mut bytes = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut bytes).unwrap();
        }
        let mut input = bytes.as_slice();
        while !input.is_empty() {
            server.read_tls(&mut input).unwrap();
            server.process_new_packets()?;
        }
        let mut bytes = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut bytes).unwrap();
        }
        let mut input = bytes.as_slice();
        while !input.is_empty() {
            client.read_tls(&mut input).unwrap();
            client.process_new_packets()?;
        }
    }
    Ok((client, server))
}

#[test]
fn both_sides_collect_a_server_auth_only_chain_that_is_judged_afterwards() {
    let root = Ca::root("Root");
    let (client_side, server_side) =
        (presented(&root, "client.example"), presented(&root, "server.example"));
    for start in [TlsStart::StartTls, TlsStart::Direct] {
        let (client, server) =
            handshake(client_side.client(start), server_side.server(start)).unwrap();
        let from_client = PeerChain::presented(server.peer_certificates());
        let from_server = PeerChain::presented(client.peer_certificates());
        assert_eq!(
            judge(&from_client, &domain("client.example"), &root.trust(), &[], now()),
            Ok(())
        );
        assert_eq!(
            judge(&from_server, &domain("server.example"), &root.trust(), &[], now()),
            Ok(())
        );
        assert_eq!(server.server_name(), Some("server.example"));
        let direct = start == TlsStart::Direct;
        assert_eq!(server.alpn_protocol(), direct.then_some(ALPN));
    }
}

#[test]
fn a_peer_without_certificate_and_a_stranger_get_through_the_handshake_unauthenticated() {
    let root = Ca::root("Root");
    let server_side = presented(&root, "server.example");
    let start = TlsStart::StartTls;
    let (_, server) =
        handshake(anonymous_client(start).unwrap(), server_side.server(start)).unwrap();
    assert!(PeerChain::presented(server.peer_certificates()).is_empty());
    let stranger = presented(&Ca::root("Other"), "client.example");
    let (_, server) = handshake(stranger.client(start), server_side.server(start)).unwrap();
    let chain = PeerChain::presented(server.peer_certificates());
    assert!(judge(&chain, &domain("client.example"), &root.trust(), &[], now()).is_err());
}

#[test]
fn a_chain_whose_key_the_peer_does_not_hold_fails_the_handshake() {
    let root = Ca::root("Root");
    let server_side = presented(&root, "server.example");
    let (victim, thief) = (presented(&root, "client.example"), presented(&root, "thief.example"));
    let forged = CertifiedKey::new(victim.key().cert.clone(), Arc::clone(&thief.key().key));
    let forged = Presented::new(Arc::new(forged)).unwrap();
    for versions in [&[&TLS13][..], &[&TLS12]] {
        let mut client = ClientConfig::builder_with_provider(Arc::clone(provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(HoldsKey::of_any())
            .with_client_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(forged.key()))));
        client.resumption = Resumption::disabled();
        let result = handshake(Arc::new(client), server_side.server(TlsStart::StartTls));
        assert!(matches!(result, Err(Error::InvalidCertificate(_))), "{:?}", result.err());
    }
    let start = TlsStart::StartTls;
    let result = handshake(anonymous_client(start).unwrap(), forged.server(start));
    assert!(result.is_err(), "the dialling side checks as well");
}

#[test]
fn nothing_is_resumed_even_for_a_client_that_would() {
    let root = Ca::root("Root");
    let server_side = presented(&root, "server.example");
    let client_side = presented(&root, "client.example");
    for version in [&TLS13, &TLS12] {
        let client = ClientConfig::builder_with_provider(Arc::clone(provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(HoldsKey::of_any())
            .with_client_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(
                client_side.key(),
            ))));
        let client = Arc::new(client);
        for _ in 0..2 {
            let (connection, server) =
                handshake(Arc::clone(&client), server_side.server(TlsStart::StartTls)).unwrap();
            assert_eq!(connection.handshake_kind(), Some(rustls::HandshakeKind::Full));
            assert_eq!(server.peer_certificates().map(<[_]>::len), Some(1));
            let expected = if version.version == TLS13.version {
                ProtocolVersion::TLSv1_3
            } else {
                ProtocolVersion::TLSv1_2
            };
            assert_eq!(connection.protocol_version(), Some(expected));
        }
    }
}

#[test]
fn xep0368_a_client_of_another_protocol_is_refused_on_direct_tls() {
    let root = Ca::root("Root");
    let server_side = presented(&root, "server.example");
    let mut client = (*anonymous_client(TlsStart::Direct).unwrap()).clone();
    client.alpn_protocols = vec![b"xmpp-client".to_vec()];
    assert!(handshake(Arc::new(client), server_side.server(TlsStart::Direct)).is_err());
    let silent = anonymous_client(TlsStart::StartTls).unwrap();
    assert!(handshake(silent, server_side.server(TlsStart::Direct)).is_ok(), "ALPN is optional");
}

#[test]
fn configurations_are_shared_by_all_connections_of_a_certificate() {
    let side = presented(&Ca::root("Root"), "server.example");
    let start = TlsStart::StartTls;
    assert!(Arc::ptr_eq(&side.server(start), &side.server(start)));
    assert!(!Arc::ptr_eq(&side.server(start), &side.server(TlsStart::Direct)));
}

#[test]
fn a_certificate_of_version_1_gets_through_the_handshake_if_the_peer_holds_its_key() {
    use rustls_pki_types::CertificateDer;
    use rustls_pki_types::pem::PemObject;
    let file = |name: &str| format!("{}/testdata/tls/{name}", env!("CARGO_MANIFEST_DIR"));
    let certificate = CertificateDer::from_pem_file(file("version1.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(file("version1.key")).unwrap();
    let signer = provider().key_provider.load_private_key(key).unwrap();
    let honest = Arc::new(CertifiedKey::new(vec![certificate.clone()], signer));
    let other = presented(&Ca::root("Root"), "thief.example");
    let thief = Arc::new(CertifiedKey::new(vec![certificate], Arc::clone(&other.key().key)));
    for version in [&TLS13, &TLS12] {
        let try_with = |key: &Arc<CertifiedKey>| {
            let client = ClientConfig::builder_with_provider(Arc::clone(provider()))
                .with_protocol_versions(&[version])
                .unwrap()
                .dangerous()
                .with_custom_certificate_verifier(HoldsKey::of_any())
                .with_no_client_auth();
            let server = Presented::new(Arc::clone(key)).unwrap().server(TlsStart::StartTls);
            handshake(Arc::new(client), server)
        };
        try_with(&honest).unwrap();
        assert!(try_with(&thief).is_err());
    }
}
