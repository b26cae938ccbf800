//! XEP-0368, SRV records for XMPP over TLS.

use super::Check;

mod s3;
mod s5;

pub(super) fn checks() -> Vec<Check> {
    [s3::CHECKS, s5::CHECKS].concat()
}
