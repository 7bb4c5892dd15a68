#!/usr/bin/env python3
"""Checks what a compiler cannot: who may include whom, which names belong to which layer, sizes.

    .ci/tidy.py [FOLDER]       checks a tree, prints file:line: sentence, exits 1 on any finding
    .ci/tidy.py --self-test    plants one violation of each rule and checks that it is found

Two waivers, both with their reason, in a comment on the line or within six lines above it:
    /* tidy: long - why */     for a function over the limit
    /* tidy: allow - why */    for a name that belongs elsewhere
"""
import pathlib
import re
import sys
import tempfile

FUNCTION_LINES_MAX, FILE_LINES_MAX, COLUMNS_MAX = 70, 600, 100
TOP_LEVEL = {"src", "actors", "proto", "tests", "bench", "CMakeLists.txt", "README.md", "LICENSE"}
PUBLIC = "src/include"
ANY = None  # the command is a user's program: any header of the system

C_LIBRARY = {name + ".h" for name in """ctype errno inttypes limits stdalign stdarg stdbool stddef
    stdint stdio stdlib string""".split()}
SYSTEM = ("errno.h", "fcntl.h", "sys/stat.h", "sys/types.h", "unistd.h")
THREADS = ("pthread.h", "stdatomic.h")

# layer: (layers it may include, headers from outside it may include).  The arrow points down.
LAYERS = {
    "src/include": (set(), ()),
    "src/base": ({PUBLIC}, (*SYSTEM, *THREADS, "sanitizer/", "signal.h", "sys/random.h",
                            "sys/syscall.h", "time.h")),
    "src/session": ({PUBLIC, "src/base"}, ()),
    "src/transport": ({PUBLIC, "src/base"}, ()),
    "src/sentinel": ({PUBLIC, "src/base"},
                     (*SYSTEM, *THREADS, "poll.h", "sched.h", "sys/eventfd.h", "sys/mman.h",
                      "sys/resource.h", "sys/socket.h", "sys/syscall.h", "sys/wait.h")),
    "src/runtime": ({PUBLIC, "src/base"},
                    (*SYSTEM, *THREADS, "ck_", "linux/futex.h", "sanitizer/", "sched.h", "signal.h",
                     "sys/eventfd.h", "sys/syscall.h", "time.h")),
    "src/channel": ({PUBLIC, "src/base", "src/runtime", "src/transport"}, ("sys/queue.h",)),
    "src/sim": ({PUBLIC, "src/base", "src/runtime", "src/session", "src/transport", "src/channel"},
                ("setjmp.h",)),
    "src/etcd": ({PUBLIC, "src/base", "src/runtime", "src/transport", "src/channel"},
                 (*SYSTEM, *THREADS, "sys/queue.h", "etcd.pb-c.h", "grpc/", "openssl/", "protobuf-c/",
                  "sanitizer/", "sys/mman.h")),
    "actors": ({PUBLIC, "src/base", "src/session", "src/transport"}, ()),
    "src/api": ({PUBLIC, "src/base", "src/runtime", "src/session", "src/transport", "src/etcd",
                 "src/sim", "src/sentinel", "actors"}, (*SYSTEM, *THREADS, "sys/eventfd.h")),
    "src/scenarios": ({PUBLIC, "src/base", "src/sim", "src/sentinel", "src/api", "actors"}, ()),
    "src/cli": ({PUBLIC}, ANY),
}
# Headers a layer may not include although it may include their folder.
NO_CLOCK_NO_THREADS = {"base/clock.h", "base/thread.h"}
WITHHELD = {layer: NO_CLOCK_NO_THREADS for layer in ("actors", "src/session", "src/transport", "src/channel")}

