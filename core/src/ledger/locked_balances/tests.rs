use proptest::prelude::*;
use uuid::Uuid;

use super::*;

fn wallet(n: u128) -> WalletId {
    WalletId::from_uuid(Uuid::from_u128(n))
}

fn usd(minor: i64) -> Money {
    Money::from_minor(minor, Currency::USD).unwrap()
}

fn balances(available: &[i64]) -> LockedBalances {
    owned(available, |n| n)
}

/// Locked balances of wallets with these spendable amounts and owners.
fn owned(available: &[i64], owner: fn(u128) -> u128) -> LockedBalances {
    LockedBalances::new(
        (0..)
            .zip(available)
            .map(|(n, minor)| {
                let balance = Balance {
                    user_id: UserId::from_uuid(Uuid::from_u128(owner(n))),
                    is_active: true,
                    available: usd(*minor),
                    held: Money::zero(Currency::USD),
                    owed: Money::zero(Currency::USD),
                };
                (wallet(n), balance)
            })
            .collect(),
    )
}

proptest! {
    #[test]
    fn no_sequence_of_transfers_loses_a_cent_or_overdraws(
        moves in proptest::collection::vec((0_u128..4, 0_u128..4, 1_i64..500), 0..60)
    ) {
        let mut balances = balances(&[1000, 500, 0, 0]);
        for (from, to, minor) in moves {
            let legs = Leg::pair(Account::Available(wallet(from)), Account::Available(wallet(to)), usd(minor));
            let before = balances.wallet(wallet(from)).unwrap().available;
            let done = balances.book(&legs, None);
            prop_assert_eq!(done.is_ok(), from == to || before.amount() >= usd(minor).amount());
        }
        let sum: i64 = (0..4).map(|n| balances.wallet(wallet(n)).unwrap().available.minor().unwrap()).sum();
        prop_assert_eq!(sum, 1500);
    }
}

#[test]
fn a_refused_posting_changes_nothing() {
    let mut balances = balances(&[100, 0]);
    let legs = Leg::pair(
        Account::Available(wallet(0)),
        Account::Available(wallet(1)),
        usd(101),
    );
    assert_eq!(
        balances.book(&legs, None),
        Err(PostingError::InsufficientFunds(wallet(0)))
    );
    assert_eq!(balances.changed().count(), 0);
    assert_eq!(balances.wallet(wallet(1)).unwrap().available, usd(0));
}

#[test]
fn legs_that_do_not_sum_to_zero_are_refused() {
    let mut balances = balances(&[100]);
    let leg = Leg {
        account: Account::Available(wallet(0)),
        amount: usd(1),
    };
    assert_eq!(balances.book(&[leg], None), Err(PostingError::Unbalanced));
    let eur = Money::from_minor(1, Currency::EUR).unwrap().negated();
    let other = Leg {
        account: Account::CLEARING,
        amount: eur,
    };
    assert_eq!(balances.book(&[leg, other], None), Err(PostingError::Unbalanced));
}

#[test]
fn an_overflow_fails_its_own_posting_alone() {
    let most = crate::money::MAX_MAJOR * 100;
    let mut balances = balances(&[100, most]);
    let legs = Leg::pair(
        Account::Available(wallet(0)),
        Account::Available(wallet(1)),
        usd(1),
    );
    assert!(matches!(
        balances.book(&legs, None),
        Err(PostingError::Money { .. })
    ));
    assert_eq!(balances.wallet(wallet(0)).unwrap().available, usd(100));
}

/// The debt payments caused by these legs: payer, debtor, cents.
fn collected(
    balances: &mut LockedBalances,
    legs: &[Leg],
    owes: Option<(WalletId, Money)>,
) -> Vec<(u128, u128, i64)> {
    let collected = balances.book(legs, owes).unwrap();
    let n = |id: WalletId| id.uuid().as_u128();
    collected
        .iter()
        .map(|one| (n(one.from), n(one.debtor), one.amount.minor().unwrap()))
        .collect()
}

fn paid(from: u128, to: u128, minor: i64) -> [Leg; 2] {
    Leg::pair(
        Account::Available(wallet(from)),
        Account::Available(wallet(to)),
        usd(minor),
    )
}

#[test]
fn what_becomes_spendable_pays_the_debt_first() {
    let mut balances = balances(&[0, 500]);
    assert_eq!(collected(&mut balances, &[], Some((wallet(0), usd(30)))), []);
    assert_eq!(collected(&mut balances, &paid(1, 0, 20), None), [(0, 0, 20)]);
    assert_eq!(collected(&mut balances, &paid(1, 0, 20), None), [(0, 0, 10)]);
    assert_eq!(collected(&mut balances, &paid(1, 0, 20), None), []);
    let balance = balances.wallet(wallet(0)).unwrap();
    assert_eq!((balance.available, balance.owed), (usd(30), usd(0)));
}

#[test]
fn a_debt_is_paid_from_every_wallet_of_its_person_and_from_nobody_elses() {
    // 0 and 2 are one person's, 1 and 3 another's.
    let mut balances = owned(&[0, 500, 20, 50], |n| n % 2);
    // What the other wallet has is collected as soon as the debt exists.
    assert_eq!(
        collected(&mut balances, &[], Some((wallet(0), usd(70)))),
        [(2, 0, 20)]
    );
    assert_eq!(collected(&mut balances, &paid(1, 2, 30), None), [(2, 0, 30)]);
    assert_eq!(collected(&mut balances, &paid(1, 3, 10), None), []);
    // A wallet pays its own debt first.
    assert_eq!(collected(&mut balances, &[], Some((wallet(2), usd(5)))), []);
    assert_eq!(
        collected(&mut balances, &paid(3, 2, 10), None),
        [(2, 2, 5), (2, 0, 5)]
    );
    assert_eq!(collected(&mut balances, &paid(1, 0, 20), None), [(0, 0, 15)]);
    let owed: i64 = (0..4)
        .map(|n| balances.wallet(wallet(n)).unwrap().owed.minor().unwrap())
        .sum();
    assert_eq!((owed, balances.wallet(wallet(0)).unwrap().available), (0, usd(5)));
}

#[test]
fn a_wallet_that_is_not_active_pays_its_own_debt_alone_and_the_others_before_it_sends_again() {
    let mut balances = owned(&[0, 80, 0], |n| u128::from(n == 2));
    let set_active = |balances: &mut LockedBalances, active| {
        balances.wallets.get_mut(&wallet(1)).unwrap().is_active = active;
    };
    set_active(&mut balances, false);
    assert_eq!(collected(&mut balances, &[], Some((wallet(0), usd(50)))), []);
    assert_eq!(balances.wallet(wallet(1)).unwrap().available, usd(80));
    assert_eq!(
        collected(&mut balances, &[], Some((wallet(1), usd(10)))),
        [(1, 1, 10)]
    );
    set_active(&mut balances, true);
    let refused = balances.book(&paid(1, 2, 70), None);
    assert_eq!(refused, Err(PostingError::InsufficientFunds(wallet(1))));
    assert_eq!(
        balances.wallet(wallet(1)).unwrap().available,
        usd(70),
        "a refused posting changes nothing"
    );
    assert_eq!(collected(&mut balances, &paid(1, 2, 15), None), [(1, 0, 50)]);
    let left = balances.wallet(wallet(1)).unwrap();
    assert_eq!(
        (left.available, balances.wallet(wallet(0)).unwrap().owed),
        (usd(5), usd(0))
    );
}
