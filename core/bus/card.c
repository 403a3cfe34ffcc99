/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/card.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/obj.h"
#include "bus/group.h"
#include "bus/profile.h"
#include "host/store.h"
#include "loop/loop.h"

#define FLUSH_MS 20
#define FLUSH_MAX 500              /* cards told at once */
#define FLUSH_BYTES (256u * 1024u) /* and bytes, but for one card more */
#define RETRY_MS 1000

void
card_key(const char *id, char key[CARD_KEY_SIZE])
{
	memcpy(key, "c:", 2);
	memcpy(key + 2, id, strlen(id) + 1);
}

static void
put_text(struct buf *b, const char *key, const char *text)
{
	if (text != NULL) {
		buf_printf(b, "\"%s\":", key);
		buf_json_str(b, text);
		buf_putc(b, ',');
	}
}

static void
put_channels(struct buf *b, const struct client *client)
{
	const struct member *m;
	const char *comma = "";

	buf_puts(b, "\"channels\":{");
	TAILQ_FOREACH_REVERSE(m, &client->members, member_list, client_link)
	{
		buf_printf(b, "%s\"%s\":", comma, m->channel->stream);
		if (!group_put(m, b)) {
			buf_printf(b, "%" PRId64, m->joined_at);
		}
		comma = ",";
	}
	buf_putc(b, '}');
}

static void
put_card(struct buf *b, const struct card *card)
{
	const struct client *client = card->client;
	const struct profile *p = client->profile;

	buf_printf(b, "{\"since\":%" PRId64 ",\"connected_at\":%" PRId64 ",",
	    card->since, client->connected_at);
	put_text(b, "type", client_type_name(client->type));
	if (p != NULL) {
		put_text(b, "alias", p->alias);
		put_text(b, "screen_name", p->screen_name);
		put_text(b, "avatar", p->avatar);
		put_text(b, "personality", p->personality);
	}
	if (client->resumed) {
		buf_puts(b, "\"resumed\":true,");
	}
	if (client->admin) {
		buf_puts(b, "\"admin\":true,");
	}
	put_channels(b, client);
	buf_putc(b, '}');
}

/* Told, or never to be; false: not now.  Adds its bytes to *bytesp. */
static bool
share(struct cluster *c, struct card *card, size_t *bytesp)
{
	struct buf b = { 0 };
	char key[CARD_KEY_SIZE];
	int err = AQB_ENOMEM;

	card_key(card->client->id, key);
	put_card(&b, card);
	if (!b.failed) {
		err = store_share(c->bus->store, key,
		    (struct aqb_slice){ b.data, b.len }, 0);
	}
	*bytesp += b.len;
	buf_fini(&b);
	if (err == AQB_EINVAL) {
		LOG(AQB_ERROR, "the other nodes cannot be told of a client",
		    F("client", card->client->id));
		return true;
	}
	card->is_shared = card->is_shared || err == AQB_OK;
	return err == AQB_OK;
}

static void
clean(struct cluster *c, struct card *card)
{
	if (card->is_dirty) {
		card->is_dirty = false;
		TAILQ_REMOVE(&c->dirty, card, link);
	}
}

static void
on_flush(void *arg)
{
	struct cluster *c;
	struct card *card;
	size_t bytes = 0;

	OBJ_CAST(c, arg, CLUSTER_MAGIC);
	for (int i = 0; i < FLUSH_MAX && bytes < FLUSH_BYTES; i++) {
		card = TAILQ_FIRST(&c->dirty);
		if (card == NULL) {
			return;
		}
		if (!share(c, card, &bytes)) {
			timer_set(c->bus->loop, &c->flush, RETRY_MS);
			return;
		}
		clean(c, card);
	}
	timer_set(c->bus->loop, &c->flush, FLUSH_MS);
}

void
card_init(struct cluster *c)
{
	TAILQ_INIT(&c->dirty);
	timer_init(&c->flush, on_flush, c);
}

static struct card *
card_of(struct client *client)
{
	if (client->card == NULL) {
		client->card = xnew(sizeof *client->card);
		client->card->client = client;
		client->card->since = client->connected_at;
	}
	return client->card;
}

int64_t
card_since(struct client *client)
{
	return card_of(client)->since;
}

void
card_touch(struct client *client)
{
	struct cluster *c = client->bus->cluster;
	struct card *card;

	if (client->detached) {
		return;
	}
	card = card_of(client);
	if (card->is_dirty) {
		return;
	}
	card->is_dirty = true;
	TAILQ_INSERT_TAIL(&c->dirty, card, link);
	if (!timer_is_set(&c->flush)) {
		timer_set(c->bus->loop, &c->flush, FLUSH_MS);
	}
}

void
card_share_now(struct client *client)
{
	struct cluster *c = client->bus->cluster;
	size_t bytes = 0;

	if (c == NULL || client->detached) {
		return;
	}
	if (share(c, card_of(client), &bytes)) {
		clean(c, client->card);
	} else {
		card_touch(client);
	}
}

/* Nobody by this id is here any more. */
static void
withdraw(struct cluster *c, struct card *card, const char *id)
{
	char key[CARD_KEY_SIZE];

	if (card->is_shared) {
		card_key(id, key);
		store_share(c->bus->store, key, (struct aqb_slice){ NULL, 0 },
		    0);
		card->is_shared = false;
	}
}

void
card_renamed(struct client *client, const char *old_id, int64_t above)
{
	struct cluster *c = client->bus->cluster;
	struct card *card = card_of(client);

	withdraw(c, card, old_id);
	card->since = client->bus->wall > above ? client->bus->wall : above + 1;
	card_share_now(client);
}

void
card_close(struct client *client)
{
	struct cluster *c = client->bus->cluster;
	struct card *card = client->card;

	if (card == NULL) {
		return;
	}
	client->card = NULL;
	if (c != NULL) {
		clean(c, card);
		withdraw(c, card, client->id);
	}
	free(card);
}

void
card_share_all(struct cluster *c)
{
	struct client *client;

	TAILQ_FOREACH (client, &c->bus->clients, link) {
		card_touch(client);
	}
}
