/* SPDX-License-Identifier: Apache-2.0 */

/* What the backend tells of other brokers, looked at before anybody believes
 * it: others can write to a storage, too. */

#include <string.h>

#include "base/log.h"
#include "base/obj.h"
#include "base/utf8.h"
#include "base/why.h"
#include "host/metric.h"
#include "host/store_priv.h"
#include "proto/msg.h"
#include "proto/name.h"

static void
drop(const struct store *s, const char *what)
{
	metric_add(METRIC_GARBAGE_TOTAL, 1);
	LOG(AQB_ERROR, "the storage told what it may not", F("plugin", s->name),
	    F("what", what));
}

/* Its arg; NULL when the backend has stopped and should be silent. */
static struct store *
store_of(void *arg)
{
	struct store *s;

	OBJ_CAST(s, arg, STORE_MAGIC);
	return s->ops == NULL ? NULL : s;
}

static bool
copy_name(struct aqb_slice from, char to[AQB_NAME_MAX + 1])
{
	if (!name_valid(from.data, from.len)) {
		return false;
	}
	memcpy(to, from.data, from.len);
	to[from.len] = '\0';
	return true;
}

static bool
read_stream(const char *stream, struct address *addressp)
{
	struct aqb_slice room, channel;

	return stream != NULL &&
	    address_split(stream, strlen(stream), &room, &channel) &&
	    copy_name(room, addressp->room) &&
	    copy_name(channel, addressp->channel);
}

static bool
is_node(const char *node)
{
	return node != NULL && name_valid(node, strlen(node));
}

static bool
is_key(const char *key)
{
	size_t len = key == NULL ? 0 : strlen(key);

	if (len == 0 || len > STORE_KEY_MAX) {
		return false;
	}
	for (size_t i = 0; i < len; i++) {
		if (key[i] <= ' ' || key[i] > '~') {
			return false;
		}
	}
	return true;
}

static bool
says(struct aqb_slice slice, const char *text)
{
	return slice.len == strlen(text) &&
	    memcmp(slice.data, text, slice.len) == 0;
}

static bool
position_is_right(const struct aqb_position *pos)
{
	const char *end = memchr(pos->epoch, '\0', sizeof pos->epoch);

	return pos->seq > 0 && end != NULL &&
	    name_valid(pos->epoch, (size_t)(end - pos->epoch));
}

/* It is of this channel; and of this position, if it has one. */
static bool
message_is_right(const struct aqb_msg *msg, const struct address *where,
    const struct aqb_position *pos)
{
	struct aqb_msg_view v;

	msg_view(msg, &v);
	return says(v.room, where->room) && says(v.channel, where->channel) &&
	    (v.seq == 0 ? !msg_is_stamped(msg)
			: v.seq == pos->seq && says(v.epoch, pos->epoch));
}

static void
on_message(void *arg, const char *stream, struct aqb_msg *msg,
    const struct aqb_position *pos, uint32_t flags)
{
	struct store *s = store_of(arg);
	bool repeated = (flags & AQB_FOLLOW_REPEATED) != 0;
	struct address where;

	if (s == NULL) {
		return;
	}
	if (!read_stream(stream, &where) || pos == NULL ||
	    !position_is_right(pos) ||
	    (!repeated &&
		(msg == NULL || !message_is_right(msg, &where, pos)))) {
		drop(s, "message: not of this stream, or no position");
		return;
	}
	s->follower.message(s->follower.arg, &where, msg, pos, flags);
}

static void
on_forgotten(void *arg, const char *stream)
{
	struct store *s = store_of(arg);
	struct address where;

	if (s == NULL) {
		return;
	}
	if (!read_stream(stream, &where)) {
		drop(s, "forgotten: no stream");
		return;
	}
	s->follower.forgotten(s->follower.arg, &where);
}

