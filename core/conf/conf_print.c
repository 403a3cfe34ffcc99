/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "conf/conf.h"
#include "conf/conf_table.h"
#include "conf/env.h"
#include "conf/option.h"

/* Does this row begin its section? */
static bool
is_first(const struct conf_row *r)
{
	return r == conf_table || strcmp(r[-1].section, r->section) != 0;
}

void
conf_print(const struct conf *c, FILE *out)
{
	fputs("# The effective configuration.  Secrets are left out, and so "
	      "are the options\n# of plugins.\n",
	    out);
	for (const struct conf_row *r = conf_table; r->section != NULL; r++) {
		struct buf value = { .max = 0 };

		if (is_first(r)) {
			fprintf(out, "\n[%s]\n", r->section);
		}
		option_print(&r->option, c, &value);
		if (r->option.type == AQB_OPT_SECRET) {
			fputs("# ", out);
		}
		fprintf(out, "%s =%s%s\n", r->option.name,
		    value.len > 0 ? " " : "", buf_text(&value));
		buf_fini(&value);
	}
}

void
conf_print_json(const struct conf *c, struct buf *out)
{
	for (const struct conf_row *r = conf_table; r->section != NULL; r++) {
		if (is_first(r)) {
			buf_puts(out, r == conf_table ? "{" : "},");
			buf_json_str(out, r->section);
			buf_puts(out, ":{");
		} else {
			buf_putc(out, ',');
		}
		buf_json_str(out, r->option.name);
		buf_putc(out, ':');
		option_print_json(&r->option, c, out);
	}
	buf_puts(out, "}}");
}

/* The longest line of the manual, where words allow it. */
#define MANUAL_WIDTH 78

/* Sentences each on a line of its own, as mdoc wants them, and long ones on
 * several.  No text of ours has what mdoc would take for a macro. */
static void
print_sentences(const char *text, FILE *out)
{
	size_t column = 0;
	bool ended = false;

	while (*text != '\0') {
		size_t len = strcspn(text, " ");

		if (column > 0) {
			bool wrap = ended || column + 1 + len > MANUAL_WIDTH;

			fputc(wrap ? '\n' : ' ', out);
			column = wrap ? 0 : column + 1;
		}
		fprintf(out, "%.*s", (int)len, text);
		column += len;
		ended = text[len - 1] == '.';
		text += len + strspn(text + len, " ");
	}
	fputc('\n', out);
}

static const char *
type_name(const struct aqb_option *option)
{
	switch (option->type) {
	case AQB_OPT_U32:
		return "number";
	case AQB_OPT_SIZE:
		return "size";
	case AQB_OPT_DURATION:
		return "duration";
	case AQB_OPT_BOOL:
		return "yes | no";
	case AQB_OPT_SECRET:
		return "secret";
	case AQB_OPT_ENUM:
		return "word";
	default:
		return "text";
	}
}

/* "Default: 9100.", and what else may be written. */
static void
print_default(const struct conf_row *r, FILE *out)
{
	const char *dflt = r->shown != NULL ? r->shown : r->option.dflt;
	struct buf range = { .max = 0 };

	fprintf(out, "Default: %s.\n", dflt[0] == '\0' ? "empty" : dflt);
	if (r->option.type != AQB_OPT_BOOL) {
		option_print_range(&r->option, &range);
	}
	if (range.len > 0) {
		fprintf(out, "Possible: %s.\n", buf_text(&range));
	}
	buf_fini(&range);
}

static void
print_row(const struct conf_row *r, FILE *out)
{
	char variable[128];

	fprintf(out, ".It Cm %s No = Ar %s\n", r->option.name,
	    type_name(&r->option));
	print_sentences(r->option.help, out);
	print_default(r, out);
	env_name(variable, sizeof variable, r->section, r->option.name);
	fprintf(out, "Variable:\n.Ev %s", variable);
	if (r->flag == NULL) {
		fputs(" .\n", out);
	} else {
		fprintf(out, " .\nFlag:\n.Fl Fl %s .\n", r->flag);
	}
}

void
conf_print_mdoc(FILE *out)
{
	for (const struct conf_row *r = conf_table; r->section != NULL; r++) {
		if (is_first(r)) {
			fprintf(out, ".Ss [%s]\n", r->section);
			print_sentences(conf_section_help(r->section), out);
			fputs(".Bl -tag -width Ds\n", out);
		}
		print_row(r, out);
		if (r[1].section == NULL || is_first(r + 1)) {
			fputs(".El\n", out);
		}
	}
}

/* One flag, with only the first sentence of its help: the manual has the
 * rest.  A letter of 0 is none. */
static void
print_flag(char letter, const char *flag, const char *value, const char *help,
    FILE *out)
{
	const char *end = strstr(help, ". ");
	int len = (int)(end == NULL ? strlen(help) : (size_t)(end - help + 1));
	char name[64];

	snprintf(name, sizeof name, "--%s %s", flag, value);
	if (letter == '\0') {
		fprintf(out, "      %-24s%.*s\n", name, len, help);
	} else {
		fprintf(out, "  -%c, %-24s%.*s\n", letter, name, len, help);
	}
}

void
conf_print_usage(FILE *out)
{
	fputs("usage: arqonbusd [flag ...]\n\n", out);
	for (const struct conf_row *r = conf_table; r->section != NULL; r++) {
		if (r->flag != NULL) {
			print_flag('\0', r->flag, type_name(&r->option),
			    r->option.help, out);
		}
	}
	print_flag('\0', "redis-url", "text",
	    "Where storage-redis-streams finds Redis.", out);
	print_flag('\0', "set", "name.key=value",
	    "Any option of a section or a plugin; repeatable.", out);
	print_flag('c', "config", "file", "The file to read.", out);
	print_flag('t', "check-config", "",
	    "Check flags, files and plugins, then exit.", out);
	print_flag('\0', "dump-config", "",
	    "Print the effective configuration, then exit.", out);
	print_flag('V', "version", "", "Print the version, then exit.", out);
	print_flag('h', "help", "", "Print this, then exit.", out);
	fputs("\nFlags win over the environment (ARQONBUS_SECTION_KEY), and "
	      "that over the file.\narqonbus.conf(5) describes every option.\n",
	    out);
}
