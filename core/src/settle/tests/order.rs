//! Whatever the order in which things are told, the end is the same.
//!
//! With plenty of money nothing of a story depends on the order: stages, balances and the platform's accounts end as in the
//! ordered run. With little money a hold or a posting may find too little, and its transaction fails; nothing else may differ, and
//! each wallet is worth what its completed transactions brought and took.

use std::collections::{BTreeMap, HashSet};

use proptest::prelude::*;

use super::lives::{Seed, Story, Teller};
use super::schedule::{Choice, Refunds, in_order, shuffled};
use super::world::World;
use crate::alarms::AlarmKind;
use crate::flows::edges;
use crate::flows::testing::{OTHER, WALLET};
use crate::ids::{TransactionId, WalletId};
use crate::ledger::PlatformAccount;
use crate::money::Currency;
use crate::transactions::{Flow, Stage, Transaction};

const PLENTY: [i64; 2] = [1_000_000, 1_000_000];

fn seeds() -> impl Strategy<Value = Vec<Seed>> {
    let seed = (any::<u8>(), any::<u8>(), any::<u8>(), 1_i64..400, any::<bool>());
    proptest::collection::vec(seed, 1..9)
}

fn choices() -> impl Strategy<Value = Vec<Choice>> {
    proptest::collection::vec((any::<u16>(), any::<u8>()), 0..120)
}

fn currencies() -> impl Strategy<Value = Currency> {
    proptest::sample::select(vec![Currency::USD, Currency::JPY])
}

fn story(currency: Currency, seeds: Vec<Seed>) -> Story {
    let mut teller = Teller::new(currency);
    seeds.into_iter().for_each(|seed| teller.live(seed));
    teller.story
}

fn stages(world: &World) -> BTreeMap<TransactionId, (Flow, Stage)> {
    let transactions = world.transactions.values();
    transactions
        .map(|transaction| (transaction.id, (transaction.flow, transaction.stage)))
        .collect()
}

fn money(world: &World) -> ([i64; 3], [i64; 3], [i64; 6]) {
    let platform = [
        PlatformAccount::StripeClearing,
        PlatformAccount::StripeInTransit,
        PlatformAccount::StripeFees,
        PlatformAccount::PlatformFees,
        PlatformAccount::PlatformSuspense,
        PlatformAccount::PlatformReceivable,
    ];
    (
        world.balance(WALLET),
        world.balance(OTHER),
        platform.map(|account| world.sum(account)),
    )
}

