use super::*;

fn account(stanzas: usize) -> Account {
    let mut account = Account::default();
    for _ in 0..stanzas {
        account.send(Expected::Either);
    }
    account
}

#[test]
fn what_arrives_once_in_order_or_comes_back_once_balances() {
    let mut account = account(4);
    for number in [0, 1, 3] {
        account.arrived(number).unwrap();
    }
    assert_eq!(account.open(), 1);
    account.came_back(2, "remote-server-timeout").unwrap();
    assert_eq!(account.open(), 0);
    assert_eq!(account.close(&mut 0), []);
    let totals = account.totals();
    assert!(totals.balance(), "{totals:?}");
    assert_eq!((totals.sent, totals.delivered, totals.bounced()), (4, 3, 1));
}

#[test]
fn a_missing_stanza_is_a_fault_and_breaks_the_balance() {
    let mut account = account(3);
    account.arrived(0).unwrap();
    account.arrived(2).unwrap();
    assert_eq!(account.close(&mut 0), [Fault::Missing { number: 1 }]);
    assert!(!account.totals().balance());
}

#[test]
fn an_account_that_was_closed_knows_later_numbers_only() {
    let mut account = account(1);
    account.arrived(0).unwrap();
    account.close(&mut 0);
    assert_eq!(account.arrived(0), Err(Fault::Unknown { number: 0 }));
    assert!(account.has_passed(0));
    assert_eq!(account.send(Expected::Either), 1);
    assert!(!account.has_passed(1));
    account.arrived(1).unwrap();
    assert!(account.has_passed(1));
    assert_eq!(account.arrived(7), Err(Fault::Unknown { number: 7 }));
}

#[test]
fn order_is_that_of_first_arrivals() {
    let mut account = account(3);
    account.arrived(0).unwrap();
    account.arrived(2).unwrap();
    assert_eq!(account.arrived(1), Err(Fault::Order { number: 1, after: 2 }));
}

#[test]
fn what_was_refused_and_is_repeated_arrives_behind_others() {
    let mut account = account(3);
    account.arrived(2).unwrap();
    for number in 0..2 {
        account.repeat(number);
        account.arrived(number).unwrap();
    }
    account.came_back(0, "resource-constraint").unwrap();
    assert_eq!(account.close(&mut 0), [Fault::Order { number: 1, after: 2 }]);
}

#[test]
fn a_second_outcome_needs_a_reason() {
    let repeated = |outcomes, due| Err(Fault::Repeated { number: 0, outcomes, due });
    let mut twice = account(1);
    twice.arrived(0).unwrap();
    assert_eq!(twice.arrived(0), repeated(2, 1));

    let mut both = account(1);
    both.arrived(0).unwrap();
    assert_eq!(both.came_back(0, "remote-server-timeout"), repeated(2, 1));

    // Its sender repeated it.
    let mut account = account(1);
    account.repeat(0);
    account.arrived(0).unwrap();
    account.arrived(0).unwrap();
    // The stream of the second arrival broke before the engine could detect it.
    account.unconfirmed(0);
    account.came_back(0, "remote-server-timeout").unwrap();
    assert_eq!(account.arrived(0), repeated(4, 3));
    account.close(&mut 0);
    assert_eq!(account.totals().repeated, 1);
}

#[test]
fn duplicates_are_counted_and_do_not_disturb_the_order() {
    let mut account = account(3);
    account.arrived(0).unwrap();
    account.arrived(1).unwrap();
    for number in 0..2 {
        account.unconfirmed(number);
    }
    for number in 0..3 {
        account.arrived(number).unwrap();
    }
    assert_eq!(account.close(&mut 0), []);
    assert_eq!(account.totals().duplicates, 2);
    assert!(account.totals().balance());
}

#[test]
fn what_has_to_be_refused_is_refused_with_its_condition() {
    let mut account = Account::default();
    for _ in 0..3 {
        account.send(Expected::Error("policy-violation"));
    }
    account.came_back(0, "policy-violation").unwrap();
    let condition = "policy-violation";
    assert_eq!(account.arrived(1), Err(Fault::NotRefused { number: 1, condition }));
    let seen = "not-allowed".to_owned();
    let wrong = Err(Fault::Condition { number: 2, condition, seen });
    assert_eq!(account.came_back(2, "not-allowed"), wrong);
}

