//! Parts of the engine for tests without sockets.