CODE = set(LAYERS)
PURE = {"actors", "src/session", "src/transport", "src/channel", PUBLIC}
# (pattern, layers it is banned in, what to do instead)
BANNED = (
    (r"\b(rand|srand|random|srandom|drand48|getrandom|getentropy|arc4random\w*)\s*\(",
     CODE - {"src/base"}, "entropy comes from base/random.h"),
    (r"\b(time|clock|clock_gettime|gettimeofday|timespec_get|ftime)\s*\(",
     CODE - {"src/base"}, "clocks are read in base/clock.h only"),
    (r"\b(sleep|usleep|nanosleep|clock_nanosleep)\s*\(", CODE,
     "wait for the event itself, with a deadline"),
    (r"\b(strcpy|strcat|sprintf|vsprintf|strtok|gets|alloca|mktemp|tmpnam)\s*\(", CODE,
     "unbounded or unsafe: use the bounded form"),
    (r"\b(atoi|atol|atoll|atof)\s*\(", CODE, "does not tell errors: use strtoll and check"),
    (r"\bsscanf\s*\(", CODE - {"src/cli"}, "does not tell overflow: use strtoll and check"),
    (r"\b(setjmp|longjmp|system|popen)\s*\(", CODE, "not in this code base"),
    (r"(?<![\w.])(abort|assert)\s*\(", CODE - {"src/base"}, "use ROLLCALL_ASSERT"),
    (r"(?<![\w.])(exit|_exit|_Exit|quick_exit)\s*\(", CODE - {"src/cli"},
     "a library does not end its program"),
    (r"\b(printf|puts|putchar|perror|vprintf)\s*\(|\bstd(out|err)\b",
     CODE - {"src/base", "src/cli"}, "speak through the log"),
    (r"\b(CK|ck)_\w+", CODE - {"src/runtime"}, "Concurrency Kit is for src/runtime only"),
    (r"(?<![.>\w])(grpc|gpr)_(?!code\b)\w+|\bGRPC_\w+", CODE - {"src/etcd"},
     "gRPC is for src/etcd only"),
    (r"\b(pthread|mtx|cnd|thrd|sem)_\w+", PURE, "no threads and no locks here"),
    (r"\b_Atomic\b|\b(atomic|__atomic|__sync)_\w+", PURE, "no atomics here: send a message"),
    (r"\brollcall__(clock|monitor|thread)_\w+|\brollcall__random_entropy\b", PURE - {PUBLIC},
     "the clock, entropy and threads are the runtime's: ask the context"),
    (r"(?<![\w.>])(malloc|calloc|realloc|reallocarray|strn?dup)\s*\(", PURE - {PUBLIC},
     "allocate by base/memory.h: a simulation makes it fail"),
    (r"\btypedef\s+(struct|union|enum)\b(\s+\w+)?(\s+\**\w+;|\s*\{|\s*$)", CODE,
     "structs and enums are never typedef'd"),
)
BANNED = tuple((re.compile(pattern), layers, why) for pattern, layers, why in BANNED)
LEFT_OVER = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b")
INCLUDE = re.compile(r'\s*#\s*include\s+[<"]([^>"]+)')
CONDITION = re.compile(r"\s*#\s*(if|ifdef|ifndef|elif)\b")
SANITIZER = re.compile(r"TSAN|ASAN|SANITIZE|sanitizer")
COMMENT_OR_TEXT = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def without_comments_and_texts(text):
    """The code alone, line for line."""
    return COMMENT_OR_TEXT.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text)


def layer_of(path):
    """The layer of a file given by its path from the top; None for tests and benchmarks."""
    return next((name for name in LAYERS if path.startswith(name + "/")), None)


def layer_of_include(name):
    """The layer a quoted or bracketed name belongs to; None when it is from outside."""
    if name.startswith("rollcall/"):
        return PUBLIC
    folder = name.split("/")[0] if "/" in name else ""
    target = "actors" if folder == "actors" else "src/" + folder
    return target if target in LAYERS and target != PUBLIC else None