#[test]
fn an_error_is_never_answered_and_may_be_dropped() {
    let mut account = Account::default();
    for _ in 0..2 {
        account.send(Expected::NoAnswer);
    }
    let seen = "remote-server-timeout".to_owned();
    let answered = Err(Fault::Answered { number: 0, seen: seen.clone() });
    assert_eq!(account.came_back(0, &seen), answered);
    account.arrived(1).unwrap();
    assert_eq!(account.close(&mut 0), []);
    assert_eq!(account.totals().lost(Loss::Silent), 1);
}

#[test]
fn a_reset_explains_the_gap_behind_it_and_nothing_else() {
    let mut account = account(6);
    account.arrived(0).unwrap();
    account.was_reset();
    account.send(Expected::Either);
    account.arrived(3).unwrap();
    account.arrived(5).unwrap();
    // 1 and 2 were on the stream. 4 and 6 were not, because 3 arrived on the next stream.
    let missing = [4, 6].map(|number| Fault::Missing { number });
    assert_eq!(account.close(&mut 0), missing);
    assert_eq!(account.totals().lost(Loss::WithStream), 2);
}

#[test]
fn a_reset_of_the_way_back_explains_an_error_that_did_not_come() {
    let mut account = account(2);
    account.answers_were_reset();
    account.send(Expected::Either);
    account.arrived(1).unwrap();
    assert_eq!(account.close(&mut 0), [Fault::Missing { number: 2 }]);
    assert_eq!(account.totals().lost(Loss::WithStream), 1);
}

#[test]
fn an_engine_that_ends_explains_by_what_it_had_taken() {
    let mut account = account(4);
    account.arrived(0).unwrap();
    account.taken(0, 2);
    account.ended(0);
    // These have no acknowledgement, and the next engine receives them.
    account.repeat(3);
    assert_eq!(account.close(&mut 0), [Fault::Missing { number: 3 }]);
    let totals = account.totals();
    assert_eq!((totals.lost(Loss::AtEnd), totals.lost(Loss::NotTaken)), (1, 1));
}

#[test]
fn what_was_on_a_stream_that_was_reset_is_not_lost_by_an_engine_that_ends_later() {
    let mut account = account(2);
    account.taken(0, 2);
    account.was_reset();
    account.arrived(0).unwrap();
    account.ended(0);
    account.close(&mut 0);
    assert_eq!(
        (account.totals().lost(Loss::AtEnd), account.totals().lost(Loss::WithStream)),
        (1, 0)
    );

    let mut account = self::account(1);
    account.taken(0, 1);
    account.was_reset();
    account.ended(0);
    account.close(&mut 0);
    assert_eq!(
        (account.totals().lost(Loss::AtEnd), account.totals().lost(Loss::WithStream)),
        (0, 1)
    );
}

#[test]
fn sums_of_flows_add_up() {
    let mut sum = Totals::default();
    for _ in 0..2 {
        let mut account = account(2);
        account.came_back(0, "not-allowed").unwrap();
        account.ended(0);
        account.close(&mut 0);
        sum.add(account.totals());
    }
    assert!(sum.balance());
    assert_eq!((sum.sent, sum.bounced(), sum.lost(Loss::NotTaken)), (4, 2, 2));
}

#[test]
fn an_error_that_found_no_room_explains_one_stanza() {
    let mut account = account(3);
    account.arrived(1).unwrap();
    let mut no_room = 1;
    assert_eq!(account.close(&mut no_room), [Fault::Missing { number: 2 }]);
    assert_eq!((no_room, account.totals().lost(Loss::NoRoom)), (0, 1));
}

#[test]
fn a_second_outcome_that_is_due_may_come_after_the_account_was_closed() {
    let mut account = account(2);
    account.arrived(0).unwrap();
    account.unconfirmed(0);
    account.arrived(1).unwrap();
    account.close(&mut 0);
    account.arrived(0).unwrap();
    assert_eq!(account.arrived(0), Err(Fault::Unknown { number: 0 }));
    assert_eq!(account.arrived(1), Err(Fault::Unknown { number: 1 }));
    assert_eq!(account.totals().duplicates, 1);
}
