//! The audit trail against the rows: every change recorded once, along the edges of its flow.

use super::{Check, Quick};

/// The query for the recorded changes: one row for each transaction in each record, numbered in the order of the trail.
macro_rules! steps {
    ($trail:literal) => {
        concat!(
            "SELECT a.id AS record, s.n, s.id, NULL::text AS flow, s.stages->>0 AS from_stage, s.stages->>1 AS to_stage
               FROM ", $trail, " a
               CROSS JOIN LATERAL ROWS FROM (unnest(a.transaction_ids), jsonb_array_elements(a.detail->'stages'))
                    WITH ORDINALITY AS s (id, stages, n)
              WHERE a.action = 'settle' AND s.stages IS NOT NULL
              UNION ALL
             SELECT a.id, 0, unnest(a.transaction_ids), coalesce(a.detail->>'flow', a.detail->>'type'), NULL, 'accepted'
               FROM ", $trail, " a WHERE a.action = 'accept'"
        )
    };
}

/// The expression, used by both statements, for what is wrong with a record given the record before it.
macro_rules! broken {
    () => {
        "CASE WHEN from_stage IS NULL AND flow IS NULL THEN 'has a record that does not say what happened'
              WHEN flow IS NOT NULL AND before IS NOT NULL THEN 'was accepted twice'
              WHEN before <> from_stage THEN 'went from ' || from_stage || ' although it was ' || before
              WHEN from_stage IS NOT NULL AND NOT EXISTS (
                       SELECT 1 FROM edge WHERE edge.flow = walks AND edge.from_stage = walked.from_stage AND edge.to_stage = walked.to_stage)
                   THEN 'went from ' || from_stage || ' to ' || to_stage || ', which a ' || coalesce(walks, 'flow nobody knows') || ' cannot'
         END"
    };
}

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "I7 history",
        means: "every change of a stage is recorded once, along the edges of its flow, from the acceptance to where it stands",
        money: true,
        complete: concat!(
            "WITH edge AS MATERIALIZED (SELECT * FROM {edges} AS edge),
                  step AS (", steps!("audit_log"), "),
                  walked AS (
                      SELECT step.*, lag(to_stage) OVER way AS before, first_value(flow) OVER way AS walks,
                             lead(to_stage) OVER way IS NULL AS is_last
                        FROM step WINDOW way AS (PARTITION BY id ORDER BY record, n)),
                  judged AS (
                      SELECT id, is_last, to_stage,
                             CASE WHEN before IS NULL AND flow IS NULL THEN 'was settled but never accepted' ELSE ", broken!(), " END AS wrong
                        FROM walked)
             SELECT id || ' ' || wrong FROM judged WHERE wrong IS NOT NULL
             UNION ALL
             SELECT coalesce(t.id, j.id) || CASE WHEN t.id IS NULL THEN ' is in the trail and nowhere else'
                                                 WHEN j.id IS NULL THEN ' was never accepted'
                                                 ELSE ' is ' || t.stage || ', the trail ends at ' || j.to_stage END
               FROM wallet_transactions t FULL JOIN (SELECT id, to_stage FROM judged WHERE is_last) j ON j.id = t.id
              WHERE t.id IS NULL OR j.id IS NULL OR t.stage <> j.to_stage"
        ),
        quick: Quick::Other(concat!(
            "WITH edge AS MATERIALIZED (SELECT * FROM {edges} AS edge),
                  step AS (", steps!("(SELECT * FROM audit_log WHERE id > $5)"), "),
                  walked AS (
                      SELECT step.*, lag(to_stage) OVER way AS before, coalesce(t.flow, t.transaction_type::text) AS walks,
                             lead(to_stage) OVER way IS NULL AS is_last, t.stage
                        FROM (SELECT step.* FROM step WHERE id = ANY($1)) step
                        LEFT JOIN {transactions} t ON t.id = step.id WINDOW way AS (PARTITION BY step.id ORDER BY record, n))
             SELECT id || ' ' || wrong FROM (SELECT id, ", broken!(), " AS wrong FROM walked) judged WHERE wrong IS NOT NULL
             UNION ALL
             SELECT id || CASE WHEN stage IS NULL THEN ' is in the trail and nowhere else'
                               ELSE ' is ' || stage || ', the trail ends at ' || to_stage END
               FROM walked WHERE is_last AND stage IS DISTINCT FROM to_stage"
        )),
    },
    Check {
        name: "I7 status",
        means: "the status is what the stage means",
        money: true,
        complete: "SELECT t.id || ' is ' || t.stage || ' and ' || t.status
                     FROM {transactions} t LEFT JOIN {stages} AS s (stage, status) ON s.stage = t.stage
                    WHERE s.status IS DISTINCT FROM t.status::text",
        quick: Quick::Same,
    },
    Check {
        name: "I12 audit",
        means: "every record names who acted, and a person's also the request",
        money: false,
        complete: "SELECT 'record ' || id || ' by ' || actor FROM audit_log
                    WHERE actor = '' OR (actor LIKE 'user:%' AND request_id IS NULL)",
        quick: Quick::Other(
            "SELECT 'record ' || id || ' by ' || actor FROM audit_log
              WHERE id > $5 AND (actor = '' OR (actor LIKE 'user:%' AND request_id IS NULL))",
        ),
    },
];
