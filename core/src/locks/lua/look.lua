-- Value and time to live of KEYS[1] in ms, -1 when it never expires; nothing when there is no such key.
local kind = redis.call('TYPE', KEYS[1]).ok
if kind == 'none' then
    return nil
end
local value = kind == 'string' and redis.call('GETRANGE', KEYS[1], 0, 63) or 'a ' .. kind
return {value, redis.call('PTTL', KEYS[1])}
