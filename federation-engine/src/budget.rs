//! One budget for the process: bytes and connections. The model is Envoy's overload manager.
//!
//! [`detect`] reads what the system grants, [`account`] counts what is held, and [`decide`] selects the holders that
//! make room. Nothing here closes anything: `run::overload` acts.

pub(crate) mod account;
pub(crate) mod decide;
pub(crate) mod detect;
pub(crate) mod ledger;
pub(crate) mod shortage;

/// Minimum memory of the process itself, before the first connection: code, roots, caches, threads. In bytes; with less, it does
/// not start.
pub const PROCESS: usize = 16 * 1024 * 1024;

/// Minimum memory for one connection. More connections than this allows are useless.
const SMALLEST_CONNECTION: usize = 8 * 1024;

/// Descriptors that are reserved: dialling, DNS, files, admin and control need some at any time.
const MIN_RESERVED_DESCRIPTORS: usize = 64;
const MAX_RESERVED_DESCRIPTORS: usize = 4_096;

/// Percentage of the budget above which queues are kept short.
const TIGHT: usize = 60;
/// Percentage above which the least useful holders make room, until [`SHED_TO`] is reached.
const SHED_ABOVE: usize = 80;
const SHED_TO: usize = 70;
/// Percentage that the streams of one backend may hold before its busy streams make room as well. With one stream in each
/// direction on each leg, the streams that a backend opens are a quarter of all.
const BACKEND_SHARE: usize = 25;
/// Percentage above which nothing is read and no connection is admitted.
const EXHAUSTED: usize = 95;

/// The resources that the process may hold.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Budget {
    /// Bytes of memory.
    pub(crate) bytes: usize,
    /// Connections of streams, in both directions.
    pub(crate) connections: usize,
}

impl Budget {
    /// Derives the budget from the limits of the process. A fifth of the memory stays free. It covers memory that is
    /// not counted, and memory that the kernel attributes to the process.
    pub(crate) fn of(memory: usize, descriptors: usize) -> Self {
        let reserved = (descriptors / 4).clamp(MIN_RESERVED_DESCRIPTORS, MAX_RESERVED_DESCRIPTORS);
        let bytes = percent(memory, 80);
        let connections = descriptors.saturating_sub(reserved).min(bytes / SMALLEST_CONNECTION);
        Self { bytes, connections: connections.max(1) }
    }

    /// Some holder must make room.
    pub(crate) fn is_exceeded_by(self, usage: Usage) -> bool {
        usage.excess(self) != Usage::default()
    }

    /// A process that needs this much memory before the first connection can keep connections.
    pub(crate) fn suffices_for(self, process: usize) -> bool {
        process <= percent(self.bytes, SHED_ABOVE)
    }

    /// The bytes above which queues are kept short.
    pub(crate) fn tight(self) -> usize {
        percent(self.bytes, TIGHT)
    }

    /// The bytes above which nothing is read and nobody is admitted.
    pub(crate) fn exhausted(self) -> usize {
        percent(self.bytes, EXHAUSTED)
    }
}

/// The resources that the process holds.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Usage {
    /// Bytes of memory.
    pub(crate) bytes: usize,
    /// Connections of streams.
    pub(crate) connections: usize,
}

impl Usage {
    /// How much must be released: nothing up to 80 % of the budget; above that, down to 70 %.
    fn excess(self, budget: Budget) -> Self {
        let over = |used: usize, limit: usize| {
            if used > percent(limit, SHED_ABOVE) {
                used.saturating_sub(percent(limit, SHED_TO))
            } else {
                0
            }
        };
        Self {
            bytes: over(self.bytes, budget.bytes),
            connections: over(self.connections, budget.connections),
        }
    }

    /// What a backend holds beyond its share.
    fn beyond_share(self, budget: Budget) -> Self {
        let share = |limit| percent(limit, BACKEND_SHARE);
        Self {
            bytes: self.bytes.saturating_sub(share(budget.bytes)),
            connections: self.connections.saturating_sub(share(budget.connections)),
        }
    }

    /// The part of it that is not more than another one.
    fn within(self, other: Self) -> Self {
        Self {
            bytes: self.bytes.min(other.bytes),
            connections: self.connections.min(other.connections),
        }
    }
}

fn percent(whole: usize, percent: usize) -> usize {
    (whole / 100).saturating_mul(percent).saturating_add((whole % 100) * percent / 100)
}

/// The memory in use, from the counted memory and the resident memory that the kernel reports. The counters miss some
/// memory, so the kernel's number applies. However, an allocator keeps free memory, so at most twice the counted memory
/// applies. `process` is the resident memory before the first connection.
pub(crate) fn in_use(counted: usize, resident: Option<usize>, process: usize) -> usize {
    let known = counted.saturating_add(process);
    let believed = counted.saturating_mul(2).saturating_add(process);
    resident.map_or(known, |resident| resident.min(believed)).max(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1024 * 1024;

    #[test]
    fn the_budget_leaves_memory_and_descriptors_to_everything_else() {
        let pod = Budget::of(512 * MIB, 1_048_576);
        assert_eq!(pod, Budget { bytes: 429_496_729, connections: 52_428 });
        assert_eq!(Budget::of(512 * MIB, 1_024).connections, 768);
        assert_eq!(Budget::of(512 * MIB, 256).connections, 192);
        assert_eq!(Budget::of(0, 0).connections, 1, "never none");
        assert!(pod.tight() < pod.exhausted() && pod.exhausted() < pod.bytes);
        assert_eq!(percent(usize::MAX, 80), 14_757_395_258_967_641_292);
    }

    #[test]
    fn up_to_80_percent_nothing_has_to_go_and_above_it_down_to_70() {
        let budget = Budget { bytes: 1_000, connections: 100 };
        let excess = |bytes, connections| Usage { bytes, connections }.excess(budget);
        assert_eq!(excess(800, 80), Usage::default());
        assert_eq!(excess(801, 80), Usage { bytes: 101, connections: 0 });
        assert_eq!(excess(800, 81), Usage { bytes: 0, connections: 11 });
    }

    #[test]
    fn a_limit_of_the_least_memory_leaves_room_and_a_smaller_one_may_not() {
        let budget = |memory| Budget::of(memory, 1_024);
        assert!(budget(shortage::minimum(PROCESS)).suffices_for(PROCESS));
        assert!(budget(26 * MIB).suffices_for(PROCESS));
        assert!(!budget(24 * MIB).suffices_for(PROCESS));
    }

    #[test]
    fn what_the_kernel_says_counts_as_long_as_it_can_be_ours() {
        let in_use = |resident| in_use(10 * MIB, resident, PROCESS);
        assert_eq!(in_use(None), 10 * MIB + PROCESS);
        assert_eq!(in_use(Some(1)), 10 * MIB + PROCESS);
        assert_eq!(in_use(Some(30 * MIB)), 30 * MIB);
        assert_eq!(in_use(Some(300 * MIB)), 20 * MIB + PROCESS, "kept by the allocator");
    }
}