static void
on_notice(void *arg, const char *node, struct aqb_slice notice)
{
	struct store *s = store_of(arg);

	if (s == NULL) {
		return;
	}
	if (!is_node(node) || notice.len == 0 ||
	    notice.len > STORE_NOTICE_MAX ||
	    !utf8_valid(notice.data, notice.len)) {
		drop(s, "notice: no node, too long, or no text");
		return;
	}
	s->follower.notice(s->follower.arg, node, notice);
}

static void
on_record(void *arg, const char *node, const char *key, struct aqb_slice value)
{
	struct store *s = store_of(arg);

	if (s == NULL) {
		return;
	}
	if (node == NULL || (*node != '\0' && !is_node(node)) || !is_key(key) ||
	    value.len > STORE_RECORD_MAX ||
	    (value.len > 0 && !utf8_valid(value.data, value.len))) {
		drop(s, "record: no node or key, too long, or no text");
		return;
	}
	s->follower.record(s->follower.arg, node, key, value);
}

static void
on_node_gone(void *arg, const char *node)
{
	struct store *s = store_of(arg);

	if (s == NULL) {
		return;
	}
	if (!is_node(node)) {
		drop(s, "node_gone: no node");
		return;
	}
	s->follower.node_gone(s->follower.arg, node);
}

static void
on_syncing(void *arg)
{
	struct store *s = store_of(arg);

	if (s != NULL) {
		s->follower.syncing(s->follower.arg);
	}
}

static void
on_synced(void *arg)
{
	struct store *s = store_of(arg);

	if (s != NULL) {
		s->follower.synced(s->follower.arg);
	}
}

static void
on_share_again(void *arg)
{
	struct store *s = store_of(arg);

	if (s != NULL) {
		s->follower.share_again(s->follower.arg);
	}
}

static bool
can_follow(const struct store *s)
{
	return s->ops != NULL && (s->ops->caps & AQB_STORE_SHARED) != 0 &&
	    AQB_HAS(s->ops, follow) && AQB_HAS(s->ops, notify) &&
	    AQB_HAS(s->ops, share);
}

int
store_follow(struct store *s, const struct store_follower *follower,
    struct aqb_why *why)
{
	int err;

	OBJ_CHECK(s, STORE_MAGIC);
	if (!can_follow(s)) {
		return refuse(why, AQB_EINVAL,
		    "storage.cluster: several brokers cannot share %s",
		    s->name);
	}
	s->follower = *follower;
	s->told = (struct aqb_follower){
		.size = sizeof s->told,
		.node = follower->node,
		.arg = s,
		.message = on_message,
		.forgotten = on_forgotten,
		.notice = on_notice,
		.record = on_record,
		.node_gone = on_node_gone,
		.syncing = on_syncing,
		.synced = on_synced,
		.share_again = on_share_again,
	};
	err = s->ops->follow(s->self, &s->told, why);
	if (err == AQB_OK || (err < 0 && err >= AQB_ESYS)) {
		return err;
	}
	return refuse(why, AQB_EUNCERTAIN,
	    "storage.cluster: %s answered what it may not", s->name);
}

/* What a call returned, which has no third answer. */
static int
judge(const struct store *s, int err, const char *what)
{
	if (err == AQB_OK || (err < 0 && err >= AQB_ESYS)) {
		return err;
	}
	drop(s, what);
	return AQB_EUNCERTAIN;
}

int
store_notify(struct store *s, struct aqb_slice notice)
{
	OBJ_CHECK(s, STORE_MAGIC);
	if (s->ops == NULL) {
		return AQB_EUNAVAIL;
	}
	if (notice.len == 0 || notice.len > STORE_NOTICE_MAX) {
		return AQB_EINVAL;
	}
	return judge(s, s->ops->notify(s->self, notice), "notify");
}

int
store_share(struct store *s, const char *key, struct aqb_slice value,
    uint32_t flags)
{
	OBJ_CHECK(s, STORE_MAGIC);
	if (s->ops == NULL) {
		return AQB_EUNAVAIL;
	}
	if (!is_key(key) || value.len > STORE_RECORD_MAX) {
		return AQB_EINVAL;
	}
	return judge(s, s->ops->share(s->self, key, value, flags), "share");
}
