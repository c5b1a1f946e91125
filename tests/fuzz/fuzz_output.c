/*
 * What a plugin writes: any bytes, in any pieces, into lines, the ring, the rotated file and
 * plugd's own log.
 *
 * Byte 0 says how large ring and files may be and in which format plugd logs; then come pieces: a
 * byte whose upper bit is the stream and whose rest is the length, and so many bytes.  Length 0
 * closes that stream's pipe and opens another one: a process has ended.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "base/log.h"
#include "base/utf8.h"
#include "fuzz.h"
#include "plugin/output.h"

#define FILES_MAX     2
#define SMALLEST_FILE 64u

static struct {
	struct ev_loop *loop;
	struct lull lull;
	int dir_fd;
	char dir[32];
	struct output output;
	struct output_pipe pipes[2];
	int theirs[2];
	unsigned seen; /* by the follower */
	uint64_t last_seq;
	size_t held; /* bytes of text in the lines that it saw */
} t;

/* ---- what must hold of a line ---- */

static void
check_line(const struct logring_line *line)
{
	CHECK(line->length <= LOGRING_LINE_BYTES);
	CHECK(line->stream <= OUTPUT_ERR);
	for (size_t i = 0, bytes; i < line->length; i += bytes) {
		CHECK(line->text[i] && line->text[i] != '\n');
		bytes = utf8_sequence(line->text + i, line->length - i);
		CHECK(bytes);
	}
}

static void
on_line(struct output_follower *follower, const struct logring_line *line)
{
	(void)follower;
	check_line(line);
	CHECK(line->seq == t.last_seq + 1);
	t.last_seq = line->seq;
	t.held += line->length;
	t.seen++;
	log_line(LOG_INFO, "echo", line->pid, "it says: %.*s", (int)line->length, line->text);
}

static void
check_ring(void)
{
	struct logring_cursor cursor = {0};
	struct logring_line line;
	uint64_t seq = t.output.ring.first_seq;
	size_t count = 0;

	while (logring_next(&t.output.ring, &cursor, &line)) {
		check_line(&line);
		CHECK(line.seq == seq++);
		count++;
	}
	CHECK(count == logring_count(&t.output.ring) && seq == t.output.ring.next_seq);
	CHECK(t.output.ring.lost + count == t.seen);
	CHECK(t.output.ring.capacity <= t.output.ring.cap);
}

/* ---- the files ---- */

/* Whole lines only, each below the bound, or alone in its file. */
static void
check_file(const char *name, bool forget)
{
	int fd = openat(t.dir_fd, name, O_RDONLY | O_CLOEXEC);
	struct stat info;
	char *text, *line;

	CHECK(fd >= 0 && fstat(fd, &info) == 0);
	text = malloc((size_t)info.st_size + 1);
	CHECK(text && read(fd, text, (size_t)info.st_size) == info.st_size);
	text[info.st_size] = '\0';
	CHECK(!info.st_size || text[info.st_size - 1] == '\n');
	CHECK(strlen(text) == (size_t)info.st_size);
	line = memchr(text, '\n', (size_t)info.st_size);
	CHECK(!t.output.file.max_bytes || (uint64_t)info.st_size <= t.output.file.max_bytes ||
	      line + 1 == text + info.st_size);
	free(text);
	close(fd);
	if (forget)
		CHECK(unlinkat(t.dir_fd, name, 0) == 0);
}

static void
check_files(void)
{
	DIR *dir = opendir(t.dir);
	struct dirent *entry;
	unsigned count = 0;

	CHECK(dir);
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		check_file(entry->d_name, true);
		count++;
	}
	closedir(dir);
	CHECK(count <= t.output.file.files + 1);
	CHECK(t.output.file.dropped == 0 && t.output.file.error == 0);
}

/* ---- plugd's own log ---- */

static int
redirect_log(void)
{
	int kept = dup(STDERR_FILENO), fd = memfd_create("log", MFD_CLOEXEC);

	CHECK(kept >= 0 && fd >= 0 && dup2(fd, STDERR_FILENO) >= 0);
	close(fd);
	return kept;
}

static void
check_log(int kept, bool json)
{
	struct stat info;
	char *text, *at;

	CHECK(fstat(STDERR_FILENO, &info) == 0);
	text = malloc((size_t)info.st_size + 1);
	CHECK(text && pread(STDERR_FILENO, text, (size_t)info.st_size, 0) == info.st_size);
	text[info.st_size] = '\0';
	CHECK(dup2(kept, STDERR_FILENO) >= 0);
	close(kept);
	at = text;
	for (unsigned i = 0; i < t.seen; i++) {
		char *end = strchr(at, '\n');
		json_error_t error;
		json_t *parsed;

		CHECK(end && end > at);
		for (char *c = at; c < end;) {
			size_t bytes = utf8_sequence(c, (size_t)(end - c));

			CHECK(bytes && (unsigned char)*c >= 0x20 && *c != 0x7f);
			c += bytes;
		}
		parsed = json ? json_loadb(at, (size_t)(end - at), 0, &error) : NULL;
		CHECK(!json || json_is_string(json_object_get(parsed, "message")));
		json_decref(parsed);
		at = end + 1;
	}
	CHECK(!*at);
	free(text);
}

