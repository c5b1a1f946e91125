/* The contracts of the types, as a table in markdown. */
#include "core/contract.h"
#include "core/manifest.h"
#include "reference.h"

static void
write_need(FILE *out, const struct contract_need *need)
{
	fprintf(out, "`%s`", need->method);
	for (size_t i = 0; need->instead && need->instead[i]; i++)
		fprintf(out, " or `%s`", need->instead[i]);
	fprintf(out, ": %s", need->help);
}

void
reference_contracts(FILE *out)
{
	fputs("| type | | must offer | often offers |\n|---|---|---|---|\n", out);
	for (int type = 0; type < MANIFEST_TYPE_COUNT; type++) {
		const struct contract *contract = contract_of(type);

		fprintf(out, "| `%s` | %s | ", manifest_type_name(type), contract->about);
		for (size_t i = 0; i < contract->count; i++) {
			fputs(i ? "<br>" : "", out);
			write_need(out, &contract->needs[i]);
		}
		fprintf(out, "%s | %s |\n", contract->count ? "" : "–", contract->also);
	}
}
