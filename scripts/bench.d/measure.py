"""Runs commands at the same time and prints, as JSON, what they took.

A process of its own, because what a child is said to have had in memory at most includes what its parent had when it began
(getrusage(2): a new program inherits the peak), and a job that has read large files has much.
"""

import json
import os
import resource
import subprocess
import sys
import time


def main():
    asked = json.loads(sys.argv[1])
    output = asked["output"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.monotonic()
    out = open(output, "w") if output else subprocess.DEVNULL
    errors = subprocess.STDOUT if output else subprocess.DEVNULL
    children = [subprocess.Popen(command, cwd=asked["cwd"], stdout=out, stderr=errors) for command in asked["commands"]]
    peak, codes = 0, []
    for child in children:
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        codes.append(child.returncode)
        peak = max(peak, usage.ru_maxrss * 1024)
    seconds = time.monotonic() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(json.dumps({"seconds": seconds, "cpu": cpu, "peak": peak, "codes": codes}))


main()