class File:
    """One source file and what is wrong with it."""

    def __init__(self, top, path):
        self.path = path.relative_to(top).as_posix()
        text = path.read_text(encoding="utf-8")
        self.lines = text.splitlines()
        self.code = without_comments_and_texts(text).splitlines()
        self.layer = layer_of(self.path)
        self.has_header = path.suffix == ".c" and path.with_suffix(".h").exists()
        self.findings = []
        if text and not text.endswith("\n"):
            self.say(len(self.lines), "the last line does not end")

    def say(self, number, sentence):
        self.findings.append(f"{self.path}:{number}: {sentence}")

    def waived(self, number, what):
        above = "\n".join(self.lines[max(0, number - 7):number])
        return re.search(rf"tidy: {what} - \w", above) is not None

    def check(self):
        self.check_sizes()
        self.check_functions()
        if self.layer is not None:
            self.check_includes()
            self.check_names()
            self.check_conditions()
        return self.findings

    def check_sizes(self):
        if len(self.lines) > FILE_LINES_MAX:
            self.say(FILE_LINES_MAX, f"file has {len(self.lines)} lines, limit {FILE_LINES_MAX}")
        for number, line in enumerate(self.lines, 1):
            columns = len(line.removesuffix("*/").rstrip())  # as clang-format 14 counts
            if columns > COLUMNS_MAX:
                self.say(number, f"line has {columns} columns, limit {COLUMNS_MAX}")
            if line != line.rstrip() or "\t" in line:
                self.say(number, "trailing space or tab")
            if LEFT_OVER.search(line):
                self.say(number, "unfinished: do it, or leave it out")

    def check_functions(self):
        opened = None
        for number, line in enumerate(self.code, 1):
            if line.rstrip() == "{":
                opened = number
            elif line.rstrip() == "}" and opened is not None:
                count = number - opened - 1
                if count > FUNCTION_LINES_MAX and not self.waived(opened, "long"):
                    self.say(opened, f"function has {count} lines, limit {FUNCTION_LINES_MAX}")
                opened = None

    def check_includes(self):
        first = True
        for number, line in enumerate(self.lines, 1):
            found = INCLUDE.match(line)
            if not found or not self.code[number - 1].strip():
                continue
            self.check_include(number, found[1])
            own = pathlib.PurePosixPath(self.path).with_suffix(".h").name
            if first and self.has_header and pathlib.PurePosixPath(found[1]).name != own:
                self.say(number, f"{own} comes first: that proves that it stands alone")
            first = False

    def check_include(self, number, name):
        below, outside = LAYERS[self.layer]
        target = layer_of_include(name)
        if target is not None:
            allowed = target == self.layer or target in below
        elif outside is ANY:
            allowed = not name.startswith(("ck_", "grpc/", "protobuf-c/")) and name != "etcd.pb-c.h"
        else:
            allowed = name in C_LIBRARY or (outside and name.startswith(outside))
        if not allowed or name in WITHHELD.get(self.layer, ()):
            self.say(number, f"{self.layer} must not include {name}")

    def check_names(self):
        for number, line in enumerate(self.code, 1):
            if INCLUDE.match(line) or line.lstrip().startswith("#include"):
                continue
            for pattern, layers, why in BANNED:
                found = pattern.search(line) if self.layer in layers else None
                if found and not self.waived(number, "allow"):
                    self.say(number, f"{found[0].strip()}: {why}")

    def check_conditions(self):
        if self.layer == "src/base" or not self.path.endswith(".c"):
            return
        for number, line in enumerate(self.code, 1):
            nearby = "".join(self.lines[number - 1:number + 2])
            if CONDITION.match(line) and not SANITIZER.search(nearby):
                self.say(number, "no #if in a .c file: hide the difference in base")


def check_top_level(top):
    """Only the agreed entries, dot-files, and build folders, which git does not see."""
    for entry in sorted(top.iterdir()):
        name = entry.name
        if name not in TOP_LEVEL and not name.startswith((".", "build")):
            yield f"{name}:1: does not belong on the top level"


def check_tree(top):
    findings = list(check_top_level(top))
    for folder in ("src", "actors", "tests", "bench"):
        for path in sorted((top / folder).rglob("*.[ch]")):
            name = path.relative_to(top).as_posix()
            if name.startswith("src/") and layer_of(name) is None:
                findings.append(f"{name}:1: is in no layer")
            findings += File(top, path).check()
    return findings


