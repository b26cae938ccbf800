//! XEP-0178, SASL EXTERNAL with certificates.

use super::Check;

mod s3;

pub(super) fn checks() -> Vec<Check> {
    s3::CHECKS.to_vec()
}
