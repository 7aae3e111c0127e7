#include "start.h"

#include <elf.h>
#include <stddef.h>
#include <stdint.h>

#if !defined(__x86_64__)

#include <sys/auxv.h>
#include <unistd.h>

namespace rouse {

unsigned long auxiliary_value(unsigned long type) {
    return ::getauxval(type);
}

} // namespace rouse

int main(int, char** arguments) {
    _exit(rouse::run(arguments, environ));
}

#else

// The C library's start makes thread-local storage, runs constructors and keeps what exit needs. rouse has none of these,
// is started once per request, and pays for each instruction and each page before its first: so here is its own.

namespace {

[[gnu::section(".bss.1")]] unsigned long auxiliary_values[32]; // by their type; those above are of no use here
static_assert(AT_EXECFN < sizeof auxiliary_values / sizeof auxiliary_values[0]);

} // namespace

// What the compiler compares at the end of a function that has an array (-mstack-protector-guard=global: there is no
// thread-local storage to keep it in).
extern "C" {
[[gnu::used, gnu::section(".bss.1")]] uintptr_t __stack_chk_guard = 0;
void* __dso_handle = nullptr;
}

extern "C" [[noreturn, gnu::used]] void __stack_chk_fail() {
    __builtin_trap();
}

// Static objects are never destroyed: the process ends by exit_group, and the kernel closes what is open.
extern "C" int __cxa_atexit(void (*)(void*), void*, void*) {
    return 0;
}

namespace rouse {

unsigned long auxiliary_value(unsigned long type) {
    return auxiliary_values[type];
}

} // namespace rouse

// The C library's looks at eight bytes at once: faster for long strings, of which a request has few, and a hundred bytes more.
extern "C" [[gnu::used]] size_t strlen(const char* text) {
    const char* end = text;
    while (*end != '\0')
        ++end;
    return static_cast<size_t>(end - text);
}

// `stack` is as execve(2) leaves it (System V ABI, AMD64 supplement, 3.4.1): argc, argv and a null, environ and a null,
// the auxiliary vector. It makes the guard, so it can have none itself.
extern "C" [[noreturn, gnu::used, gnu::optimize("no-stack-protector")]] void start(unsigned long* stack) {
    char** environment = reinterpret_cast<char**>(stack + stack[0] + 2);
    char** end = environment;
    while (*end != nullptr)
        ++end;
    for (const auto* pair = reinterpret_cast<const unsigned long*>(end + 1); pair[0] != AT_NULL; pair += 2)
        if (pair[0] < sizeof auxiliary_values / sizeof auxiliary_values[0])
            auxiliary_values[pair[0]] = pair[1];
    const auto* random = reinterpret_cast<const uintptr_t*>(rouse::auxiliary_value(AT_RANDOM)); // 16 bytes, aligned
    if (random != nullptr)
        __stack_chk_guard = *random & ~uintptr_t{0xff}; // a NUL in it stops what copies strings
    int status = rouse::run(reinterpret_cast<char**>(stack + 1), environment);
    asm volatile("syscall" : : "a"(231), "D"(status)); // exit_group(2)
    __builtin_unreachable();
}

asm(".pushsection .text\n"
    ".globl _start\n"
    "_start:\n"
    "\txor %ebp, %ebp\n"
    "\tmov %rsp, %rdi\n"
    "\tand $-16, %rsp\n"
    "\tcall start\n"
    ".popsection");

#endif
