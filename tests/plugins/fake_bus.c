/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_bus.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/why.h"

struct fake_bus fake_bus;

/* A question whose answer is for later. */
static struct {
	aqb_joined_f *joined;
	aqb_read_f *read;
	void *arg;
	aqb_ticket call;
} waiting;

static void ask(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static void
ask(const char *fmt, ...)
{
	char *line = NULL, *all;
	va_list ap;

	va_start(ap, fmt);
	ck_assert_int_ge(vasprintf(&line, fmt, ap), 0);
	va_end(ap);
	all = xasprintf("%s%s\n", fake_bus.asked, line);
	free(line);
	free(fake_bus.asked);
	fake_bus.asked = all;
}

static const char *
or_none(const char *text)
{
	return text == NULL ? "-" : text;
}

static enum aqb_code
verdict(struct aqb_why *why)
{
	enum aqb_code code = fake_bus.refuse;

	fake_bus.refuse = AQB_CODE_OK;
	return code == AQB_CODE_OK
	    ? code
	    : reject(why, code, fake_bus.refuse_field, "the bus says no");
}

static void
stats(const struct aqb_host *host, struct aqb_stats *statsp)
{
	(void)host;
	*statsp = (struct aqb_stats){
		.size = sizeof *statsp,
		.name = "ArqonBus",
		.version = "0.1.0",
		.node = "n1",
		.uptime = 7,
		.clients = 1,
		.rooms = 2,
		.channels = 8,
		.received = 10,
		.delivered = 20,
		.per_second = 1.5,
		.storage_backend = "storage-memory",
		.storage_state = "ok",
		.p50 = 0.05,
		.p90 = 0.25,
		.p99 = 12,
	};
}

static enum aqb_code
channel_create(const struct aqb_host *host, const char *client_id,
    const struct aqb_channel_spec *spec, struct aqb_why *why)
{
	(void)host;
	ask("create %s:%s by %s description=%s metadata=%.*s size=%lld "
	    "ttl=%lld slow=%u",
	    spec->room, spec->channel, client_id, or_none(spec->description),
	    (int)spec->metadata.len, spec->metadata.data,
	    (long long)spec->history_size, (long long)spec->history_ttl,
	    spec->slow_policy);
	return verdict(why);
}

static enum aqb_code
channel_delete(const struct aqb_host *host, const char *client_id,
    const char *room, const char *channel, bool force, struct aqb_why *why)
{
	(void)host;
	ask("delete %s:%s by %s force=%d", room, channel, client_id, force);
	return verdict(why);
}

static void
fill_channel(struct aqb_channel_info *infop, const char *room, const char *name)
{
	const char *metadata = fake_bus.metadata;

	*infop = (struct aqb_channel_info){
		.size = sizeof *infop,
		.room = room,
		.channel = name,
		.description = fake_bus.description,
		.metadata = { metadata,
		    metadata == NULL ? 0 : strlen(metadata) },
		.member_count = fake_bus.clients,
		.message_count = 3,
		.created_at = 1767225600123, /* 2026-01-01T00:00:00.123Z */
		.last_activity = 1767225601000,
		.is_protected = false,
		.history_size = 500,
		.history_ttl = 60000,
		.slow_policy = AQB_SLOW_DROP_OLDEST,
	};
}

static enum aqb_code
channel_get(const struct aqb_host *host, const char *room, const char *channel,
    struct aqb_channel_info *infop, struct aqb_why *why)
{
	enum aqb_code code = verdict(why);

	(void)host;
	if (code == AQB_CODE_OK) {
		fill_channel(infop, room, channel);
	}
	return code;
}

/* Where a page begins: a cursor is the number of the next one. */
static size_t
begin_page(const struct aqb_page *page)
{
	return page->cursor == NULL ? 0 : (size_t)atoi(page->cursor);
}

static void
end_page(size_t i, size_t n, char nextp[AQB_CURSOR_SIZE])
{
	nextp[0] = '\0';
	if (i < n) {
		snprintf(nextp, AQB_CURSOR_SIZE, "%zu", i);
	}
}

static enum aqb_code
channels(const struct aqb_host *host, const char *room, const char *client_type,
    const struct aqb_page *page, aqb_channel_visit_f *visit, void *arg,
    char nextp[AQB_CURSOR_SIZE], struct aqb_why *why)
{
	enum aqb_code code = verdict(why);
	size_t i = begin_page(page);

	(void)host;
	ask("channels room=%s type=%s limit=%u cursor=%s", or_none(room),
	    or_none(client_type), page->limit, or_none(page->cursor));
	for (size_t n = 0; n < page->limit && i < fake_bus.channels; n++, i++) {
		struct aqb_channel_info info;
		char name[32];

		snprintf(name, sizeof name, "c%03zu", i);
		fill_channel(&info, "r", name);
		if (!visit(arg, &info)) {
			break;
		}
	}
	end_page(i, fake_bus.channels, nextp);
	return code;
}

static void
fill_client(struct aqb_client_info *infop, size_t i, char id[32])
{
	snprintf(id, 32, "arq_client_%03zu", i);
	*infop = (struct aqb_client_info){
		.size = sizeof *infop,
		.client_id = id,
		.address = "127.0.0.1:40000",
		.connected_at = 1767225600000,
		.last_activity = 1767225602500,
		.channels = 2,
		.received = 5,
	};
	if (i % 2 == 1) {
		infop->alias = "ada";
		infop->client_type = "ai-agent";
		infop->screen_name = "Ada \"L\"";
		infop->avatar = "https://x/y.png";
		infop->personality = fake_bus.about;
		infop->admin = true;
		infop->resumed = true;
	}
}

/* Both lists of clients. */
static void
show_clients(const struct aqb_page *page, int64_t joined_at,
    aqb_client_visit_f *visit, void *arg, char nextp[AQB_CURSOR_SIZE])
{
	size_t i = begin_page(page);

	for (size_t n = 0; n < page->limit && i < fake_bus.clients; n++, i++) {
		struct aqb_client_info info;
		char id[32];

		fill_client(&info, i, id);
		info.joined_at = joined_at;
		if (!visit(arg, &info)) {
			break;
		}
	}
	end_page(i, fake_bus.clients, nextp);
}

static enum aqb_code
members(const struct aqb_host *host, const char *room, const char *channel,
    const struct aqb_page *page, aqb_client_visit_f *visit, void *arg,
    char nextp[AQB_CURSOR_SIZE], struct aqb_why *why)
{
	(void)host;
	ask("members %s:%s limit=%u cursor=%s", room, channel, page->limit,
	    or_none(page->cursor));
	show_clients(page, 1767225603000, visit, arg, nextp);
	return verdict(why);
}

static enum aqb_code
clients(const struct aqb_host *host, const char *client_type,
    const struct aqb_page *page, aqb_client_visit_f *visit, void *arg,
    char nextp[AQB_CURSOR_SIZE], struct aqb_why *why)
{
	(void)host;
	ask("clients type=%s limit=%u cursor=%s", or_none(client_type),
	    page->limit, or_none(page->cursor));
	show_clients(page, 0, visit, arg, nextp);
	return verdict(why);
}

static enum aqb_code
client_get(const struct aqb_host *host, const char *id_or_alias,
    struct aqb_client_info *infop, struct aqb_why *why)
{
	static char id[32];

	(void)host;
	ask("client %s", id_or_alias);
	fill_client(infop, 1, id);
	return verdict(why);
}

static enum aqb_code
leave(const struct aqb_host *host, const char *client_id, const char *room,
    const char *channel, struct aqb_why *why)
{
	(void)host;
	ask("leave %s:%s by %s", room, channel, client_id);
	return verdict(why);
}

static enum aqb_code
identify(const struct aqb_host *host, aqb_ticket call,
    const struct aqb_identity *who, struct aqb_client_info *infop,
    struct aqb_why *why)
{
	static char id[32];

	(void)host;
	ck_assert_uint_ne(call, 0);
	ask("identify type=%s name=%s avatar=%s personality=%s alias=%s "
	    "token=%s session=%s binary=%d",
	    or_none(who->client_type), or_none(who->screen_name),
	    or_none(who->avatar), or_none(who->personality),
	    or_none(who->alias), or_none(who->token), or_none(who->session),
	    who->binary);
	fill_client(infop, 1, id);
	infop->session = "arq_client_001.mac";
	return verdict(why);
}

static enum aqb_code
kick(const struct aqb_host *host, const char *id_or_alias, const char *reason,
    struct aqb_why *why)
{
	(void)host;
	ask("kick %s reason=%s", id_or_alias, or_none(reason));
	return verdict(why);
}

static enum aqb_code
broadcast(const struct aqb_host *host, const char *room, const char *channel,
    struct aqb_slice payload, uint64_t *deliveredp, struct aqb_why *why)
{
	(void)host;
	ask("broadcast room=%s channel=%s payload=%.*s", or_none(room),
	    or_none(channel), (int)payload.len, payload.data);
	*deliveredp = 42;
	return verdict(why);
}

void
fake_bus_answer(void)
{
	struct aqb_why why = { 0 };
	enum aqb_code code = verdict(&why);
	aqb_joined_f *joined = waiting.joined;
	aqb_read_f *read = waiting.read;

	waiting.joined = NULL;
	waiting.read = NULL;
	if (joined != NULL) {
		joined(waiting.arg, waiting.call, code,
		    code == AQB_CODE_OK ? &fake_bus.joined : NULL, &why);
	}
	if (read != NULL) {
		read(waiting.arg, waiting.call, code,
		    code == AQB_CODE_OK ? &fake_bus.answer : NULL, &why);
	}
}

static void
join(const struct aqb_host *host, aqb_ticket call, const struct aqb_join *want,
    aqb_joined_f *done, void *arg)
{
	(void)host;
	ask("join %s:%s echo=%d presence=%d since=%d seq=%llu epoch=%s",
	    want->room, want->channel, want->echo, want->presence,
	    want->has_since, (unsigned long long)want->since.seq,
	    want->since.epoch);
	fake_bus.joined.room = want->room;
	fake_bus.joined.channel = want->channel;
	waiting.joined = done;
	waiting.arg = arg;
	waiting.call = call;
	if (!fake_bus.later) {
		fake_bus_answer();
	}
}

static void
read_history(const struct aqb_host *host, aqb_ticket call, const char *room,
    const char *channel, const struct aqb_range *range, aqb_read_f *done,
    void *arg)
{
	(void)host;
	ask("read %s:%s %s limit=%u after=%llu before=%llu since=%lld "
	    "until=%lld from=%s",
	    room, or_none(channel),
	    range->flags & AQB_RANGE_LAST ? "last" : "first", range->limit,
	    (unsigned long long)range->after, (unsigned long long)range->before,
	    (long long)range->since, (long long)range->until,
	    or_none(range->from));
	ck_assert(range->limit == 0 || range->bytes > 500 * 1024);
	ck_assert_uint_lt(range->bytes, 512 * 1024);
	waiting.read = done;
	waiting.arg = arg;
	waiting.call = call;
	if (!fake_bus.later) {
		fake_bus_answer();
	}
}

static enum aqb_code
groups(const struct aqb_host *host, const char *room, const char *name,
    aqb_group_visit_f *visit, void *arg, struct aqb_why *why)
{
	const struct aqb_group_info info = {
		.size = sizeof info,
		.name = "workers",
		.members = 3,
		.waiting = 2,
		.unacked = 1,
	};

	(void)host;
	(void)room;
	(void)name;
	(void)why;
	visit(arg, &info);
	return AQB_CODE_OK;
}

void
fake_bus_setup(struct fake_host *fake)
{
	fake_bus = (struct fake_bus){ .asked = xstrdup("") };
	fake_bus.joined.size = sizeof fake_bus.joined;
	fake_bus.answer.size = sizeof fake_bus.answer;
	fake_bus.answer.first = 1;
	strcpy(fake_bus.answer.pos.epoch, "e1");
	fake->bus = (struct aqb_bus){
		.size = sizeof fake->bus,
		.stats = stats,
		.channel_create = channel_create,
		.channel_delete = channel_delete,
		.channel_get = channel_get,
		.channels = channels,
		.members = members,
		.join = join,
		.leave = leave,
		.read = read_history,
		.client_get = client_get,
		.clients = clients,
		.identify = identify,
		.kick = kick,
		.broadcast = broadcast,
		.groups = groups,
	};
}

void
fake_bus_teardown(void)
{
	ck_assert_msg(waiting.joined == NULL && waiting.read == NULL,
	    "a question was not answered");
	free(fake_bus.asked);
	fake_bus.asked = NULL;
}

/* The last line, or "" when there is none. */
static const char *
last_line(void)
{
	const char *text = fake_bus.asked;
	const char *p = text + strlen(text);

	if (p > text) {
		p--;
	}
	while (p > text && p[-1] != '\n') {
		p--;
	}
	return p;
}

void
assert_asked(const char *line)
{
	char *want = xasprintf("%s\n", line);

	ck_assert_str_eq(last_line(), want);
	free(want);
}

void
assert_not_asked(void)
{
	ck_assert_str_eq(fake_bus.asked, "");
}
