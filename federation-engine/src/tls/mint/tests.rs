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

fn presented(mint: &Mint, name: &str, now: UnixTime) -> Result<Arc<Presented>, MintError> {
    mint.present_as(&domain(name), now, Instant::now()).map(|minted| minted.presented)
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
        let minted = presented(&mint, &name, now()).unwrap();
        let chain = PeerChain::presented(Some(&minted.key().cert));
        assert_eq!(judge(&chain, &domain(&name), &trust, &[], now()), Ok(()), "{name}");
        assert!(judge(&chain, &domain("other.example"), &trust, &[], now()).is_err());
        assert!(judge(&chain, &domain(&name), &Trust::none(), &[], now()).is_err());
        minted.key().keys_match().unwrap();
    }
}

#[test]
fn a_local_domain_is_never_minted() {
    let mint = Mint::new(&ca(3650), [domain("local.example")]).unwrap();
    let refused = presented(&mint, "LOCAL.example.", now());
    assert!(
        matches!(refused, Err(MintError::LocalDomain(name)) if name == domain("local.example"))
    );
}

#[test]
fn a_leaf_is_kept_for_half_its_life_and_then_renewed() {
    let mint = Mint::new(&ca(3650), []).unwrap();
    let first = presented(&mint, "partner.example", now()).unwrap();
    let same = presented(&mint, "partner.example", later(14)).unwrap();
    let renewed = presented(&mint, "partner.example", later(15)).unwrap();
    assert!(Arc::ptr_eq(&first, &same));
    assert!(!Arc::ptr_eq(&first, &renewed));
}

#[test]
fn the_number_of_kept_leaves_is_bounded() {
    let mint = Mint::new(&ca(3650), []).unwrap();
    let template = presented(&mint, "a.example", now()).unwrap();
    for n in 0..MAX_LEAVES.get() + 10 {
        let leaf = Leaf {
            presented: Arc::clone(&template),
            authority: Arc::clone(&mint.authority),
            renew_at: u64::MAX,
        };
        mint.leaves().put(domain(&format!("d{n}.example")), leaf);
    }
    assert_eq!(mint.leaves().len(), MAX_LEAVES.get());
}

#[test]
fn a_leaf_never_outlives_its_ca_and_an_expired_ca_signs_nothing() {
    let mint = Mint::new(&ca(10), []).unwrap();
    let minted = presented(&mint, "a.example", now()).unwrap();
    let end = PeerChain::presented(Some(&minted.key().cert)).not_after().unwrap();
    assert_eq!(u64::try_from(end.as_second()).unwrap(), later(10).as_secs());
    let refused = presented(&mint, "b.example", later(11));
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

/// The CA that issued a leaf: the second certificate of its chain.
fn issuer(presented: &Presented) -> &[u8] {
    &presented.key().cert[1]
}

fn der(ca: &PemPair) -> Vec<u8> {
    Authority::from_pem(ca).unwrap().certificate().to_vec()
}

#[test]
fn rfc5280_4_2_1_12_a_minted_leaf_authenticates_servers_and_clients() {
    let mint = Mint::new(&ca(3650), []).unwrap();
    let minted = presented(&mint, "partner.example", now()).unwrap();
    let leaf = s2s_proto::certificate::facts::parse(&minted.key().cert[0]).unwrap();
    let usage = leaf.extended_key_usage().unwrap().unwrap().value;
    assert!(usage.server_auth && usage.client_auth, "{usage:?}");
}

#[test]
fn a_new_ca_signs_from_its_time_on_and_the_last_one_until_then() {
    let (old, new) = (ca(3650), ca(3650));
    let last = Mint::new(&old, []).unwrap();
    let before = presented(&last, "a.example", now()).unwrap();
    let mint = Mint::new(&new, []).unwrap().after(&last, Some(later(7)));
    let kept = presented(&mint, "a.example", later(6)).unwrap();
    assert!(Arc::ptr_eq(&before, &kept), "the cache survives the reload");
    assert_eq!(issuer(&presented(&mint, "b.example", later(6)).unwrap()), der(&old));
    for name in ["a.example", "b.example"] {
        assert_eq!(issuer(&presented(&mint, name, later(7)).unwrap()), der(&new), "{name}");
    }
    // A reload in between changes nothing.
    let again = Mint::new(&new, []).unwrap().after(&mint, Some(later(7)));
    assert_eq!(issuer(&presented(&again, "c.example", later(6)).unwrap()), der(&old));
    assert_eq!(issuer(&presented(&again, "c.example", later(7)).unwrap()), der(&new));
}

#[test]
fn a_new_ca_without_a_time_signs_at_once_and_so_does_one_whose_predecessor_expired() {
    let (old, new) = (ca(10), ca(3650));
    let last = Mint::new(&old, []).unwrap();
    presented(&last, "a.example", now()).unwrap();
    let mint = Mint::new(&new, []).unwrap().after(&last, None);
    assert_eq!(issuer(&presented(&mint, "a.example", now()).unwrap()), der(&new));
    let mint = Mint::new(&new, []).unwrap().after(&last, Some(later(30)));
    assert_eq!(issuer(&presented(&mint, "a.example", later(9)).unwrap()), der(&old));
    assert_eq!(issuer(&presented(&mint, "a.example", later(10)).unwrap()), der(&new));
}

#[test]
fn the_rate_limit_refuses_with_its_reason_spares_cached_leaves_and_survives_a_reload() {
    let ca = ca(3650);
    let mint = Mint::new(&ca, []).unwrap();
    let at = Instant::now();
    let ask = |mint: &Mint, days| {
        mint.present_as(&domain("a.example"), later(days), at).map(|minted| minted.fresh)
    };
    assert!(ask(&mint, 0).unwrap());
    for _ in 0..1_000 {
        assert!(!ask(&mint, 0).unwrap());
    }
    // Each is renewed after half of its life: many renewals at one moment of the monotonic clock.
    let renewed = (1..1_000).take_while(|n| ask(&mint, n * 15).is_ok()).count();
    assert_eq!(renewed, 15);
    let mint = Mint::new(&ca, []).unwrap().after(&mint, None);
    let refused = ask(&mint, 16 * 15).unwrap_err();
    assert!(matches!(&refused, MintError::TooFast(TooFast::Domain(_))), "{refused}");
    assert!(mint.present_as(&domain("b.example"), now(), at).unwrap().fresh);
}
