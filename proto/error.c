#include <plug/error.h>

const char *
plug_err_name(plug_err err)
{
	switch (err) {
#define CASE_NAME(name, number, text) \
	case name:                    \
		return #name;
		PLUG_ERR_MAP(CASE_NAME)
#undef CASE_NAME
	}
	return "PLUG_E?";
}

const char *
plug_err_text(plug_err err)
{
	switch (err) {
#define CASE_TEXT(name, number, text) \
	case name:                    \
		return text;
		PLUG_ERR_MAP(CASE_TEXT)
#undef CASE_TEXT
	}
	return "an error this version does not know";
}
