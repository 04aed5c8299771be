//! The debts of a person: read once for each request, however many of the person's wallets it shows.

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::{Context, Object};
use tokio::sync::{Mutex, OnceCell};
use wallet_core::debts::{self, Cause, Debt};
use wallet_core::ids::{UserId, WalletId};
use wallet_core::money::{Currency, Money};
use wallet_core::wallets::Wallet;

use crate::context::ContextExt;
use crate::errors::ApiError;
use crate::graphql::scalars::{DateTime, Decimal};

/// The debts that one request has read. A subscription has no such store, and reads them again for each of its messages.
#[derive(Debug, Default)]
pub(crate) struct DebtsOfRequest(Mutex<HashMap<(UserId, Currency), Arc<PersonDebts>>>);

/// The debts of a person in one currency.
#[derive(Debug)]
pub(super) struct PersonDebts {
    debts: Vec<Debt>,
    /// The sum over all wallets.
    pub(super) total: Money,
    causes: OnceCell<Vec<WalletDebt>>,
}

/// Returns the debts of a wallet's owner in the wallet's currency.
pub(super) async fn of(ctx: &Context<'_>, wallet: &Wallet) -> Result<Arc<PersonDebts>, ApiError> {
    let (person, currency) = (wallet.user_id, wallet.currency());
    let Some(DebtsOfRequest(known)) = ctx.data_opt() else {
        return PersonDebts::read(ctx, person, currency).await.map(Arc::new);
    };
    // The lock is held during the read: the fields of a list are resolved concurrently.
    let mut known = known.lock().await;
    if let Some(debts) = known.get(&(person, currency)) {
        return Ok(Arc::clone(debts));
    }
    let debts = Arc::new(PersonDebts::read(ctx, person, currency).await?);
    known.insert((person, currency), Arc::clone(&debts));
    Ok(debts)
}

impl PersonDebts {
    async fn read(ctx: &Context<'_>, person: UserId, currency: Currency) -> Result<Self, ApiError> {
        let _turn = ctx.take_reads(1).await?;
        let mut conn = ctx.app()?.db.conn().await?;
        let debts = debts::of_person(&mut conn, person, currency).await?;
        let mut total = Money::zero(currency);
        for debt in &debts {
            total = total.checked_add(debt.amount).map_err(ApiError::internal)?;
        }
        Ok(Self {
            debts,
            total,
            causes: OnceCell::new(),
        })
    }

    /// Returns the causes of the debts.
    pub(super) async fn causes(&self, ctx: &Context<'_>) -> Result<Vec<WalletDebt>, ApiError> {
        let causes = self.causes.get_or_try_init(|| async {
            let owed: Vec<(WalletId, Money)> =
                self.debts.iter().map(|debt| (debt.wallet, debt.amount)).collect();
            let _turn = ctx.take_reads(1).await?;
            let mut conn = ctx.app()?.db.conn().await?;
            let mut of_each = debts::causes(&mut conn, &owed).await?;
            // In the order of the debts.
            let of_wallet = |(wallet, _)| {
                let causes = of_each.remove(&wallet).unwrap_or_default();
                causes.into_iter().map(move |cause| WalletDebt { wallet, cause })
            };
            Ok::<_, ApiError>(owed.into_iter().flat_map(of_wallet).collect())
        });
        causes.await.cloned()
    }
}

/// A part of what a person owes the platform.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WalletDebt {
    wallet: WalletId,
    cause: Cause,
}

/// A part of what a person owes the platform, and what caused it.
#[Object]
impl WalletDebt {
    /// The wallet whose balance could not cover it.
    async fn wallet_id(&self) -> String {
        self.wallet.to_string()
    }

    /// The dispute, or the refund made at Stripe, that caused it.
    async fn transaction_id(&self) -> String {
        self.cause.transaction.to_string()
    }

    /// The amount that is still owed for it; the oldest debt is paid first.
    async fn amount(&self) -> Decimal {
        self.cause.amount.into()
    }

    /// When that transaction was created.
    async fn since(&self) -> DateTime {
        self.cause.since.into()
    }
}
