use proptest::prelude::*;
use uuid::Uuid;

use super::*;

fn wallet(n: u128) -> WalletId {
    WalletId::from_uuid(Uuid::from_u128(n))
}

fn usd(minor: i64) -> Money {
    Money::from_minor(minor, Currency::USD).unwrap()
}

fn books(available: &[i64]) -> Books {
    let owner = UserId::from_uuid(Uuid::nil());
    Books::new(
        (0..)
            .zip(available)
            .map(|(n, minor)| {
                let balance = Balance {
                    user_id: owner,
                    is_active: true,
                    available: usd(*minor),
                    frozen: Money::zero(Currency::USD),
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
        let mut books = books(&[1000, 500, 0, 0]);
        for (from, to, minor) in moves {
            let legs = Leg::pair(Account::Available(wallet(from)), Account::Available(wallet(to)), usd(minor));
            let before = books.wallet(wallet(from)).unwrap().available;
            let done = books.book(&legs, None);
            prop_assert_eq!(done.is_ok(), from == to || before.amount() >= usd(minor).amount());
        }
        let sum: i64 = (0..4).map(|n| books.wallet(wallet(n)).unwrap().available.minor().unwrap()).sum();
        prop_assert_eq!(sum, 1500);
    }
}

#[test]
fn a_refused_posting_changes_nothing() {
    let mut books = books(&[100, 0]);
    let legs = Leg::pair(
        Account::Available(wallet(0)),
        Account::Available(wallet(1)),
        usd(101),
    );
    assert_eq!(
        books.book(&legs, None),
        Err(PostingError::InsufficientFunds(wallet(0)))
    );
    assert_eq!(books.changed().count(), 0);
    assert_eq!(books.wallet(wallet(1)).unwrap().available, usd(0));
}

#[test]
fn legs_that_do_not_sum_to_zero_are_refused() {
    let mut books = books(&[100]);
    let leg = Leg {
        account: Account::Available(wallet(0)),
        amount: usd(1),
    };
    assert_eq!(books.book(&[leg], None), Err(PostingError::Unbalanced));
    let eur = Money::from_minor(1, Currency::EUR).unwrap().negated();
    let other = Leg {
        account: Account::CLEARING,
        amount: eur,
    };
    assert_eq!(books.book(&[leg, other], None), Err(PostingError::Unbalanced));
}

#[test]
fn an_overflow_fails_its_own_posting_alone() {
    let most = crate::money::MAX_MAJOR * 100;
    let mut books = books(&[100, most]);
    let legs = Leg::pair(
        Account::Available(wallet(0)),
        Account::Available(wallet(1)),
        usd(1),
    );
    assert!(matches!(books.book(&legs, None), Err(PostingError::Money { .. })));
    assert_eq!(books.wallet(wallet(0)).unwrap().available, usd(100));
}

#[test]
fn what_becomes_spendable_pays_the_debt_first() {
    let mut books = books(&[100, 500]);
    books.book(&[], Some((wallet(0), usd(30)))).unwrap();
    let receivable = |legs: &[Leg]| {
        legs.iter()
            .filter(|leg| leg.account == Account::RECEIVABLE)
            .map(|leg| leg.amount)
            .collect::<Vec<_>>()
    };
    // Spending is no credit.
    let spent = Leg::pair(
        Account::Available(wallet(0)),
        Account::Available(wallet(1)),
        usd(10),
    );
    assert_eq!(receivable(&books.book(&spent, None).unwrap()), []);
    let credit = |minor| {
        Leg::pair(
            Account::Available(wallet(1)),
            Account::Available(wallet(0)),
            usd(minor),
        )
    };
    assert_eq!(receivable(&books.book(&credit(20), None).unwrap()), [usd(20)]);
    assert_eq!(receivable(&books.book(&credit(20), None).unwrap()), [usd(10)]);
    assert_eq!(receivable(&books.book(&credit(20), None).unwrap()), []);
    let balance = books.wallet(wallet(0)).unwrap();
    assert_eq!((balance.available, balance.owed), (usd(120), usd(0)));
}
