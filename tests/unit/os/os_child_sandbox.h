#ifndef OS_CHILD_SANDBOX_H
#define OS_CHILD_SANDBOX_H

/* dirs: "READABLE:WRITABLE", each with a file named "file". */
int sandbox_report(const char *dirs);

#endif
