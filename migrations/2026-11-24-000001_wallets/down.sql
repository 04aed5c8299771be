DROP FUNCTION create_month_partition(text, timestamptz);
DROP FUNCTION lowest_uuid_at(timestamptz);
DROP FUNCTION refuse_change() CASCADE;
DROP TABLE stripe_customers;
DROP TABLE wallets;
DROP TYPE payment_method;
DROP TYPE transaction_status;
DROP TYPE transaction_type;
