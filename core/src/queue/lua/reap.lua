-- Removes a worker that has ended. What it had fetched goes back to the active list, except tasks that it had begun (their
-- handlers still run in its process, or the jobs are dispatched again from PostgreSQL) and tasks without data, which would
-- end every worker that fetches them.
--
-- KEYS[1]: workers   KEYS[2]: members   KEYS[3]: active list   KEYS[4]: payloads by id
-- ARGV[1]: prefix of the inflight sets   ARGV[2]: prefix of the tasks' hashes   ARGV[3]: prefix of the workers' hashes
-- ARGV[4]: name of the worker   ARGV[5..]: ids of the tasks it had begun
-- Returns how many tasks went back.
local begun = {}
for i = 5, #ARGV do
    begun[ARGV[i]] = true
end

local inflight = ARGV[1] .. ':' .. ARGV[4]
-- What Redis holds is input: a key of another kind is removed unread.
if redis.call('TYPE', inflight).ok ~= 'set' then
    redis.call('UNLINK', inflight)
end
local returned = 0
for _, id in ipairs(redis.call('SMEMBERS', inflight)) do
    local meta = ARGV[2] .. ':' .. id
    local whole = redis.call('HEXISTS', KEYS[4], id) == 1 and redis.call('TYPE', meta).ok == 'hash'
        and redis.call('HEXISTS', meta, 'status') == 1
    if whole and not begun[id] then
        redis.call('RPUSH', KEYS[3], id)
        returned = returned + 1
    else
        redis.call('HDEL', KEYS[4], id)
        redis.call('UNLINK', meta)
    end
end

redis.call('DEL', inflight, ARGV[3] .. ':' .. ARGV[4])
redis.call('ZREM', KEYS[1], ARGV[4])
redis.call('ZREM', KEYS[2], ARGV[4])
return returned
