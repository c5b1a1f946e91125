/* The points of the plot as a table: a line a size, a column a series. */
#include <string.h>

#include "report.h"

static const struct point *
find(const struct report *report, const char *series, size_t bytes)
{
	for (size_t i = 0; i < report->point_count; i++)
		if (report->points[i].bytes == bytes &&
		    strcmp(report->points[i].series, series) == 0)
			return &report->points[i];
	return NULL;
}

/* Is it the first point of its size? */
static bool
begins_size(const struct report *report, size_t at)
{
	return at == 0 || report->points[at - 1].bytes != report->points[at].bytes;
}

static void
print_line(const struct report *report, size_t bytes, bool markdown, FILE *out)
{
	size_t first = report->points[0].bytes;

	fprintf(out, markdown ? "| %zu |" : "%10zu", bytes);
	for (size_t i = 0; i < report->point_count && report->points[i].bytes == first; i++) {
		const struct point *point = find(report, report->points[i].series, bytes);
		double p50 = point ? point->value.p50 : NAN;

		fprintf(out, markdown ? " %.*f |" : "  %22.*f",
			p50 < 10    ? 2
			: p50 < 100 ? 1
				    : 0,
			p50);
	}
	fputc('\n', out);
}

static void
print_head(const struct report *report, bool markdown, FILE *out)
{
	size_t first = report->points[0].bytes, columns = 0;

	fputs(markdown ? "\n| bytes each way, p50 in us |" : "\nbytes, p50", out);
	for (; columns < report->point_count && report->points[columns].bytes == first; columns++)
		fprintf(out, markdown ? " %s |" : "  %22s", report->points[columns].series);
	fputs(markdown ? "\n|---|" : "", out);
	for (size_t i = 0; markdown && i < columns; i++)
		fputs("---|", out);
	fputc('\n', out);
}

void
report_points(const struct report *report, bool markdown, FILE *out)
{
	if (!report->point_count)
		return;
	print_head(report, markdown, out);
	for (size_t i = 0; i < report->point_count; i++)
		if (begins_size(report, i))
			print_line(report, report->points[i].bytes, markdown, out);
}
