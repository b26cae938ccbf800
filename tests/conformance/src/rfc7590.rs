//! RFC 7590, TLS in XMPP.

use super::Check;

mod s3;

pub(super) fn checks() -> Vec<Check> {
    s3::CHECKS.to_vec()
}
