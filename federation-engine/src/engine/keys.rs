//! The engine's dialback keys and stream IDs, the same on both legs.

use s2s_proto::dialback::{Key, KeyInquiry};
use s2s_proto::pair::Pair;
use s2s_proto::stream::{Keys, StreamId};

use crate::Domain;
use crate::engine::Engine;

impl Keys for Engine {
    fn dialback_key(&self, receiving: &Domain, originating: &Domain, id: &str) -> Key {
        self.snapshot().dialback.key(receiving, originating, id)
    }

    fn key_is_ours(&self, receiving: &Domain, originating: &Domain, id: &str, key: &str) -> bool {
        self.snapshot().dialback.confirms(receiving, originating, id, key)
    }

    fn key_inquiry(&self, pair: &Pair, id: &str) -> KeyInquiry {
        self.inquiries().of(pair, id)
    }

    fn stream_id(&self) -> StreamId {
        StreamId::new(rand::random())
    }
}
