/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The layout of the plugin ABI, written down once.  If this file does not
 * compile you have moved something that a plugin in the field depends on: put
 * it back, or raise AQB_ABI_MAJOR and say so in NEWS.  What was added at the
 * end of a table is added here too, and its size raised.
 */
#include <stddef.h>
#include <stdint.h>

#include <arqonbus/plugin.h>

#define IS(name, want) _Static_assert((name) == (want), #name)

/* clang-format off */

IS(AQB_PLUGIN_MAGIC, 0x8f41b6d3u);
IS(AQB_ABI_MAJOR, 1);
IS(AQB_ABI_MINOR, 1);

IS(AQB_OK, 0);
IS(AQB_EINVAL, -1);
IS(AQB_ENOENT, -2);
IS(AQB_EEXIST, -3);
IS(AQB_EABI, -4);
IS(AQB_ENOMEM, -5);
IS(AQB_EFULL, -6);
IS(AQB_EUNAVAIL, -7);
IS(AQB_EUNCERTAIN, -8);
IS(AQB_ETIMEDOUT, -9);
IS(AQB_EPERM, -10);
IS(AQB_ESYS, -11);

IS(AQB_CODE_OK, 0);
IS(AQB_CODE_INVALID_JSON, 1);
IS(AQB_CODE_INVALID_ENVELOPE, 2);
IS(AQB_CODE_UNSUPPORTED_VERSION, 3);
IS(AQB_CODE_UNKNOWN_TYPE, 4);
IS(AQB_CODE_UNKNOWN_COMMAND, 5);
IS(AQB_CODE_INVALID_ARGUMENT, 6);
IS(AQB_CODE_INVALID_NAME, 7);
IS(AQB_CODE_TARGET_REQUIRED, 8);
IS(AQB_CODE_TARGET_NOT_FOUND, 9);
IS(AQB_CODE_ROOM_NOT_FOUND, 10);
IS(AQB_CODE_CHANNEL_NOT_FOUND, 11);
IS(AQB_CODE_CHANNEL_EXISTS, 12);
IS(AQB_CODE_CHANNEL_PROTECTED, 13);
IS(AQB_CODE_CHANNEL_NOT_EMPTY, 14);
IS(AQB_CODE_ALIAS_TAKEN, 15);
IS(AQB_CODE_NOT_A_MEMBER, 16);
IS(AQB_CODE_LIMIT_REACHED, 17);
IS(AQB_CODE_MESSAGE_TOO_LARGE, 18);
IS(AQB_CODE_RATE_LIMITED, 19);
IS(AQB_CODE_BUSY, 20);
IS(AQB_CODE_OVERLOADED, 21);
IS(AQB_CODE_UNAUTHENTICATED, 22);
IS(AQB_CODE_FORBIDDEN, 23);
IS(AQB_CODE_STORAGE_UNAVAILABLE, 24);
IS(AQB_CODE_DRAINING, 25);
IS(AQB_CODE_TIMEOUT, 26);
IS(AQB_CODE_INTERNAL, 27);

IS(AQB_DONE, 1);
IS(AQB_EARLY, 2);
IS(AQB_PENDING, 3);

IS(AQB_STORED_NONE, 0);
IS(AQB_STORED_MEMORY, 1);
IS(AQB_STORED_REDIS, 2);
IS(AQB_STORED_FSYNC, 3);
IS(AQB_STORED_REPLICATED, 4);

IS(AQB_SLOW_DEFAULT, 0);
IS(AQB_SLOW_DISCONNECT, 1);
IS(AQB_SLOW_DROP_OLDEST, 2);
IS(AQB_SLOW_CONFLATE, 3);

IS(AQB_OPT_END, 0);
IS(AQB_OPT_U32, 1);
IS(AQB_OPT_BOOL, 2);
IS(AQB_OPT_SIZE, 3);
IS(AQB_OPT_DURATION, 4);
IS(AQB_OPT_STRING, 5);
IS(AQB_OPT_SECRET, 6);
IS(AQB_OPT_ENUM, 7);

IS(AQB_DEBUG, 0);
IS(AQB_INFO, 1);
IS(AQB_WARNING, 2);
IS(AQB_ERROR, 3);

