//! Work that waits, and who does it: nothing is forgotten, and nothing is held for ever.

use super::{Check, Quick};

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "I3 business",
        means: "whatever is not final is somebody's business: a job's, or Stripe's or a person's by its stage",
        money: false,
        complete: "SELECT t.id || ' ' || t.stage FROM wallet_transactions t
                    WHERE t.status IN ('pending', 'processing')
                      AND t.stage IN ('accepted', 'held', 'transferred', 'returning') AND coalesce(t.flow, '') <> 'dispute'
                      AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.transaction_id = t.id)",
        quick: Quick::Same,
    },
    Check {
        name: "I3 alarms",
        means: "whatever is parked or in review has its alarm",
        money: false,
        complete: "SELECT 'job ' || j.id FROM jobs j WHERE j.parked_at IS NOT NULL
                      AND NOT EXISTS (SELECT 1 FROM alarms a WHERE a.kind = 'job_parked' AND a.subject = j.id::text AND a.closed_at IS NULL)
                   UNION ALL SELECT 'event ' || e.id FROM stripe_events e WHERE e.state = 'parked'
                      AND NOT EXISTS (SELECT 1 FROM alarms a WHERE a.kind = 'event_parked' AND a.subject = e.id)
                   UNION ALL SELECT 'transaction ' || t.id FROM wallet_transactions t
                    WHERE t.status IN ('pending', 'processing') AND t.stage = 'in_review'
                      AND NOT EXISTS (SELECT 1 FROM alarms a WHERE a.subject = t.id::text AND a.closed_at IS NULL)",
        quick: Quick::Same,
    },
    Check {
        name: "I8 events",
        means: "a stored event that is not processed has its job",
        money: false,
        complete: "SELECT e.id FROM stripe_events e WHERE e.state = 'received'
                      AND NOT EXISTS (SELECT 1 FROM jobs j
                                       WHERE j.unique_key = CASE WHEN octet_length('event:' || e.id) <= 255 THEN 'event:' || e.id
                                                                 ELSE 'event:sha256:' || encode(sha256(convert_to(e.id, 'UTF8')), 'hex') END)",
        quick: Quick::Same,
    },
    Check {
        name: "I10 claims",
        means: "a job was started no more often than it was claimed, and a lease has its holder",
        money: false,
        complete: "SELECT 'job ' || id || ' fence ' || fence || ', attempts ' || attempts || ', starts ' || starts FROM jobs
                    WHERE attempts < 0 OR starts < 0 OR attempts > fence OR starts > fence
                       OR (lease_owner IS NULL) <> (lease_until IS NULL) OR (parked_at IS NOT NULL AND lease_until IS NOT NULL)",
        quick: Quick::Same,
    },
    Check {
        name: "I22 sessions",
        means: "no session of ours has left a transaction open for a minute",
        money: false,
        complete: "SELECT 'session ' || pid || ' of ' || application_name FROM pg_stat_activity
                    WHERE datname = current_database() AND application_name LIKE 'wallet-%' AND state LIKE 'idle in transaction%'
                      AND state_change < clock_timestamp() - interval '1 minute'",
        quick: Quick::Same,
    },
];
