/* SPDX-License-Identifier: Apache-2.0 */

/* Give a fuzz target every file of the folder named like it, so that what a
 * fuzzer once found is tried in each test run. */

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int
replay(const char *path)
{
	static uint8_t data[1 << 20];
	FILE *f = fopen(path, "rb");
	uint8_t *exact;
	size_t n;

	if (f == NULL) {
		perror(path);
		return 1;
	}
	n = fread(data, 1, sizeof data, f);
	fclose(f);
	exact = malloc(n > 0 ? n : 1); /* so that a sanitizer sees its end */
	for (size_t i = 0; i < n; i++) {
		exact[i] = data[i];
	}
	LLVMFuzzerTestOneInput(exact, n);
	free(exact);
	return 0;
}

int
main(void)
{
	const char *srcdir = getenv("srcdir");
	char path[4096];
	struct dirent *e;
	int files = 0;
	DIR *dir;

	hash_init();
	snprintf(path, sizeof path, "%s/tests/fuzz/corpus/%s",
	    srcdir == NULL ? "." : srcdir, CORPUS);
	dir = opendir(path);
	if (dir == NULL) {
		perror(path);
		return 1;
	}
	while ((e = readdir(dir)) != NULL) {
		char file[8192];

		if (e->d_name[0] == '.') {
			continue;
		}
		snprintf(file, sizeof file, "%s/%s", path, e->d_name);
		if (replay(file) != 0) {
			return 1;
		}
		files++;
	}
	closedir(dir);
	printf("%d inputs\n", files);
	return files > 0 ? 0 : 1;
}
