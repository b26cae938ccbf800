//! RFC 6120, XMPP Core.

use super::Check;

mod s10_1;
mod s10_4;
mod s11;
mod s13_12;
mod s13_7;
mod s3_2;
mod s3_3;
mod s4_3;
mod s4_4;
mod s4_6;
mod s4_7;
mod s4_8;
mod s4_9;
mod s5_3;
mod s5_4;
mod s6_3;
mod s6_4;
mod s8_1;
mod s8_3;

pub(super) fn checks() -> Vec<Check> {
    [
        s3_2::CHECKS,
        s3_3::CHECKS,
        s4_3::CHECKS,
        s4_4::CHECKS,
        s4_6::CHECKS,
        s4_7::CHECKS,
        s4_8::CHECKS,
        s4_9::CHECKS,
        s5_3::CHECKS,
        s5_4::CHECKS,
        s6_3::CHECKS,
        s6_4::CHECKS,
        s8_1::CHECKS,
        s8_3::CHECKS,
        s10_1::CHECKS,
        s10_4::CHECKS,
        s11::CHECKS,
        s13_7::CHECKS,
        s13_12::CHECKS,
    ]
    .concat()
}
