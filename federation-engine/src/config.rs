//! Skeleton: filled in by its own change.