IS(AQB_CMD_ADMIN, 1);
IS(AQB_RANGE_LAST, 1);
IS(AQB_MSG_BINARY, 1);
IS(AQB_MSG_GIVEN_ID, 2);
IS(AQB_ANSWER_EARLY, 1);
IS(AQB_ANSWER_REPEATED, 2);
IS(AQB_DURABLE_DEFAULT, 0);
IS(AQB_DURABLE_EPHEMERAL, 1);
IS(AQB_DURABLE_STORED, 2);
IS(AQB_DURABLE_FSYNC, 3);
IS(AQB_DURABLE_REPLICATED, 4);
IS(AQB_STORE_DURABLE, 1);
IS(AQB_STORE_SHARED, 2);
IS(AQB_NAME_MAX, 64);
IS(AQB_CLIENT_ID_MAX, 64);
IS(AQB_MSG_ID_MAX, 128);
IS(AQB_EPOCH_SIZE, 40);
IS(AQB_CURSOR_SIZE, 48);

/* Offsets are those of machines with 64-bit pointers, all that are tested;
 * elsewhere the order of the members is the same. */
#if UINTPTR_MAX == UINT64_MAX

#define AT(type, member, want) \
	_Static_assert(offsetof(struct type, member) == (want), #member)
#define SIZE(type, want) _Static_assert(sizeof(struct type) == (want), #type)

AT(aqb_slice, data, 0);
AT(aqb_slice, len, 8);
SIZE(aqb_slice, 16);

AT(aqb_why, field, 0);
AT(aqb_why, retry_after_ms, 8);
AT(aqb_why, text, 12);
SIZE(aqb_why, 256);

AT(aqb_position, seq, 0);
AT(aqb_position, epoch, 8);
SIZE(aqb_position, 48);

AT(aqb_msg_view, size, 0);
AT(aqb_msg_view, bytes, 4);
AT(aqb_msg_view, timestamp, 8);
AT(aqb_msg_view, seq, 16);
AT(aqb_msg_view, id, 24);
AT(aqb_msg_view, type, 40);
AT(aqb_msg_view, room, 56);
AT(aqb_msg_view, channel, 72);
AT(aqb_msg_view, from, 88);
AT(aqb_msg_view, payload, 104);
AT(aqb_msg_view, metadata, 120);
AT(aqb_msg_view, epoch, 136);
AT(aqb_msg_view, flags, 152);
SIZE(aqb_msg_view, 160);

AT(aqb_limits, size, 0);
AT(aqb_limits, history_size, 4);
AT(aqb_limits, history_ttl, 8);
AT(aqb_limits, durability, 16);
AT(aqb_limits, dedupe_window, 24);
SIZE(aqb_limits, 32);

AT(aqb_range, size, 0);
AT(aqb_range, flags, 4);
AT(aqb_range, limit, 8);
AT(aqb_range, bytes, 12);
AT(aqb_range, after, 16);
AT(aqb_range, before, 24);
AT(aqb_range, since, 32);
AT(aqb_range, until, 40);
AT(aqb_range, from, 48);
SIZE(aqb_range, 56);

AT(aqb_answer, size, 0);
AT(aqb_answer, stored, 4);
AT(aqb_answer, pos, 8);
AT(aqb_answer, first, 56);
AT(aqb_answer, msgs, 64);
AT(aqb_answer, n, 72);
AT(aqb_answer, more, 80);
AT(aqb_answer, flags, 84);
AT(aqb_answer, value, 88);
SIZE(aqb_answer, 104);

AT(aqb_storage_ops, size, 0);
AT(aqb_storage_ops, caps, 4);
AT(aqb_storage_ops, stored, 8);
AT(aqb_storage_ops, append, 16);
AT(aqb_storage_ops, tail, 24);
AT(aqb_storage_ops, history, 32);
AT(aqb_storage_ops, forget, 40);
AT(aqb_storage_ops, usage, 48);
AT(aqb_storage_ops, cancel, 56);
AT(aqb_storage_ops, accept, 64);
AT(aqb_storage_ops, resolve, 72);
AT(aqb_storage_ops, probe, 80);
AT(aqb_storage_ops, keep, 88);
AT(aqb_storage_ops, follow, 96);
AT(aqb_storage_ops, notify, 104);
AT(aqb_storage_ops, share, 112);
AT(aqb_storage_ops, backlog, 120); /* 1.1 */
SIZE(aqb_storage_ops, 128);

AT(aqb_follower, size, 0);
AT(aqb_follower, node, 8);
AT(aqb_follower, arg, 16);
AT(aqb_follower, message, 24);
AT(aqb_follower, forgotten, 32);
AT(aqb_follower, notice, 40);
AT(aqb_follower, record, 48);
AT(aqb_follower, node_gone, 56);
AT(aqb_follower, syncing, 64);
AT(aqb_follower, synced, 72);
AT(aqb_follower, share_again, 80);
SIZE(aqb_follower, 88);

AT(aqb_event, size, 0);
AT(aqb_event, severity, 4);
AT(aqb_event, seq, 8);
AT(aqb_event, timestamp, 16);
AT(aqb_event, type, 24);
AT(aqb_event, json, 32);
SIZE(aqb_event, 48);

AT(aqb_telemetry_ops, size, 0);
AT(aqb_telemetry_ops, emit, 8);
SIZE(aqb_telemetry_ops, 16);

AT(aqb_call, size, 0);
AT(aqb_call, command, 8);
AT(aqb_call, client_id, 16);
AT(aqb_call, room, 24);
AT(aqb_call, channel, 32);
AT(aqb_call, args, 40);
SIZE(aqb_call, 48);

AT(aqb_command, size, 0);
AT(aqb_command, flags, 4);
AT(aqb_command, name, 8);
AT(aqb_command, params, 16);
AT(aqb_command, summary, 24);
AT(aqb_command, exec, 32);
SIZE(aqb_command, 40);

AT(aqb_option, name, 0);
AT(aqb_option, type, 8);
AT(aqb_option, offset, 12);
AT(aqb_option, min, 16);
AT(aqb_option, max, 24);
AT(aqb_option, dflt, 32);
AT(aqb_option, names, 40);
AT(aqb_option, help, 48);
SIZE(aqb_option, 56);

AT(aqb_plugin, magic, 0);
AT(aqb_plugin, abi_major, 4);
AT(aqb_plugin, abi_minor, 6);
AT(aqb_plugin, size, 8);
AT(aqb_plugin, conf_size, 12);
AT(aqb_plugin, name, 16);
AT(aqb_plugin, version, 24);
AT(aqb_plugin, summary, 32);
AT(aqb_plugin, options, 40);
AT(aqb_plugin, init, 48);
AT(aqb_plugin, start, 56);
AT(aqb_plugin, stop, 64);
AT(aqb_plugin, fini, 72);
AT(aqb_plugin, storage, 80);
AT(aqb_plugin, commands, 88);
AT(aqb_plugin, telemetry, 96);
SIZE(aqb_plugin, 104);

AT(aqb_metrics, size, 0);
AT(aqb_metrics, counter, 8);
AT(aqb_metrics, gauge, 16);
AT(aqb_metrics, add, 24);
AT(aqb_metrics, set, 32);
SIZE(aqb_metrics, 40);

AT(aqb_plugin_info, size, 0);
AT(aqb_plugin_info, name, 8);
AT(aqb_plugin_info, version, 16);
AT(aqb_plugin_info, summary, 24);
AT(aqb_plugin_info, file, 32);
AT(aqb_plugin_info, state, 40);
AT(aqb_plugin_info, kinds, 48);
AT(aqb_plugin_info, required, 56);
SIZE(aqb_plugin_info, 64);

AT(aqb_host, size, 0);
AT(aqb_host, flags, 4);
AT(aqb_host, log, 8);
AT(aqb_host, msg_ref, 16);
AT(aqb_host, msg_unref, 24);
AT(aqb_host, msg_view, 32);
AT(aqb_host, answer, 40);
AT(aqb_host, post, 48);
AT(aqb_host, loop_base, 56);
AT(aqb_host, msg_json, 64);
AT(aqb_host, hash, 72);
AT(aqb_host, reply, 80);
AT(aqb_host, fail, 88);
AT(aqb_host, code_name, 96);
AT(aqb_host, health, 104);
AT(aqb_host, version, 112);
AT(aqb_host, metrics_snapshot, 120);
AT(aqb_host, config, 128);
AT(aqb_host, log_level, 136);
AT(aqb_host, plugins, 144);
AT(aqb_host, commands, 152);
AT(aqb_host, bus, 160);
AT(aqb_host, metrics, 168);
AT(aqb_host, msg_make, 176);
SIZE(aqb_host, 184);

AT(aqb_stats, size, 0);
AT(aqb_stats, name, 8);
AT(aqb_stats, version, 16);
AT(aqb_stats, node, 24);
AT(aqb_stats, uptime, 32);
AT(aqb_stats, clients, 40);
AT(aqb_stats, rooms, 48);
AT(aqb_stats, channels, 56);
AT(aqb_stats, received, 64);
AT(aqb_stats, delivered, 72);
AT(aqb_stats, per_second, 80);
AT(aqb_stats, storage_backend, 88);
AT(aqb_stats, storage_state, 96);
AT(aqb_stats, p50, 104);
AT(aqb_stats, p90, 112);
AT(aqb_stats, p99, 120);
SIZE(aqb_stats, 128);

AT(aqb_channel_spec, size, 0);
AT(aqb_channel_spec, room, 8);
AT(aqb_channel_spec, channel, 16);
AT(aqb_channel_spec, description, 24);
AT(aqb_channel_spec, metadata, 32);
AT(aqb_channel_spec, history_size, 48);
AT(aqb_channel_spec, history_ttl, 56);
AT(aqb_channel_spec, durability, 64);
AT(aqb_channel_spec, slow_policy, 68);
SIZE(aqb_channel_spec, 72);

AT(aqb_channel_info, size, 0);
AT(aqb_channel_info, room, 8);
AT(aqb_channel_info, channel, 16);
AT(aqb_channel_info, description, 24);
AT(aqb_channel_info, metadata, 32);
AT(aqb_channel_info, member_count, 48);
AT(aqb_channel_info, message_count, 56);
AT(aqb_channel_info, created_at, 64);
AT(aqb_channel_info, last_activity, 72);
AT(aqb_channel_info, is_protected, 80);
AT(aqb_channel_info, history_size, 88);
AT(aqb_channel_info, history_ttl, 96);
AT(aqb_channel_info, durability, 104);
AT(aqb_channel_info, slow_policy, 108);
SIZE(aqb_channel_info, 112);

AT(aqb_client_info, size, 0);
AT(aqb_client_info, client_id, 8);
AT(aqb_client_info, alias, 16);
AT(aqb_client_info, client_type, 24);
AT(aqb_client_info, screen_name, 32);
AT(aqb_client_info, avatar, 40);
AT(aqb_client_info, personality, 48);
AT(aqb_client_info, address, 56);
AT(aqb_client_info, session, 64);
AT(aqb_client_info, connected_at, 72);
AT(aqb_client_info, last_activity, 80);
AT(aqb_client_info, joined_at, 88);
AT(aqb_client_info, channels, 96);
AT(aqb_client_info, received, 104);
AT(aqb_client_info, admin, 112);
AT(aqb_client_info, binary, 113);
AT(aqb_client_info, resumed, 114);
AT(aqb_client_info, node, 120);
SIZE(aqb_client_info, 128);

AT(aqb_identity, size, 0);
AT(aqb_identity, client_type, 8);
AT(aqb_identity, screen_name, 16);
AT(aqb_identity, avatar, 24);
AT(aqb_identity, personality, 32);
AT(aqb_identity, alias, 40);
AT(aqb_identity, token, 48);
AT(aqb_identity, session, 56);
AT(aqb_identity, binary, 64);
SIZE(aqb_identity, 72);

AT(aqb_join, size, 0);
AT(aqb_join, room, 8);
AT(aqb_join, channel, 16);
AT(aqb_join, echo, 24);
AT(aqb_join, presence, 25);
AT(aqb_join, has_since, 26);
AT(aqb_join, since, 32);
AT(aqb_join, group, 80);
AT(aqb_join, group_manual, 88);
SIZE(aqb_join, 96);

AT(aqb_joined, size, 0);
AT(aqb_joined, room, 8);
AT(aqb_joined, channel, 16);
AT(aqb_joined, member_count, 24);
AT(aqb_joined, pos, 32);
AT(aqb_joined, was_recovering, 80);
AT(aqb_joined, recovered, 81);
SIZE(aqb_joined, 88);

AT(aqb_group_info, size, 0);
AT(aqb_group_info, name, 8);
AT(aqb_group_info, members, 16);
AT(aqb_group_info, waiting, 24);
AT(aqb_group_info, unacked, 32);
SIZE(aqb_group_info, 40);

AT(aqb_page, size, 0);
AT(aqb_page, limit, 4);
AT(aqb_page, cursor, 8);
SIZE(aqb_page, 16);

AT(aqb_bus, size, 0);
AT(aqb_bus, stats, 8);
AT(aqb_bus, channel_create, 16);
AT(aqb_bus, channel_delete, 24);
AT(aqb_bus, channel_get, 32);
AT(aqb_bus, channels, 40);
AT(aqb_bus, members, 48);
AT(aqb_bus, join, 56);
AT(aqb_bus, leave, 64);
AT(aqb_bus, read, 72);
AT(aqb_bus, client_get, 80);
AT(aqb_bus, clients, 88);
AT(aqb_bus, identify, 96);
AT(aqb_bus, kick, 104);
AT(aqb_bus, broadcast, 112);
AT(aqb_bus, groups, 120);
SIZE(aqb_bus, 128);

#endif

/* clang-format on */

int
main(void)
{
	return 0;
}