LONG = "int f(void)\n{\n" + "    g();\n" * (FUNCTION_LINES_MAX + 1) + "}\n"
# (file, content, what must be said of it; "" for nothing)
PLANTS = (
    ("src/base/a.c", "#include <rollcall/error.h>\n\n#include <time.h>\n", ""),
    ("src/base/b.c", '#include "runtime/port.h"\n', "src/base must not include runtime/port.h"),
    ("src/runtime/a.c", '#include "actors/keepalive.h"\n', "must not include actors/keepalive.h"),
    ("src/runtime/b.c", "#include <grpc/grpc.h>\n", "src/runtime must not include grpc/grpc.h"),
    ("src/runtime/c.c", "#include <ck_ring.h>\nvoid f(void)\n{\n    ck_pr_stall();\n}\n", ""),
    ("src/etcd/a.c", "#include <ck_ring.h>\n", "src/etcd must not include ck_ring.h"),
    ("src/etcd/b.c", '#include "session/keys.h"\n', "src/etcd must not include session/keys.h"),
    ("src/etcd/c.c", "#include <grpc/grpc.h>\nvoid f(void)\n{\n    grpc_init();\n}\n", ""),
    ("src/transport/a.c", '#include "etcd/call.h"\n', "must not include etcd/call.h"),
    ("src/session/a.c", "#include <pthread.h>\n", "src/session must not include pthread.h"),
    ("src/session/b.c", '#include "transport/messages.h"\n', "must not include transport/"),
    ("src/sentinel/a.c", '#include "runtime/port.h"\n', "must not include runtime/port.h"),
    ("src/sim/a.c", '#include "etcd/call.h"\n', "src/sim must not include etcd/call.h"),
    ("src/api/a.c", '#include "actors/session.h"\n#include "etcd/cluster.h"\n', ""),
    ("src/api/b.c", "#include <grpc/grpc.h>\n", "src/api must not include grpc/grpc.h"),
    ("src/cli/a.c", '#include "base/buffer.h"\n', "src/cli must not include base/buffer.h"),
    ("src/cli/b.c", "#include <rollcall/session.h>\n\n#include <sys/wait.h>\n", ""),
    ("src/cli/c.c", "#include <grpc/grpc.h>\n", "src/cli must not include grpc/grpc.h"),
    ("src/include/rollcall/a.h", "#include <ck_ring.h>\n", "src/include must not include ck_ring"),
    ("actors/a.c", "#include <ck_ring.h>\n", "actors must not include ck_ring.h"),
    ("actors/b.c", '#include "runtime/port.h"\n', "actors must not include runtime/port.h"),
    ("actors/c.c", '#include "base/clock.h"\n', "actors must not include base/clock.h"),
    ("actors/d.c", "int f(void)\n{\n    return grpc_init();\n}\n", "gRPC is for src/etcd only"),
    ("actors/e.c", "static pthread_mutex_t lock;\n", "no threads and no locks here"),
    ("actors/f.c", "static _Atomic int count;\n", "no atomics here"),
    ("actors/g.c", "static long f(void)\n{\n    return time(NULL);\n}\n", "clocks are read in"),
    ("actors/h.c", "static int f(void)\n{\n    return rollcall__clock_boot_ms();\n}\n",
     "ask the context"),
    ("actors/i.c", "/* grpc_init, time(0) */\nint f(void)\n{\n    return e->grpc_code;\n}\n", ""),
    ("actors/j.c", "void *f(void)\n{\n    return malloc(1);\n}\n", "allocate by base/memory.h"),
    ("src/session/c.c", "void *f(void *a)\n{\n    return realloc(a, 1);\n}\n",
     "allocate by base/memory.h"),
    ("src/transport/b.c", "void *f(void)\n{\n    return calloc(1, 1);\n}\n",
     "allocate by base/memory.h"),
    ("src/transport/c.c", "/* malloc(1) */\nvoid f(void *a)\n{\n    free(a);\n}\n", ""),
    ("src/etcd/d.c", "int f(void)\n{\n    return rand();\n}\n", "entropy comes from"),
    ("src/etcd/e.c", "void f(void)\n{\n    usleep(1);\n}\n", "wait for the event itself"),
    ("src/etcd/f.c", "void f(char *a)\n{\n    strcpy(a, \"b\");\n}\n", "unbounded or unsafe"),
    ("src/etcd/g.c", 'void f(void)\n{\n    printf("%s", "x");\n}\n', "speak through the log"),
    ("src/etcd/h.c", "void f(void)\n{\n    exit(1);\n}\n", "does not end its program"),
    ("src/etcd/i.c", "void f(void)\n{\n    assert(1);\n}\n", "use ROLLCALL_ASSERT"),
    ("src/etcd/j.c", "void f(void)\n{\n    ROLLCALL_ASSERT(g == 0);\n}\n", ""),
    ("src/etcd/k.c", "/* tidy: allow - a test of the rule */\ntypedef struct a b;\n", ""),
    ("src/etcd/l.c", "typedef struct a b;\n", "never typedef'd"),
    ("src/etcd/w.c", "typedef enum rollcall_status step_fn(void *self);\n", ""),
    ("src/etcd/x.c", "typedef enum {\n    A\n} b;\n", "never typedef'd"),
    ("src/etcd/m.c", "#if FAST\n#endif\n", "no #if in a .c file"),
    ("src/etcd/n.c", "#ifdef __SANITIZE_THREAD__\n#endif\n", ""),
    ("src/etcd/o.c", LONG, f"function has {FUNCTION_LINES_MAX + 1} lines"),
    ("src/etcd/p.c", "/* tidy: long - a table is clearest whole */\n" + LONG, ""),
    ("src/etcd/q.c", "int a;\n" * (FILE_LINES_MAX + 1), f"file has {FILE_LINES_MAX + 1} lines"),
    ("src/etcd/r.c", "int " + "a" * COLUMNS_MAX + ";\n", "columns, limit"),
    ("src/etcd/s.c", "int a; \n", "trailing space or tab"),
    ("src/etcd/t.c", "/* TO" "DO: later */\n", "unfinished"),
    ("src/etcd/u.c", "int a;", "the last line does not end"),
    ("src/etcd/v.h", "int v;\n", ""),
    ("src/etcd/v.c", '#include <stdio.h>\n\n#include "etcd/v.h"\n', "v.h comes first"),
    ("src/stray.c", "int a;\n", "is in no layer"),
    ("tests/unit/a_test.c", '#include "runtime/port.h"\n#include <grpc/grpc.h>\n', ""),
    ("tests/unit/b_test.c", LONG, f"function has {FUNCTION_LINES_MAX + 1} lines"),
    ("docs/a.md", "text\n", "docs:1: does not belong on the top level"),
    ("build/release/a.c", "typedef struct a b;\n", ""),
)


def self_test():
    wrong = []
    for name, content, expected in PLANTS:
        with tempfile.TemporaryDirectory() as folder:
            top = pathlib.Path(folder)
            path = top / name
            path.parent.mkdir(parents=True)
            path.write_text(content, encoding="utf-8")
            if name == "src/etcd/v.c":
                path.with_suffix(".h").write_text("int v;\n", encoding="utf-8")
            said = check_tree(top)
        good = len(said) == 1 and expected in said[0] if expected else not said
        if not good:
            wrong.append(f"{name}: expected {expected or 'nothing'!r}, got {said}")
    print("\n".join(wrong) + "\n" if wrong else "", end="")
    print(f"{len(PLANTS) - len(wrong)} passed, {len(wrong)} failed")
    return 1 if wrong else 0


def main(arguments):
    if arguments == ["--self-test"]:
        return self_test()
    top = pathlib.Path(arguments[0]) if arguments else pathlib.Path(__file__).parent.parent
    findings = check_tree(top)
    print("\n".join(findings) + "\n" if findings else "", end="")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
