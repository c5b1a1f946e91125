"""Sum of JUnit reports, as one line for people and machines: count.py FAILED_STEPS REPORT…"""

import sys
import xml.etree.ElementTree as ET


def outcomes(path):
    for case in ET.parse(path).iter("testcase"):
        name = f"{case.get('classname')}.{case.get('name')}"
        tags = {child.tag for child in case}
        if tags & {"failure", "error"} or case.get("status") == "fail":
            yield "failed", name
        elif "skipped" in tags or case.get("status") in ("notrun", "disabled"):
            yield "skipped", name
        else:
            yield "passed", name


def main():
    counts = {"passed": 0, "failed": int(sys.argv[1]), "skipped": 0}
    for path in sys.argv[2:]:
        of_report = {"passed": 0, "failed": 0, "skipped": 0}
        failed = []
        for outcome, name in outcomes(path):
            of_report[outcome] += 1
            if outcome == "failed":
                failed.append(name)
        print(f"{path}: " + ", ".join(f"{count} {word}" for word, count in of_report.items()))
        for name in failed:
            print(f"  FAILED {name}")
        for word, count in of_report.items():
            counts[word] += count
    print(f"{counts['passed']} passed, {counts['failed']} failed")
    return counts["failed"] > 0 or counts["passed"] == 0


sys.exit(main())
