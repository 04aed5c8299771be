-- Puts aside keys that are no queue and tasks that we did not write, so that they end no worker. What Redis holds is input: anything may have written it.
--
-- KEYS[1]: active list   KEYS[2]: payloads by id   KEYS[3]: scheduled set   KEYS[4]: workers   KEYS[5]: members   KEYS[6]: done set
-- KEYS[7]: dead set   KEYS[8]: signal list   KEYS[9]: marker   KEYS[10]: sign of life   KEYS[11]: apalis' list of queues
-- ARGV[1]: prefix of the tasks' hashes   ARGV[2]: list of what was put aside   ARGV[3]: how many tasks are inspected
-- Returns what was put aside, in words; at most 20 of them. The marker goes with it, so that all jobs are dispatched again.
local kinds = {'list', 'hash', 'zset', 'zset', 'zset', 'set', 'set', 'list', 'string', 'string', 'zset'}
local statuses = {Pending = true, Queued = true, Running = true, Done = true, Failed = true, Killed = true}
local week = 604800
local told, found = {}, 0

local function tell(words)
    found = found + 1
    if #told < 20 then
        table.insert(told, words)
    end
end

for at, expected in ipairs(kinds) do
    local kind = redis.call('TYPE', KEYS[at]).ok
    if kind ~= 'none' and kind ~= expected then
        local aside = KEYS[at] .. ':aside'
        redis.call('UNLINK', aside)
        redis.call('RENAME', KEYS[at], aside)
        redis.call('EXPIRE', aside, week)
        tell(KEYS[at] .. ' was a ' .. kind .. ' and not a ' .. expected)
    end
end

local function is_count(text)
    return type(text) == 'string' and #text < 10 and string.match(text, '^%d+$') ~= nil
end

-- Returns why a task cannot be read, or nothing if it can.
local function fault(id)
    if #id ~= 26 or not string.match(id, '^[0-7][0-9A-HJKMNP-TV-Z]+$') then
        return 'has no id of a task'
    end
    local meta = ARGV[1] .. ':' .. id
    local kind = redis.call('TYPE', meta).ok
    if kind == 'none' and redis.call('HEXISTS', KEYS[2], id) == 0 then
        return 'is gone'
    end
    if kind ~= 'hash' then
        return 'has a ' .. kind .. ' for its metadata'
    end
    if redis.call('HEXISTS', KEYS[2], id) == 0 then
        return 'has no payload'
    end
    if redis.call('HLEN', meta) > 50 then
        return 'has too much metadata'
    end
    local fields = redis.call('HGETALL', meta)
    local values = {}
    for i = 1, #fields, 2 do
        if string.find(fields[i], '[\128-\255]') or string.find(fields[i + 1], '[\128-\255]') then
            return 'has unreadable metadata'
        end
        values[fields[i]] = fields[i + 1]
    end
    if not statuses[values['status'] or ''] then
        return 'has an unknown status'
    end
    if not is_count(values['attempts']) or not is_count(values['max_attempts']) then
        return 'has no number of attempts'
    end
end

-- A task that a worker finished after it had been taken for dead and its task put back: nothing is wrong with it.
local lost = false

local function drop(id, why)
    if why == 'is gone' then
        lost = true
        return
    end
    local payload = redis.call('HGET', KEYS[2], id) or ''
    redis.call('LPUSH', ARGV[2], string.sub(id, 1, 64) .. ' ' .. why .. ': ' .. string.sub(payload, 1, 200))
    redis.call('HDEL', KEYS[2], id)
    redis.call('UNLINK', ARGV[1] .. ':' .. id)
    tell('a task ' .. why)
end

if redis.call('TYPE', ARGV[2]).ok ~= 'list' then
    redis.call('UNLINK', ARGV[2])
end

local most = tonumber(ARGV[3])
local ids = redis.call('LRANGE', KEYS[1], 0, most - 1)
local good, bad = {}, false
for _, id in ipairs(ids) do
    local why = fault(id)
    if why then
        bad = true
        drop(id, why)
    else
        table.insert(good, id)
    end
end
if bad then
    redis.call('LTRIM', KEYS[1], #ids, -1)
    for i = #good, 1, -1 do
        redis.call('LPUSH', KEYS[1], good[i])
    end
end
for _, id in ipairs(redis.call('ZRANGE', KEYS[3], 0, most - 1)) do
    local why = fault(id)
    if why then
        redis.call('ZREM', KEYS[3], id)
        drop(id, why)
    end
end

if found > 0 then
    redis.call('LTRIM', ARGV[2], 0, 99)
    redis.call('EXPIRE', ARGV[2], week)
end
if found > 0 or lost then
    redis.call('UNLINK', KEYS[9])
end
return told
