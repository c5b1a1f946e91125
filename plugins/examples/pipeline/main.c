/*
 * image-pipeline: decodes a PNG file, crops it, resizes it and counts its values, each in a plugin
 * of its own, and copies no pixel on the way.
 */
#include <getopt.h>
#include <inttypes.h>
#include <plug/client.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct options {
	const char *runtime_dir, *file;
	const char *save_image, *save_histogram;
	int64_t width, height;
	int64_t crop[4]; /* x, y, width, height; width 0: all */
	bool chained;
};

static const char help[] =
	"usage: image-pipeline [--runtime-dir DIR] [--size WxH] [--crop X,Y,W,H] [--chained]\n"
	"                      [--save-image FILE] [--save-histogram FILE] IMAGE.png\n"
	"\n"
	"Decodes IMAGE.png with png-decode, resizes it with image-resize (default 64x64) and "
	"counts\n"
	"its values with image-histogram, and prints what came of it as JSON.\n"
	"\n"
	"  --crop X,Y,W,H         resize only this part\n"
	"  --chained              one call: image-histogram calls the two others itself\n"
	"  --save-image FILE      write the resized pixels\n"
	"  --save-histogram FILE  write the counts, 64-bit numbers\n";

/* ---- calls ---- */

static struct plug_reply *
call(struct plug_client *client, const struct plug_request *what)
{
	struct plug_request request = *what;
	struct plug_reply *reply;

	request.size = sizeof(request);
	request.flags = PLUG_REQUEST_CHANNEL; /* the reply has tensors */
	request.timeout_ms = 30000;
	if (plug_client_call(client, &request, NULL, NULL, &reply) == PLUG_OK &&
	    reply->tensor_count)
		return reply;
	fprintf(stderr, "image-pipeline: %s of %s: %s\n", request.method, request.plugin,
		reply && reply->outcome == PLUG_OK ? "no tensor came back"
						   : plug_client_error_text(client));
	plug_reply_free(reply);
	return NULL;
}

static struct plug_reply *
decode(struct plug_client *client, const struct plug_tensor *file)
{
	return call(client, &(struct plug_request){
				    .plugin = "png-decode",
				    .method = "decode",
				    .tensors = file,
				    .tensor_count = 1,
			    });
}

static struct plug_reply *
resize(struct plug_client *client, const struct options *options, const struct plug_tensor *image)
{
	char size[96];
	int length =
		snprintf(size, sizeof(size), "{\"width\": %" PRId64 ", \"height\": %" PRId64 "}",
			 options->width, options->height);

	return call(client, &(struct plug_request){
				    .plugin = "image-resize",
				    .method = "resize",
				    .payload = {.data = size, .size = (size_t)length},
				    .tensors = image,
				    .tensor_count = 1,
			    });
}

static struct plug_reply *
count(struct plug_client *client, const struct plug_tensor *image)
{
	return call(client, &(struct plug_request){
				    .plugin = "image-histogram",
				    .method = "histogram",
				    .tensors = image,
				    .tensor_count = 1,
			    });
}

/* A view: another beginning and other sizes over the same memory. */
static plug_err
crop(const struct options *options, const struct plug_tensor *image, struct plug_tensor *ret)
{
	const int64_t *part = options->crop;
	plug_err err;

	*ret = *image;
	if (part[2] == 0)
		return PLUG_OK;
	err = plug_tensor_slice(image, 0, part[1], part[1] + part[3], 1, ret);
	if (err == PLUG_OK)
		err = plug_tensor_slice(ret, 1, part[0], part[0] + part[2], 1, ret);
	if (err != PLUG_OK)
		fprintf(stderr, "image-pipeline: --crop: %s\n", plug_tensor_error_text());
	return err;
}

/* ---- what comes of it ---- */

static bool
save(const char *path, const struct plug_tensor *tensor)
{
	size_t bytes = (size_t)plug_tensor_bytes(tensor);
	FILE *file = path ? fopen(path, "we") : NULL;
	bool ok;

	if (!path)
		return true;
	ok = file && fwrite(plug_tensor_data(tensor), 1, bytes, file) == bytes;
	ok = file && fclose(file) == 0 && ok;
	if (!ok)
		perror(path);
	return ok;
}

static bool
report(struct plug_client *client, const struct options *options, const struct plug_tensor *image,
       const struct plug_tensor *histogram)
{
	struct plug_client_stats calls = {.size = sizeof(calls)};
	struct plug_tensor_stats tensors;
	char a[96], b[96];

	plug_client_stats(client, &calls);
	plug_tensor_stats(&tensors, sizeof(tensors));
	printf("{\"image\": \"%s\", \"histogram\": \"%s\", \"calls_data\": %" PRIu64
	       ", \"calls_control\": %" PRIu64 ", \"copies\": %" PRIu64
	       ", \"bytes_copied\": %" PRIu64 "}\n",
	       plug_tensor_describe(image, a, sizeof(a)),
	       plug_tensor_describe(histogram, b, sizeof(b)), calls.calls_data, calls.calls_control,
	       tensors.copies, tensors.bytes_copied);
	return save(options->save_image, image) && save(options->save_histogram, histogram);
}

