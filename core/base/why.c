/* SPDX-License-Identifier: Apache-2.0 */
#include "base/why.h"

#include <stdarg.h>
#include <stdio.h>

static void __attribute__((format(printf, 4, 0))) write_why(struct aqb_why *why,
    const char *field, uint64_t wait_ms, const char *fmt, va_list ap)
{
	if (why != NULL) {
		why->field = field;
		why->retry_after_ms =
		    wait_ms > UINT32_MAX ? UINT32_MAX : (uint32_t)wait_ms;
		vsnprintf(why->text, sizeof why->text, fmt, ap);
	}
}

int
refuse(struct aqb_why *why, enum aqb_err err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	write_why(why, NULL, 0, fmt, ap);
	va_end(ap);
	return err;
}

enum aqb_code
reject(struct aqb_why *why, enum aqb_code code, const char *field,
    const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	write_why(why, field, 0, fmt, ap);
	va_end(ap);
	return code;
}

enum aqb_code
reject_until(struct aqb_why *why, enum aqb_code code, uint64_t wait_ms,
    const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	write_why(why, NULL, wait_ms, fmt, ap);
	va_end(ap);
	return code;
}

const char *
aqb_strerror(enum aqb_err err)
{
	switch (err) {
	case AQB_OK:
		return "no error";
	case AQB_EINVAL:
		return "invalid request";
	case AQB_ENOENT:
		return "not found";
	case AQB_EEXIST:
		return "exists already";
	case AQB_EABI:
		return "wrong plugin ABI";
	case AQB_ENOMEM:
		return "out of memory";
	case AQB_EFULL:
		return "queue full";
	case AQB_EUNAVAIL:
		return "not available";
	case AQB_EUNCERTAIN:
		return "outcome unknown";
	case AQB_ETIMEDOUT:
		return "timed out";
	case AQB_EPERM:
		return "not allowed";
	case AQB_ESYS:
		return "system error";
	}
	return "unknown error";
}

const char *
code_name(enum aqb_code code)
{
	static const char *const names[] = {
		[AQB_CODE_OK] = "OK",
		[AQB_CODE_INVALID_JSON] = "INVALID_JSON",
		[AQB_CODE_INVALID_ENVELOPE] = "INVALID_ENVELOPE",
		[AQB_CODE_UNSUPPORTED_VERSION] = "UNSUPPORTED_VERSION",
		[AQB_CODE_UNKNOWN_TYPE] = "UNKNOWN_TYPE",
		[AQB_CODE_UNKNOWN_COMMAND] = "UNKNOWN_COMMAND",
		[AQB_CODE_INVALID_ARGUMENT] = "INVALID_ARGUMENT",
		[AQB_CODE_INVALID_NAME] = "INVALID_NAME",
		[AQB_CODE_TARGET_REQUIRED] = "TARGET_REQUIRED",
		[AQB_CODE_TARGET_NOT_FOUND] = "TARGET_NOT_FOUND",
		[AQB_CODE_ROOM_NOT_FOUND] = "ROOM_NOT_FOUND",
		[AQB_CODE_CHANNEL_NOT_FOUND] = "CHANNEL_NOT_FOUND",
		[AQB_CODE_CHANNEL_EXISTS] = "CHANNEL_EXISTS",
		[AQB_CODE_CHANNEL_PROTECTED] = "CHANNEL_PROTECTED",
		[AQB_CODE_CHANNEL_NOT_EMPTY] = "CHANNEL_NOT_EMPTY",
		[AQB_CODE_ALIAS_TAKEN] = "ALIAS_TAKEN",
		[AQB_CODE_NOT_A_MEMBER] = "NOT_A_MEMBER",
		[AQB_CODE_LIMIT_REACHED] = "LIMIT_REACHED",
		[AQB_CODE_MESSAGE_TOO_LARGE] = "MESSAGE_TOO_LARGE",
		[AQB_CODE_RATE_LIMITED] = "RATE_LIMITED",
		[AQB_CODE_BUSY] = "BUSY",
		[AQB_CODE_OVERLOADED] = "OVERLOADED",
		[AQB_CODE_UNAUTHENTICATED] = "UNAUTHENTICATED",
		[AQB_CODE_FORBIDDEN] = "FORBIDDEN",
		[AQB_CODE_STORAGE_UNAVAILABLE] = "STORAGE_UNAVAILABLE",
		[AQB_CODE_DRAINING] = "DRAINING",
		[AQB_CODE_TIMEOUT] = "TIMEOUT",
		[AQB_CODE_INTERNAL] = "INTERNAL",
	};

	if ((size_t)code >= sizeof names / sizeof names[0]) {
		return "INTERNAL";
	}
	return names[code];
}