/* ---- feeding ---- */

static void
open_pipe(unsigned stream)
{
	struct output_pipe *pipe = &t.pipes[stream];

	CHECK(output_pipe_open(pipe, &t.output, stream ? OUTPUT_ERR : OUTPUT_OUT,
			       &t.theirs[stream]) == PLUG_OK);
	output_pipe_start(pipe, 1 + stream, 1000 + stream);
}

static void
close_pipe(unsigned stream)
{
	close(t.theirs[stream]);
	output_pipe_close(&t.pipes[stream]);
	CHECK(!t.pipes[stream].splitter.held);
}

static void
feed(const uint8_t *data, size_t size)
{
	while (size) {
		unsigned stream = *data >> 7;
		size_t length = *data & 0x7f;

		data++, size--;
		if (!length) {
			close_pipe(stream);
			open_pipe(stream);
			continue;
		}
		length = length == 0x7f ? size : length < size ? length : size;
		CHECK(write(t.theirs[stream], data, length) == (ssize_t)length);
		data += length, size -= length;
		ev_run(t.loop, EVRUN_NOWAIT);
		CHECK(t.pipes[stream].splitter.used <= LOGPIPE_LINE_BYTES);
	}
}

static void
begin(void)
{
	if (t.loop)
		return;
	t.loop = ev_loop_new(EVFLAG_NOENV);
	strcpy(t.dir, "/tmp/fuzz-output-XXXXXX");
	CHECK(t.loop && mkdtemp(t.dir));
	lull_init(&t.lull, t.loop);
	t.dir_fd = open(t.dir, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	CHECK(t.dir_fd >= 0);
}

static void __attribute__((destructor)) end(void)
{
	if (t.loop)
		rmdir(t.dir);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct output_follower follower = {.on_line = on_line};
	uint8_t how = size ? data[0] : 0;
	uint64_t file_bytes = how & 7 ? SMALLEST_FILE << (how & 7) : 0;
	int kept;

	begin();
	t.seen = 0;
	t.last_seq = 0;
	log_configure(LOG_INFO, how & 0x80 ? LOG_JSON : LOG_TEXT);
	kept = redirect_log();
	output_init(&t.output, &t.lull, t.dir_fd, "echo", 0, file_bytes,
		    (how >> 3) % (FILES_MAX + 1));
	output_follow(&t.output, &follower);
	open_pipe(0);
	open_pipe(1);
	feed(data + (size > 0), size - (size > 0));
	close_pipe(0);
	close_pipe(1);
	CHECK(t.output.lines == t.seen);
	check_ring();
	logfile_reopen(&t.output.file);
	check_files();
	output_unfollow(&follower);
	output_fini(&t.output);
	check_log(kept, how & 0x80);
	return 0;
}

/* ---- seeds ---- */

struct out {
	uint8_t *data;
	size_t size;
};

static void
piece(struct out *out, unsigned stream, const char *text)
{
	size_t length = strlen(text);

	CHECK(length < 0x7f);
	out->data[out->size++] = (uint8_t)(stream << 7 | length);
	memcpy(out->data + out->size, text, length);
	out->size += length;
}

/* Longer than a line may be. */
static void
flood(struct out *out, size_t length)
{
	out->data[out->size++] = 0x7f;
	memset(out->data + out->size, 'x', length);
	out->size += length;
}

size_t
fuzz_seed(unsigned number, uint8_t *buf, size_t capacity)
{
	static const uint8_t how[] = {0, 0x81, 0x12, 0x8b, 0x1c};
	struct out out = {buf, 1};

	CHECK(capacity >= FUZZ_INPUT_MAX);
	if (number >= sizeof(how))
		return 0;
	buf[0] = how[number];
	piece(&out, 0, "one\ntwo\r\nthr");
	piece(&out, 1, "on \"stderr\"\\\n\n");
	piece(&out, 0, "ee\n\xc3\xa4\xe2\x82\xac\xff\xc3\n\x1b[31mred\a\n");
	piece(&out, 1, "not ended");
	piece(&out, number % 2, ""); /* a process ends, and another one begins */
	piece(&out, 1, "{\"json\":1}\nlast");
	if (number > 2)
		flood(&out, number == 3 ? 20000 : 8193);
	return out.size;
}
