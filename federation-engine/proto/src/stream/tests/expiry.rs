//! Certificates that expire while their stream lives: RFC 6120 §13.7.2.3, §4.9.3.16.

use super::initiating::{established_by_dialback, established_by_external};
use super::*;

const ALMOST: Duration = Duration::from_secs(3599);
const UNTIL_EXPIRY: Duration = Duration::from_hours(1);
const LATER: Duration = Duration::from_hours(2);

#[test]
fn rfc6120_13_7_2_3_a_peers_stream_is_reset_when_the_first_certificate_expires() {
    let world = standards();
    let mut side = Receiving::authenticated(&world);
    assert_eq!(side.machine.deadline(), None);
    side.machine.expires(side.now + LATER);
    side.machine.expires(side.now + UNTIL_EXPIRY);
    assert_eq!(side.machine.deadline(), Some(side.now + UNTIL_EXPIRY));
    assert_eq!(side.pass(ALMOST, &world), "");
    assert!(!side.closed());
    let written = side.pass(Duration::from_secs(1), &world);
    assert_stream_error(&side, &written, "reset");
}

#[test]
fn rfc6120_13_7_2_3_our_own_stream_is_reset_when_the_first_certificate_expires() {
    let world = standards();
    for mut side in [established_by_external(&world), established_by_dialback(&world)] {
        side.machine.expires(side.now + UNTIL_EXPIRY);
        side.machine.expires(side.now + LATER);
        assert_eq!(side.pass(ALMOST), " ", "a sign of life, and no end");
        assert_eq!(side.machine.deadline(), Some(side.now + Duration::from_secs(1)));
        let written = side.pass(Duration::from_secs(1));
        assert_stream_error(&side, &written, "reset");
        // A stream that we closed is not a failure of the peer.
        assert_eq!(side.failure(), None);
    }
}

#[test]
fn a_stream_that_is_closing_already_is_not_reset() {
    let world = standards();
    let mut side = Receiving::authenticated(&world);
    side.machine.expires(side.now + Duration::from_secs(1));
    let mut out = Out::default();
    side.machine.close(side.now, &mut out);
    side.take(out);
    assert_eq!(side.pass(Duration::from_secs(2), &world), "");
    assert!(!side.closed());
}
