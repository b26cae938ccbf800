use s2s_proto::certificate::chain::PeerChain;
use s2s_proto::certificate::judge::judge;
use s2s_proto::certificate::testing::{domain, now};
use s2s_proto::certificate::trust::Trust;

use super::*;
use crate::tls::issue::new_ca;

const DAY: u64 = 24 * 3600;

fn later(days: u64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(now().as_secs() + days * DAY))
}

fn ca(days: u64) -> PemPair {
    new_ca("backend CA", Duration::from_secs(days * DAY), now()).unwrap()
}

#[test]
fn a_minted_leaf_proves_the_remote_domain_to_who_trusts_the_ca_and_nobody_else() {
    let ca = ca(3650);
    let mint = Mint::new(&ca, [domain("local.example")]).unwrap();
    let trust = Trust::from_pem(ca.certificate.as_bytes(), "ca").unwrap();
    for name in ["partner.example", "bücher.example", &format!("{}.example", "long.".repeat(20))] {
        let name = name.replace("..", ".");
        let presented = mint.present_as(&domain(&name), now()).unwrap();
        let chain = PeerChain::presented(Some(&presented.key().cert));
        assert_eq!(judge(&chain, &domain(&name), &trust, &[], now()), Ok(()), "{name}");
        assert!(judge(&chain, &domain("other.example"), &trust, &[], now()).is_err());
        assert!(judge(&chain, &domain(&name), &Trust::none(), &[], now()).is_err());
        presented.key().keys_match().unwrap();
    }
}

#[test]
fn a_local_domain_is_never_minted() {
    let mint = Mint::new(&ca(3650), [domain("local.example")]).unwrap();
    let refused = mint.present_as(&domain("LOCAL.example."), now());
    assert!(
        matches!(refused, Err(MintError::LocalDomain(name)) if name == domain("local.example"))
    );
}

#[test]
fn a_leaf_is_kept_for_half_its_life_and_then_renewed() {
    let mint = Mint::new(&ca(3650), []).unwrap();
    let name = domain("partner.example");
    let first = mint.present_as(&name, now()).unwrap();
    let same = mint.present_as(&name, later(14)).unwrap();
    let renewed = mint.present_as(&name, later(15)).unwrap();
    assert!(Arc::ptr_eq(&first, &same));
    assert!(!Arc::ptr_eq(&first, &renewed));
}

#[test]
fn the_number_of_kept_leaves_is_bounded() {
    let mint = Mint::new(&ca(3650), []).unwrap();
    let template = mint.present_as(&domain("a.example"), now()).unwrap();
    for n in 0..MAX_LEAVES.get() + 10 {
        let leaf = Leaf { presented: Arc::clone(&template), renew_at: u64::MAX };
        mint.leaves().put(domain(&format!("d{n}.example")), leaf);
    }
    assert_eq!(mint.leaves().len(), MAX_LEAVES.get());
}

#[test]
fn a_leaf_never_outlives_its_ca_and_an_expired_ca_signs_nothing() {
    let mint = Mint::new(&ca(10), []).unwrap();
    let presented = mint.present_as(&domain("a.example"), now()).unwrap();
    let end = PeerChain::presented(Some(&presented.key().cert)).not_after().unwrap();
    assert_eq!(u64::try_from(end.as_second()).unwrap(), later(10).as_secs());
    let refused = mint.present_as(&domain("b.example"), later(11));
    assert!(matches!(refused, Err(MintError::Issue(IssueError::Expired(_)))));
}

#[test]
fn a_ca_that_cannot_sign_is_refused_with_its_reason() {
    let (one, two) = (ca(10), ca(10));
    let mixed = PemPair { certificate: one.certificate.clone(), private_key: two.private_key };
    assert!(matches!(Mint::new(&mixed, []), Err(IssueError::KeyMismatch)));
    let leaf =
        crate::tls::issue::self_signed(&[domain("a.example")], LEAF_LIFETIME, now()).unwrap();
    assert!(matches!(Mint::new(&leaf, []), Err(IssueError::Certificate(_))));
    let no_key = PemPair { certificate: one.certificate.clone(), private_key: "x".to_owned() };
    assert!(matches!(Mint::new(&no_key, []), Err(IssueError::Key(_))));
    assert!(!format!("{one:?}").contains("PRIVATE"));
}
