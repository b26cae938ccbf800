use std::net::IpAddr;

use super::*;

const LIMITS: Limits = Limits { per_source: 3, total: 8, reserved: 2, line: 2, all_lines: 3 };

fn prefix(third: u8) -> Prefix {
    Prefix::from(IpAddr::from([198, 18, third, 1]))
}

/// Places at one moment.
struct Now {
    places: Places,
    now: Instant,
}

impl Now {
    fn new() -> Self {
        Self { places: Places::default(), now: Instant::now() }
    }

    fn arrive(&mut self, third: u8) -> Arrival {
        self.places.arrive(prefix(third), &LIMITS, self.now)
    }

    /// A connection that gets a place at once.
    fn admitted(&mut self, third: u8) -> u64 {
        match self.arrive(third) {
            Arrival::Admitted { number, moves } if moves == Moves::default() => number,
            other => panic!("{other:?}"),
        }
    }

    fn waits(&mut self, third: u8) -> u64 {
        match self.arrive(third) {
            Arrival::Waits { number, moves } if moves == Moves::default() => number,
            other => panic!("{other:?}"),
        }
    }

    fn leave(&mut self, number: u64, third: u8) -> Vec<u64> {
        let moves = self.places.leave(number, prefix(third), &LIMITS, self.now);
        assert!(moves.evicted.is_empty());
        moves.called
    }
}

#[test]
fn more_than_the_places_wait_in_line_and_are_called_in_their_order() {
    let mut at = Now::new();
    let served: Vec<_> = (0..3).map(|_| at.admitted(1)).collect();
    for number in &served {
        at.places.heard(*number, prefix(1));
    }
    let waiting: Vec<_> = (0..2).map(|_| at.waits(1)).collect();
    assert_eq!(at.arrive(1), Arrival::Refused, "the line is full, and nobody is silent");
    assert_eq!(at.admitted(2), 6, "another source does not wait");
    assert_eq!(at.leave(served[0], 1), [waiting[0]]);
    assert_eq!(at.leave(waiting[1], 1), [] as [u64; 0], "one that gives up");
    assert_eq!(at.leave(served[1], 1), [] as [u64; 0]);
}

#[test]
fn silent_connections_make_room_for_those_that_wait_after_a_time() {
    let mut at = Now::new();
    let silent: Vec<_> = (0..3).map(|_| at.admitted(1)).collect();
    let waiting = at.waits(1);
    let early = at.places.advance(prefix(1), &LIMITS, at.now + SILENCE / 2);
    assert_eq!(early, Moves::default());
    at.now += SILENCE;
    let moves = at.places.advance(prefix(1), &LIMITS, at.now);
    assert_eq!(moves, Moves { evicted: vec![silent[0]], called: vec![waiting] });
}

#[test]
fn silent_connections_never_lock_their_source_out() {
    let mut at = Now::new();
    let mut all: VecDeque<_> = (0..3).map(|_| at.admitted(1)).collect();
    all.extend((0..2).map(|_| at.waits(1)));
    // Evicted again and again: each new connection enters the queue, and the first in the queue gets the place of the
    // oldest connection.
    for _ in 0..100 {
        let Arrival::Waits { number, moves } = at.arrive(1) else { panic!("refused") };
        assert_eq!(moves, Moves { evicted: vec![all[0]], called: vec![all[3]] });
        all.pop_front();
        all.push_back(number);
        assert_eq!((at.places.total, at.places.waiting), (3, 2));
    }
    at.now += SILENCE;
    let Arrival::Admitted { moves, .. } = at.arrive(1) else { panic!("refused") };
    assert_eq!(moves, Moves { evicted: all.drain(..3).collect(), called: all.into() });
}

#[test]
fn a_connection_that_has_opened_a_stream_keeps_its_place() {
    let mut at = Now::new();
    let open: Vec<_> = (0..2).map(|_| at.admitted(1)).collect();
    for number in &open {
        at.places.heard(*number, prefix(1));
    }
    let silent = at.admitted(1);
    at.now += SILENCE;
    let Arrival::Admitted { number, moves } = at.arrive(1) else { panic!("refused") };
    assert_eq!(moves.evicted, [silent]);
    at.places.heard(number, prefix(1));
    at.now += SILENCE;
    at.waits(1);
}

#[test]
fn the_last_places_are_for_sources_that_have_none() {
    let mut at = Now::new();
    for third in 1..=2 {
        for _ in 0..3 {
            let number = at.admitted(third);
            at.places.heard(number, prefix(third));
        }
    }
    let third = at.admitted(3);
    at.places.heard(third, prefix(3));
    assert_eq!(at.arrive(3), Arrival::Refused, "it has one");
    let fourth = at.admitted(4);
    let Arrival::Admitted { moves, .. } = at.arrive(5) else { panic!("refused") };
    assert_eq!(moves.evicted, [fourth], "the oldest silent one of all makes room");
}

#[test]
fn nothing_is_remembered_of_what_is_gone() {
    let mut at = Now::new();
    for third in 0..100 {
        let served: Vec<_> = (0..3).map(|_| at.admitted(third)).collect();
        let waiting = at.waits(third);
        for number in served {
            at.leave(number, third);
        }
        at.leave(waiting, third);
    }
    let Places { sources, silent, total, waiting, .. } = at.places;
    assert!(sources.is_empty() && silent.is_empty() && (total, waiting) == (0, 0));
}
