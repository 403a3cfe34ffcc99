/* SPDX-License-Identifier: Apache-2.0 */
#include "script.h"

/* Not of the era that holds: connect anew, and find out. */
#define CHECK_ERA                                            \
	"local era = ARGV[1] "                               \
	"if redis.call('HGET', KEYS[1], 'era') ~= era then " \
	"return redis.error_reply('FENCED another era holds') end "

/* What a broker sends is done in its order, and once. */
#define CHECK_NUMBER                                                \
	CHECK_ERA                                                   \
	"local number = tonumber(ARGV[2]) "                         \
	"local last = tonumber(redis.call('GET', KEYS[2]) or '0') " \
	"if number <= last then return {2} end "                    \
	"if number ~= last + 1 then "                               \
	"return redis.error_reply('SEQGAP the last is ' .. last) end "

/* Long after a broker is gone its count is, too. */
#define DONE "redis.call('SET', KEYS[2], ARGV[2], 'PX', 86400000) "

/* A stream as it is, or as one broker alone has left it; e nil: there is
 * none, or its entries are gone. */
#define LOOK_AT_STREAM                                                 \
	"local t = redis.call('TYPE', ck).ok "                         \
	"local h = redis.call('HMGET', mk, 'e', 's', 'k') "            \
	"local e, s = h[1], tonumber(h[2] or '0') "                    \
	"if t == 'stream' and (not h[2] or s == 0) then "              \
	"local i = redis.call('XINFO', 'STREAM', ck) "                 \
	"for n = 1, #i, 2 do if i[n] == 'last-generated-id' then "     \
	"s = tonumber(string.match(i[n + 1], '-(%d+)$')) end end end " \
	"if t == 'none' and (h[3] == '1' or not h[2]) then e = false end "

/* Put off the end of a key, but not each time. */
#define PUT_OFF                                          \
	"local function put_off(key, ttl) "              \
	"if redis.call('PTTL', key) < ttl * 3 / 4 then " \
	"redis.call('PEXPIRE', key, ttl) end end "

#define MONTH "2592000000"

const char script_append[] = CHECK_NUMBER PUT_OFF
    "local log, mk, ck, dk = KEYS[3], KEYS[4], KEYS[5], KEYS[6] "
    "local keep, window = tonumber(ARGV[3]), tonumber(ARGV[5]) "
    "if window > 0 then "
    "local seen = redis.call('GET', dk) "
    "if seen then " DONE "return {1, seen} end end " LOOK_AT_STREAM
    "if t ~= 'stream' and t ~= 'none' then " DONE "return {3} end "
    "e = e or ARGV[7] "
    "s = string.format('%d', s + 1) "
    "if keep > 0 then "
    "redis.call('XADD', ck, 'MAXLEN', '~', keep, era .. '-' .. s, "
    "unpack(ARGV, 10)) "
    "put_off(ck, tonumber(ARGV[4])) end "
    "redis.call('HSET', mk, 'e', e, 's', s, 'k', keep > 0 and '1' or '0') "
    "put_off(mk, " MONTH ") "
    "local ls = redis.call('HINCRBY', KEYS[1], 'ls', 1) "
    "redis.call('XADD', log, 'MAXLEN', '~', " LOG_MAX ", "
    "era .. '-' .. string.format('%d', ls), 'c', ARGV[6], 'e', e, 's', s, "
    "'n', ARGV[8], 'q', ARGV[2], 'h', ARGV[3], 'l', ARGV[9], "
    "unpack(ARGV, 10)) "
    "if window > 0 then "
    "redis.call('SET', dk, e .. ' ' .. era .. ' ' .. s, 'PX', window) "
    "end " DONE "return {0, e, tonumber(s)}";

const char script_forget[] =
    CHECK_NUMBER "redis.call('DEL', KEYS[4], KEYS[5]) "
		 "local ls = redis.call('HINCRBY', KEYS[1], 'ls', 1) "
		 "redis.call('XADD', KEYS[3], 'MAXLEN', '~', " LOG_MAX ", "
		 "era .. '-' .. string.format('%d', ls), 'x', ARGV[3], "
		 "'n', ARGV[4], 'q', ARGV[2]) " DONE "return {0}";