/// Returns by how much a transaction that has ended changed what a wallet is worth.
fn effect(transaction: &Transaction, wallet: WalletId) -> i64 {
    if transaction.stage != Stage::Completed {
        return 0;
    }
    let amount = transaction.amount.minor().unwrap();
    let fee = transaction.fee.map_or(0, |fee| fee.minor().unwrap());
    let (own, others) = match transaction.flow {
        Flow::Deposit | Flow::RefundReturn | Flow::PayoutReturn | Flow::DisputeReturn => (amount, 0),
        Flow::Withdrawal | Flow::DepositRefund | Flow::OutsideRefund | Flow::DisputeLoss => (-amount, 0),
        // It pays a debt, which was counted when it arose.
        Flow::DebtPayment => (0, 0),
        Flow::Dispute => (-transaction.claimed.unwrap().minor().unwrap(), 0),
        Flow::Transfer | Flow::Payment => (-amount, amount - fee),
        Flow::PaymentRefund => (fee - amount, amount),
    };
    let own = if transaction.wallet_id == wallet { own } else { 0 };
    let is_other = transaction.counterparty_wallet_id == Some(wallet);
    own + if is_other { others } else { 0 }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn with_plenty_of_money_the_end_does_not_depend_on_the_order(
        currency in currencies(), seeds in seeds(), choices in choices()
    ) {
        let story = story(currency, seeds);
        let (mut ordered, mut other) = (World::new(currency, PLENTY), World::new(currency, PLENTY));
        in_order(&mut ordered, &story);
        shuffled(&mut other, &story, &choices, Refunds::Wait);
        prop_assert_eq!(stages(&ordered), stages(&other));
        prop_assert_eq!(money(&ordered), money(&other));
        prop_assert!(!other.alarms.contains(&AlarmKind::Contradiction));
        for (id, (flow, stage)) in stages(&ordered) {
            let transaction = &ordered.transactions[&id];
            prop_assert!(stage.status().is_final() || waits_for_nothing(&ordered, transaction), "{flow:?} stays at {stage:?}");
        }
    }

    #[test]
    fn with_little_money_only_holds_and_postings_of_our_own_fail_for_it(
        currency in currencies(), opening in (0_i64..300, 0_i64..300), seeds in seeds(), choices in choices()
    ) {
        let story = story(currency, seeds);
        let opening = [opening.0, opening.1];
        let (mut ordered, mut poor) = (World::new(currency, PLENTY), World::new(currency, opening));
        in_order(&mut ordered, &story);
        shuffled(&mut poor, &story, &choices, Refunds::Rush);
        prop_assert!(!poor.alarms.contains(&AlarmKind::Contradiction));
        let rich = stages(&ordered);
        for (id, (flow, stage)) in stages(&poor) {
            if flow == Flow::DebtPayment {
                prop_assert_eq!(stage, Stage::Completed);
                continue;
            }
            let why = poor.transactions[&id].failure_reason.clone().unwrap_or_default();
            let lacked = stage == Stage::Failed
                && matches!(flow, Flow::Transfer | Flow::Payment | Flow::PaymentRefund | Flow::Withdrawal | Flow::DepositRefund)
                && ["INSUFFICIENT_FUNDS", "DISPUTED"].iter().any(|code| why.starts_with(code));
            prop_assert!(
                rich[&id] == (flow, stage) || lacked || waits_for_nothing(&poor, &poor.transactions[&id]),
                "{flow:?} ends at {stage:?} ({why}), not {:?}", rich[&id]
            );
        }
        for (wallet, opening) in [WALLET, OTHER].into_iter().zip(opening) {
            let [available, held, owed] = poor.balance(wallet);
            let effects: i64 = poor.transactions.values().map(|transaction| effect(transaction, wallet)).sum();
            prop_assert_eq!(available + held - owed, opening + effects);
            prop_assert_eq!(held, 0, "everything has ended");
        }
    }
}

#[test]
fn stories_visit_every_stage_of_every_flow() {
    let mut visited: HashSet<(Flow, Stage)> = HashSet::new();
    for life in 0..4 {
        for (fate, more) in (0..70).flat_map(|fate| (0..32).map(move |more| (fate, more))) {
            let story = story(Currency::USD, vec![(life, fate, more, 100, false)]);
            let mut world = World::new(Currency::USD, PLENTY);
            in_order(&mut world, &story);
            let stages = world
                .visited
                .iter()
                .map(|(id, stage)| (world.transactions[id].flow, *stage));
            visited.extend(stages);
        }
    }
    for flow in Flow::ALL {
        for edge in edges(*flow) {
            // These happen only for lack of money, and there is plenty of it here.
            let needs_poverty = *flow == Flow::DebtPayment
                || (edge.to == Stage::Failed
                    && matches!(flow, Flow::Transfer | Flow::Payment | Flow::PaymentRefund));
            assert!(
                needs_poverty || visited.contains(&(*flow, edge.to)),
                "no {flow:?} is ever {:?}",
                edge.to
            );
        }
    }
}

/// Returns whether the transaction never came about, because its original did not complete.
fn waits_for_nothing(world: &World, transaction: &Transaction) -> bool {
    let original = transaction.related_transaction_id;
    transaction.stage == Stage::Accepted && original.is_some_and(|id| world.stage(id) != Stage::Completed)
}
