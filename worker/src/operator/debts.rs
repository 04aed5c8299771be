//! `debts`: lists what people owe the platform.

use serde_json::json;
use wallet_core::debts;

use super::Session;
use super::session::moment;

/// Lists what people owe, and because of which transactions.
pub(crate) async fn debts(session: &Session) -> anyhow::Result<()> {
    let conn = &mut session.db.conn().await?;
    let (mut lines, mut listed) = (Vec::new(), Vec::new());
    let owing = debts::list(conn).await?;
    let owed: Vec<_> = owing.iter().map(|debt| (debt.wallet, debt.amount)).collect();
    let of_each = debts::causes(conn, &owed).await?;
    for debt in owing {
        lines.push(format!(
            "{}  wallet {}  owes {}",
            debt.user, debt.wallet, debt.amount
        ));
        let mut causes = Vec::new();
        for cause in of_each.get(&debt.wallet).into_iter().flatten() {
            lines.push(format!(
                "  {}  for {} since {}",
                cause.amount,
                cause.transaction,
                moment(cause.since)
            ));
            causes.push(json!({
                "transaction": cause.transaction, "amount": cause.amount.amount(), "since": cause.since,
            }));
        }
        listed.push(json!({
            "user": debt.user, "wallet": debt.wallet, "amount": debt.amount.amount(),
            "currency": debt.amount.currency().code(), "causes": causes,
        }));
    }
    lines.push(format!("{} wallets owe", listed.len()));
    session.answer(&json!({ "debts": listed }), lines)
}
