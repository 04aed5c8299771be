//! The labels of the specification: the same words in SQL, in Rust and, in upper case, in GraphQL.

macro_rules! labels {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $label:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, diesel::expression::AsExpression, diesel::deserialize::FromSqlRow)]
        #[diesel(sql_type = crate::db::types::$name)]
        pub enum $name {
            $($(#[$vdoc])* $variant,)+
        }

        impl $name {
            /// Every label.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The label in SQL.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $label,)+
                }
            }

            /// The value of a label read from SQL.
            #[must_use]
            pub fn from_label(label: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.as_str() == label)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        crate::db::types::column_of!($name, crate::db::types::$name);
    };
}

labels! {
    /// What kind of movement a transaction is.
    TransactionType {
        /// Money from outside into a wallet, by a payment intent.
        Deposit = "deposit",
        /// Money out of a wallet to its owner's bank.
        Withdrawal = "withdrawal",
        /// Money from wallet to wallet.
        Transfer = "transfer",
        /// Money from wallet to wallet with a platform fee.
        Payment = "payment",
        /// Money back.
        Refund = "refund",
    }
}

labels! {
    /// How far a transaction is; the last three are final.
    TransactionStatus {
        /// Accepted, nothing has happened yet.
        Pending = "pending",
        /// Under way; what it needs is held.
        Processing = "processing",
        /// Done.
        Completed = "completed",
        /// Ended without effect; the reason is given.
        Failed = "failed",
        /// Taken back before anything irreversible happened; of a dispute, that it ended and took nothing.
        Cancelled = "cancelled",
    }
}

impl TransactionStatus {
    /// Whether it never changes again.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }
}

labels! {
    /// How a deposit is paid.
    PaymentMethod {
        /// Whatever Stripe offers the payer.
        Stripe = "stripe",
        /// The bank debit of the currency.
        BankTransfer = "bank_transfer",
        /// A card.
        CreditCard = "credit_card",
        /// A card.
        DebitCard = "debit_card",
    }
}