const char script_open[] =
    "local mk, ck = KEYS[1], KEYS[2] " LOOK_AT_STREAM
    "if t ~= 'stream' and t ~= 'none' then return {} end "
    "if not e then e = ARGV[1] "
    "redis.call('HSET', mk, 'e', e, 's', string.format('%d', s), 'k', '0') "
    "redis.call('PEXPIRE', mk, " MONTH ") end "
    "local first, last = '', '' "
    "if t == 'stream' then "
    "local a = redis.call('XRANGE', ck, '-', '+', 'COUNT', 1) "
    "local b = redis.call('XREVRANGE', ck, '+', '-', 'COUNT', 1) "
    "if a[1] then first = a[1][1] last = b[1][1] end end "
    "return {e, s, first, last}";

const char script_era[] =
    "local m = redis.call('HMGET', KEYS[1], 'schema', 'era', 'run') "
    "if m[1] and m[1] ~= '1' then "
    "return redis.error_reply('ERR the streams have schema ' .. m[1] .. "
    "', this broker knows 1') end "
    "local same = m[3] == ARGV[1] "
    "local era, ours = tonumber(m[2] or '0'), tonumber(ARGV[2]) "
    "local is_of_another = ours == era and ours > 0 and ARGV[3] ~= ARGV[1] "
    "if not same or ours > era or is_of_another then "
    "era = math.max(era, ours) + 1 end "
    "redis.call('HSET', KEYS[1], 'schema', '1', "
    "'era', string.format('%d', era), 'run', ARGV[1], "
    "'boot', 'cluster', 'owner', '0') "
    "return {era, same and 1 or 0}";

const char script_fence[] =
    "local era = tonumber(redis.call('HGET', KEYS[1], 'era') or '0') "
    "if era > tonumber(ARGV[1]) then "
    "return redis.error_reply('FENCED a later era holds') end "
    "redis.call('HSET', KEYS[1], 'era', ARGV[1]) "
    "local last = redis.call('XREVRANGE', KEYS[3], '+', '-', 'COUNT', 1) "
    "return {tonumber(redis.call('GET', KEYS[2]) or '0'), "
    "last[1] and last[1][1] or '0-0'}";

/* The next entry of the log of all. */
#define LOG_ENTRY                                                  \
	"local function tell(...) "                                \
	"local ls = redis.call('HINCRBY', KEYS[1], 'ls', 1) "      \
	"redis.call('XADD', KEYS[2], 'MAXLEN', '~', " LOG_MAX ", " \
	"ARGV[1] .. '-' .. string.format('%d', ls), ...) end "

const char script_join[] = CHECK_ERA LOG_ENTRY
    "local node, boot = ARGV[2], ARGV[3] "
    "local was = redis.call('HGET', KEYS[4], '.boot') "
    "if was and was ~= boot and ARGV[7] ~= '1' then return {-1} end "
    "local is_new = was ~= boot or ARGV[8] == '1' "
    "if is_new then "
    "redis.call('DEL', KEYS[4]) tell('n', node, 'k', 'g') end "
    "redis.call('HSET', KEYS[4], '.boot', boot, '.owner', ARGV[4]) "
    "redis.call('PEXPIRE', KEYS[4], ARGV[5]) "
    "redis.call('SADD', KEYS[3], node) "
    "local n = 0 "
    "for _, other in ipairs(redis.call('SMEMBERS', KEYS[3])) do "
    "if redis.call('EXISTS', ARGV[6] .. other) == 1 then n = n + 1 else "
    "redis.call('SREM', KEYS[3], other) tell('n', other, 'k', 'g') end end "
    "local last = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1) "
    "return {is_new and 1 or 0, last[1] and last[1][1] or '0-0', n}";

const char script_leave[] = CHECK_ERA LOG_ENTRY
    "if redis.call('HGET', KEYS[4], '.boot') ~= ARGV[3] then return 0 end "
    "redis.call('DEL', KEYS[4]) "
    "redis.call('SREM', KEYS[3], ARGV[2]) "
    "tell('n', ARGV[2], 'k', 'g') return 1";

const char script_tell[] = CHECK_ERA LOG_ENTRY
    "local kind, key, value = ARGV[4], ARGV[5], ARGV[6] "
    "if kind == 'r' then "
    "if redis.call('HGET', KEYS[3], '.boot') ~= ARGV[3] then return -1 end "
    "if value == '' then redis.call('HDEL', KEYS[3], key) else "
    "redis.call('HSET', KEYS[3], key, value) end "
    "elseif kind == 'c' then "
    "local done = value == '' and redis.call('HDEL', KEYS[3], key) or "
    "value ~= '' and redis.call('HSETNX', KEYS[3], key, value) "
    "if done == 0 then return 0 end end "
    "tell('n', ARGV[2], 'k', kind, 'f', key, 'v', value) return 1";