static bool
run_steps(struct plug_client *client, const struct options *options, const struct plug_tensor *file)
{
	struct plug_reply *decoded = decode(client, file), *resized = NULL, *counted = NULL;
	struct plug_tensor part;
	bool ok = false;

	if (decoded && crop(options, &decoded->tensors[0], &part) == PLUG_OK)
		resized = resize(client, options, &part);
	if (resized)
		counted = count(client, &resized->tensors[0]);
	if (counted)
		ok = report(client, options, &resized->tensors[0], &counted->tensors[0]);
	plug_reply_free(counted);
	plug_reply_free(resized);
	plug_reply_free(decoded);
	return ok;
}

static bool
run_chained(struct plug_client *client, const struct options *options,
	    const struct plug_tensor *file)
{
	struct plug_reply *reply = call(client, &(struct plug_request){
							.plugin = "image-histogram",
							.method = "of_png",
							.tensors = file,
							.tensor_count = 1,
						});
	bool ok = reply && reply->tensor_count == 2 &&
		  report(client, options, &reply->tensors[1], &reply->tensors[0]);

	plug_reply_free(reply);
	return ok;
}

/* ---- the file ---- */

/* Read straight into memory that png-decode can read. */
static bool
read_file(const char *path, struct plug_arena **ret_arena, struct plug_tensor *ret)
{
	FILE *file = fopen(path, "re");
	struct plug_arena_config config = {.size = sizeof(config), .name = "image-pipeline"};
	struct stat st = {.st_size = 0};
	int64_t size;
	bool ok = file && fstat(fileno(file), &st) == 0 && st.st_size > 0;

	size = st.st_size;
	config.bytes = (uint64_t)size;
	if (!ok || plug_arena_open(&config, ret_arena) != PLUG_OK) {
		fprintf(stderr, "image-pipeline: %s: %s\n", path,
			ok ? plug_tensor_error_text() : "cannot be read, or is empty");
		if (file)
			fclose(file);
		return false;
	}
	ok = plug_tensor_alloc(*ret_arena, PLUG_UINT8, 1, &size, ret) == PLUG_OK &&
	     fread(ret->data, 1, (size_t)size, file) == (size_t)size;
	fclose(file);
	if (ok)
		plug_tensor_set_name(ret, "png");
	else
		fprintf(stderr, "image-pipeline: %s cannot be read\n", path);
	return ok;
}

static bool
run(struct plug_client *client, const struct options *options)
{
	struct plug_arena *arena = NULL;
	struct plug_tensor file = {.data = NULL};
	bool ok = read_file(options->file, &arena, &file);

	if (ok)
		ok = options->chained ? run_chained(client, options, &file)
				      : run_steps(client, options, &file);
	plug_tensor_unref(&file);
	plug_arena_close(arena);
	return ok;
}

/* ---- options ---- */

static bool
parse_one(struct options *options, int option)
{
	int64_t *crop = options->crop;

	switch (option) {
	case 'r':
		options->runtime_dir = optarg;
		return true;
	case 's':
		return sscanf(optarg, "%" SCNd64 "x%" SCNd64, &options->width, &options->height) ==
		       2;
	case 'c':
		return sscanf(optarg, "%" SCNd64 ",%" SCNd64 ",%" SCNd64 ",%" SCNd64, &crop[0],
			      &crop[1], &crop[2], &crop[3]) == 4;
	case 'h':
		options->chained = true;
		return true;
	case 'i':
		options->save_image = optarg;
		return true;
	case 'g':
		options->save_histogram = optarg;
		return true;
	default:
		return false;
	}
}

static bool
parse(int argc, char **argv, struct options *options)
{
	static const struct option known[] = {
		{"runtime-dir", required_argument, NULL, 'r'},
		{"size", required_argument, NULL, 's'},
		{"crop", required_argument, NULL, 'c'},
		{"chained", no_argument, NULL, 'h'},
		{"save-image", required_argument, NULL, 'i'},
		{"save-histogram", required_argument, NULL, 'g'},
		{NULL},
	};
	int option;

	while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
		if (!parse_one(options, option))
			return false;
	}
	options->file = argv[optind];
	return argc == optind + 1;
}

int
main(int argc, char **argv)
{
	struct options options = {.width = 64, .height = 64};
	struct plug_client_config config = {.size = sizeof(config)};
	struct plug_client *client;
	bool ok;

	if (argc == 2 && strcmp(argv[1], "--help") == 0) {
		fputs(help, stdout);
		return 0;
	}
	if (!parse(argc, argv, &options)) {
		fputs(help, stderr);
		return 2;
	}
	config.runtime_dir = options.runtime_dir;
	if (plug_client_open(&config, &client) != PLUG_OK) {
		fprintf(stderr, "image-pipeline: %s\n", plug_client_error_text(NULL));
		return 3;
	}
	ok = run(client, &options);
	plug_client_close(client);
	return ok ? 0 : 1;
}
