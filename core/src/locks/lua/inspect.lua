-- Returns the value of KEYS[1] and its time to live in ms, -1 if it never expires; nothing if there is no such key.
local kind = redis.call('TYPE', KEYS[1]).ok
if kind == 'none' then
    return nil
end
local value = kind == 'string' and redis.call('GETRANGE', KEYS[1], 0, 63) or 'a ' .. kind
return {value, redis.call('PTTL', KEYS[1])}
