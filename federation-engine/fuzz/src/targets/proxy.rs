//! The header of the PROXY protocol.

use s2s_proto::proxy_header::{self, MAX_BYTES};

/// The first bytes of a connection from a trusted proxy.
pub(crate) fn proxy(data: &[u8]) {
    let whole = proxy_header::decode(data);
    match whole {
        Ok(Some((_, length))) => {
            assert!(length <= data.len().min(MAX_BYTES), "{length}");
            assert!(proxy_header::begins(data));
            let header = data.get(..length).unwrap_or_default();
            assert_eq!(proxy_header::decode(header), whole, "the header is complete in itself");
        }
        Ok(None) => assert!(data.len() < MAX_BYTES, "an incomplete header is bounded"),
        Err(_) => {}
    }
    // The result does not depend on how the bytes arrive.
    for end in 0..data.len().min(MAX_BYTES) {
        match proxy_header::decode(data.get(..end).unwrap_or_default()) {
            Ok(None) => {}
            decided => {
                assert_eq!(decided, whole, "after {end} bytes");
                break;
            }
        }
    }
}
