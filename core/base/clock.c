/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include <string.h>
#include <time.h>

static uint64_t
nanoseconds(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

uint64_t
clock_mono_ms(void)
{
	return nanoseconds(CLOCK_MONOTONIC) / 1000000;
}

uint64_t
clock_mono_us(void)
{
	return nanoseconds(CLOCK_MONOTONIC) / 1000;
}

uint64_t
clock_cpu_ms(void)
{
	return nanoseconds(CLOCK_THREAD_CPUTIME_ID) / 1000000;
}

int64_t
clock_wall_ms(void)
{
	return (int64_t)(nanoseconds(CLOCK_REALTIME) / 1000000);
}

static char *
put(char *p, int n, int width)
{
	for (int i = width - 1; i >= 0; i--) {
		p[i] = (char)('0' + n % 10);
		n /= 10;
	}
	return p + width;
}

void
clock_format(int64_t wall_ms, char text[CLOCK_TEXT_SIZE])
{
	/* Messages come many a second: the date is worked out once for each. */
	static _Thread_local int64_t last = INT64_MIN;
	static _Thread_local char day[CLOCK_TEXT_SIZE];
	int64_t second = wall_ms / 1000;
	struct tm tm;
	time_t t = (time_t)second;
	char *p = day;

	if (second != last) {
		gmtime_r(&t, &tm);
		p = put(p, tm.tm_year + 1900, 4);
		*p++ = '-';
		p = put(p, tm.tm_mon + 1, 2);
		*p++ = '-';
		p = put(p, tm.tm_mday, 2);
		*p++ = 'T';
		p = put(p, tm.tm_hour, 2);
		*p++ = ':';
		p = put(p, tm.tm_min, 2);
		*p++ = ':';
		p = put(p, tm.tm_sec, 2);
		memcpy(p, ".000Z", 6);
		last = second;
	}
	memcpy(text, day, sizeof day);
	put(text + 20, (int)(wall_ms % 1000), 3);
}

/* Read exactly n digits. */
static bool
digits(const char **pp, const char *end, int n, int *valuep)
{
	int value = 0;

	for (int i = 0; i < n; i++) {
		if (*pp == end || **pp < '0' || **pp > '9') {
			return false;
		}
		value = value * 10 + (*(*pp)++ - '0');
	}
	*valuep = value;
	return true;
}

static bool
accept(const char **pp, const char *end, const char *any_of)
{
	if (*pp == end || strchr(any_of, **pp) == NULL) {
		return false;
	}
	(*pp)++;
	return true;
}

/* The fraction, if there is one, in milliseconds; finer digits are cut. */
static bool
fraction(const char **pp, const char *end, int *msp)
{
	int ms = 0;
	int n = 0;

	*msp = 0;
	if (!accept(pp, end, ".")) {
		return true;
	}
	while (*pp < end && **pp >= '0' && **pp <= '9') {
		if (n < 3) {
			ms = ms * 10 + (**pp - '0');
		}
		n++;
		(*pp)++;
	}
	for (int i = n; i < 3; i++) {
		ms *= 10;
	}
	*msp = ms;
	return n > 0;
}

static bool
offset(const char **pp, const char *end, int *minutesp)
{
	int hour, minute, sign;

	*minutesp = 0;
	if (accept(pp, end, "Zz")) {
		return true;
	}
	if (*pp == end) {
		return false;
	}
	sign = **pp == '-' ? -1 : 1;
	if (!accept(pp, end, "+-") || !digits(pp, end, 2, &hour) ||
	    !accept(pp, end, ":") || !digits(pp, end, 2, &minute) ||
	    hour > 23 || minute > 59) {
		return false;
	}
	*minutesp = sign * (hour * 60 + minute);
	return true;
}

static bool
date_is_real(int year, int month, int day)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30,
		31 };
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	if (month < 1 || month > 12) {
		return false;
	}
	return day >= 1 && day <= days[month - 1] + (month == 2 && leap);
}

bool
clock_parse(const char *text, size_t len, int64_t *wall_msp)
{
	const char *p = text;
	const char *end = text + len;
	int year, month, day, hour, minute, second, ms, zone;
	struct tm tm = { 0 };

	if (!digits(&p, end, 4, &year) || !accept(&p, end, "-") ||
	    !digits(&p, end, 2, &month) || !accept(&p, end, "-") ||
	    !digits(&p, end, 2, &day) || !accept(&p, end, "Tt ") ||
	    !digits(&p, end, 2, &hour) || !accept(&p, end, ":") ||
	    !digits(&p, end, 2, &minute) || !accept(&p, end, ":") ||
	    !digits(&p, end, 2, &second) || !fraction(&p, end, &ms) ||
	    !offset(&p, end, &zone) || p != end) {
		return false;
	}
	if (!date_is_real(year, month, day) || hour > 23 || minute > 59 ||
	    second > 60) {
		return false;
	}
	tm.tm_year = year - 1900;
	tm.tm_mon = month - 1;
	tm.tm_mday = day;
	tm.tm_hour = hour;
	tm.tm_min = minute;
	tm.tm_sec = second;
	*wall_msp = ((int64_t)timegm(&tm) - (int64_t)zone * 60) * 1000 + ms;
	return true;
}
