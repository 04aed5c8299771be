-- Moves every task from the scheduled set to the active list and wakes the workers.
-- Nothing is scheduled for later here: retries are timed in PostgreSQL. It works in portions, because unpack has a limit of some 8,000.
--
-- Refused when the keys that pushers write are not of their kind: while nothing can be pushed, nothing is fetched, and nothing else would notice.
--
-- KEYS[1]: scheduled set   KEYS[2]: active list   KEYS[3]: payloads by id   ARGV[1]: channel of the wake-ups
redis.call('LLEN', KEYS[2])
redis.call('HLEN', KEYS[3])
local portion = 1000
local ids
repeat
    ids = redis.call('ZRANGE', KEYS[1], 0, portion - 1)
    if #ids > 0 then
        redis.call('RPUSH', KEYS[2], unpack(ids))
        redis.call('ZREM', KEYS[1], unpack(ids))
    end
until #ids < portion
redis.call('PUBLISH', ARGV[1], '')
