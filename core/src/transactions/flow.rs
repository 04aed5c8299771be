//! The flows: each has one table of edges and belongs to one type of transaction.

use super::TransactionType;

macro_rules! flows {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal is $kind:ident,)+) => {
        /// Which state machine a transaction walks.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Flow {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Flow {
            /// Every flow.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// Its name in SQL.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }

            /// What it is to clients.
            #[must_use]
            pub const fn transaction_type(self) -> TransactionType {
                match self {
                    $(Self::$name => TransactionType::$kind,)+
                }
            }

            /// What it is: the words of its documentation.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self {
                    $(Self::$name => concat!($($doc),+).trim_ascii(),)+
                }
            }

            /// The flow of a name read from SQL.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|flow| flow.as_str() == name)
            }
        }
    };
}

flows! {
    /// Money from outside into a wallet.
    Deposit = "deposit" is Deposit,
    /// Money out of a wallet to its owner's bank.
    Withdrawal = "withdrawal" is Withdrawal,
    /// Money from wallet to wallet.
    Transfer = "transfer" is Transfer,
    /// Money from wallet to wallet, of which the platform keeps a fee.
    Payment = "payment" is Payment,
    /// All or a part of a payment back to the payer, with its part of the fee.
    PaymentRefund = "payment_refund" is Refund,
    /// All or a part of a deposit back to the payer's card or bank.
    DepositRefund = "deposit_refund" is Refund,
    /// A refund of a deposit that was made at Stripe by somebody else, such as in its dashboard.
    OutsideRefund = "outside_refund" is Refund,
    /// A refund that failed after it had succeeded.
    RefundReturn = "refund_return" is Refund,
    /// A payout that failed after it had been paid.
    PayoutReturn = "payout_return" is Refund,
    /// The payer's bank wants a deposit back.
    Dispute = "dispute" is Refund,
    /// What a dispute gave back after its end: it was turned round, or the money came late.
    DisputeReturn = "dispute_return" is Refund,
    /// What a dispute took after its end: it was turned round, or the money went late.
    DisputeLoss = "dispute_loss" is Refund,
    /// What is taken of a wallet for what its owner owes the platform.
    DebtPayment = "debt_payment" is Refund,
}

impl Flow {
    /// The flow of a row that a version without this column wrote; none for a refund, which no such version knew.
    #[must_use]
    pub const fn of_type(kind: TransactionType) -> Option<Self> {
        match kind {
            TransactionType::Deposit => Some(Self::Deposit),
            TransactionType::Withdrawal => Some(Self::Withdrawal),
            TransactionType::Transfer => Some(Self::Transfer),
            TransactionType::Payment => Some(Self::Payment),
            TransactionType::Refund => None,
        }
    }

    /// Whether it gives back what another transaction brought, and so counts against what is left of that one.
    #[must_use]
    pub const fn gives_back(self) -> bool {
        matches!(
            self,
            Self::PaymentRefund | Self::DepositRefund | Self::OutsideRefund | Self::Dispute
        )
    }

    /// Whether it is what a dispute moved after its end.
    #[must_use]
    pub const fn is_dispute_turn(self) -> bool {
        matches!(self, Self::DisputeReturn | Self::DisputeLoss)
    }
}
